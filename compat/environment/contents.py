"""Reads files and folders of an environment, of which any can be missing or damaged."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def bytes_of(path: Path, limit: int) -> bytes | None:
    """Return the beginning of a file, or None where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(limit)
    except OSError:
        return None


def text_of(path: Path, limit: int = 1 << 20) -> str | None:
    """Return the beginning of a file as text, or None where it cannot be read."""
    content = bytes_of(path, limit)
    return None if content is None else content.decode("utf-8", "replace").replace("\r\n", "\n")


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder; none where it cannot be read."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - a tenth of the time of iterdir
    except OSError:
        return []
