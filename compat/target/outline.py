"""Find where a sound is heard, where it is silent, and where it goes on without changing."""

from __future__ import annotations

from typing import Any, List, Tuple

Span = Tuple[float, float]
"""Begin and end (s)."""

_HOP_SECONDS = 0.01
_SOUNDING_DB = -35.0
"""Below the loud tenth of frames it is a pause, as for the judges of shape."""
_JOINED_SECONDS = 0.15
"""Shorter gaps are in words: before a plosive it is silent for up to 0.12 s."""
_CLICK_SECONDS = 0.05
_BLOCK_SECONDS = 0.1
_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 20, 30.0, 8000.0
STEADY_SECONDS = 0.6
STEADY_DB = 3.7
"""How much the bands of a sound vary (RMS) in `STEADY_SECONDS`: 1.9 to 2.4 in noise of any colour,
4.8 and more in the sentences of the voice that ships, 4.6 and more in whispered espeak-ng."""


def sounding(samples: Any, sample_rate: int) -> List[Span]:
    """Return where something is heard; what is between is a pause."""
    import numpy as np

    samples = np.nan_to_num(np.asarray(samples, np.float64).reshape(-1))
    size = max(int(sample_rate * _HOP_SECONDS), 1)
    # A vocoder's offset comes and goes with its speech: each frame has its own.
    levels = samples[: samples.size // size * size].reshape(-1, size).std(axis=1)
    loud = float(np.percentile(levels, 95)) if levels.size else 0.0
    if not loud:
        return []
    heard = levels > loud * 10 ** (_SOUNDING_DB / 20)
    steps = np.flatnonzero(np.diff(np.concatenate([[0], heard.astype(int), [0]])))
    spans: List[Span] = []
    for begin, end in (steps.reshape(-1, 2) * size / sample_rate).tolist():
        if spans and begin - spans[-1][1] < _JOINED_SECONDS:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return [(begin, end) for begin, end in spans if end - begin >= _CLICK_SECONDS]


def steady(samples: Any, sample_rate: int) -> List[Span]:
    """Return where a sound stays as it is for longer than speech does: noise, hum, a held vowel."""
    import numpy as np

    samples = np.nan_to_num(np.asarray(samples, np.float64).reshape(-1))
    size = int(sample_rate * _BLOCK_SECONDS)
    hop = max(size // 2, 1)
    count = round(STEADY_SECONDS * sample_rate / hop)
    if samples.size < size + count * hop:
        return []
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    frames = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.geomspace(_LOWEST_HZ, min(_HIGHEST_HZ, sample_rate / 2), _BANDS + 1)
    edges = np.unique(np.round(edges * size / sample_rate).astype(int))
    bands = [part.mean(axis=1) for part in np.split(power, edges, axis=1)[1:-1]]
    energy = np.sum(bands, axis=0)
    loud = float(np.percentile(energy, 95))
    if not loud:
        return []
    levels = 10 * np.log10(np.stack(bands, axis=1) + loud * 1e-6)
    heard = energy > loud * 10 ** (_SOUNDING_DB / 10)
    spans: List[Span] = []
    for first in range(len(levels) - count + 1):
        window = levels[first : first + count]
        if not heard[first : first + count].all():
            continue
        if float(np.sqrt(np.square(window - window.mean(axis=0)).mean())) > STEADY_DB:
            continue
        begin = first * hop / sample_rate
        end = ((first + count - 1) * hop + size) / sample_rate
        if spans and begin <= spans[-1][1]:
            begin, _ = spans.pop()
        spans.append((begin, end))
    return spans
