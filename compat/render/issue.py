"""Known issues for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.render.diagnosis import MEANING, show_commands
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.domain import Condition, KnownIssue


def issues_as_json(issues: Sequence[KnownIssue]) -> dict[str, Any]:
    """Return the stable form of `xcompat explain --json`."""
    return {
        "schema": 1,
        "issues": [
            {
                "code": issue.code,
                "severity": issue.severity,
                "title": issue.title,
                "capabilities": list(issue.capabilities),
                "cause": issue.cause,
                "fix": list(issue.fixes),
                "applies": [condition_text(each) for each in issue.conditions],
                "sources": list(issue.sources),
            }
            for issue in issues
        ],
    }


def show_issues(issues: Sequence[KnownIssue]) -> None:
    """Write known issues to stdout: what happens, why, when, and the way out."""
    page = Page()
    if not issues:
        page.prose("No known issue has these symptoms.")
    for number, issue in enumerate(issues):
        if number:
            page.gap()
        style = "bold red" if issue.severity == "error" else "bold yellow"
        page.prose((issue.code, style), " ", (issue.title, "bold"))
        page.gap()
        page.prose(issue.cause, indent=2)
        page.gap()
        if issue.capabilities:
            verb = "Fails" if issue.severity == "error" else "Concerns"
            told = ", ".join(f"{c} ({MEANING[c]})" for c in issue.capabilities)
            page.prose(f"{verb}: {told}", indent=2, hang=2)
        for word, condition in zip(["When", *["or"] * 20], issue.conditions, strict=False):
            page.prose(f"{word}: {condition_text(condition)}", indent=2, hang=2)
        page.gap()
        page.line(("  What to do", "bold"))
        show_commands(page, issue.fixes, None)
        page.gap()
        for source in issue.sources:
            page.line(f"  {source}")


def condition_text(condition: Condition) -> str:
    """Return a condition as one line: `TTS <=0.22.0 and torch >=2.6`."""
    parts = [_wanted(*each) for each in condition.packages.items()]
    if condition.python:
        parts.append(f"Python {condition.python}")
    if condition.minor_mismatch:
        parts.append("{} and {} of different minor versions".format(*condition.minor_mismatch))
    if condition.cuda_mismatch:
        parts.append("{} and {} built for different CUDA versions".format(*condition.cuda_mismatch))
    if condition.cuda_major_mismatch:
        told = "{} and {} built for different major versions of CUDA"
        parts.append(told.format(*condition.cuda_major_mismatch))
    if condition.duplicates:
        parts.append(f"one of {', '.join(condition.duplicates)} installed more than once")
    parts += [_wanted(*each) for each in condition.system.items()]
    if condition.platforms:
        parts.append(f"on {' or '.join(condition.platforms)}")
    return " and ".join(parts)


def _wanted(name: str, specifier: str) -> str:
    if specifier == "*":
        return f"any {name}"
    return f"no {name}" if specifier == "absent" else f"{name} {specifier}"
