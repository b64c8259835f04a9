"""Diagnoses an environment: pure, from an Environment and the Matrix to a Diagnosis.

What was measured comes before what is believed, and what was neither measured nor is known to fail
is unknown: the doctor never says yes to a combination that was not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from xcompat.domain import (
    CAPABILITIES,
    DAMAGE,
    DECIDING,
    SAME_FILES,
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
    distribution_name,
    minor_of,
)
from xcompat.matrix.specifier import clauses, contains

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xcompat.domain import CapabilityOutcome

    _Outcomes = Callable[[Run], Mapping[Capability, CapabilityOutcome]]

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

_INDISPENSABLE = ("torch", "torchaudio", "transformers")
"""Distributions without whose versions nobody knows what would be installed."""
_BESIDE = re.compile(r"--(?:with '|(?=torchcodec ))([\w.-]+)")
"""What a run asked for that no TTS brings along: torchcodec, and whatever was named `--with`."""
_SPOKEN: tuple[Capability, ...] = ("speak", "stream", "api")
"""What a run did with an English sentence."""


def diagnose(
    environment: Environment, matrix: Matrix, needed: tuple[Capability, ...] = NEEDED
) -> Diagnosis:
    """Return what is known of `environment`; the verdict is about the capabilities in `needed`."""
    return Doctor(matrix).diagnose(environment, needed)


class Doctor:
    """Diagnoses any number of environments by one matrix.

    Args:
        matrix: What is recorded.
    """

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._concerning: dict[str, frozenset[str]] = {}

    def diagnose(
        self, environment: Environment, needed: tuple[Capability, ...] = NEEDED
    ) -> Diagnosis:
        """Return what is known of `environment`; the verdict is about `needed`."""
        evidence = _Evidence(environment, self._matrix, self._codes)
        return _diagnosis(environment, self._matrix, needed, evidence)

    def _codes(self, run: Run) -> frozenset[str]:
        """Return the known issues that concern a run for certain."""
        if run.id not in self._concerning:
            nothing = _Unsaid(packages=False, system=False)
            self._concerning[run.id] = _codes(run.environment, self._matrix, nothing)
        return self._concerning[run.id]


def _diagnosis(
    environment: Environment, matrix: Matrix, needed: tuple[Capability, ...], evidence: _Evidence
) -> Diagnosis:
    issues = [issue for issue in matrix.issues if applies(issue, environment)]
    capabilities: dict[Capability, CapabilityStatus] = {}
    for capability in CAPABILITIES:
        own = _status(capability, environment, matrix, issues, evidence)
        capabilities[capability] = _inherited(capability, own, capabilities, environment)
    runtime = {
        capability: _with_runtime(capability, environment, issues, evidence)
        for capability in CAPABILITIES
    }
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
            _finding(issue, environment)
            for issue in sorted(issues, key=_urgency)
            if not _said_by_another(issue, issues, environment)
        ),
        row=next((row.id for row in matrix.rows if _is_row(row, environment)), None),
        runtime=runtime,
        change_nothing=_change_nothing(capabilities, runtime, needed),
    )


def applies(issue: KnownIssue, environment: Environment) -> bool:
    """Return whether a known issue concerns `environment`, as far as can be told.

    A warning applies as well where its `system` condition cannot be checked.
    """
    unsaid = _Unsaid(packages=False, system=issue.severity == "warning")
    return _concerns(issue, environment, unsaid)


def _concerns(issue: KnownIssue, environment: Environment, unsaid: _Unsaid) -> bool:
    for condition in issue.conditions:  # noqa: SIM110 - a third of the time of `any` with a generator
        if _holds(condition, environment, unsaid):
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Unsaid:
    """What to answer where an environment says nothing."""

    packages: bool
    """About a distribution that pins do not name, or a Python version that is not given."""
    system: bool
    """About what cannot be read from an installation."""


def _holds(condition: Condition, environment: Environment, unsaid: _Unsaid) -> bool:
    """Return whether all parts of a condition hold; what most of them fail at is asked first."""
    packages = environment.packages
    for name, wanted in condition.packages.items():
        version = packages.get(name)
        if version is None:
            if not _missing_holds(name, wanted, environment, unsaid):
                return False
        elif not _contains(wanted, version):
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


def _missing_holds(name: str, wanted: str, environment: Environment, unsaid: _Unsaid) -> bool:
    if environment.complete or _is_absent(name, environment):
        return wanted == "absent"
    return unsaid.packages


def _is_absent(name: str, environment: Environment) -> bool:
    """Return whether a distribution that is not named is not there.

    Pins leave out much that will be installed, but whoever names one of `TTS` and `coqui-tts` does
    not mean to have the other, nor what belongs to it.
    """
    if environment.complete:
        return name not in environment.packages
    for family in range(2):
        said, other = SAME_FILES[0][family], SAME_FILES[0][1 - family]
        if said in environment.packages and other not in environment.packages:
            return name in {pair[1 - family] for pair in SAME_FILES} - environment.packages.keys()
    return False


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
    evidence: _Evidence,
) -> CapabilityStatus:
    about = [issue for issue in issues if capability in issue.capabilities]
    doubts = [issue for issue in about if _is_doubt(issue)]
    if doubts:
        return CapabilityStatus(
            status="unknown",
            basis="none",
            issues=tuple(issue.code for issue in doubts),
            note="it depends on more than versions",
        )
    codes = tuple(issue.code for issue in about if issue.severity == "error")
    runs = evidence.of(capability, _stock)
    here = [run for run in runs if run.environment.platform == environment.platform]
    same = [run for run in here if not _differing(run.environment, environment)]
    told = {run.capabilities[capability].status for run in same}
    unsaid = _unsaid(environment, same)
    if len(told) == 1 and not (told == {"works"} and unsaid):
        return CapabilityStatus(
            status=told.pop(),
            basis="recorded",
            issues=codes,
            note=_recorded(capability, same, environment),
        )
    if codes:
        return CapabilityStatus(status="fails", basis="issue", issues=codes)
    if told:
        note = f"recorded runs disagree ({_ids(same)}): it depends on more than these versions"
        if unsaid:
            note = f"no version is said for {' and '.join(unsaid)}"
        return CapabilityStatus(status="unknown", basis="none", note=note)
    return _bracketed(capability, environment, here, matrix) or CapabilityStatus(
        status="unknown", basis="none", note=_elsewhere(capability, environment, runs, matrix)
    )


def _with_runtime(
    capability: Capability,
    environment: Environment,
    issues: list[KnownIssue],
    evidence: _Evidence,
) -> CapabilityStatus:
    """Return what was run of a capability with the xcompat runtime in these very versions.

    Known issues tell of the stock path, so no issue and no neighbour speaks for the runtime.
    """
    nothing = CapabilityStatus(status="unknown", basis="none")
    if any(capability in issue.capabilities and _is_doubt(issue) for issue in issues):
        return nothing
    same = [
        run
        for run in evidence.of(capability, _through_runtime)
        if run.environment.platform == environment.platform
        and not _differing(run.environment, environment)
    ]
    told = {run.runtime_capabilities[capability].status for run in same}
    if len(told) != 1 or (told == {"works"} and _unsaid(environment, same)):
        return nothing
    note = _recorded(capability, same, environment)
    return CapabilityStatus(status=told.pop(), basis="recorded", note=note)


def _change_nothing(
    stock: Mapping[Capability, CapabilityStatus],
    runtime: Mapping[Capability, CapabilityStatus],
    needed: tuple[Capability, ...],
) -> tuple[Capability, ...]:
    """Return what the runtime mends, if it delivers all that is needed."""
    if any(runtime[capability].status != "works" for capability in needed):
        return ()
    return tuple(
        capability
        for capability, told in stock.items()
        if told.status == "fails" and runtime[capability].status == "works"
    )


def _is_doubt(issue: KnownIssue) -> bool:
    """Return whether an issue means that versions do not decide: it claims no failure itself."""
    return issue.severity == "warning" and any(each.signs for each in issue.conditions)


def _unsaid(environment: Environment, runs: list[Run]) -> list[str]:
    """Return what pins must say before these runs can say that anything works.

    Among it is what the runs asked for beside TTS and what decides: nothing else need bring it.
    """
    if environment.complete:
        return []
    missing = [name for name in _INDISPENSABLE if name not in environment.packages]
    if not {"TTS", "coqui-tts"} & environment.packages.keys():
        missing.insert(0, "TTS or coqui-tts")
    besides = [[name for name in _besides(run) if name not in environment.packages] for run in runs]
    return missing + min(besides, key=len, default=[])


def _besides(run: Run) -> list[str]:
    return [distribution_name(name) for name in _BESIDE.findall(run.command)]


class _Evidence:
    """The runs that can speak for an environment: found once for all capabilities.

    They measured it on this minor version of Python and this major version of numpy, and the known
    issues about a capability, or about what it needs, that concern them are those that concern
    the environment, or may do so where not everything is said.
    """

    def __init__(
        self, environment: Environment, matrix: Matrix, codes: Callable[[Run], frozenset[str]]
    ) -> None:
        self._environment = environment
        self._matrix = matrix
        spoiled = (
            # Nobody knows which of the versions would run.
            environment.duplicates.keys() & set(DECIDING) or environment.signs.keys() & DAMAGE
        )
        near = () if spoiled else (r for r in matrix.runs if _is_near(r.environment, environment))
        self._near = tuple((run, codes(run)) for run in near)

    def of(self, capability: Capability, outcomes: _Outcomes) -> list[Run]:
        """Return the runs that say whether a capability works."""
        path = _with_needs(capability)
        about = {issue.code for issue in self._matrix.issues if path & set(issue.capabilities)}
        return [
            run
            for run, theirs in self._near
            if (outcome := outcomes(run).get(capability))
            and outcome.status != "unknown"
            and self._certain & about <= theirs & about <= self._possible
        ]

    @cached_property
    def _certain(self) -> frozenset[str]:
        return _codes(self._environment, self._matrix, _Unsaid(packages=False, system=False))

    @cached_property
    def _possible(self) -> frozenset[str]:
        return _codes(self._environment, self._matrix, _Unsaid(packages=True, system=True))


def _codes(environment: Environment, matrix: Matrix, unsaid: _Unsaid) -> frozenset[str]:
    return frozenset(issue.code for issue in matrix.issues if _concerns(issue, environment, unsaid))


def _is_near(measured: Environment, environment: Environment) -> bool:
    """Return whether a run there can speak for `environment` as far as versions go."""
    return (
        (not environment.python or minor_of(measured.python) == minor_of(environment.python))
        # Neither the same versions nor a bracket: what issues concern it does not matter.
        and len(_differing(measured, environment)) <= 1
        and not _numpy_differs(measured, environment)
        and not measured.signs.keys() & DAMAGE
    )


def _stock(run: Run) -> Mapping[Capability, CapabilityOutcome]:
    return run.capabilities


def _through_runtime(run: Run) -> Mapping[Capability, CapabilityOutcome]:
    return run.runtime_capabilities


def _with_needs(capability: Capability) -> set[Capability]:
    """Return a capability and all that must work before it."""
    path: set[Capability] = {capability}
    for need in NEEDS.get(capability, ()):
        path |= _with_needs(need)
    return path


def _numpy_differs(measured: Environment, environment: Environment) -> bool:
    """Return whether both say which numpy they have, and it is 1 in one and 2 in the other."""
    versions = [_version(each.packages.get("numpy")) for each in (measured, environment)]
    return len({version.major for version in versions if version}) > 1


def _differing(measured: Environment, environment: Environment) -> list[str]:
    """Return the deciding distributions whose versions differ, of those that are said."""
    return [
        name
        for name in DECIDING
        if (name in environment.packages or _is_absent(name, environment))
        and _public(measured.packages.get(name)) != _public(environment.packages.get(name))
    ]


def _bracketed(
    capability: Capability, environment: Environment, runs: list[Run], matrix: Matrix
) -> CapabilityStatus | None:
    """Return what runs below and above in exactly one distribution agree on, if they do."""
    if not environment.complete:
        return None
    for name in DECIDING:
        version = _version(environment.packages.get(name))
        if version is None or version.is_prerelease:
            continue  # What a nightly holds, the releases around it do not tell.
        beside = [
            (measured, run)
            for run in runs
            if _differing(run.environment, environment) == [name]
            and (measured := _version(_public(run.environment.packages.get(name))))
            and not measured.is_prerelease
        ]
        lower = max((v for v, _ in beside if v < version), default=None)
        higher = min((v for v, _ in beside if v > version), default=None)
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


def _boundaries(specifier: str) -> tuple[tuple[str, Version], ...]:
    if specifier in ("", "*", "absent"):
        return ()
    return tuple((operator, version) for operator, version, _ in clauses(specifier))


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


def _recorded(capability: Capability, runs: list[Run], environment: Environment) -> str:
    unsaid = [name for name in DECIDING if name not in environment.packages]
    assumed = sorted(
        {
            f"{name} {run.environment.packages.get(name, 'absent')}"
            for run in runs
            for name in unsaid
            if not _is_absent(name, environment) and name in run.environment.packages
        }
    )
    if not environment.python:
        assumed += sorted({f"Python {minor_of(run.environment.python)}" for run in runs})
    if capability == "clone" and "torchcodec" in environment.packages:
        assumed += _assumed_ffmpeg(runs, environment)
    note = f"run {_ids(runs)}"
    if environment.language not in ("", "en") and capability in _SPOKEN:
        note += ", in English"
    return f"{note}; assumed: {', '.join(assumed)}" if assumed else note


def _assumed_ffmpeg(runs: list[Run], environment: Environment) -> list[str]:
    """Return the FFmpeg of the runs, where the one of `environment` is not known."""
    if "ffmpeg" in environment.system:
        return []
    measured = {run.environment.system.get("ffmpeg") for run in runs}
    return sorted(f"FFmpeg {version.partition('-')[0]}" for version in measured if version)


def _elsewhere(
    capability: Capability, environment: Environment, runs: list[Run], matrix: Matrix
) -> str:
    """Return what is recorded of the same versions without being an answer here."""
    if spoiled := environment.signs.keys() & DAMAGE:
        changed = "changed" if spoiled <= {"changed-files", "patched-load"} else "missing"
        return f"files are {changed}: no run speaks for such an environment"
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
            same_python = minor_of(run.environment.python) == minor_of(environment.python)
            if same_python and not _differing(run.environment, environment):
                return f"run {run.id} did not try it"
    return "never run with these versions"


def _ids(runs: list[Run]) -> str:
    first, *rest = sorted(run.id for run in runs)
    return f"{first} and {len(rest)} more" if rest else first


def _finding(issue: KnownIssue, environment: Environment) -> Finding:
    """Return a finding, with what makes the issue apply: distributions and signs."""
    unsaid = _Unsaid(packages=False, system=issue.severity == "warning")
    for each in issue.conditions:
        if _holds(each, environment, unsaid):
            duplicated = [name for name in each.duplicates if name in environment.duplicates]
            return Finding(
                issue=issue,
                packages=tuple(dict.fromkeys([*each.packages, *duplicated])),
                seen=tuple(seen for sign in each.signs for seen in environment.signs.get(sign, ())),
            )
    return Finding(issue=issue, packages=())


def _said_by_another(issue: KnownIssue, issues: list[KnownIssue], environment: Environment) -> bool:
    """Return whether an error claims under the same condition what a warning only suspects."""
    if issue.severity == "error":
        return False
    unsaid = _Unsaid(packages=False, system=True)
    claimed = [each for other in issues if other.severity == "error" for each in other.conditions]
    return all(
        each.system and each in claimed
        for each in issue.conditions
        if _holds(each, environment, unsaid)
    )


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
    return parsed is not None and contains(specifier, _release(parsed))


@cache
def _release(version: Version) -> Version:
    return Version(version.base_version)


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
