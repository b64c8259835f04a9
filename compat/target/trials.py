"""Trials of a tiny model: what the classes of this TTS compute, and what stock cannot do here.

Nothing is told by version: it is found out, in a fraction of a second, and once for each class.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

from . import decode, options, products, vocoder

PROBE_TOKENS = 4
_PROBE_PENALTY = 5.0
_SAMPLED = 12
"""Tokens by which two ways to sample are told apart; a tiny model has positions for 24."""
_TOLERANCE = 1e-4
"""Largest difference of latents, of magnitude 1, between this decoder and transformers' GPT-2."""


@functools.lru_cache(maxsize=None)
def prove(gpt_class: Any) -> None:
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
            chosen = options.Options(PROBE_TOKENS, repetition_penalty=_PROBE_PENALTY)
            expected = [int(t) for t, _ in decoder.steps(decoder.prefix(voice, text), chosen)]
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
def vocoder_fault(decoder_class: Any) -> str:
    """Return why `vocoder.Vocoder` cannot stand in for this class, or an empty string.

    Both speak two latents and five on a tiny model; ours fills them up to eight.
    """
    import torch

    from . import weights

    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
        try:
            tiny = decoder_class(
                decoder_input_dim=8, d_vector_dim=8, upsample_initial_channel_decoder=32
            ).eval()
            for name, tensor in tiny.waveform_decoder.state_dict(
                prefix="waveform_decoder."
            ).items():
                weights.fill_state_dict({name: tensor})
            some = torch.from_numpy(weights.uniform("latents", 48)).float()
            latents, voice = some[:40].view(1, 5, 8), some[40:].view(1, 8, 1)
            stand_in = vocoder.Vocoder(tiny)
            pairs = [
                (tiny(latents[:, :count], g=voice), stand_in(latents[:, :count], g=voice))
                for count in (2, 5)
            ]
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    for theirs, ours in pairs:
        if ours.shape != theirs.shape or not torch.allclose(ours, theirs, atol=_TOLERANCE):
            return f"{decoder_class.__name__} computes something else than xcompat knows"
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
        chosen = options.Options(
            _SAMPLED, do_sample=True, repetition_penalty=_PROBE_PENALTY, **sampling
        )
        torch.manual_seed(0)
        steps = decoder.steps(decoder.prefix(voice, text), chosen, warpings=2)
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
