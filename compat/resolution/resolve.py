"""Finds the smallest change that makes an environment work: pure, from values to a Plan.

What is proposed was run: a row, or another recorded run in which all that is needed worked. Only
where nothing recorded holds the constraints is the nearest of them adapted, and the proposal says
that nobody has run it. The doctor judges what comes out as it would judge the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.version import Version

from xcompat.diagnosis.doctor import NEEDED, NEEDS, applies
from xcompat.domain import (
    CAPABILITIES,
    DECIDING,
    SAME_FILES,
    Capability,
    Diagnosis,
    Environment,
    KnownIssue,
    Matrix,
    Run,
    minor_of,
)
from xcompat.domain.plan import Change, Conflict, Constraint, Evidence, Plan, Proposal
from xcompat.resolution.transition import (
    Combination,
    Knowledge,
    Transition,
    choice,
    is_satisfiable,
    meets,
    public,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_EVIDENCE: tuple[Evidence, ...] = ("row", "run", "elsewhere", "bracketed", "none")
_SOUNDING: frozenset[Capability] = frozenset({"stream", "clone", "api"})
"""What is of no use to anybody where nothing speaks."""


def plan(environment: Environment, matrix: Matrix, constraints: Sequence[Constraint] = ()) -> Plan:
    """Return the proposals that make `environment` work under `constraints`, the best first.

    What was run on this platform and Python goes before what was run elsewhere; then they rank by
    the capabilities that they deliver, by what they cost, by the strength of their evidence, and by
    how new they are. An environment that works already is its own best.
    Without any proposal, the plan has the conflict that prevents one.
    """
    question = _Question.of(environment, Knowledge(matrix), constraints)
    now = question.knowledge.doctor.diagnose(environment, question.needed)
    proposals = tuple(_proposals(question, now))
    installed = environment.packages
    kept = all(meets(spec, installed.get(name)) for name, spec in question.keep.items())
    return Plan(
        environment=environment,
        constraints=tuple(constraints),
        needed=question.needed,
        now=now,
        proposals=proposals,
        change_nothing=now.change_nothing if kept else (),
        conflict=None if proposals else _conflict(question),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked: an environment, what it must do, and what must stay."""

    environment: Environment
    knowledge: Knowledge
    needed: tuple[Capability, ...]
    constraints: tuple[Constraint, ...]
    keep: Mapping[str, str]
    combinations: tuple[Combination, ...]
    _judged: dict[int, tuple[_Way, Diagnosis]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, environment: Environment, knowledge: Knowledge, constraints: Sequence[Constraint]
    ) -> _Question:
        wanted = {each.name for each in constraints if each.kind == "need"}
        if wanted & _SOUNDING:
            wanted.add("speak")
        keep: dict[str, str] = {}
        for each in constraints:
            if each.kind == "keep":
                keep[each.name] = ",".join(filter(None, (keep.get(each.name), each.specifier)))
        return cls(
            environment=environment,
            knowledge=knowledge,
            needed=tuple(c for c in CAPABILITIES if c in wanted) or NEEDED,
            constraints=tuple(constraints),
            keep=keep,
            combinations=tuple(_combinations(environment, knowledge.matrix)),
        )

    @property
    def matrix(self) -> Matrix:
        """All that is recorded."""
        return self.knowledge.matrix

    @property
    def required(self) -> frozenset[Capability]:
        """What must work in a proposal: nothing that does not start is one."""
        return frozenset({"import", *self.needed})

    def judged(self, way: _Way) -> Diagnosis:
        """Return what the doctor says of the environment after a way."""
        if id(way) not in self._judged:
            self._judged[id(way)] = way, self.knowledge.doctor.diagnose(way.result, self.needed)
        return self._judged[id(way)][1]

    def suitable(self) -> Iterator[Combination]:
        """Yield what was run and delivered what is required."""
        if all(map(is_satisfiable, self.keep.values())):
            yield from (each for each in self.combinations if each.works.issuperset(self.required))

    def holds(self, packages: Mapping[str, str]) -> bool:
        """Return whether all is kept that the deciding distributions are concerned with."""
        return all(meets(s, packages.get(n)) for n, s in self.keep.items() if n in DECIDING)

    def companions(self, torch: str, codec: str) -> Iterator[dict[str, str]]:
        """Yield torchaudio and torchcodec to try beside a torch, the likeliest first.

        That is what was run beside the same minor version of torch; a torchaudio that had torch's
        own version has it again.
        """
        tried: list[tuple[str, str]] = []
        for run in reversed(self.matrix.runs):
            beside = run.environment.packages
            if "torch" in beside and minor_of(beside["torch"]) == minor_of(torch):
                audio = public(beside.get("torchaudio")) or ""
                own = audio == public(beside["torch"])
                tried.append((torch if own else audio, beside.get("torchcodec", "")))
        # torchaudio ends before torch does: beside what is newer stands its last.
        newest = next(iter(self.knowledge.versions("torchaudio")), torch)
        audios = [torch, newest] if Version(torch) <= Version(newest) else [newest]
        codecs = ["", codec, *self.knowledge.versions("torchcodec")]
        tried += [(audio, each) for each in codecs for audio in audios]
        for audio, each in dict.fromkeys(tried):
            yield {"torchaudio": audio, "torchcodec": each}

    def with_python_of(self, way: _Way) -> _Question:
        """Return the question for the Python that a way was run with."""
        python = minor_of(way.combination.recorded.python)
        return replace(self, environment=replace(self.environment, python=python))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A combination, put into the environment."""

    combination: Combination
    changes: tuple[Change, ...]
    requirements: tuple[str, ...]
    result: Environment
    delivered: frozenset[Capability]
    cost: int
    strange: int
    """How many of the distributions that are kept have another version than they had in the run,
    beside the deciding ones: what their neighbours demand, the installer may refuse."""


def _combinations(environment: Environment, matrix: Matrix) -> Iterator[Combination]:
    """Yield what was run, each combination with the runs nearest to the environment."""
    by_versions: dict[tuple[str | None, ...], list[Run]] = {}
    for run in matrix.runs:
        packages = run.environment.packages
        if len({"TTS", "coqui-tts"} & packages.keys()) == 1:
            key = tuple(public(packages.get(name)) for name in DECIDING)
            by_versions.setdefault(key, []).append(run)
    rows = {run: row for row in matrix.rows for run in row.runs}
    for versions, runs in by_versions.items():
        nearest = min(_distance(run.environment, environment) for run in runs)
        near = [run for run in runs if _distance(run.environment, environment) == nearest]
        # The best of them had what the others lacked beside these versions, such as six.
        works = max((_works(run) for run in near), key=len)
        runs_of_it = tuple(run for run in near if _works(run) == works)
        yield Combination(
            packages={n: v for n, v in zip(DECIDING, versions, strict=True) if v is not None},
            works=works,
            recorded=runs_of_it[0].environment,
            runs=runs_of_it,
            row=next((rows[run.id] for run in runs if run.id in rows), None),
            distance=nearest,
        )


def _works(run: Run) -> frozenset[Capability]:
    return frozenset(name for name, told in run.capabilities.items() if told.status == "works")


def _distance(measured: Environment, environment: Environment) -> tuple[bool, bool]:
    return (
        measured.platform != environment.platform,
        environment.python != "" and minor_of(measured.python) != minor_of(environment.python),
    )


def _proposals(question: _Question, now: Diagnosis) -> Iterator[Proposal]:
    if way := _as_it_is(question, now):
        yield _proposal(question, way, ())
        return
    ways = _ways(question)
    if now.verdict == "compatible" or (
        now.verdict == "unknown" and not question.environment.complete
    ):
        # It works, and is untidy or not said in full: what decides stays as it is.
        ways = [way for way in ways if _leaves_versions(way)] or ways
    best = _first(question, ways)
    if best is None:
        return
    chosen = [best]
    only_adds = best.cost == 0 and best.combination.family in question.environment.packages
    if best.changes and not only_adds:
        others = [way for way in ways if way.combination.family != best.combination.family]
        by_cost = sorted(ways, key=lambda way: way.cost)
        chosen += [way for way in (_first(question, others), _first(question, by_cost)) if way]
    for way in sorted({id(way): way for way in chosen}.values(), key=ways.index):
        yield _proposal(question, way, _selector(question, way, ways))


def _leaves_versions(way: _Way) -> bool:
    return all(
        change.now is None or public(change.now) == change.then
        for change in way.changes
        if change.name in DECIDING
    )


def _first(question: _Question, ways: Sequence[_Way]) -> _Way | None:
    """Return the first that the doctor vouches for, or else the first that it does not turn down.

    It cannot vouch for what was adapted or was run elsewhere, and is not expected to.
    """
    for way in ways:
        expected = way.combination.here and not way.combination.adapted
        verdict = question.judged(way).verdict
        if verdict == "compatible" or (verdict == "unknown" and not expected):
            return way
    return next((way for way in ways if question.judged(way).verdict == "unknown"), None)


def _as_it_is(question: _Question, now: Diagnosis) -> _Way | None:
    """Return the way that changes nothing, if the environment works, holds all, and is tidy."""
    environment = question.environment
    installed = environment.packages
    if (
        now.verdict != "compatible"
        or not environment.complete
        or not all(meets(spec, installed.get(name)) for name, spec in question.keep.items())
    ):
        return None
    way = _way(
        question,
        Combination(
            packages={name: str(public(installed[name])) for name in DECIDING if name in installed},
            works=question.required,
            recorded=environment,
            runs=(),
            row=None,
            distance=(False, False),
        ),
        installed=True,
    )
    return way if way and not way.changes else None


def _ways(question: _Question) -> list[_Way]:
    """Return what holds all constraints, the best first: what was run, or else adaptations."""
    ways = list(_recorded_ways(question)) or list(_adapted_ways(question))
    ways.sort(key=_newness, reverse=True)
    ways.sort(key=_rank)
    return ways


def _is_possible(question: _Question) -> bool:
    return any(True for ways in (_recorded_ways, _adapted_ways) for _ in ways(question))


def _recorded_ways(question: _Question) -> Iterator[_Way]:
    for combination in question.suitable():
        if question.holds(combination.packages) and (way := _way(question, combination)):
            yield way


def _adapted_ways(question: _Question) -> Iterator[_Way]:
    for adaptations in _all_adaptations(question):
        best = None
        for way in filter(None, (_way(question, each) for each in adaptations)):
            if best is None or len(way.delivered) > len(best.delivered):
                best = way
            if best.delivered == best.combination.works:
                break
        if best:
            yield best


def _all_adaptations(question: _Question) -> Iterator[Iterator[Combination]]:
    """Yield what is suitable, each adapted to what must be kept; what becomes equal, once."""
    seen: set[tuple[str | None, ...]] = set()

    def unseen(combination: Combination) -> Iterator[Combination]:
        for each in _adaptations(question, combination):
            versions = tuple(each.packages.get(name) for name in DECIDING)
            if versions not in seen:
                seen.add(versions)
                yield each

    for combination in sorted(question.suitable(), key=lambda each: -len(each.works)):
        yield unseen(combination)


def _way(question: _Question, combination: Combination, *, installed: bool = False) -> _Way | None:
    """Return what the combination changes in the environment; None where it cannot be.

    Where it is `installed` already, it does not matter that nothing would install it.
    """
    needed: set[Capability] = {"install", *question.required}
    if installed:
        needed.discard("install")
    transition = Transition(
        question.environment, combination, question.keep, question.knowledge, needed
    )
    if transition.fails or not transition.is_installable():
        return None
    result = transition.result()
    claims = {
        capability
        for issue in question.knowledge.errors
        if applies(issue, result)
        for capability in issue.capabilities
        if capability != "install" or not installed
    }
    delivered = combination.works - _with_what_needs_them(claims)
    if not delivered.issuperset(question.required) or any(
        map(transition.takes_away, question.keep)
    ):
        return None
    return _Way(
        combination=combination,
        changes=tuple(transition.changes()),
        requirements=tuple(transition.requirements()),
        result=result,
        delivered=delivered,
        cost=transition.cost(),
        strange=sum(
            name not in DECIDING and not meets(specifier, version)
            for name, specifier in question.keep.items()
            if (version := combination.recorded.packages.get(name))
        ),
    )


def _with_what_needs_them(failing: set[Capability]) -> set[Capability]:
    lost = set(failing)
    for capability in CAPABILITIES:
        if lost & {"install", *NEEDS.get(capability, ())}:
            lost.add(capability)
    return lost


def _rank(way: _Way) -> tuple[bool, tuple[bool, bool], int, int, int, int, int]:
    # A model.pth that does not open is converted: one that opens as it is is no reason to change.
    delivered = way.delivered - {"load"}
    evidence = _EVIDENCE.index(_evidence_of_runs(way.combination))
    adapted = len(way.combination.adapted)
    # What was delivered to another Python or platform is hoped for here, not known.
    distance = way.combination.distance
    return bool(way.changes), distance, -len(delivered), way.strange, way.cost, evidence, adapted


def _newness(way: _Way) -> list[Version]:
    packages = way.combination.packages
    names = ("torch", way.combination.family, "transformers", "torchaudio", "torchcodec")
    return [Version(packages.get(name, "0")) for name in names]


def _evidence_of_runs(combination: Combination) -> Evidence:
    if combination.adapted:
        return "none"
    if not combination.here:
        return "elsewhere"
    return "row" if combination.row else "run"


def _adaptations(question: _Question, combination: Combination) -> Iterator[Combination]:
    """Yield the combination with versions that must be kept, and with what may go beside them."""
    packages = dict(combination.packages)
    for name, specifier in question.keep.items():
        if name in DECIDING and not meets(specifier, packages.get(name)):
            version = choice(name, specifier, question.environment, question.knowledge)
            if version is None or (name in SAME_FILES[0] and name != combination.family):
                return
            packages[name] = version
    torch = packages.get("torch", "")
    if torch == combination.packages.get("torch"):
        yield _replaced(combination, packages)
        return
    kept = {name: packages[name] for name in question.keep if name in packages}
    for companions in question.companions(torch, packages.get("torchcodec", "")):
        together = {**packages, **companions, **kept}
        yield _replaced(combination, {name: v for name, v in together.items() if v})


def _replaced(combination: Combination, packages: Mapping[str, str]) -> Combination:
    before = combination.packages
    adapted = tuple(name for name in DECIDING if packages.get(name) != before.get(name))
    return replace(combination, packages=packages, row=None, adapted=adapted)


def _proposal(question: _Question, way: _Way, selector: tuple[str, ...]) -> Proposal:
    result = question.judged(way)
    combination = way.combination
    return Proposal(
        evidence=_evidence(way, result),
        row=combination.row.id if combination.row else result.row,
        runs=() if combination.adapted else tuple(run.id for run in combination.runs),
        changes=tuple(_with_reason(question, way, change) for change in way.changes),
        requirements=way.requirements,
        result=result,
        convert=_must_convert(way, result),
        notes=tuple(_notes(question, way)),
        selector=selector,
    )


def _evidence(way: _Way, result: Diagnosis) -> Evidence:
    if result.verdict != "compatible":
        return "none" if way.combination.here else _evidence_of_runs(way.combination)
    if any(result.capabilities[capability].basis == "bracketed" for capability in result.needed):
        return "bracketed"
    return "row" if result.row else "run"


def _must_convert(way: _Way, result: Diagnosis) -> bool:
    """Return whether model.pth does not open as it is, here or wherever these versions were run."""
    status = result.capabilities["load"].status
    told = [run.capabilities.get("load") for run in way.combination.runs]
    failed = not way.combination.adapted and any(each and each.status == "fails" for each in told)
    return status == "fails" or (status == "unknown" and failed)


def _notes(question: _Question, way: _Way) -> Iterator[str]:
    combination, torch = way.combination, question.environment.packages.get("torch", "")
    if combination.adapted:
        yield f"{', '.join(combination.adapted)}: not the version that was run"
    elif not combination.here:
        where = {
            f"{run.environment.platform} with Python {minor_of(run.environment.python)}"
            for run in combination.runs
        }
        yield f"run on {', '.join(sorted(where))}"
    elif (result := question.judged(way)).verdict == "unknown":
        doubt = next(
            result.capabilities[name].note
            for name in question.needed
            if result.capabilities[name].status == "unknown"
        )
        yield f"run with these versions, but not with all that is here: {doubt}"
    built = next((c.then for c in way.changes if c.name == "torch" and "+" in (c.then or "")), "")
    if built or ("+" in torch and any(change.name == "torch" for change in way.changes)):
        told = f"{built} comes" if built else f"{torch} came"
        yield (
            f"torch {told} from an index of its own: for such a build, name that index to the"
            " installer (UV_INDEX or UV_TORCH_BACKEND for uv, PIP_EXTRA_INDEX_URL for pip)"
        )
    recorded = combination.recorded.packages
    for name in question.keep:
        after, before = way.result.packages.get(name), recorded.get(name)
        if name not in DECIDING and before and public(after) != public(before):
            yield f"{name} is not the {before} of the run: the installer may refuse what you keep"


def _with_reason(question: _Question, way: _Way, change: Change) -> Change:
    """Return the change with what would be wrong without it."""
    pair = next((pair for pair in SAME_FILES if change.name in pair), (change.name,))
    together = ("torch", "torchaudio") if change.name == "torch" and change.now else pair
    packages = {name: v for name, v in way.result.packages.items() if name not in together}
    packages |= {c.name: c.now for c in way.changes if c.name in together and c.now is not None}
    without = replace(way.result, packages=packages)
    reasons = [
        issue
        for issue in question.matrix.issues
        if any(change.name in condition.packages for condition in issue.conditions)
        and applies(issue, without)
        and not applies(issue, way.result)
        # Only a fault of today is a reason to change torch: its companions go with it.
        and (change.name != "torch" or applies(issue, question.environment))
    ]
    if reasons and change.now != change.then:
        first = min(reasons, key=_urgency)
        return replace(change, why=f"{first.code} {first.title}")
    if change.then is None:
        wanted = next((n for n in pair if n != change.name and n in way.result.packages), "")
        why = f"installs the same files as {wanted}" if wanted else "was not there in the run"
    elif change.uninstall and change.name in question.environment.duplicates:
        why = "is there more than once"
    elif change.uninstall and change.name in question.environment.damaged:
        why = "its files are not as they were installed"
    elif change.uninstall and change.name in ("torch", "torchaudio"):
        why = "torch and torchaudio must be of one build"
    elif change.uninstall:
        why = "back again: what goes first takes files of it along"
    elif change.then == "" and change.name in question.keep:
        why = "kept"
    elif change.name in way.combination.adapted:
        why = "kept" if change.name in question.keep else "goes with what is kept"
    else:
        why = "as it was run" if change.then else "in the version that this Python needs"
    return replace(change, why=why)


def _urgency(issue: KnownIssue) -> tuple[bool, int, str]:
    first = min((CAPABILITIES.index(c) for c in issue.capabilities), default=len(CAPABILITIES))
    return issue.severity != "error", first, issue.code


def _selector(question: _Question, way: _Way, ways: Sequence[_Way]) -> tuple[str, ...]:
    """Return what to keep beside what is kept already, so that this way comes first."""
    keep: dict[str, str] = {}
    left = list(ways)
    for name in DECIDING:
        if left[0] is way:
            break
        version = way.combination.packages.get(name)
        if version and left[0].combination.packages.get(name) != version:
            keep[name] = f"=={version}"
            narrower = replace(question, keep=keep)
            left = [each for each in left if narrower.holds(each.combination.packages)]
    return tuple(name + specifier for name, specifier in keep.items()) if left[0] is way else ()


def _conflict(question: _Question) -> Conflict:
    """Return constraints that cannot hold together, and what dropping each of them makes room for.

    Of all constraints one after the other is left out that is not needed for the conflict.
    """
    environment = question.environment
    everything = [
        *question.constraints,
        *([Constraint(kind="python", name=environment.python)] if environment.python else []),
        Constraint(kind="platform", name=environment.platform),
    ]
    together = list(everything)
    for each in everything:
        fewer = [other for other in together if other is not each]
        if not _is_possible(_relaxed(question, fewer)):
            together = fewer
    ways_out = []
    for each in together:
        relaxed = _relaxed(question, [other for other in everything if other is not each])
        if best := _first(relaxed, _ways(relaxed)):
            if each.kind == "python":
                relaxed = relaxed.with_python_of(best)
                best = _way(relaxed, best.combination) or best
            rank = (bool(best.combination.adapted), _rank(best))
            ways_out.append((rank, each, _proposal(relaxed, best, ())))
    return Conflict(
        constraints=tuple(together),
        issues=_in_the_way(_relaxed(question, together)),
        ways_out=tuple((each, way) for _, each, way in sorted(ways_out, key=lambda out: out[0])),
        runtime=_through_runtime(question),
    )


def _through_runtime(question: _Question) -> Run | None:
    """Return the run nearest to what is there that holds everything where xcompat loads the model.

    Of equally near ones it is the last that was measured.
    """
    here = question.environment
    runs = [
        run
        for run in question.matrix.runs
        if _distance(run.environment, here) == (False, False)
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


def _relaxed(question: _Question, constraints: Sequence[Constraint]) -> _Question:
    """Return the question with only these constraints."""
    kinds = {each.kind for each in constraints}
    environment = replace(
        question.environment,
        python=question.environment.python if "python" in kinds else "",
        platform=question.environment.platform if "platform" in kinds else "",
    )
    return _Question.of(environment, question.knowledge, constraints)


def _in_the_way(question: _Question) -> tuple[KnownIssue, ...]:
    """Return the known issues of what must be kept, whatever the rest is, or with the rest."""
    kept = {
        n: choice(n, s, question.environment, question.knowledge) for n, s in question.keep.items()
    }
    bare = replace(
        question.environment,
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
        each for adaptations in _all_adaptations(question) for each in adaptations
    ]
    results = [
        Transition(question.environment, each, question.keep, question.knowledge).result()
        for each in combinations
    ]
    return min((_stopping(question, each) for each in results), key=len, default=())


def _stopping(question: _Question, environment: Environment) -> tuple[KnownIssue, ...]:
    wanted: set[Capability] = {"install", *question.needed}
    for capability in reversed(CAPABILITIES):
        if capability in wanted:
            wanted.update(NEEDS.get(capability, ()))
    return tuple(
        issue
        for issue in question.knowledge.errors
        if wanted & set(issue.capabilities) and applies(issue, environment)
    )
