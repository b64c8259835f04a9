"""Measure every capability of a target environment and write it down as a line of the matrix."""

from __future__ import annotations

import datetime
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcompat.child import run_stages
from xcompat.errors import CannotLook
from xcompat.judge import judge_sound
from xcompat.smoke import DEFAULT_TEXT, build_model
from xcompat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xcompat.domain import Environment, StageResult

SCHEMA = 1
_SOUND_STAGES = ("tokens", "speak", "stream", "clone", "api")
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
) -> dict[str, Any]:
    """Run all capabilities in `environment` and return the run as JSON data.

    Raises:
        CannotLook: The interpreter cannot be started, or cannot say what it holds (XC301).
    """
    python = Path(environment.interpreter)
    inventory = _inventory(python)
    with tempfile.TemporaryDirectory(prefix="xcompat-record-") as name:
        scratch = Path(name)
        results, converted = build_model(python, scratch, on_begin, load_stock=True)
        if converted.is_dir():
            outcome = run_stages(
                python,
                ("import", "device", "load-converted", "condition", *_SOUND_STAGES),
                _request(scratch, converted, device),
                optional=_SOUND_STAGES,
                on_begin=on_begin,
            )
            results += outcome.stages
        through_runtime = _through_runtime(python, scratch, converted, device, on_begin)
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "schema": SCHEMA,
        "id": f"{now:%Y%m%dT%H%M%SZ}-{inventory['platform']}",
        "date": f"{now:%Y-%m-%d}",
        "tool": f"xcompat {__version__}",
        "command": "xcompat smoke --record",
        "cell": "",
        "python": inventory["python"],
        "platform": inventory["platform"],
        "device": device,
        "packages": dict(sorted(inventory["distributions"].items())),
        "builds": dict(environment.builds),
        "system": {"ffmpeg": inventory["ffmpeg"]},
        "capabilities": _capabilities(results),
        "tokens": _token_hash(results),
        "runtime_capabilities": _capabilities(through_runtime),
        "runtime_tokens": _token_hash(through_runtime),
    }


def _through_runtime(
    python: Path,
    scratch: Path,
    converted: Path,
    device: str,
    on_begin: Callable[[str], None],
) -> tuple[StageResult, ...]:
    """Measure the same capabilities with the xcompat runtime, in a process of their own."""
    built: tuple[StageResult, ...] = ()
    if not converted.is_dir():  # stock TTS could not make one
        built, converted = build_model(python, scratch / "xcompat", on_begin, runtime="xcompat")
    if not converted.is_dir():
        return built
    outcome = run_stages(
        python,
        ("import", "device", "load-converted", "condition", *_SOUND_STAGES),
        {**_request(scratch, converted, device), "runtime": "xcompat"},
        optional=_SOUND_STAGES,
        on_begin=on_begin,
    )
    return (*built, *outcome.stages)


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


def _request(scratch: Path, converted: Path, device: str) -> dict[str, Any]:
    return {
        "device": device,
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
        error = _without_home(stage.error) or _wrong_sound(stage)
        capabilities[name] = {"status": "fails", "error": error} if error else {"status": "works"}
    return capabilities


def _without_home(error: str) -> str:
    """Cut what is only true of this machine off the paths in an error: a run is published."""
    return re.sub(r"(?:[A-Za-z]:)?[/\\][^\s'\"()]*[/\\](?=site-packages|xcompat-)", "", error)


def _wrong_sound(stage: StageResult) -> str:
    if "sound" not in stage.details:
        return ""
    judged = judge_sound(stage.details["sound"], audio_tokens=stage.details.get("audio_tokens", 0))
    failed = [f"{j.name}: {j.detail}" for j in judged if not j.passed]
    return "wrong sound: " + "; ".join(failed) if failed else ""


def _token_hash(results: Sequence[StageResult]) -> str | None:
    hashes = [s.details["sha256"] for s in results if s.name == "tokens" and s.status == "works"]
    return hashes[0] if hashes else None
