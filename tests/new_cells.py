"""Finds the cells that new releases call for: what was released and never run.

The base of each cell is a blessed row, so that the new release is all that is new in it.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
WATCHED = ("coqui-tts", "torch", "transformers")
BASE = "extra-xtts"
"""The row of matrices/rows whose versions stand beside the new one."""
NEWEST = "coqui-newest"
"""The row whose torchaudio and torchcodec stand beside a new torch."""


def newest_release(name: str) -> Version:
    """Ask uv for the newest release of a distribution that this Python can have.

    Raises:
        subprocess.CalledProcessError: uv does not say.
    """
    command = ["uv", "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "-"]
    told = subprocess.run(command, input=name, capture_output=True, text=True, check=True).stdout
    return Version(told.strip().partition("==")[2])


def newest_run(name: str) -> Version:
    """Return the newest release of a distribution that any recorded run had."""
    versions = [
        Version(packages[name]).base_version
        for file in ROOT.glob("matrices/runs/*.jsonl")
        for packages in (json.loads(line)["packages"] for line in file.read_text().splitlines())
        if name in packages
    ]
    return max(map(Version, versions), default=Version("0"))


def cells(newest: Callable[[str], Version]) -> list[dict[str, str]]:
    """Return the cells to measure, each with a name and the arguments of `nox -s matrix --`."""
    released = {name: newest(name) for name in WATCHED}
    new = [name for name in WATCHED if released[name] > newest_run(name)]
    found = []
    for name in new:
        packages = _row(BASE)
        if name == "torch":
            packages |= {key: _row(NEWEST)[key] for key in ("torchaudio", "torchcodec")}
        packages[name] = str(released[name])
        found.append(_cell(f"{name}-{released[name]}", packages))
    if len(new) > 1:
        packages = _row(NEWEST) | {name: str(version) for name, version in released.items()}
        found.append(_cell("newest-of-all", packages))
    if "coqui-tts" in new:
        # What a newcomer gets who asks for nothing else.
        found.append(_cell("newcomer", {"coqui-tts": str(released["coqui-tts"])}, also=()))
    return found


def _row(name: str) -> dict[str, str]:
    return dict(tomllib.loads((ROOT / f"matrices/rows/{name}.toml").read_text())["packages"])


def _cell(name: str, packages: dict[str, str], also: tuple[str, ...] = ("six",)) -> dict[str, str]:
    words = ["--tts", f"coqui-tts=={packages['coqui-tts']}"]
    for each in ("torch", "torchaudio", "torchcodec", "transformers"):
        if packages.get(each, "absent") != "absent":
            words += [f"--{each}", packages[each]]
    for requirement in also:
        words += ["--with", requirement]
    return {"name": name, "arguments": shlex.join(words)}
