"""A voice assistant: TTS by its name, the inner model, a voice of two tensors in a .pth."""

from __future__ import annotations

from typing import Any, Iterator

from ways import Way


def speak(way: Way) -> Iterator[Any]:
    import torch

    tts = way.ready(lambda: load(way))
    model = tts.synthesizer.tts_model
    kept = way.voice.with_name("voice.pth")
    latents, embedding = next(iter(model.speaker_manager.speakers.values())).values()
    torch.save({"gpt_cond_latent": latents, "speaker_embedding": embedding}, kept)
    voice = torch.load(kept, map_location="cpu", weights_only=True)
    out = model.inference(
        "It answers you.",
        "en",
        voice["gpt_cond_latent"],
        voice["speaker_embedding"],
        temperature=0.7,
        enable_text_splitting=False,
    )
    yield out["wav"]
    target = way.voice.with_name("assistant.wav")
    tts.tts_to_file(text="And to a file.", speaker_wav=str(way.voice), language="en",
                    file_path=str(target))  # fmt: skip
    if target.stat().st_size < 10_000:
        raise SystemExit("the file holds no sound")


def load(way: Way) -> Any:
    from TTS.api import TTS

    return TTS("tts_models/multilingual/multi-dataset/xtts_v2", progress_bar=False).to("cpu")
