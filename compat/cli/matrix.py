"""`xcompat matrix`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from xcompat.cli.options import Json
from xcompat.errors import CannotLook


def matrix(
    tts: Annotated[
        str,
        typer.Option(
            "--tts", metavar="SPEC", help="Runs of TTS, coqui-tts, or coqui-tts>=0.27 only."
        ),
    ] = "",
    torch: Annotated[
        str,
        typer.Option(
            "--torch", metavar="VERSION", help="Runs with this torch only, such as 2.9 or >=2.9."
        ),
    ] = "",
    transformers: Annotated[
        str,
        typer.Option("--transformers", metavar="VERSION", help="Runs with this transformers only."),
    ] = "",
    platform: Annotated[
        str,
        typer.Option(
            "--platform",
            metavar="PLATFORM",
            help="Runs on this platform only, such as macosx-arm64.",
        ),
    ] = "",
    capability: Annotated[
        str | None,
        typer.Option(
            "--capability", metavar="CAPABILITY", help="This capability only, with its errors."
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Check runs that somebody sends in."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """Show what was run, on which platform, and how it went."""
    from xcompat.cli.asked import capabilities_asked_for
    from xcompat.matrix.load import load_matrix
    from xcompat.matrix.selection import Selection
    from xcompat.render import matrix as render
    from xcompat.render.matrix_page import matrix_as_markdown
    from xcompat.render.text import show_json, write

    if check:
        _check(check, as_json)
    versions = {"torch": torch, "transformers": transformers}
    chosen = capabilities_asked_for([capability])[0] if capability else None
    selection = Selection(
        tts=tts,
        versions={name: version for name, version in versions.items() if version},
        platform=platform,
        capability=chosen,
    )
    known = selection.of(load_matrix())
    if as_json:
        show_json(render.matrix_as_json(known))
    elif markdown:
        write(matrix_as_markdown(known))
    else:
        render.show_matrix(known, chosen)


def _check(file: Path, as_json: bool) -> NoReturn:
    from xcompat.diagnosis.contribution import check_contribution
    from xcompat.matrix.load import load_matrix
    from xcompat.render import contribution as render
    from xcompat.render.text import show_json

    checked = check_contribution(_text_of(file), str(file), load_matrix())
    if as_json:
        show_json(render.checked_as_json(checked))
    else:
        render.show_checked(checked)
    raise typer.Exit


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotLook(
            "XC209", f"cannot read `{file}`: {error}", hint="check the path"
        ) from error
