"""Writes tensors with narrower elements, and measures what that costs.

Rounding is to the nearest, ties to even, as torch and numpy do it. A Python number for each of half
a billion elements would take a minute, so a piece is computed on as one long integer with a lane of
32 bits for each element; what lanes cannot do (a few tiny elements of float16, doubles, errors) is
left to the struct module.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Final

from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import BF16, F16, Cast, Dtype
from xcompat.errors import Refusal

_READ_AS: Final = {"F32": "f", "F64": "d"}
"""Types that may be cast, and their letters in module struct."""
_LARGEST: Final = {F16.name: "65,504", BF16.name: "3.39e38"}
_MEASURED: Final = 16
"""The error is measured in the first piece of a tensor, and in each piece after so many."""
_AT_ONCE: Final = 8192
"""Elements in one integer: it and what is made of it fit the cache."""
_FEW: Final = 16
"""Up to this part of a piece, tiny elements are rounded one by one; beyond it, all are."""


def is_castable(dtype: Dtype) -> bool:
    """Whether elements of this type are wider than what they could be cast to."""
    return dtype.name in _READ_AS


class Caster:
    """Casts one tensor, piece by piece.

    Attributes:
        error: Square root of the sum of squared differences, where they were measured.
        norm: Square root of the sum of the squared elements, where they were measured.
    """

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._letter = _READ_AS[cast.tensor.dtype.name]
        self._pieces = 0
        self.error = 0.0
        self.norm = 0.0

    def convert(self, packed: memoryview) -> bytes:
        """Return the elements in `packed`, cast.

        Raises:
            Refusal: XC108, an element is not finite or too large for the new type.
        """
        itemsize = self._cast.tensor.dtype.itemsize
        step = _AT_ONCE * itemsize
        parts = (packed[begin : begin + step] for begin in range(0, len(packed), step))
        narrow = b"".join(self._convert(part, len(part) // itemsize) for part in parts)
        if self._pieces % _MEASURED == 0:
            self._measure(packed, narrow, len(packed) // itemsize)
        self._pieces += 1
        return narrow

    def _convert(self, packed: memoryview, count: int) -> bytes:
        narrow = None
        if self._letter == "f":
            round_ = _round_to_float16 if self._cast.dtype == F16 else _round_to_bfloat16
            narrow = round_(packed, count)
        return self._convert_each(packed, count) if narrow is None else narrow

    def _convert_each(self, packed: memoryview, count: int) -> bytes:
        values = struct.unpack(f"<{count}{self._letter}", packed)
        if not all(map(math.isfinite, values)):
            raise self._refusal("an element that is infinite or NaN")
        try:
            if self._cast.dtype == F16:
                return struct.pack(f"<{count}e", *values)
            narrow = _round_to_bfloat16(memoryview(struct.pack(f"<{count}f", *values)), count)
        except OverflowError:
            narrow = None
        if narrow is None:
            largest = max(map(abs, values))
            limit = _LARGEST[self._cast.dtype.name]
            raise self._refusal(f"the element {largest:g}, beyond {limit}")
        return narrow

    def _measure(self, packed: memoryview, narrow: bytes, count: int) -> None:
        values = struct.unpack(f"<{count}{self._letter}", packed)
        if self._cast.dtype == F16:
            read_back = struct.unpack(f"<{count}e", narrow)
        else:
            read_back = struct.unpack(f"<{count}f", _widen_bfloat16(narrow))
        self.error = math.hypot(self.error, math.dist(values, read_back))
        self.norm = math.hypot(self.norm, *values)

    def _refusal(self, what: str) -> Refusal:
        name = printable(self._cast.name)
        hint = "Convert without --dtype."
        if self._cast.dtype == F16 and "beyond" in what:
            hint = "Use --dtype bfloat16, which has the range of float32."
        return Refusal(
            "XC108",
            f"tensor `{name}` holds {what}: it cannot be cast to {self._cast.dtype.name}",
            hint=hint,
        )


@lru_cache(maxsize=16)
def _lanes(count: int, value: int) -> int:
    """Return an integer of so many 32-bit lanes that all hold one value."""
    return int.from_bytes(value.to_bytes(4, "little") * count, "little")


_SIGN: Final = 1 << 31
_MAGNITUDE: Final = _SIGN - 1


def _round_to_bfloat16(packed: memoryview, count: int) -> bytes | None:
    """Return the upper halves of 32-bit floats, rounded; None if one of them rounds to no number.

    Adding a constant to the magnitudes sets the highest bit of the lanes that lie beyond a limit:
    from 0x7f7f8000 on, floats round to infinity, are infinite or NaN.
    """
    lanes = int.from_bytes(packed, "little")
    magnitudes = lanes & _lanes(count, _MAGNITUDE)
    if (magnitudes + _lanes(count, _SIGN - 0x7F7F8000)) & _lanes(count, _SIGN):
        return None
    odd = lanes >> 16 & _lanes(count, 1)
    rounded = (lanes + odd + _lanes(count, 0x7FFF)).to_bytes(4 * count, "little")
    narrow = bytearray(2 * count)
    narrow[0::2] = rounded[2::4]
    narrow[1::2] = rounded[3::4]
    return bytes(narrow)


def _round_to_float16(packed: memoryview, count: int) -> bytes | None:
    """Return 32-bit floats rounded to 16 bits; None if that takes looking at each.

    From 0x477ff000 on, floats round to infinity, are infinite or NaN. Below 0x38800000 the result
    has no full mantissa.
    """
    lanes = int.from_bytes(packed, "little")
    signs = _lanes(count, _SIGN)
    magnitudes = lanes & _lanes(count, _MAGNITUDE)
    if (magnitudes + _lanes(count, _SIGN - 0x477FF000)) & signs:
        return None
    normal = (magnitudes + _lanes(count, _SIGN - 0x38800000)) & signs
    tiny = (magnitudes + _lanes(count, _MAGNITUDE)) & signs ^ normal
    odd = magnitudes >> 13 & _lanes(count, 1)
    rounded = (magnitudes + odd + _lanes(count, 0xFFF)) >> 13 & _lanes(count, 0x3FFFF)
    kept = normal >> 31
    halves = (rounded - kept * (112 << 10)) & kept * 0x7FFF
    halves |= lanes >> 16 & _lanes(count, 0x8000)
    wide = halves.to_bytes(4 * count, "little")
    narrow = bytearray(2 * count)
    narrow[0::2] = wide[0::4]
    narrow[1::2] = wide[1::4]
    if tiny:
        flags = tiny.to_bytes(4 * count, "little")[3::4]
        if flags.count(b"\x80") > count // _FEW:
            return None
        place = flags.find(b"\x80")
        while place >= 0:
            (value,) = struct.unpack_from("<f", packed, 4 * place)
            struct.pack_into("<e", narrow, 2 * place, value)
            place = flags.find(b"\x80", place + 1)
    return bytes(narrow)


def _widen_bfloat16(narrow: bytes) -> bytes:
    wide = bytearray(2 * len(narrow))
    wide[2::4] = narrow[0::2]
    wide[3::4] = narrow[1::2]
    return bytes(wide)
