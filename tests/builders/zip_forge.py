"""Zip archives written field by field, as torch writes them, and with one thing wrong."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

FLAGS = 0x0808


@dataclass(frozen=True)
class Entry:
    """A record, and what the directory, the local header and the descriptor say about it."""

    name: str
    data: bytes
    crc32: int | None = None
    local_name: str | None = None
    flags: int = FLAGS
    local_flags: int | None = None
    method: int = 0
    told_size: int | None = None
    version: int = 0
    """That a reader needs, in tenths."""
    local_version: int = 0
    local_extra: bytes = b""
    central_extra: bytes = b""
    offset: int | None = None
    comment: bytes = b""
    gap: bytes = b""
    """Bytes in front of the local header."""
    descriptor: bytes | None = None


def records(root: str, content: dict[str, bytes]) -> list[Entry]:
    return [Entry(f"{root}/{name}", data) for name, data in content.items()]


def archive(
    entries: list[Entry],
    *,
    count: int | None = None,
    zip64: bool = False,
    zip64_version: int = 45,
    comment: bytes = b"",
    start_shift: int = 0,
) -> bytes:
    body = bytearray()
    central = bytearray()
    for entry in entries:
        body += entry.gap
        offset = len(body)
        crc32 = zlib.crc32(entry.data) if entry.crc32 is None else entry.crc32
        size = len(entry.data) if entry.told_size is None else entry.told_size
        local = (entry.name if entry.local_name is None else entry.local_name).encode()
        flags = entry.flags if entry.local_flags is None else entry.local_flags
        padding = -(offset + 34 + len(local) + len(entry.local_extra)) % 64
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding + entry.local_extra
        deferred = bool(entry.flags & 8)
        told = (0, 0, 0) if deferred else (crc32, size, size)
        body += struct.pack(
            "<4s5H3I2H", b"PK\3\4", entry.local_version, flags, entry.method, 0, 0, *told,
            len(local), len(extra),
        )  # fmt: skip
        body += local + extra + entry.data
        if deferred:
            standard = struct.pack("<4s3I", b"PK\7\x08", crc32, size, size)
            body += standard if entry.descriptor is None else entry.descriptor
        name = entry.name.encode()
        at = offset if entry.offset is None else entry.offset
        central += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 0, entry.version, entry.flags, entry.method, 0, 0, crc32,
            size, size, len(name), len(entry.central_extra), len(entry.comment), 0, 0, 0, at,
        )  # fmt: skip
        central += name + entry.central_extra + entry.comment
    number = len(entries) if count is None else count
    start = len(body) + start_shift
    end = b""
    if zip64 or number > 0xFFFF:
        end += struct.pack(
            "<4sQ2H2I4Q", b"PK\6\6", 44, 45, zip64_version, 0, 0, number, number,
            len(central), start,
        )  # fmt: skip
        end += struct.pack("<4sIQI", b"PK\6\7", 0, len(body) + len(central), 1)
    narrow = min(number, 0xFFFF)
    end += struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, narrow, narrow, len(central), start, len(comment)
    )
    return bytes(body + central + end + comment)


def change(entries: list[Entry], name: str, **changes: object) -> list[Entry]:
    """Return the entries with one of them changed."""
    return [
        replace(entry, **changes) if entry.name.endswith(name) else entry  # type: ignore[arg-type]
        for entry in entries
    ]
