"""What became of many models, in one table for people and one object for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from xcompat.errors import ExitCode
from xcompat.render.conversion import conversion_as_json
from xcompat.render.layout import columns
from xcompat.render.text import Page, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.converters.fleet import Outcome

_SIGN: Final = {
    "planned": ("✓", "green"),
    "converted": ("✓", "green"),
    "unchanged": ("=", "dim"),
    "failed": ("✗", "red"),
}
_WORDS: Final = {
    "planned": "would be converted",
    "converted": "converted",
    "unchanged": "unchanged",
    "failed": "failed",
}
_NAME: Final = 36
"""Columns of the longest name that has its line with another text."""


def outcomes_as_json(outcomes: Sequence[Outcome], left_out: Sequence[str]) -> dict[str, Any]:
    """Return the stable form of `xcompat convert FOLDER_OF_MODELS --json`; fields may be added.

    Args:
        outcomes: Of each model.
        left_out: Folders that hold what was converted from a model that is none of these.
    """
    return {
        "schema": 1,
        "models": [
            {
                "source": each.source,
                "output": each.output,
                "state": each.state,
                "size": each.size,
                "conversion": each.conversion and conversion_as_json(each.conversion),
                "error": each.error
                and {
                    "code": each.error.code,
                    "message": each.error.message,
                    "hint": each.error.hint,
                },
            }
            for each in outcomes
        ],
        "left_out": list(left_out),
        "size": sum(each.size for each in outcomes),
    }


def show_outcomes(outcomes: Sequence[Outcome], left_out: Sequence[str]) -> None:
    """Write a line for each model, and how many there are of each kind, to stdout.

    See `outcomes_as_json` for the arguments.
    """
    page = Page()
    longest = max((columns(each.source) for each in outcomes), default=0)
    width = min(longest, _NAME) + 4
    for each in outcomes:
        label = (_sign(each), (each.source, "bold"))
        if columns(each.source) <= _NAME:
            page.entry(label, _told(each), width)
        else:
            page.prose(*label, hang=2)
            page.entry((("", ""),), _told(each), width)
    page.gap()
    told = [each.state for each in outcomes]
    counts = ", ".join(f"{told.count(state)} {_WORDS[state]}" for state in _SIGN if state in told)
    page.prose(f"{counts}; {size(sum(each.size for each in outcomes))} in all")
    _show_places(page, outcomes)
    if left_out:
        first = f": {len(left_out)} converted before from elsewhere, such as {left_out[0]}"
        page.prose(("Left out", "bold"), f"{first}; name it to convert that", hang=2)


def _show_places(page: Page, outcomes: Sequence[Outcome]) -> None:
    """Say where the first one is: the others lie alike."""
    done = [each for each in outcomes if each.state == "converted" and each.conversion]
    if not done:
        return
    first = done[0]
    others = ", the others alike" if len(done) > 1 else ""
    page.prose(("Wrote", "bold"), f" {first.output}{others}", hang=2)
    if any(each.conversion and each.conversion.notes for each in done):
        page.prose(("Notes", "bold"), ": `--json` has them, or a conversion of one model", hang=2)


def _sign(outcome: Outcome) -> tuple[str, str]:
    if outcome.error and outcome.error.exit_code != ExitCode.NO:
        return "! ", "bold red"
    sign, style = _SIGN[outcome.state]
    return f"{sign} ", f"bold {style}"


def _told(outcome: Outcome) -> str:
    if outcome.error:
        told = f"{outcome.error.message} ({outcome.error.code})"
        return f"{told}. {outcome.error.hint}" if outcome.error.hint else told
    if outcome.state == "unchanged":
        return "needs nothing" if outcome.conversion else "converted before, and unchanged"
    assert outcome.conversion
    return f"{size(outcome.size)}, {outcome.conversion.kind}"
