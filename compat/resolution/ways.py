"""The ways to make an environment work, the best first: what was run, or else adaptations of it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from xcompat.diagnosis.assumptions import asked_for, assumed
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
from xcompat.resolution.transition import Transition, choice, cost_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from xcompat.domain.plan import Change, Constraint, Evidence

    _Bound = tuple[tuple[int, ...], int, int, tuple[bool, bool], int, int]

_EVIDENCE: tuple[Evidence, ...] = ("row", "run", "elsewhere", "bracketed", "expected", "none")
_SOUNDING: frozenset[Capability] = frozenset({"stream", "clone", "save", "api", "api-path"})
"""What is of no use to anybody where nothing speaks."""
_EFFORTS = {"transformers": 2, "torchaudio": 3, "torch": 4}
"""What a change of it asks of a user, the least first; any other distribution is a light one.
Another release of the same TTS asks 5, and to swap TTS for its fork, or back, 6."""
_TORCH_AND_CO = ("torch", "torchaudio", "torchcodec")
_INDISPENSABLE = frozenset({"torch", "torchaudio", "transformers"})
"""What no TTS starts without."""


class Question(NamedTuple):
    """What is asked: an environment, what it must do, and what must stay."""

    asked: Environment
    environment: Environment
    """What was asked for; pins are made whole."""
    knowledge: Knowledge
    needed: tuple[Capability, ...]
    constraints: tuple[Constraint, ...]
    keep: Mapping[str, str]
    combinations: tuple[Combination, ...]
    said: Mapping[str, str] | None = None
    """What pins name, with the version if they say one; None where all is known."""

    @classmethod
    def of(
        cls, asked: Environment, knowledge: Knowledge, constraints: Sequence[Constraint]
    ) -> Question:
        """Return what is asked where these constraints must hold; pins are made whole."""
        told = None if asked.complete else assumed(asked, knowledge.matrix)
        environment = told.environment if told else asked
        wanted = {each.name for each in constraints if each.kind == "need"}
        if wanted & _SOUNDING:
            wanted.add("speak")
        keep: dict[str, str] = {}
        for each in constraints:
            if each.kind == "keep":
                keep[each.name] = ",".join(filter(None, (keep.get(each.name), each.specifier)))
        return cls(
            asked=asked,
            environment=environment,
            knowledge=knowledge,
            needed=tuple(c for c in CAPABILITIES if c in wanted) or NEEDED,
            constraints=tuple(constraints),
            keep=keep,
            combinations=tuple(_combinations(environment, knowledge.matrix)),
            said=asked.packages if told else None,
        )

    @property
    def matrix(self) -> Matrix:
        """All that is recorded."""
        return self.knowledge.matrix

    @property
    def required(self) -> frozenset[Capability]:
        """What must work in a proposal: nothing that does not start is one."""
        return frozenset({"import", *self.needed})

    def now(self) -> Diagnosis:
        """Return what the doctor says of what is asked about."""
        return self.knowledge.doctor.diagnose(self.asked, self.needed)

    def judged(self, way: Way) -> Diagnosis:
        """Return what the doctor says of the environment after a way."""
        return self.knowledge.doctor.diagnose(way.result, self.needed)

    def suitable(self) -> Iterator[Combination]:
        """Yield what was run and delivered what is required."""
        if all(map(is_satisfiable, self.keep.values())):
            yield from (each for each in self.combinations if each.works.issuperset(self.required))

    def holds(self, packages: Mapping[str, str]) -> bool:
        """Return whether all is kept that the deciding distributions are concerned with."""
        return all(meets(s, packages.get(n)) for n, s in self.keep.items() if n in DECIDING)

    def there_for(self, combination: Combination) -> Environment:
        """Return what is there when a combination comes.

        What pins leave out comes with the TTS that they name: another one brings its own.
        """
        there, family = self.environment, combination.family
        if self.said is None or there.packages.get(family) == combination.packages[family]:
            return there
        stays = self.said.keys() | {*DECIDING}
        return there._replace(packages={n: v for n, v in there.packages.items() if n in stays})

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
        return self._replace(environment=self.environment._replace(python=python))


class Way(NamedTuple):
    """A combination, put into the environment."""

    combination: Combination
    changes: tuple[Change, ...]
    transition: Transition
    result: Environment
    delivered: frozenset[Capability]
    cost: int
    lost: frozenset[Capability]
    """What is known to fail."""
    effort: tuple[int, ...]
    """What kinds of things change for the user, the largest first: see `_EFFORTS`."""
    strange: int
    """How many of the distributions that are kept have another version than they had in the run,
    beside the deciding ones: what their neighbours demand, the installer may refuse."""
    near: bool = False
    """Nobody ran it, and it is no way where the doctor does not vouch for it."""


def _combinations(environment: Environment, matrix: Matrix) -> Iterator[Combination]:
    """Yield what was run, each combination with the runs nearest to the environment."""
    worked = {run.id: _works(run) for run in matrix.runs}
    far = {run.id: distance(run.environment, environment) for run in matrix.runs}
    by_versions: dict[tuple[str | None, ...], list[Run]] = {}
    for run in matrix.runs:
        packages = run.environment.packages
        shared = any({*pair} <= packages.keys() for pair in SAME_FILES)
        if not shared and not packages.keys().isdisjoint(SAME_FILES[0]):
            key = tuple(public(packages.get(name)) for name in DECIDING)
            by_versions.setdefault(key, []).append(run)
    rows = {run: row for row in matrix.rows for run in row.runs}
    python = minor_of(environment.python)
    on_this_python: dict[tuple[str | None, ...], list[Run]] = {}
    for run in matrix.runs:
        if minor_of(run.environment.python) == python and "import" in worked[run.id]:
            on_this_python.setdefault(_releases(run), []).append(run)
    for versions, runs in by_versions.items():
        nearest = min(far[run.id] for run in runs)
        near = [run for run in runs if far[run.id] == nearest]
        # The best of them had what the others lacked beside these versions, such as six.
        works = max((worked[run.id] for run in near), key=len)
        runs_of_it = tuple(run for run in near if worked[run.id] == works)
        beside = runs_of_it[0]
        if nearest[1]:
            beside = _for_python(beside, on_this_python.get(_releases(beside), ()))
        yield Combination(
            packages={n: v for n, v in zip(DECIDING, versions, strict=True) if v is not None},
            works=works,
            fails=frozenset().union(*map(_fails, runs_of_it)),
            recorded=_with_followers(runs_of_it[0], beside),
            asked=asked_for(beside.command),
            runs=runs_of_it,
            row=next((rows[run.id] for run in runs if run.id in rows), None),
            distance=nearest,
        )


def _for_python(measured: Run, runs: Sequence[Run]) -> Run:
    """Return the run that shows what the same release of TTS has beside it on another Python.

    Args:
        measured: The run on its own Python, which is returned where nothing shows that.
        runs: Those on the other Python in which this release of TTS starts.
    """
    theirs = measured.environment.packages

    def closeness(run: Run) -> tuple[int, int]:
        packages = run.environment.packages
        alike = sum(public(packages.get(n)) == public(theirs.get(n)) for n in DECIDING)
        return len(_works(run)), alike

    return max(runs, key=closeness, default=measured)


def _releases(run: Run) -> tuple[str | None, ...]:
    return tuple(run.environment.packages.get(name) for name in SAME_FILES[0])


def _with_followers(measured: Run, beside: Run) -> Environment:
    """Return what was run, with what does not decide as another run had it."""
    if beside is measured:
        return measured.environment
    theirs = measured.environment.packages
    tokenizers = theirs.get("tokenizers", "")
    followers = {n: v for n, v in beside.environment.packages.items() if n not in DECIDING}
    if minor_of(followers.get("tokenizers", "")) != minor_of(tokenizers):
        followers["tokenizers"] = tokenizers  # It goes with transformers.
    packages = {**{n: theirs[n] for n in DECIDING if n in theirs}, **followers}
    return measured.environment._replace(python=beside.environment.python, packages=packages)


def _works(run: Run) -> frozenset[Capability]:
    return frozenset(name for name, told in run.capabilities.items() if told.status == "works")


def _fails(run: Run) -> frozenset[Capability]:
    return frozenset(name for name, told in run.capabilities.items() if told.status == "fails")


def distance(measured: Environment, environment: Environment) -> tuple[bool, bool]:
    """Return whether the platform is another one, and whether the minor version of Python is."""
    return (
        measured.platform != environment.platform,
        environment.python != "" and minor_of(measured.python) != minor_of(environment.python),
    )


def ways_of(question: Question) -> list[Way]:
    """Return what holds all constraints, the best first.

    That is what was run, and what is there with one thing in another version; or else what was run
    with other versions in it. What asks more than the best way with the same TTS is left out.
    """
    near = list(_near_ways(question))
    ways = [
        way
        for family in SAME_FILES[0]
        for way in _least_ways(
            question, family, [w for w in near if w.combination.family == family]
        )
    ]
    if all(way.near for way in ways) and not first_of(question, ways):
        ways = list(_adapted_ways(question))
    return _sorted(ways)


def _sorted(ways: list[Way]) -> list[Way]:
    ways.sort(key=_newness, reverse=True)
    ways.sort(key=rank)
    return ways


def _least_ways(question: Question, family: str, near: Sequence[Way]) -> list[Way]:
    """Return the ways with one TTS, up to where each other one asks more than one that works."""
    there, ways = question.environment.packages, list(near)

    def bound(combination: Combination) -> _Bound:
        """Return what the rank of a way to a combination cannot be less than."""
        theirs = combination.packages
        differing = (n for n in DECIDING if public(there.get(n)) != theirs.get(n))
        effort = _effort([(n, there.get(n), theirs.get(n)) for n in differing], question.said)
        return (
            effort,
            len(combination.fails - {"load"}),
            _strange(question, combination),
            combination.distance,
            _EVIDENCE.index(evidence_of_runs(combination)),
            -len(combination.works - {"load"}),
        )

    fitting = [
        each
        for each in question.suitable()
        if each.family == family and question.holds(each.packages)
    ]
    for least, group in groupby(sorted(fitting, key=bound), key=bound):
        best = first_of(question, _sorted([way for way in ways if rank(way)[:6] < least]))
        if best and question.judged(best).verdict == "compatible":
            break
        ways += filter(None, (way_of(question, each) for each in group))
    return ways


def is_possible(question: Question) -> bool:
    """Return whether there is any way."""
    ways = any(True for ways in (_recorded_ways, _adapted_ways) for _ in ways(question))
    return ways or first_of(question, list(_near_ways(question))) is not None


def _recorded_ways(question: Question) -> Iterator[Way]:
    for combination in question.suitable():
        if question.holds(combination.packages) and (way := way_of(question, combination)):
            yield way


def _near_ways(question: Question) -> Iterator[Way]:
    """Yield the ways that leave what is there and exchange one thing, as it was run elsewhere."""
    installed = question.environment.packages
    there = {name: str(public(installed[name])) for name in DECIDING if installed.get(name)}
    families = [name for name in SAME_FILES[0] if name in there]
    if len(families) != 1 or "torch" not in there:
        return
    recorded = {tuple(sorted(each.packages.items())) for each in question.combinations}
    for packages in _exchanged(question, there, families[0]):
        key = tuple(sorted(packages.items()))
        if key in recorded or not packages.keys() >= _INDISPENSABLE:
            continue
        if not question.holds(packages):
            continue
        recorded.add(key)
        if way := way_of(question, _like(question, packages)):
            yield way._replace(near=True)


def _exchanged(
    question: Question, there: Mapping[str, str], family: str
) -> Iterator[dict[str, str]]:
    """Yield what is there with other versions of what is in the way, and with any torchcodec."""
    broken = _in_the_way(question)
    alike = [each for each in question.combinations if each.family == family]
    trios = {tuple(each.packages.get(n) for n in _TORCH_AND_CO) for each in question.combinations}
    torch = there["torch"]
    codecs = {codec for other, _, codec in trios if other and minor_of(other) == minor_of(torch)}
    beside: set[tuple[str | None, ...]] = {
        (torch, there.get("torchaudio"), c) for c in {there.get("torchcodec"), *codecs}
    }
    if not broken.isdisjoint(("torch", "torchaudio")):
        beside |= {(torch, torch, codec) for _, _, codec in beside} | trios
    versions = [there.get("transformers")]
    if not broken.isdisjoint(("transformers", "tokenizers")):
        recorded = {each.packages.get("transformers", "") for each in alike} - {""}
        newest = sorted(recorded, key=Version, reverse=True)
        wishes = frozenset(CAPABILITIES) - {"install", "load"}, question.required
        fitting = (_fitting(question, there, newest, each) for each in wishes)
        versions += dict.fromkeys(version for version in fitting if version)
    releases = [there[family]]
    if broken & set(DECIDING) == {family}:
        releases += {each.packages[family] for each in alike}
    for trio in beside:
        for version in versions:
            for release in releases:
                others = {"transformers": version, family: release}
                yield _present({**dict(zip(_TORCH_AND_CO, trio, strict=True)), **others})


def _fitting(
    question: Question,
    there: Mapping[str, str],
    versions: Sequence[str],
    wishes: frozenset[Capability],
) -> str | None:
    """Return the first transformers with which no error of TTS's or its own is known."""
    about = [
        issue
        for issue in question.knowledge.decisive
        if issue in question.knowledge.naming.get("transformers", ())
        and not wishes.isdisjoint(issue.capabilities)
    ]
    for version in versions:
        packages = {**there, "transformers": version}
        bare = question.environment._replace(
            packages=packages, complete=False, duplicates={}, signs={}
        )
        if not any(applies(issue, bare) for issue in about):
            return version
    return None


def _in_the_way(question: Question) -> frozenset[str]:
    """Return the distributions that known issues blame, or that are out of what was run."""
    now = question.now()
    stopping = {code for name in question.required for code in now.capabilities[name].issues}
    blamed = {
        name
        for finding in now.findings
        if finding.issue.code in stopping
        for name in finding.packages
    }
    missing = _INDISPENSABLE - question.environment.packages.keys()
    return frozenset(blamed | missing | {*now.beyond})


def _present(packages: Mapping[str, str | None]) -> dict[str, str]:
    return {name: version for name, version in packages.items() if version}


def _like(question: Question, packages: Mapping[str, str]) -> Combination:
    """Return a combination that nobody ran, like the one that was run and differs least."""
    numpy = question.environment.packages.get("numpy", "")

    def differing(combination: Combination) -> tuple[bool, bool, tuple[bool, bool], int]:
        names = {name for name, _ in packages.items() ^ combination.packages.items()}
        family = not names.isdisjoint(SAME_FILES[0])
        beside = combination.recorded.packages.get("numpy", numpy)
        renewed = numpy != "" and numpy.partition(".")[0] != beside.partition(".")[0]
        return family, renewed, combination.distance, len(names)

    nearest = min(question.combinations, key=differing)
    return nearest._replace(
        packages=packages,
        works=frozenset(CAPABILITIES),
        fails=frozenset(),
        row=None,
        adapted=tuple(n for n in DECIDING if packages.get(n) != nearest.packages.get(n)),
    )


def _effort(
    changes: Iterable[tuple[str, str | None, str | None]], said: Mapping[str, str] | None
) -> tuple[int, ...]:
    """Return what kinds of things change for the user, the largest first.

    Light ones count only where there is nothing else. What pins do not say, no user has chosen.

    Args:
        changes: Distribution, and its version before and after.
        said: What pins say; None for an installation.
    """
    efforts = {0}
    for name, now, then in changes:
        if name in SAME_FILES[0] and then is not None:
            efforts.add(5 if now else 6)  # 6: another TTS than the one that is there.
        elif then is not None:  # The rest goes with something else.
            light = said is not None and not said.get(name)
            efforts.add(1 if light else _EFFORTS.get(name, 1))
    return tuple(sorted(efforts - {0, 1}, reverse=True)) or (max(efforts),)


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
        question.there_for(combination),
        combination,
        question.keep,
        question.knowledge,
        needed,
    )
    if transition.fails or not transition.is_installable():
        return None
    result = transition.result()
    claims = {
        capability
        for issue in question.knowledge.errors_of[combination.family]
        if applies(issue, result)
        for capability in issue.capabilities
        if capability != "install" or not installed
    }
    claimed = _with_what_needs_them(claims)
    delivered = combination.works - claimed
    if not delivered.issuperset(question.required) or any(
        map(transition.takes_away, question.keep)
    ):
        return None
    changes = tuple(transition.changes())
    return Way(
        combination=combination,
        changes=changes,
        transition=transition,
        result=result,
        delivered=delivered,
        cost=cost_of(changes, question.said),
        lost=combination.fails | claimed,
        effort=_effort([(c.name, c.now, c.then) for c in changes], question.said),
        strange=_strange(question, combination),
    )


def _strange(question: Question, combination: Combination) -> int:
    """Return how much of what is kept has another version than it had in a combination."""
    return sum(
        name not in DECIDING and not meets(specifier, version)
        for name, specifier in question.keep.items()
        if (version := combination.recorded.packages.get(name))
    )


def _with_what_needs_them(failing: set[Capability]) -> set[Capability]:
    lost = set(failing)
    for capability in CAPABILITIES:
        if lost & {"install", *NEEDS.get(capability, ())}:
            lost.add(capability)
    return lost


def rank(way: Way) -> tuple[tuple[int, ...], int, int, tuple[bool, bool], int, int, int, int]:
    """Return what sorts ways, the best first."""
    # A model.pth that does not open is converted: one that opens as it is is no reason to change.
    lost = len(way.lost - {"load"})
    evidence = _EVIDENCE.index(evidence_of_runs(way.combination))
    distance = way.combination.distance
    known = -len(way.delivered - {"load"})
    adapted = len(way.combination.adapted)
    return way.effort, lost, way.strange, distance, evidence, known, way.cost, adapted


def _newness(way: Way) -> list[Version]:
    packages = way.combination.packages
    names = ("torch", way.combination.family, "transformers", "torchaudio", "torchcodec")
    return [Version(packages.get(name, "0")) for name in names]


def evidence_of_runs(combination: Combination) -> Evidence:
    """Return what the runs of a combination say of its working here."""
    if combination.adapted:
        return "expected"
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
    return combination._replace(packages=packages, fails=frozenset(), row=None, adapted=adapted)


def first_of(question: Question, ways: Sequence[Way]) -> Way | None:
    """Return the first that the doctor vouches for, or else the first that it does not turn down.

    It vouches for what was run, or is expected to work. Of the others only what was run elsewhere
    may be proposed, or what was adapted where nothing else holds.
    """
    for way in ways:
        if question.judged(way).verdict == "compatible":
            return way
    others = (way for way in ways if not way.near)
    return next((way for way in others if question.judged(way).verdict == "unknown"), None)
