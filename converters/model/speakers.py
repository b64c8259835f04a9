"""The built-in speakers of an XTTS, as the two kinds of files hold them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from xcompat.converters.containers.safetensors_source import SafetensorsSource
from xcompat.converters.values.objects import type_name
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import Tensor
from xcompat.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.converters.containers.torch_source import TorchSource

_PARTS: Final = ("gpt_cond_latent", "speaker_embedding")


def holds_speakers(value: Any) -> bool:
    """Whether this looks like the built-in speakers, flat or nested: the first one does."""
    if not isinstance(value, dict) or not value:
        return False
    name, first = next(iter(value.items()))
    if isinstance(first, dict):
        return first.keys() == set(_PARTS)
    return type(name) is str and name.rpartition("/")[2] in _PARTS


def read_voices(source: TorchSource | SafetensorsSource) -> Mapping[str, Mapping[str, Tensor]]:
    """Return the built-in speakers of a file, in their order.

    Raises:
        Refusal: XC109, the file holds something else.
    """
    if isinstance(source, SafetensorsSource):
        return _read_flat(source.value, source.metadata.get("speakers", ""))
    return _read_nested(source.value)


def _read_nested(value: Any) -> dict[str, dict[str, Tensor]]:
    """Return the built-in speakers of a `speakers_xtts.pth`, in their order.

    Raises:
        Refusal: XC109, the file holds something else.
    """
    if not isinstance(value, dict):
        raise _not_speakers(f"it holds a {type_name(value)}")
    for name, tensors in value.items():
        if type(name) is not str or not isinstance(tensors, dict):
            raise _not_speakers(f"its entry {printable(repr(name))} is not a speaker")
        if set(tensors) != set(_PARTS) or not all(
            isinstance(tensor, Tensor) for tensor in tensors.values()
        ):
            raise _not_speakers(
                f"speaker `{printable(name)}` has other parts than {' and '.join(_PARTS)}"
            )
    return value


def _read_flat(tensors: Mapping[str, Tensor], order: str) -> dict[str, dict[str, Tensor]]:
    """Return the built-in speakers of a safetensors file, whose names are `speaker/part`.

    Args:
        tensors: By their names in the file.
        order: JSON array of the speakers, which consumers know by their order; the order of the
            file where it is empty.

    Raises:
        Refusal: XC109, the file holds something else.
    """
    voices: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        voice, _, part = name.rpartition("/")
        voices.setdefault(voice, {})[part] = tensor
    _read_nested(voices)
    if not order:
        return voices
    try:
        ordered = json.loads(order)
    except (ValueError, RecursionError):
        ordered = None
    if not isinstance(ordered, list) or any(type(voice) is not str for voice in ordered):
        raise _not_speakers("the order of its speakers is no list of names")
    if sorted(ordered) != sorted(voices):
        raise _not_speakers("the order of its speakers names others than it holds")
    return {voice: voices[voice] for voice in ordered}


def _not_speakers(reason: str) -> Refusal:
    return Refusal(
        "XC109",
        f"this is not a file of XTTS speakers: {reason}",
        hint="Use the speakers_xtts.pth of the release, or move this file away.",
    )
