"""Says what pins leave out: what an installer brings, or what the nearest run had. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from xcompat.domain import DECIDING, FAMILY, Environment, distribution_name, minor_of
from xcompat.domain.versions import parsed, public

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xcompat.domain import Matrix, Run

_ASKED = re.compile(r"--(torch|torchaudio|torchcodec|transformers) |--with '?([A-Za-z0-9][\w.-]*)")
"""What the command of a run asked an installer for, beside a TTS."""
_BESIDE_TORCH = ("torch", "torchaudio", "torchcodec")


class Assumed(NamedTuple):
    """Pins, made whole."""

    environment: Environment
    added: Mapping[str, str | None]
    """Deciding distributions that the pins leave out: the version that is assumed, or None."""
    python: str
    """Python version that is assumed, empty where one is said."""


def assumed(environment: Environment, matrix: Matrix) -> Assumed | None:
    """Return the environment that pins make, or None where they name no TTS or two.

    What nobody names is what an installer brought to the last run that was not asked for it. Where
    torch is not named but what goes with it is, somebody has a torch already: the nearest run's.
    """
    said = {name: version for name, version in environment.packages.items() if version}
    families = FAMILY & environment.packages.keys()
    runs = [
        run for run in matrix.runs if _is_usual(run) and families <= run.environment.packages.keys()
    ]
    if len(families) != 1 or not runs:
        return None
    (family,) = families
    python = environment.python or minor_of(
        _nearest(said, "", environment, runs).environment.python
    )
    added: dict[str, str | None] = {}
    if family not in said:
        added[family] = _newest(family, runs)
    known = {**said, **{name: version for name, version in added.items() if version}}
    has_torch = "torch" in said or not said.keys() & {"torchaudio", "torchcodec", "transformers"}
    for name in DECIDING:
        if name in known or name in FAMILY:
            continue
        if name == "torchcodec" and has_torch:
            added[name] = None  # No TTS brings it.
        elif has_torch or not name.startswith("torch"):
            added[name] = _brought(name, family, known, python, runs)
    if not has_torch:
        brings = _brought("torch", family, known, python, runs)
        there = _nearest(known, python, environment, runs).environment.packages
        for name in _BESIDE_TORCH:
            if name not in said:
                added[name] = there.get(name) if brings else None
    packages = {**known, **{name: version for name, version in added.items() if version}}
    whole = _followers(packages, python, environment, runs, asked=frozenset(environment.packages))
    return Assumed(
        environment=replace(
            environment,
            python=python,
            packages={**whole, **packages},
            complete=True,
            interpreter="",
        ),
        added={name: version for name, version in added.items() if name not in FAMILY - {family}},
        python="" if environment.python else python,
    )


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


def _newest(name: str, runs: Iterable[Run]) -> str | None:
    versions = {run.environment.packages.get(name) for run in runs}
    known = [version for each in versions if (version := parsed(each))]
    return str(max(known)) if known else None


def _brought(
    name: str, family: str, known: Mapping[str, str], python: str, runs: Sequence[Run]
) -> str | None:
    """Return the version that an installer brings of what it is not asked for."""
    free = [run for run in runs if name not in asked_for(run.command)]

    def closeness(run: Run) -> tuple[bool, bool, str]:
        there = run.environment
        return (
            public(there.packages.get(family)) == public(known.get(family)),
            minor_of(there.python) == minor_of(python),
            run.date,
        )

    best = max(free, key=closeness, default=None)
    version = best.environment.packages.get(name) if best else None
    return public(version)


def _nearest(
    known: Mapping[str, str], python: str, environment: Environment, runs: Iterable[Run]
) -> Run:
    """Return the run whose versions are most alike, the last of equally near ones."""

    def distance(run: Run) -> tuple[int, int, bool, bool]:
        theirs = run.environment.packages
        pairs = [(theirs.get(name), known[name]) for name in DECIDING if name in known]
        return (
            sum(_minor(one) != _minor(other) for one, other in pairs),
            sum(public(one) != public(other) for one, other in pairs),
            bool(python) and minor_of(run.environment.python) != minor_of(python),
            run.environment.platform != environment.platform,
        )

    return min(reversed(list(runs)), key=distance)


def _minor(version: str | None) -> str:
    return minor_of(version) if version else ""


def _followers(
    packages: Mapping[str, str],
    python: str,
    environment: Environment,
    runs: Sequence[Run],
    asked: frozenset[str],
) -> dict[str, str]:
    """Return the rest of such an installation, without what a run was asked for by name."""
    nearest = _nearest(packages, python, environment, runs)
    named = asked_for(nearest.command) - asked
    return {
        name: version
        for name, version in nearest.environment.packages.items()
        if name not in named and name not in DECIDING
    } | {name: v for name, v in environment.packages.items() if v}
