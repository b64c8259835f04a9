"""How rows are multiplied with the projections of the GPT's blocks, and in which precision.

transformers holds these weights as (in, out). In float32 they are used where they are, often a
mapped file. bfloat16, float16 and int8 are copies, as (out, in): each output then has its weights
side by side, and its scale. Where a copy is used alone, the weights that it was made from may be
anywhere.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional

_DTYPES = ("float32", "bfloat16", "float16")
_QUANTIZATIONS = ("int8",)
_FEW_ROWS = 8
"""Rows up to which reading the weights takes longer than multiplying with them."""
_MOST_PARTS = 8
"""Parts that a product of one row is cut into, at most; the inputs of XTTS are multiples of it."""


class CannotAttach(RuntimeError):  # noqa: N818 - read as what it says
    """The model is not what the runtime knows; the message says what differs."""


def check_precision(dtype: Optional[str], quantize: Optional[str]) -> None:
    """Raise ValueError for a `dtype` or `quantize` that `projection_maker` does not take."""
    if dtype not in (None, *_DTYPES):
        raise ValueError(f"dtype is {dtype!r}; known: {', '.join(_DTYPES)}")
    if quantize not in (None, *_QUANTIZATIONS):
        raise ValueError(f"quantize is {quantize!r}; known: {', '.join(_QUANTIZATIONS)}")
    if quantize and dtype not in (None, "float32"):
        raise ValueError("give dtype or quantize, not both: int8 brings its own dtype")


def projection_maker(
    dtype: Optional[str], quantize: Optional[str], *, alone: bool = False
) -> Callable[[Any], Projection]:
    """Return what makes a `Projection` of a layer with a `weight` (in, out) and a `bias`.

    Args:
        dtype: See `Decoder`.
        quantize: See `Decoder`.
        alone: Whether weights are held once: float32 in the order of the copies, and a shorter copy
            for all rows, however many they are.

    Raises:
        ValueError: Unknown `dtype` or `quantize`, or both.
    """
    check_precision(dtype, quantize)
    if quantize:
        return Int8Alone if alone else Int8
    if dtype in (None, "float32"):
        return Turned if alone else Projection
    return functools.partial(Short, dtype=str(dtype), alone=alone)


def turn(layer: Any) -> None:
    """Hold a weight, shape (in, out), so that the inputs of each output are neighbours.

    Shape and values stay, and so does every use of it; only the order in memory changes.
    """
    weight = layer.weight
    if not weight.data.t().is_contiguous():
        weight.data = weight.data.t().contiguous().t()


class Projection:
    """`rows @ weight + bias`, the weights float32 and where they are."""

    held: Any = None
    """The copy of the weights, of shape (out, in), where there is one."""

    def __init__(self, layer: Any) -> None:
        self.weight = layer.weight.detach()
        self.bias = layer.bias.detach()

    def __call__(self, rows: Any) -> Any:
        """Return shape (n, out), float32, for float32 rows of shape (n, in)."""
        import torch

        if len(rows) == 1 and (parts := self._parts()) > 1:
            # MKL multiplies one row on one core, and one core does not get all that memory gives.
            cut = rows.view(parts, 1, -1), self.weight.view(parts, -1, self.weight.shape[1])
            return torch.bmm(*cut).sum(dim=0) + self.bias
        return torch.addmm(self.bias, rows, self.weight)

    def _parts(self) -> int:
        import torch

        if self.weight.device.type != "cpu" or not torch.backends.mkl.is_available():
            return 1
        threads = min(torch.get_num_threads(), _MOST_PARTS)
        return int(2 ** (threads.bit_length() - 1)) if len(self.weight) % _MOST_PARTS == 0 else 1

    def exact(self, rows: Any) -> Any:
        """Multiply with the weights as they are held, all arithmetic in the type of the rows."""
        from torch.nn import functional as F

        weight = self.weight.t() if self.held is None else self.held
        weight = weight.to(rows.dtype)
        return F.linear(rows, weight * self.scales()[:, None].to(rows.dtype), self.bias.to(rows))

    def scales(self) -> Any:
        """Return by what each row of `held` is to be multiplied, float32 of shape (out,)."""
        return self.bias.new_ones(len(self.bias))

    def arrays(self) -> tuple[Any, Any, Any]:
        """Return weights, scales and bias as `compiled.advance` takes them, without a copy."""
        import torch

        bits = {torch.bfloat16: "uint16", torch.float16: "int16"}.get(self.held.dtype)
        held = self.held.view(torch.int16).numpy().view(bits) if bits else self.held.numpy()
        return held, self.scales().numpy(), self.bias.numpy()


class Turned(Projection):
    """The weights float32 and held (out, in), as copies are: one order for both ways to read."""

    def __init__(self, layer: Any) -> None:
        turn(layer)
        super().__init__(layer)


class Short(Projection):
    """A copy of the weights in bfloat16 or float16, and products in it where they are faster."""

    def __init__(self, layer: Any, *, dtype: str, alone: bool) -> None:
        import torch

        super().__init__(layer)
        device = str(self.bias.device)
        _check_short_product(dtype, device)
        short = getattr(torch, dtype)
        self.held = self.weight.to(device).t().to(short, memory_format=torch.contiguous_format)
        self._short_bias = self.bias.to(self.held.dtype)
        self._most_rows = None if alone else _rows_in(dtype, device)
        if alone:
            self.weight = None

    def __call__(self, rows: Any) -> Any:
        """As `Projection`."""
        from torch.nn import functional as F

        if self._most_rows is not None and len(rows) > self._most_rows:
            return super().__call__(rows)
        return F.linear(rows.to(self.held.dtype), self.held, self._short_bias).to(rows.dtype)


class _Integers(Projection):
    """A copy of the weights as 8-bit integers, with one scale for each output."""

    def __init__(self, layer: Any) -> None:
        import torch

        super().__init__(layer)
        weight = self.weight.to(self.bias.device).t()
        largest = weight.abs().amax(dim=1)
        self._scales = (largest / 127.0).clamp(min=torch.finfo(torch.float32).tiny)
        self.held = (weight / self._scales[:, None]).round().to(torch.int8).contiguous()

    def scales(self) -> Any:
        """As `Projection`."""
        return self._scales


class Int8(_Integers):
    """torch's product of few rows with 8-bit weights; many rows with those of float32."""

    def __init__(self, layer: Any) -> None:
        import torch

        super().__init__(layer)
        self._short_scales = self._scales.to(torch.bfloat16)
        self._product = _int8_product(str(self.held.device))

    def __call__(self, rows: Any) -> Any:
        """As `Projection`."""
        import torch

        if len(rows) > _FEW_ROWS:
            return super().__call__(rows)
        product = self._product(rows.to(torch.bfloat16), self.held, self._short_scales)
        return self.bias + product  # float32: the wider of the two


class Int8Alone(_Integers):
    """8-bit weights that are widened to float16 for each product: it is for rows in numbers."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.weight = None

    def __call__(self, rows: Any) -> Any:
        """As `Projection`."""
        from torch.nn import functional as F

        wide = (self.held.float() * self._scales[:, None]).half()
        return F.linear(rows.half(), wide, self.bias.half()).to(rows.dtype)


def _rows_in(dtype: str, device: str) -> Optional[int]:
    """Return up to how many rows a product in `dtype` is faster than in float32; None for all.

    A CPU reads half the bytes for a few rows, and then has to compute: without tiles for the type
    it widens each number, and takes five times as long as float32 for the 91 rows of a prefix.
    """
    import torch

    has_tiles = getattr(torch.cpu, f"_is_amx_{_AMX_NAMES[dtype]}_supported", None)
    if device != "cpu" or (has_tiles is not None and has_tiles()):
        return None
    return _FEW_ROWS


_AMX_NAMES = {"bfloat16": "tile", "float16": "fp16"}


@functools.lru_cache(maxsize=None)
def _check_short_product(dtype: str, device: str) -> None:
    """Raise CannotAttach where this torch cannot multiply in `dtype` on `device`."""
    import torch
    from torch.nn import functional as F

    try:
        some = torch.ones(2, 2, dtype=getattr(torch, dtype), device=device)
        F.linear(some, some, some[0])
    except RuntimeError as error:
        raise CannotAttach(
            f"dtype={dtype!r} needs a product that torch {torch.__version__} does not have for "
            f"{device}: {error}"
        ) from error


@functools.lru_cache(maxsize=None)
def _int8_product(device: str) -> Callable[[Any, Any, Any], Any]:
    """Return torch's product of bfloat16 rows with 8-bit (out, in) weights and their scales.

    Raises:
        CannotAttach: This torch has none for `device`, or it computes something else.
    """
    import torch

    product = getattr(torch, "_weight_int8pack_mm", None)
    rows = torch.eye(32, device=device).to(torch.bfloat16)
    whole = (torch.arange(32 * 32, device=device) % 255 - 127).to(torch.int8).view(32, 32)
    scales = torch.full((32,), 0.5, device=device, dtype=torch.bfloat16)
    try:
        found = product(rows, whole, scales)  # type: ignore[misc]
    except Exception as error:
        raise CannotAttach(
            f"quantize='int8' needs an 8-bit product that torch {torch.__version__} does not have "
            f"for {device}; on the CPU, torch 2.4 or newer has it ({error})"
        ) from error
    if not torch.equal(found, whole.t().to(torch.bfloat16) * 0.5):
        raise CannotAttach(f"the 8-bit product of torch {torch.__version__} is not as expected")
    return product  # type: ignore[return-value]
