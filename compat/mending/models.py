"""Which model is to be mended, and how it is to be converted. Nothing is written."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.converters import convert, repair
from xcompat.converters.model.caches import INTACT, find_checkpoints
from xcompat.converters.model.model_files import (
    MODEL,
    ORIGINAL_SUFFIX,
    default_output,
    find_model_files,
)
from xcompat.errors import CannotLook, Misuse
from xcompat.mending.values import ModelPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.converters.model.caches import Found
    from xcompat.converters.plan import Format
    from xcompat.converters.report import Conversion

_BESIDE = "-converted"
_SHOWN = 9
"""Models that are named where somebody has to say which."""


def model_in(places: Sequence[Path]) -> Path | None:
    """Return the folder of the model that lies in the first place that has any; None for none.

    A conversion that lies beside its source is not a model of its own. A file that is broken counts
    where nothing else is there, so that the converter says what is wrong with it.

    Raises:
        Misuse: `XC240`, a place holds more than one.
    """
    for place in places:
        found = list(find_checkpoints([place]))
        models = _apart([each for each in found if each.kind in INTACT]) or _apart(found)
        if len(models) > 1:
            told = "".join(f"\n  xcompat fix {shlex.quote(str(each))}" for each in models[:_SHOWN])
            if len(models) > _SHOWN:
                told += f"\n  and {len(models) - _SHOWN} more"
            raise Misuse(
                "XC240",
                f"there are {len(models)} models in {place}",
                hint=f"say which one to mend:{told}",
            )
        if models:
            return models[0]
    return None


def _apart(found: Sequence[Found]) -> list[Path]:
    """Return the folders of models, without those that were converted from another of them."""
    folders = list(dict.fromkeys(each.path.parent for each in found))
    copies = {
        folder.with_name(folder.name + suffix)
        for folder in folders
        for suffix in (_BESIDE, ORIGINAL_SUFFIX)
    }
    return [folder for folder in folders if folder not in copies]


def plan_model(
    path: Path, *, needed: bool, loads_safetensors: bool, exact: bool = False
) -> ModelPlan:
    """Return what is to happen to a model, after all of it but its weights was read and checked.

    It is converted in place where the app finds it by its name; beside where that is not possible,
    or where the checkpoint is one that a training may go on from.

    Args:
        path: A folder, or a checkpoint.
        needed: Whether the environment cannot open a pickled checkpoint.
        loads_safetensors: Whether xcompat will load it, and not the app's own TTS.
        exact: Whether the folder shall hold four files and no other, see `repair`.

    Raises:
        Refusal, Corruption, CannotLook: as `convert`.
        CannotLook: also `XC244`, the disk is too small.
    """
    checkpoint = find_model_files(path).checkpoint
    if exact:
        return _exactly(path, checkpoint)
    if checkpoint.suffix == ".safetensors":
        why = "it is safetensors, which load_xtts opens"
        return _as_it_is(path, checkpoint, why)
    if (path / "model.safetensors").is_file():
        loads_safetensors = False
    if checkpoint.name == MODEL and not loads_safetensors:
        told = _in_place(path)
        if told and not told.files:
            return _as_it_is(path, checkpoint, "it holds only tensors: every TTS opens it")
        if not needed:
            copied = _as_it_is(path, checkpoint, "this torch opens it as it is")
            return copied._replace(copied=True)
        if told:
            _require_room(told, path if path.is_dir() else path.parent)
            why = "apps find it under the same name"
            return ModelPlan(path, checkpoint, "in place", why, checkpoint.parent, told)
    return _beside(path, checkpoint, loads_safetensors=loads_safetensors)


def _as_it_is(path: Path, checkpoint: Path, why: str) -> ModelPlan:
    return ModelPlan(path, checkpoint, "as it is", why, checkpoint.parent, None)


def _exactly(path: Path, checkpoint: Path) -> ModelPlan:
    told = repair(path, dry_run=True, exact=True)
    if not told.files and not told.aside:
        return _as_it_is(path, checkpoint, "it holds only tensors, and the folder nothing else")
    _require_room(told, checkpoint.parent)
    return ModelPlan(path, checkpoint, "in place", "so it was asked for", checkpoint.parent, told)


def _in_place(path: Path) -> Conversion | None:
    """Return what a conversion in place would do; None where the folder does not let it."""
    try:
        return repair(path, dry_run=True)
    except CannotLook as error:
        if error.code not in {"XC110", "XC111"}:
            raise
        return None


def _beside(path: Path, checkpoint: Path, *, loads_safetensors: bool) -> ModelPlan:
    folder = checkpoint.parent
    output = default_output(folder)
    if not os.access(output.parent, os.W_OK):
        output = Path.cwd() / output.name
    kind: Format = "safetensors" if loads_safetensors else "pth"
    if (output / "xcompat.json").is_file():
        why = "it was converted before"
        return ModelPlan(path, checkpoint, "as it is", why, output, None)
    told = convert(path, output, format=kind, dry_run=True)
    _require_room(told, output.parent)
    why = "load_xtts opens safetensors" if loads_safetensors else "its own folder stays as it is"
    return ModelPlan(path, checkpoint, "beside", why, output, told)


def _require_room(conversion: Conversion, folder: Path) -> None:
    needed = sum(file.size for file in conversion.files)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotLook(
            "XC244",
            f"{folder} has {free:,} bytes free, and {needed:,} are needed; nothing was changed",
            hint="free some space; where two files can share their blocks (XFS, btrfs), no room is"
            f" needed: xcompat convert --in-place {folder}",
        )
