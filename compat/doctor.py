"""Diagnoses an environment: pure, from an Environment and the Matrix to a Diagnosis.

What was measured comes before what is believed, and what was neither measured nor is known to fail
is unknown: the doctor never says yes to a combination that was not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from xcompat.domain import (
    CAPABILITIES,
    DECIDING,
    Capability,
    CapabilityStatus,
    Condition,
    Diagnosis,
    Environment,
    Finding,
    KnownIssue,
    Matrix,
    Row,
    Run,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NEEDED: tuple[Capability, ...] = ("import", "load-converted", "speak")
"""What the verdict is about where the user asks for nothing else."""

NEEDS: dict[Capability, tuple[Capability, ...]] = {
    "load": ("import",),
    "load-converted": ("import",),
    "speak": ("load-converted",),
    "stream": ("load-converted",),
    "clone": ("load-converted",),
    "api": ("load-converted",),
}
"""What must work before a capability can. Nothing needs `load`: the others use what
`xcompat convert` wrote."""


def diagnose(
    environment: Environment, matrix: Matrix, needed: tuple[Capability, ...] = NEEDED
) -> Diagnosis:
    """Return what is known of `environment`; the verdict is about the capabilities in `needed`."""
    issues = [issue for issue in matrix.issues if applies(issue, environment)]
    capabilities: dict[Capability, CapabilityStatus] = {}
    for capability in CAPABILITIES:
        own = _status(capability, environment, matrix, issues)
        capabilities[capability] = _inherited(capability, own, capabilities, environment)
    statuses = {capabilities[capability].status for capability in needed}
    verdict: Verdict = (
        "incompatible"
        if "fails" in statuses
        else "unknown"
        if "unknown" in statuses
        else "compatible"
    )
    return Diagnosis(
        environment=_narrowed(environment, matrix),
        needed=needed,
        verdict=verdict,
        capabilities=capabilities,
        findings=tuple(
            Finding(issue=issue, packages=_named(issue, environment))
            for issue in sorted(issues, key=_urgency)
        ),
        row=next((row.id for row in matrix.rows if _is_row(row, environment)), None),
    )


def applies(issue: KnownIssue, environment: Environment) -> bool:
    """Return whether a known issue concerns `environment`, as far as can be told.

    A warning applies as well where its `system` condition cannot be checked.
    """
    unsaid = _Unsaid(packages=False, system=issue.severity == "warning")
    return any(_holds(each, environment, unsaid) for each in issue.conditions)


def explain(text: str, issues: Iterable[KnownIssue]) -> tuple[KnownIssue, ...]:
    """Return the known issues whose symptoms are in `text`, the one named last first.

    A traceback ends with what went wrong; what it mentions before may be another story.
    """
    found: list[tuple[int, KnownIssue]] = []
    for issue in issues:
        ends = [m.end() for symptom in issue.symptoms for m in re.finditer(symptom, text)]
        if ends:
            found.append((max(ends), issue))
    return tuple(issue for _, issue in sorted(found, key=lambda pair: (-pair[0], pair[1].code)))


def _may_apply(issue: KnownIssue, environment: Environment) -> bool:
    unsaid = _Unsaid(packages=True, system=True)
    return any(_holds(each, environment, unsaid) for each in issue.conditions)


@dataclass(frozen=True, slots=True)
class _Unsaid:
    """What to answer where an environment says nothing."""

    packages: bool
    """About a distribution that pins do not name, or a Python version that is not given."""
    system: bool
    """About what cannot be read from an installation."""


def _holds(condition: Condition, environment: Environment, unsaid: _Unsaid) -> bool:
    """Return whether all parts of a condition hold."""
    return (
        all(
            _package_holds(name, wanted, environment, unsaid)
            for name, wanted in condition.packages.items()
        )
        and all(
            _system_holds(name, wanted, environment, unsaid)
            for name, wanted in condition.system.items()
        )
        and _python_holds(condition.python, environment, unsaid)
        and (not condition.platforms or environment.platform in condition.platforms)
        and _minors_differ(condition.minor_mismatch, environment, unsaid)
        and _cuda_differs(condition.cuda_mismatch, environment)
        and (
            not condition.duplicates
            or any(name in environment.duplicates for name in condition.duplicates)
        )
    )


def _package_holds(name: str, wanted: str, environment: Environment, unsaid: _Unsaid) -> bool:
    if name in environment.packages:
        return _contains(wanted, environment.packages[name])
    return wanted == "absent" if environment.complete else unsaid.packages


def _system_holds(name: str, wanted: str, environment: Environment, unsaid: _Unsaid) -> bool:
    if name not in environment.system:
        return unsaid.system
    version = environment.system[name]
    return wanted == "absent" if version is None else _contains(wanted, version)


def _python_holds(wanted: str, environment: Environment, unsaid: _Unsaid) -> bool:
    if not wanted:
        return True
    return _contains(wanted, environment.python) if environment.python else unsaid.packages


def _minors_differ(
    names: tuple[str, str] | None, environment: Environment, unsaid: _Unsaid
) -> bool:
    if names is None:
        return True
    if any(name not in environment.packages for name in names):
        return unsaid.packages and not environment.complete
    first, second = (_version(environment.packages[name]) for name in names)
    return bool(first and second and first.release[:2] != second.release[:2])


def _cuda_differs(names: tuple[str, str] | None, environment: Environment) -> bool:
    if names is None:
        return True
    first, second = (environment.builds.get(name, "") for name in names)
    return first != "" and second.startswith("cu") and first != second


def _status(
    capability: Capability,
    environment: Environment,
    matrix: Matrix,
    issues: list[KnownIssue],
) -> CapabilityStatus:
    codes = tuple(
        issue.code
        for issue in issues
        if issue.severity == "error" and capability in issue.capabilities
    )
    runs = _evidence(capability, environment, matrix)
    here = [run for run in runs if run.environment.platform == environment.platform]
    same = [run for run in here if not _differing(run.environment, environment)]
    told = {run.capabilities[capability].status for run in same}
    if len(told) == 1:
        return CapabilityStatus(
            status=told.pop(), basis="recorded", issues=codes, note=_recorded(same, environment)
        )
    if codes:
        return CapabilityStatus(status="fails", basis="issue", issues=codes)
    if told:
        note = f"recorded runs disagree ({_ids(same)}): it depends on more than these versions"
        return CapabilityStatus(status="unknown", basis="none", note=note)
    return _bracketed(capability, environment, here, matrix) or CapabilityStatus(
        status="unknown", basis="none", note=_elsewhere(capability, environment, runs, matrix)
    )


def _evidence(capability: Capability, environment: Environment, matrix: Matrix) -> list[Run]:
    """Return the runs that can speak for one capability of `environment`.

    They measured it on this minor version of Python, and the known issues about it that concern
    them are those that concern `environment`, or may do so where not everything is said.
    """
    if environment.duplicates.keys() & set(DECIDING):
        return []  # Nobody knows which of the versions would run.
    about = [i for i in matrix.issues if i.severity == "error" and capability in i.capabilities]
    certain = {issue.code for issue in about if applies(issue, environment)}
    possible = {issue.code for issue in about if _may_apply(issue, environment)}
    runs = []
    for run in matrix.runs:
        outcome = run.capabilities.get(capability)
        if outcome is None or outcome.status == "unknown":
            continue
        if environment.python and _minor(run.environment.python) != _minor(environment.python):
            continue
        theirs = {issue.code for issue in about if applies(issue, run.environment)}
        if certain <= theirs <= possible:
            runs.append(run)
    return runs


def _differing(measured: Environment, environment: Environment) -> list[str]:
    """Return the deciding distributions whose versions differ, of those that are said."""
    names = DECIDING if environment.complete else [n for n in DECIDING if n in environment.packages]
    return [
        name
        for name in names
        if _public(measured.packages.get(name)) != _public(environment.packages.get(name))
    ]


def _bracketed(
    capability: Capability, environment: Environment, runs: list[Run], matrix: Matrix
) -> CapabilityStatus | None:
    """Return what runs below and above in exactly one distribution agree on, if they do."""
    if not environment.complete:
        return None
    for name in DECIDING:
        version = _version(environment.packages.get(name))
        beside = [
            (measured, run)
            for run in runs
            if _differing(run.environment, environment) == [name]
            and (measured := _version(run.environment.packages.get(name)))
        ]
        lower = max((v for v, _ in beside if version and v < version), default=None)
        higher = min((v for v, _ in beside if version and v > version), default=None)
        if lower is None or higher is None or _boundary_between(name, lower, higher, matrix):
            continue
        nearest = [run for v, run in beside if v in (lower, higher)]
        told = {run.capabilities[capability].status for run in nearest}
        if len(told) == 1:
            status = told.pop()
            note = f"{status} with {name} {lower} and {higher} ({_ids(nearest)})"
            return CapabilityStatus(status=status, basis="bracketed", note=note)
    return None


def _boundary_between(name: str, lower: Version, higher: Version, matrix: Matrix) -> bool:
    """Return whether any known issue draws a line between two versions of a distribution."""
    return any(
        _splits(operator, version, lower, higher)
        for issue in matrix.issues
        for condition in issue.conditions
        for operator, version in _boundaries(condition.packages.get(name, ""))
    )


def _splits(operator: str, version: Version, lower: Version, higher: Version) -> bool:
    if operator in (">=", "<"):
        return lower < version <= higher
    if operator in (">", "<="):
        return lower <= version < higher
    return lower <= version <= higher


@cache
def _boundaries(specifier: str) -> tuple[tuple[str, Version], ...]:
    if specifier in ("", "*", "absent"):
        return ()
    return tuple(
        (each.operator, Version(each.version.removesuffix(".*")))
        for each in SpecifierSet(specifier)
    )


def _inherited(
    capability: Capability,
    own: CapabilityStatus,
    known: Mapping[Capability, CapabilityStatus],
    environment: Environment,
) -> CapabilityStatus:
    """Return `own`, or a failure where something fails that the capability needs."""
    needs = NEEDS.get(capability, ())
    if capability == "import" and not environment.complete:
        needs = ("install",)  # What is installed already has been installed somehow.
    for need in needs:
        if own.status != "fails" and known[need].status == "fails":
            root = known[need].note if known[need].note.startswith("needs ") else f"needs {need}"
            return replace(known[need], note=root)
    return own


def _recorded(runs: list[Run], environment: Environment) -> str:
    unsaid = [name for name in DECIDING if name not in environment.packages]
    assumed = sorted(
        {
            f"{name} {run.environment.packages.get(name, 'absent')}"
            for run in runs
            for name in unsaid
            if not environment.complete and name in run.environment.packages
        }
    )
    if not environment.python:
        assumed += sorted({f"Python {_minor(run.environment.python)}" for run in runs})
    note = f"run {_ids(runs)}"
    return f"{note}; assumed: {', '.join(assumed)}" if assumed else note


def _elsewhere(
    capability: Capability, environment: Environment, runs: list[Run], matrix: Matrix
) -> str:
    """Return what is recorded of the same versions without being an answer here."""
    told = sorted(
        {
            f"{run.capabilities[capability].status} on {run.environment.platform}"
            for run in runs
            if run.environment.platform != environment.platform
            and not _differing(run.environment, environment)
        }
    )
    if told:
        return f"{', '.join(told)}, never run on {environment.platform}"
    for run in matrix.runs:
        if run.environment.platform == environment.platform and capability not in run.capabilities:
            same_python = _minor(run.environment.python) == _minor(environment.python)
            if same_python and not _differing(run.environment, environment):
                return f"run {run.id} did not try it"
    return "never run with these versions"


def _ids(runs: list[Run]) -> str:
    first, *rest = sorted(run.id for run in runs)
    return f"{first} and {len(rest)} more" if rest else first


def _named(issue: KnownIssue, environment: Environment) -> tuple[str, ...]:
    """Return the distributions in the condition that applies, installed or missing."""
    unsaid = _Unsaid(packages=False, system=issue.severity == "warning")
    for each in issue.conditions:
        if _holds(each, environment, unsaid):
            duplicated = [name for name in each.duplicates if name in environment.duplicates]
            return tuple(dict.fromkeys([*each.packages, *duplicated]))
    return ()


def _urgency(issue: KnownIssue) -> tuple[bool, int, str]:
    """Sort errors first, and within them what a user meets first."""
    first = min((CAPABILITIES.index(c) for c in issue.capabilities), default=len(CAPABILITIES))
    return issue.severity != "error", first, issue.code


def _is_row(row: Row, environment: Environment) -> bool:
    return (
        environment.platform in row.platforms
        and environment.python != ""
        and _contains(row.python, environment.python)
        and all(
            _public(environment.packages.get(name)) == _public(None if v == "absent" else v)
            for name, v in row.packages.items()
        )
    )


def _narrowed(environment: Environment, matrix: Matrix) -> Environment:
    """Leave only the distributions that matter: the others are nobody's business."""
    relevant = {*DECIDING, "pip"}
    for issue in matrix.issues:
        for condition in issue.conditions:
            relevant.update(condition.packages)
    packages = {name: v for name, v in environment.packages.items() if name in relevant}
    return replace(environment, packages=packages)


@cache
def _contains(specifier: str, version: str) -> bool:
    """Return whether a specifier of a known issue holds for an installed version.

    Local versions are left out of account (`2.9.1+cu128` is 2.9.1), and a pre-release counts as
    the release that it precedes: what a release removes, its nightlies have removed.
    """
    if specifier in ("*", "absent"):
        return specifier == "*"
    parsed = _version(version)
    return parsed is not None and SpecifierSet(specifier).contains(parsed.base_version)


@cache
def _version(text: str | None) -> Version | None:
    try:
        return Version(text) if text else None
    except InvalidVersion:
        return None


@cache
def _public(version: str | None) -> str | None:
    parsed = _version(version)
    return str(Version(parsed.public)) if parsed else version


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
