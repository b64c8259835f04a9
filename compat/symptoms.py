"""Finds known issues by their symptoms in what a person pastes: a traceback, a log, any text.

Pure: from text to known issues. A log can be long and its lines decorated, so that every symptom is
first looked for by the longest words that it must contain, and only what is around these words is
cleaned and compared with the symptom itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xcompat.domain import KnownIssue

BEFORE = 6000
"""Characters before the words that a symptom may begin in: a traceback."""
AFTER = 3000
"""Characters behind them that it may end in: a long message."""
_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\0\x07]"
)
"""Colours, links and titles of a terminal."""
_DECORATION = re.compile(
    r"""^(?:
        [ \t]*[│┃|❱>][ \t]?                                        # boxes and quotations
      | [\w./-]+[ \t]*\|[ \t]                                       # docker compose: `app-1  | `
      | \[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\w.,:+-]*\]?[ \t]*     # a time
      | \[?\d\d:\d\d:\d\d[.,\d]*\]?[ \t]+
      | [A-Z][a-z]{2}[ ]+\d+[ ]\d\d:\d\d:\d\d[ ]\S+[ ]\S+:[ ]       # syslog
      | \[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL|std(?:err|out))\]?[ \t]*[:|-]?[ \t]+
      | \[[^\],\n]{1,60}\][ \t]*
      | (?:-[ \t]+)
    )+""",
    re.MULTILINE | re.VERBOSE,
)

_FAMILY = re.compile(r"\bTTS\b|xtts|XTTS|Xtts|coqui")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[^}]*\}|.", re.DOTALL)
"""The parts of a regular expression: an escape, a set, a repetition, or a character."""
_LITERAL = re.compile(r"\\[^\w\s]|[^\\\s\[\](){}?*+.|^$]")


def explain(text: str, issues: Iterable[KnownIssue]) -> tuple[KnownIssue, ...]:
    """Return the known issues whose symptoms are in `text`, in the order of their appearance."""
    return explain_log((text,), issues)


def explain_log(pieces: Iterable[str], issues: Iterable[KnownIssue]) -> tuple[KnownIssue, ...]:
    """Return the known issues whose symptoms are in a log, in the order of their appearance.

    Args:
        pieces: The log, cut anywhere, and any size of piece; only one of them is held at a time.
        issues: What to look for.
    """
    searches = [_Search(issue) for issue in issues if issue.symptoms]
    for offset, text in _overlapping(pieces):
        for search in searches:
            if search.found_at is None:
                search.look(text, offset)
        if all(search.found_at is not None for search in searches):
            break
    found = [search for search in searches if search.found_at is not None]
    found.sort(key=lambda search: (search.found_at, search.issue.code))
    return tuple(search.issue for search in found)


def _overlapping(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield pieces, each with the end of the one before it, and where they begin."""
    before, position = "", 0
    for piece in pieces:
        text = before + piece
        yield position, text
        before = text[-(BEFORE + AFTER) :]
        position += len(text) - len(before)


@dataclass(slots=True)
class _Search:
    """The search for one known issue."""

    issue: KnownIssue
    found_at: int | None = None
    """Position of the words that give it away."""
    symptoms: list[tuple[str, re.Pattern[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.symptoms = [(required_words(each), _compiled(each)) for each in self.issue.symptoms]

    def look(self, text: str, offset: int) -> None:
        """Look for the symptoms in one piece of a log, which begins at `offset`."""
        places = [
            place
            for words, pattern in self.symptoms
            if (place := _first_place(words, pattern, text, generic=self.issue.generic)) is not None
        ]
        if places:
            self.found_at = offset + min(places)


def _first_place(words: str, pattern: re.Pattern[str], text: str, *, generic: bool) -> int | None:
    position = text.find(words)
    while position >= 0:
        window = cleaned(text[max(0, position - BEFORE) : position + AFTER])
        if pattern.search(window) and not (generic and _is_foreign(window)):
            return position
        # The window shows what stands around the words in its second half as well.
        position = text.find(words, position + AFTER // 2)
    return None


def _is_foreign(window: str) -> bool:
    """Return whether a text says where the error arose, and does not speak of TTS."""
    return 'File "' in window and not _FAMILY.search(window)


def cleaned(text: str) -> str:
    """Return a text as one line: without colours, decoration of lines and breaks of lines."""
    plain = _CONTROL.sub("", text).replace("\r\n", "\n")
    return " ".join(_DECORATION.sub("", plain).split())


@cache
def _compiled(symptom: str) -> re.Pattern[str]:
    return re.compile(symptom)


@cache
def required_words(symptom: str) -> str:
    r"""Return the longest word that every match of a symptom contains.

    Words have no blanks, since a line may break there, and a symptom may say `\s+`. It is empty
    where there is none, as in `a|b`.
    """
    words = [""]
    depth = 0
    for part in _TOKEN.findall(symptom):
        depth += {"(": 1, ")": -1}.get(part, 0)
        if part == "|" and not depth:
            return ""
        if part[0] in "?*{":
            words[-1] = words[-1][:-1]  # What may be absent is not required.
        if depth or not _LITERAL.fullmatch(part):
            words.append("")
        else:
            words[-1] += part[-1]
    return max(words, key=len)
