"""The matrix for people and for programs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from xcompat.render.issue import issue_as_json
from xcompat.render.runs import (
    COLUMNS,
    REFUSED,
    counts,
    differences,
    executed_and_refused,
    group_of,
    in_words,
    outcomes_of,
    reason_of,
    signs_of,
    telling_distributions,
    versions_of,
)
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xcompat.domain import Capability, CapabilityOutcome, Matrix, Run

_WIDTH = 80
"""Columns that the table needs."""
_ERROR = 160
"""Characters of an error that are shown; JSON has all."""


def matrix_as_json(matrix: Matrix) -> dict[str, Any]:
    """Return the stable form of `xcompat matrix --json`."""
    telling = telling_distributions(matrix)
    return {
        "schema": 1,
        "runs": [
            {
                "id": run.id,
                "date": run.date,
                "tool": run.tool,
                "command": run.command,
                "cell": run.cell,
                "device": run.device,
                "python": run.environment.python,
                "platform": run.environment.platform,
                "packages": {
                    name: version
                    for name, version in run.environment.packages.items()
                    if name in telling
                },
                "builds": dict(run.environment.builds),
                "system": dict(run.environment.system),
                "capabilities": _outcomes_as_json(run.capabilities),
                "runtime_capabilities": _outcomes_as_json(run.runtime_capabilities),
            }
            for run in matrix.runs
        ],
        "rows": [
            {
                "id": row.id,
                "title": row.title,
                "python": row.python,
                "packages": dict(row.packages),
                "platforms": list(row.platforms),
                "capabilities": list(row.capabilities),
                "runs": list(row.runs),
            }
            for row in matrix.rows
        ],
        "issues": [issue_as_json(issue) for issue in matrix.issues],
    }


def _outcomes_as_json(
    capabilities: Mapping[Capability, CapabilityOutcome],
) -> dict[str, dict[str, str]]:
    return {
        capability: {"status": outcome.status, "error": outcome.error}
        for capability, outcome in capabilities.items()
    }


def show_matrix(matrix: Matrix, capability: Capability | None = None) -> None:
    """Write what was run, on which platform, and how it went to stdout.

    Args:
        matrix: What to show.
        capability: Show this one only, and the errors of the runs in which it fails.
    """
    page = Page()
    page.prose(counts(matrix))
    executed, refused = executed_and_refused(matrix.runs)
    special = differences(executed, matrix)
    for (platform, python), runs in groupby(executed, key=group_of):
        page.gap()
        page.line((f"{platform}, Python {python}", "bold"))
        if page.width < _WIDTH:
            _show_list(page, runs, special, capability)
        else:
            _show_table(page, runs, special, capability)
    if executed:
        page.gap()
        page.prose(
            "✓ works  ✗ fails  ? not reached; a second sign: with the xcompat runtime."
            " `xcompat matrix --json` tells the errors."
        )
    if refused and capability in (None, "install"):
        page.gap()
        page.line((REFUSED, "bold"))
    for run in refused if capability in (None, "install") else ():
        platform, python = group_of(run)
        page.prose(
            f"{in_words(run)}: {reason_of(run)} ({platform}, Python {python})", indent=2, hang=2
        )
    if matrix.rows:
        page.gap()
    for row in matrix.rows:
        page.prose((row.id, "bold"), f" {row.title}", indent=2, hang=2)
        packages = ", ".join(f"{name} {version}" for name, version in row.packages.items())
        page.prose(f"Python {row.python}, {packages}", indent=4)
    page.gap()
    page.prose(
        "To add a run of your machine: `xcompat smoke --record FILE`, then look at it with "
        "`xcompat matrix --check FILE`, and send the file in."
    )


def _show_table(
    page: Page,
    runs: Iterable[Run],
    special: Mapping[str, str],
    capability: Capability | None,
) -> None:
    # What was executed has been installed: what was not is listed apart.
    shown = [capability] if capability else [name for name in COLUMNS if name != "install"]
    head = f"{'':<16} {'torch':<7}{'audio':<7}{'codec':<7}{'transf':<7}"
    page.line((head + " ".join(COLUMNS[name] for name in shown), "dim"))
    for run in runs:
        family, torch, audio, codec, transformers = versions_of(run)
        line: list[str | tuple[str, str]] = [
            f"{family:<16} {torch:<7}{audio:<7}{codec:<7}{transformers:<7}"
        ]
        for name in shown:
            (sign, style), (second, second_style) = signs_of(run, name)
            width = len(COLUMNS[name]) + 1 - len(sign)
            line += [(sign, style), (second.ljust(width), second_style)]
        page.line(*line)
        _show_special(page, run, special, capability)


def _show_list(
    page: Page,
    runs: Iterable[Run],
    special: Mapping[str, str],
    capability: Capability | None,
) -> None:
    """Write one paragraph for each run: the table is wider than the terminal."""
    for run in runs:
        page.prose(in_words(run), indent=2, hang=2)
        page.prose(*outcomes_of(run, capability), indent=4)
        _show_special(page, run, special, capability)


def _show_special(
    page: Page, run: Run, special: Mapping[str, str], capability: Capability | None
) -> None:
    if run.id in special:
        page.prose((special[run.id], "dim"), indent=4, hang=2)
    outcome = run.capabilities.get(capability) if capability else None
    if outcome and outcome.error:
        page.prose((_short(outcome.error), "dim"), indent=4, hang=2)
    outcome = run.runtime_capabilities.get(capability) if capability else None
    if outcome and outcome.error:
        page.prose((f"with xcompat: {_short(outcome.error)}", "dim"), indent=4, hang=2)


def _short(error: str) -> str:
    words = " ".join(error.split())
    return words if len(words) <= _ERROR else f"{words[: _ERROR - 1]}…"
