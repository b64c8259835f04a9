"""Rounding to 16 bits in lanes of one long integer: what numpy does, for every kind of number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xcompat.converters.containers import casting
from xcompat.converters.values.tensors import (
    BF16,
    F16,
    F32,
    STORAGE_DTYPES,
    Cast,
    Dtype,
    Storage,
    packed,
)
from xcompat.errors import Refusal

F64 = STORAGE_DTYPES["DoubleStorage"]
UPPER = np.arange(1 << 16, dtype=np.uint32) << 16
LOWER = (0, 1, 0x0FFF, 0x1000, 0x1001, 0x1FFF, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xFFFF)
"""Below, at and above each place where rounding turns."""


def caster(count: int, dtype: Dtype, source: Dtype = F32) -> casting.Caster:
    tensor = packed(Storage(0, source, count), (count,))
    return casting.Caster(Cast("gpt.odd", tensor, dtype))


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    wide = values.view(np.uint32).astype(np.uint64)
    return ((wide + 0x7FFF + (wide >> 16 & 1)) >> 16).astype("<u2")


def expected(values: np.ndarray, dtype: Dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return values and 16-bit patterns, without what is or becomes infinite or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype("<f2").view("<u2") if dtype == F16 else to_bfloat16(values)
    exponent = np.uint16(0x7C00 if dtype == F16 else 0x7F80)
    kept = np.isfinite(values) & ((narrow & exponent) != exponent)
    return values[kept], narrow[kept]


@pytest.mark.parametrize("dtype", [F16, BF16], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("lower", LOWER, ids=hex)
def test_every_sign_exponent_and_upper_mantissa(dtype: Dtype, lower: int) -> None:
    values, narrow = expected((UPPER | np.uint32(lower)).view("<f4"), dtype)
    assert len(values) > 15_000
    assert caster(len(values), dtype).convert(memoryview(values.tobytes())) == narrow.tobytes()


@pytest.mark.parametrize("dtype", [F16, BF16], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1e-4, 0.02, 1.0, 100.0])
def test_weights_of_every_size(dtype: Dtype, scale: float) -> None:
    """From tensors in which each element is tiny to those in which few or none are."""
    noise = np.random.default_rng(3).normal(0, scale, 5000).astype("<f4")
    noise[::7] = 0
    values, narrow = expected(noise, dtype)
    subject = caster(len(values), dtype)
    assert subject.convert(memoryview(values.tobytes())) == narrow.tobytes()
    wide = narrow.view("<f2") if dtype == F16 else (narrow.astype("<u4") << 16).view("<f4")
    error = np.linalg.norm(values.astype(float) - wide.astype(float))
    assert subject.error == pytest.approx(error)
    assert subject.norm == pytest.approx(np.linalg.norm(values.astype(float)))


@pytest.mark.parametrize("dtype", [F16, BF16], ids=lambda dtype: dtype.name)
def test_doubles(dtype: Dtype) -> None:
    values = np.random.default_rng(4).normal(0, 1, 999)
    narrow = caster(999, dtype, F64).convert(memoryview(values.astype("<f8").tobytes()))
    if dtype == F16:
        assert narrow == values.astype("<f2").tobytes()
    else:
        assert narrow == to_bfloat16(values.astype("<f4")).tobytes()


@pytest.mark.parametrize(
    ("dtype", "value", "says"),
    [
        (F16, 65520.0, "beyond 65,504"),
        (F16, math.inf, "infinite or NaN"),
        (BF16, 3.4e38, "beyond 3.39e38"),
        (BF16, -math.inf, "infinite or NaN"),
        (BF16, math.nan, "infinite or NaN"),
    ],
)
@pytest.mark.parametrize("among", [1, 5000])
def test_one_number_without_a_place_is_found_among_many(
    dtype: Dtype, value: float, says: str, among: int
) -> None:
    values = np.full(among, 0.5, dtype="<f4")
    values[among // 2] = value
    with pytest.raises(Refusal, match=says) as caught:
        caster(among, dtype).convert(memoryview(values.tobytes()))
    assert caught.value.code == "XC108"


def test_a_double_beyond_every_float_is_refused() -> None:
    values = np.array([1e300, 1.7e308, 1.7e308])
    with pytest.raises(Refusal, match="beyond"):
        caster(3, BF16, F64).convert(memoryview(values.tobytes()))


def test_the_error_is_measured_in_a_sample_of_the_pieces() -> None:
    subject = caster(64, F16)
    piece = memoryview(np.full(64, 0.1, dtype="<f4").tobytes())
    for _ in range(17):
        subject.convert(piece)
    assert subject.norm == pytest.approx(0.1 * math.sqrt(2 * 64))
