"""AllTalk 1: files in a folder, the model moves off the GPU after each line, torchaudio writes."""

from __future__ import annotations

from typing import Any, Iterator

from ways import Way


def speak(way: Way) -> Iterator[Any]:
    import torch
    import torchaudio

    model = way.ready(lambda: load(way))
    latents, embedding = model.get_conditioning_latents(
        audio_path=[str(way.voice)],
        gpt_cond_len=model.config.gpt_cond_len,
        max_ref_length=model.config.max_ref_len,
        sound_norm_refs=model.config.sound_norm_refs,
    )
    for text in ("Low memory.", "The model moves for each line."):
        model.to("cpu")
        out = model.inference(
            text,
            "en",
            latents,
            embedding,
            temperature=0.7,
            length_penalty=float(model.config.length_penalty),
            repetition_penalty=10.0,
            top_k=50,
            top_p=0.85,
            enable_text_splitting=True,
        )
        model.to("cpu")
        yield out["wav"]
        target = way.voice.with_name("alltalk.wav")
        torchaudio.save(str(target), torch.tensor(out["wav"]).unsqueeze(0), 24000)


def load(way: Way) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(way.folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(
        config,
        checkpoint_dir=str(way.folder),
        vocab_path=str(way.folder / "vocab.json"),
        use_deepspeed=False,
    )
    return model
