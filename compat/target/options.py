"""The options of a `generate` call that the runtime's decoder honours, and which it refuses."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional


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
