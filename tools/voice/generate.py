"""Speak with the trained parts alone, as `Xtts.inference` does, many sentences at once."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from torch import Tensor

from data import padded
from model import (
    LATENTS,
    OUTPUT_HOP,
    OUTPUT_RATE,
    START_CODE,
    STOP_CODE,
    UNUSED_CODE,
    Gpt,
    Vocoder,
    output_frames,
    upsampled,
)


@torch.no_grad()
def codes(
    gpt: Gpt,
    voices: Tensor,
    texts: Sequence[Sequence[int]],
    *,
    most: int,
    greedy: bool = False,
    penalty: float = 10.0,
    temperature: float = 0.75,
    top_k: int = 50,
    top_p: float = 0.85,
) -> list[list[int]]:
    """Return the audio codes of each text; the defaults are those of `Xtts.inference`."""
    device = voices.device
    width = max(map(len, texts))
    text = torch.from_numpy(padded(texts, width)).to(device)
    lengths = torch.tensor([len(row) for row in texts], device=device)
    made = torch.full((len(texts), 1), START_CODE, device=device)
    penalised = torch.zeros(len(texts), STOP_CODE + 1, dtype=torch.bool, device=device)
    penalised[:, [UNUSED_CODE, START_CODE]] = True
    ended = torch.zeros(len(texts), dtype=torch.bool, device=device)
    for _ in range(most):
        length = LATENTS + width + made.shape[1]
        _, at_codes = gpt(voices, text, lengths, made, length)
        logits = gpt.mel_head(at_codes[:, -1]).float()
        worse = torch.where(logits < 0, logits * penalty, logits / penalty)
        logits = torch.where(penalised, worse, logits)
        if greedy:
            chosen = logits.argmax(-1)
        else:
            chosen = _sampled(logits / temperature, top_k, top_p)
        chosen = torch.where(ended, STOP_CODE, chosen)
        ended |= chosen == STOP_CODE
        penalised.scatter_(1, chosen[:, None], True)  # noqa: FBT003
        made = torch.cat((made, chosen[:, None]), dim=1)
        if bool(ended.all()):
            break
    rows = made[:, 1:].tolist()
    return [row[: row.index(STOP_CODE)] if STOP_CODE in row else row for row in rows]


def _sampled(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    best, order = logits.topk(top_k)
    shares = best.softmax(-1)
    outside = shares.cumsum(-1) - shares >= top_p
    shares = shares.masked_fill(outside, 0.0)
    return order.gather(1, torch.multinomial(shares, 1))[:, 0]


@torch.no_grad()
def sound(
    gpt: Gpt, vocoder: Vocoder, voices: Tensor, texts: Sequence[Sequence[int]],
    spoken: Sequence[Sequence[int]],
) -> list[Any]:  # fmt: skip
    """Return the waveform of each text, float32 at 24 kHz."""
    device = voices.device
    waves = []
    for voice, text, said in zip(voices, texts, spoken):
        given = torch.tensor([[START_CODE, *said]], device=device)
        lengths = torch.tensor([len(text)], device=device)
        length = LATENTS + len(text) + given.shape[1]
        _, latents = gpt(
            voice[None], torch.tensor([list(text)], device=device), lengths, given, length
        )
        frames = torch.arange(output_frames(given.shape[1]), device=device)[None]
        counts = torch.tensor([given.shape[1]], device=device)
        waves.append(vocoder(upsampled(latents, counts, frames))[0].cpu().numpy())
        assert len(waves[-1]) == frames.shape[1] * OUTPUT_HOP
    return waves


def save_wav(path: Path, samples: Any, rate: int = OUTPUT_RATE) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
