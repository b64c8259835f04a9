"""What a path or an address says of the distribution that it leads to."""

from __future__ import annotations

import re
from typing import Final

from xcompat.domain.versions import parsed

_PLACE: Final = re.compile(
    r"""
    [/\\] | ~[/\\] | \.{1,2}(?:$|[/\\\[\s])   # a path
  | [A-Za-z][\w+.-]*:[/\\.]                   # an address, or a Windows path
  | [\w.+-]+[/\\]                             # a path without a dot in front
  | \S+\.(?:whl|tar\.gz|tar\.bz2|tgz|zip)\b   # a file beside
    """,
    re.VERBOSE,
)
_WHEEL: Final = re.compile(r"([A-Za-z0-9][\w.]*)-(\d[^-]*)(?:-[^-]+){3,4}\.whl")
_SOURCE: Final = re.compile(
    r"([A-Za-z][\w.]*(?:-[A-Za-z][\w.]*)*)-(\d[\w.!+]*?)\.(?:tar\.gz|tar\.bz2|tgz|zip)"
)
_REPOSITORY: Final = re.compile(r"(?:git|hg|svn|bzr)\+")
_EGG: Final = re.compile(r"(?:^|&)egg=([A-Za-z0-9][\w.-]*)")
_BUILD: Final = re.compile(r"/whl/(?:nightly/|test/)?(cpu|xpu|cu\d+|rocm[\d.]+)(?=[/?#]|$)")


def is_place(line: str) -> bool:
    """Return whether a line of a requirements file is a path or an address, without a name."""
    return _PLACE.match(line) is not None


def named_by(address: str) -> tuple[str, str]:
    """Return the name and the version that an address says; each is empty where it says none.

    The name of a file says both. What a repository holds at a tag is not said.
    """
    path, _, fragment = address.partition("#")
    file_name = re.split(r"[/\\]", path.split()[0] if path.strip() else "")[-1]
    file_name = re.sub("%2b", "+", file_name, flags=re.IGNORECASE)
    match = _WHEEL.fullmatch(file_name) or _SOURCE.fullmatch(file_name)
    if match and parsed(match[2]) and not _REPOSITORY.match(path):
        return match[1], match[2]
    egg = _EGG.search(fragment)
    return (egg[1] if egg else ""), ""


def build_of_index(address: str) -> str:
    """Return what an index of torch's builds is for (`cpu`, `cu128`), or nothing."""
    match = _BUILD.search(address)
    return match[1] if match else ""
