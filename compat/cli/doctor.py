"""`xcompat doctor`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from xcompat.cli.exits import VERDICT_EXIT
from xcompat.cli.options import (
    Complete,
    Json,
    Language,
    Need,
    NoGpu,
    Platform,
    Python,
    PythonVersion,
    Requirements,
    Strict,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.diagnosis.doctor import Doctor
    from xcompat.domain import Capability, Environment
    from xcompat.domain.gpu import Graphics
    from xcompat.render.diagnosis import Todo


def doctor(
    python: Python = None,
    requirements: Requirements = None,
    python_version: PythonVersion = None,
    platform: Platform = None,
    need: Need = None,
    language: Language = None,
    strict: Strict = False,
    complete: Complete = None,
    no_gpu: NoGpu = False,
    as_json: Json = False,
) -> None:
    """Tell whether an environment can run XTTS v2, and what to do."""
    from xcompat.cli.graphics import begin_to_look

    probe = None if no_gpu else begin_to_look(platform)
    from dataclasses import replace

    from xcompat.cli.asked import capabilities_asked_for, environment_asked_for
    from xcompat.cli.graphics import (
        graphics_seen_by,
        mended_by,
        mps_in_short,
        outlook_for,
        with_signs_of,
    )
    from xcompat.diagnosis.doctor import Doctor
    from xcompat.matrix.load import load_matrix
    from xcompat.render import diagnosis as render
    from xcompat.render.text import show_json, show_warning

    needed = capabilities_asked_for(need)
    environment = environment_asked_for(
        python,
        requirements,
        python_version,
        platform,
        sys.stdin.buffer,
        language=language,
        complete=complete,
    )
    graphics = graphics_seen_by(probe, environment)
    outlook = outlook_for(graphics, environment)
    knowing = Doctor(load_matrix(by_words=False))
    diagnosis = knowing.diagnose(with_signs_of(outlook, environment), needed, strict=strict)
    diagnosis = replace(diagnosis, outlook=outlook, findings=mended_by(outlook, diagnosis.findings))
    stopped = diagnosis.verdict == "incompatible"
    todo = _todo(environment, knowing, needed, graphics) if stopped else ()
    mps = mps_in_short(environment) if environment.platform == "macosx-arm64" else ()
    if as_json:
        show_json(render.diagnosis_as_json(diagnosis, todo, mps))
    else:
        for note in environment.notes:
            show_warning(note)
        render.show_diagnosis(diagnosis, todo, mps)
    raise typer.Exit(VERDICT_EXIT[diagnosis.verdict])


def _todo(
    environment: Environment,
    knowing: Doctor,
    needed: tuple[Capability, ...],
    graphics: Graphics | None,
) -> Sequence[Todo]:
    """Return what `resolve` proposes first: the doctor has no other advice."""
    from xcompat.cli.demanded import demands_of
    from xcompat.cli.graphics import for_graphics
    from xcompat.domain.plan import Constraint
    from xcompat.render.plan import first_commands
    from xcompat.resolution.resolve import plan

    wanted = [Constraint(kind="need", name=name) for name in needed]
    planned = plan(environment, knowing.matrix, (*demands_of(environment), *wanted), knowing)
    return first_commands(for_graphics(graphics, planned))
