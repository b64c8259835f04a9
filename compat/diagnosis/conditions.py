"""Says whether a known issue concerns an environment: pure."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from xcompat.domain import SAME_FILES, Condition, Environment, KnownIssue, Matrix
from xcompat.domain.versions import parsed, release
from xcompat.matrix.specifier import contains


class Unsaid(NamedTuple):
    """What to answer where an environment says nothing."""

    packages: bool
    """About a distribution that pins do not name, or a Python version that is not given."""
    system: bool
    """About what cannot be read from an installation."""


_OF = {
    "error": Unsaid(packages=False, system=False),
    "warning": Unsaid(packages=False, system=True),
}


def applies(issue: KnownIssue, environment: Environment) -> bool:
    """Return whether a known issue concerns `environment`, as far as can be told.

    A warning applies as well where its `system` condition cannot be checked.
    """
    return concerns(issue, environment, _OF[issue.severity])


def applying(issue: KnownIssue, environment: Environment) -> list[Condition]:
    """Return the conditions under which a known issue concerns `environment`, as `applies` says."""
    return [each for each in issue.conditions if holds(each, environment, _OF[issue.severity])]


def concerns(issue: KnownIssue, environment: Environment, unsaid: Unsaid) -> bool:
    """Return whether any condition of an issue holds."""
    for condition in issue.conditions:  # noqa: SIM110 - a third of the time of `any` with a generator
        if holds(condition, environment, unsaid):
            return True
    return False


def holds(condition: Condition, environment: Environment, unsaid: Unsaid) -> bool:
    """Return whether all parts of a condition hold; what most of them fail at is asked first."""
    packages = environment.packages
    for name, wanted in condition.packages.items():
        version = packages.get(name)
        if version is None:
            if not _missing_holds(name, wanted, environment, unsaid):
                return False
        elif not holds_for(wanted, version):
            return False
    return (
        _surroundings_hold(condition, environment)
        and _python_holds(condition.python, environment, unsaid)
        and all(
            _system_holds(name, wanted, environment, unsaid)
            for name, wanted in condition.system.items()
        )
        and _minors_differ(condition.minor_mismatch, environment, unsaid)
        and _cuda_differs(condition.cuda_mismatch, environment)
        and _cuda_differs(condition.cuda_major_mismatch, environment, majors=True)
    )


def _surroundings_hold(condition: Condition, environment: Environment) -> bool:
    return (
        (not condition.languages or environment.language in condition.languages)
        and (not condition.platforms or environment.platform in condition.platforms)
        and (not condition.signs or any(sign in environment.signs for sign in condition.signs))
        and (not condition.damaged or not environment.damaged.isdisjoint(condition.damaged))
        and (
            not condition.duplicates
            or any(name in environment.duplicates for name in condition.duplicates)
        )
    )


def _missing_holds(name: str, wanted: str, environment: Environment, unsaid: Unsaid) -> bool:
    if is_absent(name, environment):
        return wanted == "absent"
    return unsaid.packages


def is_absent(name: str, environment: Environment) -> bool:
    """Return whether a distribution that is not named is not there.

    Pins leave out much that will be installed, but whoever names one of `TTS` and `coqui-tts` does
    not mean to have the other, nor what belongs to it.
    """
    if environment.complete:
        return environment.lacks(name)
    for family in range(2):
        said, other = SAME_FILES[0][family], SAME_FILES[0][1 - family]
        if said in environment.packages and other not in environment.packages:
            return name in {pair[1 - family] for pair in SAME_FILES} - environment.packages.keys()
    return False


def _system_holds(name: str, wanted: str, environment: Environment, unsaid: Unsaid) -> bool:
    if name not in environment.system:
        return unsaid.system
    version = environment.system[name]
    return wanted == "absent" if version is None else holds_for(wanted, version)


def _python_holds(wanted: str, environment: Environment, unsaid: Unsaid) -> bool:
    if not wanted:
        return True
    return holds_for(wanted, environment.python) if environment.python else unsaid.packages


def _minors_differ(names: tuple[str, str] | None, environment: Environment, unsaid: Unsaid) -> bool:
    if names is None:
        return True
    if any(name not in environment.packages for name in names):
        return unsaid.packages and not environment.complete
    first, second = (parsed(environment.packages[name]) for name in names)
    return bool(first and second and first.release[:2] != second.release[:2])


def _cuda_differs(
    names: tuple[str, str] | None, environment: Environment, *, majors: bool = False
) -> bool:
    if names is None:
        return True
    first, second = (environment.builds.get(name, "") for name in names)
    if majors:  # `cu132` and `cu130` are both of CUDA 13.
        first, second = (re.sub(r"^(cu\d+)\d$", r"\1", build) for build in (first, second))
    return first != "" and second.startswith("cu") and first != second


def codes_of(environment: Environment, matrix: Matrix, unsaid: Unsaid) -> frozenset[str]:
    """Return the codes of the known issues that concern an environment."""
    return frozenset(issue.code for issue in matrix.issues if concerns(issue, environment, unsaid))


@cache
def holds_for(specifier: str, version: str) -> bool:
    """Return whether a specifier of a known issue holds for an installed version.

    Local versions are left out of account (`2.9.1+cu128` is 2.9.1), and a pre-release counts as
    the release that it precedes: what a release removes, its nightlies have removed.
    """
    if specifier in ("*", "absent"):
        return specifier == "*"
    told = parsed(version)
    return told is not None and contains(specifier, release(told))
