"""The smoke inside the target interpreter: one stage after another, one JSON line per event.

Standard input carries the names of the stages, one per line, and standard output the JSON lines and
nothing else; whatever TTS prints goes to standard error, and what it asks finds nobody. Each stage
announces itself first (`"event": "begin"`), so that the parent knows that it was reached when a
process dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
import warnings
from typing import Any, Callable

from . import imports, stages
from .machine import peak_memory
from .wording import one_line


def main(arguments: list[str]) -> int:
    """Run the stages that the parent names on standard input, one per line, until it ends.

    What stands behind the name of a stage are its arguments.
    """
    smoke = stages.Smoke(json.loads(arguments[0]))
    # Keep the real standard streams for ourselves before anything can read or print.
    orders = os.fdopen(os.dup(0), encoding="utf-8")
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    warnings.filterwarnings("ignore")

    def emit(**event: Any) -> None:
        print(json.dumps(event), file=events, flush=True)

    with contextlib.ExitStack() as stack:
        if smoke.runtime != "stock":
            stack.enter_context(imports.importing_tts())
        for stage in map(str.strip, orders):
            _run(smoke, stage, emit)
    emit(event="memory", **peak_memory(smoke.device))
    return 0


def _run(smoke: stages.Smoke, stage: str, emit: Callable[..., None]) -> None:
    emit(event="begin", stage=stage)
    started = time.perf_counter()
    try:
        name, *arguments = stage.split()
        details = getattr(smoke, "run_" + name.replace("-", "_"))(*arguments)
    except Exception as error:
        emit(
            event="end",
            stage=stage,
            status="fails",
            seconds=time.perf_counter() - started,
            error=one_line(error),
            traceback=traceback.format_exc(),
            fell_back=smoke.fell_back,
        )
    else:
        emit(
            event="end",
            stage=stage,
            status="works",
            seconds=time.perf_counter() - started,
            details=details,
            fell_back=smoke.fell_back,
        )
