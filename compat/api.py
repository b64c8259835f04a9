"""What apps may hold on to: the answers of `doctor` and `resolve` as values, and the conversion.

Everything here prints nothing, starts no process in an environment, and raises `XcompatError`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from xcompat.cli.asked import capabilities_asked_for, codes_asked_for, environment_asked_for
from xcompat.cli.demanded import constraints_asked_for, target_asked_for
from xcompat.cli.examination import Examination
from xcompat.converters import convert as _convert
from xcompat.diagnosis.answer import answer_of
from xcompat.diagnosis.fixes import fixes_for
from xcompat.matrix.load import load_matrix
from xcompat.render.findings import page_of
from xcompat.render.plan import commands
from xcompat.resolution.resolve import plan as _planned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xcompat.converters import CastTo, Conversion, Format
    from xcompat.domain import Diagnosis, Environment
    from xcompat.domain.plan import Constraint, Proposal

Status = Literal["works", "fails", "unknown"]
Verdict = Literal["compatible", "incompatible", "unknown"]
Place: TypeAlias = "str | os.PathLike[str] | None"


class Finding(NamedTuple):
    """A known issue that concerns what was asked about."""

    code: str
    severity: Literal["error", "warning"]
    title: str
    cause: str
    fix: tuple[str, ...]
    """Ways out: commands, whose remark stands behind `  # `, and sentences."""
    url: str | None
    """Its page; None as long as the site has no address."""


class Told(NamedTuple):
    """What `doctor` says."""

    verdict: Verdict
    """Whether all that was needed works."""
    answer: str
    """The same in one sentence, with the reason."""
    capabilities: Mapping[str, Status]
    findings: tuple[Finding, ...]
    next: tuple[str, ...]
    """What to type, in this order; empty where nothing that is needed fails."""


class Proposed(NamedTuple):
    """One combination that works."""

    requirements: tuple[str, ...]
    """What an installer is to be asked for."""
    commands: tuple[str, ...]
    """What to type, in this order."""
    changes: Mapping[str, tuple[str | None, str | None]]
    """Distribution to its version now and then; None where it is not there."""
    convert: bool
    """Whether the model must be converted to open there."""


class Proposals(NamedTuple):
    """What `resolve` proposes."""

    proposals: tuple[Proposed, ...]
    """The best first; empty where nothing holds all that must hold."""
    conflict: tuple[str, ...]
    """What cannot hold together, where nothing is proposed."""


def diagnose(
    python: Place = None,
    *,
    requirements: Place = None,
    need: Sequence[str] = (),
    ignore: Sequence[str] = (),
    language: str | None = None,
    python_version: str | None = None,
    platform: str | None = None,
    strict: bool = False,
) -> Told:
    """Say whether an environment, or a list of versions, can run XTTS v2.

    Args:
        python: The environment: its interpreter or its folder; None for the active one.
        requirements: A list of versions to judge in the place of an environment.
        need: What must work; importing, a converted model and speaking if empty.
        ignore: Codes of known issues that are not told, nor counted.
        language: To be spoken.
        python_version: In the place of the one that is there.
        platform: In the place of this one.
        strict: Take what was run only, not what is to be expected.

    Raises:
        XcompatError: Where the question makes no sense, or something cannot be read.
    """
    environment = environment_asked_for(
        _text(python),
        _text(requirements),
        python_version,
        platform,
        io.BytesIO(),
        language=language,
    )
    examination = Examination(
        load_matrix(by_words=False),
        capabilities_asked_for(need),
        codes_asked_for(ignore),
        None,
        strict=strict,
    )
    found, todo = examination.of(environment)
    return Told(
        verdict=found.verdict,
        answer=answer_of(found).text,
        capabilities={name: told.status for name, told in found.capabilities.items()},
        findings=_findings(found, environment),
        next=tuple(command for _, command in todo),
    )


def plan(
    python: Place = None,
    *,
    requirements: Place = None,
    keep: Sequence[str] = (),
    need: Sequence[str] = (),
    language: str | None = None,
    python_version: str | None = None,
    platform: str | None = None,
) -> Proposals:
    """Propose the smallest change that makes an environment, or a list, work; change nothing.

    Args:
        python: The environment: its interpreter or its folder; None for the active one.
        requirements: A list to begin from, in the place of an environment.
        keep: What must stay, such as `torch` or `torch==2.9.1`.
        need: What must work.
        language: To be spoken.
        python_version: In the place of the one that is there.
        platform: In the place of this one.

    Raises:
        XcompatError: Where the question makes no sense, or something cannot be read.
    """
    environment, demanded = target_asked_for(
        _text(python),
        _text(requirements),
        python_version,
        platform,
        io.BytesIO(),
        language=language,
    )
    wanted = constraints_asked_for(keep, need, environment)
    told = _planned(environment, load_matrix(by_words=False), (*demanded, *wanted))
    conflict = told.conflict.constraints if told.conflict else ()
    return Proposals(
        proposals=tuple(_proposed(each, environment) for each in told.proposals),
        conflict=tuple(map(_option, conflict)),
    )


def convert(
    source: str | os.PathLike[str],
    output: Place = None,
    *,
    format: Format = "safetensors",  # noqa: A002 - the option's name
    dtype: CastTo | None = None,
    force: bool = False,
    verify: bool = False,
    dry_run: bool = False,
) -> Conversion:
    """Turn a checkpoint or a model folder into files that load without running anything from it.

    Args:
        source: A `model.pth`, a trainer's file, a `model.safetensors`, or a folder with one.
        output: Folder to write to; beside the source if None.
        format: `safetensors`, `pth` or `both`.
        dtype: `float16` or `bfloat16` halves the size; None keeps what is there.
        force: Overwrite what exists.
        verify: Read the result back and compare it with the source.
        dry_run: Say what would be done, write nothing.

    Raises:
        XcompatError: Where the file is refused or damaged, or cannot be read, or written.
    """
    return _convert(
        Path(source),
        None if output is None else Path(output),
        format=format,
        force=force,
        dtype=dtype,
        verify=verify,
        dry_run=dry_run,
    )


def _findings(found: Diagnosis, environment: Environment) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            code=each.issue.code,
            severity=each.issue.severity,
            title=each.issue.title,
            cause=each.issue.cause,
            fix=fixes_for(each.issue, environment),
            url=page_of(each.issue.code),
        )
        for each in found.findings
    )


def _proposed(proposal: Proposal, environment: Environment) -> Proposed:
    return Proposed(
        requirements=proposal.requirements,
        commands=tuple(command for _, command in commands(proposal, environment)),
        changes={each.name: (each.now, each.then) for each in proposal.changes},
        convert=proposal.convert,
    )


def _option(constraint: Constraint) -> str:
    return f"{constraint.name}{constraint.specifier}" if constraint.specifier else constraint.name


def _text(place: Place) -> str | None:
    return None if place is None else os.fspath(place)
