"""Sound as numbers: resampling, mel spectrograms, and the frames for which audio codes stand."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model import FRAMES_PER_CODE, INPUT_RATE, MELS

FLOOR = 1e-5
"""Least mel power, as `wav_to_mel_cloning` of TTS clips it."""
WIDTH = FRAMES_PER_CODE * MELS
"""Numbers that describe the sound of one code."""
REFERENCE_HOP = 256

_WINDOW = 1024
_HIGHEST = 8000.0
_HALF_TAPS = 24


def mel_filters(bins: int, rate: int, mels: int = MELS, highest: float = _HIGHEST) -> Any:
    """Triangular filters (bins, mels) on the HTK mel scale, of equal area (Slaney's norm)."""

    def to_mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    frequencies = np.linspace(0.0, rate / 2, bins)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, to_mel(highest), mels + 2) / 2595.0) - 1.0)
    slopes = edges[None, :] - frequencies[:, None]
    falling = -slopes[:, :-2] / np.diff(edges)[:-1]
    rising = slopes[:, 2:] / np.diff(edges)[1:]
    triangles = np.maximum(0.0, np.minimum(falling, rising))
    return (triangles * 2.0 / (edges[2:] - edges[:-2])).astype(np.float32)


@functools.lru_cache(maxsize=None)
def _filters(bins: int, rate: int, device: torch.device) -> Tensor:
    return torch.from_numpy(mel_filters(bins, rate)).to(device)


@functools.lru_cache(maxsize=None)
def hann(length: int, device: torch.device) -> Tensor:
    """The periodic Hann window."""
    return torch.hann_window(length, device=device)


def reference_mel(sound: Tensor) -> Tensor:
    """Return what `get_gpt_cond_latents` shows the conditioning encoder of 22,050 Hz sound.

    `sound` is (batch, samples); the result (batch, 80, frames). `mel_stats` is all ones.
    """
    spectrum = torch.stft(
        sound,
        2048,
        REFERENCE_HOP,
        1024,
        hann(1024, sound.device),
        center=True,
        return_complex=True,
    )
    power = torch.view_as_real(spectrum).square().sum(-1)
    with _exact():
        mel = power.transpose(1, 2) @ _filters(1025, INPUT_RATE, sound.device)
    return mel.clamp(min=FLOOR).log().transpose(1, 2)


def code_mels(sound: Tensor, starts: Tensor) -> Tensor:
    """Return log mels (codes, 4, 80) of the codes that start at `starts` in flat `sound`.

    Each code has four frames of 256 samples; a window of 1024 is centred on each.
    """
    inside = torch.arange(_WINDOW, device=sound.device) - (_WINDOW - REFERENCE_HOP) // 2
    quarters = torch.arange(FRAMES_PER_CODE, device=sound.device) * REFERENCE_HOP
    places = (starts[:, None] + quarters)[..., None] + inside
    frames = sound[places.clamp(0, sound.shape[0] - 1)].float()
    power = (
        torch.view_as_real(torch.fft.rfft(frames * hann(_WINDOW, sound.device))).square().sum(-1)
    )
    with _exact():
        mel = power @ _filters(_WINDOW // 2 + 1, INPUT_RATE, sound.device)
    return mel.clamp(min=FLOOR).log()


@functools.lru_cache(maxsize=None)
def _taps(up: int, down: int, device: torch.device) -> Tensor:
    """Windowed sinc for each of the `up` phases between `down` input samples."""
    cutoff = min(1.0, up / down) * 0.97
    reach = math.ceil(_HALF_TAPS / cutoff)
    inputs = torch.arange(-reach, down + reach, dtype=torch.float64)
    phases = torch.arange(up, dtype=torch.float64) * down / up
    distance = inputs[None, :] - phases[:, None]
    window = torch.cos(math.pi / 2 * (distance / reach).clamp(-1.0, 1.0)).square()
    return (torch.sinc(distance * cutoff) * cutoff * window).float().to(device)


def resample(sound: Tensor, up: int, down: int) -> Tensor:
    """Resample flat sound by up / down; sample `n * down` becomes sample `n * up`."""
    taps = _taps(up, down, sound.device)
    reach = (taps.shape[-1] - down) // 2
    short = -sound.shape[0] % down
    padded = F.pad(sound, (reach, reach + short))
    with _exact():
        return (padded.unfold(0, taps.shape[-1], down) @ taps.t()).reshape(-1)


@contextlib.contextmanager
def _exact() -> Iterator[None]:
    """Multiply with all bits of a float inside the block."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
