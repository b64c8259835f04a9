"""CRC-32 at the speed of memory, and of a concatenation from the CRC-32 of its parts.

ISA-L computes it with the processor's carry-less multiplication, ten and more times as fast as the
zlib that most Pythons are linked with. Combining makes one pass over the bytes give both the
checksum of each record, to compare with the source, and that of the whole output, to record.
"""

from __future__ import annotations

__all__ = ["crc32", "crc32_combine", "sha256"]

# hashlib would load OpenSSL: 4 MB of memory, for files of a few kilobytes.
try:
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # Python 3.11 and older, or one that is not CPython
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from hashlib import sha256

try:
    from isal.isal_zlib import crc32, crc32_combine
except ImportError:  # a platform for which there is no wheel
    from zlib import crc32

    _POLYNOMIAL = 0xEDB88320
    _ONE = 1 << 31

    def crc32_combine(crc1: int, crc2: int, crc2_length: int, /) -> int:
        """Return the CRC-32 of two parts in sequence; the length is in bytes."""
        power = _ONE
        square = _ONE >> 8
        while crc2_length:
            if crc2_length & 1:
                power = _multiply(square, power)
            square = _multiply(square, square)
            crc2_length >>= 1
        return _multiply(power, crc1) ^ crc2

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
