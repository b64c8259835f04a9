"""`xcompat demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xcompat.errors import ExitCode

PAGE = "speech.html"


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to leave the results.")
    ] = Path("xcompat-demo"),
    forged: Annotated[
        bool, typer.Option("--forged", help="Do without torch and TTS even where they are.")
    ] = False,
) -> None:
    """Show the whole story on the voice that ships: the wall, the diagnosis, the cure, words."""
    from xcompat.domain.smoke import SmokeReport
    from xcompat.environment.probe import environment_of
    from xcompat.matrix.load import load_matrix
    from xcompat.render import demo as render
    from xcompat.render.report_html import recording_as_html, write_html, write_page
    from xcompat.smoke.demo import (
        Recording,
        can_speak,
        forged_story,
        full_story,
        prepare_folder,
    )

    environment = environment_of()
    prepare_folder(folder)
    story = forged_story if forged or not can_speak(environment) else full_story
    steps = story(folder, environment, load_matrix())
    told = []
    for number, step in enumerate(steps, start=1):
        render.show_title(number, len(steps), step)
        result = step.act()
        told.append((step, result))
        render.show_result(result)
        if isinstance(result, SmokeReport):
            write_html(result, folder / PAGE)
        elif isinstance(result, Recording):
            write_page(recording_as_html(result), folder / PAGE)
    render.write_summary(folder / "summary.md", told)
    print(f"All of it is in {folder}: {PAGE} plays what it said, summary.md tells the rest")
    if any(isinstance(result, SmokeReport) and result.verdict == "fails" for _, result in told):
        raise typer.Exit(ExitCode.NO)
