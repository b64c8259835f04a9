"""`xcompat doctor`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xcompat.cli.exits import VERDICT_EXIT
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
    Strict,
)
from xcompat.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.domain import Diagnosis, Environment, Matrix
    from xcompat.render.diagnosis import Todo

Format = Literal["text", "json", "markdown", "github", "sarif"]


def doctor(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            help="Folders and interpreters of environments, and lists of versions; this one if"
            " nothing is given.",
        ),
    ] = None,
    python: Python = None,
    requirements: Requirements = None,
    python_version: PythonVersion = None,
    platform: Platform = None,
    need: Need = None,
    language: Language = None,
    strict: Strict = False,
    complete: Complete = None,
    no_gpu: NoGpu = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="CODE",
            help="Do not tell of a known issue, nor count it; again for more.",
        ),
    ] = None,
    kind: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="text|json|markdown|github|sarif",
            help="What to write: github are annotations for a job, sarif is for code scanning.",
        ),
    ] = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Write Markdown to paste into an issue, nothing private."),
    ] = False,
    list_checks: Annotated[
        bool, typer.Option("--list-checks", help="List the known issues, and look at nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell whether an environment can run XTTS v2, and what to do."""
    form = _form_asked_for(kind, as_json, report)
    if list_checks:
        _list_checks(form)
        return
    from xcompat.cli.graphics import begin_to_look

    probe = None if no_gpu else begin_to_look(platform)
    from xcompat.cli.asked import (
        capabilities_asked_for,
        codes_asked_for,
        environment_asked_for,
    )
    from xcompat.cli.examination import Examination
    from xcompat.cli.fleet import targets_asked_for
    from xcompat.matrix.load import load_matrix

    needed = capabilities_asked_for(need)
    asked = targets_asked_for(targets, python, requirements)

    def look(python: str | None, requirements: str | None) -> Environment:
        return environment_asked_for(
            python,
            requirements,
            python_version,
            platform,
            sys.stdin.buffer,
            language=language,
            complete=complete,
        )

    examination = Examination(
        load_matrix(by_words=False), needed, codes_asked_for(ignore), probe, strict=strict
    )
    if len(asked) > 1:
        from xcompat.cli.fleet import examine_all

        raise typer.Exit(examine_all(asked, look, examination, form, report=report))
    environment = look(*asked[0])
    diagnosis, todo = examination.of(environment, advise=not report)
    if report:
        _report(diagnosis, environment, examination.known)
    else:
        _show(diagnosis, todo, form)
    raise typer.Exit(VERDICT_EXIT[diagnosis.verdict])


def _form_asked_for(kind: Format | None, as_json: bool, report: bool) -> Format:
    """Return what to write; refuse two things at once."""
    asked = [f"`--format {kind}`"] if kind else []
    asked += ["`--json`"] if as_json and kind != "json" else []
    asked += ["`--report`"] if report else []
    if len(asked) > 1:
        raise Misuse("XC210", f"{' and '.join(asked)} exclude each other", hint="give one of them")
    return "json" if as_json else kind or "text"


def _list_checks(form: Format) -> None:
    from xcompat.matrix.load import load_issues
    from xcompat.render import checks as render
    from xcompat.render.text import show_json, write

    if form in ("github", "sarif"):
        raise Misuse("XC210", f"`--list-checks` has no form `{form}`", hint="text, json, markdown")
    issues = load_issues()
    if form == "json":
        show_json(render.checks_as_json(issues))
    elif form == "markdown":
        write(render.checks_as_markdown(issues))
    else:
        render.show_checks(issues)


def _show(diagnosis: Diagnosis, todo: Sequence[Todo], form: Format) -> None:
    """Write a diagnosis in the form that was asked for."""
    from xcompat.render.text import show_json, show_warning, write

    environment = diagnosis.environment
    if form == "sarif":
        from xcompat.render.sarif import diagnoses_as_sarif

        show_json(diagnoses_as_sarif([diagnosis]))
        return
    if form == "github":
        from xcompat.render.annotations import annotations_of

        write(annotations_of(diagnosis, todo))
        return
    if form == "markdown":
        from xcompat.render.diagnosis_markdown import diagnosis_as_markdown

        write(diagnosis_as_markdown(diagnosis, todo))
        return
    from xcompat.cli.graphics import mps_in_short
    from xcompat.render import diagnosis as render

    mps = mps_in_short(environment) if environment.platform == "macosx-arm64" else ()
    if form == "json":
        show_json(render.diagnosis_as_json(diagnosis, todo, mps))
        return
    for note in environment.notes:
        show_warning(note)
    render.show_diagnosis(diagnosis, todo, mps)


def _report(diagnosis: Diagnosis, environment: Environment, known: Matrix) -> None:
    """Write a report of a diagnosis, with all that is in its environment."""
    from xcompat.cli.teller import private_here, public_names, teller_here
    from xcompat.render.diagnosis_report import report_of
    from xcompat.render.text import write

    private = private_here()
    whole = diagnosis._replace(environment=environment)
    write(report_of(whole, teller_here(private), public_names(known), private))
