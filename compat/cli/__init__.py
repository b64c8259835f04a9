"""The command line: parse, call, render, exit.

Every command imports what it needs when it runs, so that help and diagnosis start fast.
"""

from __future__ import annotations

import copy
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from xcompat.errors import ExitCode, Misuse, XcompatError

if TYPE_CHECKING:
    from xcompat.domain import Environment, Matrix
    from xcompat.domain.plan import Applied, Plan

VERDICT_EXIT = {
    "compatible": ExitCode.YES,
    "incompatible": ExitCode.NO,
    "unknown": ExitCode.UNKNOWN,
    "clear": ExitCode.YES,
    "obstacles": ExitCode.NO,
}

app = typer.Typer(
    name="xcompat",
    help="Make Coqui XTTS v2 work on today's PyTorch: diagnose, convert, speak.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich help imports a Markdown parser: as long again as all the rest
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from xcompat import __version__

        print(f"xcompat {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
def doctor(
    python: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Interpreter, virtual environment folder, or command to look at."
        ),
    ] = None,
    requirements: Annotated[
        str | None,
        typer.Option(
            "-r", "--requirements", metavar="FILE", help="Judge the exact pins in FILE; - is stdin."
        ),
    ] = None,
    python_version: Annotated[
        str | None,
        typer.Option(metavar="V", help="Judge for this Python version, such as 3.11."),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(metavar="P", help="Judge for this platform, such as macosx-arm64."),
    ] = None,
    need: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CAP",
            help="What must work: import, load, load-converted, speak, stream, clone, api;"
            " again for more.",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="L", help="Tell as well what speaking this language needs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Tell whether an environment can run XTTS v2, and what to do."""
    from xcompat.cli.asked import capabilities_asked_for, environment_asked_for
    from xcompat.diagnosis.doctor import diagnose
    from xcompat.matrix.load import load_matrix
    from xcompat.render import diagnosis as render
    from xcompat.render.text import show_json

    needed = capabilities_asked_for(need)
    environment = environment_asked_for(
        python, requirements, python_version, platform, sys.stdin.buffer, language=language
    )
    diagnosis = diagnose(environment, load_matrix(near=environment), needed)
    if as_json:
        show_json(render.diagnosis_as_json(diagnosis))
    else:
        render.show_diagnosis(diagnosis)
    raise typer.Exit(VERDICT_EXIT[diagnosis.verdict])


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="A code such as XC001.")] = None,
    error: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Explain the traceback in FILE; - is stdin."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Explain a code, or find the known issue in a pasted traceback."""
    from xcompat.cli.asked import issues_asked_for, own_error
    from xcompat.matrix.load import load_matrix
    from xcompat.render import issue as render
    from xcompat.render.text import show_json, show_note

    if about := own_error(code):
        if as_json:
            show_json({**render.issues_as_json(()), "note": about})
        else:
            show_note(about)
        return
    issues = issues_asked_for(code, error, load_matrix(), sys.stdin.buffer)
    if as_json:
        show_json(render.issues_as_json(issues))
    else:
        render.show_issues(issues)
    raise typer.Exit(ExitCode.YES if issues else ExitCode.UNKNOWN)


@app.command()
def resolve(
    python: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Interpreter or virtual environment to make work."),
    ] = None,
    requirements: Annotated[
        str | None,
        typer.Option(
            "-r", "--requirements", metavar="FILE", help="Start from the requirements in FILE."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help='What must stay: torch (as it is), torch==2.9.1, "numpy<2"; again for more.',
        ),
    ] = None,
    need: Annotated[
        list[str] | None,
        typer.Option(metavar="CAP", help="What must work, as for doctor; again for more."),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="L", help="Add what speaking this language needs, such as ja."),
    ] = None,
    python_version: Annotated[
        str | None, typer.Option(metavar="V", help="Plan for this Python version, such as 3.11.")
    ] = None,
    platform: Annotated[
        str | None, typer.Option(metavar="P", help="Plan for this platform, such as macosx-arm64.")
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write all versions with hashes: requirements, or pylock.toml."
        ),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Change the environment, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Find the smallest change that makes an environment work; lock it, apply it."""
    from xcompat.cli.demands import constraints_asked_for, target_asked_for
    from xcompat.matrix.load import load_matrix
    from xcompat.render import plan as render
    from xcompat.render.text import show_json
    from xcompat.resolution.resolve import plan as make_plan

    environment, demanded = target_asked_for(
        python, requirements, python_version, platform, sys.stdin.buffer, language=language
    )
    constraints = (*demanded, *constraints_asked_for(keep, need, environment))
    known = load_matrix()
    plan = make_plan(environment, known, constraints)
    told = render.plan_as_json(plan)
    if not as_json:
        render.show_plan(plan)
    status = ExitCode.YES if plan.proposals or plan.change_nothing else ExitCode.NO
    try:
        pins = _lock(plan, lock, apply=apply) if lock and plan.proposals else ()
        if apply and plan.proposals and plan.proposals[0].changes:
            applied = _apply(plan, known, pins, yes=yes, as_json=as_json)
            told |= {"applied": render.applied_as_json(applied)}
            status = ExitCode.NO if applied.after.verdict == "incompatible" else ExitCode.YES
    finally:
        if as_json:
            show_json(told)
    raise typer.Exit(status)


def _lock(plan: Plan, file: Path, *, apply: bool) -> tuple[str, ...]:
    from xcompat.render import plan as render
    from xcompat.resolution.lock import pins_of, portable, write_lock

    best = plan.proposals[0]
    keep = {each.name: each.specifier for each in plan.constraints}
    # What is there moves as little as it can; a lock for elsewhere depends on nothing here.
    there = plan.environment.packages if apply or not plan.environment.complete else {}
    preferred = [f"{name}=={version}" for name, version in there.items() if version]
    packages = write_lock(file, portable(best.requirements, keep), plan.environment, preferred)
    render.show_lock(str(file), packages, best, plan.environment)
    return pins_of(file)


def _apply(
    plan: Plan, known: Matrix, pins: tuple[str, ...], *, yes: bool, as_json: bool
) -> Applied:
    from xcompat.errors import Misuse
    from xcompat.render import diagnosis
    from xcompat.render import plan as render
    from xcompat.resolution.apply import carry_out, prepare

    prepared = prepare(plan, plan.proposals[0], pins)
    render.show_prepared(prepared.uninstalls, prepared.installs)
    if not yes:
        if not sys.stdin.isatty():
            raise Misuse(
                "XC217", "there is no terminal to ask you on; nothing was changed", hint="add --yes"
            )
        typer.confirm("Change the environment?", abort=True, err=True)
    _clean_up_when_ended()
    applied = carry_out(prepared, plan, known, render.show_progress)
    if not as_json:
        render.show_applied(applied)
        diagnosis.show_diagnosis(applied.after)
    return applied


@app.command()
def preflight(
    tts: Annotated[
        str | None, typer.Option(metavar="SPEC", help="TTS release, such as TTS==0.22.0.")
    ] = None,
    torch: Annotated[
        str | None, typer.Option(metavar="V", help="Release of torch, such as 2.9.1.")
    ] = None,
    macos: Annotated[
        str | None, typer.Option(metavar="V", help="Version of macOS, such as 14.5.")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="Environment to take the rest from.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
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


@app.command("matrix")
def show_recorded(
    tts: Annotated[
        str, typer.Option(metavar="TTS", help="Runs of TTS, coqui-tts, or coqui-tts>=0.27 only.")
    ] = "",
    torch: Annotated[
        str, typer.Option(metavar="V", help="Runs with this torch only, such as 2.9 or >=2.9.")
    ] = "",
    transformers: Annotated[
        str, typer.Option(metavar="V", help="Runs with this transformers only.")
    ] = "",
    platform: Annotated[
        str, typer.Option(metavar="P", help="Runs on this platform only, such as macosx-arm64.")
    ] = "",
    capability: Annotated[
        str | None, typer.Option(metavar="CAP", help="This capability only, with its errors.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check runs that somebody sends in.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Show what was run, on which platform, and how it went."""
    from xcompat.cli.asked import capabilities_asked_for
    from xcompat.matrix.load import load_matrix
    from xcompat.matrix.selection import Selection
    from xcompat.render import matrix as render
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
        write(render.matrix_as_markdown(known))
    else:
        render.show_matrix(known, chosen)


def _check(file: Path, as_json: bool) -> NoReturn:
    from xcompat.diagnosis.contribution import check_contribution
    from xcompat.matrix.load import load_matrix
    from xcompat.render import matrix as render
    from xcompat.render.text import show_json

    checked = check_contribution(file, load_matrix())
    if as_json:
        show_json(render.checked_as_json(checked))
    else:
        render.show_checked(checked)
    raise typer.Exit


@app.command()
def convert(
    source: Annotated[
        Path | None, typer.Argument(help="Checkpoint (.pth, .safetensors), or model folder.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to write to; made if missing.")
    ] = None,
    kind: Annotated[
        Literal["safetensors", "pth", "both"] | None,
        typer.Option("--format", help="Weights to write; safetensors if not given."),
    ] = None,
    dtype: Annotated[
        Literal["float16", "bfloat16"] | None,
        typer.Option(help="Halve the size: cast what may be cast, and tell what it costs."),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Replace the checkpoint by a .pth that every TTS loads."),
    ] = False,
    discard_original: Annotated[
        bool,
        typer.Option("--discard-original", help="With --in-place, keep no .original beside it."),
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
    find: Annotated[
        bool, typer.Option("--find", help="List the checkpoints in the known caches.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Turn a checkpoint into files that load without running anything from it."""
    from xcompat.converters import Options, repair
    from xcompat.converters import convert as run
    from xcompat.render import conversion as render
    from xcompat.render.text import show_json

    if find:
        _find(as_json)
    if source is None:
        raise Misuse("XC113", "there is nothing to convert", hint="Name a checkpoint or a folder.")
    if in_place and (output or kind or force):
        raise Misuse(
            "XC113",
            "`--in-place` writes a .pth where the checkpoint is",
            hint="Leave out -o, --format and --force.",
        )
    if discard_original and not in_place:
        raise Misuse("XC113", "`--discard-original` goes with `--in-place` only")
    _clean_up_when_ended()
    with render.progress_bar() as progress:
        options = Options(
            dtype=dtype,
            dry_run=dry_run,
            fsync=fsync,
            verify=verify,
            sha256=sha256,
            progress=progress,
        )
        if in_place:
            done = repair(source, keep_original=not discard_original, **options)
        else:
            done = run(source, output, format=kind or "safetensors", force=force, **options)
    if as_json:
        show_json(render.conversion_as_json(done))
    else:
        render.show_conversion(done)


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


@app.command()
def smoke(
    model: Annotated[
        Path | None,
        typer.Argument(help="Folder that `convert` wrote; a tiny built-in model if not given."),
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="Interpreter or virtual environment to speak in.")
    ] = None,
    device: Annotated[
        Literal["auto", "mps", "cuda", "cpu"], typer.Option(help="Where to compute.")
    ] = "auto",
    runtime: Annotated[
        Literal["auto", "xcompat", "stock"],
        typer.Option(help="Who decodes: TTS and transformers, or xcompat; auto: stock if it can."),
    ] = "auto",
    text: Annotated[str | None, typer.Option(help="What to say.")] = None,
    language: Annotated[
        str, typer.Option(help="Language of the text, such as en or zh-cn.")
    ] = "en",
    speaker: Annotated[str | None, typer.Option(help="Built-in speaker, by name.")] = None,
    speaker_wav: Annotated[
        Path | None, typer.Option(help="Reference WAV of the voice to clone.")
    ] = None,
    list_speakers: Annotated[
        bool, typer.Option("--list-speakers", help="Name the built-in speakers; speak nothing.")
    ] = False,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Where the WAV goes, replaced if it exists; the picture goes beside it.",
        ),
    ] = Path("speech.wav"),
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a page that plays the sound to FILE."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENGINE",
            help="Let another engine speak the same and compare: say, espeak-ng, piper=VOICE.onnx,"
            " gtts, edge-tts, a model folder, or `installed`; again for more.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Measure every capability on the built-in model; append the run to FILE."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Load the model, speak, stream and clone in an environment, and judge the sound."""
    from dataclasses import replace

    from xcompat.cli.asked import language_asked_for
    from xcompat.environment.probe import environment_of
    from xcompat.matrix.load import load_matrix
    from xcompat.render import smoke as render
    from xcompat.render.text import show_json
    from xcompat.smoke.against import rivals_asked_for
    from xcompat.smoke.smoke import SmokeRequest, check_place, default_text, run_smoke

    if list_speakers:
        _list_speakers(model, as_json)
    _clean_up_when_ended()
    spoken = language_asked_for(language)
    environment = environment_of(python)
    if record:
        _record(environment, device, record, as_json)
    request = SmokeRequest(
        python=Path(environment.interpreter),
        model=model,
        device=device,
        runtime=runtime,
        text=default_text(spoken) if text is None else text,
        language=spoken,
        speaker=speaker,
        speaker_wav=speaker_wav,
        wav=output,
        against=rivals_asked_for(against or (), Path(environment.interpreter)),
        foretold=_foretell(environment, device),
    )
    if report:
        check_place(report, "--report")
    with render.progress() as on_begin:
        done = run_smoke(request, load_matrix().issues, on_begin)
    if report:
        from xcompat.render.report_html import write_html

        write_html(done, report)
        done = replace(done, outputs={**done.outputs, "report": str(report)})
    if as_json:
        show_json(render.report_as_json(done))
    else:
        render.show_report(done)
    raise typer.Exit(ExitCode.YES if done.verdict == "speaks" else ExitCode.NO)


def _clean_up_when_ended() -> None:
    """Let a termination, or a terminal that closes, end the command as an interruption does.

    Not where the caller has them ignored, as `nohup` does.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _foretell(environment: Environment, device: str) -> tuple[str, ...]:
    """Tell on stderr, where Apple's GPU may be used, what is known of it before it is tried."""
    if device not in {"auto", "mps"} or not environment.platform.startswith("macosx"):
        return ()
    from xcompat.cli.asked import releases_of
    from xcompat.diagnosis.preflight import predict
    from xcompat.matrix.mps import load_mps
    from xcompat.render.preflight import in_short
    from xcompat.render.text import show_warning

    foretold = in_short(predict(*releases_of(environment), load_mps()))
    for sentence in foretold:
        show_warning(sentence)
    return foretold


def _list_speakers(model: Path | None, as_json: bool) -> NoReturn:
    from xcompat.render.text import show_json
    from xcompat.smoke.smoke import speakers_of

    names = speakers_of(model)
    if as_json:
        show_json({"schema": 1, "speakers": names})
    elif names:
        print("\n".join(names))
    else:
        print("This model has no built-in speakers; give a reference with --speaker-wav FILE.")
    raise typer.Exit


def _record(environment: Environment, device: str, file: Path, as_json: bool) -> NoReturn:
    from xcompat.render import smoke as render
    from xcompat.render.text import show_json
    from xcompat.smoke.record import append_run, record_run

    with render.progress() as on_begin:
        run = record_run(environment, device=device, on_begin=on_begin)
    append_run(file, run)
    if as_json:
        show_json(run)
    else:
        render.show_run(run, str(file))
    raise typer.Exit


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to leave the results.")] = Path(
        "xcompat-demo"
    ),
    forged: Annotated[
        bool, typer.Option("--forged", help="Do without torch and TTS even where they are.")
    ] = False,
) -> None:
    """Show the whole story on an embedded model: the wall, the diagnosis, the cure, the voice."""
    from xcompat.domain.smoke import SmokeReport
    from xcompat.environment.probe import environment_of
    from xcompat.matrix.load import load_matrix
    from xcompat.render import demo as render
    from xcompat.smoke.demo import can_speak, forged_story, full_story, prepare_folder

    environment = environment_of()
    prepare_folder(folder)
    story = forged_story if forged or not can_speak(environment) else full_story
    steps = story(folder, environment, load_matrix())
    told = []
    for number, step in enumerate(steps, start=1):
        render.show_title(number, len(steps), step)
        told.append((step, step.act()))
        render.show_result(told[-1][1])
    render.write_summary(folder / "summary.md", told)
    print(f"All of it is in {folder}: begin with summary.md")
    if any(isinstance(result, SmokeReport) and result.verdict == "fails" for _, result in told):
        raise typer.Exit(ExitCode.NO)


def _replace_closed_streams() -> None:
    """Stand in for standard streams that the caller closed, so that no file gets their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _asked_for(name: str) -> typer.Typer:
    """Return the app with only the command of that name, if it has one: typer builds all."""
    asked = copy.copy(app)
    asked.registered_commands = [
        info
        for info in app.registered_commands
        if name == (info.name or (info.callback and info.callback.__name__))
    ]
    return asked if asked.registered_commands else app


def _run() -> int | None:
    """Run the command that was typed; tell a full disk under what typer itself prints."""
    asked = _asked_for(next(iter(sys.argv[1:]), ""))
    try:
        status: int | None = asked(standalone_mode=True)
    except OSError as error:
        if error.filename is not None:
            raise
        from xcompat.render.text import telling_lost_output

        with telling_lost_output():
            raise
    return status


def main() -> NoReturn:
    """Run the command line and exit with one of the documented codes."""
    _replace_closed_streams()
    try:
        status = _run()
    except XcompatError as error:
        from xcompat.render.text import show_error

        show_error(error)
        status = error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = ExitCode.INTERRUPTED
    except Exception as error:
        if os.environ.get("XCOMPAT_DEBUG"):
            raise
        from xcompat.render.text import show_bug

        show_bug(error)
        status = ExitCode.BUG
    sys.exit(int(status or 0))
