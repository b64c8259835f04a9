"""RealtimeTTS: a child process that loads, keeps its voices as JSON, and streams to the parent."""

from __future__ import annotations

import json
from typing import Any, Iterator

from ways import Way


def speak(way: Way) -> Iterator[Any]:
    import torch.multiprocessing as processes

    context = processes.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_engine, args=(theirs, way))
    child.start()
    theirs.close()
    try:
        for text in ("Hello there.", "And another one."):
            ours.send(text)
            chunks = []
            while (told := ours.recv()) is not None:
                if isinstance(told, str):
                    raise RuntimeError(told)  # noqa: TRY004 - it is what the child says
                chunks.append(told)
            yield [sample for chunk in chunks for sample in chunk]
        ours.send(None)
        child.join(60)
        if child.exitcode:
            raise SystemExit(f"the child ended with {child.exitcode}")
    finally:
        child.kill()


def _engine(connection: Any, way: Way) -> None:
    import torch

    try:
        model = way.ready(lambda: load(way))
        latents, embedding = model.get_conditioning_latents(
            audio_path=[str(way.voice)], gpt_cond_len=30, max_ref_length=60
        )
        kept = json.dumps([latents.squeeze().half().tolist(), embedding.squeeze().half().tolist()])
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
        raise
    latents, embedding = json.loads(kept)
    gpt_cond_latent = torch.tensor(latents).unsqueeze(0)
    speaker_embedding = torch.tensor(embedding).unsqueeze(0).unsqueeze(-1)
    while (text := connection.recv()) is not None:
        try:
            for chunk in model.inference_stream(
                text,
                "en",
                gpt_cond_latent,
                speaker_embedding,
                stream_chunk_size=20,
                overlap_wav_len=1024,
                temperature=0.75,
                length_penalty=1.0,
                repetition_penalty=10.0,
                top_k=50,
                top_p=0.85,
                speed=1.0,
                enable_text_splitting=False,
            ):
                connection.send(chunk.cpu().numpy().tolist())
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
        connection.send(None)


def load(way: Way) -> Any:
    from TTS.config import load_config
    from TTS.tts.layers.xtts.xtts_manager import SpeakerManager
    from TTS.tts.models import setup_model

    config = load_config(str(way.folder / "config.json"))
    model = setup_model(config)
    model.load_checkpoint(
        config,
        checkpoint_dir=str(way.folder),
        checkpoint_path=None,
        vocab_path=None,
        eval=True,
        use_deepspeed=False,
    )
    if not SpeakerManager(str(way.folder / "speakers_xtts.pth")).speakers:
        raise SystemExit("no speakers")
    return model
