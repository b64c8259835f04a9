"""The known issues as a list of checks, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.render.diagnosis_markdown import plain
from xcompat.render.findings import page_of
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.domain import KnownIssue


def checks_as_json(issues: Sequence[KnownIssue]) -> dict[str, Any]:
    """Return the stable form of `xcompat doctor --list-checks --json`; fields may be added."""
    return {
        "schema": 1,
        "checks": [
            {
                "code": issue.code,
                "severity": issue.severity,
                "capabilities": list(issue.capabilities),
                "title": issue.title,
                "url": page_of(issue.code),
            }
            for issue in issues
        ],
    }


def show_checks(issues: Sequence[KnownIssue]) -> None:
    """Write one line for each check to stdout."""
    page = Page()
    for issue in issues:
        page.prose((issue.code, "bold"), f" {issue.severity:<8} {issue.title}", hang=15)


def checks_as_markdown(issues: Sequence[KnownIssue]) -> str:
    """Return the checks as a table."""
    rows = [f"| {each.code} | {each.severity} | {plain(each.title)} |" for each in issues]
    return "\n".join(["| code | severity | what it is |", "|---|---|---|", *rows]) + "\n"
