"""Looks for FFmpeg's shared libraries, which torchcodec loads, without starting anything."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xcompat.environment.contents import names_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LIBRARY: Final = re.compile(
    r"(?:libavutil\.so\.(\d+)|libavutil\.(\d+)(?:\.[\d.]+)?\.dylib|avutil-(\d+)\.dll)$"
)
_CACHED: Final = re.compile(rb"libavutil\.so\.(\d+)\0")
_CODEC: Final = re.compile(r"libtorchcodec_core(\d+)\.")
_CACHE: Final = Path("/etc/ld.so.cache")
_OFFSET: Final = 52
"""libavutil 56 is a part of FFmpeg 4, 60 of FFmpeg 8: a major release raises both by one."""


def ffmpeg_versions(root: Path, environ: Mapping[str, str]) -> tuple[int, ...] | None:
    """Return the major versions of FFmpeg that a process can load, the newest first.

    Args:
        root: Folder of the environment, which can bring its own, as those of conda do.
        environ: Environment variables that name more folders.

    Returns:
        Nothing found is an empty tuple; None where it cannot be told.
    """
    found = set(_versions(_folders(root, environ)))
    if sys.platform == "linux":
        try:
            found |= {int(match) - _OFFSET for match in _CACHED.findall(_CACHE.read_bytes())}
        except OSError:
            # Without the loader's cache nobody knows where it looks.
            return tuple(sorted(found, reverse=True)) or None
    elif sys.platform not in ("darwin", "win32"):
        return None
    return tuple(sorted(found, reverse=True))


def supported_versions(torchcodec: Path) -> tuple[int, ...]:
    """Return the major versions of FFmpeg that an installed torchcodec has libraries for."""
    found = {int(match[1]) for name in names_in(torchcodec) if (match := _CODEC.match(name))}
    return tuple(sorted(found, reverse=True))


def _folders(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    if sys.platform == "win32":
        yield root / "Library" / "bin"
        named = ("PATH",)
    elif sys.platform == "darwin":
        yield from (root / "lib", Path("/opt/homebrew/lib"), Path("/usr/local/lib"))
        yield Path("/opt/local/lib")
        named = ("DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
    else:
        yield root / "lib"
        named = ("LD_LIBRARY_PATH",)
    for name in named:
        for folder in environ.get(name, "").split(os.pathsep):
            if folder:
                yield Path(folder)


def _versions(folders: Iterable[Path]) -> Iterator[int]:
    for folder in folders:
        for name in names_in(folder):
            if match := _LIBRARY.match(name):
                yield int(next(filter(None, match.groups()))) - _OFFSET
