"""Lines of styled text: how wide they are, and where they break. rich only colours what is here.

Most output goes to a pipe or a file, where nothing is coloured; importing rich would take as long
as reading a checkpoint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Line: TypeAlias = "list[tuple[str, str]]"
"""Pieces of one line, each a text and its style."""

_WORD = re.compile(r"\s*\S+\s*|\s+")


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    import unicodedata  # noqa: PLC0415 - few texts need it

    if char.isascii():
        return 1
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def width_of(line: Line) -> int:
    """Return how many columns a line takes."""
    return sum(columns(text) for text, _ in line)


def stripped(line: Line) -> Line:
    """Return a line without the blanks at its end."""
    kept = list(line)
    while kept:
        text, style = kept.pop()
        if text := text.rstrip():
            return [*kept, (text, style)]
    return kept


def wrapped(line: Line, width: int) -> list[Line]:
    """Break a line between words so that each part has at most `width` columns.

    A word that is longer than that is broken anywhere; line feeds break as well.
    """
    text = "".join(text for text, _ in line)
    begin = 0
    lines = []
    for paragraph in text.split("\n"):
        starts = [begin + start for start in _starts(paragraph, width)]
        ends = [*starts[1:], begin + len(paragraph)]
        lines += [
            stripped(_part(line, start, end)) for start, end in zip(starts, ends, strict=True)
        ]
        begin += len(paragraph) + 1
    return lines


def _starts(text: str, width: int) -> Iterator[int]:
    """Yield where each line begins."""
    yield 0
    used = 0
    for match in _WORD.finditer(text):
        word = match[0]
        needed = columns(word.rstrip())
        if used + needed <= width:
            used += columns(word)
        elif needed <= width:
            yield match.start()
            used = columns(word)
        else:
            if used:
                yield match.start()
            used = 0
            for index, char in enumerate(word, start=match.start()):
                if used + columns(char) > width:
                    yield index
                    used = 0
                used += columns(char)


def _part(line: Line, start: int, end: int) -> Line:
    """Return the characters of a line from `start` to `end`."""
    part: Line = []
    position = 0
    for text, style in line:
        piece = text[max(start - position, 0) : max(end - position, 0)]
        if piece:
            part.append((piece, style))
        position += len(text)
    return part
