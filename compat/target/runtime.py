"""Make a loaded XTTS model speak through xcompat's own decoder: on this one object, reversibly.

`attach` sets attributes on the instance it is given, and nowhere else: no class, no module and no
other model changes. What is set, and what it stands in for:

* `model.gpt.generate`, `.get_generator`: transformers' `generate`, and TTS's streaming copy of it;
* `model.gpt.compute_embeddings`: the same, without the transformers model that it fills;
* `model.gpt.forward`: the second pass over the GPT, for latents that the decoder has;
* `model.gpt.init_gpt_for_inference`: building a transformers model to generate with;
* `model.hifigan_decoder.forward`: the vocoder over sounds of any length, see `vocoder`;
* `model.inference` and `TTS(...).synthesizer.split_into_sentences`, where `together` asks for it:
  themselves, over several texts at once, see `together`;
* `model.get_conditioning_latents`: itself, reading audio through soundfile;
* `TTS(...).synthesizer.output_sample_rate`: the rate of reference audio, where TTS put that;
* `TTS(...).model_name`, where TTS tells by it, and not by the model, whether it takes a `language`.

`Runtime.detach`, or leaving the `with` block, removes all of it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from typing import Any, Iterator, Optional

from . import decode, options, products, trials, vocoder
from .giving_back import give_back
from .reading import reading_with_soundfile
from .together import Together


class Runtime:
    """The attachment of the decoder to one model. A context manager that detaches."""

    reason = "asked for"
    """Why this runtime was chosen."""

    def __init__(
        self, model: Any, decoder: decode.Decoder, api: Any = None, together: int = 1
    ) -> None:
        self.model = model
        self.decoder = decoder
        self._set: list[tuple[Any, str, Any]] = []
        self._corrected: list[tuple[Any, str, Any]] = []
        self._last: Optional[_Decoded] = None
        for name in ("generate", "get_generator", "compute_embeddings", "forward"):
            self._put(model.gpt, name, getattr(self, "_" + name))
        self._put(model.gpt, "init_gpt_for_inference", _nothing_to_build)
        self._put(model, "get_conditioning_latents", reading_with_soundfile(model))
        sound: Any = type(model.hifigan_decoder)
        self.vocoder: Optional[vocoder.Vocoder] = None
        if not trials.vocoder_fault(sound):
            self.vocoder = vocoder.Vocoder(model.hifigan_decoder)
            self._put(model.hifigan_decoder, "forward", self.vocoder)
        if together > 1:
            ahead = Together(self, together)
            self._put(model, "inference", ahead.inference)
            if api is not None:
                split = api.synthesizer.split_into_sentences
                self._put(api.synthesizer, "split_into_sentences", ahead.overhearing(split))
        if api is not None:
            rate = int(model.config.audio["output_sample_rate"])
            self._correct(api.synthesizer, "output_sample_rate", rate)
            if not api.is_multi_lingual:  # TTS before 0.21 knows XTTS by this name alone
                self._correct(api, "model_name", "xtts")

    def detach(self) -> None:
        """Give the model back as it was. Does nothing the second time."""
        for owner, name, before in self._set:
            vars(owner).pop(name, None)
            if before is not None:
                vars(owner)[name] = before
        for owner, name, value in self._corrected:
            setattr(owner, name, value)
        self.decoder.bring_back()
        gpt = self.model.gpt
        if self._set and not hasattr(gpt, "gpt_inference") and not gpt.training:
            # `load_xtts` built none; the stock methods need it.
            gpt.init_gpt_for_inference(kv_cache=self.model.args.kv_cache)
            gpt.eval()
        self._set, self._corrected, self._last = [], [], None

    def __enter__(self) -> Runtime:  # noqa: PYI034 - typing.Self is younger than Python 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def _put(self, owner: Any, name: str, value: Any) -> None:
        self._set.append((owner, name, vars(owner).get(name)))
        vars(owner)[name] = _signed_as(getattr(owner, name), value)

    def _correct(self, owner: Any, name: str, right: Any) -> None:
        self._corrected.append((owner, name, getattr(owner, name)))
        setattr(owner, name, right)

    def _generate(self, cond_latents: Any, text_inputs: Any, **kwargs: Any) -> Any:
        """Stand in for `GPT.generate`: codes of shape (b * num_return_sequences, n)."""
        import torch

        give_back(text_inputs.device)
        with torch.no_grad():
            prefix = self.decoder.prefix(cond_latents, text_inputs)
            try:
                chosen = self._options(kwargs, prefix)
            except options.UnsupportedOption as refusal:
                return self._by_stock(refusal, cond_latents, text_inputs, kwargs)
            rows = [row for row in prefix for _ in range(chosen.num_return_sequences)]
            tokens, parts = zip(*self.decoder.windows(rows, chosen))
            codes = torch.cat(tokens, dim=1)
            # As long as the vocoder will want it, so that no sentence asks for a size of its own.
            count = int(codes.shape[1])
            shape = (len(codes), vocoder.padded(count), int(parts[0].shape[-1]))
            latents = parts[0].new_empty(shape)[:, :count]
            for part, into in zip(parts, latents.split([p.shape[1] for p in parts], dim=1)):
                into.copy_(part)
            self._last = _Decoded(cond_latents, text_inputs, codes, codes.clone(), latents)
        return codes

    def _by_stock(
        self, refusal: Exception, cond_latents: Any, text_inputs: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Let stock do what this decoder does not, where stock decodes rightly."""
        gpt: Any = self.model.gpt
        gpt_class: Any = type(gpt)
        fault = trials.stock_fault(gpt_class)
        if not fault:
            if not hasattr(gpt, "gpt_inference"):
                gpt_class.init_gpt_for_inference(gpt, kv_cache=True)
                gpt.eval()
            self.decoder.bring_back()
            ours = vars(gpt).pop("compute_embeddings")
            try:
                return gpt_class.generate(gpt, cond_latents, text_inputs, **kwargs)
            except Exception as error:
                fault = f"{type(error).__name__}: {error}"
            finally:
                vars(gpt)["compute_embeddings"] = ours
        if kwargs.get("num_beams", 1) == 1:
            raise refusal
        _warn_once(
            f"num_beams={kwargs['num_beams']} is done with one beam: stock cannot do it here "
            f"({fault}), and the xcompat runtime does not"
        )
        return self._generate(cond_latents, text_inputs, **{**kwargs, "num_beams": 1})

    def _options(
        self, kwargs: dict[str, Any], prefix: Any, *, streaming: bool = False
    ) -> options.Options:
        usual = self.decoder.usual_limit(prefix)
        return options.read_options(kwargs, self.decoder.limit, usual, streaming=streaming)

    def _compute_embeddings(self, cond_latents: Any, text_inputs: Any) -> Any:
        """Stand in for `GPT.compute_embeddings`: fake token ids that stand for the prefix."""
        import torch

        prefix = self.decoder.prefix(cond_latents, text_inputs)
        ids = torch.ones(
            prefix.shape[0], prefix.shape[1] + 1, dtype=torch.long, device=prefix.device
        )
        ids[:, -1] = self.decoder.start
        ids.xcompat_prefix = prefix
        return ids

    def _get_generator(self, fake_inputs: Any, **kwargs: Any) -> Iterator[tuple[Any, Any]]:
        """Stand in for `GPT.get_generator`: tokens and latents, one at a time."""
        prefix = getattr(fake_inputs, "xcompat_prefix", None)
        if prefix is None:
            raise options.UnsupportedOption(
                "get_generator streams what compute_embeddings of the same model returned"
            )
        give_back(prefix.device)
        chosen = self._options(kwargs, prefix, streaming=True)
        gpt_class: Any = type(self.model.gpt)
        warpings = trials.stream_warpings(gpt_class) if chosen.do_sample else 1
        return self._stream(self.decoder.steps(prefix, chosen, warpings=warpings))

    @staticmethod
    def _stream(steps: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        import torch

        while True:
            # A generator gives its mode to whoever drains it, so it is set anew for each step.
            with torch.inference_mode():
                step = next(steps, None)
            if step is None:
                return
            yield step

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        """Stand in for `GPT.forward` where it is asked for latents after a decode."""
        gpt = self.model.gpt

        def stock(*args: Any, **kwargs: Any) -> Any:
            self.decoder.bring_back()
            return type(gpt).forward(gpt, *args, **kwargs)

        if gpt.training or not kwargs.get("return_latent") or kwargs.get("return_attentions"):
            return stock(*args, **kwargs)
        cond_latents = kwargs.get("cond_latents")
        if cond_latents is None or len(args) != 4:
            return stock(*args, **kwargs)
        text_inputs, _, codes, _ = args
        if self._last is not None and self._last.is_of(cond_latents, text_inputs, codes):
            return self._last.latents
        return self.decoder.latents(self.decoder.prefix(cond_latents, text_inputs), codes)


class _Decoded:
    """The last decode, so that its latents need not be computed again."""

    def __init__(
        self, cond_latents: Any, text_inputs: Any, codes: Any, copy: Any, latents: Any
    ) -> None:
        self.inputs = (cond_latents, text_inputs, codes)
        self.copy = copy
        self.latents = latents

    def is_of(self, *inputs: Any) -> bool:
        same = all(mine is theirs for mine, theirs in zip(self.inputs, inputs))
        return same and bool((self.copy == inputs[-1]).all())


def _nothing_to_build(kv_cache: bool = True, use_deepspeed: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of TTS
    """Stand in for `GPT.init_gpt_for_inference`: the decoder reads the weights where they are."""
    del kv_cache
    if use_deepspeed:
        _warn_once("use_deepspeed=True changes nothing: the xcompat runtime decodes in its place")


@functools.lru_cache(maxsize=None)
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=3)


def _signed_as(stock: Any, ours: Any) -> Any:
    """Return `ours` as a function that shows the signature of what it stands in for."""

    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    with contextlib.suppress(TypeError, ValueError):
        stand_in.__signature__ = inspect.signature(stock)  # type: ignore[attr-defined]
    stand_in.__doc__, stand_in.__name__ = stock.__doc__, stock.__name__
    return stand_in


def attach(
    model: Any, *, dtype: Optional[str] = None, quantize: Optional[str] = None, together: int = 1
) -> Runtime:
    """Let a loaded model speak through xcompat's decoder instead of transformers' `generate`.

    Args:
        model: An `Xtts` in evaluation mode, or a `TTS.api.TTS` that holds one.
        dtype: `bfloat16` or `float16`: compute the GPT's projections in that type, faster and less
            exact. None leaves float32.
        quantize: `int8`: hold them as 8-bit integers, faster and less exact still.
        together: How many pieces of a text `inference` with `enable_text_splitting` decodes at
            once, or sentences of a text `TTS.api`. From 2 on each draws from a generator of its
            own, as in `speak`, so what is sampled is not what stock samples by the same seed.

    Returns:
        The attachment; keep it to `detach()`, or use it in a `with` statement.

    Raises:
        CannotAttach: This is not a loaded XTTS, or one whose parts differ from what xcompat knows.
        ValueError: Unknown `dtype` or `quantize`, or `together` is not positive.
    """
    if together < 1:
        raise ValueError(f"together is {together}; it must be positive")
    synthesizer = getattr(model, "synthesizer", None)
    xtts = getattr(synthesizer, "tts_model", model)
    for name in ("gpt", "hifigan_decoder", "inference", "inference_stream", "args", "config"):
        if getattr(xtts, name, None) is None:
            raise products.CannotAttach(
                f"{type(xtts).__name__} has no {name}: it is not a loaded XTTS model"
            )
    if "generate" in vars(xtts.gpt):
        raise products.CannotAttach("gpt.generate is already replaced: detach that first")
    decoder = decode.Decoder(xtts.gpt, dtype=dtype, quantize=quantize)
    gpt_class: Any = type(xtts.gpt)
    trials.prove(gpt_class)
    return Runtime(xtts, decoder, None if xtts is model else model, together)
