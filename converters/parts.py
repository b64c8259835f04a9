"""Single files of an XTTS release that are no model: speakers, autoencoder, mel statistics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from xcompat.converters.containers.safetensors_file import SafetensorsLayout, check_names
from xcompat.converters.containers.torch_file import TorchLayout
from xcompat.converters.model.model_files import SPEAKERS, SPEAKERS_SAFETENSORS
from xcompat.converters.model.official import LICENCE, PUBLISHED_CHANNELS
from xcompat.converters.model.recognition import require_tensors
from xcompat.converters.model.speakers import holds_speakers, read_voices
from xcompat.converters.plan import Plan, written_files
from xcompat.converters.report import Conversion
from xcompat.converters.values.tensors import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from xcompat.converters.containers.safetensors_source import SafetensorsSource
    from xcompat.converters.containers.tensor_file import TensorFile
    from xcompat.converters.containers.torch_source import TorchSource
    from xcompat.converters.plan import Format, Layout

_MEL_STATISTICS: Final = "mel_stats"
_MEL_STATISTICS_SHAPE: Final = (80,)
"""One for each band of the mel spectrogram, which is all that tells this file from any tensor."""
_DVAE_TENSOR: Final = "codebook.embed"
"""What only the discrete autoencoder has, `TTS.tts.layers.xtts.dvae.DiscreteVAE`."""
_PUBLISHED_CODEBOOK: Final = {512, 1024}
"""Its two sizes in the published file."""


def plan_part(
    source: TorchSource | SafetensorsSource, target: Path, model_format: Format
) -> Plan | None:
    """Plan the conversion of a part of a release; None if the file is something else.

    Raises:
        Refusal: XC107 and XC108, as `convert`.
    """
    with source.naming():
        if holds_speakers(source.value):
            voices = read_voices(source)
            tensors = [tensor for parts in voices.values() for tensor in parts.values()]
            widths = {parts["gpt_cond_latent"].shape[-1] for parts in voices.values()}
            licence = LICENCE if widths == {PUBLISHED_CHANNELS} else ""
            outputs = speaker_outputs(source, voices, model_format, licence)
            kind = f"{len(voices)} built-in speakers of XTTS"
        elif found := _state_dict(source.value):
            name, kind = found
            value = source.value
            state_dict = value if isinstance(value, dict) else {_MEL_STATISTICS: value}
            codebook = state_dict.get(_DVAE_TENSOR)
            published = codebook is not None and set(codebook.shape) == _PUBLISHED_CODEBOOK
            licence = LICENCE if published else ""
            outputs = _outputs(source, state_dict, name, model_format, licence)
            tensors = list(state_dict.values())
        else:
            return None
    conversion = Conversion(
        source=str(source.file.path),
        source_size=source.file.size,
        output=str(target),
        kind=kind,
        tensors=len(tensors),
        parameters=sum(tensor.numel for tensor in tensors),
        files=written_files(outputs, dict.fromkeys(outputs, len(tensors))),
        kept=(),
        renamed={},
        dropped=(),
        licence=licence,
    )
    return Plan(target, (source,), outputs, tuple(outputs), conversion, has_manifest=False)


def speaker_outputs(
    source: TensorFile,
    voices: Mapping[str, Mapping[str, Tensor]],
    model_format: Format,
    licence: str,
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
        metadata = {**said_of_weights(licence), "speakers": order}
        outputs[SPEAKERS_SAFETENSORS] = SafetensorsLayout(source, tensors, metadata)
    return outputs


def said_of_weights(licence: str) -> dict[str, str]:
    """Return what a safetensors file says of weights under a licence, empty for none known."""
    return {"format": "pt", "license": licence} if licence else {"format": "pt"}


def _state_dict(value: Any) -> tuple[str, str] | None:
    """Return the file's name, without its suffix, and what it is."""
    statistics = value
    if isinstance(value, dict) and value.keys() == {_MEL_STATISTICS}:
        statistics = value[_MEL_STATISTICS]
    if isinstance(statistics, Tensor) and statistics.shape == _MEL_STATISTICS_SHAPE:
        return "mel_stats", "the mel statistics of XTTS, which normalise training targets"
    if isinstance(value, dict) and isinstance(value.get(_DVAE_TENSOR), Tensor):
        return "dvae", "the autoencoder of XTTS, which makes training targets"
    return None


def _outputs(
    source: TorchSource | SafetensorsSource,
    state_dict: Mapping[str, Tensor],
    name: str,
    model_format: Format,
    licence: str,
) -> dict[str, Layout]:
    require_tensors(state_dict)
    check_names(state_dict)
    source.check_tensors(state_dict)
    outputs: dict[str, Layout] = {}
    if model_format != "safetensors":
        is_tensor = set(state_dict) == {_MEL_STATISTICS}
        value = state_dict[_MEL_STATISTICS] if is_tensor else dict(state_dict)
        outputs[f"{name}.pth"] = TorchLayout(source, value)
    if model_format != "pth":
        metadata = said_of_weights(licence)
        outputs[f"{name}.safetensors"] = SafetensorsLayout(source, state_dict, metadata)
    return outputs
