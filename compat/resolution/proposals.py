"""Makes a proposal of a way: what it rests on, why it changes what, and what to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.diagnosis.conditions import Unsaid, applies, concerns
from xcompat.domain import (
    CAPABILITIES,
    DECIDING,
    SAME_FILES,
    Capability,
    KnownIssue,
    minor_of,
    with_needs,
)
from xcompat.domain.plan import Proposal
from xcompat.domain.versions import public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.domain import Diagnosis
    from xcompat.domain.plan import Change, Evidence
    from xcompat.resolution.ways import Question, Way


_MAY_BE = Unsaid(packages=True, system=False)


def proposal_of(question: Question, way: Way, selector: tuple[str, ...]) -> Proposal:
    """Return what is told of a way; `selector` is what to keep so that it comes first."""
    result = question.judged(way)
    combination = way.combination
    return Proposal(
        evidence=_evidence(way, result),
        row=combination.row.id if combination.row else result.row,
        runs=() if combination.adapted else tuple(run.id for run in combination.runs),
        changes=tuple(
            _with_reason(question, way, change)
            for change in (_as_said(question, each) for each in way.changes)
            if (change.now, change.then) != (None, None)  # Nobody said that it is there.
        ),
        requirements=tuple(way.transition.requirements(question.said)),
        result=result,
        convert=_must_convert(way, result),
        notes=tuple(_notes(question, way)),
        selector=selector,
    )


def _as_said(question: Question, change: Change) -> Change:
    """Return a change of what pins leave out as what it is: nothing was there before."""
    if question.said is None or question.said.get(change.name):
        return change
    there = change.name in question.said
    return change._replace(now="" if there else None, uninstall=there and change.uninstall)


def _evidence(way: Way, result: Diagnosis) -> Evidence:
    elsewhere = not way.combination.here and not way.combination.adapted
    bases = {result.capabilities[capability].basis for capability in result.needed}
    if result.verdict != "compatible":
        return "elsewhere" if elsewhere else "none"
    if "expected" in bases:
        return "elsewhere" if elsewhere else "expected"
    if "bracketed" in bases:
        return "bracketed"
    return "row" if result.row else "run"


def _must_convert(way: Way, result: Diagnosis) -> bool:
    """Return whether model.pth does not open as it is, here or wherever these versions were run."""
    status = result.capabilities["load"].status
    told = [run.capabilities.get("load") for run in way.combination.runs]
    failed = not way.combination.adapted and any(each and each.status == "fails" for each in told)
    return status == "fails" or (status == "unknown" and failed)


def _notes(question: Question, way: Way) -> Iterator[str]:
    combination, torch = way.combination, question.environment.packages.get("torch", "")
    result = question.judged(way)
    told = [result.capabilities[name] for name in question.needed]
    if result.verdict == "compatible" and (combination.adapted or combination.here):
        # What is asked for last needs the rest.
        yield from [t.note for t in told if t.basis in ("expected", "bracketed")][-1:]
    elif combination.adapted:
        yield f"{', '.join(combination.adapted)}: not the version that was run"
    elif not combination.here:
        where = {
            f"{run.environment.platform} with Python {minor_of(run.environment.python)}"
            for run in combination.runs
        }
        yield f"run on {', '.join(sorted(where))}"
    else:
        for doubt in [each.note for each in told if each.status == "unknown"][:1]:
            yield f"run with these versions, but not with all that is here: {doubt}"
    built = next((c.then for c in way.changes if c.name == "torch" and "+" in (c.then or "")), "")
    if built or ("+" in torch and any(change.name == "torch" for change in way.changes)):
        which = f"{built} comes" if built else f"{torch} came"
        yield (
            f"torch {which} from an index of its own: for such a build, name that index to the"
            " installer (UV_INDEX or UV_TORCH_BACKEND for uv, PIP_EXTRA_INDEX_URL for pip)"
        )
    recorded = combination.recorded.packages
    for name in question.keep:
        after, before = way.result.packages.get(name), recorded.get(name)
        if name not in DECIDING and before and public(after) != public(before):
            yield f"{name} is not the {before} of the run: the installer may refuse what you keep"


def _with_reason(question: Question, way: Way, change: Change) -> Change:
    """Return the change with what would be wrong without it."""
    pair = next((pair for pair in SAME_FILES if change.name in pair), (change.name,))
    reasons = _mended_by(question, way, change, pair) if change.now != change.then else []
    if reasons:
        first = min(reasons, key=_urgency)
        return change._replace(why=f"{first.code} {first.title}")
    return change._replace(why=_usual_reason(question, way, change, pair))


def _mended_by(
    question: Question, way: Way, change: Change, pair: tuple[str, ...]
) -> list[KnownIssue]:
    """Return the issues that would concern the result without a change."""
    together = ("torch", "torchaudio") if change.name == "torch" and change.now else pair
    packages = {name: v for name, v in way.result.packages.items() if name not in together}
    before = {c.name: c.now for c in way.changes if c.name in together and c.now is not None}
    without = way.result._replace(packages=packages | before)
    path = frozenset[Capability]().union(*map(with_needs, ("install", *question.required)))
    today = question.environment
    if not today.complete:  # A name without a version may be any.
        today = today._replace(packages={n: v for n, v in today.packages.items() if v})

    def is_today(issue: KnownIssue) -> bool:
        return applies(issue, today) or concerns(issue, today, _MAY_BE)

    return [
        issue
        for issue in question.matrix.issues
        if any(change.name in condition.packages for condition in issue.conditions)
        and applies(issue, without)
        and not applies(issue, way.result)
        # Only a fault of today, in what is needed, is a reason to change what is there.
        and (not before or (not path.isdisjoint(issue.capabilities) and is_today(issue)))
    ]


def _usual_reason(question: Question, way: Way, change: Change, pair: tuple[str, ...]) -> str:
    """Return why something changes that no issue is about."""
    if change.then is None:
        wanted = next((n for n in pair if n != change.name and n in way.result.packages), "")
        return f"installs the same files as {wanted}" if wanted else "was not there in the run"
    if change.uninstall:
        return _why_anew(question, change)
    if change.name in way.combination.adapted:
        return "kept" if change.name in question.keep else "goes with what is kept"
    if change.then == "":
        kept = change.name in question.keep
        return "kept" if kept else "in the version that this Python needs"
    return "as it was run"


def _why_anew(question: Question, change: Change) -> str:
    """Return why something is taken out first and comes back."""
    if change.name in question.environment.duplicates:
        return "is there more than once"
    if change.name in question.environment.damaged:
        return "its files are not as they were installed"
    if change.name in ("torch", "torchaudio"):
        return "torch and torchaudio must be of one build"
    return "back again: what goes first takes files of it along"


def _urgency(issue: KnownIssue) -> tuple[bool, int, str]:
    first = min((CAPABILITIES.index(c) for c in issue.capabilities), default=len(CAPABILITIES))
    return issue.severity != "error", first, issue.code
