"""The ways to make an environment work, the best first: what was run, or else adaptations of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.version import Version

from xcompat.diagnosis.conditions import applies
from xcompat.domain import (
    CAPABILITIES,
    DECIDING,
    NEEDED,
    NEEDS,
    SAME_FILES,
    Capability,
    Diagnosis,
    Environment,
    Matrix,
    Run,
    minor_of,
)
from xcompat.domain.versions import public
from xcompat.resolution.knowledge import Combination, Knowledge
from xcompat.resolution.specifiers import is_satisfiable, meets
from xcompat.resolution.transition import Transition, choice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from xcompat.domain.plan import Change, Constraint, Evidence

_EVIDENCE: tuple[Evidence, ...] = ("row", "run", "elsewhere", "bracketed", "none")
_SOUNDING: frozenset[Capability] = frozenset({"stream", "clone", "api", "api-path"})
"""What is of no use to anybody where nothing speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: an environment, what it must do, and what must stay."""

    environment: Environment
    knowledge: Knowledge
    needed: tuple[Capability, ...]
    constraints: tuple[Constraint, ...]
    keep: Mapping[str, str]
    combinations: tuple[Combination, ...]
    _judged: dict[int, tuple[Way, Diagnosis]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, environment: Environment, knowledge: Knowledge, constraints: Sequence[Constraint]
    ) -> Question:
        """Return what is asked where these constraints must hold."""
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

    def judged(self, way: Way) -> Diagnosis:
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

    def with_python_of(self, way: Way) -> Question:
        """Return the question for the Python that a way was run with."""
        python = minor_of(way.combination.recorded.python)
        return replace(self, environment=replace(self.environment, python=python))


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
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
        nearest = min(distance(run.environment, environment) for run in runs)
        near = [run for run in runs if distance(run.environment, environment) == nearest]
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


def distance(measured: Environment, environment: Environment) -> tuple[bool, bool]:
    """Return whether the platform is another one, and whether the minor version of Python is."""
    return (
        measured.platform != environment.platform,
        environment.python != "" and minor_of(measured.python) != minor_of(environment.python),
    )


def ways_of(question: Question) -> list[Way]:
    """Return what holds all constraints, the best first: what was run, or else adaptations."""
    ways = list(_recorded_ways(question)) or list(_adapted_ways(question))
    ways.sort(key=_newness, reverse=True)
    ways.sort(key=rank)
    return ways


def is_possible(question: Question) -> bool:
    """Return whether there is any way."""
    return any(True for ways in (_recorded_ways, _adapted_ways) for _ in ways(question))


def _recorded_ways(question: Question) -> Iterator[Way]:
    for combination in question.suitable():
        if question.holds(combination.packages) and (way := way_of(question, combination)):
            yield way


def _adapted_ways(question: Question) -> Iterator[Way]:
    for adaptations in all_adaptations(question):
        best = None
        for way in filter(None, (way_of(question, each) for each in adaptations)):
            if best is None or len(way.delivered) > len(best.delivered):
                best = way
            if best.delivered == best.combination.works:
                break
        if best:
            yield best


def all_adaptations(question: Question) -> Iterator[Iterator[Combination]]:
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


def way_of(question: Question, combination: Combination, *, installed: bool = False) -> Way | None:
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
    return Way(
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


def rank(way: Way) -> tuple[bool, tuple[bool, bool], int, int, int, int, int]:
    """Return what sorts ways, the best first."""
    # A model.pth that does not open is converted: one that opens as it is is no reason to change.
    delivered = way.delivered - {"load"}
    evidence = _EVIDENCE.index(evidence_of_runs(way.combination))
    adapted = len(way.combination.adapted)
    # What was delivered to another Python or platform is hoped for here, not known.
    distance = way.combination.distance
    return bool(way.changes), distance, -len(delivered), way.strange, way.cost, evidence, adapted


def _newness(way: Way) -> list[Version]:
    packages = way.combination.packages
    names = ("torch", way.combination.family, "transformers", "torchaudio", "torchcodec")
    return [Version(packages.get(name, "0")) for name in names]


def evidence_of_runs(combination: Combination) -> Evidence:
    """Return what the runs of a combination say of its working here."""
    if combination.adapted:
        return "none"
    if not combination.here:
        return "elsewhere"
    return "row" if combination.row else "run"


def _adaptations(question: Question, combination: Combination) -> Iterator[Combination]:
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


def first_of(question: Question, ways: Sequence[Way]) -> Way | None:
    """Return the first that the doctor vouches for, or else the first that it does not turn down.

    It cannot vouch for what was adapted or was run elsewhere, and is not expected to.
    """
    for way in ways:
        expected = way.combination.here and not way.combination.adapted
        verdict = question.judged(way).verdict
        if verdict == "compatible" or (verdict == "unknown" and not expected):
            return way
    return next((way for way in ways if question.judged(way).verdict == "unknown"), None)
