"""Says what works only because the app patches it: pure.

A patch answers a known issue that names it. What was run in spite of the issue tells nothing then,
so that the answer rests on the other issues and runs, and is expected at best.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.domain import Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from xcompat.domain import CapabilityStatus, Diagnosis, Environment, Matrix, Run

_OF_THE_SHELL = "weights-only-off"
"""The sign of a variable that stands in for a patch."""


def patches_of(environment: Environment) -> dict[str, Patch]:
    """Return what is patched in an environment, by its name."""
    variables = [told.partition("=")[0] for told in environment.signs.get(_OF_THE_SHELL, ())]
    return {name: Patch(name, "") for name in variables} | {p.name: p for p in environment.patches}


def answered_in(plain: Diagnosis) -> dict[str, Patch]:
    """Return the issues that are patched, by code; none where no failure is among them."""
    patches = patches_of(plain.environment)
    answered: dict[str, Patch] = {}
    if not patches:
        return answered
    for finding in plain.findings:
        known = next((patches[name] for name in finding.issue.patches if name in patches), None)
        if known:
            answered[finding.issue.code] = known
    fails = any(f.issue.severity == "error" for f in plain.findings if f.issue.code in answered)
    return answered if fails else {}


def matrix_beside(
    answered: Mapping[str, Patch], matrix: Matrix, codes: Callable[[Run], frozenset[str]]
) -> Matrix:
    """Return what is known apart from these issues, and from the runs that they concern."""
    return matrix._replace(
        issues=tuple(issue for issue in matrix.issues if issue.code not in answered),
        runs=tuple(run for run in matrix.runs if answered.keys().isdisjoint(codes(run))),
    )


def with_patches(
    own: CapabilityStatus, beside: CapabilityStatus, answered: Mapping[str, Patch]
) -> CapabilityStatus:
    """Return what is to be said of a capability.

    Args:
        own: What is known of the versions.
        beside: The same by `matrix_beside`.
        answered: The issues that are patched.
    """
    if own.status == "works" or answered.keys().isdisjoint(own.issues):
        return own
    told = told_of(answered[code] for code in own.issues if code in answered)
    if beside.status == "works":
        note = f"the app patches it: {told}"
        return beside._replace(basis="expected", note=note, trials=None)
    if beside.status == "unknown":
        return beside._replace(note=f"the app patches it: {told}; {beside.note}")
    return beside


def told_of(patches: Iterable[Patch]) -> str:
    """Return what is patched and where, in one phrase."""
    once = dict.fromkeys(patches)
    return ", ".join(f"{p.name} ({p.place})" if p.place else f"{p.name} is set" for p in once)


def of_no_issue(environment: Environment, answered: Mapping[str, Patch]) -> tuple[Patch, ...]:
    """Return what is patched and answers nothing that is known here: its effect was not read."""
    known = set(answered.values())
    return tuple(each for each in environment.patches if each not in known)
