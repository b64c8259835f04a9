"""xtts-webui: the file of the speakers by its path, a built-in voice by its place in the list."""

from __future__ import annotations

from typing import Any, Iterator

from ways import Way


def speak(way: Way) -> Iterator[Any]:
    model = way.ready(lambda: load(way))
    voices = model.speaker_manager.speakers
    latents, embedding = voices[min(voices)].values()
    out = model.inference(
        "One of the voices that it came with.",
        "en",
        gpt_cond_latent=latents,
        speaker_embedding=embedding,
        temperature=0.75,
        length_penalty=1.0,
        repetition_penalty=5.0,
        top_k=50,
        top_p=0.85,
        enable_text_splitting=True,
    )
    yield out["wav"]


def load(way: Way) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(way.folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(
        config,
        use_deepspeed=False,
        speaker_file_path=way.folder / "speakers_xtts.pth",
        checkpoint_dir=str(way.folder),
    )
    return model
