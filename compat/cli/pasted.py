"""What a person wants explained: a code, or a pasted traceback or log."""

from __future__ import annotations

import codecs
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xcompat.errors import CannotLook, Misuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xcompat.diagnosis.explain import Explained
    from xcompat.domain import KnownIssue

_OWN_ERRORS = {
    "1": "a checkpoint or its conversion (`xcompat convert`)",
    "2": "an environment, a list of pins, the matrix or a fix (`xcompat doctor`, `xcompat fix`)",
    "3": "the speaking test (`xcompat smoke`)",
}

_PIECE = 1 << 20
"""Bytes of a log that are held at a time."""


def asked_to_explain(
    code: str | None, error_file: str | None, issues: Sequence[KnownIssue], stdin: BinaryIO
) -> Explained:
    """Return what is known of that code, or of the text in the file; `-` is stdin.

    Raises:
        Misuse: `XC208` where neither or both are given, or nothing is known of the code.
        CannotLook: `XC209` where the file cannot be read.
    """
    if (code is None) == (error_file is None):
        raise Misuse(
            "XC208",
            "say what to explain: a code or a traceback",
            hint="xcompat explain XC001, or xcompat explain --error FILE (- reads a pasted text)",
        )
    from xcompat.diagnosis.explain import explain, of_code

    if code is not None:
        return of_code(_by_code(code, issues))
    assert error_file is not None
    return explain(_pieces(error_file, stdin), issues)


def own_error(code: str | None) -> str:
    """Return what the code of an error of xcompat itself is about; empty for any other code."""
    code = _code(code or "")
    if not re.fullmatch(r"XC[123]\d\d", code):
        return ""
    return (
        f"{code} is an error of xcompat itself, not a known issue. "
        f"It concerns {_OWN_ERRORS[code[2]]}. The line that carries the code says what happened, "
        "and the `hint` below it what to do."
    )


def code_of_issue(spelled: str, issues: Sequence[KnownIssue]) -> str:
    """Return the code of a known issue, as it is written everywhere.

    Raises:
        Misuse: `XC208` where there is none of it.
    """
    return _by_code(spelled, issues).code


def _by_code(spelled: str, issues: Sequence[KnownIssue]) -> KnownIssue:
    code = _code(spelled)
    for issue in issues:
        if issue.code == code:
            return issue
    known = f"they go from {issues[0].code} to {issues[-1].code}, with gaps"
    raise Misuse(
        "XC208",
        f"there is no known issue `{spelled}`",
        hint=f"{known}; `xcompat matrix --json` lists them",
    )


def _code(spelled: str) -> str:
    """Return a code as it is written everywhere: `xc-1` is XC001; other words are returned."""
    match = re.fullmatch(r"(?:XC)?[-_ ]?0*(\d{1,3})", spelled.strip(), re.IGNORECASE)
    return f"XC{int(match[1]):03}" if match else spelled


def _pieces(file: str, stdin: BinaryIO) -> Iterator[str]:
    """Yield the text of a log in pieces, whatever it is encoded in."""
    try:
        with contextlib.nullcontext(stdin) if file == "-" else Path(file).open("rb") as stream:
            first = stream.read(_PIECE)
            decoder = codecs.getincrementaldecoder(_encoding(first))("replace")
            yield decoder.decode(first)
            while piece := stream.read(_PIECE):
                yield decoder.decode(piece)
    except OSError as error:
        raise CannotLook(
            "XC209", f"cannot read `{file}`: {error.strerror}", hint="check the path"
        ) from error


def _encoding(beginning: bytes) -> str:
    """Return the encoding of a log: PowerShell 5 writes UTF-16, with a mark in front or without.

    The mark alone decides nothing: a file can be put together from others.
    """
    sample = beginning[:4096]
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        every_second = sample[start::2]
        if every_second.count(0) * 2 > len(every_second):
            return encoding
    return "utf-8"
