"""`xcompat convert`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from xcompat.cli.options import Json
from xcompat.errors import Misuse


def convert(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Checkpoint (.pth, .safetensors), model folder, or folder of models; several of"
            " them.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Where to write; made if missing."),
    ] = None,
    kind: Annotated[
        Literal["safetensors", "pth", "both"] | None,
        typer.Option(
            "--format",
            metavar="safetensors|pth|both",
            help="Weights to write; safetensors if not given.",
        ),
    ] = None,
    dtype: Annotated[
        Literal["float16", "bfloat16"] | None,
        typer.Option(
            "--dtype",
            metavar="float16|bfloat16",
            help="Halve the size: cast what may be cast, and tell what it costs.",
        ),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Replace the checkpoint by a .pth that every TTS loads."),
    ] = False,
    discard_original: Annotated[
        bool,
        typer.Option("--discard-original", help="With --in-place, keep no .original beside it."),
    ] = False,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="With --in-place, leave exactly config.json, model.pth, speakers_xtts.pth and"
            " vocab.json; the rest goes to FOLDER.original.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, write nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what exists.")] = False,
    fsync: Annotated[
        bool,
        typer.Option("--fsync/--no-fsync", help="Wait until the disk has it, for a loss of power."),
    ] = True,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read the result back and compare it with the source.")
    ] = False,
    sha256: Annotated[
        bool,
        typer.Option("--sha256", help="Compute it for the source: is it a published release?"),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            help="Of several models, convert N at a time; what processors and memory bear if not"
            " given.",
        ),
    ] = None,
    find: Annotated[
        bool, typer.Option("--find", help="List the checkpoints in the known caches.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Turn a checkpoint into files that load without running anything from it."""
    from xcompat.cli.ending import clean_up_when_ended
    from xcompat.converters import Options, repair
    from xcompat.converters import convert as run
    from xcompat.converters.model.model_files import is_one_model
    from xcompat.render import conversion as render
    from xcompat.render.text import show_json

    if find:
        _find(as_json)
    only_in_place = {"--discard-original": discard_original, "--exact": exact}
    given = _checked(sources, in_place, only_in_place, beside=bool(output or kind or force))
    clean_up_when_ended()
    options = Options(dtype=dtype, dry_run=dry_run, fsync=fsync, verify=verify, sha256=sha256)
    if len(given) > 1 or not is_one_model(given[0]):
        from xcompat.cli.models import convert_models
        from xcompat.converters.fleet import Way

        way = Way(
            options, kind or "safetensors", force, in_place, not discard_original, exact, output
        )  # fmt: skip
        raise typer.Exit(convert_models(given, way, jobs, as_json=as_json))
    with render.progress_bar() as progress:
        options["progress"] = progress
        if in_place:
            done = repair(given[0], keep_original=not discard_original, exact=exact, **options)
        else:
            done = run(given[0], output, format=kind or "safetensors", force=force, **options)
    if as_json:
        show_json(render.conversion_as_json(done))
    else:
        render.show_conversion(done)


def _checked(
    sources: list[Path] | None, in_place: bool, only_in_place: dict[str, bool], *, beside: bool
) -> list[Path]:
    """Return the sources; refuse options that make no sense together."""
    if not sources:
        raise Misuse("XC113", "there is nothing to convert", hint="Name a checkpoint or a folder.")
    if in_place and beside:
        raise Misuse(
            "XC113",
            "`--in-place` writes a .pth where the checkpoint is",
            hint="Leave out -o, --format and --force.",
        )
    for option, given in only_in_place.items():
        if given and not in_place:
            raise Misuse("XC113", f"`{option}` goes with `--in-place` only")
    return sources


def _find(as_json: bool) -> NoReturn:
    from xcompat.converters.model.caches import cache_places, find_checkpoints
    from xcompat.render import caches as render
    from xcompat.render.text import show_json

    places = cache_places(os.environ, sys.platform, Path.home())
    found = list(find_checkpoints(places))
    if as_json:
        show_json(render.found_as_json(places, found))
    else:
        render.show_found(places, found)
    raise typer.Exit
