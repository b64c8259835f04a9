"""Diagnoses an environment: pure, from an Environment and the Matrix to a Diagnosis.

What was measured comes before what is believed, and what was neither measured nor is known to fail
is unknown: the doctor never says yes to a combination that was not run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xcompat.diagnosis.conditions import Unsaid, applies, codes_of, holds, holds_for
from xcompat.diagnosis.evidence import (
    Evidence,
    bracketed,
    differing,
    elsewhere_note,
    ids_of,
    recorded_note,
    stock,
    through_runtime,
    unsaid_by,
)
from xcompat.domain import (
    CAPABILITIES,
    DECIDING,
    NEEDED,
    NEEDS,
    Capability,
    CapabilityStatus,
    Diagnosis,
    Environment,
    Finding,
    KnownIssue,
    Matrix,
    Row,
    Run,
    Verdict,
)
from xcompat.domain.versions import public

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        evidence = Evidence(environment, self._matrix, self._codes)
        return _diagnosis(environment, self._matrix, needed, evidence)

    def _codes(self, run: Run) -> frozenset[str]:
        """Return the known issues that concern a run for certain."""
        if run.id not in self._concerning:
            nothing = Unsaid(packages=False, system=False)
            self._concerning[run.id] = codes_of(run.environment, self._matrix, nothing)
        return self._concerning[run.id]


def _diagnosis(
    environment: Environment, matrix: Matrix, needed: tuple[Capability, ...], evidence: Evidence
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


def _status(
    capability: Capability,
    environment: Environment,
    matrix: Matrix,
    issues: list[KnownIssue],
    evidence: Evidence,
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
    runs = evidence.of(capability, stock)
    here = [run for run in runs if run.environment.platform == environment.platform]
    same = [run for run in here if not differing(run.environment, environment)]
    told = {run.capabilities[capability].status for run in same}
    unsaid = unsaid_by(environment, same)
    if len(told) == 1 and not (told == {"works"} and unsaid):
        return CapabilityStatus(
            status=told.pop(),
            basis="recorded",
            issues=codes,
            note=recorded_note(capability, same, environment),
        )
    if codes:
        return CapabilityStatus(status="fails", basis="issue", issues=codes)
    if told:
        note = f"recorded runs disagree ({ids_of(same)}): it depends on more than these versions"
        if unsaid:
            note = f"no version is said for {' and '.join(unsaid)}"
        return CapabilityStatus(status="unknown", basis="none", note=note)
    return bracketed(capability, environment, here, matrix) or CapabilityStatus(
        status="unknown", basis="none", note=elsewhere_note(capability, environment, runs, matrix)
    )


def _with_runtime(
    capability: Capability,
    environment: Environment,
    issues: list[KnownIssue],
    evidence: Evidence,
) -> CapabilityStatus:
    """Return what was run of a capability with the xcompat runtime in these very versions.

    Known issues tell of the stock path, so no issue and no neighbour speaks for the runtime.
    """
    nothing = CapabilityStatus(status="unknown", basis="none")
    if any(capability in issue.capabilities and _is_doubt(issue) for issue in issues):
        return nothing
    same = [
        run
        for run in evidence.of(capability, through_runtime)
        if run.environment.platform == environment.platform
        and not differing(run.environment, environment)
    ]
    told = {run.runtime_capabilities[capability].status for run in same}
    if len(told) != 1 or (told == {"works"} and unsaid_by(environment, same)):
        return nothing
    note = recorded_note(capability, same, environment)
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


def _finding(issue: KnownIssue, environment: Environment) -> Finding:
    """Return a finding, with what makes the issue apply: distributions and signs."""
    unsaid = Unsaid(packages=False, system=issue.severity == "warning")
    for each in issue.conditions:
        if holds(each, environment, unsaid):
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
    unsaid = Unsaid(packages=False, system=True)
    claimed = [each for other in issues if other.severity == "error" for each in other.conditions]
    return all(
        each.system and each in claimed
        for each in issue.conditions
        if holds(each, environment, unsaid)
    )


def _urgency(issue: KnownIssue) -> tuple[bool, int, str]:
    """Sort errors first, and within them what a user meets first."""
    first = min((CAPABILITIES.index(c) for c in issue.capabilities), default=len(CAPABILITIES))
    return issue.severity != "error", first, issue.code


def _is_row(row: Row, environment: Environment) -> bool:
    return (
        environment.platform in row.platforms
        and environment.python != ""
        and holds_for(row.python, environment.python)
        and all(
            public(environment.packages.get(name)) == public(None if v == "absent" else v)
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
