"""What the tensors tell of the model's architecture, and who beside them has to agree.

The sizes are those of `TTS.tts.layers.xtts.gpt.GPT.__init__` in TTS 0.22.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from xcompat.converters.values.printable import printable
from xcompat.errors import Refusal

if TYPE_CHECKING:
    from xcompat.converters.values.tensors import Tensor

HIFIGAN: Final = "hifigan_decoder"


def has_hifigan(tensors: Mapping[str, Tensor]) -> bool:
    """Whether this has the decoder of all versions but XTTS v1.0."""
    return any(name.startswith(f"{HIFIGAN}.") for name in tensors)


def has_perceiver(tensors: Mapping[str, Tensor]) -> bool:
    """Whether this is XTTS v2, which conditions its GPT through a perceiver."""
    return "gpt.conditioning_perceiver.latents" in tensors


def model_args_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the architecture that the shapes of the tensors tell, as fields of `XttsArgs`."""
    text_rows, dimension = tensors["gpt.text_embedding.weight"].shape
    layers = {
        name.split(".")[3]
        for name in tensors
        if name.startswith("gpt.gpt.h.") and name.count(".") > 3
    }
    return {
        # The position embeddings have one row for the start token, one for the stop token, and in
        # the case of the audio one more for the conditioning input.
        "gpt_max_audio_tokens": tensors["gpt.mel_pos_embedding.emb.weight"].shape[0] - 3,
        "gpt_max_text_tokens": tensors["gpt.text_pos_embedding.emb.weight"].shape[0] - 2,
        "gpt_layers": len(layers),
        "gpt_n_model_channels": dimension,
        "gpt_number_text_tokens": text_rows,
        "gpt_num_audio_tokens": tensors["gpt.mel_embedding.weight"].shape[0],
        "gpt_use_perceiver_resampler": has_perceiver(tensors),
    }


def config_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return a configuration for a checkpoint that has none: the rest are the defaults of TTS."""
    args = model_args_of(tensors)
    audio_tokens = args["gpt_num_audio_tokens"]
    args["gpt_start_audio_token"] = audio_tokens - 2
    args["gpt_stop_audio_token"] = audio_tokens - 1
    if not has_hifigan(tensors):
        args["use_hifigan"] = False
    return {"model": "xtts", "model_args": args}


_DEFAULTS: Final = {
    "gpt_max_audio_tokens": 605,
    "gpt_max_text_tokens": 402,
    "gpt_layers": 30,
    "gpt_n_model_channels": 1024,
    "gpt_num_audio_tokens": 8194,
    "gpt_use_perceiver_resampler": False,
}
"""Of `XttsArgs` in TTS 0.22.0; what a configuration does not say."""


def check_config(
    config: Mapping[str, Any], source: str, tensors: Mapping[str, Tensor]
) -> list[str]:
    """Compare a configuration with the tensors; return notes on what does no harm.

    Raises:
        Refusal: XC109, TTS could not load the tensors into a model built from this configuration.
    """
    args = config.get("model_args")
    if not isinstance(args, Mapping):
        raise Refusal(
            "XC109",
            f"{source} has no `model_args`: it is not the configuration of an XTTS model",
            hint="Put the config.json of this model beside the checkpoint.",
        )
    notes: list[str] = []
    for name, actual in model_args_of(tensors).items():
        told = args.get(name, _DEFAULTS.get(name))
        if told == actual:
            continue
        if name == "gpt_number_text_tokens":
            if told is not None:
                notes.append(
                    f"{source} says {name} {printable(repr(told))}, the checkpoint has {actual}; "
                    "TTS counts the vocabulary instead"
                )
            continue
        raise Refusal(
            "XC109",
            f"{source} says {name} is {printable(repr(told))}, but the checkpoint has {actual}",
            hint="Put the config.json that belongs to this checkpoint beside it.",
        )
    return notes


def check_vocabulary(
    vocabulary: Mapping[str, Any], source: str, tensors: Mapping[str, Tensor]
) -> None:
    """Make sure that the tokenizer has as many tokens as the text embedding has rows.

    TTS builds the embedding by the tokenizer's highest number and then refuses other tensors.

    Raises:
        Refusal: XC109, the numbers differ, or this is not the file of a tokenizer.
    """
    inner = vocabulary.get("model")
    tokens = inner.get("vocab") if isinstance(inner, dict) else None
    added = vocabulary.get("added_tokens", [])
    if not isinstance(tokens, dict) or not isinstance(added, list):
        raise Refusal("XC109", f"{source} is not the vocabulary of an XTTS tokenizer")
    numbers = [*tokens.values(), *(item.get("id") for item in added if isinstance(item, dict))]
    if not numbers or not all(type(number) is int for number in numbers):
        raise Refusal("XC109", f"{source} is not the vocabulary of an XTTS tokenizer")
    size = max(numbers) + 1
    rows = tensors["gpt.text_embedding.weight"].shape[0]
    if size != rows:
        raise Refusal(
            "XC109",
            f"{source} has {size} tokens, but the checkpoint has an embedding for {rows}",
            hint="Put the vocab.json that belongs to this checkpoint beside it.",
        )
