"""Leaves a folder with exactly the files that an upload form admits; the rest goes beside it.

What goes is moved, never copied or deleted, to `<folder>.original`: `model.pth` there is the one
that was replaced. Only what is known as a part of XTTS's release, or was written by xcompat, is
moved; where anything else lies in the folder, nothing is done.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from xcompat.converters.files.interrupts import held
from xcompat.converters.model.model_files import (
    CONFIG,
    MANIFEST,
    MODEL,
    MODEL_SAFETENSORS,
    ORIGINAL_SUFFIX,
    SPEAKERS,
    SPEAKERS_SAFETENSORS,
    TRAINING_FILES,
    VOCABULARY,
    is_licence,
)
from xcompat.converters.values.printable import printable
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

EXACT: Final = (CONFIG, MODEL, SPEAKERS, VOCABULARY)
"""All that stays."""
_KEPT: Final = MODEL + ORIGINAL_SUFFIX
_OF_A_RELEASE: Final = {
    *TRAINING_FILES,
    MODEL_SAFETENSORS,
    SPEAKERS_SAFETENSORS,
    _KEPT,
    MANIFEST,
    "README.md",
    "hash.md5",
    "tos_agreed.txt",
    "samples",
    ".cache",
    ".gitattributes",
    ".gitignore",
}
"""What lies in the folders of XTTS v2 that were downloaded, beside licences."""


class Aside(NamedTuple):
    """What goes from a folder to the one beside it."""

    folder: Path
    beside: Path
    names: tuple[str, ...]
    """As they are called in `folder`."""

    def target(self, name: str) -> Path:
        """Return where a file of the folder goes: a checkpoint gets its own name again."""
        return self.beside / (MODEL if name == _KEPT else name)


def aside_of(folder: Path, names: tuple[str, ...]) -> Aside:
    """Return where these files of a folder go."""
    real = folder.resolve()
    return Aside(real, real.with_name(real.name + ORIGINAL_SUFFIX), names)


def plan_aside(folder: Path, coming: Iterable[str] = ()) -> Aside:
    """Return what has to go so that exactly `EXACT` stays.

    Args:
        folder: Of a model.
        coming: Files that a conversion will add.

    Raises:
        CannotLook: XC115, something there is not of a release, or has the name of what goes, or
            one of the four is missing.
        OSError: The folder cannot be read, or nothing can be put beside it.
    """
    aside = aside_of(folder, ())
    real = aside.folder
    present = {path.name for path in real.iterdir() if not path.name.endswith(".part")}
    names = {*present, *coming}
    foreign = sorted(n for n in names - {*EXACT, *_OF_A_RELEASE} if not is_licence(n))
    if foreign:
        _refuse(real, f"also holds {_named(foreign)}", "Move what is yours to another place.")
    if missing := [name for name in EXACT if name not in names]:
        _refuse(real, f"holds no {_named(missing)}", "Take it from where the model came from.")
    if not os.access(real.parent, os.W_OK) or real.stat().st_dev != real.parent.stat().st_dev:
        raise PermissionError(13, "the folder beside it cannot be written")
    aside = aside._replace(names=tuple(sorted(names - {*EXACT})))
    if taken := [str(aside.target(n)) for n in aside.names if os.path.lexists(aside.target(n))]:
        _refuse(real, f"cannot give away what {_named(taken)} is there for already",
            "Move that away.")  # fmt: skip
    return aside


def set_aside(aside: Aside) -> None:
    """Move what goes; where one thing cannot be moved, all of it is back.

    Raises:
        OSError: Something cannot be moved.
    """
    moves = [(aside.folder / name, aside.target(name)) for name in aside.names]
    made = not aside.beside.exists()
    with held():
        if aside.names:
            aside.beside.mkdir(exist_ok=True)
        done = []
        try:
            for source, target in moves:
                source.rename(target)
                done.append((source, target))
        except OSError:
            for source, target in reversed(done):
                target.rename(source)
            if made:
                aside.beside.rmdir()
            raise


def take_back(aside: Aside) -> None:
    """Move back what went and is still there; nothing is replaced.

    Raises:
        OSError: Something cannot be moved, or its place is taken.
    """
    for name in aside.names:
        source, target = aside.target(name), aside.folder / name
        if not os.path.lexists(source):
            continue
        if os.path.lexists(target):
            raise FileExistsError(17, f"{target.name} is there again")
        source.rename(target)
    with contextlib.suppress(OSError):  # Somebody put something into it, or it was never made.
        aside.beside.rmdir()


def _named(names: Collection[str]) -> str:
    return ", ".join(printable(name, 80) for name in names)


def _refuse(folder: Path, why: str, hint: str) -> None:
    raise CannotLook(
        "XC115",
        f"{printable(str(folder), 4096)} {why}: exactly {_named(EXACT)} cannot be left there",
        hint=f"{hint} Nothing was changed.",
    )
