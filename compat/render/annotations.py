"""A diagnosis as GitHub's workflow commands: annotations on the lines of a requirements file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xcompat.diagnosis.answer import answer_of
from xcompat.diagnosis.fixes import fixes_for
from xcompat.render.findings import level_of, page_of, place_of
from xcompat.render.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.domain import Diagnosis, Finding
    from xcompat.render.diagnosis import Todo

_COMMAND: Final = {"error": "error", "warning": "warning", "note": "notice"}
_VERDICT: Final = {"compatible": "notice", "incompatible": "error", "unknown": "warning"}
_IN_MESSAGE: Final = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY: Final = {**_IN_MESSAGE, ":": "%3A", ",": "%2C"}


def annotations_of(
    diagnosis: Diagnosis, todo: Sequence[Todo] = (), title: str = "xcompat doctor"
) -> str:
    """Return one workflow command for the answer, and one for each finding."""
    told = [answer_of(diagnosis).text, *(f"{why}: {command}" for why, command in todo)]
    answer = command_line(_VERDICT[diagnosis.verdict], "\n".join(told), title=title)
    return answer + "".join(_annotation(each, diagnosis) for each in diagnosis.findings)


def _annotation(finding: Finding, diagnosis: Diagnosis) -> str:
    issue, environment = finding.issue, diagnosis.environment
    place = place_of(finding, environment)
    message = [
        " ".join(issue.cause.split()),
        *finding.seen,
        *fixes_for(issue, environment),
        *filter(None, [page_of(issue.code)]),
    ]
    return command_line(
        _COMMAND[level_of(finding, diagnosis)],
        "\n".join(message),
        **({"file": place.file, "line": str(place.line)} if place else {}),
        title=f"{issue.code} {issue.title}",
    )


def command_line(name: str, message: str, **properties: str) -> str:
    """Return the line of a workflow command, with nothing in it that could begin another."""
    told = ",".join(f"{key}={_escaped(text, _IN_PROPERTY)}" for key, text in properties.items())
    return f"::{name} {told}::{_escaped(message, _IN_MESSAGE)}\n"


def _escaped(text: str, characters: dict[str, str]) -> str:
    return "".join(characters.get(char, char) for char in printable(text))
