"""Reads which distributions lie in the folders of an installation.

Versions come from the names of `dist-info` and `egg-info` entries and from their METADATA; nothing
is imported.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from xcompat.domain import DECIDING, distribution_name
from xcompat.environment.contents import names_in, text_of


class Distribution(NamedTuple):
    """The metadata of one installed distribution."""

    version: str
    path: Path
    others: tuple[str, ...] = ()
    """Versions that the same folder has as well."""


_METADATA = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.]*?)"
    r"(?:-(?P<version>\d[^-]*)(?:-py[\d.]+)?)?\.(?P<kind>dist-info|egg-info|egg-link)$"
)


def distributions_in(folders: tuple[Path, ...]) -> dict[str, Distribution]:
    """Return every distribution in `folders`; the first folder that has one decides."""
    found: dict[str, Distribution] = {}
    for folder in folders:
        for name, entries in _in_folder(folder).items():
            if name not in found:
                first, *rest = entries
                found[name] = first._replace(others=tuple(entry.version for entry in rest))
    return found


def _in_folder(folder: Path) -> dict[str, list[Distribution]]:
    here: dict[str, list[Distribution]] = {}
    for file_name in sorted(names_in(folder)):
        # Names that begin with `~` are what pip leaves of an interrupted uninstall: no match.
        match = _METADATA.match(file_name)
        if match is None:
            continue
        name = distribution_name(match["name"])
        path = folder / file_name
        version: str | None = match["version"]
        if match["kind"] == "egg-link":
            name_and_version = _egg_link(path)
            if name_and_version is None:
                continue
            path, version = name_and_version
        elif name in _NAMES_TO_CONFIRM or version is None:
            version = _metadata_version(path) or version
        if version:
            here.setdefault(name, []).append(Distribution(version, path))
    return here


_NAMES_TO_CONFIRM = frozenset(DECIDING)
"""Read from METADATA, as importlib.metadata does; for the others a file name is enough."""


def _metadata_version(path: Path) -> str | None:
    for candidate in (path / "METADATA", path / "PKG-INFO", path):
        text = text_of(candidate, limit=8192)
        if text is not None:
            match = re.search(r"^Version:[ \t]*(\S+)", text.split("\n\n", 1)[0], re.MULTILINE)
            return match[1] if match else None
    return None


def _egg_link(path: Path) -> tuple[Path, str] | None:
    """Follow a setuptools `develop` link to the version of the source tree that it names."""
    lines = (text_of(path) or "").splitlines()
    if not lines:
        return None
    for info in Path(lines[0].strip()).glob(f"{path.stem.replace('-', '_')}.egg-info"):
        version = _metadata_version(info)
        if version:
            return info, version
    return None


def build_of(entry: Distribution) -> str:
    """Return what torch or a companion was built for: `cpu`, `cu128`, or `` where it is not said.

    The wheels of the registry carry it only in `version.py`, which is read as text. Builds of
    others than PyTorch name no build there, but the CUDA or ROCm that they were made with.
    """
    name = entry.path.name.partition("-")[0]
    text = text_of(entry.path.parent / name / "version.py") or ""
    match = re.search(r"__version__\s*=\s*['\"][^'\"+]*\+((?:cu|rocm|xpu|cpu)[\w.]*)['\"]", text)
    if match:
        return match[1]
    if cuda := re.search(r"^cuda\b[^=\n]*=\s*['\"](\d+)\.(\d+)", text, re.MULTILINE):
        return f"cu{cuda[1]}{cuda[2]}"
    if hip := re.search(r"^hip\b[^=\n]*=\s*['\"](\d+\.\d+)", text, re.MULTILINE):
        return f"rocm{hip[1]}"
    return entry.version.partition("+")[2]
