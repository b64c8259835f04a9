"""Returns what is recorded: the runs, the rows and the known issues."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xcompat import matrices
from xcompat.matrix.snapshot import FOLDER, issues_of, matrix_of

if TYPE_CHECKING:
    from xcompat.domain import KnownIssue, Matrix

SHIPPED = Path(matrices.__file__).resolve().parent
"""The data that comes with xcompat."""


def load_matrix(folder: Path | None = None, *, by_words: bool = True) -> Matrix:
    """Return everything that is recorded in `folder`, or in what comes with xcompat.

    Args:
        folder: A folder as `matrices` is one; it is read thoroughly.
        by_words: With the known issues that only the words of an error tell. Half of them are such,
            and no environment can have one.

    Raises:
        CannotLook: `XC206`, with every error of every file as `file:line: what`; or a file of the
            wheel is missing or damaged.
    """
    if folder is None and (snapshot := SHIPPED / FOLDER).is_dir():
        return matrix_of(snapshot, by_words=by_words)
    from xcompat.matrix.written import Reader  # noqa: PLC0415 - a wheel has a snapshot

    reader = Reader(folder or SHIPPED, thorough=folder is not None, by_words=by_words)
    matrix = reader.read()
    reader.complain()
    return matrix


def load_issues() -> tuple[KnownIssue, ...]:
    """Return the known issues that come with xcompat: without the runs, most of what is to read.

    Raises:
        CannotLook: `XC206`, as `load_matrix` does.
    """
    if (snapshot := SHIPPED / FOLDER).is_dir():
        return issues_of(snapshot, by_words=True)
    from xcompat.matrix.written import Reader  # noqa: PLC0415 - a wheel has a snapshot

    reader = Reader(SHIPPED, thorough=False, by_words=True)
    issues = reader.issues()
    reader.complain()
    return issues
