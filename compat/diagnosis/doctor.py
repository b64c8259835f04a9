"""Diagnoses an environment: pure, from an Environment and the Matrix to a Diagnosis.

What was measured comes before what is believed. What was not measured and is not known to fail is
expected to work only between boundaries within which it worked; how often that was right is
measured too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xcompat.diagnosis.assumptions import assumed
from xcompat.diagnosis.conditions import Unsaid, applies, applying, codes_of, concerns, holds_for
from xcompat.diagnosis.evidence import (
    RUNTIME,
    STOCK,
    Evidence,
    bracketed,
    differing,
    elsewhere_note,
    ids_of,
    recorded_note,
    unsaid_by,
)
from xcompat.diagnosis.patched import answered_in, matrix_beside, with_patches
from xcompat.diagnosis.regimes import Regimes
from xcompat.domain import (
    CAPABILITIES,
    DECIDING,
    NEEDED,
    NEEDS,
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
    with_needs,
)
from xcompat.domain.versions import public

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xcompat.diagnosis.evidence import Column

    _Asked = tuple[int, tuple[Capability, ...], bool]


def diagnose(
    environment: Environment,
    matrix: Matrix,
    needed: tuple[Capability, ...] = NEEDED,
    *,
    strict: bool = False,
) -> Diagnosis:
    """Return what is known of `environment`; the verdict is about the capabilities in `needed`.

    Args:
        environment: Installed, or pins.
        matrix: What is recorded.
        needed: What the verdict is about.
        strict: Take nothing for an answer but runs of these versions, or runs on both sides.
    """
    return Doctor(matrix).diagnose(environment, needed, strict=strict)


class _Case(NamedTuple):
    """What an expectation is about."""

    whole: Environment
    """What is installed, or what pins make."""
    issues: list[KnownIssue]
    """That concern it."""
    doubtful: list[KnownIssue]
    """That may concern it or not."""
    guessed: frozenset[str]
    """Distributions whose versions are those that another Python got."""


class Doctor:
    """Diagnoses any number of environments by one matrix; each of them once.

    Args:
        matrix: What is recorded.
    """

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self._told: dict[_Asked, tuple[Environment, Diagnosis]] = {}
        self._regimes = Regimes(matrix)
        self._concerning: dict[str, frozenset[str]] = {}
        self._issues = {issue.code: issue for issue in matrix.issues}

    def diagnose(
        self,
        environment: Environment,
        needed: tuple[Capability, ...] = NEEDED,
        *,
        strict: bool = False,
    ) -> Diagnosis:
        """Return what is known of `environment`; the verdict is about `needed`."""
        asked = id(environment), needed, strict
        if asked not in self._told:
            # The environment is kept with its answer: what is gone may leave its id to another.
            self._told[asked] = environment, self._diagnose(environment, needed, strict=strict)
        return self._told[asked][1]

    def _diagnose(
        self, environment: Environment, needed: tuple[Capability, ...], *, strict: bool
    ) -> Diagnosis:
        plain = self._by_versions(environment, needed, strict=strict)
        answered = {} if strict else answered_in(plain)
        if not answered:
            return plain
        other = Doctor(matrix_beside(answered, self.matrix, self._codes))
        beside = other._by_versions(environment, needed, strict=False)
        capabilities = {
            capability: with_patches(told, beside.capabilities[capability], answered)
            for capability, told in plain.capabilities.items()
        }
        used = {
            code: answered[code]
            for capability, told in plain.capabilities.items()
            for code in told.issues
            if code in answered and capabilities[capability].status == "works" != told.status
        }
        if not used:
            return plain
        return plain._replace(
            capabilities=capabilities,
            verdict=verdict_of(capabilities, needed),
            change_nothing=_change_nothing(capabilities, plain.runtime, needed),
            patched=used,
            unpatched=plain,
        )

    def _by_versions(
        self, environment: Environment, needed: tuple[Capability, ...], *, strict: bool
    ) -> Diagnosis:
        """Return what is known whatever an app patches."""
        told = None if environment.complete or strict else assumed(environment, self.matrix)
        whole = told.environment if told else environment
        matrix = self.matrix
        evidence = Evidence(environment, matrix, self._codes)
        issues = [issue for issue in matrix.issues if applies(issue, environment)]
        likely = [issue for issue in matrix.issues if applies(issue, whole)] if told else issues
        case = _Case(
            whole=whole,
            issues=likely,
            doubtful=_doubtful(matrix, whole, told.unsure) if told and told.unsure else [],
            guessed=told.guessed if told else frozenset(),
        )
        expects = not strict and (told is not None or environment.complete)
        capabilities: dict[Capability, CapabilityStatus] = {}
        runtime: dict[Capability, CapabilityStatus] = {}
        for capability in CAPABILITIES:
            own = _status(capability, environment, matrix, issues, evidence)
            if own.status == "unknown" and expects and not own.issues:
                own = self._likely(capability, case, STOCK, own)
            elif own.status == "fails" and not own.issues:
                own = own._replace(issues=_claimed(capability, likely))
            capabilities[capability] = _inherited(capability, own, capabilities, environment)
            mended = _with_runtime(capability, environment, issues, evidence)
            if mended.status == "unknown" and expects and not mended.issues:
                mended = self._likely(capability, case, RUNTIME, mended)
            runtime[capability] = _inherited(capability, mended, runtime, environment)
        used = {code for told in capabilities.values() for code in told.issues}
        found = issues + [each for each in likely if each.code in used and each not in issues]
        return Diagnosis(
            environment=_narrowed(environment, matrix),
            needed=needed,
            verdict=verdict_of(capabilities, needed),
            capabilities=capabilities,
            findings=tuple(
                _finding(issue, environment if issue in issues else whole)
                for issue in sorted(found, key=lambda each: _urgency(each, said=each in issues))
                if not _said_by_another(issue, issues, environment)
            ),
            row=next((row.id for row in matrix.rows if _is_row(row, environment)), None),
            runtime=runtime,
            change_nothing=_change_nothing(capabilities, runtime, needed),
            assumed=told.added if told else {},
            assumed_python=told.python if told else "",
            beyond=self._regimes.beyond(whole),
        )

    def _likely(
        self, capability: Capability, case: _Case, column: Column, unknown: CapabilityStatus
    ) -> CapabilityStatus:
        """Return what is to be expected of a capability, of which no run tells."""
        path = with_needs(capability)
        doubts = [i.code for i in case.doubtful if not path.isdisjoint(column.claims(i))]
        if doubts:
            return unknown._replace(note=f"nobody can tell whether {doubts[0]} concerns these pins")
        codes = tuple(issue.code for issue in case.issues if capability in column.claims(issue))
        if codes:
            return CapabilityStatus(status="fails", basis="issue", issues=codes)
        if any(not path.isdisjoint(column.claims(issue)) for issue in case.issues):
            return unknown  # It inherits the failure of what it needs.

        def explained(run: Run) -> bool:
            return any(path & set(column.claims(self._issues[code])) for code in self._codes(run))

        about = (issue for issue in case.issues if not path.isdisjoint(issue.capabilities))
        warned = {issue.code for issue in about if _warns(issue, case.whole)}

        def speaks_for(run: Run) -> bool:
            return not warned or warned <= self._codes(run)

        why = self._regimes.why_not(case.whole)
        told = (
            None
            if why
            else self._regimes.expected(
                capability,
                case.whole,
                column,
                explained=explained,
                speaks_for=speaks_for,
                guessed=case.guessed,
            )
        )
        if told is None:
            return unknown._replace(note=why or unknown.note)
        return CapabilityStatus(
            status="works",
            basis="expected",
            note=told.note,
            support=tuple(run.id for run in told.runs),
            trials=self.matrix.calibration.get(("versions", column.name, capability, "expected")),
        )

    def _codes(self, run: Run) -> frozenset[str]:
        """Return the known issues that concern a run for certain."""
        if run.id not in self._concerning:
            nothing = Unsaid(packages=False, system=False)
            self._concerning[run.id] = codes_of(run.environment, self.matrix, nothing)
        return self._concerning[run.id]


def _warns(issue: KnownIssue, environment: Environment) -> bool:
    """Return whether an issue warns of what versions show, and not of what could not be seen."""
    return issue.severity == "warning" and concerns(
        issue, environment, Unsaid(packages=False, system=False)
    )


def _claimed(capability: Capability, issues: list[KnownIssue]) -> tuple[str, ...]:
    """Return the errors among issues that say why a capability fails."""
    return tuple(issue.code for issue in issues if capability in STOCK.claims(issue))


def _doubtful(matrix: Matrix, whole: Environment, unsure: frozenset[str]) -> list[KnownIssue]:
    """Return the issues that concern an environment only with, or only without, some packages."""
    packages = {name: v for name, v in whole.packages.items() if name not in unsure}
    without = whole._replace(packages=packages)
    return [issue for issue in matrix.issues if applies(issue, whole) != applies(issue, without)]


def verdict_of(
    capabilities: Mapping[Capability, CapabilityStatus], needed: tuple[Capability, ...]
) -> Verdict:
    """Return whether all that is needed works, something of it fails, or nobody knows."""
    statuses = {capabilities[capability].status for capability in needed}
    if "fails" in statuses:
        return "incompatible"
    return "unknown" if "unknown" in statuses else "compatible"


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
    runs = evidence.of(capability, STOCK)
    here = [run for run in runs if run.environment.platform == environment.platform]
    same = _of_these_versions(runs, environment)
    told = {run.capabilities[capability].status for run in same}
    unsaid = unsaid_by(environment, same)
    if told == {"works"} and (need := _in_dispute(capability, environment, evidence)):
        # Only the runs in which the need worked came so far.
        return CapabilityStatus(status="unknown", basis="none", note=f"needs {need}")
    if len(told) == 1 and not (told == {"works"} and unsaid):
        return CapabilityStatus(
            status=told.pop(),
            basis="recorded",
            issues=codes,
            note=recorded_note(capability, same, environment),
            support=tuple(run.id for run in same),
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


def _of_these_versions(runs: Iterable[Run], environment: Environment) -> list[Run]:
    """Return the runs of the deciding versions and the platform of an environment."""
    return [
        run
        for run in runs
        if run.environment.platform == environment.platform
        and not differing(run.environment, environment)
    ]


def _in_dispute(capability: Capability, environment: Environment, evidence: Evidence) -> str:
    """Return what the capability needs and runs of these versions disagree about; else nothing."""
    path = with_needs(capability) - {"install", capability}
    for need in (each for each in CAPABILITIES if each in path):
        told = {
            run.capabilities[need].status
            for run in _of_these_versions(evidence.of(need, STOCK), environment)
        }
        if len(told) > 1:
            return need
    return ""


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
    doubts = [i.code for i in issues if capability in i.capabilities and _is_doubt(i)]
    if doubts:
        return nothing._replace(issues=tuple(doubts))
    same = [
        run
        for run in evidence.of(capability, RUNTIME)
        if run.environment.platform == environment.platform
        and not differing(run.environment, environment)
    ]
    told = {run.runtime_capabilities[capability].status for run in same}
    if len(told) != 1 or (told == {"works"} and unsaid_by(environment, same)):
        return nothing
    note = recorded_note(capability, same, environment)
    return CapabilityStatus(
        status=told.pop(), basis="recorded", note=note, support=tuple(run.id for run in same)
    )


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
            return known[need]._replace(note=root)
    return own


def _finding(issue: KnownIssue, environment: Environment) -> Finding:
    """Return a finding, with what makes the issue apply: distributions and signs."""
    each = next(iter(applying(issue, environment)), Condition())
    duplicated = [name for name in each.duplicates if name in environment.duplicates]
    return Finding(
        issue=issue,
        packages=tuple(dict.fromkeys([*each.packages, *duplicated])),
        seen=tuple(seen for sign in each.signs for seen in environment.signs.get(sign, ())),
    )


def _said_by_another(issue: KnownIssue, issues: list[KnownIssue], environment: Environment) -> bool:
    """Return whether an error claims under the same condition what a warning only suspects."""
    if issue.severity == "error":
        return False
    claimed = [each for other in issues if other.severity == "error" for each in other.conditions]
    return all(each.system and each in claimed for each in applying(issue, environment))


def _urgency(issue: KnownIssue, *, said: bool) -> tuple[bool, bool, int, str]:
    """Sort errors first, then what is not only assumed, and then what a user meets first."""
    first = min((CAPABILITIES.index(c) for c in issue.capabilities), default=len(CAPABILITIES))
    return issue.severity != "error", not said, first, issue.code


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
    return environment._replace(packages=packages)
