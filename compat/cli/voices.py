"""`xcompat voices`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xcompat.cli.options import Json
from xcompat.errors import Misuse

if TYPE_CHECKING:
    from xcompat.converters.voices import Voice


def voices(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Model folder, speakers_xtts.pth, a voice of coqui-tts, or a server's JSON.",
        ),
    ],
    export: Annotated[
        list[str] | None,
        typer.Option("--export", metavar="NAME", help="Write this voice to -o; again for more."),
    ] = None,
    export_all: Annotated[bool, typer.Option("--export-all", help="Write all to -o.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="A .pth, or a .json of one voice."),
    ] = None,
    flat: Annotated[
        bool,
        typer.Option("--flat", help="One voice as a .pth for voice_dir= of coqui-tts."),
    ] = False,
    imported: Annotated[
        list[Path] | None,
        typer.Option(
            "--import", metavar="FILE", help="Add its voices to the folder; again for more."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Of the one voice that is imported."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what exists.")] = False,
    as_json: Json = False,
) -> None:
    """List, export and import voices; nothing of their files is run."""
    from xcompat.converters import voices as files
    from xcompat.render import voices as render
    from xcompat.render.text import show_json

    exports = bool(export or export_all)
    _check(exports, output, imported, name, flat=flat)
    written: list[Path] = []
    if imported:
        told = _named([v for file in imported for v in files.voices_of(file)], name)
        written = files.add_to(source, told, force=force)
    else:
        told = files.chosen(files.voices_of(source), export or ())
    if exports and output:
        files.export(told, output, flat=flat, force=force)
        written = [output]
    if as_json:
        show_json(render.voices_as_json(told, written))
    elif written:
        render.show_written(told, written)
    else:
        render.show_voices(told)


def _check(
    exports: bool,
    output: Path | None,
    imported: list[Path] | None,
    name: str | None,
    *,
    flat: bool,
) -> None:
    """Refuse options that make no sense together."""
    if exports and imported:
        raise Misuse("XC114", "`--export` and `--import` exclude each other")
    if exports != (output is not None):
        raise Misuse(
            "XC114",
            "`--export` or `--export-all`, and -o, go together",
            hint="xcompat voices FOLDER --export NAME -o voice.json",
        )
    if flat and not exports:
        raise Misuse("XC114", "`--flat` goes with `--export`")
    if name is not None and not imported:
        raise Misuse("XC114", "`--name` goes with `--import`")


def _named(voices: list[Voice], name: str | None) -> list[Voice]:
    if name is None:
        return voices
    if len(voices) != 1:
        raise Misuse("XC114", f"`--name` is for one voice, and there are {len(voices)}")
    return [voices[0]._replace(name=name)]
