"""One GPT-2 block over one new position, compiled by numba to read each weight once, as it is held.

The weights are most of what a token costs. torch has no product that takes a single row of
float32 with short weights and is limited by memory: some convert, some pad the row to a tile. LLVM
makes such a loop of a dozen lines for whatever vector unit the host has. What lies between the
products is compiled with them, so that nothing is allocated or called by Python in between.

Importing this module imports numba, which comes with TTS: librosa needs it.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, prange, set_num_threads, types
from numba.core.config import NUMBA_NUM_THREADS
from numba.extending import intrinsic

_REORDERED = {"reassoc", "contract", "nsz"}
"""Sums in any order, as each BLAS does; infinities and NaN keep their meaning."""

_ONE_CALL = threading.Lock()
"""numba's `workqueue`, what it has where there is no OpenMP, ends a process that calls it twice."""


@intrinsic
def widen(_: Any, held: Any) -> Any:
    """Return a weight as float32: an int8, or bits of a bfloat16 (uint16) or float16 (int16)."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        if held == types.int8:
            return builder.sitofp(arguments[0], ir.FloatType())
        if held == types.int16:
            return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())
        word = ir.IntType(32)
        bits = builder.shl(builder.zext(arguments[0], word), ir.Constant(word, 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(held), generate


@njit(fastmath=_REORDERED, nogil=True)
def product(projection: Any, output: int, row: Any) -> Any:
    """Return one output of a projection: (held weights (out, in), scales (out), bias (out))."""
    held, scales, bias = projection
    weights = held[output]
    total = np.float32(0)
    for index in range(len(row)):
        total += widen(weights[index]) * row[index]
    return total * scales[output] + bias[output]


@njit(fastmath=_REORDERED, nogil=True)
def normalised(row: Any, norm: Any) -> Any:
    """Return the layer norm of a row; `norm` is (weight, bias, epsilon)."""
    weight, bias, epsilon = norm
    mean = row.sum() / np.float32(len(row))
    centred = row - mean
    variance = (centred * centred).sum() / np.float32(len(row))
    return centred * (np.float32(1) / math.sqrt(variance + epsilon)) * weight + bias


@njit(fastmath=_REORDERED, nogil=True)
def attention(query: Any, keys: Any, values: Any, into: Any) -> None:
    """Write into `into` what one head takes from `values`, shape (positions, width)."""
    width = len(query)
    scores: Any = np.empty(len(keys), np.float32)
    largest = np.float32(-np.inf)
    for position in range(len(keys)):
        total = np.float32(0)
        for channel in range(width):
            total += query[channel] * keys[position, channel]
        scores[position] = total / math.sqrt(np.float32(width))
        largest = max(largest, scores[position])
    weights = np.float32(0)
    for position in range(len(keys)):
        scores[position] = math.exp(scores[position] - largest)
        weights += scores[position]
    into[:] = 0
    for position in range(len(keys)):
        weight = scores[position] / weights
        for channel in range(width):
            into[channel] += weight * values[position, channel]


@njit(fastmath=_REORDERED, nogil=True)
def gelu(value: Any) -> Any:
    """Return the tanh-approximated GELU, `x / (1 + exp(-2 u))` being `x (1 + tanh(u)) / 2`."""
    inner = np.float32(math.sqrt(2 / math.pi)) * (
        value + np.float32(0.044715) * value * value * value
    )
    return value / (np.float32(1) + math.exp(np.float32(-2) * inner))


def _with_full_name(function: Any) -> Any:
    """Let numba keep apart what it caches of this file under its several names.

    What it keeps of a function names the module; a process that has this file as another module
    (`xcompat.target` is loaded from its path too) could not read it.
    """
    function.__qualname__ = f"{__name__}.{function.__name__}"
    return function


@njit(parallel=True, cache=True, fastmath=_REORDERED, nogil=True)
@_with_full_name
def _block(hidden: Any, cache: Any, used: int, weights: Any) -> None:
    (ln_1, ln_2), (attend, mix, expand, narrow) = weights
    channels = len(hidden)
    keys, values = cache
    heads, _, width = keys.shape
    row = normalised(hidden, ln_1)
    mixed: Any = np.empty(channels, np.float32)
    for head in prange(heads):
        query: Any = np.empty(width, np.float32)
        for channel in range(width):
            output = head * width + channel
            query[channel] = product(attend, output, row)
            keys[head, used, channel] = product(attend, output + channels, row)
            values[head, used, channel] = product(attend, output + 2 * channels, row)
        attention(
            query,
            keys[head, : used + 1],
            values[head, : used + 1],
            mixed[head * width : (head + 1) * width],
        )
    for output in prange(channels):
        hidden[output] += product(mix, output, mixed)
    row = normalised(hidden, ln_2)
    wide: Any = np.empty(len(expand[2]), np.float32)
    for output in prange(len(wide)):
        wide[output] = gelu(product(expand, output, row))
    for output in prange(channels):
        hidden[output] += product(narrow, output, wide)


def advance(hidden: Any, cache: Any, used: int, weights: Any, threads: int) -> None:
    """Put one position through a block, in place.

    Args:
        hidden: What enters and leaves the block, float32 of shape (channels,).
        cache: Keys and values, each float32 of shape (heads, capacity, channels per head).
        used: Positions that the cache holds; the new one is written there.
        weights: Two norms, (weight, bias, epsilon), and four projections, (weights (out, in) as
            `widen` takes them, scales (out), bias (out)): of query, key and value, of what the
            heads give, and the two of the MLP.
        threads: How many to use, at most.
    """
    with _ONE_CALL:
        before = get_num_threads()
        set_num_threads(min(threads, NUMBA_NUM_THREADS))
        try:
            _block(hidden, cache, used, weights)
        finally:
            set_num_threads(before)
