"""Writes tensors with narrower elements, and measures what that costs.

Rounding is to the nearest, ties to even, as torch and numpy do it. The struct module rounds to
float16; for bfloat16 the upper halves of the numbers are rounded many at a time, inside one long
integer, whose 32-bit lanes do not overflow as long as there is no NaN.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from xcompat.converters.values import F16, Cast, Dtype, printable
from xcompat.errors import Refusal

_READ_AS: Final = {"F32": "f", "F64": "d"}
"""Types that may be cast, and their letters in module struct."""
_LARGEST_HALF: Final = 65_504


def is_castable(dtype: Dtype) -> bool:
    """Whether elements of this type are wider than what they could be cast to."""
    return dtype.name in _READ_AS


class Caster:
    """Casts one tensor, piece by piece.

    Attributes:
        error: Square root of the sum of squared differences so far.
        norm: Square root of the sum of the squared elements so far.
    """

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._letter = _READ_AS[cast.tensor.dtype.name]
        self.error = 0.0
        self.norm = 0.0

    def convert(self, packed: memoryview) -> bytes:
        """Return the elements in `packed`, cast.

        Raises:
            Refusal: XC108, an element is not finite or too large for the new type.
        """
        count = len(packed) // self._cast.tensor.dtype.itemsize
        values = struct.unpack(f"<{count}{self._letter}", packed)
        size = math.hypot(*values)
        if not math.isfinite(size):
            raise self._refusal("an element that is infinite or NaN")
        if self._cast.dtype == F16:
            try:
                narrow = struct.pack(f"<{count}e", *values)
            except OverflowError:
                largest = max(map(abs, values))
                raise self._refusal(
                    f"the element {largest:g}, beyond {_LARGEST_HALF:,}",
                    hint="Use --dtype bfloat16, which has the range of float32.",
                ) from None
            read_back = struct.unpack(f"<{count}e", narrow)
        else:
            if self._letter != "f":
                packed = memoryview(struct.pack(f"<{count}f", *values))
            narrow = _round_to_bfloat16(packed)
            read_back = struct.unpack(f"<{count}f", _widen_bfloat16(narrow))
        self.error = math.hypot(self.error, math.dist(values, read_back))
        self.norm = math.hypot(self.norm, size)
        return narrow

    def _refusal(self, what: str, hint: str = "Convert without --dtype.") -> Refusal:
        name = printable(self._cast.name)
        return Refusal(
            "XC108",
            f"tensor `{name}` holds {what}: it cannot be cast to {self._cast.dtype.name}",
            hint=hint,
        )


def _round_to_bfloat16(packed: memoryview) -> bytes:
    """Return the upper halves of finite little-endian 32-bit floats, rounded."""
    ones = int.from_bytes(b"\1\0\0\0" * (len(packed) // 4), "little")
    lanes = int.from_bytes(packed, "little")
    rounded = (lanes + (lanes >> 16 & ones) + ones * 0x7FFF).to_bytes(len(packed), "little")
    narrow = bytearray(len(packed) // 2)
    narrow[0::2] = rounded[2::4]
    narrow[1::2] = rounded[3::4]
    return bytes(narrow)


def _widen_bfloat16(narrow: bytes) -> bytes:
    wide = bytearray(2 * len(narrow))
    wide[2::4] = narrow[0::2]
    wide[3::4] = narrow[1::2]
    return bytes(wide)
