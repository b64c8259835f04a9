"""The autoregressive loop of XTTS over its GPT-2 weights, with torch alone.

Does what `GPT.generate` and `GPT.get_generator` of TTS have transformers do: the same prefix, the
same positions, the same treatment of the logits in the same order, and one draw of
`torch.multinomial` per token on a tensor of the same shape, so that a seed gives the same tokens.
Keys and values are kept in one buffer per layer, and the latents that the vocoder needs are kept
as they come, where TTS runs the whole GPT a second time.
"""

from __future__ import annotations

import math
from typing import Any, Iterator, NamedTuple, Optional

from . import blocks, products

_FAKE_PROMPT_TOKEN = 1
"""`GPT.compute_embeddings` fills the prompt with this id, so the repetition penalty counts it."""


class UnsupportedOption(ValueError):  # noqa: N818 - read as what it says
    """A generation option that this decoder does not honour; the message names it."""


class Options(NamedTuple):
    """How tokens are chosen. Names, defaults and meaning as in transformers' `generate`."""

    max_new_tokens: int
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    num_return_sequences: int = 1


_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "typical_p": (1.0,),
    "min_p": (None, 0.0),
    "no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "min_new_tokens": (None, 0),
    "bad_words_ids": (None,),
    "suppress_tokens": (None,),
    "logits_processor": (None,),
    "stopping_criteria": (None,),
    "streamer": (None,),
    "assistant_model": (None,),
    "generation_config": (None,),
    "prefix_allowed_tokens_fn": (None,),
    "penalty_alpha": (None, 0.0),
    "output_attentions": (None, False),
    "output_scores": (None, False),
    "synced_gpus": (None, False),
    "attention_mask": (None,),
    "input_tokens": (None,),
}
"""Options of `generate` that are accepted with the value that changes nothing, and no other."""

_WITHOUT_EFFECT = ("length_penalty", "early_stopping", "use_cache", "output_hidden_states")
"""Options without an effect on the tokens: the first two concern beam search alone."""


def read_options(
    kwargs: dict[str, Any], limit: int, usual: Optional[int] = None, *, streaming: bool = False
) -> Options:
    """Return the options in the keyword arguments of a `generate` call.

    Args:
        kwargs: As TTS and its users pass them on to transformers.
        limit: The longest decode, in tokens, that the model has positions for.
        usual: How many tokens are decoded at most where the call does not say; `limit` if None.
        streaming: Whether this is `get_generator`, which passes `return_dict_in_generate` for
            itself.

    Raises:
        UnsupportedOption: An option that this decoder does not know or cannot do.
        ValueError: A value outside the range that transformers allows.
    """
    given = dict(kwargs)
    as_dict = given.pop("return_dict_in_generate", None)
    if as_dict and not streaming:
        raise UnsupportedOption(_refusal("return_dict_in_generate", as_dict))
    for name in _WITHOUT_EFFECT:
        given.pop(name, None)
    for name, values in _NEUTRAL.items():
        value = given.pop(name, values[0])
        if not any(value is neutral or value == neutral for neutral in values):
            raise UnsupportedOption(_refusal(name, value))
    new_tokens = given.pop("max_new_tokens", None)
    chosen = {n: given.pop(n) for n in Options._fields if n in given and given[n] is not None}
    given = {name: value for name, value in given.items() if value is not None}
    if given:
        name, value = next(iter(given.items()))
        raise UnsupportedOption(_refusal(name, value))
    if new_tokens is None:
        new_tokens = limit if usual is None else usual
    options = Options(max_new_tokens=int(new_tokens), **chosen)
    _check(options, limit)
    return options


def _refusal(name: str, value: Any) -> str:
    return (
        f"the xcompat runtime does not do {name}={value!r}; leave it out, or load the model with "
        'runtime="stock" where that works'
    )


def _check(options: Options, limit: int) -> None:
    if not 0 < options.max_new_tokens <= limit:
        raise ValueError(
            f"max_new_tokens is {options.max_new_tokens}; this model decodes 1 to {limit} tokens"
        )
    if options.repetition_penalty <= 0:
        raise ValueError(f"repetition_penalty is {options.repetition_penalty}; it must be positive")
    if options.num_return_sequences < 1:
        raise ValueError(f"num_return_sequences is {options.num_return_sequences}; it must be >= 1")
    if not options.do_sample:
        if options.num_return_sequences > 1:
            raise ValueError("num_return_sequences > 1 needs do_sample=True: greedy ones are equal")
        return
    if options.temperature <= 0:
        raise ValueError(f"temperature is {options.temperature}; it must be positive")
    if options.top_k < 0:
        raise ValueError(f"top_k is {options.top_k}; it must be positive, or 0 for all tokens")
    if not 0 <= options.top_p <= 1:
        raise ValueError(f"top_p is {options.top_p}; it must be between 0 and 1")


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
