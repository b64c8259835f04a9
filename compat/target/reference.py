"""An independent check of the decoding: plain torch, no cache, nothing of transformers.

Some released pairs of TTS and transformers speak without an error while the tokens depend neither
on the text nor on the speaker. Only a second decoder can tell. Token `i` of a greedy decode is the
argmax given the tokens before it, so one causal pass over the finished sequence proves all of it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional, Sequence

_LAYER_NORM_EPSILON = 1e-5
_FAKE_PROMPT_TOKEN = 1
"""`GPT.compute_embeddings` fills the prompt with this id, so the repetition penalty counts it."""


TIE = 1e-3
"""Logits this close may change places between devices: rounding, not another voice."""


class GreedyCheck(NamedTuple):
    """Result of `check_greedy`."""

    mismatch: Optional[int]
    """Index of the first token that is not the argmax, up to `TIE`; None where all are."""
    margin: float
    """Smallest lead, in logits, of a chosen token over all others."""


def check_greedy(
    model: Any, cond_latents: Any, text_tokens: Any, codes: Sequence[int], repetition_penalty: float
) -> GreedyCheck:
    """Tell whether `codes` is the greedy decode of `model` for this voice and text.

    Args:
        model: A loaded `Xtts`; its weights are read, its code is not run. Computed on the CPU.
        cond_latents: Conditioning latents of the voice, shape (1, n, channels).
        text_tokens: Text token ids, shape (1, n), without start and stop tokens.
        codes: Audio token ids; a final stop token is checked too.
        repetition_penalty: As given to `Xtts.inference` (HF semantics: the logit of every token
            seen before is divided by it if positive, multiplied if negative).
    """
    import torch

    gpt = model.gpt
    sequence = [gpt.start_audio_token, *codes]
    with torch.inference_mode():
        logits = _logits(model, cond_latents.cpu(), text_tokens.cpu(), sequence[:-1])
        seen = torch.zeros(logits.shape[1], dtype=torch.bool)
        seen[_FAKE_PROMPT_TOKEN] = True
        margin = math.inf
        for index, code in enumerate(codes):
            seen[sequence[index]] = True
            scores = logits[index]
            penalised = torch.where(
                scores < 0, scores * repetition_penalty, scores / repetition_penalty
            )
            adjusted = torch.where(seen, penalised, scores)
            chosen = float(adjusted[code])
            adjusted[code] = -math.inf
            lead = chosen - float(adjusted.max())
            if lead < -TIE:
                return GreedyCheck(index, margin)
            margin = min(margin, lead)
    return GreedyCheck(None, margin)


def latents_distance(
    model: Any, cond_latents: Any, text_tokens: Any, codes: Sequence[int], latents: Any
) -> float:
    """Return how far latents are from those of these audio tokens, relative to their norm.

    One where they hold NaN or infinity: as far as if there were none.

    Args:
        model: A loaded `Xtts`; its weights are read, its code is not run. Computed on the CPU.
        cond_latents: Conditioning latents of the voice, shape (1, n, channels).
        text_tokens: Text token ids, shape (1, n), without start and stop tokens.
        codes: Audio token ids.
        latents: What the vocoder was given for them, shape (1, len(codes), channels).

    Raises:
        ValueError: They are not as many as the tokens.
    """
    import torch

    with torch.inference_mode():
        weights = _weights(model.gpt)
        sequence = [model.gpt.start_audio_token, *codes[:-1]]
        right = _hidden(model, weights, cond_latents.cpu(), text_tokens.cpu(), sequence)
        given = latents.detach().cpu().float()
        if given.shape != right.shape:
            raise ValueError(f"{given.shape[1]} latents for {len(codes)} audio tokens")
        far = torch.linalg.vector_norm(given - right) / torch.linalg.vector_norm(right)
        return float(far) if bool(torch.isfinite(far)) else 1.0


def _logits(model: Any, cond_latents: Any, text_tokens: Any, audio_tokens: Sequence[int]) -> Any:
    """Logits of the next audio token after each of `audio_tokens`, shape (n, audio vocabulary)."""
    from torch.nn import functional as F

    weights = _weights(model.gpt)
    hidden = _hidden(model, weights, cond_latents, text_tokens, audio_tokens)
    return F.linear(hidden[0], weights["mel_head.weight"], weights["mel_head.bias"])


def _hidden(
    model: Any,
    weights: dict[str, Any],
    cond_latents: Any,
    text_tokens: Any,
    audio_tokens: Sequence[int],
) -> Any:
    """What the last norm makes of each of `audio_tokens`, shape (1, n, channels)."""
    import torch

    text = torch.tensor(
        [[model.gpt.start_text_token, *text_tokens[0].tolist(), model.gpt.stop_text_token]]
    )
    audio = torch.tensor([list(audio_tokens)])
    hidden = torch.cat(
        [
            cond_latents.float(),
            weights["text_embedding.weight"][text]
            + weights["text_pos_embedding.emb.weight"][: text.shape[1]],
            weights["mel_embedding.weight"][audio]
            + weights["mel_pos_embedding.emb.weight"][: audio.shape[1]],
        ],
        dim=1,
    )
    for layer in range(model.args.gpt_layers):
        hidden = _block(hidden, weights, f"gpt.h.{layer}.", model.args.gpt_n_heads)
    hidden = _layer_norm(hidden[:, -audio.shape[1] :], weights, "gpt.ln_f.")
    return _layer_norm(hidden, weights, "final_norm.")


def _weights(gpt: Any) -> dict[str, Any]:
    wanted = ("text_embedding.", "text_pos_embedding.", "mel_embedding.", "mel_pos_embedding.",
              "gpt.h.", "gpt.ln_f.", "final_norm.", "mel_head.")  # fmt: skip
    state = gpt.state_dict().items()
    return {name: tensor.cpu().float() for name, tensor in state if name.startswith(wanted)}


def _layer_norm(hidden: Any, weights: dict[str, Any], prefix: str) -> Any:
    from torch.nn import functional as F

    scale, shift = weights[prefix + "weight"], weights[prefix + "bias"]
    return F.layer_norm(hidden, scale.shape, scale, shift, _LAYER_NORM_EPSILON)


def _block(hidden: Any, weights: dict[str, Any], prefix: str, heads: int) -> Any:
    """One GPT-2 block (pre-norm, causal attention, tanh-approximated GELU)."""
    from torch.nn import functional as F

    def project(inputs: Any, name: str) -> Any:
        return inputs @ weights[f"{prefix}{name}.weight"] + weights[f"{prefix}{name}.bias"]

    _, length, channels = hidden.shape
    normed = _layer_norm(hidden, weights, prefix + "ln_1.")
    query, key, value = (
        part.view(length, heads, channels // heads).transpose(0, 1)
        for part in project(normed, "attn.c_attn")[0].split(channels, dim=-1)
    )
    scores = query @ key.transpose(1, 2) / math.sqrt(channels // heads)
    future = scores.new_ones(length, length).triu(1).bool()
    attention = scores.masked_fill(future, -math.inf).softmax(dim=-1)
    mixed = (attention @ value).transpose(0, 1).reshape(1, length, channels)
    hidden = hidden + project(mixed, "attn.c_proj")
    normed = _layer_norm(hidden, weights, prefix + "ln_2.")
    return hidden + project(F.gelu(project(normed, "mlp.c_fc"), approximate="tanh"), "mlp.c_proj")
