"""The zip structures around the records of a `.pth` file, as torch writes them.

All records are stored, their data aligned by an extra field in the local header, with a data
descriptor behind them, so that `mmap=True` works and the checksum of a record may be known only
after it was copied.
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from xcompat.converters.containers.zip_format import (
    CENTRAL,
    CENTRAL_MAGIC,
    DESCRIPTOR_MAGIC,
    END,
    END64,
    END64_MAGIC,
    END_MAGIC,
    FLAG_DESCRIPTOR,
    FLAG_UTF8,
    LOCAL,
    LOCAL_MAGIC,
    LOCATOR64,
    LOCATOR64_MAGIC,
    MAX16,
    MAX32,
    VERSION_ZIP64,
    ZIP64_EXTRA,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALIGNMENT: Final = 64
FLAGS: Final = FLAG_DESCRIPTOR | FLAG_UTF8
_VERSION: Final = 20
_AT_ONCE: Final = 2_000
"""Headers of the directory that are written together, at most."""
_PADDING_EXTRA: Final = b"FB"
"""Identifier of the extra field that torch pads with, and its padding byte is `Z`."""


class Entry(NamedTuple):
    """A record and its place."""

    name: bytes
    """With the top folder."""
    size: int
    offset: int
    """Of the local header."""
    padding: int = 0
    """Bytes of the extra field that aligns the data."""
    flags: int = FLAGS

    @property
    def is_wide(self) -> bool:
        """Whether its sizes need zip64."""
        return self.size >= MAX32

    @property
    def data(self) -> int:
        """Offset of its data."""
        return self.offset + LOCAL.size + len(self.name) + 20 * self.is_wide + self.padding

    @property
    def end(self) -> int:
        """Offset behind its data descriptor."""
        return self.data + self.size + (24 if self.is_wide else 16)


def place(entry: Entry, *, alignment: int = ALIGNMENT, phase: int = 0) -> Entry:
    """Return an entry padded so that its data begins at `phase` modulo `alignment`."""
    # The padding field has a header of four bytes itself.
    return entry._replace(padding=4 + (phase - entry.data - 4) % alignment)


def local_header(entry: Entry, crc32: int = 0) -> bytes:
    """Return what stands before the data of a record.

    The checksum and the sizes are in it only if `entry.flags` do not say that they follow the data.
    """
    follows = entry.flags & FLAG_DESCRIPTOR
    checked, size = (0, 0) if follows else (crc32, entry.size)
    wide = struct.pack("<2H2Q", ZIP64_EXTRA, 16, size, size) if entry.is_wide else b""
    told = MAX32 if entry.is_wide else size
    padding = entry.padding - 4
    extra = wide + _PADDING_EXTRA + struct.pack("<H", padding) + b"Z" * padding
    version = VERSION_ZIP64 if entry.is_wide else _VERSION
    header = LOCAL.pack(
        LOCAL_MAGIC, version, entry.flags, 0, 0, 0, checked, told, told, len(entry.name), len(extra)
    )
    return header + entry.name + extra


def descriptor(entry: Entry, crc32: int) -> bytes:
    """Return what stands behind the data of a record."""
    layout = "<4sIQQ" if entry.is_wide else "<4sIII"
    return struct.pack(layout, DESCRIPTOR_MAGIC, crc32, entry.size, entry.size)


def directory(entries: Iterable[tuple[Entry, int]], start: int) -> Iterator[bytes]:
    """Yield the central directory and all that follows it, in pieces.

    Args:
        entries: With the CRC-32 of each.
        start: Offset of the directory.
    """
    count = size = 0
    rest = iter(entries)
    while headers := [_central_header(*each) for each in islice(rest, _AT_ONCE)]:
        piece = b"".join(headers)
        count += len(headers)
        size += len(piece)
        yield piece
    yield _directory_end(count, size, start)


def _directory_end(count: int, size: int, start: int) -> bytes:
    parts = []
    if start >= MAX32 or count >= MAX16:
        version = VERSION_ZIP64
        parts.append(
            END64.pack(
                END64_MAGIC, END64.size - 12, version, version, 0, 0, count, count, size, start
            )
        )
        parts.append(LOCATOR64.pack(LOCATOR64_MAGIC, 0, start + size, 1))
    few = min(count, MAX16)
    parts.append(END.pack(END_MAGIC, 0, 0, few, few, size, min(start, MAX32), 0))
    return b"".join(parts)


def _central_header(entry: Entry, crc32: int) -> bytes:
    fields = [entry.size, entry.size] if entry.is_wide else []
    if entry.offset >= MAX32:
        fields.append(entry.offset)
    extra = b""
    if fields:
        extra = struct.pack(f"<2H{len(fields)}Q", ZIP64_EXTRA, 8 * len(fields), *fields)
    size = min(entry.size, MAX32)
    version = VERSION_ZIP64 if fields else _VERSION
    header = CENTRAL.pack(
        CENTRAL_MAGIC,
        *(version, version, entry.flags, 0, 0, 0, crc32, size, size),
        *(len(entry.name), len(extra), 0, 0, 0, 0, min(entry.offset, MAX32)),
    )
    return header + entry.name + extra
