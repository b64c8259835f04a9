"""Does what was intended, each change written down before it is made, and lets it speak."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xcompat.converters import convert, repair
from xcompat.converters.model.model_files import MANIFEST, ORIGINAL_SUFFIX
from xcompat.mending.journal import Converted, identity, packages_of
from xcompat.mending.undo import undo_model
from xcompat.mending.values import Mended
from xcompat.resolution.apply import carry_out as change_packages
from xcompat.smoke.smoke import run_smoke

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from xcompat.converters.plan import Format
    from xcompat.converters.report import Conversion
    from xcompat.converters.writing import Progress
    from xcompat.domain import Matrix
    from xcompat.domain.plan import Applied
    from xcompat.domain.smoke import SmokeReport
    from xcompat.mending.journal import Journal
    from xcompat.mending.values import Intention, ModelPlan
    from xcompat.smoke.request import SmokeRequest


class Shown(NamedTuple):
    """How progress is shown."""

    tell: Callable[[str], None]
    """Is told what is about to be done."""
    bytes: Callable[[], AbstractContextManager[Progress | None]]
    """Shows a conversion."""
    stages: Callable[[], AbstractContextManager[Callable[[str], None]]]
    """Shows a smoke."""


def mend(
    intention: Intention, journal: Journal, request: SmokeRequest, matrix: Matrix, shown: Shown
) -> Mended:
    """Change packages, convert the model, and let it speak, in this order.

    What can fail for want of a network comes first. The journal is on the disk before each change,
    and is `done` when all are made, whatever the sound is like.

    Raises:
        CannotLook, Refusal, Corruption: as `resolve --apply`, `convert` and `smoke`; the journal
            tells how to go back.
    """
    applied, conversion = None, None
    if intention.prepared:
        journal, applied = _change_packages(intention, journal, matrix, shown)
    if intention.model and intention.model.conversion:
        journal, conversion = _convert(intention.model, journal, shown)
    if intention.changes_something or journal.packages or journal.model:
        journal._replace(state="done").written()
    return Mended(applied, conversion, _hear(intention.model, request, matrix, shown))


def _change_packages(
    intention: Intention, journal: Journal, matrix: Matrix, shown: Shown
) -> tuple[Journal, Applied]:
    assert intention.prepared
    packages = packages_of(intention.prepared)
    if journal.packages:
        packages = journal.packages.joined(packages)
    begun = journal._replace(packages=packages)
    changed = False

    def begin() -> None:
        nonlocal changed
        changed = True

    begun.written()
    try:
        applied = change_packages(intention.prepared, intention.plan, matrix, shown.tell, begin)
    except BaseException:
        if not changed:
            journal.taken_back()
        raise
    begun = begun._replace(packages=packages._replace(complete=True)).written()
    return begun, applied


def _convert(model: ModelPlan, journal: Journal, shown: Shown) -> tuple[Journal, Conversion]:
    note = _note_of(model)
    if journal.model:  # What a fix that was ended has left to do here: only moves.
        note = journal.model._replace(aside=(*{*journal.model.aside, *note.aside},))
    begun = journal._replace(model=note).written()
    in_place = model.way == "in place"
    try:
        with shown.bytes() as progress:
            if in_place:
                done = repair(model.path, exact=bool(note.aside), progress=progress)
            else:
                kind: Format = (
                    "pth" if any(n.endswith(".pth") for n in note.files) else "safetensors"
                )
                done = convert(model.path, model.folder, format=kind, progress=progress)
    except BaseException:
        # Nothing is left behind by a conversion that fails: only the note of it is.
        with contextlib.suppress(Exception):
            undo_model(note)
            journal.taken_back()
        raise
    if in_place:
        begun = begun._replace(model=note._replace(after=identity(model.checkpoint))).written()
    return begun, done


def _note_of(model: ModelPlan) -> Converted:
    assert model.conversion
    told = model.conversion
    names = dict.fromkeys([file.path for file in told.files] + [MANIFEST] * bool(told.files))
    kept = model.checkpoint.name + ORIGINAL_SUFFIX
    there = [model.folder / name for name in names if (model.folder / name).is_file()]
    return Converted(
        checkpoint=str(model.checkpoint.absolute()),
        original=str(model.checkpoint.absolute().with_name(kept))
        if told.files and told.original
        else "",
        before=identity(model.checkpoint),
        folder=str(model.folder.absolute()),
        made=not model.folder.exists(),
        files=tuple(names),
        contents={
            path.name: path.read_text("utf-8")
            for path in there
            if path.name != model.checkpoint.name
        },
        aside=(*told.set_aside, kept) if told.aside else (),
    )


def _hear(
    model: ModelPlan | None, request: SmokeRequest, matrix: Matrix, shown: Shown
) -> SmokeReport:
    """Let the model speak; one that stays pickled, from a copy that is thrown away."""
    with contextlib.ExitStack() as stack:
        folder = model.folder if model else None
        if model and model.copied:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="xcompat-fix-"))
            folder = Path(scratch) / "model"
            with shown.bytes() as progress:
                convert(model.path, folder, progress=progress, fsync=False)
        on_begin = stack.enter_context(shown.stages())
        report = run_smoke(replace(request, model=folder), matrix.issues, on_begin)
    return replace(report, model=str(model.folder)) if model and model.copied else report
