"""`xcompat bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xcompat.cli.options import Device, Json, Python
from xcompat.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence


def bench(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Folder that `convert` wrote; the voice that ships with xcompat if not given.",
        ),
    ] = None,
    python: Python = None,
    device: Device = "auto",
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="WAY",
            help="By turns with the xcompat runtime: stock, or its shorter weights, bfloat16,"
            " float16, int8; again for more.",
        ),
    ] = None,
    speaker_wav: Annotated[
        Path | None,
        typer.Option(
            "--speaker-wav",
            metavar="FILE",
            help="Recording of a voice; for a model without built-in speakers.",
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option("--rounds", metavar="N", min=1, help="Of which the medians are told."),
    ] = 3,
    together: Annotated[
        int | None,
        typer.Option(
            "--together",
            metavar="N",
            min=1,
            help="Sentences said at once; 4 on the CPU and 32 elsewhere if not given.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast a model speaks here: load, tokens, sentence, first audio, memory."""
    from xcompat.cli.ending import clean_up_when_ended
    from xcompat.cli.graphics import begin_to_look, foretell, graphics_seen_by
    from xcompat.environment.probe import environment_of
    from xcompat.matrix.load import load_matrix
    from xcompat.render import bench as render
    from xcompat.render.smoke import progress
    from xcompat.render.text import show_json
    from xcompat.smoke.bench import BenchRequest
    from xcompat.smoke.bench import bench as measure

    rivals = _rivals(against or ())
    clean_up_when_ended()
    environment = environment_of(python)
    foretell(environment, device)
    with progress() as on_begin:
        report = measure(
            BenchRequest(
                Path(environment.interpreter), model, device, rivals, speaker_wav, rounds, together
            ),
            environment,
            load_matrix().issues,
            lambda: graphics_seen_by(begin_to_look(), environment),
            lambda stage: on_begin(render.doing(stage)),
        )
    if as_json:
        show_json(render.bench_as_json(report))
    else:
        render.show_bench(report)
    raise typer.Exit(ExitCode.YES if report.measured else ExitCode.NO)


def _rivals(words: Sequence[str]) -> tuple[str, ...]:
    """Return what `--against` names, each once."""
    from xcompat.errors import Misuse
    from xcompat.smoke.bench import RIVALS

    for word in words:
        if word not in RIVALS:
            raise Misuse(
                "XC310",
                f"there is no way to decode that is called `{word}`",
                hint=f"There are {', '.join(RIVALS)}.",
            )
    return tuple(dict.fromkeys(words))
