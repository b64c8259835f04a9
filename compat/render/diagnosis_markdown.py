"""A diagnosis as Markdown: for the summary of a job, or a comment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from xcompat.diagnosis.answer import answer_of
from xcompat.diagnosis.fixes import fixes_for
from xcompat.domain import DECIDING
from xcompat.render.findings import page_of, place_of, sections_of
from xcompat.render.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xcompat.domain import Capability, CapabilityStatus, Diagnosis, Environment, Finding
    from xcompat.render.diagnosis import Todo

_SIGN: Final = {"works": "✅", "fails": "❌", "unknown": "❔"}
SIGN_OF_VERDICT: Final = {"compatible": "✅", "incompatible": "❌", "unknown": "❔"}


def diagnosis_as_markdown(diagnosis: Diagnosis, todo: Sequence[Todo] = ()) -> str:
    """Return the answer, what to type, the capabilities, and the findings."""
    lines = [
        f"**{SIGN_OF_VERDICT[diagnosis.verdict]} {plain(answer_of(diagnosis).text)}.**",
        "",
        versions_in_short(diagnosis.environment),
    ]
    for why, command in todo:
        lines += ["", f"{plain(why)}:", "", *fenced(command)]
    lines += ["", *capability_table(diagnosis)]
    for title, findings in sections_of(diagnosis):
        if findings:
            lines += ["", f"### {title}"]
        for finding in findings:
            lines += ["", *_finding(finding, diagnosis.environment)]
    if diagnosis.ignored:
        codes = ", ".join(each.issue.code for each in diagnosis.ignored)
        lines += ["", f"Ignored: {codes}"]
    return "\n".join(lines) + "\n"


def versions_in_short(environment: Environment) -> str:
    """Return Python, platform and what decides, in one line."""
    told = [f"Python {environment.python}"] if environment.python else ["Python not said"]
    told.append(environment.platform)
    told += [
        f"{name} {environment.packages[name]}".strip()
        for name in DECIDING
        if name in environment.packages
    ]
    return plain(", ".join(told))


def capability_table(diagnosis: Diagnosis) -> list[str]:
    """Return what works, and on what that rests, as a table."""
    rows = [
        f"| {_SIGN[told.status]} | {_name(name, diagnosis)} | {_rests_on(told)} |"
        for name, told in diagnosis.capabilities.items()
    ]
    return ["| | capability | rests on |", "|---|---|---|", *rows]


def _name(capability: Capability, diagnosis: Diagnosis) -> str:
    return f"**{capability}**" if capability in diagnosis.needed else capability


def _rests_on(told: CapabilityStatus) -> str:
    return plain(", ".join(filter(None, (*told.issues, told.note))))


def _finding(finding: Finding, environment: Environment) -> Iterator[str]:
    issue = finding.issue
    address = page_of(issue.code)
    code = f"[{issue.code}]({address})" if address else issue.code
    place = place_of(finding, environment)
    where = f" (`{place.file}`, line {place.line})" if place else ""
    yield f"**{code}** {plain(issue.title)}{where}"
    yield ""
    yield plain(issue.cause)
    for fix in fixes_for(issue, environment):
        command, _, remark = fix.partition("  # ")
        yield ""
        if fix.endswith("."):
            yield plain(fix)
            continue
        if remark:
            yield f"{plain(remark)}:"
            yield ""
        yield from fenced(command)


def fenced(text: str) -> list[str]:
    """Return a text as a block that Markdown does not read, whatever is in it."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", printable(text), fence]


def plain(text: str) -> str:
    """Return a text in one line of which Markdown takes nothing for its own."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", printable(" ".join(text.split())))
