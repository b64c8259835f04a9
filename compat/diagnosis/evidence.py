"""Says what recorded runs tell of an environment: pure."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from xcompat.diagnosis.conditions import Unsaid, codes_of, is_absent
from xcompat.domain import (
    DAMAGE,
    DECIDING,
    Capability,
    CapabilityStatus,
    Environment,
    Matrix,
    Run,
    distribution_name,
    minor_of,
    with_needs,
)
from xcompat.domain.versions import parsed, public
from xcompat.matrix.specifier import clauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.version import Version

    from xcompat.domain import CapabilityOutcome, KnownIssue


_INDISPENSABLE = ("torch", "torchaudio", "transformers")
"""Distributions without whose versions nobody knows what would be installed."""
_BESIDE = re.compile(r"--(?:with '|(?=torchcodec ))([\w.-]+)")
"""What a run asked for that no TTS brings along: torchcodec, and whatever was named `--with`."""
_SPOKEN: tuple[Capability, ...] = ("speak", "stream", "api", "api-path")
"""What a run did with an English sentence."""


class Column(NamedTuple):
    """One of the two ways in which a run measured everything."""

    name: str
    outcomes: Callable[[Run], Mapping[Capability, CapabilityOutcome]]
    claims: Callable[[KnownIssue], tuple[Capability, ...]]
    """Capabilities whose failure an issue claims."""


STOCK = Column(
    "stock",
    lambda run: run.capabilities,
    lambda issue: issue.capabilities if issue.severity == "error" else (),
)
"""With TTS and transformers as they are."""
RUNTIME = Column("runtime", lambda run: run.runtime_capabilities, lambda issue: issue.runtime)
"""Where xcompat loads the model."""


class Evidence:
    """The runs that can speak for an environment: found once for all capabilities.

    They measured it on this minor version of Python and this major version of numpy, and the known
    issues about a capability, or about what it needs, that concern them are those that concern
    the environment, or may do so where not everything is said.
    """

    def __init__(
        self, environment: Environment, matrix: Matrix, codes: Callable[[Run], frozenset[str]]
    ) -> None:
        self._environment = environment
        self._matrix = matrix
        spoiled = (
            # Nobody knows which of the versions would run.
            environment.duplicates.keys() & set(DECIDING) or environment.signs.keys() & DAMAGE
        )
        said = _said(environment)
        near = (
            ()
            if spoiled
            else (r for r in matrix.runs if _is_near(r.environment, environment, said))
        )
        self._near = tuple((run, codes(run)) for run in near)

    def of(self, capability: Capability, column: Column) -> list[Run]:
        """Return the runs that say whether a capability works."""
        path = with_needs(capability)
        about = {issue.code for issue in self._matrix.issues if path & set(issue.capabilities)}
        return [
            run
            for run, theirs in self._near
            if (outcome := column.outcomes(run).get(capability))
            and outcome.status != "unknown"
            and self._certain & about <= theirs & about <= self._possible
        ]

    @cached_property
    def _certain(self) -> frozenset[str]:
        return codes_of(self._environment, self._matrix, Unsaid(packages=False, system=False))

    @cached_property
    def _possible(self) -> frozenset[str]:
        return codes_of(self._environment, self._matrix, Unsaid(packages=True, system=True))


def _is_near(
    measured: Environment, environment: Environment, said: Iterable[tuple[str, str | None]]
) -> bool:
    """Return whether a run there can speak for `environment` as far as versions go."""
    return (
        (not environment.python or minor_of(measured.python) == minor_of(environment.python))
        # Neither the same versions nor a bracket: what issues concern it does not matter.
        and len(_differing(measured, said)) <= 1
        and not _numpy_differs(measured, environment)
        and not measured.signs.keys() & DAMAGE
    )


def _numpy_differs(measured: Environment, environment: Environment) -> bool:
    """Return whether both say which numpy they have, and it is 1 in one and 2 in the other."""
    versions = [parsed(each.packages.get("numpy")) for each in (measured, environment)]
    return len({version.major for version in versions if version}) > 1


def differing(measured: Environment, environment: Environment) -> list[str]:
    """Return the deciding distributions whose versions differ, of those that are said."""
    return _differing(measured, _said(environment))


def _differing(measured: Environment, said: Iterable[tuple[str, str | None]]) -> list[str]:
    packages = measured.packages
    return [name for name, version in said if public(packages.get(name)) != version]


def _said(environment: Environment) -> list[tuple[str, str | None]]:
    """Return the deciding distributions that are said to be there, or not to be, and as what."""
    packages = environment.packages
    return [
        (name, public(packages.get(name)))
        for name in DECIDING
        if name in packages or is_absent(name, environment)
    ]


def bracketed(
    capability: Capability, environment: Environment, runs: list[Run], matrix: Matrix
) -> CapabilityStatus | None:
    """Return what runs below and above in exactly one distribution agree on, if they do."""
    if not environment.complete:
        return None
    for name in DECIDING:
        version = parsed(environment.packages.get(name))
        if version is None or version.is_prerelease:
            continue  # What a nightly holds, the releases around it do not tell.
        beside = [
            (measured, run)
            for run in runs
            if differing(run.environment, environment) == [name]
            and (measured := parsed(public(run.environment.packages.get(name))))
            and not measured.is_prerelease
        ]
        lower = max((v for v, _ in beside if v < version), default=None)
        higher = min((v for v, _ in beside if v > version), default=None)
        if lower is None or higher is None or _boundary_between(name, lower, higher, matrix):
            continue
        nearest = [run for v, run in beside if v in (lower, higher)]
        told = {run.capabilities[capability].status for run in nearest}
        if len(told) == 1:
            status = told.pop()
            note = f"{status} with {name} {lower} and {higher} ({ids_of(nearest)})"
            support = tuple(run.id for run in nearest)
            return CapabilityStatus(status=status, basis="bracketed", note=note, support=support)
    return None


def _boundary_between(name: str, lower: Version, higher: Version, matrix: Matrix) -> bool:
    """Return whether any known issue draws a line between two versions of a distribution."""
    return any(
        _splits(operator, version, lower, higher)
        for issue in matrix.issues
        for condition in issue.conditions
        for operator, version in _boundaries(condition.packages.get(name, ""))
    )


def _splits(operator: str, version: Version, lower: Version, higher: Version) -> bool:
    if operator in (">=", "<"):
        return lower < version <= higher
    if operator in (">", "<="):
        return lower <= version < higher
    return lower <= version <= higher


def _boundaries(specifier: str) -> tuple[tuple[str, Version], ...]:
    if specifier in ("", "*", "absent"):
        return ()
    return tuple((operator, version) for operator, version, _ in clauses(specifier))


def recorded_note(capability: Capability, runs: list[Run], environment: Environment) -> str:
    """Return the runs that speak for an environment, and what they assume of it."""
    unsaid = [name for name in DECIDING if name not in environment.packages]
    assumed = sorted(
        {
            f"{name} {run.environment.packages.get(name, 'absent')}"
            for run in runs
            for name in unsaid
            if not is_absent(name, environment) and name in run.environment.packages
        }
    )
    if not environment.python:
        assumed += sorted({f"Python {minor_of(run.environment.python)}" for run in runs})
    if capability in ("clone", "save") and "torchcodec" in environment.packages:
        assumed += _assumed_ffmpeg(runs, environment)
    note = f"run {ids_of(runs)}"
    if environment.language not in ("", "en") and capability in _SPOKEN:
        note += ", in English"
    return f"{note}; assumed: {', '.join(assumed)}" if assumed else note


def _assumed_ffmpeg(runs: list[Run], environment: Environment) -> list[str]:
    """Return the FFmpeg of the runs, where the one of `environment` is not known."""
    if "ffmpeg" in environment.system:
        return []
    measured = {run.environment.system.get("ffmpeg") for run in runs}
    return sorted(f"FFmpeg {version.partition('-')[0]}" for version in measured if version)


def elsewhere_note(
    capability: Capability, environment: Environment, runs: list[Run], matrix: Matrix
) -> str:
    """Return what is recorded of the same versions without being an answer here."""
    if spoiled := environment.signs.keys() & DAMAGE:
        changed = "changed" if spoiled <= {"changed-files", "patched-load"} else "missing"
        return f"files are {changed}: no run speaks for such an environment"
    told = sorted(
        {
            f"{run.capabilities[capability].status} on {run.environment.platform}"
            for run in runs
            if run.environment.platform != environment.platform
            and not differing(run.environment, environment)
        }
    )
    if told:
        return f"{', '.join(told)}, never run on {environment.platform}"
    for run in matrix.runs:
        if run.environment.platform == environment.platform and capability not in run.capabilities:
            same_python = minor_of(run.environment.python) == minor_of(environment.python)
            if same_python and not differing(run.environment, environment):
                return f"run {run.id} did not try it"
    return "never run with these versions"


def ids_of(runs: list[Run]) -> str:
    """Return the first id of some runs, and how many more there are."""
    first, *rest = sorted(run.id for run in runs)
    return f"{first} and {len(rest)} more" if rest else first


def unsaid_by(environment: Environment, runs: list[Run]) -> list[str]:
    """Return what pins must say before these runs can say that anything works.

    Among it is what the runs asked for beside TTS and what decides: nothing else need bring it.
    """
    if environment.complete:
        return []
    missing = [name for name in _INDISPENSABLE if name not in environment.packages]
    if not {"TTS", "coqui-tts"} & environment.packages.keys():
        missing.insert(0, "TTS or coqui-tts")
    besides = [[name for name in _besides(run) if name not in environment.packages] for run in runs]
    return missing + min(besides, key=len, default=[])


def _besides(run: Run) -> list[str]:
    return [distribution_name(name) for name in _BESIDE.findall(run.command)]
