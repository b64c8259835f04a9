"""What a person wants explained: a code, or a pasted traceback or log."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

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

_CODE = re.compile(r"(?:XC)?[-_ ]?0*(\d{1,3})", re.IGNORECASE)
_PIECE = 1 << 20
"""Bytes of a log that are held at a time."""


class Source(NamedTuple):
    """Where that is which is to be explained: one of these."""

    code: str = ""
    file: str = ""
    """A path; `-` is stdin."""
    text: str = ""


def source_of(words: Sequence[str], error_file: str | None) -> Source:
    """Return what is meant by words: a code, a file, or the text of an error; stdin without any.

    Raises:
        Misuse: `XC208` where there are words and a file.
    """
    if error_file is not None and words:
        raise _nothing_said("say what to explain once: a code, a file or a text")
    if error_file is not None or not words:
        return Source(file=error_file or "-")
    said = " ".join(words)
    if _CODE.fullmatch(said.strip()):
        return Source(code=said)
    if said == "-" or os.path.exists(said):  # noqa: PTH110 - Path raises for a long text
        return Source(file=said)
    return Source(text=said) if len(said.split()) > 1 else Source(code=said)


def asked_to_explain(source: Source, issues: Sequence[KnownIssue], stdin: BinaryIO) -> Explained:
    """Return what is known of a code, or of a text.

    Raises:
        Misuse: `XC208` where nothing is known of the code, or stdin is empty.
        CannotLook: `XC209` where the file cannot be read.
    """
    from xcompat.diagnosis.explain import explain, of_code

    if source.code:
        return of_code(_by_code(source.code, issues, hint="no file is called so, either; "))
    if source.text:
        return explain(iter([source.text]), issues)
    pieces = _pieces(source.file, stdin)
    first = next(pieces, "")
    if source.file == "-" and not first.strip():
        raise _nothing_said("say what to explain: a code, a file or a text")
    return explain(itertools.chain([first], pieces), issues)


def _nothing_said(what: str) -> Misuse:
    return Misuse(
        "XC208", what, hint="xcompat explain XC001, or FILE, or paste the error into its stdin"
    )


def own_error(source: Source) -> str:
    """Return what the code of an error of xcompat itself is about; empty for anything else."""
    code = _code(source.code)
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


def _by_code(spelled: str, issues: Sequence[KnownIssue], hint: str = "") -> KnownIssue:
    code = _code(spelled)
    for issue in issues:
        if issue.code == code:
            return issue
    known = f"they go from {issues[0].code} to {issues[-1].code}, with gaps"
    raise Misuse(
        "XC208",
        f"there is no known issue `{spelled}`",
        hint=f"{hint}{known}; `xcompat matrix --json` lists them",
    )


def _code(spelled: str) -> str:
    """Return a code as it is written everywhere: `xc-1` is XC001; other words are returned."""
    match = _CODE.fullmatch(spelled.strip())
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
