"""Measure every capability of a target environment and write it down as a line of the matrix."""

from __future__ import annotations

import datetime
import json
import re
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcompat.domain import DECIDING, SAME_FILES, minor_of
from xcompat.errors import CannotLook
from xcompat.smoke.child import STAGE_TIMEOUT_SECONDS, ChildOutcome, run_stages
from xcompat.smoke.judge import judge_sound
from xcompat.smoke.smoke import DEFAULT_TEXT, convert_built_in
from xcompat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xcompat.domain import Environment
    from xcompat.domain.smoke import StageResult

SCHEMA = 2
"""Of a run's line; `xcompat.matrix.load` reads the older ones too."""
_MACHINE_PATH = re.compile(
    r"(?:\b[A-Za-z]:|(?<![\w.:/\\-]))[/\\][^\s'\"()]*[/\\]"
    r"(?=site-packages|xcompat-|lib[/\\]python|builds-v\d|sdists-v\d|[^/\\\s'\"()]+$)"
)
"""The folders of a path up to what means something elsewhere too."""
_BEFORE_SOUND = ("import", "device", "load-converted", "condition")
_SOUND_STAGES = ("tokens", "speak", "stream", "clone", "api", "api-path")
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
    "api-path": "api-path",
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
    with (
        tempfile.TemporaryDirectory(prefix="xcompat-record-") as name,
        ThreadPoolExecutor() as pool,
    ):
        scratch = Path(name)
        made = threading.Event()
        """That the stock TTS has made its checkpoint, or has ended without one."""

        def convert() -> None:
            convert_built_in(scratch)
            made.set()

        def measure(stages: Sequence[str], runtime: str) -> tuple[StageResult, ...]:
            return _run(
                python,
                stages,
                _request(scratch, device, runtime),
                after={"make-checkpoint": convert},
                on_begin=on_begin,
                timeout=timeout,
                bytecode=bytecode,
            )

        column = pool.submit(measure, _STAGES, "stock")
        column.add_done_callback(lambda _: made.set())
        made.wait()
        stages = _RUNTIME_STAGES
        if (scratch / "converted").is_dir():
            # Not made here: what makes it imports what loading it must be able to import.
            stages = tuple(stage for stage in stages if stage != "make-checkpoint")
        through_runtime = measure(stages, "xcompat")
        results = column.result()
    return {
        **run_header(inventory["python"], inventory["platform"]),
        "command": _how_to_repeat(environment),
        "cell": "contributed",
        "device": _device(results + through_runtime, device),
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
    python: Path, stages: Sequence[str], request: Mapping[str, Any], **how: Any
) -> tuple[StageResult, ...]:
    """Run stages in as many processes as die in an optional one."""
    results: list[StageResult] = []
    while stages:
        outcome = run_stages(python, stages, request, optional=_OPTIONAL, **how)
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
        "python": python,
        "platform": platform,
    }


def _how_to_repeat(environment: Environment) -> str:
    """Return the command that measures the same deciding versions in a new environment."""
    named = {name: environment.packages[name] for name in DECIDING if name in environment.packages}
    families = [f"{name}=={named.pop(name)}" for name in SAME_FILES[0] if name in named]
    words = [f"--tts {family}" for family in families[:1]]
    words += [f"--{name} {version.partition('+')[0]}" for name, version in named.items()]
    words += [f"--with '{family}'" for family in families[1:]]
    words.append(f"--python {minor_of(environment.python)}")
    return f"nox -s matrix -- {' '.join(words)}"


def _device(results: Sequence[StageResult], asked_for: str) -> str:
    """Return the device that was used, as far as a run came."""
    told = [s.details["device"] for s in results if s.name == "device" and s.status == "works"]
    return str(told[0]) if told else asked_for


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


def _request(scratch: Path, device: str, runtime: str) -> dict[str, Any]:
    converted = scratch / "converted"
    return {
        "device": device,
        "runtime": runtime,
        "original": str(scratch / "original"),
        "model": str(converted),
        "pth": str(converted),
        "text": DEFAULT_TEXT,
        "language": "en",
        "wav": str(scratch / f"speak-{runtime}.wav"),
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


def _capabilities(results: Sequence[StageResult]) -> dict[str, dict[str, str]]:
    """Fold stages into capabilities: a capability works if all its stages ran and worked."""
    capabilities: dict[str, dict[str, str]] = {}
    for stage in results:
        if stage.name == "make-checkpoint" and stage.status == "fails":
            error = f"no checkpoint was made: {without_machine_paths(stage.error)}"
            capabilities["load-converted"] = {"status": "unknown", "error": error}
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
