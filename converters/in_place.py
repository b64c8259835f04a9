"""Repairs a model where it is: the app that uses it works again without a changed line."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from xcompat.converters.aside import plan_aside, set_aside
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.files.output_folder import output_errors
from xcompat.converters.model.model_files import (
    MANIFEST,
    MODEL,
    ORIGINAL_SUFFIX,
    SPEAKERS,
    find_model_files,
)
from xcompat.converters.values.printable import printable
from xcompat.converters.whole_model import plan_model
from xcompat.converters.writing import write
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from pathlib import Path

    from xcompat.converters.aside import Aside
    from xcompat.converters.model.model_files import ModelFiles
    from xcompat.converters.model.narrowing import CastTo
    from xcompat.converters.plan import Plan
    from xcompat.converters.report import Conversion
    from xcompat.converters.writing import Progress


def repair(
    source: Path,
    *,
    dtype: CastTo | None = None,
    keep_original: bool = True,
    exact: bool = False,
    dry_run: bool = False,
    fsync: bool = True,
    verify: bool = False,
    sha256: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Replace a checkpoint by one of tensors only, which every TTS loads under `weights_only=True`.

    The folder is never without a complete checkpoint: the new one takes the name of the old one in
    one step. Where that name is a link, as in the caches of Hugging Face, the link is replaced and
    what it led to stays untouched. A `config.json` that is missing is added; no other file changes.

    Args:
        source: A `.pth` file, or a folder with a `model.pth`.
        dtype: See `convert`.
        keep_original: Keep the checkpoint beside the new one, as `<name>.original`. On a file
            system that shares blocks (btrfs, XFS) the two need no more room than one.
        exact: Leave exactly `config.json`, `model.pth`, `speakers_xtts.pth` and `vocab.json` in the
            folder. The original and what else belongs to the release goes to `<folder>.original`.
        dry_run: Tell what would be done, change nothing.
        fsync: See `convert`.
        verify: See `convert`.
        sha256: See `convert`.
        progress: See `convert`.

    Returns:
        What was done. A checkpoint that holds only tensors and plain values needs nothing: no files
        are written then.

    Raises:
        Refusal, Corruption, CannotLook: as `convert`; XC110 also where `<name>.original` exists;
            XC115, `exact` cannot be had: nothing was changed.
    """
    files = find_model_files(source)
    name = files.checkpoint.name
    folder = files.checkpoint.parent
    aside = None
    with contextlib.ExitStack() as stack:
        checkpoint = stack.enter_context(TorchSource(files.checkpoint))
        speakers = None
        if files.speakers and files.speakers.name == SPEAKERS:
            speakers = stack.enter_context(TorchSource(files.speakers))
        plan = plan_model(
            files,
            checkpoint,
            speakers,
            folder,
            model_format="pth",
            cast_to=dtype,
            model_name=name,
        )
        plan = _only_what_changes(plan, files, name)
        plan = plan._replace(conversion=plan.conversion._replace(source=str(source), in_place=True))
        changes = (
            dtype,
            *plan.conversion.renamed,
            *(item.tensors for item in plan.conversion.dropped),
        )
        if checkpoint.names_only_tensors and not any(changes):
            note = f"{name} holds only tensors and plain values: every TTS loads it as it is"
            done = plan.conversion._replace(files=(), dry_run=dry_run, notes=(note,))
            if exact:
                with output_errors(folder):
                    aside = plan_aside(folder)
            return _with_aside(done, aside)
        with output_errors(folder):
            kept_as = _original_name(files.checkpoint) if keep_original else ""
            if kept_as:
                original = str(folder / kept_as)
                plan = plan._replace(conversion=plan.conversion._replace(original=original))
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "Permission denied")
            if exact:
                aside = plan_aside(folder, {*plan.outputs, MANIFEST, kept_as} - {""})
            if dry_run:
                return _with_aside(plan.conversion._replace(dry_run=True), aside)
            done = write(
                plan,
                durable=fsync,
                verify=verify,
                sha256=sha256,
                replace_files=True,
                swap={name: kept_as},
                progress=progress,
            )
    return _with_aside(done, aside)


def _with_aside(done: Conversion, aside: Aside | None) -> Conversion:
    """Move what goes, and return the conversion that tells of it.

    Raises:
        CannotLook: XC111.
    """
    if not (aside and aside.names):
        return done
    if not done.dry_run:
        try:
            set_aside(aside)
        except OSError as error:
            raise CannotLook(
                "XC111",
                f"cannot move the other files to {printable(str(aside.beside), 4096)}: "
                f"{error.strerror or error}",
                hint="The model is converted, and they are all where they were. The same command "
                "goes on from here.",
            ) from error
    kept = MODEL + ORIGINAL_SUFFIX
    return done._replace(
        aside=str(aside.beside),
        set_aside=tuple(name for name in aside.names if name != kept),
        original=str(aside.target(kept)) if kept in aside.names else done.original,
    )


def _only_what_changes(plan: Plan, files: ModelFiles, name: str) -> Plan:
    """Leave the companions alone that are there already."""
    there = {path.name for path in files.all()} - {name}
    kept = tuple(output for output in plan.outputs if output in there)
    return plan._replace(
        outputs={key: layout for key, layout in plan.outputs.items() if key not in kept},
        conversion=plan.conversion._replace(
            files=tuple(file for file in plan.conversion.files if file.path not in kept),
            kept=kept,
            # The files that only training needs stay where they are.
            dropped=tuple(
                item
                for item in plan.conversion.dropped
                if item.what not in {path.name for path in files.training}
            ),
        ),
    )


def _original_name(checkpoint: Path) -> str:
    """Return the name under which the original is kept.

    Raises:
        CannotLook: XC110, something has that name.
    """
    kept = checkpoint.with_name(checkpoint.name + ORIGINAL_SUFFIX)
    if os.path.lexists(kept):
        raise CannotLook(
            "XC110",
            f"{printable(str(kept), 4096)} exists: an original is kept there already",
            hint="Move it away, or give up the present original with --discard-original.",
        )
    return kept.name
