"""xtts-api-server: the latents of all voices at the start, settings as keywords, torchaudio."""

from __future__ import annotations

from typing import Any, Iterator

from ways import Way

SETTINGS = {
    "temperature": 0.75,
    "speed": 1.0,
    "length_penalty": 1.0,
    "repetition_penalty": 5.0,
    "top_p": 0.85,
    "top_k": 50,
    "enable_text_splitting": True,
}


def speak(way: Way) -> Iterator[Any]:
    import torch
    import torchaudio

    model = way.ready(lambda: load(way)).to("cpu")
    known = {
        each.stem: model.get_conditioning_latents(str(each))
        for each in sorted(way.voice.parent.glob(way.voice.name))
    }
    for latents, embedding in known.values():
        model = model.to("cpu")
        out = model.inference(
            "The server answers.",
            "en",
            gpt_cond_latent=latents,
            speaker_embedding=embedding,
            **SETTINGS,
        )
        yield out["wav"]
        target = way.voice.with_name("server.wav")
        torchaudio.save(str(target), torch.tensor(out["wav"]).unsqueeze(0), 24000)


def load(way: Way) -> Any:
    from pathlib import Path

    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(Path(way.folder) / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(config, use_deepspeed=False, checkpoint_dir=str(way.folder))
    return model
