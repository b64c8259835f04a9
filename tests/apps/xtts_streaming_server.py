"""xtts-streaming-server: a voice goes out as JSON and comes back with each request."""

from __future__ import annotations

import json
from typing import Any, Iterator

from ways import Way


def speak(way: Way) -> Iterator[Any]:
    import torch

    model = way.ready(lambda: load(way)).to("cpu")
    latents, embedding = model.get_conditioning_latents(str(way.voice))
    answer = json.dumps(
        {
            "gpt_cond_latent": latents.cpu().squeeze().half().tolist(),
            "speaker_embedding": embedding.cpu().squeeze().half().tolist(),
        }
    )
    asked = json.loads(answer)
    speaker = torch.tensor(asked["speaker_embedding"]).unsqueeze(0).unsqueeze(-1)
    conditioning = (
        torch.tensor(asked["gpt_cond_latent"]).reshape(-1, latents.shape[-1]).unsqueeze(0)
    )
    chunks = model.inference_stream(
        "A request.",
        "en",
        conditioning,
        speaker,
        stream_chunk_size=20,
        enable_text_splitting=True,
    )
    yield torch.cat([chunk.detach().cpu().reshape(-1) for chunk in chunks])
    out = model.inference("A request.", "en", conditioning, speaker)
    yield out["wav"]


def load(way: Way) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(way.folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(config, checkpoint_dir=str(way.folder), eval=True, use_deepspeed=False)
    return model
