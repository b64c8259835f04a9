"""`xcompat fix`: what it will change and what not, what it did, and how to go back."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from xcompat.diagnosis.answer import answer_of
from xcompat.render.conversion import conversion_as_json
from xcompat.render.diagnosis import short, show_runtime_use
from xcompat.render.plan import applied_as_json, plan_as_json, show_progress
from xcompat.render.smoke import answer, report_as_json, told
from xcompat.render.text import Page, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.domain.smoke import SmokeReport
    from xcompat.mending.journal import Journal
    from xcompat.mending.values import Intention, Mended, ModelPlan, Standing
    from xcompat.resolution.prepare import Prepared

UNDO = "xcompat fix --undo"
_LABEL = 16
_MOST_ROWS = 12
"""Packages that are named one by one; the rest is a number."""


def intention_as_json(intention: Intention) -> dict[str, Any]:
    """Return the stable form of `xcompat fix --dry-run --json`; fields may be added."""
    model, prepared = intention.model, intention.prepared
    return {
        "schema": 1,
        "plan": plan_as_json(intention.plan),
        "packages": [
            {"package": name, "before": before, "after": after}
            for name, before, after in _packages(prepared)
        ],
        "installer": prepared and prepared.installation.installer,
        "model": model
        and {
            "path": str(model.path),
            "way": model.way,
            "why": model.why,
            "folder": str(model.folder),
            "conversion": model.conversion and conversion_as_json(model.conversion),
        },
        "changes_something": intention.changes_something,
        "state": "planned",
    }


def mended_as_json(intention: Intention, mended: Mended) -> dict[str, Any]:
    """Return what is told once it is done."""
    changed = intention.changes_something
    return {
        **intention_as_json(intention),
        "state": "done",
        "applied": mended.applied and applied_as_json(mended.applied),
        "conversion": mended.conversion and conversion_as_json(mended.conversion),
        "smoke": report_as_json(mended.report),
        "undo": UNDO if changed else None,
    }


def standing_as_json(journal: Journal, standing: Standing) -> dict[str, Any]:
    """Return how far an earlier fix has come."""
    return {
        "schema": 1,
        "journal": str(journal.file),
        "begun": journal.begun,
        "state": journal.state,
        **standing._asdict(),
    }


def show_intention(intention: Intention) -> None:
    """Write on one screen what is there, what changes, and what does not, to stdout."""
    page = Page()
    now, environment = intention.plan.now, intention.plan.environment
    where = f"{short(environment.source)}: Python {environment.python} on {environment.platform}"
    page.entry((("Environment", "bold"),), where, _LABEL)
    page.entry((("", ""),), f"{answer_of(now).text}.", _LABEL)
    _show_model(page, intention.model)
    page.gap()
    if not intention.changes_something:
        page.line(("Nothing has to change.", "bold green"))
    else:
        page.line(("What changes", "bold"))
        _show_packages(page, intention.prepared)
        _show_conversion(page, intention.model)
    if intention.proposal is None:
        page.gap()
        page.prose("No other packages help here. xcompat must load the model:")
        show_runtime_use(page)
    page.gap()
    page.line(("What does not", "bold"))
    for sentence in _unchanged(intention):
        page.prose(sentence, indent=2, hang=2)
    page.gap()
    page.prose("Then it speaks a sentence, which is judged, into ", short(str(intention.wav)))
    if intention.changes_something:
        page.prose("To go back: ", (UNDO, "bold"))
    sys.stdout.flush()


def _show_model(page: Page, model: ModelPlan | None) -> None:
    label = (("Model", "bold"),)
    if model is None:
        page.entry(label, "none found: a tiny built-in one will speak", _LABEL)
        return
    kind = (
        f": {model.conversion.kind}, {size(model.conversion.source_size)}" * bool(model.conversion)
        if model.conversion
        else ""
    )
    page.entry(label, f"{short(str(model.checkpoint))}{kind}", _LABEL)
    if not model.conversion:
        page.entry((("", ""),), f"stays as it is: {model.why}", _LABEL)


def _packages(prepared: Prepared | None) -> list[tuple[str, str | None, str | None]]:
    """Return what the installer will do: name, version before and after."""
    if prepared is None:
        return []
    there = prepared.installation.installed
    pins = dict(each.split("==", 1) for each in prepared.installs)
    from xcompat.domain import distribution_name  # noqa: PLC0415

    after = {distribution_name(name): version for name, version in pins.items()}
    names = dict.fromkeys([*prepared.uninstalls, *after])
    rows = [(n, there[n].version if n in there else None, after.get(n)) for n in names]
    # What is replaced is what a person looks for; what comes along is what it needs.
    return sorted(rows, key=lambda row: (row[1] is None, row[0].lower()))


def _show_packages(page: Page, prepared: Prepared | None) -> None:
    rows = _packages(prepared)
    for name, before, after in rows[:_MOST_ROWS]:
        versions = f"{before or '-'} → {after or 'uninstalled'}"
        page.entry(((f"  {name}", ""),), versions, max(_LABEL, len(name) + 4))
    if len(rows) > _MOST_ROWS:
        page.prose(f"and {len(rows) - _MOST_ROWS} more that these need", indent=2)
    if prepared:
        page.prose(
            f"({prepared.installation.installer} does it; all is fetched before the first change)",
            indent=2,
        )


def _show_conversion(page: Page, model: ModelPlan | None) -> None:
    if model is None or model.conversion is None:
        return
    told_of = model.conversion
    if model.way == "in place":
        if told_of.files:
            where = f"to {short(told_of.aside)}" if told_of.aside else (
                f"beside it, as {model.checkpoint.name}.original"
            )  # fmt: skip
            what = (
                f"gets the same {told_of.tensors:,} tensors without Python objects, which torch"
                f" refuses; the original {'goes' if told_of.aside else 'stays'} {where}"
            )
            page.entry(((f"  {model.checkpoint.name}", ""),), what, _LABEL)
        if told_of.set_aside:
            names = ", ".join(told_of.set_aside)
            page.entry((("  other files", ""),), f"go there too: {names}", _LABEL)
        return
    total = size(sum(file.size for file in told_of.files))
    page.entry((("  a new folder", ""),), f"{short(str(model.folder))}, {total}", _LABEL)


def _unchanged(intention: Intention) -> Iterator[str]:
    if intention.prepared:
        touched = len(_packages(intention.prepared))
        others = len(intention.prepared.installation.installed)
        kept = others - sum(row[1] is not None for row in _packages(intention.prepared))
        yield f"{kept} other packages of the environment" if touched else "the packages"
    else:
        yield "the packages of the environment"
    model = intention.model
    if model:
        yield "the weights, the voices and the settings of the model"
        if model.way == "beside":
            yield f"{short(str(model.checkpoint.parent))}, with all that is in it"
    yield "your app"


def show_mended(intention: Intention, mended: Mended) -> None:
    """Write what came of it; the last line says whether it works and how to go back."""
    page = Page()
    page.gap()
    report = mended.report
    back = f" To go back: {UNDO}" if intention.changes_something else ""
    model = intention.model
    if report.verdict != "speaks":
        _show_failure(page, report)
        python = intention.plan.environment.interpreter
        page.prose(f"By hand: xcompat smoke --python {short(python)}, xcompat doctor", indent=2)
        page.prose(("It does not work yet.", "bold red"), back)
        return
    page.entry((("heard in", "bold"),), short(report.outputs["wav"]), _LABEL)
    if model and model.way == "beside":
        page.entry((("for your app", "bold"),), short(str(model.folder)), _LABEL)
    where = f" with {short(str(model.folder))}" if model else ""
    page.prose((f"It works: XTTS speaks{where}, on {report.device}.", "bold green"), back)


def _show_failure(page: Page, report: SmokeReport) -> None:
    page.prose(answer(report))
    for stage in report.stages:
        if stage.status == "fails":
            page.entry(((f"  {stage.name}", ""),), told(stage), _LABEL)
    for judgement in report.judgements:
        if not judgement.passed:
            page.entry(((f"  {judgement.name}", ""),), judgement.detail, _LABEL)


def show_unfinished(journal: Journal, standing: Standing) -> None:
    """Write to stderr that an earlier fix was ended, and how far it had come."""
    page = Page(sys.stderr)
    page.prose(
        ("note", "bold cyan"),
        f": a fix that began {journal.begun} was ended before it was done: {_standing(standing)}",
        hang=2,
    )


def show_undone(journal: Journal, standing: Standing) -> None:
    """Write what was brought back, and from where it stood."""
    page = Page()
    page.prose(f"The fix of {journal.begun} had left {_standing(standing)}.")
    page.prose(("Everything is as it was before it.", "bold green"))


def show_undo_intended(journal: Journal, standing: Standing) -> None:
    """Write what an undo would bring back."""
    page = Page()
    page.prose(f"The fix of {journal.begun} left {_standing(standing)}. Would bring back:")
    packages, model = journal.packages, journal.model
    for name, version in sorted(packages.versions.items()) if packages else ():
        page.entry(((f"  {name}", ""),), version or "uninstalled", max(_LABEL, len(name) + 4))
    if model:
        page.entry((("  model", ""),), model.checkpoint if model.original else model.folder, _LABEL)


def show_interrupted(*, begun: bool) -> None:
    """Write to stderr what an interrupt has left."""
    page = Page(sys.stderr)
    if begun:
        page.prose(
            "interrupted, perhaps half changed: ", (UNDO, "bold"), " goes back, ",
            ("xcompat fix", "bold"), " goes on",
        )  # fmt: skip
    else:
        page.line("interrupted; nothing was changed")


def tell(text: str) -> None:
    """Write to stderr what is being done, where that is a terminal."""
    if sys.stderr.isatty():
        show_progress(text)


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show on stderr, where it is a terminal, that something takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

    with Console(stderr=True).status(what):
        yield


def _standing(standing: Standing) -> str:
    return f"packages {standing.packages}, model {standing.model}"
