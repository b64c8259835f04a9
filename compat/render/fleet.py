"""What was found of many environments, in one summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xcompat.diagnosis.answer import answer_of
from xcompat.render.annotations import annotations_of, command_line
from xcompat.render.diagnosis import diagnosis_as_json
from xcompat.render.diagnosis_markdown import SIGN_OF_VERDICT, diagnosis_as_markdown, plain
from xcompat.render.sarif import diagnoses_as_sarif
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.domain import Diagnosis
    from xcompat.errors import XcompatError
    from xcompat.render.diagnosis import Todo

_SIGN: Final = {
    "compatible": ("✓", "green"),
    "incompatible": ("✗", "red"),
    "unknown": ("?", "yellow"),
}


class Examined(NamedTuple):
    """One of many environments or lists, as it was named."""

    name: str
    diagnosis: Diagnosis | None
    """None where it could not be looked at."""
    todo: Sequence[Todo]
    error: XcompatError | None = None


def show_fleet(examined: Sequence[Examined]) -> None:
    """Write the answer to each, what to type, and how many there are of each kind to stdout."""
    page = Page()
    for each in examined:
        if each.diagnosis is None:
            page.prose(("! ", "bold red"), (each.name, "bold"), f": {_error(each)}", hang=2)
            continue
        sign, style = _SIGN[each.diagnosis.verdict]
        answer = answer_of(each.diagnosis).text
        page.prose((f"{sign} ", f"bold {style}"), (each.name, "bold"), f": {answer}.", hang=2)
        for why, command in each.todo:
            page.prose((f"{why}:", "dim"), indent=5)
            page.line("       ", (command, "bold"))
    page.gap()
    page.prose(f"{_counts(examined)}. For more of one: `xcompat doctor TARGET`")


def fleet_as_json(examined: Sequence[Examined]) -> dict[str, Any]:
    """Return the stable form of `xcompat doctor TARGET TARGET --json`; fields may be added."""
    return {
        "schema": 1,
        "targets": [
            {
                "name": each.name,
                "diagnosis": each.diagnosis and diagnosis_as_json(each.diagnosis, each.todo),
                "error": each.error and {"code": each.error.code, "message": each.error.message},
            }
            for each in examined
        ],
    }


def fleet_as_sarif(examined: Sequence[Examined]) -> dict[str, Any]:
    """Return a SARIF log with one run for each that could be looked at."""
    return diagnoses_as_sarif([each.diagnosis for each in examined if each.diagnosis])


def fleet_as_annotations(examined: Sequence[Examined]) -> str:
    """Return the workflow commands of each."""
    return "".join(
        annotations_of(each.diagnosis, each.todo, f"xcompat doctor {each.name}")
        if each.diagnosis
        else command_line("error", _error(each), title=f"xcompat doctor {each.name}")
        for each in examined
    )


def fleet_as_markdown(examined: Sequence[Examined]) -> str:
    """Return a table of the answers, and below it what is known of each."""
    rows = [
        f"| {_markdown_sign(each)} | {plain(each.name)} | {_answer(each)} |" for each in examined
    ]
    parts = ["\n".join(["| | | |", "|---|---|---|", *rows]) + "\n"]
    parts += [
        f"## {plain(each.name)}\n\n{diagnosis_as_markdown(each.diagnosis, each.todo)}"
        for each in examined
        if each.diagnosis
    ]
    return "\n".join(parts)


def _markdown_sign(examined: Examined) -> str:
    return SIGN_OF_VERDICT[examined.diagnosis.verdict] if examined.diagnosis else "❗"


def _answer(examined: Examined) -> str:
    found = examined.diagnosis
    return plain(answer_of(found).text if found else _error(examined))


def _error(examined: Examined) -> str:
    return f"{examined.error.message} ({examined.error.code})" if examined.error else ""


def _counts(examined: Sequence[Examined]) -> str:
    told = [each.diagnosis.verdict if each.diagnosis else "not looked at" for each in examined]
    words = ("compatible", "incompatible", "unknown", "not looked at")
    return ", ".join(f"{told.count(word)} {word}" for word in words if word in told)
