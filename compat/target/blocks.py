"""The blocks of the GPT-2 of XTTS, computed by torch, or by numba where a single position comes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Sequence

if TYPE_CHECKING:
    from .products import Projection
    from .rooms import Place

_TOLERANCE = 1e-4
"""Largest difference of the two ways to compute a block, of what is largest in its result."""


def build(layers: Sequence[Any], make: Callable[[Any], Projection]) -> tuple[list[Block], str]:
    """Return the blocks, and what multiplies a single row: `numba`, or `torch` and why not numba.

    numba is for weights that are held shorter than float32, on the CPU.
    """
    blocks = [Block.of(layer, make) for layer in layers]
    held = blocks[0].projections[0].held
    if held is None:
        return blocks, "torch"
    if held.device.type != "cpu":
        return blocks, f"torch: the weights are on {held.device.type}"
    import torch

    threads = torch.get_num_threads()
    try:
        from . import compiled

        faster = [CompiledBlock(block, compiled.advance) for block in blocks]
        faster[0].check()
    except Exception as error:
        return blocks, f"torch: {type(error).__name__}: {error}"
    finally:
        if torch.get_num_threads() != threads:  # numba starts its threads by the same OpenMP
            torch.set_num_threads(threads)
    return list(faster), "numba"


def fuse(blocks: Sequence[Block], heads: int) -> Any:
    """Return `fused.FusedBlocks` that compute what `blocks` do.

    Raises:
        Exception: Whatever Triton, or its absence, has to say; ArithmeticError where what they
            compute is something else.
    """
    import torch

    from .fused import FusedBlocks
    from .rooms import Place

    kernels = FusedBlocks(blocks, heads)
    channels = kernels.channels
    device = blocks[0].norms[0].weight.device
    with torch.inference_mode():
        hidden = torch.linspace(-1.0, 1.0, channels, device=device)[None]
        cache = torch.linspace(1.0, -1.0, 2 * 80 * channels, device=device).sin()
        cache = cache.view(2, 1, heads, 80, channels // heads)
        one = FusedBlocks(blocks[:1], heads)
        ours = one(hidden, [cache.clone()], torch.tensor([66], device=device))
        _check(ours, blocks[0], hidden, cache, Place(66, 67))
    return kernels


def _check(ours: Any, block: Block, hidden: Any, cache: Any, place: Place) -> None:
    """Raise ArithmeticError where `ours` is not what torch makes of the weights that are held.

    In float64, which no setting of an app shortens, as `allow_tf32` does float32.
    """
    norms = [functools.partial(_normalised, norm=norm) for norm in block.norms]
    exact = Block(norms, [projection.exact for projection in block.projections])
    expected = exact(hidden.double(), cache.double(), place)
    if not bool((expected - ours).abs().max() <= _TOLERANCE * expected.abs().max()):
        raise ArithmeticError("the kernels compute something else than torch")


def _normalised(rows: Any, norm: Any) -> Any:
    from torch.nn import functional as F

    weight, bias = norm.weight.to(rows.dtype), norm.bias.to(rows.dtype)
    return F.layer_norm(rows, weight.shape, weight, bias, norm.eps)


class Block:
    """Pre-norm, causal attention, tanh-approximated GELU."""

    def __init__(self, norms: Sequence[Any], projections: Sequence[Any]) -> None:
        self.norms, self.projections = norms, projections

    @classmethod
    def of(cls, layer: Any, make: Callable[[Any], Projection]) -> Block:
        """Return a block over the weights of one of transformers' GPT-2."""
        layers = layer.attn.c_attn, layer.attn.c_proj, layer.mlp.c_fc, layer.mlp.c_proj
        return cls([layer.ln_1, layer.ln_2], [make(projection) for projection in layers])

    def __call__(self, hidden: Any, cache: Any, place: Place) -> Any:
        """Put new positions through the block.

        Args:
            hidden: Shape (n * new positions, channels).
            cache: Keys and values, shape (2, n, heads, capacity, channels per head).
            place: Where they go. Several new positions of a row are the first ones.
        """
        from torch.nn import functional as F

        ln_1, ln_2 = self.norms
        attend, mix, expand, narrow = self.projections
        _, count, heads, _, width = cache.shape
        new = len(hidden) // count
        parts = attend(ln_1(hidden)).view(count, new, 3, heads, width)
        parts = parts.permute(2, 0, 3, 1, 4)
        if place.flat is None:
            cache[:, :, :, place.used : place.used + new] = parts[1:]
        else:
            cache.view(-1, width).index_copy_(
                0, place.flat, parts[1:].reshape(-1, width).to(cache.dtype)
            )
        keys, values = cache[:, :, :, : place.until].unbind()
        if place.mask is None:
            # All that is cached is past for a single new position; a first pass is causal.
            mixed = F.scaled_dot_product_attention(parts[0], keys, values, is_causal=new > 1)
        else:
            mixed = _attended(parts[0], keys, values, place.mask)
        hidden = hidden + mix(mixed.transpose(1, 2).reshape(hidden.shape))
        return hidden + narrow(F.gelu(expand(ln_2(hidden)), approximate="tanh"))


def _attended(query: Any, keys: Any, values: Any, mask: Any) -> Any:
    """Return what one query of each head takes from the values, shape (n, heads, 1, width)."""
    import torch

    width = query.shape[-1]

    def flat(part: Any) -> Any:
        return part.reshape(-1, *part.shape[2:])

    scores = torch.baddbmm(mask, flat(query), flat(keys).transpose(1, 2), alpha=width**-0.5)
    return torch.bmm(scores.softmax(dim=-1), flat(values)).view(query.shape)


class CompiledBlock(Block):
    """A block that gives a single position to `compiled.advance`."""

    def __init__(self, block: Block, advance: Callable[..., None]) -> None:
        super().__init__(block.norms, block.projections)
        self._advance = advance
        self._weights = (
            tuple(_norm(norm) for norm in block.norms),
            tuple(projection.arrays() for projection in block.projections),
        )

    def __call__(self, hidden: Any, cache: Any, place: Place) -> Any:
        """As `Block`."""
        if len(hidden) > 1 or place.flat is not None:
            return super().__call__(hidden, cache, place)
        import torch

        after = hidden.clone()
        past = tuple(cache[:, 0].numpy())
        self._advance(after[0].numpy(), past, place.used, self._weights, torch.get_num_threads())
        return after

    def check(self) -> None:
        """Raise ArithmeticError where the compiled block computes something else than torch."""
        import torch

        from .rooms import Place

        channels = len(self.norms[0].weight)
        with torch.inference_mode():
            hidden = torch.linspace(-1.0, 1.0, channels)[None]
            cache = torch.linspace(1.0, -1.0, 2 * 3 * channels).sin().view(2, 1, 1, 3, channels)
            _check(self(hidden, cache.clone(), Place(2, 3)), self, hidden, cache, Place(2, 3))


def _norm(norm: Any) -> tuple[Any, Any, Any]:
    import numpy as np

    return norm.weight.detach().numpy(), norm.bias.detach().numpy(), np.float32(norm.eps)
