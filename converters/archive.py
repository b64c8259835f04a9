"""A strict reader of the zip archives that `torch.save` writes: one reading, or a refusal.

Format: APPNOTE.TXT 6.3.10 of PKWARE. torch stores its records uncompressed, pads each one to 64
bytes by an extra field, and puts a data descriptor behind it (flag bit 3), so that only the central
directory tells sizes. Whatever two readers could understand differently is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from xcompat.converters import checksum, limits
from xcompat.converters.values import printable
from xcompat.errors import Corruption, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.converters.source import SourceFile

LOCAL: Final = struct.Struct("<4s5H3I2H")
CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
END: Final = struct.Struct("<4s4H2IH")
END64: Final = struct.Struct("<4sQ2H2I4Q")
LOCATOR64: Final = struct.Struct("<4sIQI")
LOCAL_MAGIC: Final = b"PK\x03\x04"
CENTRAL_MAGIC: Final = b"PK\x01\x02"
END_MAGIC: Final = b"PK\x05\x06"
END64_MAGIC: Final = b"PK\x06\x06"
LOCATOR64_MAGIC: Final = b"PK\x06\x07"
DESCRIPTOR_MAGIC: Final = b"PK\x07\x08"
ZIP64_EXTRA: Final = 1
MAX16: Final = 0xFFFF
MAX32: Final = 0xFFFFFFFF
FLAG_ENCRYPTED: Final = 0x1
FLAG_DESCRIPTOR: Final = 0x8
FLAG_UTF8: Final = 0x800

_DAMAGED_HINT = "The file is incomplete or damaged: download or copy it again."
_STRICT_HINT = "torch.save does not write such archives: save the checkpoint again with torch."


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """An uncompressed record of an archive: where its bytes are."""

    name: str
    """Without the top folder, for example `data/17`."""
    offset: int
    """Of the first data byte in the file."""
    size: int
    crc32: int
    header: int
    """Offset of the local header."""
    end: int
    """Offset behind the record and its data descriptor."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The directory of a torch zip archive, checked in full."""

    root: str
    """The top folder of all records."""
    records: Mapping[str, ArchiveRecord]
    """By name, in the order of the file."""
    checksummed: bool
    """False where every stored CRC-32 is zero: torch can be told to record none."""

    def read(self, file: SourceFile, name: str) -> bytes:
        """Return the content of a small record, its checksum verified.

        Raises:
            Corruption: XC102, there is no such record, or its checksum does not match.
            Refusal: XC106, it is far larger than such a record can be.
        """
        record = self.records.get(name)
        if record is None:
            raise Corruption(
                "XC102", f"{file.name} has no record `{name}`: it is not a torch checkpoint"
            )
        limits.check(f"bytes of {name}", record.size, limits.PICKLE_BYTES)
        content = file.read_at(record.offset, record.size)
        if self.checksummed:
            check_crc32(record, checksum.crc32(content))
        return content


def check_crc32(record: ArchiveRecord, actual: int) -> None:
    """Compare what was read with what the archive recorded.

    Raises:
        Corruption: XC102, they differ.
    """
    if actual != record.crc32:
        raise Corruption(
            "XC102",
            f"record `{printable(record.name)}` is damaged: its CRC-32 is {actual:08x}, "
            f"recorded is {record.crc32:08x}",
            hint=_DAMAGED_HINT,
        )


def read_archive(file: SourceFile) -> Archive:
    """Read and check the directory and every local header of a torch zip archive.

    Raises:
        Corruption: XC102, the archive is truncated or damaged.
        Refusal: XC103, it can be read in more than one way; XC106, it has too many entries.
    """
    start, end, count = _locate_directory(file)
    limits.check("entries of the archive", count, limits.ARCHIVE_ENTRIES)
    limits.check("bytes of the archive's directory", end - start, limits.DIRECTORY_BYTES)
    entries = _read_directory(file.read_at(start, end - start), count)
    _check_names(entries)
    root = entries[0].name.split("/", 1)[0]
    records: dict[str, ArchiveRecord] = {}
    position = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.offset != position:
            _refuse(f"unaccounted or shared bytes before `{printable(entry.name)}`")
        offset = _check_local_header(file, entry, start)
        position = _check_descriptor(file, entry, offset + entry.size, start)
        name = entry.name[len(root) + 1 :]
        records[name] = ArchiveRecord(name, offset, entry.size, entry.crc32, entry.offset, position)
    if position != start:
        _refuse("unaccounted bytes before the directory")
    checksummed = any(record.crc32 for record in records.values())
    return Archive(root, records, checksummed)


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    raw_name: bytes
    flags: int
    size: int
    crc32: int
    offset: int


def _refuse(reason: str) -> NoReturn:
    raise Refusal("XC103", f"the zip archive is ambiguous: {reason}", hint=_STRICT_HINT)


def _locate_directory(file: SourceFile) -> tuple[int, int, int]:
    """Return start, end and number of entries of the central directory."""
    if file.size < END.size or file.read_at(0, 4) != LOCAL_MAGIC:
        raise Corruption("XC102", f"{file.name} is not a complete archive", hint=_DAMAGED_HINT)
    end_at = file.size - END.size
    (magic, disk, first_disk, here, count, size, start, comment) = END.unpack(
        file.read_at(end_at, END.size)
    )
    if magic != END_MAGIC:
        tail = file.read_at(max(0, file.size - MAX16 - END.size), min(file.size, MAX16 + END.size))
        if END_MAGIC in tail:
            _refuse("there are bytes behind its end")
        raise Corruption(
            "XC102", f"{file.name} is cut off: the archive has no end", hint=_DAMAGED_HINT
        )
    if comment or disk or first_disk or here != count:
        _refuse("it has a comment or several parts")
    locator_at = end_at - LOCATOR64.size
    locator = file.read_at(locator_at, LOCATOR64.size) if locator_at >= 0 else b""
    directory_end = end_at
    if locator.startswith(LOCATOR64_MAGIC):
        start, size, count = _read_zip64_end(file, locator, (start, size, count))
        directory_end = locator_at - END64.size
    elif MAX32 in {start, size} or count == MAX16:
        _refuse("its zip64 record is missing")
    if start + size != directory_end:
        _refuse("its directory is not where its end says")
    return start, directory_end, count


def _read_zip64_end(
    file: SourceFile, locator: bytes, narrow: tuple[int, int, int]
) -> tuple[int, int, int]:
    _, disk, record_at, disks = LOCATOR64.unpack(locator)
    expected = file.size - END.size - LOCATOR64.size - END64.size
    if disk or disks != 1 or record_at != expected:
        _refuse("its zip64 record is not where its locator says")
    (magic, length, _, _, disk, first_disk, here, count, size, start) = END64.unpack(
        file.read_at(record_at, END64.size)
    )
    if magic != END64_MAGIC or length != END64.size - 12 or disk or first_disk or here != count:
        _refuse("its zip64 record is malformed")
    for wide, told, unknown in zip(
        (start, size, count), narrow, (MAX32, MAX32, MAX16), strict=True
    ):
        if told not in {wide, unknown}:
            _refuse("its end and its zip64 record disagree")
    return start, size, count


def _read_directory(directory: bytes, count: int) -> list[_Entry]:
    entries: list[_Entry] = []
    position = 0
    while position < len(directory):
        if directory[position : position + 4] != CENTRAL_MAGIC or (
            position + CENTRAL.size > len(directory)
        ):
            raise Corruption("XC102", "the archive's directory is damaged", hint=_DAMAGED_HINT)
        fields = CENTRAL.unpack_from(directory, position)
        (_, _, _, flags, method, _, _, crc32, packed, size) = fields[:10]
        (name_size, extra_size, comment_size, disk, _, _, offset) = fields[10:]
        position += CENTRAL.size
        raw_name = directory[position : position + name_size]
        extra = directory[position + name_size : position + name_size + extra_size]
        position += name_size + extra_size + comment_size
        name = _decode_name(raw_name)
        shown = printable(name)
        if flags & FLAG_ENCRYPTED:
            _refuse(f"`{shown}` is marked as encrypted")
        if flags & ~(FLAG_DESCRIPTOR | FLAG_UTF8):
            _refuse(f"`{shown}` has the unknown flags {flags:#x}")
        if method:
            _refuse(f"`{shown}` is compressed (method {method})")
        if comment_size or disk not in {0, MAX16}:
            _refuse(f"`{shown}` has a comment or lies in another part")
        size, packed, offset = _widen(extra, (size, packed, offset), shown)
        if size != packed:
            _refuse(f"`{shown}` is stored in {packed} bytes but has {size}")
        entries.append(_Entry(name, raw_name, flags, size, crc32, offset))
    if position != len(directory) or len(entries) != count or not entries:
        _refuse(f"it says that it has {count} entries but lists {len(entries)}")
    return entries


def _decode_name(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        _refuse(f"the name {raw!r:.100} is not Unicode")


def _widen(extra: bytes, narrow: tuple[int, int, int], shown: str) -> tuple[int, int, int]:
    """Replace the fields that are saturated by those of the zip64 extra field."""
    wide = b""
    position = 0
    while position + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, position)
        if kind == ZIP64_EXTRA:
            if wide:
                _refuse(f"`{shown}` has two zip64 fields")
            wide = extra[position + 4 : position + 4 + size]
        position += 4 + size
    fields: list[int] = []
    for value in narrow:
        if value == MAX32:
            if len(wide) < 8:
                _refuse(f"`{shown}` lacks its zip64 sizes")
            fields.append(int.from_bytes(wide[:8], "little"))
            wide = wide[8:]
        else:
            fields.append(value)
    if wide:
        _refuse(f"`{shown}` has zip64 sizes that nothing refers to")
    return fields[0], fields[1], fields[2]


def _check_names(entries: list[_Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        shown = printable(entry.name)
        parts = entry.name.split("/")
        if len(parts) < 2 or any(part in {"", ".", ".."} for part in parts):
            _refuse(f"`{shown}` is not a path below one top folder")
        if "\\" in entry.name or "\0" in entry.name or ":" in parts[0]:
            _refuse(f"`{shown}` is not a portable path")
        if parts[0] != entries[0].name.split("/", 1)[0]:
            _refuse(f"it has two top folders, and `{shown}` lies in the second")
        folded = entry.name.casefold()
        if folded in seen:
            _refuse(f"`{shown}` is there twice")
        seen.add(folded)


def _check_local_header(file: SourceFile, entry: _Entry, directory: int) -> int:
    """Compare a local header with the directory; return the offset of the record's data."""
    shown = printable(entry.name)
    if entry.offset + LOCAL.size > directory:
        _refuse(f"`{shown}` lies outside the archive")
    header = file.read_at(entry.offset, LOCAL.size + len(entry.raw_name))
    (magic, _, flags, method, _, _, crc32, packed, size, name_size, extra_size) = LOCAL.unpack_from(
        header
    )
    if magic != LOCAL_MAGIC:
        _refuse(f"`{shown}` has no local header")
    if name_size != len(entry.raw_name) or header[LOCAL.size :] != entry.raw_name:
        _refuse(f"`{shown}` has another name in its local header")
    if flags != entry.flags or method:
        _refuse(f"`{shown}` has other flags in its local header")
    offset: int = entry.offset + LOCAL.size + name_size + extra_size
    if offset + entry.size > directory:
        _refuse(f"`{shown}` reaches beyond the archive")
    if MAX32 in {packed, size}:
        extra = file.read_at(offset - extra_size, extra_size)
        size, packed, _ = _widen(extra, (size, packed, 0), shown)
    told = (crc32, packed, size)
    deferred = flags & FLAG_DESCRIPTOR and told == (0, 0, 0)
    if not deferred and told != (entry.crc32, entry.size, entry.size):
        _refuse(f"`{shown}` has another size or checksum in its local header")
    return offset


def _check_descriptor(file: SourceFile, entry: _Entry, position: int, directory: int) -> int:
    """Compare the data descriptor, if there is one, with the directory; return where it ends."""
    if not entry.flags & FLAG_DESCRIPTOR:
        return position
    found = file.read_at(position, min(24, directory - position))
    # Sizes are 8 bytes wide for records that needed zip64 where they were written.
    for layout in ("<4sIII", "<4sIQQ"):
        size = struct.calcsize(layout)
        if len(found) >= size and found.startswith(DESCRIPTOR_MAGIC):
            told = struct.unpack_from(layout, found)[1:]
            if told == (entry.crc32, entry.size, entry.size):
                return position + size
    if entry.size == 0:
        # miniz, which torch uses, writes none for an empty record.
        return position
    _refuse(f"`{printable(entry.name)}` has another size or checksum behind its data")
