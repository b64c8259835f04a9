"""Measure every capability of a target environment, for a line of the matrix."""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcompat.errors import CannotLook
from xcompat.smoke.child import STAGE_TIMEOUT_SECONDS, ChildOutcome, run_stages
from xcompat.smoke.lacking import require_machine
from xcompat.smoke.request import DEFAULT_TEXT
from xcompat.smoke.run_line import (
    capabilities_of,
    device_of,
    how_to_repeat,
    run_header,
    signs_of,
    token_hash,
)
from xcompat.smoke.voice import LANGUAGE, MODEL, make_voice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xcompat.domain import Environment
    from xcompat.domain.smoke import StageResult

_BEFORE_SOUND = ("import", "device", "load-converted", "condition")
_SOUND_STAGES = ("tokens", "speak", "stream", "clone", "api", "api-path")
_OPTIONAL = ("save", "load-stock", *_SOUND_STAGES)
_STAGES = ("import", "save", "load-stock", *_BEFORE_SOUND[1:], *_SOUND_STAGES)
_RUNTIME_STAGES = tuple(stage for stage in _STAGES if stage != "load-stock")


def record_run(
    environment: Environment,
    *,
    device: str = "cpu",
    on_begin: Callable[[str], None] = lambda _: None,
    timeout: float = STAGE_TIMEOUT_SECONDS,
    bytecode: Path | None = None,
) -> dict[str, Any]:
    """Run all capabilities in `environment` and return the run as JSON data.

    Args:
        environment: Where to run them.
        device: What to run them on.
        on_begin: Called with the name of each stage.
        timeout: Seconds that one stage may take.
        bytecode: Folder for what Python and numba compile, where it shall outlive the environment.

    Raises:
        CannotLook: The interpreter cannot be started, or cannot say what it holds (XC301); a stage
            failed for want of disk or memory (XC309).
    """
    python = Path(environment.interpreter)
    inventory = _inventory(python)
    with (
        tempfile.TemporaryDirectory(prefix="xcompat-record-") as name,
        ThreadPoolExecutor() as pool,
    ):
        scratch = Path(name)
        making = threading.Lock()

        def prepare() -> None:
            """Make the model, for whichever of the two columns is the first to need it."""
            with making:
                if not (scratch / "checksums.json").is_file():
                    make_voice(scratch)

        def measure(stages: Sequence[str], runtime: str) -> tuple[StageResult, ...]:
            return _run(
                python,
                stages,
                _request(scratch, device, runtime),
                after={"import": prepare},
                on_begin=on_begin,
                timeout=timeout,
                bytecode=bytecode,
            )

        column = pool.submit(measure, _STAGES, "stock")
        through_runtime = measure(_RUNTIME_STAGES, "xcompat")
        results = column.result()
    require_machine(results + through_runtime)
    return {
        **run_header(inventory["python"], inventory["platform"]),
        "command": how_to_repeat(environment),
        "cell": "contributed",
        "device": device_of(results + through_runtime, device),
        "model": MODEL,
        "packages": dict(sorted(inventory["distributions"].items())),
        "builds": dict(environment.builds),
        "system": {"ffmpeg": inventory["ffmpeg"]},
        **signs_of(environment),
        "capabilities": capabilities_of(results),
        "tokens": token_hash(results),
        "runtime_capabilities": capabilities_of(through_runtime),
        "runtime_tokens": token_hash(through_runtime),
    }


def _run(
    python: Path, stages: Sequence[str], request: Mapping[str, Any], **how: Any
) -> tuple[StageResult, ...]:
    """Run stages in as many processes as die in an optional one."""
    results: list[StageResult] = []
    while stages:
        outcome = run_stages(python, stages, request, optional=_OPTIONAL, **how)
        results += _with_last_words(outcome)
        stages = _not_reached(outcome)
    return tuple(results)


def _with_last_words(outcome: ChildOutcome) -> tuple[StageResult, ...]:
    """Add to the error of a child that died what it wrote last: its only trace in a run."""
    *before, last = outcome.stages
    words = last.traceback.strip().rpartition("\n")[2]
    if outcome.died and words:
        last = replace(last, error=f"{last.error}: {words}")
    return (*before, last)


def _not_reached(outcome: ChildOutcome) -> tuple[str, ...]:
    """Return the stages that a new child can still run after one that died in an optional stage."""
    last = outcome.stages[-1].name
    if not outcome.died or last not in _OPTIONAL:
        return ()
    rest = _STAGES[_STAGES.index(last) + 1 :]
    return tuple(s for s in _STAGES if s in rest or s in _BEFORE_SOUND) if rest else ()


def _request(scratch: Path, device: str, runtime: str) -> dict[str, Any]:
    converted = scratch / "converted"
    return {
        "device": device,
        "runtime": runtime,
        "original": str(scratch / "original"),
        "model": str(converted),
        "pth": str(converted),
        "text": DEFAULT_TEXT,
        "language": LANGUAGE,
        "wav": str(scratch / f"speak-{runtime}.wav"),
        "checksums": str(scratch / "checksums.json"),
        "saved_wav": str(scratch / f"saved-{runtime}.wav"),
        "reference_wav": str(scratch / f"reference-{runtime}.wav"),
        "api_wav": str(scratch / f"api-{runtime}.wav"),
        "caches": str(scratch / f"caches-{runtime}"),
    }


def _inventory(python: Path) -> Mapping[str, Any]:
    (stage,) = run_stages(python, ("inventory",), {}).stages
    if stage.status == "fails":
        raise CannotLook(
            "XC301", f"{python} cannot say what is installed: {stage.error}", hint=stage.traceback
        )
    return stage.details
