"""Plan the conversion of a whole model: read and check all of it, and lay out every file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.converters.containers.safetensors_file import SafetensorsLayout, check_names
from xcompat.converters.containers.torch_file import TorchLayout
from xcompat.converters.containers.torch_records import RecordsLayout
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.files.json_documents import parse_object, to_json
from xcompat.converters.files.source import read_small
from xcompat.converters.model.architecture import (
    check_config,
    check_vocabulary,
    config_of,
    model_args_of,
)
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
from xcompat.converters.model.narrowing import CastTo, cast_model
from xcompat.converters.model.official import LICENCE, licence_of
from xcompat.converters.model.recognition import Model, read_model
from xcompat.converters.model.speakers import read_voices
from xcompat.converters.parts import said_of_weights, speaker_outputs
from xcompat.converters.plan import Content, Format, Layout, Plan, written_files
from xcompat.converters.report import Conversion, Dropped
from xcompat.converters.values.objects import StateDict
from xcompat.converters.values.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from xcompat.converters.containers.safetensors_source import SafetensorsSource
    from xcompat.converters.containers.tensor_file import TensorFile
    from xcompat.converters.values.tensors import Cast, Tensor


def plan_model(
    files: ModelFiles,
    checkpoint: TorchSource | SafetensorsSource,
    speakers: TorchSource | SafetensorsSource | None,
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
        model = read_model(checkpoint.value)
        check_names(model.tensors)
        checkpoint.check_tensors(model.tensors)
    licences = {path.name: read_small(path) for path in files.licences}
    outputs: dict[str, Layout] = {name: Content(text) for name, text in licences.items()}
    config, config_bytes, notes = _config(files, checkpoint, model)
    if files.vocabulary:
        vocabulary = read_small(files.vocabulary)
        shown = printable(str(files.vocabulary), 4096)
        check_vocabulary(parse_object(vocabulary, shown), shown, model.tensors)
        outputs[VOCABULARY] = Content(vocabulary)
    else:
        notes.append(f"there is no {VOCABULARY} beside the checkpoint: the model cannot read text")
    outputs[CONFIG] = Content(config_bytes)
    licence = licence_of(model_args_of(model.tensors), config, licences.values())
    counts: dict[str, int] = {}
    if speakers:
        with speakers.naming():
            voices = read_voices(speakers)
            outputs |= speaker_outputs(speakers, voices, model_format, licence)
        counts |= dict.fromkeys((SPEAKERS, SPEAKERS_SAFETENSORS), 2 * len(voices))
    tensors, cast = cast_model(model.tensors, cast_to)
    outputs |= _model_outputs(checkpoint, model, config, tensors, model_format, model_name, licence)
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
        licence=licence,
        notes=(*model.notes, *notes, *_source_notes(files, checkpoint, licence)),
        cast=cast,
    )
    sources = (checkpoint, speakers) if speakers else (checkpoint,)
    models = (model_name, MODEL_SAFETENSORS)
    return Plan(target, sources, outputs, models, conversion)


def _model_outputs(  # noqa: PLR0917
    checkpoint: TensorFile,
    model: Model,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor | Cast],
    model_format: Format,
    model_name: str,
    licence: str,
) -> dict[str, Layout]:
    outputs: dict[str, Layout] = {}
    if model_format != "safetensors":
        model_value = tensors if isinstance(tensors, StateDict) else StateDict(tensors)
        value = {"config": config, "model": model_value}
        if isinstance(checkpoint, TorchSource) and tensors is model.tensors:
            outputs[model_name] = RecordsLayout(checkpoint, value, model.tensors.values())
        else:
            outputs[model_name] = TorchLayout(checkpoint, value)
    if model_format != "pth":
        metadata = {**said_of_weights(licence), "xcompat": model.kind}
        outputs[MODEL_SAFETENSORS] = SafetensorsLayout(checkpoint, tensors, metadata)
    return outputs


def _config(
    files: ModelFiles, checkpoint: TensorFile, model: Model
) -> tuple[dict[str, Any], bytes, list[str]]:
    """Return the configuration, its file's content, and notes.

    TTS reads only `config.json`, so that file goes before what the checkpoint holds.
    """
    if files.config:
        content = read_small(files.config)
        name = printable(str(files.config), 4096)
        config = parse_object(content, name)
        return config, content, check_config(config, name, model.tensors)
    if model.config is not None:
        config = dict(model.config)
        notes = check_config(config, f"the configuration in {checkpoint.file.name}", model.tensors)
        return config, to_json(config), [*notes, f"{CONFIG} was taken from the checkpoint"]
    config = config_of(model.tensors)
    note = f"{CONFIG} was written from the shapes of the tensors and the defaults of TTS"
    return config, to_json(config), [note]


def _dropped_files(files: ModelFiles) -> list[Dropped]:
    return [
        Dropped(what=path.name, tensors=0, reason=TRAINING_FILES[path.name])
        for path in files.training
    ]


def _source_notes(files: ModelFiles, checkpoint: TensorFile, licence: str) -> Iterator[str]:
    if isinstance(checkpoint, TorchSource) and not checkpoint.checksummed:
        yield "the checkpoint records no checksums: damage to its weights cannot be noticed"
    if not files.speakers:
        yield f"there is no {SPEAKERS}: the model has no built-in speakers"
    if licence == LICENCE and not files.licences:
        yield (
            "the weights are under the Coqui Public Model License, for non-commercial use: "
            "https://tts-hub.github.io/cpml"
        )
