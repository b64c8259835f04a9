"""Finds the smallest change that makes an environment work: pure, from values to a Plan.

What is proposed was run: a row, or another recorded run in which all that is needed worked. Only
where nothing recorded holds the constraints is the nearest of them adapted, and the proposal says
that nobody has run it. The doctor judges what comes out as it would judge the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.diagnosis.doctor import Doctor
from xcompat.domain import DECIDING, Diagnosis, Environment, Matrix
from xcompat.domain.plan import Constraint, Plan, Proposal
from xcompat.domain.versions import public
from xcompat.resolution.conflict import conflict_of
from xcompat.resolution.knowledge import Combination, Knowledge
from xcompat.resolution.proposals import proposal_of
from xcompat.resolution.specifiers import meets
from xcompat.resolution.ways import Question, Way, first_of, way_of, ways_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def plan(
    environment: Environment,
    matrix: Matrix,
    constraints: Sequence[Constraint] = (),
    doctor: Doctor | None = None,
) -> Plan:
    """Return the proposals that make `environment` work under `constraints`, the best first.

    They rank by what changes for the user, the least first; then by the capabilities that fail, by
    the strength of their evidence, by what they cost, and by how new they are. An environment that
    works already is its own best. What pins leave out is assumed, as the doctor assumes it.

    Without any proposal, the plan has the conflict that prevents one.

    Args:
        environment: Installed, or pins.
        matrix: What is recorded.
        constraints: What must hold.
        doctor: One who has read that matrix, and may have looked at the environment already.
    """
    knowledge = Knowledge(doctor or Doctor(matrix))
    question = Question.of(environment, knowledge, constraints)
    now = question.now()
    proposals = tuple(_proposals(question, now))
    installed = question.environment.packages
    kept = all(meets(spec, installed.get(name)) for name, spec in question.keep.items())
    return Plan(
        environment=environment,
        constraints=tuple(constraints),
        needed=question.needed,
        now=now,
        proposals=proposals,
        change_nothing=now.change_nothing if kept else (),
        conflict=None if proposals else conflict_of(question),
    )


def _proposals(question: Question, now: Diagnosis) -> Iterator[Proposal]:
    if way := _as_it_is(question, now):
        yield proposal_of(question, way, ())
        return
    ways = ways_of(question)
    if now.verdict == "compatible" or (
        now.verdict == "unknown" and not question.environment.complete
    ):
        # It works, and is untidy or not said in full: what decides stays as it is.
        ways = [way for way in ways if _leaves_versions(way)] or ways
    best = first_of(question, ways)
    if best is None:
        return
    chosen = [best]
    only_adds = best.cost == 0 and best.combination.family in question.environment.packages
    if best.changes and not only_adds:
        others = [way for way in ways if way.combination.family != best.combination.family]
        other = first_of(question, others)
        if other and question.judged(other).verdict == question.judged(best).verdict:
            chosen.append(other)
    for way in chosen:
        yield proposal_of(question, way, _selector(question, way, ways))


def _leaves_versions(way: Way) -> bool:
    return all(
        change.now is None or public(change.now) == change.then
        for change in way.changes
        if change.name in DECIDING
    )


def _as_it_is(question: Question, now: Diagnosis) -> Way | None:
    """Return the way that changes nothing, if the environment works, holds all, and is tidy."""
    environment = question.environment
    installed = environment.packages
    if (
        now.verdict != "compatible"
        or not environment.complete
        or not all(meets(spec, installed.get(name)) for name, spec in question.keep.items())
    ):
        return None
    there = {name: str(public(installed[name])) for name in DECIDING if name in installed}
    run = next((each for each in question.suitable() if each.packages == there), None)
    way = way_of(
        question,
        Combination(
            packages=there,
            works=question.required,
            recorded=environment,
            runs=run.runs if run and not run.here else (),
            row=None,
            distance=run.distance if run else (False, False),
        ),
        installed=True,
    )
    return way if way and not way.changes else None


def _selector(question: Question, way: Way, ways: Sequence[Way]) -> tuple[str, ...]:
    """Return what to keep beside what is kept already, so that this way comes first."""
    keep: dict[str, str] = {}
    left = list(ways)
    for name in DECIDING:
        if left[0] is way:
            break
        version = way.combination.packages.get(name)
        if version and left[0].combination.packages.get(name) != version:
            keep[name] = f"=={version}"
            narrower = question._replace(keep=keep)
            left = [each for each in left if narrower.holds(each.combination.packages)]
    return tuple(name + specifier for name, specifier in keep.items()) if left[0] is way else ()
