"""epub2tts: chapters streamed in large chunks, with a high penalty."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Iterator

from ways import Way


def speak(way: Way) -> Iterator[Any]:
    import torch

    model = way.ready(lambda: load(way))
    latents, embedding = model.get_conditioning_latents(audio_path=[str(way.voice)])
    for paragraph in ("Chapter one.", "A paragraph of the chapter, which is longer."):
        chunks = model.inference_stream(
            paragraph,
            "en",
            latents,
            embedding,
            stream_chunk_size=60,
            temperature=0.60,
            repetition_penalty=20.0,
            enable_text_splitting=True,
        )
        yield torch.cat([chunk.reshape(-1) for chunk in chunks])


def load(way: Way) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(way.folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(
        config,
        checkpoint_dir=str(way.folder),
        use_deepspeed=find_spec("deepspeed") is not None,
    )
    return model
