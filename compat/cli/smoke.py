"""`xcompat smoke`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from xcompat.cli.options import Device, Json, Python
from xcompat.errors import ExitCode

if TYPE_CHECKING:
    from xcompat.domain import Environment
    from xcompat.domain.smoke import SmokeReport
    from xcompat.smoke.request import SmokeRequest


def smoke(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Folder that `convert` wrote; the voice that ships with xcompat if not given.",
        ),
    ] = None,
    python: Python = None,
    device: Device = "auto",
    runtime: Annotated[
        Literal["auto", "xcompat", "stock"],
        typer.Option(
            "--runtime",
            metavar="auto|xcompat|stock",
            help="Who decodes: TTS and transformers, or xcompat; auto: stock if it can.",
        ),
    ] = "auto",
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="What to say.")] = None,
    language: Annotated[
        str,
        typer.Option("--language", metavar="LANGUAGE", help="Of the text, such as en or zh-cn."),
    ] = "en",
    speaker: Annotated[
        str | None, typer.Option("--speaker", metavar="NAME", help="Built-in speaker, by name.")
    ] = None,
    speaker_wav: Annotated[
        Path | None,
        typer.Option("--speaker-wav", metavar="FILE", help="Recording of the voice to clone."),
    ] = None,
    list_speakers: Annotated[
        bool, typer.Option("--list-speakers", help="Name the built-in speakers; speak nothing.")
    ] = False,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Where the WAV goes, replaced if it exists; the picture goes beside it.",
        ),
    ] = Path("speech.wav"),
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write an HTML page that plays the sound."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="ENGINE",
            help="Let another engine speak the same and compare: say, espeak-ng, piper=VOICE.onnx,"
            " gtts, edge-tts, a model folder, or `installed`; again for more.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="Measure every capability with the voice that ships; append the run to FILE.",
        ),
    ] = None,
    soak: Annotated[
        int | None,
        typer.Option(
            "--soak",
            metavar="N",
            min=20,
            help="Speak N sentences of different lengths; tell whether memory stays flat.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Load the model, speak, stream and clone in an environment, and judge the sound."""
    from xcompat.cli.asked import language_asked_for
    from xcompat.cli.ending import clean_up_when_ended
    from xcompat.cli.graphics import foretell
    from xcompat.environment.probe import environment_of
    from xcompat.smoke.against import rivals_asked_for
    from xcompat.smoke.request import SmokeRequest, default_text

    if list_speakers:
        _list_speakers(model, as_json)
    clean_up_when_ended()
    spoken = language_asked_for(language)
    environment = environment_of(python)
    if record:
        _record(environment, device, record, as_json)
    interpreter = Path(environment.interpreter)
    request = SmokeRequest(
        python=interpreter,
        model=model,
        device=device,
        runtime=runtime,
        text=default_text(spoken) if text is None else text,
        language=spoken,
        speaker=speaker,
        speaker_wav=speaker_wav,
        wav=output,
        against=rivals_asked_for(against or (), interpreter),
        foretold=foretell(environment, device),
    )
    if soak:
        _soak(request, soak, as_json)
    done = _spoken(request, report, as_json)
    raise typer.Exit(ExitCode.YES if done.verdict == "speaks" else ExitCode.NO)


def _spoken(request: SmokeRequest, page: Path | None, as_json: bool) -> SmokeReport:
    """Run the smoke, and show what came of it; `page` is where the HTML goes, if anywhere."""
    from xcompat.matrix.load import load_matrix
    from xcompat.render import smoke as render
    from xcompat.render.text import show_json
    from xcompat.smoke.request import check_place
    from xcompat.smoke.smoke import run_smoke

    if page:
        check_place(page, "--report")
    with render.progress() as on_begin:
        done = run_smoke(request, load_matrix().issues, on_begin)
    if page:
        from dataclasses import replace

        from xcompat.render.report_html import write_html

        write_html(done, page)
        done = replace(done, outputs={**done.outputs, "report": str(page)})
    if as_json:
        show_json(render.report_as_json(done))
    else:
        render.show_report(done)
    return done


def _list_speakers(model: Path | None, as_json: bool) -> NoReturn:
    from xcompat.render.text import show_json
    from xcompat.smoke.request import speakers_of

    names = speakers_of(model)
    if as_json:
        show_json({"schema": 1, "speakers": names})
    elif names:
        print("\n".join(names))
    else:
        print("This model has no built-in speakers; give a reference with --speaker-wav FILE.")
    raise typer.Exit


def _soak(request: SmokeRequest, sentences: int, as_json: bool) -> NoReturn:
    from xcompat.render import smoke as render
    from xcompat.render.soak import show_soak, soak_as_json
    from xcompat.render.text import show_json
    from xcompat.smoke.soak import soak

    with render.progress() as on_begin:
        done = soak(request, sentences, on_begin)
    if as_json:
        show_json(soak_as_json(done))
    else:
        show_soak(done)
    raise typer.Exit(ExitCode.YES if done.flat else ExitCode.NO)


def _record(environment: Environment, device: str, file: Path, as_json: bool) -> NoReturn:
    from xcompat.render import smoke as render
    from xcompat.render.text import show_json
    from xcompat.smoke.record import record_run
    from xcompat.smoke.run_line import append_run

    with render.progress() as on_begin:
        run = record_run(environment, device=device, on_begin=on_begin)
    append_run(file, run)
    if as_json:
        show_json(run)
    else:
        render.show_run(run, str(file))
    raise typer.Exit
