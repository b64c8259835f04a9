"""`xcompat doctor`."""

from __future__ import annotations

import sys

import typer

from xcompat.cli.exits import VERDICT_EXIT
from xcompat.cli.options import (
    Complete,
    Json,
    Language,
    Need,
    Platform,
    Python,
    PythonVersion,
    Requirements,
    Strict,
)


def doctor(
    python: Python = None,
    requirements: Requirements = None,
    python_version: PythonVersion = None,
    platform: Platform = None,
    need: Need = None,
    language: Language = None,
    strict: Strict = False,
    complete: Complete = None,
    as_json: Json = False,
) -> None:
    """Tell whether an environment can run XTTS v2, and what to do."""
    from xcompat.cli.asked import capabilities_asked_for, environment_asked_for
    from xcompat.diagnosis.doctor import diagnose
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
    diagnosis = diagnose(environment, load_matrix(), needed, strict=strict)
    if as_json:
        show_json(render.diagnosis_as_json(diagnosis))
    else:
        for note in environment.notes:
            show_warning(note)
        render.show_diagnosis(diagnosis)
    raise typer.Exit(VERDICT_EXIT[diagnosis.verdict])
