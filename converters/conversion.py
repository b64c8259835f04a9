"""Turns an XTTS checkpoint into files that load without executing anything.

First everything is read and checked, then everything is written, in one transaction. The weights go
from file to file through one buffer: nothing here grows with the size of a model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from xcompat.converters import xtts
from xcompat.converters.checkpoint import Checkpoint
from xcompat.converters.model_files import (
    CONFIG,
    MODEL,
    SPEAKERS,
    TRAINING_FILES,
    VOCABULARY,
    ModelFiles,
    default_output,
    find_model_files,
)
from xcompat.converters.output import OutputFile, OutputFolder, output_errors
from xcompat.converters.plain_json import differences, parse_object, to_json
from xcompat.converters.report import Conversion, Dropped, WrittenFile
from xcompat.converters.safetensors_file import SafetensorsLayout, check_names
from xcompat.converters.source import read_small
from xcompat.converters.torch_file import TorchLayout
from xcompat.converters.values import Tensor, printable
from xcompat.errors import CannotLook
from xcompat.version import __version__

Format = Literal["safetensors", "pth", "both"]
Progress = Callable[[int, int], None]
"""Called with the bytes that were copied so far and the bytes to copy."""

MODEL_SAFETENSORS: Final = "model.safetensors"
SPEAKERS_SAFETENSORS: Final = "speakers_xtts.safetensors"
MANIFEST: Final = "xcompat.json"
_JSON_FILES: Final = (CONFIG, VOCABULARY)


def convert(
    source: Path,
    output: Path | None = None,
    *,
    format: Format = "safetensors",  # noqa: A002 - the name of the option
    dry_run: bool = False,
    force: bool = False,
    fsync: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Convert an XTTS checkpoint or model folder; nothing that it names is imported or called.

    Args:
        source: A `.pth` file, whose companions (`config.json`, `vocab.json`, `speakers_xtts.pth`,
            licence) lie beside it, or a folder with a `model.pth`.
        output: Folder to write to, created where it is missing. By default the folder of a source
            file, and `<folder>-converted` for a source folder.
        format: Which kinds of weights to write: `safetensors`, `pth` (tensors only, which every TTS
            loads under `weights_only=True`), or `both`.
        dry_run: Read the structure of everything and write nothing. The weights themselves are not
            read, so their checksums are not compared.
        force: Overwrite files that exist in `output`, though never the source.
        fsync: Return only when everything is on the disk, and survives a loss of power. Where files
            are overwritten, this is done in any case.
        progress: Called while weights are copied.

    Raises:
        Refusal: XC101 to XC109, see `xcompat.errors`.
        Corruption: XC102.
        CannotLook: XC110, an output file exists; XC111, the output cannot be written; XC112, the
            source cannot be read.
    """
    files = find_model_files(source)
    target = output if output is not None else default_output(source)
    with contextlib.ExitStack() as stack:
        checkpoint = stack.enter_context(Checkpoint(files.checkpoint))
        speakers = Checkpoint(files.speakers) if files.speakers else None
        if speakers:
            stack.enter_context(speakers)
        plan = _plan(source, target, files, checkpoint, speakers, format)
        with output_errors(target):
            plan = _settle_conflicts(plan, files, force=force)
            if dry_run:
                return replace(plan.conversion, dry_run=True)
            return _write(plan, progress or _unheard, fsync=fsync)


def _unheard(done: int, total: int) -> None:
    """Nobody asked for progress."""


class _Layout(Protocol):
    """A file whose size is known before it is written."""

    @property
    def size(self) -> int: ...

    def write(self, output: OutputFile) -> None: ...


@dataclass(frozen=True, slots=True)
class _Content:
    """A small file: its bytes."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, output: OutputFile) -> None:
        output.write(self.data)


@dataclass(frozen=True, slots=True)
class _Plan:
    target: Path
    sources: tuple[Checkpoint, ...]
    outputs: Mapping[str, _Layout]
    """By file name. The models come last: where one is in place, all is."""
    conversion: Conversion


def _plan(  # noqa: PLR0917 - everything that a conversion is about
    source: Path,
    target: Path,
    files: ModelFiles,
    checkpoint: Checkpoint,
    speakers: Checkpoint | None,
    format: Format,  # noqa: A002
) -> _Plan:
    """Read and check everything; lay out every file."""
    with checkpoint.naming():
        model = xtts.read_model(checkpoint.value)
        check_names(model.tensors)
        checkpoint.check_tensors(model.tensors)
    outputs: dict[str, _Layout] = {path.name: _Content(read_small(path)) for path in files.licences}
    config, config_bytes, notes = _config(files, checkpoint, model)
    if files.vocabulary:
        vocabulary = read_small(files.vocabulary)
        shown = printable(str(files.vocabulary), 4096)
        xtts.check_vocabulary(parse_object(vocabulary, shown), shown, model)
        outputs[VOCABULARY] = _Content(vocabulary)
    else:
        notes.append(f"there is no {VOCABULARY} beside the checkpoint: the model cannot read text")
    outputs[CONFIG] = _Content(config_bytes)
    counts: dict[str, int] = {}
    if speakers:
        with speakers.naming():
            voices = xtts.read_speakers(speakers.value)
            outputs |= _speaker_outputs(speakers, voices, format)
        counts |= dict.fromkeys((SPEAKERS, SPEAKERS_SAFETENSORS), 2 * len(voices))
    metadata = {"format": "pt", "license": xtts.LICENCE, "xcompat": model.kind}
    if format != "safetensors":
        value = {"config": config, "model": OrderedDict(model.tensors)}
        outputs[MODEL] = TorchLayout(checkpoint, value)
    if format != "pth":
        outputs[MODEL_SAFETENSORS] = SafetensorsLayout(checkpoint, model.tensors, metadata)
    counts |= dict.fromkeys((MODEL, MODEL_SAFETENSORS), len(model.tensors))
    conversion = Conversion(
        source=str(source),
        source_size=checkpoint.file.size,
        output=str(target),
        kind=model.kind,
        tensors=len(model.tensors),
        parameters=sum(tensor.numel for tensor in model.tensors.values()),
        files=tuple(
            WrittenFile(path=name, size=layout.size, tensors=counts.get(name, 0))
            for name, layout in outputs.items()
        ),
        kept=(),
        renamed=model.renamed,
        dropped=(*model.dropped, *_dropped_files(files)),
        licence=xtts.LICENCE,
        notes=(*model.notes, *notes, *_source_notes(files, checkpoint)),
    )
    sources = (checkpoint, speakers) if speakers else (checkpoint,)
    return _Plan(target, sources, outputs, conversion)


def _config(
    files: ModelFiles, checkpoint: Checkpoint, model: xtts.Model
) -> tuple[dict[str, Any], bytes, list[str]]:
    """Return the configuration, its file's content, and notes.

    TTS reads only `config.json`, so that file goes before what the checkpoint holds.
    """
    if files.config:
        content = read_small(files.config)
        name = printable(str(files.config), 4096)
        config = parse_object(content, name)
        return config, content, xtts.check_config(config, name, model)
    if model.config is not None:
        config = dict(model.config)
        notes = xtts.check_config(config, f"the configuration in {checkpoint.file.name}", model)
        return config, to_json(config), [*notes, f"{CONFIG} was taken from the checkpoint"]
    config = xtts.config_of(model.tensors)
    note = f"{CONFIG} was written from the shapes of the tensors and the defaults of TTS"
    return config, to_json(config), [note]


def _speaker_outputs(
    checkpoint: Checkpoint,
    voices: Mapping[str, Mapping[str, Tensor]],
    format: Format,  # noqa: A002
) -> dict[str, _Layout]:
    tensors = {
        f"{voice}/{part}": tensor
        for voice, parts in voices.items()
        for part, tensor in parts.items()
    }
    check_names(tensors)
    checkpoint.check_tensors(tensors)
    outputs: dict[str, _Layout] = {}
    if format != "safetensors":
        outputs[SPEAKERS] = TorchLayout(checkpoint, {v: dict(p) for v, p in voices.items()})
    if format != "pth":
        # Consumers go by the order of the speakers, which safetensors does not keep.
        order = json.dumps(list(voices), ensure_ascii=False)
        metadata = {"format": "pt", "license": xtts.LICENCE, "speakers": order}
        outputs[SPEAKERS_SAFETENSORS] = SafetensorsLayout(checkpoint, tensors, metadata)
    return outputs


def _dropped_files(files: ModelFiles) -> list[Dropped]:
    return [
        Dropped(what=path.name, tensors=0, reason=TRAINING_FILES[path.name])
        for path in files.training
    ]


def _source_notes(files: ModelFiles, checkpoint: Checkpoint) -> Iterator[str]:
    if not checkpoint.checksummed:
        yield "the checkpoint records no checksums: damage to its weights cannot be noticed"
    if not files.speakers:
        yield f"there is no {SPEAKERS}: the model has no built-in speakers"
    if not files.licences:
        yield (
            "the weights are under the Coqui Public Model License, for non-commercial use: "
            "https://tts-hub.github.io/cpml"
        )


def _settle_conflicts(plan: _Plan, files: ModelFiles, *, force: bool) -> _Plan:
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
        if any(path.samefile(used) for used in files.all() if path.exists()):
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
    manifest = plan.target / MANIFEST
    if not force and (manifest.is_symlink() or manifest.exists()):
        raise CannotLook(
            "XC110",
            f"{printable(str(manifest), 4096)} exists: this folder holds a conversion already",
            hint="Choose another folder with -o, or overwrite it with --force.",
        )
    outputs = {name: layout for name, layout in plan.outputs.items() if name not in kept}
    written = tuple(file for file in plan.conversion.files if file.path not in kept)
    return replace(
        plan,
        outputs=outputs,
        conversion=replace(plan.conversion, files=written, kept=tuple(kept)),
    )


def _difference(name: str, layout: _Layout, path: Path) -> str | None:
    """Tell how an existing small file differs: "" if not at all, None if it was not compared."""
    if not isinstance(layout, _Content):
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


def _write(plan: _Plan, progress: Progress, *, fsync: bool) -> Conversion:
    """Write all files; return the conversion with their checksums.

    Raises:
        OSError: The output cannot be written.
    """
    total = sum(layout.size for layout in plan.outputs.values())
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        progress(min(done, total), total)

    with OutputFolder(plan.target, advance, durable=fsync) as folder:
        free = shutil.disk_usage(plan.target).free
        if free < total:
            raise OSError(28, f"{total:,} bytes are needed and {free:,} are free")
        checksums: dict[str, str] = {}
        for name, layout in plan.outputs.items():
            output = folder.create(name)
            layout.write(output)
            if output.position != layout.size:
                raise AssertionError(f"{name} has {output.position} bytes, not {layout.size}")
            checksums[name] = _checksum(layout, output)
        for source in plan.sources:
            source.file.check_unchanged()
        conversion = _with_checksums(plan.conversion, checksums)
        manifest = _manifest(conversion)
        folder.create(MANIFEST).write(manifest)
        folder.commit(last=(MODEL, MODEL_SAFETENSORS))
    progress(total, total)
    return replace(
        conversion, files=(*conversion.files, WrittenFile(path=MANIFEST, size=len(manifest)))
    )


def _checksum(layout: _Layout, output: OutputFile) -> str:
    if isinstance(layout, _Content):
        return f"sha256:{hashlib.sha256(layout.data).hexdigest()}"
    return f"crc32:{output.crc32:08x}"


def _with_checksums(conversion: Conversion, checksums: Mapping[str, str]) -> Conversion:
    return replace(
        conversion,
        files=tuple(replace(file, checksum=checksums[file.path]) for file in conversion.files),
    )


def _manifest(conversion: Conversion) -> bytes:
    """Return the record of a conversion that is kept beside its output."""
    return to_json(
        {
            "schema": 1,
            "tool": f"xcompat {__version__}",
            "license": conversion.licence,
            "source": {
                "name": Path(conversion.source).name,
                "size": conversion.source_size,
                "kind": conversion.kind,
            },
            "tensors": conversion.tensors,
            "parameters": conversion.parameters,
            "files": {
                file.path: {"size": file.size, "checksum": file.checksum}
                for file in conversion.files
            },
            "kept": list(conversion.kept),
            "renamed": dict(conversion.renamed),
            "dropped": [
                {"what": item.what, "tensors": item.tensors, "reason": item.reason}
                for item in conversion.dropped
            ],
            "notes": list(conversion.notes),
        }
    )
