"""Why there is no way: constraints that cannot hold together, and what dropping each allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.diagnosis.conditions import applies
from xcompat.domain import CAPABILITIES, DECIDING, NEEDS, Capability, Environment, KnownIssue, Run
from xcompat.domain.plan import Conflict, Constraint
from xcompat.domain.versions import public
from xcompat.resolution.proposals import proposal_of
from xcompat.resolution.specifiers import meets
from xcompat.resolution.transition import Transition, choice
from xcompat.resolution.ways import (
    Question,
    all_adaptations,
    distance,
    first_of,
    is_possible,
    rank,
    way_of,
    ways_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def conflict_of(question: Question) -> Conflict:
    """Return constraints that cannot hold together, and what dropping each of them makes room for.

    Of all constraints one after the other is left out that is not needed for the conflict.
    """
    environment = question.asked
    everything = [
        *question.constraints,
        *([Constraint(kind="python", name=environment.python)] if environment.python else []),
        Constraint(kind="platform", name=environment.platform),
    ]
    together = list(everything)
    for each in everything:
        fewer = [other for other in together if other is not each]
        if not is_possible(_relaxed(question, fewer)):
            together = fewer
    ways_out = []
    for each in together:
        relaxed = _relaxed(question, [other for other in everything if other is not each])
        if best := first_of(relaxed, ways_of(relaxed)):
            if each.kind == "python":
                relaxed = relaxed.with_python_of(best)
                best = way_of(relaxed, best.combination) or best
            sure = relaxed.judged(best).verdict == "compatible"
            order = (not sure, bool(best.combination.adapted), rank(best))
            ways_out.append((order, each, proposal_of(relaxed, best, ())))
    return Conflict(
        constraints=tuple(together),
        issues=_in_the_way(_relaxed(question, together)),
        ways_out=tuple((each, way) for _, each, way in sorted(ways_out, key=lambda out: out[0])),
        runtime=_through_runtime(question),
    )


def _through_runtime(question: Question) -> Run | None:
    """Return the run nearest to what is there that holds everything where xcompat loads the model.

    Of equally near ones it is the last that was measured.
    """
    here = question.environment
    runs = [
        run
        for run in question.matrix.runs
        if distance(run.environment, here) == (False, False)
        and all(meets(s, run.environment.packages.get(n)) for n, s in question.keep.items())
        and (outcome := run.capabilities.get("install"))
        and outcome.status == "works"
        and all(
            (told := run.runtime_capabilities.get(capability)) and told.status == "works"
            for capability in question.required - {"install"}
        )
    ]

    def differing(run: Run) -> int:
        theirs = run.environment.packages
        return sum(public(here.packages.get(n)) != public(theirs.get(n)) for n in DECIDING)

    return min(reversed(runs), key=differing, default=None)


def _relaxed(question: Question, constraints: Sequence[Constraint]) -> Question:
    """Return the question with only these constraints."""
    kinds = {each.kind for each in constraints}
    environment = question.asked._replace(
        python=question.asked.python if "python" in kinds else "",
        platform=question.asked.platform if "platform" in kinds else "",
    )
    return Question.of(environment, question.knowledge, constraints)


def _in_the_way(question: Question) -> tuple[KnownIssue, ...]:
    """Return the known issues of what must be kept, whatever the rest is, or with the rest."""
    kept = {
        n: choice(n, s, question.environment, question.knowledge) for n, s in question.keep.items()
    }
    bare = question.environment._replace(
        packages={name: version for name, version in kept.items() if version},
        complete=False,
        builds={},
        duplicates={},
    )
    stopping = _stopping(question, bare)
    if stopping:
        return stopping
    suitable = list(question.suitable())
    combinations = [each for each in suitable if question.holds(each.packages)] or [
        each for adaptations in all_adaptations(question) for each in adaptations
    ]
    results = [
        Transition(question.there_for(each), each, question.keep, question.knowledge).result()
        for each in combinations
    ]
    return min((_stopping(question, each) for each in results), key=len, default=())


def _stopping(question: Question, environment: Environment) -> tuple[KnownIssue, ...]:
    wanted: set[Capability] = {"install", *question.needed}
    for capability in reversed(CAPABILITIES):
        if capability in wanted:
            wanted.update(NEEDS.get(capability, ()))
    return tuple(
        issue
        for issue in question.knowledge.errors
        if wanted & set(issue.capabilities) and applies(issue, environment)
    )
