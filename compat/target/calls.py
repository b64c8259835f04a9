"""Call a loaded XTTS as its release of TTS wants to be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from pathlib import Path


def stock_load(folder: Path) -> Any:
    """Load a folder laid out like the release with the unmodified `load_checkpoint`."""
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    return model


def checkpoint_tensors(model: Any) -> dict[str, Any]:
    """Return the state dict without the aliases that `init_gpt_for_inference` adds."""
    aliases = ("gpt.gpt_inference.", "gpt.gpt.wte.")
    return {n: t for n, t in model.state_dict().items() if not n.startswith(aliases)}


def voice_of(speaker: dict[str, Any]) -> tuple[Any, Any]:
    """Return conditioning latents and speaker embedding of a built-in speaker."""
    return speaker["gpt_cond_latent"], speaker["speaker_embedding"]


def sample_rate(model: Any) -> int:
    """Return the rate (Hz) of what the model speaks."""
    return int(model.config.audio["output_sample_rate"])


def usual_sampling(model: Any) -> dict[str, Any]:
    """Return the options with which the configuration lets it speak."""
    names = ("temperature", "length_penalty", "repetition_penalty", "top_k", "top_p")
    return {name: model.config[name] for name in names}


def inference(model: Any, text: str, language: str, voice: Any, **options: Any) -> Any:
    """Let the model say a text."""
    import inspect

    function = model.inference
    if "diffusion_conditioning" in inspect.signature(function).parameters:  # TTS 0.20.0
        options["diffusion_conditioning"] = None
    return function(text, language, *voice, **options)


def cloned(model: Any, path: str) -> Any:
    """Return conditioning latents and speaker embedding of a recording."""
    latents, *_, embedding = model.get_conditioning_latents(audio_path=path)
    return latents, embedding


def reference_limits(model: Any) -> tuple[float, float, Optional[int]]:
    """Return of a recording the seconds that are read, those for the GPT, and the rate (Hz)."""
    import inspect

    defaults = inspect.signature(type(model).get_conditioning_latents).parameters
    longest, conditioning = (defaults[n].default for n in ("max_ref_length", "gpt_cond_len"))
    # TTS 0.20.0 takes a recording at the rate that it has.
    rate = defaults["load_sr"].default if "load_sr" in defaults else None
    return longest, conditioning, rate


def longest_text(tokenizer: Any, language: str) -> int:
    """Return from how many characters on TTS warns of a text in that language."""
    limits = getattr(tokenizer, "char_limits", {})  # TTS 0.20.0 has none
    return int(limits.get(language.partition("-")[0], 250))
