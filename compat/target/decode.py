"""The autoregressive loop of XTTS over its GPT-2 weights, with torch alone.

Does what `GPT.generate` and `GPT.get_generator` of TTS have transformers do: the same prefix, the
same positions, the same treatment of the logits in the same order, and one draw of
`torch.multinomial` per token on a tensor of the same shape, so that a seed gives the same tokens.
Keys and values are kept in one buffer per layer, and the latents that the vocoder needs are kept
as they come, where TTS runs the whole GPT a second time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Iterator, Optional

from . import blocks, products
from .structure import check_structure, longest_decode

if TYPE_CHECKING:
    from .options import Options

_FAKE_PROMPT_TOKEN = 1
"""`GPT.compute_embeddings` fills the prompt with this id, so the repetition penalty counts it."""


class Decoder:
    """The weights of one `GPT` of TTS, ready to decode. Shares them; copies only to change them.

    Args:
        gpt: A loaded `TTS.tts.layers.xtts.gpt.GPT`.
        dtype: `bfloat16` or `float16` keeps a copy of the projections of all blocks in that type;
            everything else stays float32. None or `float32` copies nothing.
        quantize: `int8` keeps a copy of the projections as 8-bit integers with one scale per
            output channel (weight only).

    Raises:
        CannotAttach: `gpt` has a part that is missing, or shaped otherwise than XTTS has it.
        ValueError: Unknown `dtype` or `quantize`, or both.
    """

    def __init__(
        self, gpt: Any, *, dtype: Optional[str] = None, quantize: Optional[str] = None
    ) -> None:
        check_structure(gpt)
        self._make = products.projection_maker(dtype, quantize)
        self.gpt = gpt
        self.heads: int = gpt.heads
        self.channels: int = gpt.model_dim
        self.start: int = gpt.start_audio_token
        self.stop: int = gpt.stop_audio_token
        self.limit = longest_decode(gpt)
        self.positions = gpt.mel_pos_embedding.emb.weight
        self._follow(self.positions.device)

    def usual_limit(self, prefix: Any) -> int:
        """Return how many tokens TTS decodes at most after a prefix, shape (b, n, channels)."""
        if hasattr(self.gpt, "max_gen_mel_tokens"):
            return self.limit
        # TTS up to 0.20.3 counts the prefix and the start token too; one token is always decoded.
        return max(1, self.limit - int(prefix.shape[1]) - 1)

    def prefix(self, cond_latents: Any, text_inputs: Any) -> Any:
        """Embed voice and text, shapes (1 or b, n, channels) and (b, t).

        Shape (b, n + t + 2, channels): the text gets its start and stop tokens.
        """
        import torch
        from torch.nn import functional as F

        text = F.pad(text_inputs, (0, 1), value=self.gpt.stop_text_token)
        text = F.pad(text, (1, 0), value=self.gpt.start_text_token)
        embedded = self.gpt.text_embedding(text) + self.gpt.text_pos_embedding(text)
        return torch.cat([cond_latents.expand(embedded.shape[0], -1, -1), embedded], dim=1)

    def steps(
        self, prefix: Any, options: Options, *, warpings: int = 1
    ) -> Iterator[tuple[Any, Any]]:
        """Decode after `prefix`; yield each token and the latent that predicted it.

        Shapes (n,) and (n, channels), n sequences of the batch times `num_return_sequences`. The
        stop token is yielded too; a sequence that has ended goes on with stop tokens until all
        have. Call it inside `torch.inference_mode()` or `torch.no_grad()`. For `warpings` see
        `choose`.
        """
        import torch

        self._follow(prefix.device)
        sequences = prefix.repeat_interleave(options.num_return_sequences, dim=0)
        count, length, _ = sequences.shape
        cache = self._cache(count, length + options.max_new_tokens, sequences)
        seen = torch.zeros(count, self.gpt.num_audio_tokens, dtype=torch.bool,
                           device=sequences.device)  # fmt: skip
        seen[:, [_FAKE_PROMPT_TOKEN, self.start]] = True
        running = torch.ones(count, dtype=torch.bool, device=sequences.device)
        start = self.gpt.mel_embedding.weight[self.start] + self.positions[0]
        inputs = torch.cat([sequences, start.expand(count, 1, -1)], dim=1)
        for index in range(options.max_new_tokens):
            latent = self._hidden(inputs, cache)[:, -1]
            latent = self.gpt.final_norm(latent)
            tokens = choose(self.gpt.mel_head(latent), seen, options, warpings=warpings)
            if count > 1:
                tokens = torch.where(running, tokens, self.stop)
            yield tokens, latent
            running = running & (tokens != self.stop)
            if not bool(running.any()) or index + 1 == options.max_new_tokens:
                return
            seen.scatter_(1, tokens[:, None], True)  # noqa: FBT003 - the value that is scattered
            inputs = (self.gpt.mel_embedding.weight[tokens] + self.positions[index + 1])[:, None]

    def latents(self, prefix: Any, codes: Any, *, one_by_one: bool = False) -> Any:
        """Return the latents that predict `codes`, shape (b, n), as (b, n, channels).

        `one_by_one` computes each code as a decode does, after those before it: slower, and in the
        precision of a decode, which is another than that of many positions at once.
        """
        import torch
        from torch.nn import functional as F

        self._follow(prefix.device)
        inputs = F.pad(codes[:, :-1], (1, 0), value=self.start)
        audio = self.gpt.mel_embedding.weight[inputs] + self.positions[: inputs.shape[1]]
        count = max(prefix.shape[0], audio.shape[0])
        sequence = torch.cat([prefix.expand(count, -1, -1), audio.expand(count, -1, -1)], dim=1)
        cache = self._cache(count, sequence.shape[1], sequence)
        first = prefix.shape[1] + 1 if one_by_one else sequence.shape[1]
        hidden = [self._hidden(sequence[:, :first], cache)]
        hidden += [self._hidden(later, cache) for later in sequence[:, first:].split(1, dim=1)]
        return self.gpt.final_norm(torch.cat(hidden, dim=1)[:, prefix.shape[1] :])

    def _follow(self, device: Any) -> None:
        """Make the copies of the weights again where the model was moved to another device."""
        if getattr(self, "_device", None) != device:
            self._device = device
            self.blocks, self.kernel = blocks.build(self.gpt.gpt.h, self._make)

    def _cache(self, count: int, capacity: int, like: Any) -> _Cache:
        shape = (2, count, self.heads, capacity, self.channels // self.heads)
        return _Cache([like.new_empty(shape) for _ in self.blocks])

    def _hidden(self, inputs: Any, cache: _Cache) -> Any:
        """Run the blocks on new positions, shape (n, t, channels), after those in the cache."""
        hidden = inputs.reshape(-1, self.channels)
        until = cache.used + inputs.shape[1]
        for block, layer in zip(self.blocks, cache.layers):
            hidden = block(hidden, layer, cache.used, until)
        cache.used = until
        return self.gpt.gpt.ln_f(hidden).view(inputs.shape)


def choose(logits: Any, seen: Any, options: Options, *, warpings: int = 1) -> Any:
    """Return one token for each row of `logits`, shape (n, vocabulary).

    The steps, and their order, are those of transformers: repetition penalty, temperature, top-k,
    top-p, softmax in float32, one draw of `torch.multinomial`. Greedy is penalty and argmax.

    Args:
        logits: Shape (n, vocabulary).
        seen: Which tokens the repetition penalty counts, boolean, shape (n, vocabulary).
        options: How to choose.
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
    return torch.multinomial(scores.softmax(dim=-1), num_samples=1).squeeze(1)


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


class _Cache:
    """Of every layer keys and values, shape (2, n, heads, capacity, channels per head)."""

    def __init__(self, layers: list[Any]) -> None:
        self.layers = layers
        self.used = 0
