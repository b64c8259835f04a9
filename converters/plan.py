"""What a conversion will write, decided and checked before the first byte of it is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from xcompat.converters.containers.casting import is_castable
from xcompat.converters.containers.safetensors_file import SafetensorsLayout, check_names
from xcompat.converters.containers.safetensors_source import SafetensorsSource
from xcompat.converters.containers.torch_file import TorchLayout
from xcompat.converters.containers.torch_records import RecordsLayout
from xcompat.converters.containers.torch_source import Checkpoint
from xcompat.converters.files.plain_json import parse_object, to_json
from xcompat.converters.files.source import read_small
from xcompat.converters.model import xtts
from xcompat.converters.model.model_files import (
    CONFIG,
    MODEL,
    MODEL_SAFETENSORS,
    SPEAKERS,
    SPEAKERS_SAFETENSORS,
    TRAINING_FILES,
    VOCABULARY,
    ModelFiles,
)
from xcompat.converters.report import CastReport, Conversion, Dropped, WrittenFile
from xcompat.converters.values.objects import StateDict
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import BF16, F16, Cast, Dtype, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from xcompat.converters.containers.tensor_file import TensorFile
    from xcompat.converters.files.output_file import OutputFile

Format = Literal["safetensors", "pth", "both"]
CastTo = Literal["float16", "bfloat16"]
CAST_DTYPES: Final[Mapping[CastTo, Dtype]] = {"float16": F16, "bfloat16": BF16}


class Layout(Protocol):
    """A file whose size is known before it is written."""

    @property
    def size(self) -> int:
        """In bytes."""

    def write(self, output: OutputFile) -> None:
        """Write all of it."""

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing."""


class Content(NamedTuple):
    """A small file: its bytes."""

    data: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    def write(self, output: OutputFile) -> None:
        """Write all of it."""
        output.write(self.data)

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing."""
        return "" if path.read_bytes() == self.data else "other bytes than were written"


class Plan(NamedTuple):
    """Everything that will be written to one folder."""

    target: Path
    sources: tuple[TensorFile, ...]
    outputs: Mapping[str, Layout]
    """By file name."""
    models: tuple[str, ...]
    """Files that get their names last and in this order: where the last is in place, all is."""
    conversion: Conversion
    has_manifest: bool = True
    """Whether the conversion is recorded beside its output."""


def plan_model(
    files: ModelFiles,
    checkpoint: Checkpoint | SafetensorsSource,
    speakers: Checkpoint | SafetensorsSource | None,
    target: Path,
    *,
    model_format: Format,
    cast_to: CastTo | None,
    model_name: str = MODEL,
) -> Plan:
    """Read and check a whole model; lay out every file.

    Args:
        files: Where the companions of the checkpoint are.
        checkpoint: The model itself.
        speakers: Its built-in speakers.
        target: Folder to write to.
        model_format: Which kinds of weights to write.
        cast_to: Type to cast to what may be cast.
        model_name: Name of the `.pth` file.

    Raises:
        Refusal, Corruption, CannotLook: as `convert`.
    """
    with checkpoint.naming():
        model = xtts.read_model(checkpoint.value)
        check_names(model.tensors)
        checkpoint.check_tensors(model.tensors)
    outputs: dict[str, Layout] = {path.name: Content(read_small(path)) for path in files.licences}
    config, config_bytes, notes = _config(files, checkpoint, model)
    if files.vocabulary:
        vocabulary = read_small(files.vocabulary)
        shown = printable(str(files.vocabulary), 4096)
        xtts.check_vocabulary(parse_object(vocabulary, shown), shown, model)
        outputs[VOCABULARY] = Content(vocabulary)
    else:
        notes.append(f"there is no {VOCABULARY} beside the checkpoint: the model cannot read text")
    outputs[CONFIG] = Content(config_bytes)
    counts: dict[str, int] = {}
    if speakers:
        with speakers.naming():
            voices = read_voices(speakers)
            outputs |= speaker_outputs(speakers, voices, model_format)
        counts |= dict.fromkeys((SPEAKERS, SPEAKERS_SAFETENSORS), 2 * len(voices))
    tensors, cast = _cast(model.tensors, cast_to)
    outputs |= _model_outputs(checkpoint, model, config, tensors, model_format, model_name)
    counts |= dict.fromkeys((model_name, MODEL_SAFETENSORS), len(model.tensors))
    conversion = Conversion(
        source=str(checkpoint.file.path),
        source_size=checkpoint.file.size,
        output=str(target),
        kind=model.kind,
        tensors=len(model.tensors),
        parameters=sum(tensor.numel for tensor in model.tensors.values()),
        files=written_files(outputs, counts),
        kept=(),
        renamed=model.renamed,
        dropped=(*model.dropped, *_dropped_files(files)),
        licence=xtts.LICENCE,
        notes=(*model.notes, *notes, *_source_notes(files, checkpoint)),
        cast=cast,
    )
    sources = (checkpoint, speakers) if speakers else (checkpoint,)
    models = (model_name, MODEL_SAFETENSORS)
    return Plan(target, sources, outputs, models, conversion)


def written_files(
    outputs: Mapping[str, Layout], counts: Mapping[str, int]
) -> tuple[WrittenFile, ...]:
    """Return the files of a report from their layouts and numbers of tensors."""
    return tuple(
        WrittenFile(path=name, size=layout.size, tensors=counts.get(name, 0))
        for name, layout in outputs.items()
    )


def _model_outputs(  # noqa: PLR0917
    checkpoint: TensorFile,
    model: xtts.Model,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor | Cast],
    model_format: Format,
    model_name: str,
) -> dict[str, Layout]:
    outputs: dict[str, Layout] = {}
    if model_format != "safetensors":
        model_value = tensors if isinstance(tensors, StateDict) else StateDict(tensors)
        value = {"config": config, "model": model_value}
        if isinstance(checkpoint, Checkpoint) and tensors is model.tensors:
            outputs[model_name] = RecordsLayout(checkpoint, value, model.tensors.values())
        else:
            outputs[model_name] = TorchLayout(checkpoint, value)
    if model_format != "pth":
        metadata = {"format": "pt", "license": xtts.LICENCE, "xcompat": model.kind}
        outputs[MODEL_SAFETENSORS] = SafetensorsLayout(checkpoint, tensors, metadata)
    return outputs


def _cast(
    tensors: Mapping[str, Tensor], cast_to: CastTo | None
) -> tuple[Mapping[str, Tensor | Cast], CastReport | None]:
    """Choose what is cast; return all tensors, and a report."""
    if cast_to is None:
        return tensors, None
    dtype = CAST_DTYPES[cast_to]
    chosen: dict[str, Tensor | Cast] = {}
    kept = 0
    for name, tensor in tensors.items():
        if is_castable(tensor.dtype) and xtts.may_be_narrow(name, tensor):
            chosen[name] = Cast(name, tensor, dtype)
        else:
            chosen[name] = tensor
            kept += is_castable(tensor.dtype)
    count = sum(isinstance(tensor, Cast) for tensor in chosen.values())
    return chosen, CastReport(dtype=cast_to, tensors=count, kept=kept)


def _config(
    files: ModelFiles, checkpoint: TensorFile, model: xtts.Model
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


def read_voices(speakers: Checkpoint | SafetensorsSource) -> Mapping[str, Mapping[str, Tensor]]:
    """Return the built-in speakers of a file, in their order.

    Raises:
        Refusal: XC109, the file holds something else.
    """
    if isinstance(speakers, SafetensorsSource):
        return xtts.read_flat_speakers(speakers.value, speakers.metadata.get("speakers", ""))
    return xtts.read_speakers(speakers.value)


def speaker_outputs(
    source: TensorFile, voices: Mapping[str, Mapping[str, Tensor]], model_format: Format
) -> dict[str, Layout]:
    """Lay out the built-in speakers.

    Raises:
        Refusal: XC107 and XC108, as `convert`.
    """
    tensors = {
        f"{voice}/{part}": tensor
        for voice, parts in voices.items()
        for part, tensor in parts.items()
    }
    check_names(tensors)
    source.check_tensors(tensors)
    outputs: dict[str, Layout] = {}
    if model_format != "safetensors":
        outputs[SPEAKERS] = TorchLayout(source, {v: dict(p) for v, p in voices.items()})
    if model_format != "pth":
        # Consumers go by the order of the speakers, which safetensors does not keep.
        order = json.dumps(list(voices), ensure_ascii=False)
        metadata = {"format": "pt", "license": xtts.LICENCE, "speakers": order}
        outputs[SPEAKERS_SAFETENSORS] = SafetensorsLayout(source, tensors, metadata)
    return outputs


def _dropped_files(files: ModelFiles) -> list[Dropped]:
    return [
        Dropped(what=path.name, tensors=0, reason=TRAINING_FILES[path.name])
        for path in files.training
    ]


def _source_notes(files: ModelFiles, checkpoint: TensorFile) -> Iterator[str]:
    if isinstance(checkpoint, Checkpoint) and not checkpoint.checksummed:
        yield "the checkpoint records no checksums: damage to its weights cannot be noticed"
    if not files.speakers:
        yield f"there is no {SPEAKERS}: the model has no built-in speakers"
    if not files.licences:
        yield (
            "the weights are under the Coqui Public Model License, for non-commercial use: "
            "https://tts-hub.github.io/cpml"
        )
