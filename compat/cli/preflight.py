"""`xcompat preflight`."""

from __future__ import annotations

from typing import Annotated

import typer

from xcompat.cli.exits import VERDICT_EXIT
from xcompat.cli.options import Json, Python


def preflight(
    tts: Annotated[
        str | None,
        typer.Option("--tts", metavar="SPEC", help="Release of TTS, such as TTS==0.22.0."),
    ] = None,
    torch: Annotated[
        str | None,
        typer.Option("--torch", metavar="VERSION", help="Release of torch, such as 2.9.1."),
    ] = None,
    macos: Annotated[
        str | None,
        typer.Option("--macos", metavar="VERSION", help="Version of macOS, such as 14.5."),
    ] = None,
    python: Python = None,
    as_json: Json = False,
) -> None:
    """Tell what Apple's GPU (MPS) will do with XTTS; needs neither a Mac nor torch."""
    from xcompat.cli.asked import releases_asked_for
    from xcompat.diagnosis.preflight import predict
    from xcompat.matrix.mps import load_mps
    from xcompat.render import preflight as render
    from xcompat.render.text import show_json

    told = predict(*releases_asked_for(tts, torch, macos, python), load_mps())
    if as_json:
        show_json(render.preflight_as_json(told))
    else:
        render.show_preflight(told)
    raise typer.Exit(VERDICT_EXIT[told.verdict])
