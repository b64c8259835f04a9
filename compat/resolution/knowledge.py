"""What the matrix knows, sorted for plans: combinations that were run, and what depends on what."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xcompat.diagnosis.assumptions import published_builds
from xcompat.domain import (
    DECIDING,
    SAME_FILES,
    Capability,
    Environment,
    KnownIssue,
    Row,
    Run,
    minor_of,
)
from xcompat.domain.versions import parsed, public

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xcompat.diagnosis.doctor import Doctor

ALWAYS_PINNED = ("numpy", "tokenizers")
"""Nobody asks for them by name, and they are what breaks next: pinned to what was run."""
NAMED = frozenset({*DECIDING, *(name for pair in SAME_FILES for name in pair)})
"""What decides, and what shares its files with another: a combination says what becomes of them."""


class Combination(NamedTuple):
    """Versions that were run together, or, adapted, some others in their place."""

    packages: Mapping[str, str]
    """Of the deciding distributions; what is not named was not installed."""
    works: frozenset[Capability]
    recorded: Environment
    """An environment in which they worked, with all that it had."""
    runs: tuple[Run, ...]
    """Runs that showed it, the nearest to the environment that there are."""
    row: Row | None
    distance: tuple[bool, bool]
    """Whether it was run on another platform, and with another minor version of Python, than the
    environment's."""
    fails: frozenset[Capability] = frozenset()
    """What failed in any of its runs."""
    adapted: tuple[str, ...] = ()
    """Distributions whose version is not the one that was run."""
    asked: frozenset[str] = frozenset()
    """What was asked for by name beside TTS: an installer brings none, or another version."""

    @property
    def here(self) -> bool:
        """Whether it was run on the environment's platform and minor version of Python."""
        return self.distance == (False, False)

    @property
    def family(self) -> str:
        """The distribution that brings the import package `TTS`."""
        return "TTS" if "TTS" in self.packages else "coqui-tts"


class Knowledge:
    """What the matrix knows, sorted once for all questions.

    Attributes:
        matrix: All of it.
        doctor: Judges environments by it.
        errors: The known issues that claim a failure.
        decisive: Those of them that the deciding distributions alone can make apply.
        errors_of: The errors that can concern one TTS where the other is not there.
        decisive_of: The decisive ones of them.
        naming: Distribution to the errors that depend on its version.
        relevant: All distributions that can make a difference.
        missing: The errors about what is not there and should be, beside what decides.
        tokenizers: Minor version of transformers to those of tokenizers that it was run with.
    """

    def __init__(self, doctor: Doctor) -> None:
        self.matrix = matrix = doctor.matrix
        self.doctor = doctor
        self.errors = tuple(issue for issue in matrix.issues if issue.severity == "error")
        self.decisive = tuple(
            issue
            for issue in self.errors
            if any(each.packages.keys() <= set(DECIDING) for each in issue.conditions)
        )
        self.errors_of = {name: _about(name, self.errors) for name in SAME_FILES[0]}
        self.decisive_of = {name: _about(name, self.decisive) for name in SAME_FILES[0]}
        self.naming: dict[str, list[KnownIssue]] = {}
        for issue in self.errors:
            for name in {name for each in issue.conditions for name in each.packages}:
                self.naming.setdefault(name, []).append(issue)
        self.missing = tuple(
            issue
            for issue in self.errors
            if any(
                wanted == "absent" and name not in NAMED
                for each in issue.conditions
                for name, wanted in each.packages.items()
            )
        )
        warned = {n for issue in matrix.issues for c in issue.conditions for n in c.packages}
        self.relevant = {*NAMED, *ALWAYS_PINNED, *warned}
        self.tokenizers: dict[str, set[str]] = {}
        for run in matrix.runs:
            packages = run.environment.packages
            if {"transformers", "tokenizers"} <= packages.keys():
                minors = self.tokenizers.setdefault(minor_of(packages["transformers"]), set())
                minors.add(minor_of(packages["tokenizers"]))
        self._versions: dict[str, list[str]] = {}
        self._builds = published_builds(matrix.runs)

    def versions(self, name: str) -> list[str]:
        """Return the versions of a distribution that were ever run, newest first."""
        if name not in self._versions:
            told = {public(run.environment.packages.get(name)) for run in self.matrix.runs}
            known = {parsed(version) for version in told if version} - {None}
            self._versions[name] = [str(v) for v in sorted(filter(None, known), reverse=True)]
        return self._versions[name]

    def build(self, platform: str, name: str, version: str) -> str:
        """Return what a version is built for where the index is not chosen, as runs have it.

        Empty where no run tells, or where they disagree.
        """
        return self._builds.get((platform, name, version), "")


def _about(family: str, issues: Iterable[KnownIssue]) -> tuple[KnownIssue, ...]:
    """Return the issues that can concern a TTS where the other one is not there."""
    (other,) = {*SAME_FILES[0]} - {family}
    return tuple(
        issue
        for issue in issues
        if any(each.packages.get(other, "absent") == "absent" for each in issue.conditions)
    )
