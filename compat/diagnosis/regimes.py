"""Says what may be expected of versions that nobody ran: pure.

Known issues draw boundaries through the versions of each distribution. Between two boundaries, what
worked is expected to work: distribution by distribution, whatever the others were, unless an issue
concerns the versions together. How often that was right: `matrices/calibration.json`.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from xcompat.diagnosis.conditions import holds_for
from xcompat.diagnosis.evidence import STOCK
from xcompat.domain import DAMAGE, DECIDING, FAMILY, minor_of, with_needs
from xcompat.domain.versions import parsed, public, release
from xcompat.matrix.specifier import clauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from packaging.version import Version

    from xcompat.diagnosis.evidence import Column
    from xcompat.domain import Capability, Condition, Environment, Matrix, Run

    _Asked = tuple[Capability, str, frozenset[str]]
    _Split = tuple[Version, int]
    """Before a version, or (1) behind it."""
    _Versions = tuple[str | None, ...]
    """In the order of `_DIMENSIONS`."""

_STARTS: frozenset[Capability] = frozenset(
    {"import", "load-converted", "speak", "stream", "clone", "save"}
)
_ABSENT = -1
_DIMENSIONS = (*DECIDING, "numpy", "python")
"""What must lie between boundaries within which a capability worked."""


class Expected(NamedTuple):
    """Why a capability is expected to work."""

    runs: tuple[Run, ...]
    """In which it worked, the nearest ones."""
    note: str


class Regimes:
    """Between which boundaries versions lie.

    Args:
        matrix: Its errors draw the boundaries, its runs tell what works between them.
    """

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._around: dict[str, tuple[Environment, _Boundaries]] = {}
        self._ranges: dict[str, tuple[Version, Version] | None] = {}
        self._tell: dict[_Asked, list[tuple[Run, _Versions, bool]]] = {}

    def expected(
        self,
        capability: Capability,
        environment: Environment,
        column: Column,
        *,
        explained: Callable[[Run], bool],
        speaks_for: Callable[[Run], bool],
        guessed: frozenset[str],
    ) -> Expected | None:
        """Return why a capability is expected to work, or None where it is not.

        Args:
            capability: No error is known to concern it, or what it needs, in this environment.
            environment: One that is known in full.
            column: The way in which it shall work.
            explained: Whether a known issue says why a run failed.
            guessed: Distributions whose versions are those of another Python.
            speaks_for: Whether what known issues warn of here was there in a run as well.
        """
        if self.why_not(environment):
            return None
        boundaries = self._boundaries(column, environment, guessed)
        place = boundaries.place_of(capability)
        ours = place(_versions(environment))
        worked: list[tuple[Run, tuple[int, ...]]] = []
        for run, versions, works in self._telling(capability, column, _family(environment)):
            theirs = place(versions)
            if works and speaks_for(run):
                worked.append((run, theirs))
            elif not works and theirs == ours and not explained(run):
                return None
        within = [
            [run for run, theirs in worked if theirs[index] == place]
            for index, place in enumerate(ours)
        ]
        if not all(within):
            return None
        everywhere = [run for run, theirs in worked if theirs == ours]
        return Expected(*_told(environment, within, everywhere))

    def _telling(
        self, capability: Capability, column: Column, family: frozenset[str]
    ) -> list[tuple[Run, _Versions, bool]]:
        """Return the runs of a family that tell of a capability, and whether it works in them."""
        key = capability, column.name, family
        if key not in self._tell:
            self._tell[key] = [
                (run, _versions(run.environment), told.status == "works")
                for run in self._matrix.runs
                if (told := column.outcomes(run).get(capability))
                and told.status != "unknown"
                and _is_sound(run.environment)
                and _family(run.environment) == family
                and _is_released(run.environment)
            ]
        return self._tell[key]

    def why_not(self, environment: Environment) -> str:
        """Return why nothing is expected of an environment, whatever was run, or nothing."""
        if untidy := _untidy(environment):
            return untidy
        told = (self._beyond(name, environment) for name in (*DECIDING, "python"))
        return next(filter(None, told), "")

    def beyond(self, environment: Environment) -> tuple[str, ...]:
        """Return the deciding distributions of whose versions the runs do not tell."""
        return tuple(name for name in DECIDING if self._beyond(name, environment))

    def _beyond(self, name: str, environment: Environment) -> str:
        """Return why the runs do not tell of a version; nothing where they do, or it is absent."""
        text = _version_of(environment, name)
        if text is None:
            return ""
        version = parsed(text)
        if version is None:
            return f"no version is said for {name}"
        if version.is_prerelease:
            return f"{name} {text} is a pre-release: the releases around it do not tell"
        return self._out_of_range(name, text, release(version))

    def _boundaries(
        self, column: Column, environment: Environment, guessed: frozenset[str]
    ) -> _Boundaries:
        """Return the boundaries around an environment; those of the last one are kept."""
        last = self._around.get(column.name)
        if last is None or last[0] is not environment:
            last = environment, _Boundaries(self._matrix, column, environment, guessed)
            self._around[column.name] = last
        return last[1]

    def _out_of_range(self, name: str, text: str, version: Version) -> str:
        known = self._range(name)
        if known is None:
            return f"{name} was never run"
        oldest, newest = known
        shown = f"{'Python' if name == 'python' else name} {public(text)}"
        if name == "python" and version.release[:2] == newest.release[:2]:
            return ""
        if version > newest:
            last = f"; {told}" if (told := self._last_change(name)) else ""
            return f"{shown} is newer than any that was run, {newest}{last}"
        if version < oldest and version.release[:2] != oldest.release[:2]:
            return f"{shown} is older than any that was run, {oldest}"
        return ""

    def _range(self, name: str) -> tuple[Version, Version] | None:
        if name not in self._ranges:
            versions = {_version_of(run.environment, name) for run in self._matrix.runs}
            known = [
                version
                for each in versions
                if (version := parsed(public(each))) and not version.is_prerelease
            ]
            self._ranges[name] = (min(known), max(known)) if known else None
        return self._ranges[name]

    def _last_change(self, name: str) -> str:
        """Return the newest version of a distribution that broke something, and by which issue."""
        broke = [
            (version, issue.code)
            for issue in self._matrix.issues
            for condition in issue.conditions
            for operator, version, _ in _clauses(condition.packages.get(name, ""))
            if operator in (">=", ">") and not _STARTS.isdisjoint(STOCK.claims(issue))
        ]
        if not broke:
            return ""
        version, code = max(broke)
        return f"the last one that broke something was {version} ({code})"


class _Boundaries:
    """The boundaries that known issues draw around one environment.

    A condition draws its line through the versions of a distribution where all else that it asks
    for holds: what breaks beside another torch says nothing here.
    """

    def __init__(
        self, matrix: Matrix, column: Column, environment: Environment, guessed: frozenset[str]
    ) -> None:
        self._drawn = [
            (frozenset(claims), name, tuple(_splits(specifier)))
            for issue in matrix.issues
            if (claims := column.claims(issue))
            for condition in issue.conditions
            for name, specifier in _lines(condition, environment, guessed)
        ]
        self._places: dict[Capability, Callable[[_Versions], tuple[int, ...]]] = {}

    def place_of(self, capability: Capability) -> Callable[[_Versions], tuple[int, ...]]:
        """Return what tells between which boundaries versions lie, in each dimension."""
        if capability not in self._places:
            path = with_needs(capability)
            places = [_place_of(name, self._splits_of(path, name)) for name in _DIMENSIONS]

            def place(versions: _Versions) -> tuple[int, ...]:
                return tuple([one(text) for one, text in zip(places, versions, strict=True)])

            self._places[capability] = place
        return self._places[capability]

    def _splits_of(self, path: frozenset[Capability], name: str) -> frozenset[_Split]:
        """Return the boundaries that concern a path in one dimension."""
        return frozenset(
            split
            for claims, of_name, splits in self._drawn
            if of_name == name and not path.isdisjoint(claims)
            for split in splits
        )


@cache
def _place_of(name: str, splits: frozenset[_Split]) -> Callable[[str | None], int]:
    """Return what tells between which boundaries of a distribution a version lies."""
    ordered = sorted(splits)

    @cache
    def place(text: str | None) -> int:
        version = parsed(text)
        if version is None:
            return _ABSENT
        within = bisect_right(ordered, (release(version), 0))
        # What is built for one numpy does not run on the next.
        return within + 100 * version.major if name == "numpy" else within

    return place


def _lines(
    condition: Condition, environment: Environment, guessed: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Yield the dimensions through which a condition draws a line, and its specifiers."""
    if condition.platforms and environment.platform not in condition.platforms:
        return
    if condition.languages and environment.language not in condition.languages:
        return
    parts = {**condition.packages, **({"python": condition.python} if condition.python else {})}
    fails = [
        name
        for name, wanted in parts.items()
        if name not in guessed and not _is(wanted, environment, name)
    ]
    for name in parts if not fails else fails if len(fails) == 1 else ():
        if name in _DIMENSIONS:
            yield name, parts[name]


def _is(wanted: str, environment: Environment, name: str) -> bool:
    version = _version_of(environment, name)
    if not version:
        return wanted == "absent"
    return holds_for(wanted, version)


@cache
def _splits(specifier: str) -> tuple[_Split, ...]:
    splits: list[_Split] = []
    for operator, version, is_prefix in _clauses(specifier):
        if is_prefix:
            *first, last = version.release
            following = parsed(".".join(map(str, (*first, last + 1))))
            assert following
            splits += [(version, 0), (following, 0)]
        else:
            if operator in (">=", "<", "==", "!="):
                splits.append((version, 0))
            if operator in (">", "<=", "==", "!="):
                splits.append((version, 1))
    return tuple(splits)


def _clauses(specifier: str) -> tuple[tuple[str, Version, bool], ...]:
    return () if specifier in ("", "*", "absent") else clauses(specifier)


def _family(environment: Environment) -> frozenset[str]:
    return FAMILY.intersection(environment.packages)


def _untidy(environment: Environment) -> str:
    """Return what is wrong with an environment, whatever the versions; nothing for a sound one."""
    if len(FAMILY & environment.packages.keys()) != 1:
        return "exactly one of TTS and coqui-tts must be there"
    if twice := sorted(environment.duplicates.keys() & set(DECIDING)):
        return f"a distribution is there more than once ({twice[0]})"
    return "" if _is_sound(environment) else "files are not as they were installed"


def _is_sound(environment: Environment) -> bool:
    """Return whether the files are as they were installed, and each version is there once."""
    return not (environment.signs.keys() & DAMAGE or environment.duplicates.keys() & set(DECIDING))


def _is_released(environment: Environment) -> bool:
    versions = (parsed(environment.packages.get(name)) for name in DECIDING)
    return not any(version and version.is_prerelease for version in versions)


def _versions(environment: Environment) -> _Versions:
    return tuple(_version_of(environment, name) for name in _DIMENSIONS)


def _version_of(environment: Environment, name: str) -> str | None:
    return environment.python if name == "python" else environment.packages.get(name)


def _told(
    environment: Environment, within: Sequence[Sequence[Run]], everywhere: Sequence[Run]
) -> tuple[tuple[Run, ...], str]:
    """Return the runs that an expectation rests on, and what they were, in one phrase."""
    beside: list[str] = []
    support = {run.id: run for run in everywhere}
    for name, runs in zip(_DIMENSIONS, within, strict=True):
        version = parsed(_version_of(environment, name))
        if version is None or name in ("numpy", "python"):
            continue
        texts = {_version_of(run.environment, name) for run in runs}
        if any(release(v) == release(version) for v in map(parsed, texts) if v):
            continue
        known = {v: run for run in runs if (v := parsed(_version_of(run.environment, name)))}
        lower = max((v for v in known if v < version), default=None)
        higher = min((v for v in known if v > version), default=None)
        nearest = [v for v in (lower, higher) if v is not None]
        support |= {known[v].id: known[v] for v in nearest}
        beside.append(f"{name} {' and '.join(str(v.public) for v in nearest)}")
    if not support:  # Each version was run, and never all of them together.
        support = {runs[-1].id: runs[-1] for runs in within}
    runs = tuple(support.values())
    if beside:
        told = f"worked with {', '.join(beside)}; {len(runs)} run{'s' if len(runs) > 1 else ''}"
    else:
        told = "worked with versions that are alike" if everywhere else "each version worked"
    platforms = sorted({run.environment.platform for run in runs})
    minors = sorted({minor_of(run.environment.python) for run in runs})
    where = ""
    if environment.platform not in platforms:
        where += f", measured on {' and '.join(platforms)}"
    if minor_of(environment.python) not in minors:
        where += f", Python {' and '.join(minors)}"
    return runs, f"{told}{where}"
