"""Finds known issues by their symptoms in what a person pastes: a traceback, a log, any text.

Pure: from text to known issues. A log can be long and its lines decorated, so that it is cleaned,
every symptom is first looked for by the longest text that it must contain, and only what is around
that is compared with the symptom itself.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xcompat.domain import KnownIssue

_PIECE = 1 << 20
"""Characters that are looked at together."""
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
        (?:[\w.]+:[ \t]+)?                                          # the name of a logger
      | \[[^\],\n]{1,60}\][ \t]*
      | (?:-[ \t]+)
    )+""",
    re.MULTILINE | re.VERBOSE,
)

_FAMILY = re.compile(r"\bTTS\b|xtts|XTTS|Xtts|coqui")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[^}]*\}|.", re.DOTALL)
"""The parts of a regular expression: an escape, a set, a repetition, or a character."""
_LITERAL = re.compile(r"\\[^\w\s]|[^\\\[\](){}?*+.|^$]")


def explain(text: str, issues: Iterable[KnownIssue]) -> tuple[KnownIssue, ...]:
    """Return the known issues whose symptoms are in `text`, in the order of their appearance."""
    return explain_log((text,), issues)


def explain_log(pieces: Iterable[str], issues: Iterable[KnownIssue]) -> tuple[KnownIssue, ...]:
    """Return the known issues whose symptoms are in a log, in the order of their appearance.

    Args:
        pieces: The log, cut anywhere; about a megabyte of it is held at a time.
        issues: What to look for.
    """
    wanted = [issue for issue in issues if issue.symptoms]
    found: list[KnownIssue] = []
    for piece in _overlapping(pieces):
        # What decorates one log is a part of the message in another.
        plain = _CONTROL.sub("", piece).replace("\r\n", "\n")
        variants = {" ".join(plain.split()), " ".join(_DECORATION.sub("", plain).split())}
        places = {
            issue.code: place
            for issue in wanted
            if (place := min((_place(issue, text) for text in variants), default=1.0)) < 1
        }
        found += sorted(
            (issue for issue in wanted if issue.code in places),
            key=lambda issue: (places[issue.code], issue.code),
        )
        wanted = [issue for issue in wanted if issue.code not in places]
        if not wanted:
            break
    return tuple(found)


def _overlapping(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a text in pieces of a good size, each with the end of the one before it."""
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _PIECE:
            text = "".join(held)
            yield text
            held = [text[-(BEFORE + AFTER) :]]
            size = 0
    if size:
        yield "".join(held)


def _place(issue: KnownIssue, text: str) -> float:
    """Return where the first symptom of an issue is, as a fraction of a cleaned text, or 1."""
    return min(
        (
            place / len(text)
            for symptom in issue.symptoms
            if (place := _first(symptom, text, generic=issue.generic)) >= 0
        ),
        default=1.0,
    )


def _first(symptom: str, text: str, *, generic: bool) -> int:
    words = required_text(symptom)
    position = text.find(words)
    while position >= 0:
        window = text[max(0, position - BEFORE) : position + AFTER]
        if _compiled(symptom).search(window) and not (generic and _is_foreign(window)):
            return position
        # The window has shown what stands around these words in its second half as well.
        position = text.find(words, position + AFTER // 2)
    return -1


def _is_foreign(window: str) -> bool:
    """Return whether a text says where the error arose, and does not speak of TTS."""
    return 'File "' in window and not _FAMILY.search(window)


@cache
def _compiled(symptom: str) -> re.Pattern[str]:
    return re.compile(symptom)


@cache
def required_text(symptom: str) -> str:
    """Return the longest text that every match of a symptom contains.

    It is empty where there is none, as in `a|b`.
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
