"""Weights that are the same on every platform and in every torch version.

SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014) in
counter mode: element `i` of the tensor `name` depends on the name and on `i` only. Integer
arithmetic modulo 2**64, then one exact scaling, so no library's random stream is involved.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_CHUNK = 1 << 20


def uniform(name: str, count: int) -> Any:
    """Return `count` float32 numbers in [-1, 1) for the tensor called `name`.

    Each is a multiple of 2**-23, so the conversion from the integer is exact.
    """
    import numpy as np

    seed = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    out: Any = np.empty(count, np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, count, _CHUNK):
            stop = min(start + _CHUNK, count)
            z = np.arange(start + 1, stop + 1, dtype=np.uint64) * np.uint64(_GOLDEN_GAMMA) + seed
            z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
            z = (z ^ (z >> np.uint64(31))) >> np.uint64(40)
            out[start:stop] = (z.astype(np.int64) - (1 << 23)).astype(np.float32)
    out *= np.float32(2.0**-23)
    return out


def fill_state_dict(state_dict: Any) -> None:
    """Overwrite every tensor of an Xtts (or trainer) state dict in place.

    Filters, windows and mel filter banks get their true values, computed here in float64 rather
    than by torch; batch-norm counters a fixed count; everything else uniform noise at a scale
    that keeps activations near unit variance, so that the untrained model is well behaved.
    """
    import torch

    with torch.no_grad():
        for name, tensor in state_dict.items():
            tensor.copy_(torch.from_numpy(_values(name, tuple(tensor.shape))))


def _values(name: str, shape: tuple[int, ...]) -> Any:
    import numpy as np

    count = math.prod(shape)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.full(shape, 1000, np.int64)
    if leaf == "filter":
        return np.array([-0.97, 1.0], np.float32).reshape(shape)
    if leaf == "window":
        return _window(count, hann="torch_mel_spectrogram" in name)
    if leaf == "fb":
        return mel_filter_bank(*shape)
    offset, scale = distribution(name, shape)
    values = uniform(name, count).reshape(shape)
    if "waveform_decoder." in name and len(shape) == 3 and "cond" not in name:
        values = _without_mean(name, values)
    return values * np.float32(scale) + np.float32(offset)


def distribution(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return (offset, half width) of the uniform distribution for a tensor."""
    leaf = name.rsplit(".", 1)[-1]
    if "waveform_decoder." in name:
        return _vocoder_distribution(name, leaf, shape)
    is_gain = leaf in {"original0", "weight_g", "gamma", "running_var", "mel_stats"}
    if is_gain or (leaf == "weight" and len(shape) == 1):
        return 1.0, 0.1
    if len(shape) == 1:
        return 0.0, 0.05
    if "embedding" in name or leaf == "latents":
        return 0.0, 1.0
    # GPT-2 keeps its projections as (in, out); everything else as (out, in, ...).
    is_conv1d_of_gpt2 = ".gpt.h." in f".{name}"
    fan_in = shape[0] if is_conv1d_of_gpt2 else math.prod(shape[1:])
    gain = 3.0 if leaf == "weight" and name.endswith("mel_head.weight") else 1.0
    return 0.0, gain * math.sqrt(3.0 / fan_in)


def _vocoder_distribution(name: str, leaf: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """As `distribution`, with what does not depend on the tokens kept small.

    Otherwise the speaker embedding, added at every layer, and the biases drown the signal, which
    the transposed convolutions weaken, and every sentence sounds the same.
    """
    if leaf in {"original0", "weight_g"}:
        return (1.5 if ".ups." in name else 1.0), 0.1
    if len(shape) == 1:
        return 0.0, 0.01
    gain = 0.2 if "cond" in name else 1.0
    return 0.0, gain * math.sqrt(3.0 / math.prod(shape[1:]))


def _without_mean(name: str, filters: Any) -> Any:
    """Make the taps that feed an output channel sum to nothing.

    What is common to all channels, such as the mean that a leaky ReLU adds, then does not pile up
    from layer to layer. Sums of multiples of 2**-23 are exact in float64, in any order.
    """
    import numpy as np

    inputs = (0, 2) if ".ups." in name else (1, 2)
    if filters.shape[inputs[0]] * filters.shape[2] == 1:
        return filters
    mean = filters.mean(axis=inputs, keepdims=True, dtype=np.float64)
    return (filters - mean).astype(np.float32)


def _window(length: int, *, hann: bool) -> Any:
    """Periodic Hamming (speaker encoder) or Hann (trainer's mel front-ends) window."""
    import numpy as np

    alpha = 0.5 if hann else 0.54
    phase = 2.0 * np.pi * np.arange(length, dtype=np.float64) / length
    return (alpha - (1.0 - alpha) * np.cos(phase)).astype(np.float32)


def mel_filter_bank(bins: int, mels: int, sample_rate: int = 16000) -> Any:
    """Triangular HTK mel filters, shape (bins, mels), from 0 Hz to half the sample rate (Hz)."""
    import numpy as np

    def to_mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    frequencies = np.linspace(0.0, sample_rate / 2, bins)
    points = np.linspace(0.0, to_mel(sample_rate / 2), mels + 2)
    edges = 700.0 * (10.0 ** (points / 2595.0) - 1.0)
    slopes = edges[None, :] - frequencies[:, None]
    falling = -slopes[:, :-2] / np.diff(edges)[:-1]
    rising = slopes[:, 2:] / np.diff(edges)[1:]
    return np.maximum(0.0, np.minimum(falling, rising)).astype(np.float32)
