"""Says what pins leave out: what an installer brings, or what the nearest run had. Pure."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from xcompat.diagnosis.conditions import applies
from xcompat.domain import DECIDING, FAMILY, SAME_FILES, Environment, distribution_name, minor_of
from xcompat.domain.versions import parsed, public
from xcompat.matrix.specifier import contains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from xcompat.domain import Matrix, Run

_ASKED = re.compile(r"--(torch|torchaudio|torchcodec|transformers) |--with '?([A-Za-z0-9][\w.-]*)")
"""What the command of a run asked an installer for, beside a TTS."""
_PAIRS = tuple(map(frozenset, SAME_FILES))
_BY_CHANCE = frozenset({"six", "click"})
"""What a TTS imports and does not ask for: other packages bring it on some Pythons only."""
_BESIDE_TORCH = ("torchaudio", "torchcodec", "transformers")
"""Whoever names one of these and no torch has a torch already."""


class Assumed(NamedTuple):
    """Pins, made whole."""

    environment: Environment
    added: Mapping[str, str | None]
    """Deciding distributions that the pins leave out: the version that is assumed, or None."""
    python: str
    """Python version that is assumed, empty where one is said."""
    unsure: frozenset[str]
    """Distributions of which nobody can tell whether they come along."""
    guessed: frozenset[str]
    """Distributions whose versions are those that another Python got."""


def assumed(environment: Environment, matrix: Matrix) -> Assumed | None:
    """Return the environment that pins make, or None where nobody can tell.

    What nobody names is what an installer brought to the last run that was not asked for it. Where
    torch is not named but what goes with it is, somebody has a torch already: the nearest run's.
    Pins that name no TTS, or two, or versions that nobody ran, make no environment, and neither
    does a Python older than any run's: what an installer still finds for it is not what it found.
    """
    families = FAMILY & environment.packages.keys()
    runs = [
        run for run in matrix.runs if _is_usual(run) and families <= run.environment.packages.keys()
    ]
    if len(families) != 1 or not runs or _is_older(environment.python, runs):
        return None
    said = {name: version for name, version in environment.packages.items() if version}
    python = environment.python or minor_of(
        _nearest(said, "", environment, runs).environment.python
    )

    def exists(name: str, version: str) -> bool:
        return _exists(name, version, python, environment, matrix)

    added = _added(environment, said, python, runs, everything=matrix.runs, exists=exists)
    if "" in added.values():
        return None
    packages = {**said, **{name: version for name, version in added.items() if version}}
    beside = _followers(packages, python, environment, runs)
    unsaid = beside.packages.keys() - environment.packages.keys()
    by_chance = _BY_CHANCE - environment.packages.keys()
    return Assumed(
        environment=environment._replace(
            python=python,
            packages={**beside.packages, **packages},
            builds=_builds(environment, packages, matrix),
            complete=True,
            interpreter="",
        ),
        added=added,
        python="" if environment.python else python,
        unsure=frozenset() if beside.same_python and beside.same_tts else by_chance,
        guessed=frozenset() if beside.same_python else frozenset(unsaid),
    )


def _added(
    environment: Environment,
    said: Mapping[str, str],
    python: str,
    runs: Sequence[Run],
    *,
    everything: Sequence[Run],
    exists: Callable[[str, str], bool],
) -> dict[str, str | None]:
    """Return the deciding distributions that are not said: see `Assumed.added`.

    An empty version means that none that was ever run is in the range that is asked for.
    """
    named, ranges = environment.packages, environment.ranges
    (family,) = FAMILY & named.keys()
    added: dict[str, str | None] = {}
    if family not in said:
        added[family] = _newest(family, ranges.get(family, ""), runs)
    known = {family: added.get(family) or "", **said}
    others = [name for name in DECIDING if name not in FAMILY and name not in said]
    has_torch = "torch" in named or named.keys().isdisjoint(_BESIDE_TORCH)
    for name in others:
        if name in named:
            added[name] = _newest(name, ranges.get(name, ""), everything)
        elif name == "torchcodec" and has_torch:
            added[name] = None  # No TTS brings it.
        elif has_torch or name == "transformers":
            added[name] = _brought(name, known, python, runs, exists)
        else:
            brings = "torchaudio" in named or _brought("torch", known, python, runs, exists)
            there = _nearest(known, python, environment, runs).environment.packages
            added[name] = public(there.get(name)) if brings else None
    return added


def _is_older(python: str, runs: Iterable[Run]) -> bool:
    version = parsed(python)
    known = (parsed(minor_of(run.environment.python)) for run in runs)
    return version is not None and all(each and version < each for each in known)


@cache
def asked_for(command: str) -> frozenset[str]:
    """Return what a run's command asked for beside a TTS; empty for one that names no versions."""
    return frozenset(distribution_name(a or b) for a, b in _ASKED.findall(command))


def _is_usual(run: Run) -> bool:
    """Return whether a run shows what an installer makes of a request, and nothing was forced."""
    outcome = run.capabilities.get("install")
    return (
        outcome is not None
        and outcome.status == "works"
        and "--then" not in run.command
        and "--tts" in run.command
    )


def _newest(name: str, wanted: str, runs: Iterable[Run]) -> str:
    """Return the newest version that was ever run and is in a range; empty where there is none."""
    versions = {public(run.environment.packages.get(name)) for run in runs} - {None}
    known = [
        version
        for each in versions
        if (version := parsed(each)) and (not wanted or _allows(wanted, str(version)))
    ]
    return str(max(known)) if known else ""


def _brought(
    name: str,
    known: Mapping[str, str],
    python: str,
    runs: Sequence[Run],
    exists: Callable[[str, str], bool],
) -> str | None:
    """Return the version that an installer brings of what is not named, None for none."""
    free = [run for run in runs if name not in asked_for(run.command)]

    def closeness(run: Run) -> tuple[bool, bool, str]:
        there = run.environment
        return (
            all(public(there.packages.get(each)) == public(known.get(each)) for each in FAMILY),
            minor_of(there.python) == minor_of(python),
            run.date,
        )

    best = max(free, key=closeness, default=None)
    brought = public(best.environment.packages.get(name)) if best else None
    if brought is None or exists(name, brought):
        return brought
    versions = {public(run.environment.packages.get(name)) for run in runs}
    fitting = [v for each in versions if (v := parsed(each)) and exists(name, str(v))]
    return str(max(fitting)) if fitting else brought


def _exists(name: str, version: str, python: str, environment: Environment, matrix: Matrix) -> bool:
    """Return whether no known issue says that there is no such release for a Python or platform."""
    # Each torchaudio comes for the Pythons and platforms of the torch of its number.
    packages = {"torch" if name == "torchaudio" else name: version}
    there = Environment(
        python=python, platform=environment.platform, packages=packages, source="", complete=False
    )
    return not any(
        "install" in issue.capabilities and issue.severity == "error" and applies(issue, there)
        for issue in matrix.issues
    )


def _allows(specifier: str, version: str) -> bool:
    """Return whether a range that a list asks for holds; one of a kind that is rare holds never."""
    try:
        return contains(specifier.replace(" ", ""), Version(version))
    except ValueError:
        return False


def _nearest(
    known: Mapping[str, str], python: str, environment: Environment, runs: Iterable[Run]
) -> Run:
    """Return the run whose versions are most alike, the last of equally near ones."""
    family = [(name, _minor(known.get(name))) for name in FAMILY]
    minors = [(name, _minor(known[name])) for name in DECIDING if name in known]
    versions = [(name, public(known[name])) for name in DECIDING if name in known]
    usual = {*DECIDING, *known}
    minor = minor_of(python)

    def distance(run: Run) -> tuple[bool, bool, int, int, int, bool]:
        theirs = run.environment.packages
        return (
            # What else is installed depends on the release of TTS and on Python before all.
            any(_minor(theirs.get(name)) != ours for name, ours in family),
            minor != "" and minor_of(run.environment.python) != minor,
            len(asked_for(run.command) - usual),
            sum([_minor(theirs.get(name)) != ours for name, ours in minors]),
            sum([public(theirs.get(name)) != ours for name, ours in versions]),
            run.environment.platform != environment.platform,
        )

    return min(reversed(list(runs)), key=distance)


def _minor(version: str | None) -> str:
    return minor_of(version) if version else ""


class _Followers(NamedTuple):
    """The rest of an installation, as the nearest run had it."""

    packages: Mapping[str, str]
    same_python: bool
    same_tts: bool


def _followers(
    packages: Mapping[str, str], python: str, environment: Environment, runs: Sequence[Run]
) -> _Followers:
    """Return the rest of such an installation, without what a run was asked for by name.

    Nothing is taken from a run that was left with files of two distributions.
    """
    tidy = [run for run in runs if not any(map(run.environment.packages.keys().__ge__, _PAIRS))]
    nearest = _nearest(packages, python, environment, tidy or runs)
    named = asked_for(nearest.command)
    there = nearest.environment
    # Whoever names one of two that install the same files does not have the other.
    rivals = {name for pair in SAME_FILES for name in pair if not packages.keys().isdisjoint(pair)}
    beside = {
        name: version
        for name, version in there.packages.items()
        if name not in named and name not in DECIDING and name not in rivals
    }
    # Each transformers takes one minor of tokenizers.
    transformers = _minor(packages.get("transformers"))
    if _minor(there.packages.get("transformers")) != transformers:
        beside.pop("tokenizers", None)
        for run in runs:
            theirs = run.environment.packages
            if _minor(theirs.get("transformers")) == transformers and "tokenizers" in theirs:
                beside["tokenizers"] = theirs["tokenizers"]
    return _Followers(
        packages=beside,
        same_python=minor_of(there.python) == minor_of(python),
        same_tts=all(
            public(there.packages.get(name)) == public(packages.get(name)) for name in FAMILY
        ),
    )


def published_builds(runs: Iterable[Run]) -> dict[tuple[str, str, str], str]:
    """Return what the packages of torch and torchaudio on the usual index are built for.

    By platform, name and version; where runs disagree, there is none.
    """
    builds: dict[tuple[str, str, str], set[str]] = {}
    for run in runs:
        there = run.environment
        for name, build in there.builds.items():
            version = there.packages.get(name, "")
            if version and "+" not in version:
                builds.setdefault((there.platform, name, version), set()).add(build)
    return {key: next(iter(told)) for key, told in builds.items() if len(told) == 1}


def _builds(
    environment: Environment, packages: Mapping[str, str], matrix: Matrix
) -> dict[str, str]:
    known = published_builds(matrix.runs)
    told = {}
    for name in ("torch", "torchaudio"):
        version, _, local = packages.get(name, "").partition("+")
        build = local or environment.builds.get(name, "")
        told[name] = build or known.get((environment.platform, name, version), "")
    return {name: build for name, build in told.items() if build}
