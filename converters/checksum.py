"""CRC-32 at the speed of memory, and of a concatenation from the CRC-32 of its parts.

ISA-L computes it with the processor's carry-less multiplication, ten and more times as fast as the
zlib that most Pythons are linked with. `crc32_combine`, which neither offers, makes one pass over
the bytes give both the checksum of each record, to compare with the source, and that of the whole
output, to record.
"""

from __future__ import annotations

from functools import lru_cache

try:
    from isal.isal_zlib import crc32
except ImportError:  # a platform for which there is no wheel
    from zlib import crc32

__all__ = ["crc32", "crc32_combine", "crc32_of_tail"]

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31


def _multiply(a: int, b: int) -> int:
    """Multiply two polynomials modulo the CRC polynomial, bits reflected."""
    product = 0
    bit = _ONE
    while a:
        if a & bit:
            product ^= b
            a ^= bit
        bit >>= 1
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=4096)
def _shift(size: int) -> int:
    """Return x to the power of 8 times `size`: what appending so many bytes multiplies by."""
    power = _ONE
    square = _ONE >> 8
    while size:
        if size & 1:
            power = _multiply(square, power)
        size >>= 1
        if size:
            square = _multiply(square, square)
    return power


def crc32_combine(first: int, second: int, second_size: int) -> int:
    """Return the CRC-32 of two parts in sequence; `second_size` is in bytes."""
    return _multiply(_shift(second_size), first) ^ second


def crc32_of_tail(first: int, whole: int, second_size: int) -> int:
    """Return the CRC-32 of the second part, from those of the first part and of both."""
    return _multiply(_shift(second_size), first) ^ whole
