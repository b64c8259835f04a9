"""Writes archives as torch does, too large or too odd for the builders of the tests."""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

from xcompat.converters.pickles.pickle_writer import write_pickle

if TYPE_CHECKING:
    from collections.abc import Iterable

_SMALL = 1 << 20


def pickle_bytes(value: Any) -> bytes:
    """Return the pickle of a value as the converter writes it."""
    pieces: list[bytes] = []
    write_pickle(value, pieces.append)
    return b"".join(pieces)


class Archive:
    """Writes records as torch does, without knowing their sizes before."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._directory: list[bytes] = []
        self.storages = 0

    def record(self, name: str, blocks: Iterable[bytes], hole: int = 0) -> None:
        raw = f"archive/{name}".encode()
        self.storages += name.startswith("data/")
        offset = self._file.tell()
        padding = -(offset + 34 + len(raw)) % 64
        self._file.write(struct.pack("<4s5H3I2H", b"PK\3\4", 0, 0x808, 0, 0, 0, 0, 0, 0, len(raw),
            4 + padding) + raw + b"FB" + struct.pack("<H", padding) + b"Z" * padding)  # fmt: skip
        size, crc32 = hole, 1 if hole else 0
        self._file.seek(hole, os.SEEK_CUR)
        for block in blocks:
            self._file.write(block)
            crc32 = zlib.crc32(block, crc32)
            size += len(block)
        self._file.write(struct.pack("<4s3I", b"PK\7\x08", crc32, size, size))
        extra = struct.pack("<2HQ", 1, 8, offset)
        self._directory.append(struct.pack("<4s6H3I5H2I", b"PK\1\2", 0, 0, 0x808, 0, 0, 0, crc32,
            size, size, len(raw), len(extra), 0, 0, 0, 0, 0xFFFFFFFF) + raw + extra)  # fmt: skip

    def zeros(self, name: str, size: int) -> None:
        """Write a record of zeros: a large one takes no room, and has not their checksum."""
        if size > _SMALL:
            self.record(name, [], size)
        else:
            self.record(name, [bytes(size)])

    def close(self) -> None:
        start = self._file.tell()
        size = sum(map(len, self._directory))
        count = len(self._directory)
        few = min(count, 0xFFFF)
        self._file.write(b"".join(self._directory))
        self._file.write(struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size,
            start) + struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1) + struct.pack(
            "<4s4H2IH", b"PK\5\6", 0, 0, few, few, size, 0xFFFFFFFF, 0))  # fmt: skip
