"""Runs that somebody sends in, as they were checked, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.render.runs import in_words, outcomes_of
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xcompat.diagnosis.contribution import CheckedRun


def show_checked(checked: Iterable[CheckedRun]) -> None:
    """Write what was found about runs that somebody sends in to stdout."""
    page = Page()
    for each in checked:
        environment = each.run.environment
        page.prose(
            (each.run.id, "bold"),
            f": {in_words(each.run)}, Python {environment.python} on {environment.platform}",
            hang=2,
        )
        page.prose(*outcomes_of(each.run, None), indent=2, hang=2)
        for note in each.notes:
            page.prose(("look at this", "bold yellow"), f": {note}", indent=2, hang=2)
    page.gap()
    page.prose("These lines can be merged: append them to matrices/runs/PLATFORM.jsonl.")


def checked_as_json(checked: Iterable[CheckedRun]) -> dict[str, Any]:
    """Return the stable form of `xcompat matrix --check FILE --json`."""
    return {"schema": 1, "runs": [{"id": c.run.id, "notes": list(c.notes)} for c in checked]}
