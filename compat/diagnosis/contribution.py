"""Checks run lines that somebody sends in: their form, what they give away, what explains them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xcompat.diagnosis.doctor import diagnose
from xcompat.domain import CAPABILITIES
from xcompat.errors import Refusal
from xcompat.matrix.forms import read_runs

if TYPE_CHECKING:
    from xcompat.domain import Matrix, Run

_HOME: Final = re.compile(r"/(?:home|Users|root)/|\\Users\\")
"""Where the folders of a person are, on any system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRun:
    """A line that can be merged, and what a maintainer should look at first."""

    run: Run
    notes: tuple[str, ...]


def check_contribution(text: str, name: str, matrix: Matrix) -> tuple[CheckedRun, ...]:
    """Return the runs that somebody sends in.

    Args:
        text: Of a `.jsonl` file, as `xcompat smoke --record` writes it.
        name: Of that file, for the errors.
        matrix: What is recorded so far.

    Raises:
        Refusal: XC232, with every error of every line as `file:line: what`.
    """
    recorded = {run.id: "matrices/runs" for run in matrix.runs}
    runs, errors = read_runs(text, name, recorded)
    for number, line in enumerate(text.splitlines(), start=1):
        if _HOME.search(line):
            errors.append(f"{name}:{number}: it names a folder of somebody's machine")
    if not runs and not errors:
        errors.append(f"{name}:1: there is no run in it")
    if errors:
        listed = "\n  ".join(errors)
        raise Refusal(
            "XC232",
            f"these runs cannot be merged:\n  {listed}",
            hint="write them with `xcompat smoke --record FILE`, and do not change them by hand",
        )
    return tuple(CheckedRun(run=run, notes=_notes(run, matrix)) for run in runs)


def _notes(run: Run, matrix: Matrix) -> tuple[str, ...]:
    """Return where a run and the known issues do not agree, or the recorded runs and it."""
    diagnosis = diagnose(run.environment, matrix, CAPABILITIES)
    notes = []
    for capability, outcome in run.capabilities.items():
        believed = diagnosis.capabilities[capability]
        if outcome.status == "fails" and not believed.issues:
            notes.append(f"{capability} fails, and no known issue says why: {outcome.error}")
        elif {outcome.status, believed.status} == {"works", "fails"}:
            why = ", ".join(believed.issues) or believed.note
            notes.append(f"{capability} {outcome.status}, where {believed.status} is known ({why})")
    return tuple(notes)
