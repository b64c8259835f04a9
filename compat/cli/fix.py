"""`xcompat fix`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from xcompat.cli.options import Device, Json, Language, Need, Python
from xcompat.errors import ExitCode, Misuse

if TYPE_CHECKING:
    from xcompat.domain import Environment, Matrix
    from xcompat.domain.plan import Plan
    from xcompat.mending.journal import Journal
    from xcompat.mending.values import Intention, Mended


def fix(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL", help="Model folder or checkpoint; looked for if not given."
        ),
    ] = None,
    python: Python = None,
    need: Need = None,
    language: Language = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Leave exactly config.json, model.pth, speakers_xtts.pth and vocab.json in the"
            " model's folder; the rest goes to MODEL.original.",
        ),
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Go back to what was there before the last fix.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look, propose, ask once, make it speak; with a way back."""
    from xcompat.cli.ending import clean_up_when_ended
    from xcompat.mending.journal import alone, here

    clean_up_when_ended()
    with alone(here()):
        if undo:
            _undo(model, python, dry_run=dry_run, as_json=as_json)
        _fix(
            model, python, need, language, device,
            exact=exact, dry_run=dry_run, yes=yes, as_json=as_json,
        )  # fmt: skip


def _fix(
    given: Path | None,
    python: str | None,
    need: list[str] | None,
    language: str | None,
    device: str,
    *,
    exact: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> NoReturn:
    from xcompat.matrix.load import load_matrix
    from xcompat.mending.intention import continued, intend
    from xcompat.mending.journal import here
    from xcompat.mending.undo import standing_of, tidied
    from xcompat.render import mending as render
    from xcompat.render.text import show_json

    unfinished = _unfinished()
    if unfinished:
        if not as_json:
            render.show_unfinished(unfinished, standing_of(unfinished))
        if not dry_run:
            continued(unfinished, _environment(python).interpreter)
            unfinished = tidied(unfinished, render.tell)
    known = load_matrix()
    with render.working("looking at the environment and the model"):
        plan = _plan(python, need, language, known)
        path = given if given is not None else _found()
    if not plan.proposals and not plan.change_nothing and not as_json:
        from xcompat.render.plan import show_plan

        show_plan(plan)
    with render.working("solving what has to be installed, and reading the model"):
        intention = intend(plan, path, here() / "speech.wav", exact=exact)
    if not as_json:
        render.show_intention(intention)
    if dry_run:
        if as_json:
            show_json(render.intention_as_json(intention))
        raise typer.Exit
    if intention.changes_something and not yes:
        _ask()
    mended = _mended(intention, unfinished, known, device)
    if as_json:
        show_json(render.mended_as_json(intention, mended))
    else:
        render.show_mended(intention, mended)
    raise typer.Exit(ExitCode.YES if mended.report.verdict == "speaks" else ExitCode.NO)


def _unfinished() -> Journal | None:
    from xcompat.mending.journal import here, journals

    return next((each for each in journals(here()) if each.state == "begun"), None)


def _plan(python: str | None, need: list[str] | None, language: str | None, known: Matrix) -> Plan:
    """Return what `resolve` proposes for the environment, as this machine's graphics need it."""
    from xcompat.cli.asked import as_asked
    from xcompat.cli.demanded import constraints_asked_for
    from xcompat.cli.graphics import begin_to_look, for_graphics, graphics_seen_by
    from xcompat.resolution.resolve import plan

    probe = begin_to_look()
    environment = as_asked(_environment(python), None, None, language)
    made = plan(environment, known, constraints_asked_for(None, need, environment))
    return for_graphics(graphics_seen_by(probe, environment), made)


def _environment(python: str | None) -> Environment:
    """Return the environment that is named, is active, or lies in this folder and has a TTS."""
    from xcompat.domain import FAMILY
    from xcompat.environment.probe import environment_of
    from xcompat.mending.intention import environment_with_tts, environments_in

    active = environment_of(python)
    if python is not None or os.environ.get("VIRTUAL_ENV") or FAMILY & active.packages.keys():
        return active
    folder = Path.cwd()
    found = [(path, environment_of(str(path))) for path in environments_in(folder)]
    return environment_with_tts(folder, found)


def _found() -> Path | None:
    """Return the model in this folder, or else in a known cache."""
    from xcompat.converters.model.caches import cache_places
    from xcompat.mending.models import model_in

    return model_in([Path.cwd(), *cache_places(os.environ, sys.platform, Path.home())])


def _ask() -> None:
    if not sys.stdin.isatty():
        raise Misuse(
            "XC217", "there is no terminal to ask you on; nothing was changed", hint="add --yes"
        )
    typer.confirm("Do it?", abort=True, err=True)


def _mended(intention: Intention, unfinished: Journal | None, known: Matrix, device: str) -> Mended:
    from xcompat.mending.carry_out import Shown, mend
    from xcompat.render import conversion, mending, smoke
    from xcompat.smoke.request import SmokeRequest, check_place, default_text

    environment = intention.plan.environment
    language = environment.language or "en"
    request = SmokeRequest(
        python=Path(environment.interpreter),
        device=device,
        # Where packages change, the app's own TTS has to speak.
        runtime="auto" if intention.proposal is None else "stock",
        text=default_text(language),
        language=language,
        wav=intention.wav,
    )
    check_place(request.wav, "XDG_STATE_HOME")
    journal = _journal(intention, unfinished)
    shown = Shown(mending.tell, conversion.progress_bar, smoke.progress)
    try:
        return mend(intention, journal, request, known, shown)
    except KeyboardInterrupt:
        mending.show_interrupted(begun=_unfinished() is not None)
        raise


def _journal(intention: Intention, unfinished: Journal | None) -> Journal:
    from datetime import datetime, timezone

    from xcompat.mending.intention import continued
    from xcompat.mending.journal import here, new_journal

    if unfinished:
        checkpoint = intention.model.checkpoint if intention.model else None
        return continued(unfinished, intention.plan.environment.interpreter, checkpoint)
    now = datetime.now(timezone.utc).astimezone()
    return new_journal(here(), now.strftime("%Y-%m-%d %H:%M:%S"))


def _undo(model: Path | None, python: str | None, *, dry_run: bool, as_json: bool) -> NoReturn:
    from xcompat.mending.journal import here, journals
    from xcompat.mending.undo import standing_of, undo
    from xcompat.render import mending as render
    from xcompat.render.text import show_json

    if model is not None or python is not None:
        raise Misuse("XC245", "`--undo` goes back from the last fix, whatever it was of",
            hint="leave out MODEL and --python")  # fmt: skip
    journal = next((each for each in journals(here()) if each.state != "undone"), None)
    if journal is None:
        raise Misuse("XC245", "there is no fix to go back from", hint="nothing was changed")
    standing = standing_of(journal)
    if not dry_run:
        journal = undo(journal, render.tell)
    if as_json:
        show_json(render.standing_as_json(journal, standing))
    elif dry_run:
        render.show_undo_intended(journal, standing)
    else:
        render.show_undone(journal, standing)
    raise typer.Exit
