"""What a GPT of XTTS is made of, as the decoder computes it: anything else is refused."""

from __future__ import annotations

from typing import Any, Optional

from . import products

DECODED_WITH = (
    *("text_embedding", "text_pos_embedding", "mel_embedding", "mel_pos_embedding"),
    *("gpt", "final_norm", "mel_head"),
)
"""Parts of a GPT whose weights a decode reads."""


def check_structure(gpt: Any) -> None:
    """Refuse a `gpt` that is not built as this decoder computes it.

    Raises:
        CannotAttach: An attribute is missing, a shape or a setting is another.
    """
    channels = _attribute(gpt, "model_dim")
    heads = _attribute(gpt, "heads")
    if channels % heads:
        raise products.CannotAttach(
            f"gpt.model_dim is {channels}, not a multiple of gpt.heads, {heads}"
        )
    audio = _attribute(gpt, "num_audio_tokens")
    longest = longest_decode(gpt)
    for name in ("start_audio_token", "stop_audio_token", "start_text_token", "stop_text_token"):
        if not isinstance(_attribute(gpt, name), int):
            raise products.CannotAttach(f"gpt.{name} is {getattr(gpt, name)!r}, not a token id")
    _shape(gpt, "mel_embedding.weight", audio, channels)
    _shape(gpt, "mel_head.weight", audio, channels)
    _shape(gpt, "mel_head.bias", audio)
    _shape(gpt, "final_norm.weight", channels)
    _shape(gpt, "gpt.ln_f.weight", channels)
    _shape(gpt, "text_embedding.weight", None, channels)
    _shape(gpt, "text_pos_embedding.emb.weight", None, channels)
    positions = _shape(gpt, "mel_pos_embedding.emb.weight", None, channels)[0]
    if positions < longest:
        raise products.CannotAttach(f"gpt has {positions} audio positions for {longest} tokens")
    _check_transformer(gpt, channels, heads)


def _check_transformer(gpt: Any, channels: int, heads: int) -> None:
    blocks = _attribute(gpt, "gpt.h")
    if len(blocks) != _attribute(gpt, "layers"):
        raise products.CannotAttach(f"gpt.gpt has {len(blocks)} blocks, not {gpt.layers}")
    for index in range(len(blocks)):
        block = f"gpt.h.{index}."
        for part, shape in {
            "ln_1.": (channels,),
            "attn.c_attn.": (channels, 3 * channels),
            "attn.c_proj.": (channels, channels),
            "ln_2.": (channels,),
            "mlp.c_fc.": (channels, 4 * channels),
            "mlp.c_proj.": (4 * channels, channels),
        }.items():
            _shape(gpt, f"{block}{part}weight", *shape)
            _shape(gpt, f"{block}{part}bias", shape[-1])
    config = _attribute(gpt, "gpt.config")
    for setting, value in {
        "n_head": heads,
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    }.items():
        if getattr(config, setting, None) != value:
            found = getattr(config, setting, "missing")
            raise products.CannotAttach(f"gpt.gpt.config.{setting} is {found!r}, not {value!r}")
    # TTS adds its own positions and replaces those of GPT-2 by zeros.
    if list(getattr(_attribute(gpt, "gpt.wpe"), "parameters", list)()):
        raise products.CannotAttach("gpt.gpt.wpe has weights: positions are added twice")


def longest_decode(gpt: Any) -> int:
    """Return the longest decode that TTS has positions for, in tokens.

    Raises:
        CannotAttach: This TTS says it under no name that is known.
    """
    name = "max_gen_mel_tokens" if hasattr(gpt, "max_gen_mel_tokens") else "max_mel_tokens"
    return int(_attribute(gpt, name))


def _attribute(owner: Any, path: str) -> Any:
    value = owner
    for name in path.split("."):
        try:
            value = value[int(name)] if name.isdigit() else getattr(value, name)
        except (AttributeError, IndexError, TypeError):
            raise products.CannotAttach(f"this TTS has no gpt.{path}: not a GPT of XTTS") from None
    return value


def _shape(owner: Any, path: str, *expected: Optional[int]) -> tuple[int, ...]:
    found = tuple(_attribute(owner, path).shape)
    fits = len(found) == len(expected) and all(e in (None, f) for e, f in zip(expected, found))
    if not fits:
        raise products.CannotAttach(f"gpt.{path} has the shape {found}, not {expected}")
    return found
