"""The record of a conversion that is kept beside its output, and what it tells a later one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xcompat.converters.files.json_documents import load_object, to_json
from xcompat.converters.files.source import read_small
from xcompat.converters.model.model_files import (
    MANIFEST,
    MODEL,
    MODEL_SAFETENSORS,
    find_model_files,
)
from xcompat.converters.report import record_of
from xcompat.errors import XcompatError
from xcompat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xcompat.converters.files.source import SourceFile
    from xcompat.converters.model.model_files import ModelFiles
    from xcompat.converters.model.narrowing import CastTo
    from xcompat.converters.plan import Format
    from xcompat.converters.report import Conversion


class Wanted(NamedTuple):
    """What a conversion is asked for, as far as its output shows it."""

    format: Format = "safetensors"
    dtype: CastTo | None = None
    in_place: bool = False
    verify: bool = False
    sha256: bool = False


def manifest_of(conversion: Conversion, sources: Iterable[SourceFile]) -> bytes:
    """Return the record of a conversion, made from these files of tensors."""
    source = {
        "name": Path(conversion.source).name,
        "size": conversion.source_size,
        "kind": conversion.kind,
        "files": {
            file.path.name: {"size": file.size, "modified": file.modified} for file in sources
        },
    }
    if conversion.sha256:
        source |= {"sha256": conversion.sha256, "release": conversion.release}
    return to_json(
        {
            "schema": 1,
            "tool": f"xcompat {__version__}",
            "source": source,
            "files": {
                file.path: {"size": file.size, "checksum": file.checksum}
                for file in conversion.files
            },
            **record_of(conversion),
        }
    )


def is_output(checkpoint: Path) -> bool:
    """Return whether a checkpoint was written by a conversion, in another place than its source."""
    told = _read(checkpoint.parent)
    return checkpoint.name in _part(told, "files") and told.get("in_place") is not True


def is_done(source: Path, target: Path, wanted: Wanted) -> bool:
    """Return whether a folder holds what a conversion would write, and its source is unchanged.

    The source is unchanged where its files of tensors have the size and the time of change that
    were recorded, and all small files are the same; of the output, the sizes are compared.
    """
    told = _read(target)
    try:
        files = find_model_files(source)
        return (
            (_part(told, "cast").get("dtype") == wanted.dtype)
            and (told.get("verified") is True or not wanted.verify)
            and ("sha256" in _part(told, "source") or not wanted.sha256)
            and _is_whole(_part(told, "files"), target)
            and (
                _is_repaired(told, files)
                if wanted.in_place
                else _is_converted(told, files, target, wanted.format)
            )
        )
    except (OSError, ValueError, XcompatError):
        return False


def _is_whole(written: Mapping[str, Any], target: Path) -> bool:
    return all(
        isinstance(file, dict) and (target / name).stat().st_size == file.get("size")
        for name, file in written.items()
    )


def _is_repaired(told: Mapping[str, Any], files: ModelFiles) -> bool:
    """Return whether the checkpoint is what was written in the place of another one."""
    written = files.checkpoint.stat().st_mtime_ns
    recorded = (files.checkpoint.parent / MANIFEST).stat().st_mtime_ns
    is_written = files.checkpoint.name in _part(told, "files")
    return told.get("in_place") is True and is_written and written <= recorded


def _is_converted(
    told: Mapping[str, Any], files: ModelFiles, target: Path, model_format: Format
) -> bool:
    models = {"safetensors": {MODEL_SAFETENSORS}, "pth": {MODEL}}
    wanted = models.get(model_format, {MODEL, MODEL_SAFETENSORS})
    tensors = [files.checkpoint, *([files.speakers] if files.speakers else [])]
    found = {path.name: path.stat() for path in tensors}
    state = {
        name: {"size": status.st_size, "modified": status.st_mtime_ns}
        for name, status in found.items()
    }
    copied = [path for path in files.all() if path not in tensors]
    return (
        wanted <= _part(told, "files").keys()
        and _part(told, "source").get("files") == state
        and all(read_small(path) == read_small(target / path.name) for path in copied)
    )


def _read(folder: Path) -> Mapping[str, Any]:
    """Return the record in a folder; an empty one where there is none that can be read."""
    try:
        return load_object(read_small(folder / MANIFEST), MANIFEST)
    except XcompatError:
        return {}


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = told.get(name)
    return part if isinstance(part, dict) else {}
