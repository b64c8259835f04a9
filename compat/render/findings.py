"""What all forms of a diagnosis say of a finding: how grave it is, where, and where to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from xcompat import version
from xcompat.domain import with_needs

if TYPE_CHECKING:
    from xcompat.domain import Diagnosis, Environment, Finding

Level = Literal["error", "warning", "note"]
"""It keeps the user from what was asked for; it keeps others from theirs; it is good to know."""

STDIN = "<stdin>"
"""What a list that was piped in is called."""


class Place(NamedTuple):
    """A line of a file."""

    file: str
    """As it was named, with slashes."""
    line: int


def page_of(code: str) -> str | None:
    """Return the address of a known issue's page; None as long as the site has no address."""
    return f"{version.SITE}issues/{code}/" if version.SITE else None


def place_of(finding: Finding, environment: Environment) -> Place | None:
    """Return the line of a list that a finding is about; None for what is installed.

    An issue names TTS first, and then what it does not get along with: that is what one would
    change. What a list leaves out is missing in its first line.
    """
    if environment.interpreter or not environment.places:
        return None
    named = [environment.places[name] for name in finding.packages if name in environment.places]
    file, _, line = (named or [f"{environment.source}:1"])[-1].rpartition(":")
    if not line.isdecimal():
        file, line = f"{file}:{line}" if file else line, "1"
    return None if file == STDIN else Place(Path(file).as_posix(), int(line))


def sections_of(diagnosis: Diagnosis) -> tuple[tuple[str, list[Finding]], ...]:
    """Sort findings by what they keep the user from: what was asked for, the rest, or nothing."""
    levels: dict[Level, list[Finding]] = {"error": [], "warning": [], "note": []}
    for finding in diagnosis.findings:
        levels[level_of(finding, diagnosis)].append(finding)
    return (
        ("Why", levels["error"]),
        ("What else does not work", levels["warning"]),
        ("Good to know", levels["note"]),
    )


def level_of(finding: Finding, diagnosis: Diagnosis) -> Level:
    """Return how grave a finding is for what was asked for; what an app patches is a note."""
    if finding.issue.severity != "error" or finding.issue.code in diagnosis.patched:
        return "note"
    return "error" if _stops(finding, diagnosis) else "warning"


def _stops(finding: Finding, diagnosis: Diagnosis) -> bool:
    """Return whether a finding keeps the user from what was asked for, or from what that needs."""
    path = {each for capability in diagnosis.needed for each in with_needs(capability)}
    return any(
        diagnosis.capabilities[capability].status == "fails"
        and finding.issue.code in diagnosis.capabilities[capability].issues
        for capability in path
    )
