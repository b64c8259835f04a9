"""Follows the `.pth` files of a site folder to the folders that they add, as Python does.

Lines that are code stay unread: what they put in place is not seen, and that is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from xcompat.environment.contents import names_in, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_HARMLESS: Final = re.compile(
    r"distutils-precedence|__editable__.*|_editable_impl_.*|.*-nspkg|_virtualenv|.*coverage.*|pywin32"
)
"""Names of files whose code brings no distribution that the folder does not list itself."""


def with_path_files(folders: Iterable[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return site folders, each with those that its `.pth` files add, and what stays unread.

    As for Python, a folder counts once, where it comes first, and `.pth` files in a folder that was
    added so are not followed.
    """
    found: list[Path] = []
    code: list[Path] = []
    for folder in folders:
        _add(folder, found)
        for name in sorted(names_in(folder)):
            if not name.endswith(".pth") or name.startswith("."):
                continue
            added, has_code = _read(folder, name)
            for each in added:
                _add(each, found)
            if has_code and not _HARMLESS.fullmatch(name[: -len(".pth")]):
                code.append(folder / name)
    notes = tuple(
        f"{path} runs code at start: what that puts in place is not seen" for path in code
    )
    return tuple(found), notes


def _add(folder: Path, found: list[Path]) -> None:
    if not any(folder == other or folder.samefile(other) for other in found):
        found.append(folder)


def _read(folder: Path, name: str) -> tuple[list[Path], bool]:
    """Return the folders in the lines of a file that exist, and whether other lines are code."""
    added = []
    has_code = False
    for line in (text_of(folder / name) or "").removeprefix("\ufeff").splitlines():
        if line.startswith(("import ", "import\t")):
            has_code = True
        elif line.strip() and not line.startswith("#"):
            path = folder / line.rstrip()
            try:
                is_folder = path.is_dir()
            except (OSError, ValueError):  # A name that no file can have.
                is_folder = False
            if is_folder:
                added.append(path)
    return added, has_code
