"""Many models in one `convert`: found below folders, one summary, the worst exit code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from xcompat.cli.exits import worst
from xcompat.converters.fleet import Interrupted, convert_all, find_models
from xcompat.converters.model.model_files import find_model_files
from xcompat.errors import CannotLook, ExitCode
from xcompat.render import models as render
from xcompat.render.conversion import progress_bar
from xcompat.render.text import show_json, show_warning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from xcompat.converters.fleet import Way


def convert_models(
    sources: Sequence[Path], way: Way, jobs: int | None, *, as_json: bool
) -> ExitCode:
    """Convert all models that are named or lie below, write one summary, return the worst code.

    What cannot be converted is told, and does not keep the others from it.

    Raises:
        XcompatError: As `convert_all`, and where one folder is named that holds no model.
        KeyboardInterrupt: The user did not want to wait; what was done is whole.
    """
    found = find_models(sources)
    models = found.models
    if len(sources) == 1 and models[0].source == sources[0]:
        _refuse_what_holds_none(sources[0], found.outputs)
    try:
        with progress_bar() as progress:
            done = convert_all(models, way, jobs=jobs, progress=progress)
    except Interrupted as interrupted:
        show_warning(
            f"{interrupted.done} of {len(models)} models were converted, and nothing of the others"
            " is left; the same command goes on with these"
        )
        raise
    written = {os.path.realpath(each.output) for each in done}
    left_out = [str(path) for path in found.outputs if os.path.realpath(path) not in written]
    if as_json:
        show_json(render.outcomes_as_json(done, left_out))
    else:
        render.show_outcomes(done, left_out)
    return worst(each.error.exit_code if each.error else ExitCode.YES for each in done)


def _refuse_what_holds_none(place: Path, outputs: Sequence[Path]) -> None:
    if outputs:
        raise CannotLook(
            "XC112",
            f"{place} holds only what was converted from models that are elsewhere",
            hint=f"Name a folder to convert that again, such as {outputs[0]}.",
        )
    find_model_files(place)  # says what is there instead
