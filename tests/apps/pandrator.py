"""Pandrator: exactly four files, keywords by the signature, again without DeepSpeed on an error."""

from __future__ import annotations

import inspect
from typing import Any, Iterator

from ways import Way

FILES = ("config.json", "model.pth", "speakers_xtts.pth", "vocab.json")


def speak(way: Way) -> Iterator[Any]:
    import torch

    missing = [name for name in FILES if not (way.folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} is not in the model folder")
    model = way.ready(lambda: load(way))
    given = {"audio_path": [str(way.voice)], "gpt_cond_len": 30, "librosa_trim_db": None}
    latents, embedding = model.get_conditioning_latents(
        **_known(model.get_conditioning_latents, given)
    )
    settings = {
        "text": "Only what it takes.",
        "language": "en",
        "gpt_cond_latent": latents,
        "speaker_embedding": embedding,
        "temperature": 0.75,
        "do_sample": True,
        "num_beams": 1,
        "stream_chunk_size": 20,
        "overlap_wav_len": 1024,
        "not_an_option": 1,
    }
    yield model.inference(**_known(model.inference, settings))["wav"]
    chunks = model.inference_stream(**_known(model.inference_stream, settings))
    yield torch.cat([chunk.reshape(-1) for chunk in chunks])


def _known(function: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the function does not name; it names at least the text or the recording."""
    names = inspect.signature(function).parameters
    if not {"text", "audio_path"} & names.keys():
        raise SystemExit(f"the signature of {function.__name__} tells nothing: {list(names)}")
    return {name: value for name, value in given.items() if name in names}


def load(way: Way) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(way.folder / "config.json"))
    for deepspeed in (True, False):
        model = Xtts.init_from_config(config)
        try:
            model.load_checkpoint(config, checkpoint_dir=str(way.folder), use_deepspeed=deepspeed)
        except ImportError:
            if not deepspeed:
                raise
            continue
        return model
    return None
