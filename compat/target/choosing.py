"""How a token is chosen from logits: the steps of transformers, in their order, on the device."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from .options import Options


def choose(
    logits: Any, seen: Any, options: Options, noise: Optional[Any], *, warpings: int = 1
) -> Any:
    """Return one token for each row of `logits`, shape (n, vocabulary).

    Repetition penalty, temperature, top-k, top-p, softmax in float32, one draw. Greedy is penalty
    and argmax. The draw is that of `torch.multinomial`, which divides the probabilities by
    exponential noise of their shape and takes the largest: with noise that is drawn before, the
    choice is the same, and nothing in it is random or waits for the device.

    Args:
        logits: Shape (n, vocabulary).
        seen: Which tokens the repetition penalty counts, boolean, shape (n, vocabulary).
        options: How to choose.
        noise: Exponential, of the shape of `logits`; not used where nothing is drawn.
        warpings: How often temperature, top-k and top-p are applied, one after the other.
    """
    import torch

    scores = logits.float()
    if options.repetition_penalty != 1.0:
        penalty = options.repetition_penalty
        penalised = torch.where(scores < 0, scores * penalty, scores / penalty)
        scores = torch.where(seen, penalised, scores)
    if not options.do_sample:
        return scores.argmax(dim=-1)
    for _ in range(warpings):
        scores = _warped(scores, options)
    return (scores.softmax(dim=-1) / noise).argmax(dim=-1)


def _warped(scores: Any, options: Options) -> Any:
    """Apply temperature, top-k and top-p."""
    if options.temperature != 1.0:
        scores = scores / options.temperature
    if options.top_k:
        kept = min(options.top_k, scores.shape[-1])
        scores = scores.masked_fill(scores < scores.topk(kept)[0][..., -1, None], -math.inf)
    if options.top_p < 1.0:
        ordered, indices = scores.sort(descending=False)
        removed = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - options.top_p
        removed[..., -1:] = False
        scores = scores.masked_fill(removed.scatter(1, indices, removed), -math.inf)
    return scores
