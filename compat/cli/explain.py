"""`xcompat explain`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from xcompat.cli.options import Json
from xcompat.errors import ExitCode


def explain(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CODE|FILE|TEXT]",
            help="A code such as XC001, a file with the error or a whole log (- is stdin), or the"
            " text of an error; without it, what is pasted or piped in.",
        ),
    ] = None,
    error: Annotated[
        str | None,
        typer.Option("--error", metavar="FILE", help="The traceback in FILE; - is stdin."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain a code, or find the known issue in a pasted traceback."""
    from xcompat.cli.pasted import asked_to_explain, own_error, source_of
    from xcompat.diagnosis.explain import NOTHING
    from xcompat.matrix.load import load_issues
    from xcompat.render import issue as render
    from xcompat.render.text import show_json, show_note

    if not what and error is None and sys.stdin.isatty():
        show_note("paste the error, then press Ctrl-D (on Windows Ctrl-Z and Enter)")
    source = source_of(what or (), error)
    if about := own_error(source):
        if as_json:
            show_json({**render.explained_as_json(NOTHING), "note": about})
        else:
            show_note(about)
        return
    explained = asked_to_explain(source, load_issues(), sys.stdin.buffer)
    if as_json:
        show_json(render.explained_as_json(explained))
    else:
        render.show_explained(explained)
    raise typer.Exit(ExitCode.YES if explained.explanations else ExitCode.UNKNOWN)
