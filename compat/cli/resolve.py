"""`xcompat resolve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xcompat.cli.options import (
    Complete,
    Json,
    Language,
    Need,
    NoGpu,
    Platform,
    Python,
    PythonVersion,
    Requirements,
)
from xcompat.errors import ExitCode, Misuse

if TYPE_CHECKING:
    from xcompat.domain import Matrix
    from xcompat.domain.plan import Applied, Plan


def resolve(
    python: Python = None,
    requirements: Requirements = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="SPEC",
            help='What must stay: torch (as it is), torch==2.9.1, "numpy<2"; again for more.',
        ),
    ] = None,
    need: Need = None,
    language: Language = None,
    python_version: PythonVersion = None,
    platform: Platform = None,
    complete: Complete = None,
    lock: Annotated[
        Path | None,
        typer.Option(
            "--lock",
            metavar="FILE",
            help="Write all versions with hashes: requirements, or pylock.toml.",
        ),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Change the environment, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    no_gpu: NoGpu = False,
    as_json: Json = False,
) -> None:
    """Find the smallest change that makes an environment work; lock it, apply it."""
    from xcompat.cli.graphics import begin_to_look

    probe = None if no_gpu else begin_to_look(platform)
    from xcompat.cli.demanded import constraints_asked_for, target_asked_for
    from xcompat.cli.graphics import for_graphics, graphics_seen_by
    from xcompat.matrix.load import load_matrix
    from xcompat.render import plan as render
    from xcompat.render.text import show_warning
    from xcompat.resolution.resolve import plan as make_plan

    environment, demanded = target_asked_for(
        python,
        requirements,
        python_version,
        platform,
        sys.stdin.buffer,
        language=language,
        complete=complete,
    )
    constraints = (*demanded, *constraints_asked_for(keep, need, environment))
    known = load_matrix(by_words=False)
    plan = make_plan(environment, known, constraints)
    plan = for_graphics(graphics_seen_by(probe, environment), plan)
    if not as_json:
        for note in environment.notes:
            show_warning(note)
        render.show_plan(plan, listed=requirements is not None)
    listed = requirements is not None
    raise typer.Exit(
        _carried_out(plan, known, lock, listed=listed, apply=apply, yes=yes, as_json=as_json)
    )


def _carried_out(
    plan: Plan,
    known: Matrix,
    lock: Path | None,
    *,
    listed: bool,
    apply: bool,
    yes: bool,
    as_json: bool,
) -> ExitCode:
    """Lock and apply the first proposal, if that is asked for; write the JSON in any case."""
    from xcompat.render import plan as render
    from xcompat.render.text import show_json

    told = render.plan_as_json(plan)
    status = ExitCode.YES if plan.proposals or plan.change_nothing else ExitCode.NO
    try:
        pins: tuple[str, ...] = ()
        if lock and plan.proposals:
            pins = _lock(plan, lock, moves_little=apply or listed)
        if apply and plan.proposals and plan.proposals[0].changes:
            applied = _apply(plan, known, pins, yes=yes, as_json=as_json)
            told |= {"applied": render.applied_as_json(applied)}
            status = ExitCode.NO if applied.after.verdict == "incompatible" else ExitCode.YES
    finally:
        if as_json:
            show_json(told)
    return status


def _lock(plan: Plan, file: Path, *, moves_little: bool) -> tuple[str, ...]:
    from xcompat.render import plan as render
    from xcompat.resolution.lock import pins_of, portable, write_lock

    best = plan.proposals[0]
    keep = {each.name: each.specifier for each in plan.constraints}
    # What is there moves as little as it can; a lock for elsewhere depends on nothing here.
    there = plan.environment.packages if moves_little else {}
    preferred = [f"{name}=={version}" for name, version in there.items() if version]
    packages = write_lock(file, portable(best.requirements, keep), plan.environment, preferred)
    render.show_lock(str(file), packages, best, plan.environment)
    return pins_of(file)


def _apply(
    plan: Plan, known: Matrix, pins: tuple[str, ...], *, yes: bool, as_json: bool
) -> Applied:
    from xcompat.cli.ending import clean_up_when_ended
    from xcompat.render import diagnosis
    from xcompat.render import plan as render
    from xcompat.resolution.apply import carry_out
    from xcompat.resolution.prepare import prepare

    prepared = prepare(plan, plan.proposals[0], pins)
    render.show_prepared(prepared.uninstalls, prepared.installs)
    if not yes:
        if not sys.stdin.isatty():
            raise Misuse(
                "XC217", "there is no terminal to ask you on; nothing was changed", hint="add --yes"
            )
        typer.confirm("Change the environment?", abort=True, err=True)
    clean_up_when_ended()
    applied = carry_out(prepared, plan, known, render.show_progress)
    if not as_json:
        render.show_applied(applied)
        diagnosis.show_diagnosis(applied.after)
    return applied
