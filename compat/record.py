"""Measure every capability of a target environment and write it down as a line of the matrix."""

from __future__ import annotations

import datetime
import functools
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcompat.child import STAGE_TIMEOUT_SECONDS, ChildOutcome, run_stages
from xcompat.errors import CannotLook
from xcompat.judge import judge_sound
from xcompat.smoke import DEFAULT_TEXT, convert_built_in
from xcompat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xcompat.domain import Environment
    from xcompat.domain.smoke import StageResult

SCHEMA = 1
_MACHINE_PATH = re.compile(
    r"(?:\b[A-Za-z]:|(?<![\w.:/\\-]))[/\\][^\s'\"()]*[/\\]"
    r"(?=site-packages|xcompat-|lib[/\\]python|builds-v\d|sdists-v\d|[^/\\\s'\"()]+$)"
)
"""The folders of a path up to what means something elsewhere too."""
_BEFORE_SOUND = ("import", "device", "load-converted", "condition")
_SOUND_STAGES = ("tokens", "speak", "stream", "clone", "api")
_OPTIONAL = ("load-stock", *_SOUND_STAGES)
_STAGES = ("import", "make-checkpoint", "load-stock", *_BEFORE_SOUND[1:], *_SOUND_STAGES)
_RUNTIME_STAGES = tuple(stage for stage in _STAGES if stage != "load-stock")
CAPABILITY_OF_STAGE = {
    "import": "import",
    "load-stock": "load",
    "load-converted": "load-converted",
    "tokens": "speak",
    "speak": "speak",
    "stream": "stream",
    "clone": "clone",
    "api": "api",
}


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
        CannotLook: The interpreter cannot be started, or cannot say what it holds (XC301).
    """
    python = Path(environment.interpreter)
    inventory = _inventory(python)
    run = functools.partial(_run, python, on_begin=on_begin, timeout=timeout, bytecode=bytecode)
    with tempfile.TemporaryDirectory(prefix="xcompat-record-") as name:
        scratch = Path(name)
        results = run(_STAGES, scratch, _request(scratch, device))
        stages = _RUNTIME_STAGES
        if (scratch / "converted").is_dir():  # made with stock TTS
            stages = tuple(stage for stage in stages if stage != "make-checkpoint")
        through_runtime = run(stages, scratch, {**_request(scratch, device), "runtime": "xcompat"})
    return {
        **run_header(inventory["python"], inventory["platform"]),
        "device": device,
        "packages": dict(sorted(inventory["distributions"].items())),
        "builds": dict(environment.builds),
        "system": {"ffmpeg": inventory["ffmpeg"]},
        **_signs(environment),
        "capabilities": _capabilities(results),
        "tokens": _token_hash(results),
        "runtime_capabilities": _capabilities(through_runtime),
        "runtime_tokens": _token_hash(through_runtime),
    }


def _run(
    python: Path, stages: Sequence[str], scratch: Path, request: Mapping[str, Any], **how: Any
) -> tuple[StageResult, ...]:
    """Run stages in as many processes as die in an optional one."""
    results: list[StageResult] = []
    while stages:
        outcome = run_stages(
            python,
            stages,
            request,
            optional=_OPTIONAL,
            after={"make-checkpoint": lambda: convert_built_in(scratch)},
            **how,
        )
        results += _with_last_words(outcome)
        stages = _not_reached(outcome)
    return tuple(results)


def run_header(python: str, platform: str) -> dict[str, Any]:
    """Return what every run says of itself: when, where and by what it was made."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "schema": SCHEMA,
        "id": f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03}Z-{platform}",
        "date": f"{now:%Y-%m-%d}",
        "tool": f"xcompat {__version__}",
        "command": "xcompat smoke --record",
        "cell": "",
        "python": python,
        "platform": platform,
    }


def append_run(path: Path, run: Mapping[str, Any]) -> None:
    """Append a run to a `.jsonl` file, which is made if it is missing.

    Raises:
        CannotLook: The file cannot be written (XC304).
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run, sort_keys=True, ensure_ascii=False) + "\n")
    except OSError as error:
        raise CannotLook(
            "XC304", f"{path} cannot be written: {error.strerror}", hint="Give another file."
        ) from error


def _signs(environment: Environment) -> dict[str, Any]:
    """Return what was seen beside versions, where anything was."""
    told = {
        sign: [without_machine_paths(each) for each in seen]
        for sign, seen in environment.signs.items()
    }
    return {"signs": told} if told else {}


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


def _request(scratch: Path, device: str) -> dict[str, Any]:
    converted = scratch / "converted"
    return {
        "device": device,
        "original": str(scratch / "original"),
        "model": str(converted),
        "pth": str(converted),
        "text": DEFAULT_TEXT,
        "language": "en",
        "wav": str(scratch / "speak.wav"),
        "reference_wav": str(scratch / "reference.wav"),
        "api_wav": str(scratch / "api.wav"),
    }


def _inventory(python: Path) -> Mapping[str, Any]:
    (stage,) = run_stages(python, ("inventory",), {}).stages
    if stage.status == "fails":
        raise CannotLook(
            "XC301", f"{python} cannot say what is installed: {stage.error}", hint=stage.traceback
        )
    return stage.details


def _capabilities(results: Sequence[StageResult]) -> dict[str, dict[str, str]]:
    """Fold stages into capabilities: a capability works if all its stages ran and worked."""
    capabilities: dict[str, dict[str, str]] = {}
    for stage in results:
        name = CAPABILITY_OF_STAGE.get(stage.name)
        if name is None or capabilities.get(name, {}).get("status") == "fails":
            continue
        error = without_machine_paths(stage.error) or _wrong_sound(stage)
        capabilities[name] = {"status": "fails", "error": error} if error else {"status": "works"}
    return capabilities


def without_machine_paths(error: str) -> str:
    """Cut what is only true of this machine off the paths in an error: a run is published."""
    return _MACHINE_PATH.sub("", error)


def _wrong_sound(stage: StageResult) -> str:
    if "sound" not in stage.details:
        return ""
    judged = judge_sound(stage.details["sound"], audio_tokens=stage.details.get("audio_tokens", 0))
    failed = [f"{j.name}: {j.detail}" for j in judged if not j.passed]
    return "wrong sound: " + "; ".join(failed) if failed else ""


def _token_hash(results: Sequence[StageResult]) -> str | None:
    hashes = [s.details["sha256"] for s in results if s.name == "tokens" and s.status == "works"]
    return hashes[0] if hashes else None
