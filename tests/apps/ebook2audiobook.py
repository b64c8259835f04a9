"""ebook2audiobook: files by their paths, parameters set again, everything under autocast."""

from __future__ import annotations

from typing import Any, Iterator

from ways import Way

TEXTS = ("The first chapter begins here.", "It was a dark night. Nobody slept, and it rained.")


def speak(way: Way) -> Iterator[Any]:
    import torch

    model = way.ready(lambda: load(way))
    voices = torch.load(way.folder / "speakers_xtts.pth", weights_only=True)
    latents, embedding = next(iter(voices.values())).values()
    device = torch.device("cpu")
    model.to(device)
    model.eval()
    for module in model.modules():  # It moves what another patch left elsewhere.
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(
                module, name, torch.nn.Parameter(parameter.data.to(device), requires_grad=False)
            )
    if sum(p.numel() for p in model.parameters()) == 0:
        raise SystemExit("the model has no parameters")
    cloned = model.get_conditioning_latents(
        audio_path=[str(way.voice)], load_sr=24000, sound_norm_refs=True
    )
    for text, voice in zip(TEXTS, ((latents, embedding), cloned)):
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            out = model.inference(
                text=text,
                language="en",
                gpt_cond_latent=voice[0],
                speaker_embedding=voice[1],
                temperature=0.65,
                length_penalty=1.0,
                num_beams=1,
                repetition_penalty=2.5,
                top_k=50,
                top_p=0.8,
                speed=1.0,
                enable_text_splitting=False,
            )
        yield out["wav"]


def load(way: Way) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.models_dir = str(way.folder)
    config.load_json(str(way.folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(
        config,
        checkpoint_path=str(way.folder / "model.pth"),
        vocab_path=str(way.folder / "vocab.json"),
        eval=True,
    )
    return model
