"""openedai-speech: a stream pulled under a lock, unloaded by a timer."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any, Iterator

from ways import Way

LOCK = threading.Lock()


def speak(way: Way) -> Iterator[Any]:
    import torch

    for _ in range(2):  # Unloaded after a while, and loaded again at the next request.
        model = way.ready(lambda: load(way)).to(device="cpu")
        latents, embedding = model.get_conditioning_latents(audio_path=[str(way.voice)])
        chunks = []
        with LOCK:
            stream = model.inference_stream(
                text="It is read aloud.",
                language="en",
                gpt_cond_latent=latents,
                speaker_embedding=embedding,
                enable_text_splitting=True,
                temperature=0.65,
                speed=1.0,
            )
            while (chunk := next(stream, None)) is not None:
                chunks.append(chunk.cpu())
        yield torch.cat([chunk.reshape(-1) for chunk in chunks])
        gone = weakref.ref(model)
        del model, stream
        gc.collect()
        if gone() is not None:
            raise SystemExit("the model that was let go of is still in memory")


def load(way: Way) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(way.folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(config, checkpoint_dir=str(way.folder), use_deepspeed=False)
    return model
