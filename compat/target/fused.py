"""One position through a block of the GPT-2 in five Triton kernels, each weight read once.

Nothing but the buffers of a room goes in or out, so all of it fits into a CUDA graph, and one
graph serves every length: how many positions are filled is read on the device. Weights are
(out, in), in float32, float16, bfloat16, or 8-bit integers with a scale for each output; sums are
taken in float32. Importing this module imports Triton, which comes with torch on Linux.
"""

from __future__ import annotations

from typing import Any, Sequence

import torch
import triton
import triton.language as tl

_OUTPUTS = 4
"""Of a product with as many inputs as the model has channels, for one program; a trial's best."""
_OUTPUTS_OF_WIDE = 2
_SPLITS = 4
"""Parts that the positions of a head are cut into."""
_BLOCK = 64
"""Positions that are looked at together."""


@triton.jit
def _finished(weights, row, scales, bias, outputs, SCALED: tl.constexpr):
    total = tl.sum(weights.to(tl.float32) * row[None, :], axis=1)
    if SCALED:
        total = total * tl.load(scales + outputs)
    return total + tl.load(bias + outputs).to(tl.float32)


@triton.jit
def _norm_product(
    hidden, gain, shift, weights, scales, bias, out, cache, at, epsilon, capacity,
    K: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, TO_CACHE: tl.constexpr,
    SCALED: tl.constexpr,
):  # fmt: skip
    """Layer norm and a product; query to `out`, key and value to the cache, or GELU to `out`."""
    outputs = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inputs = tl.arange(0, K)
    held = tl.load(weights + outputs[:, None] * K + inputs[None, :])
    entering = tl.load(hidden + inputs)
    centred = entering - tl.sum(entering, axis=0) / K
    variance = tl.sum(centred * centred, axis=0) / K
    row = centred * (1.0 / tl.sqrt(variance + epsilon))
    row = row * tl.load(gain + inputs) + tl.load(shift + inputs)
    result = _finished(held, row, scales, bias, outputs, SCALED)
    if TO_CACHE:
        tl.store(out + outputs, result, mask=outputs < K)
        part, inside = outputs // K - 1, outputs % K
        place = (part * (K // WIDTH) + inside // WIDTH) * capacity + tl.load(at)
        as_held = result.to(cache.dtype.element_ty)
        tl.store(cache + place * WIDTH + inside % WIDTH, as_held, mask=outputs >= K)
    else:
        inner = 0.7978845608028654 * (result + 0.044715 * result * result * result)
        tl.store(out + outputs, result / (1.0 + tl.exp(-2.0 * inner)))


@triton.jit
def _attend(
    query, cache, at, mixed_into, top_into, total_into, capacity, scale,
    HEADS: tl.constexpr, WIDTH: tl.constexpr, SPLITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One head's attention over a part of the filled positions; `_mix_product` joins the parts."""
    head, split = tl.program_id(0), tl.program_id(1)
    channels, positions = tl.arange(0, WIDTH), tl.arange(0, BLOCK)
    filled = tl.load(at).to(tl.int32) + 1
    part = (filled + SPLITS - 1) // SPLITS
    begin = split * part
    end = tl.minimum(begin + part, filled)
    asked = tl.load(query + head * WIDTH + channels) * scale
    keys = cache + head * capacity * WIDTH
    values = keys + HEADS * capacity * WIDTH
    most = tl.full([1], -1e30, tl.float32)
    weight = tl.zeros([1], tl.float32)
    mixed = tl.zeros([WIDTH], tl.float32)
    for start in range(begin, end, BLOCK):
        there = start + positions < end
        place = (start + positions)[:, None] * WIDTH + channels[None, :]
        key = tl.load(keys + place, mask=there[:, None], other=0.0).to(tl.float32)
        value = tl.load(values + place, mask=there[:, None], other=0.0).to(tl.float32)
        scores = tl.where(there, tl.sum(key * asked[None, :], axis=1), -1e30)
        larger = tl.maximum(most, tl.max(scores, axis=0))
        old = tl.exp(most - larger)
        shares = tl.where(there, tl.exp(scores - larger), 0.0)
        weight = weight * old + tl.sum(shares, axis=0)
        mixed = mixed * old + tl.sum(shares[:, None] * value, axis=0)
        most = larger
    tl.store(mixed_into + (split * HEADS + head) * WIDTH + channels, mixed)
    one = tl.arange(0, 1)
    tl.store(top_into + split * HEADS + head + one, most)
    tl.store(total_into + split * HEADS + head + one, weight)


@triton.jit
def _mix_product(
    mixed, top, total, weights, scales, bias, hidden,
    K: tl.constexpr, ROWS: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr,
    SPLITS: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """Join the parts of the attention, multiply, add to the residual stream."""
    outputs = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inputs, splits = tl.arange(0, K), tl.arange(0, SPLITS)
    held = tl.load(weights + outputs[:, None] * K + inputs[None, :])
    of_head = splits[:, None] * HEADS + (inputs // WIDTH)[None, :]
    most = tl.load(top + of_head)
    shares = tl.exp(most - tl.max(most, axis=0)[None, :])
    whole = tl.sum(tl.load(total + of_head) * shares, axis=0)
    parts = tl.load(mixed + splits[:, None] * K + inputs[None, :])
    row = tl.sum(parts * shares, axis=0) / whole
    result = _finished(held, row, scales, bias, outputs, SCALED)
    tl.store(hidden + outputs, tl.load(hidden + outputs) + result)


@triton.jit
def _narrow_product(
    wide, weights, scales, bias, hidden,
    K: tl.constexpr, ROWS: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    outputs = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inputs = tl.arange(0, K)
    held = tl.load(weights + outputs[:, None] * K + inputs[None, :])
    result = _finished(held, tl.load(wide + inputs), scales, bias, outputs, SCALED)
    tl.store(hidden + outputs, tl.load(hidden + outputs) + result)


class FusedBlocks:
    """The blocks of a GPT-2 for one position of one row.

    Args:
        blocks: What is computed, see `blocks.Block`. Weights that are held (out, in) are used where
            they are, others copied into that order.
        heads: Of each block.

    Raises:
        ValueError: The channels are no power of 2, or a weight has another type than these kernels
            know.
    """

    def __init__(self, blocks: Sequence[Any], heads: int) -> None:
        channels = int(blocks[0].norms[0].weight.shape[0])
        width = channels // heads
        if channels & (channels - 1) or width & (width - 1):
            raise ValueError(f"{channels} channels of {heads} heads are not powers of 2")
        self.heads, self.channels, self.width = heads, channels, width
        self._layers = [_layer(block) for block in blocks]

        def buffer(*shape: int) -> Any:
            with torch.inference_mode(mode=False):
                return torch.zeros(*shape, device=blocks[0].norms[0].weight.device)

        self._hidden, self._query = buffer(1, channels), buffer(channels)
        self._wide = buffer(4 * channels)
        self._mixed = buffer(_SPLITS, channels)
        self._top, self._total = buffer(_SPLITS, heads), buffer(_SPLITS, heads)

    def __call__(self, inputs: Any, layers: Sequence[Any], at: Any) -> Any:
        """Return what leaves the last block, shape (1, channels).

        Args:
            inputs: What enters the first, shape (1, channels).
            layers: Keys and values of each block, shape (2, 1, heads, capacity, width); those of
                the new position are written.
            at: That position, on the device, shape (1,).
        """
        channels, heads, width = self.channels, self.heads, self.width
        self._hidden.copy_(inputs)
        hidden, capacity = self._hidden, int(layers[0].shape[3])
        for (norms, projections), cache in zip(self._layers, layers):
            (gain_1, shift_1, epsilon), (gain_2, shift_2, _) = norms
            attend, mix, expand, narrow = projections
            scaled = attend[0].dtype == torch.int8
            _norm_product[(3 * channels // _OUTPUTS,)](
                hidden, gain_1, shift_1, *attend, self._query, cache, at, epsilon, capacity,
                K=channels, ROWS=_OUTPUTS, WIDTH=width, TO_CACHE=True, SCALED=scaled,
            )  # fmt: skip
            _attend[(heads, _SPLITS)](
                self._query, cache, at, self._mixed, self._top, self._total, capacity,
                width**-0.5, HEADS=heads, WIDTH=width, SPLITS=_SPLITS, BLOCK=_BLOCK,
            )  # fmt: skip
            _mix_product[(channels // _OUTPUTS,)](
                self._mixed, self._top, self._total, *mix, hidden,
                K=channels, ROWS=_OUTPUTS, HEADS=heads, WIDTH=width, SPLITS=_SPLITS, SCALED=scaled,
            )  # fmt: skip
            _norm_product[(4 * channels // _OUTPUTS,)](
                hidden, gain_2, shift_2, *expand, self._wide, cache, at, epsilon, capacity,
                K=channels, ROWS=_OUTPUTS, WIDTH=width, TO_CACHE=False, SCALED=scaled,
            )  # fmt: skip
            _narrow_product[(channels // _OUTPUTS_OF_WIDE,)](
                self._wide, *narrow, hidden,
                K=4 * channels, ROWS=_OUTPUTS_OF_WIDE, SCALED=scaled,
            )  # fmt: skip
        return hidden.clone()


def _layer(block: Any) -> tuple[Any, Any]:
    norms = tuple(
        (norm.weight.detach(), norm.bias.detach(), float(norm.eps)) for norm in block.norms
    )
    return norms, tuple(_held(projection) for projection in block.projections)


def _held(projection: Any) -> tuple[Any, Any, Any]:
    """Return the weights as (out, in), their scales, and the bias."""
    held = projection.held
    if held is None:
        held = projection.weight.t()
        if not held.is_contiguous():
            held = held.contiguous()
    if held.dtype not in (torch.float32, torch.float16, torch.bfloat16, torch.int8):
        raise ValueError(f"these kernels do not know weights of {held.dtype}")
    return held, projection.scales(), projection.bias
