"""Names that TTS asks for and that newer packages removed, and what stands in for each."""

from __future__ import annotations

import types
from typing import Any, Callable, NamedTuple, Optional

STREAM_MODULE = "TTS.tts.layers.xtts.stream_generator"
"""Imports generation classes that transformers removed one after the other, 4.39 to 5.x."""


class Gap(NamedTuple):
    """A name that a TTS module takes from elsewhere and that may not be there."""

    importer: str
    """The TTS module that asks."""
    source: str
    """The module that it asks."""
    name: str
    """What it asks for; empty for the module itself."""
    stand_in: Callable[[], Any]
    """Makes the value that is filled in."""
    useless: Callable[[Any], bool] = lambda _: False
    """Whether a value that is there is to be replaced all the same."""


def _logits_warper() -> Any:
    # The removed class and this one have the same interface: `__call__(input_ids, scores)`.
    from transformers import LogitsProcessor

    return LogitsProcessor


def _isin() -> Any:
    import torch

    def isin(elements: Any, test_elements: Any) -> Any:
        return torch.isin(elements, test_elements)

    return isin


def _six() -> Any:
    return types.SimpleNamespace(string_types=(str,))


def _init_stream_support() -> None:
    pass


_init_stream_support.__module__ = STREAM_MODULE


def stream_stand_ins() -> dict[str, Any]:
    """Return what other TTS modules import from the stream module.

    The real `init_stream_support` gives every model of transformers a `generate_stream`; the
    runtime needs none.
    """
    import transformers

    base = getattr(transformers, "GenerationConfig", object)
    config = type("StreamGenerationConfig", (base,), {"__module__": STREAM_MODULE})
    return {"init_stream_support": _init_stream_support, "StreamGenerationConfig": config}


def fault_of_stream_config(module: types.ModuleType) -> Optional[Exception]:
    """Return why the configuration class in the stream module cannot be used, if it cannot.

    coqui-tts before 0.27.5 makes one when it builds its model, which transformers 5 fails.
    """
    config: Any = vars(module).get("StreamGenerationConfig")
    if not hasattr(config, "from_model_config"):
        return None
    from transformers import GPT2Config

    try:
        config.from_model_config(GPT2Config())
    except Exception as error:
        return error
    return None


def _says_no(available: Callable[[], bool]) -> bool:
    """Tell whether coqui-tts will refuse to be imported: it asks from torch 2.9 on."""
    import torch

    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    return (major, minor) >= (2, 9) and not available()


def _yes() -> Callable[[], bool]:
    return lambda: True


GAPS = (
    Gap("TTS.tts.layers.tortoise.arch_utils", "transformers", "LogitsWarper", _logits_warper),
    Gap(
        "TTS.tts.layers.tortoise.autoregressive",
        "transformers.pytorch_utils",
        "isin_mps_friendly",
        _isin,
    ),
    # coqui-tts asks for torchcodec before it lets itself be imported, and uses it for reading and
    # writing files only; the runtime reads reference audio through soundfile.
    Gap("TTS", "TTS.utils.import_utils", "is_torchcodec_available", _yes, _says_no),
    Gap("TTS", "transformers.utils.import_utils", "is_torchcodec_available", _yes, _says_no),
    # Needed for one `isinstance`, and installed by nothing.
    Gap("TTS.tts.utils.text.punctuation", "six", "", _six),
)
