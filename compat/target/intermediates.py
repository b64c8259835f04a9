"""Hold a model on a device against the same weights on the CPU, step by step.

Each step gets its inputs from the CPU's run, so that a step that differs is the one that is wrong,
and the rounding of one does not become the input of the next.
"""

from __future__ import annotations

from typing import Any, Dict, Sequence

STEPS = (
    "speaker embedding",
    "conditioning latents",
    "first logits",
    "forced latents",
    "vocoder",
)


def compare(
    model: Any, on_cpu: Any, reference_wav: str, text_tokens: Any, codes: Sequence[int]
) -> Dict[str, Dict[str, Any]]:
    """Return for each step how far the device is from the CPU.

    Args:
        model: A loaded `Xtts` on the device.
        on_cpu: The same on the CPU.
        reference_wav: Path of a recording, for the first two steps.
        text_tokens: Text token ids, shape (1, n), without start and stop tokens.
        codes: Audio token ids to force.

    Returns:
        `error`: the norm of the difference relative to the norm of what the CPU computes.
        `finite`: whether everything that the device computed is.
    """
    import torch

    with torch.inference_mode():
        latents, *_, embedding = on_cpu.get_conditioning_latents(audio_path=reference_wav)
        voice = (latents.cpu(), embedding.cpu())
        expected = _steps(on_cpu, voice, text_tokens, codes)
        found = _steps(model, voice, text_tokens, codes, expected["forced latents"])
        mine = model.get_conditioning_latents(audio_path=reference_wav)
    for name, cpus, devices in (
        ("conditioning latents", latents, mine[0]),
        ("speaker embedding", embedding, mine[-1]),
    ):
        expected[name], found[name] = cpus.cpu(), devices.cpu()
    return {name: _distance(found[name], expected[name]) for name in STEPS}


def _steps(
    model: Any, voice: Any, text_tokens: Any, codes: Sequence[int], forced: Any = None
) -> Dict[str, Any]:
    import torch

    device = next(model.parameters()).device
    audio = torch.tensor([list(codes)], device=device)
    hidden = model.gpt(
        text_tokens.to(device),
        torch.tensor([text_tokens.shape[-1]], device=device),
        audio,
        torch.tensor([audio.shape[-1] * model.gpt.code_stride_len], device=device),
        cond_latents=voice[0].to(device),
        return_latent=True,
    )
    # Taken home before the vocoder gets them: its steps are its own.
    home = hidden.float().cpu()
    vocoded = home if forced is None else forced
    wav = model.hifigan_decoder(vocoded.to(device, hidden.dtype), g=voice[1].to(device))
    return {
        "first logits": model.gpt.mel_head(hidden[:, :1]).float().cpu(),
        "forced latents": home,
        "vocoder": wav.float().cpu(),
    }


def _distance(found: Any, expected: Any) -> Dict[str, Any]:
    import torch

    if found.shape != expected.shape:
        return {"error": 1.0, "finite": True}
    found, expected = found.double(), expected.double()
    finite = bool(torch.isfinite(found).all())
    error = float((found - expected).norm() / expected.norm()) if finite else 1.0
    return {"error": error, "finite": finite}
