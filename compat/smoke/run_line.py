"""A run as a line of the matrix: what it says of itself, of its environment and of its stages."""

from __future__ import annotations

import datetime
import json
import re
from typing import TYPE_CHECKING, Any

from xcompat.domain import DECIDING, SAME_FILES, minor_of
from xcompat.errors import CannotLook
from xcompat.smoke.judge import judge_spoken
from xcompat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from xcompat.domain import Environment
    from xcompat.domain.smoke import StageResult

SCHEMA = 2
"""`xcompat.matrix.forms` reads the older ones too."""
_FIRST, _LAST = 1000, 5000
"""Characters of a long error that are kept at its beginning and at its end."""
_MACHINE_PATH = re.compile(
    r"(?:\b[A-Za-z]:|(?<![\w.:/\\-]))[/\\][^\s'\"()]*[/\\]"
    r"(?=site-packages|xcompat-|lib[/\\]python|builds-v\d|sdists-v\d|[^/\\\s'\"()]+$)"
)
"""The folders of a path up to what means something elsewhere too."""
CAPABILITY_OF_STAGE = {
    "import": "import",
    "load-stock": "load",
    "load-converted": "load-converted",
    "tokens": "speak",
    "speak": "speak",
    "stream": "stream",
    "clone": "clone",
    "save": "save",
    "api": "api",
    "api-path": "api-path",
}


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


def how_to_repeat(environment: Environment) -> str:
    """Return the command that measures the same deciding versions in a new environment."""
    named = {name: environment.packages[name] for name in DECIDING if name in environment.packages}
    families = [f"{name}=={named.pop(name)}" for name in SAME_FILES[0] if name in named]
    words = [f"--tts {family}" for family in families[:1]]
    words += [f"--{name} {version.partition('+')[0]}" for name, version in named.items()]
    words += [f"--with '{family}'" for family in families[1:]]
    words.append(f"--python {minor_of(environment.python)}")
    return f"nox -s matrix -- {' '.join(words)}"


def device_of(results: Sequence[StageResult], asked_for: str) -> str:
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


def signs_of(environment: Environment) -> dict[str, Any]:
    """Return what was seen beside versions, where anything was."""
    told = {
        sign: [without_machine_paths(each) for each in seen]
        for sign, seen in environment.signs.items()
    }
    return {"signs": told} if told else {}


def capabilities_of(results: Sequence[StageResult]) -> dict[str, dict[str, str]]:
    """Fold stages into capabilities: a capability works if all its stages ran and worked."""
    capabilities: dict[str, dict[str, str]] = {}
    for stage in results:
        name = CAPABILITY_OF_STAGE.get(stage.name)
        if name is None or capabilities.get(name, {}).get("status") == "fails":
            continue
        error = _published(stage.error) or _wrong_sound(stage)
        capabilities[name] = {"status": "fails", "error": error} if error else {"status": "works"}
    return capabilities


def _published(error: str) -> str:
    """Return an error as a run tells it: without paths, and of 1,200 missing keys not all."""
    told = without_machine_paths(error)
    if len(told) <= _FIRST + _LAST:
        return told
    return f"{told[:_FIRST]} [...] {told[-_LAST:]}"


def without_machine_paths(error: str) -> str:
    """Cut what is only true of this machine off the paths in an error: a run is published."""
    return _MACHINE_PATH.sub("", error)


def _wrong_sound(stage: StageResult) -> str:
    if "sound" not in stage.details:
        return ""
    judged = judge_spoken(stage.name, stage.details, speech=True)
    failed = [f"{j.name}: {j.detail}" for j in judged if not j.passed]
    return "wrong sound: " + "; ".join(failed) if failed else ""


def token_hash(results: Sequence[StageResult]) -> str | None:
    """Return the hash of the audio tokens, or None where none were made."""
    hashes = [s.details["sha256"] for s in results if s.name == "tokens" and s.status == "works"]
    return hashes[0] if hashes else None
