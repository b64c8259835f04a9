"""Make a loaded XTTS model speak through xcompat's own decoder: on this one object, reversibly.

`attach` sets attributes on the instance it is given, and nowhere else: no class, no module and no
other model changes. What is set, and what it stands in for:

* `model.gpt.generate`, `.get_generator`: transformers' `generate`, and TTS's streaming copy of it;
* `model.gpt.compute_embeddings`: the same, without the transformers model that it fills;
* `model.gpt.forward`: the second pass over the GPT, for latents that the decoder has;
* `model.gpt.init_gpt_for_inference`: building a transformers model to generate with;
* `model.get_conditioning_latents`: itself, reading audio through soundfile;
* `TTS(...).synthesizer.output_sample_rate`: the rate of reference audio, where TTS put that;
* `TTS(...).model_name`, where TTS tells by it, and not by the model, whether it takes a `language`.

`Runtime.detach`, or leaving the `with` block, removes all of it.
"""

from __future__ import annotations

import functools
import itertools
import types
from typing import Any, Callable, Iterator, Optional

from . import decode, products

PROBE_TOKENS = 4
_PROBE_PENALTY = 5.0
_SAMPLED = 12
"""Tokens by which two ways to sample are told apart; a tiny model has positions for 24."""
_TOLERANCE = 1e-4
"""Largest difference of latents, of magnitude 1, between this decoder and transformers' GPT-2."""


class Runtime:
    """The attachment of the decoder to one model. A context manager that detaches."""

    reason = "asked for"
    """Why this runtime was chosen."""

    def __init__(self, model: Any, decoder: decode.Decoder, api: Any = None) -> None:
        self.model = model
        self.decoder = decoder
        self._set: list[tuple[Any, str]] = []
        self._corrected: list[tuple[Any, str, Any]] = []
        self._last: Optional[_Decoded] = None
        for name in ("generate", "get_generator", "compute_embeddings", "forward"):
            self._put(model.gpt, name, getattr(self, "_" + name))
        self._put(model.gpt, "init_gpt_for_inference", _nothing_to_build)
        self._put(model, "get_conditioning_latents", _reading_with_soundfile(model))
        if api is not None:
            rate = int(model.config.audio["output_sample_rate"])
            self._correct(api.synthesizer, "output_sample_rate", rate)
            if not api.is_multi_lingual:  # TTS before 0.21 knows XTTS by this name alone
                self._correct(api, "model_name", "xtts")

    def detach(self) -> None:
        """Give the model back as it was. Does nothing the second time."""
        for owner, name in self._set:
            vars(owner).pop(name, None)
        for owner, name, value in self._corrected:
            setattr(owner, name, value)
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
        vars(owner)[name] = value
        self._set.append((owner, name))

    def _correct(self, owner: Any, name: str, right: Any) -> None:
        self._corrected.append((owner, name, getattr(owner, name)))
        setattr(owner, name, right)

    def _generate(self, cond_latents: Any, text_inputs: Any, **kwargs: Any) -> Any:
        """Stand in for `GPT.generate`: codes of shape (b * num_return_sequences, n)."""
        import torch

        with torch.no_grad():
            prefix = self.decoder.prefix(cond_latents, text_inputs)
            options = self._options(kwargs, prefix)
            tokens, latents = zip(*self.decoder.steps(prefix, options))
            codes = torch.stack(tokens, dim=1)
            self._last = _Decoded(
                cond_latents, text_inputs, codes, codes.clone(), torch.stack(latents, dim=1)
            )
        return codes

    def _options(
        self, kwargs: dict[str, Any], prefix: Any, *, streaming: bool = False
    ) -> decode.Options:
        usual = self.decoder.usual_limit(prefix)
        return decode.read_options(kwargs, self.decoder.limit, usual, streaming=streaming)

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
            raise decode.UnsupportedOption(
                "get_generator streams what compute_embeddings of the same model returned"
            )
        options = self._options(kwargs, prefix, streaming=True)
        gpt_class: Any = type(self.model.gpt)
        warpings = stream_warpings(gpt_class) if options.do_sample else 1
        return self._stream(self.decoder.steps(prefix, options, warpings=warpings))

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
        stock = functools.partial(type(gpt).forward, gpt)
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
        raise decode.UnsupportedOption("the xcompat runtime does not do use_deepspeed=True")


def attach(model: Any, *, dtype: Optional[str] = None, quantize: Optional[str] = None) -> Runtime:
    """Let a loaded model speak through xcompat's decoder instead of transformers' `generate`.

    Args:
        model: An `Xtts` in evaluation mode, or a `TTS.api.TTS` that holds one.
        dtype: `bfloat16` or `float16`: compute the GPT's projections in that type, faster and less
            exact. None leaves float32.
        quantize: `int8`: hold them as 8-bit integers, faster and less exact still.

    Returns:
        The attachment; keep it to `detach()`, or use it in a `with` statement.

    Raises:
        CannotAttach: This is not a loaded XTTS, or one whose parts differ from what xcompat knows.
        ValueError: Unknown `dtype` or `quantize`.
    """
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
    _prove(gpt_class)
    return Runtime(xtts, decoder, None if xtts is model else model)


@functools.lru_cache(maxsize=None)
def _prove(gpt_class: Any) -> None:
    """Compare the decoder with the class's own `forward` on a tiny model; refuse a difference."""
    import torch

    gpt = _tiny(gpt_class)
    text, voice = _tiny_inputs(gpt)
    codes = torch.tensor([[3, 14, 15, 9, 26, 5]])
    with torch.inference_mode():
        decoder = decode.Decoder(gpt)
        ours = decoder.latents(decoder.prefix(voice, text), codes)
        theirs = gpt(
            text,
            torch.tensor([text.shape[-1]]),
            codes,
            torch.tensor([codes.shape[-1] * gpt.code_stride_len]),
            cond_latents=voice,
            return_latent=True,
        )
    if ours.shape != theirs.shape or not torch.allclose(ours, theirs, atol=_TOLERANCE):
        raise products.CannotAttach(
            f"{gpt_class.__module__}.{gpt_class.__name__} computes something else than xcompat "
            "knows: its latents differ"
        )


@functools.lru_cache(maxsize=None)
def stock_fault(gpt_class: Any) -> str:
    """Return what is wrong with the class's own decoding here, or an empty string.

    Builds a tiny model and lets it generate and stream greedily. Some pairs of TTS and
    transformers raise; some speak without an error in a voice that depends on neither the text
    nor the speaker. Both are found, in a fraction of a second, by doing it.
    """
    import torch

    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        try:
            gpt = _tiny(gpt_class)
            text, voice = _tiny_inputs(gpt)
            decoder = decode.Decoder(gpt)
            options = decode.Options(PROBE_TOKENS, repetition_penalty=_PROBE_PENALTY)
            expected = [int(t) for t, _ in decoder.steps(decoder.prefix(voice, text), options)]
            gpt.init_gpt_for_inference(kv_cache=True)
            gpt.eval()
            kwargs = {
                "do_sample": False,
                "num_beams": 1,
                "max_new_tokens": PROBE_TOKENS,
                "repetition_penalty": _PROBE_PENALTY,
            }
            codes = gpt.generate(cond_latents=voice, text_inputs=text, **kwargs)
            generated = [int(code) for code in codes[0]]
            streamed = _streamed(gpt, voice, text)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    for what, found in (("generate", generated), ("streaming", streamed)):
        if found != expected:
            return f"{what} gives other tokens than the weights ask for: the voice is wrong"
    return ""


@functools.lru_cache(maxsize=None)
def reading_fault() -> str:
    """Return why stock `torchaudio.load` cannot read a WAV here, or an empty string."""
    import tempfile
    from pathlib import Path

    import torchaudio

    from . import sound

    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "probe.wav"
        sound.write_wav(wav, [0.0] * 64, sound.HUM_RATE)
        try:
            torchaudio.load(str(wav))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


@functools.lru_cache(maxsize=None)
def stream_warpings(gpt_class: Any) -> int:
    """Return how often the class's own streaming applies temperature, top-k and top-p: 1 or 2.

    TTS's copy of the loop applies them, and newer releases of transformers (4.46.2, for one) put
    them among the processors that the copy asks for, so that both come to pass with coqui-tts
    0.25.3. Found by streaming from a tiny model with one seed; 1 where stock cannot stream.
    """
    import torch

    sampling: dict[str, Any] = {"temperature": 0.6, "top_k": 0, "top_p": 0.9}
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        try:
            gpt = _tiny(gpt_class)
            text, voice = _tiny_inputs(gpt)
            gpt.init_gpt_for_inference(kv_cache=True)
            gpt.eval()
            torch.manual_seed(0)
            theirs = _streamed(gpt, voice, text, count=_SAMPLED, **sampling)
        except Exception:
            return 1
        decoder = decode.Decoder(gpt)
        options = decode.Options(
            _SAMPLED, do_sample=True, repetition_penalty=_PROBE_PENALTY, **sampling
        )
        torch.manual_seed(0)
        steps = decoder.steps(decoder.prefix(voice, text), options, warpings=2)
        return 2 if [int(token) for token, _ in steps] == theirs else 1


def _streamed(
    gpt: Any, voice: Any, text: Any, *,
    count: int = PROBE_TOKENS, temperature: float = 1.0, top_k: int = 1, top_p: float = 1.0,
) -> list[int]:  # fmt: skip
    """Stream `count` tokens; streaming always samples, and `top_k=1` leaves it no choice."""
    generator = gpt.get_generator(
        fake_inputs=gpt.compute_embeddings(voice, text),
        do_sample=True,
        top_k=top_k,
        top_p=top_p,
        temperature=temperature,
        num_beams=1,
        num_return_sequences=1,
        length_penalty=1.0,
        repetition_penalty=_PROBE_PENALTY,
        output_attentions=False,
        output_hidden_states=True,
        return_dict_in_generate=True,
    )
    return [int(token) for token, _ in itertools.islice(generator, count)]


def _tiny(gpt_class: Any) -> Any:
    """Build a GPT of 2 layers and 32 channels with fixed weights, the random state untouched."""
    import torch

    from . import weights

    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        try:
            gpt = gpt_class(
                layers=2, model_dim=32, heads=2, max_text_tokens=16, max_mel_tokens=24,
                max_prompt_tokens=8, number_text_tokens=32, start_text_token=1, stop_text_token=0,
                num_audio_tokens=40, start_audio_token=38, stop_audio_token=39,
                use_perceiver_resampler=False,
            )  # fmt: skip
        except Exception as error:
            raise products.CannotAttach(
                f"{gpt_class.__name__} cannot be built as xcompat knows it: {error}"
            ) from error
    weights.fill_state_dict(gpt.state_dict())
    return gpt.eval()


def _tiny_inputs(gpt: Any) -> tuple[Any, Any]:
    import torch

    from . import weights

    voice = torch.from_numpy(weights.uniform("voice", 4 * gpt.model_dim))
    return torch.tensor([[7, 3, 11, 5]]), voice.reshape(1, 4, gpt.model_dim)


def _reading_with_soundfile(model: Any) -> Callable[..., Any]:
    """Return the model's own `get_conditioning_latents`, reading its files through soundfile.

    The function of TTS is run as it is, over a copy of its module's names in which `load_audio`
    is TTS's own too, over names in which `torchaudio.load` is `read_audio`. So mixing down,
    resampling, clipping and everything after stay what they are.

    Raises:
        CannotAttach: This TTS reads its audio in another way.
    """
    method = type(model).get_conditioning_latents
    function = getattr(method, "__wrapped__", method)
    if "load_audio" in function.__code__.co_names:
        load_audio = function.__globals__.get("load_audio")
        rebound = _with_names(function, load_audio=_with_reader(load_audio))
    else:  # TTS 0.20.0
        rebound = _with_reader(function)
    import torch

    @functools.wraps(function)
    def get_conditioning_latents(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode():
            return rebound(model, *args, **kwargs)

    return get_conditioning_latents


def _with_reader(function: Any) -> Any:
    """Copy a function that calls `torchaudio.load` so that it reads through soundfile.

    Raises:
        CannotAttach: It does not.
    """
    code = getattr(function, "__code__", None)
    if code is None or not {"torchaudio", "load"} <= set(code.co_names):
        raise products.CannotAttach("get_conditioning_latents does not read by torchaudio.load")
    return _with_names(function, torchaudio=_Reader(function.__globals__["torchaudio"]))


def _with_names(function: Any, **names: Any) -> Any:
    """Copy a function so that it sees `names` in place of its module's."""
    copy = types.FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class _Reader:
    """torchaudio as `load_audio` sees it: `load` is ours, all the rest is torchaudio's."""

    def __init__(self, torchaudio: Any) -> None:
        self._torchaudio = torchaudio

    def load(self, path: Any) -> tuple[Any, int]:
        return read_audio(path, self._torchaudio.load)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torchaudio, name)


def read_audio(path: Any, otherwise: Callable[[Any], tuple[Any, int]]) -> tuple[Any, int]:
    """Return the samples of a file, float32 of shape (channels, n), and its rate (Hz).

    soundfile reads WAV, FLAC, OGG, MP3, AIFF and more without FFmpeg. What it does not know is
    given to `otherwise`, stock `torchaudio.load`.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: Neither can read it; the message holds what both said.
    """
    import os

    import soundfile
    import torch

    if isinstance(path, (str, os.PathLike)) and not os.path.exists(path):  # noqa: PTH110
        raise FileNotFoundError(f"the reference audio {os.fspath(path)} does not exist")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as refusal:
        if hasattr(path, "seek"):
            path.seek(0)
        try:
            return otherwise(path)
        except Exception as error:
            raise OSError(
                f"{path} cannot be read as audio: soundfile says {refusal}; torchaudio says "
                f"{type(error).__name__}: {error}. Convert it to WAV or FLAC"
            ) from error
    return torch.from_numpy(samples.T.copy()), int(rate)
