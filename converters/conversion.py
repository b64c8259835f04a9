"""Turns an XTTS checkpoint into files that load without executing anything.

First everything is read and checked, then everything is written, in one transaction. The weights go
from file to file through one buffer: nothing here grows with the size of a model.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from xcompat.converters.containers.safetensors_source import SafetensorsSource
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.files.json_documents import differences, parse_object
from xcompat.converters.files.output_folder import output_errors
from xcompat.converters.files.source import read_small
from xcompat.converters.model.model_files import (
    CONFIG,
    MANIFEST,
    MODEL,
    MODEL_SAFETENSORS,
    SPEAKERS,
    SPEAKERS_SAFETENSORS,
    VOCABULARY,
    ModelFiles,
    default_output,
    find_model_files,
)
from xcompat.converters.parts import plan_part
from xcompat.converters.plan import Content, Format, Layout, Plan
from xcompat.converters.values.printable import printable
from xcompat.converters.whole_model import plan_model
from xcompat.converters.writing import Progress, write
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from pathlib import Path

    from xcompat.converters.model.narrowing import CastTo
    from xcompat.converters.report import Conversion

_JSON_FILES: Final = (CONFIG, VOCABULARY)
_OTHER_FORMAT: Final = {
    MODEL: MODEL_SAFETENSORS,
    MODEL_SAFETENSORS: MODEL,
    SPEAKERS: SPEAKERS_SAFETENSORS,
    SPEAKERS_SAFETENSORS: SPEAKERS,
}


def convert(
    source: Path,
    output: Path | None = None,
    *,
    format: Format = "safetensors",  # noqa: A002 - the name of the option
    dtype: CastTo | None = None,
    dry_run: bool = False,
    force: bool = False,
    fsync: bool = True,
    verify: bool = False,
    sha256: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Convert an XTTS checkpoint or model folder; nothing that it names is imported or called.

    Args:
        source: A `.pth` or `.safetensors` file, whose companions (`config.json`, `vocab.json`,
            speakers, licence) lie beside it; a folder with a `model.pth` or `model.safetensors`;
            or a single `speakers_xtts.pth`, `dvae.pth` or `mel_stats.pth`.
        output: Folder to write to, created where it is missing. By default the folder of a source
            file, and `<folder>-converted` for a source folder.
        format: Which kinds of weights to write: `safetensors`, `pth` (tensors only, which every TTS
            loads under `weights_only=True`), or `both`.
        dtype: Cast the large weights to this type; what breaks by that stays in float32.
        dry_run: Read the structure of everything and write nothing. The weights themselves are not
            read, so their checksums are not compared.
        force: Overwrite files that exist in `output`, though never the source.
        fsync: Return only when everything is on the disk, and survives a loss of power. Where files
            are overwritten of which nothing is kept, this is done in any case.
        verify: Read the finished files back and compare every tensor with the source.
        sha256: Compute the SHA-256 of the checkpoint, to tell whether it is a published one.
        progress: Called while weights are written.

    Raises:
        Refusal: XC101 to XC109, see `xcompat.errors`.
        Corruption: XC102.
        CannotLook: XC110, an output file exists; XC111, the output cannot be written; XC112, the
            source cannot be read.
    """
    target = output if output is not None else default_output(source)
    with contextlib.ExitStack() as stack:
        files, plan = _read(source, target, stack, format, dtype)
        plan = plan._replace(conversion=plan.conversion._replace(source=str(source)))
        with output_errors(target):
            plan = _settle_conflicts(plan, files, force=force)
            if dry_run:
                return plan.conversion._replace(dry_run=True)
            return write(
                plan,
                durable=fsync,
                verify=verify,
                sha256=sha256,
                replace_files=force,
                progress=progress,
            )


def _read(
    source: Path,
    target: Path,
    stack: contextlib.ExitStack,
    model_format: Format,
    cast_to: CastTo | None,
) -> tuple[ModelFiles, Plan]:
    """Open what is there, read all of it, and plan. The files stay open until `stack` is left."""
    files = find_model_files(source)
    checkpoint = open_tensors(files.checkpoint)
    stack.enter_context(checkpoint)
    if part := plan_part(checkpoint, target, model_format):
        return files.alone(), part
    speakers = open_tensors(files.speakers) if files.speakers else None
    if speakers:
        stack.enter_context(speakers)
    plan = plan_model(
        files, checkpoint, speakers, target, model_format=model_format, cast_to=cast_to
    )
    return files, plan


def open_tensors(path: Path) -> TorchSource | SafetensorsSource:
    """Open a file of tensors; its name says which reader is asked.

    Raises:
        Refusal, Corruption, CannotLook: as `TorchSource` and `SafetensorsSource`.
    """
    return SafetensorsSource(path) if path.suffix == ".safetensors" else TorchSource(path)


def _settle_conflicts(plan: Plan, files: ModelFiles, *, force: bool) -> Plan:
    """Find what exists in the target: keep what says the same, refuse or overwrite the rest.

    Raises:
        CannotLook: XC110.
        OSError: The target is not a folder.
    """
    if plan.target.exists() and not plan.target.is_dir():
        raise NotADirectoryError(20, "Not a directory")
    kept: list[str] = []
    for name, layout in plan.outputs.items():
        path = plan.target / name
        if not path.is_symlink() and not path.exists():
            continue
        shown = printable(str(path), 4096)
        if path.is_dir():
            raise CannotLook("XC110", f"{shown} is a folder", hint="Choose another folder with -o.")
        difference = _difference(name, layout, path)
        if difference == "":
            kept.append(name)
            continue
        if _is_source(path, files):
            raise CannotLook(
                "XC110",
                f"the output {shown} would be the source itself",
                hint="Choose another folder with -o.",
            )
        if not force:
            raise CannotLook(
                "XC110",
                f"{shown} exists"
                + (f" and says something else: {difference}" if difference else ""),
                hint="Choose another folder with -o, or overwrite it with --force.",
            )
    _refuse_mixture(plan, files)
    manifest = plan.target / MANIFEST
    if plan.has_manifest and not force and (manifest.is_symlink() or manifest.exists()):
        raise CannotLook(
            "XC110",
            f"{printable(str(manifest), 4096)} exists: this folder holds a conversion already",
            hint="Choose another folder with -o, or overwrite it with --force.",
        )
    outputs = {name: layout for name, layout in plan.outputs.items() if name not in kept}
    written = tuple(file for file in plan.conversion.files if file.path not in kept)
    return plan._replace(
        outputs=outputs,
        conversion=plan.conversion._replace(files=written, kept=tuple(kept)),
    )


def _refuse_mixture(plan: Plan, files: ModelFiles) -> None:
    """Make sure that the folder will not hold two models of which one has no configuration.

    Raises:
        CannotLook: XC110, there are weights in the other format that are not the source's.
    """
    for name in plan.outputs:
        other = _OTHER_FORMAT.get(name, name)
        path = plan.target / other
        if other in plan.outputs or not (path.is_symlink() or path.exists()):
            continue
        if _is_source(path, files):
            continue
        raise CannotLook(
            "XC110",
            f"{printable(str(path), 4096)} would stay beside {name}, and may be another model",
            hint="Write both with --format both, move that file away, "
            "or choose another folder with -o.",
        )


def _is_source(path: Path, files: ModelFiles) -> bool:
    return path.exists() and any(path.samefile(used) for used in files.all())


def _difference(name: str, layout: Layout, path: Path) -> str | None:
    """Tell how an existing small file differs: "" if not at all, None if it was not compared."""
    if not isinstance(layout, Content):
        return None
    existing = read_small(path)
    if existing == layout.data:
        return ""
    if name not in _JSON_FILES:
        return "its content"
    lines = differences(
        parse_object(layout.data, name), parse_object(existing, printable(str(path), 4096))
    )
    more = f", and {len(lines) - 3} more" if len(lines) > 3 else ""
    return "; ".join(printable(line, 160) for line in lines[:3]) + more
