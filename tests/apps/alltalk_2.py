"""AllTalk 2: the model by its folder through TTS.api, then its inner model, latents as JSON."""

from __future__ import annotations

import json
from typing import Any, Iterator

from ways import Way


def speak(way: Way) -> Iterator[Any]:
    import torch

    tts = way.ready(lambda: load(way))
    model = tts.synthesizer.tts_model
    told = model.config.model_args
    if told.gpt_max_audio_tokens <= 0 or model.args.output_sample_rate != 24000:
        raise SystemExit("the configuration is not that of XTTS")
    voice = model.speaker_manager.speakers
    kept = json.dumps({k: v.tolist() for k, v in next(iter(voice.values())).items()})
    latents, embedding = (torch.tensor(each) for each in json.loads(kept).values())
    common = {
        "text": "A voice that was kept as JSON.",
        "language": "en",
        "gpt_cond_latent": latents,
        "speaker_embedding": embedding,
        "temperature": 0.75,
        "length_penalty": 1.0,
        "repetition_penalty": 10.0,
        "top_k": 50,
        "top_p": 0.85,
        "enable_text_splitting": True,
    }
    yield model.inference(**common)["wav"]
    chunks = list(model.inference_stream(**common, stream_chunk_size=20))
    yield torch.cat([chunk.reshape(-1) for chunk in chunks])


def load(way: Way) -> Any:
    from TTS.api import TTS

    return TTS(
        model_path=str(way.folder), config_path=str(way.folder / "config.json"), progress_bar=False
    ).to("cpu")
