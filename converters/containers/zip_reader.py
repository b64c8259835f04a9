"""A strict reader of the zip archives that `torch.save` writes: one reading, or a refusal.

torch stores its records uncompressed, pads each one to 64
bytes by an extra field, and puts a data descriptor behind it (flag bit 3), so that only the central
directory tells sizes. Whatever two readers could understand differently is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from xcompat.converters.containers.records import (
    DAMAGED_HINT,
    Archive,
    Records,
    storage_number,
)
from xcompat.converters.containers.zip_format import (
    CENTRAL,
    CENTRAL_MAGIC,
    DESCRIPTOR,
    DESCRIPTOR64,
    DESCRIPTOR_MAGIC,
    END,
    END64,
    END64_MAGIC,
    END_MAGIC,
    EXTRA,
    FLAG_DESCRIPTOR,
    FLAG_ENCRYPTED,
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
from xcompat.converters.values import limits
from xcompat.converters.values.printable import printable
from xcompat.errors import Corruption, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.converters.files.source import SourceFile


_PAGE: Final = 4096
_PATH: Final = re.compile(r"(?:(?!\.\.?(?:/|$))[!-.0-9;-\[\]-~]+(?:/(?!$)|$))+")
"""What torch names a record: printable ASCII without a backslash or a colon."""
_EXTRAS: Final = frozenset({ZIP64_EXTRA, 0x4246, 0x5455, 0x7875, 0x000A})
"""Extra fields that change no meaning but that of saturated sizes: zip64, the padding of torch
(`FB`), and what tools keep of a file's times and owner. Others do: `up` gives another name."""
_EXTRA_BYTES: Final = 2 * _PAGE
"""Of a local header: torch pads to 64 bytes, and xcompat to a block of 4096."""
_STRICT_HINT = "torch.save does not write such archives: save the checkpoint again with torch."


def read_archive(file: SourceFile) -> Archive:
    """Read and check the directory and every local header of a torch zip archive.

    Raises:
        Corruption: XC102, the archive is truncated or damaged.
        Refusal: XC103, it can be read in more than one way; XC106, it has too many entries.
    """
    start, end, count = _locate_directory(file)
    limits.check("entries of the archive", count, limits.ARCHIVE_ENTRIES)
    limits.check("bytes of the archive's directory", end - start, limits.DIRECTORY_BYTES)
    window = _Window(file, start)
    records = Records()
    names = _Names(records)
    position = 0
    # torch writes the directory in the order of the records.
    for entry in _entries(file, start, end, count):
        key = names.check(entry.name)
        if entry.offset != position:
            _refuse(f"unaccounted or shared bytes before `{printable(entry.name)}`")
        offset = _check_local_header(window, entry)
        position = _check_descriptor(window, entry, offset + entry.size)
        records.append(
            key,
            offset=offset,
            size=entry.size,
            crc32=entry.crc32,
            end=position,
            flags=entry.flags,
        )
    if position != start:
        _refuse("unaccounted bytes before the directory")
    return Archive(names.root, records, records.checksummed)


class _Entry(NamedTuple):
    name: str
    raw_name: bytes
    flags: int
    size: int
    crc32: int
    offset: int


class _Window:
    """Reads small parts of the records, several of which may lie in one page."""

    def __init__(self, file: SourceFile, end: int) -> None:
        self._file = file
        self._begin = 0
        self._data = b""
        self.end = end
        """Where the directory begins."""

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes from `offset`, fewer at the end."""
        at = offset - self._begin
        if at < 0 or at + size > len(self._data):
            wanted = min(max(size, _PAGE), self.end - offset)
            self._data = self._file.read_at(offset, wanted) if wanted > 0 else b""
            self._begin = offset
            at = 0
        return self._data[at : at + size]


def _refuse(reason: str) -> NoReturn:
    raise Refusal("XC103", f"the zip archive is ambiguous: {reason}", hint=_STRICT_HINT)


def _locate_directory(file: SourceFile) -> tuple[int, int, int]:
    """Return start, end and number of entries of the central directory."""
    if file.size < END.size or file.read_at(0, 4) != LOCAL_MAGIC:
        raise Corruption("XC102", f"{file.name} is not a complete archive", hint=DAMAGED_HINT)
    end_at = file.size - END.size
    (magic, disk, first_disk, here, count, size, start, comment) = END.unpack(
        file.read_at(end_at, END.size)
    )
    if magic != END_MAGIC:
        tail = file.read_at(max(0, file.size - MAX16 - END.size), min(file.size, MAX16 + END.size))
        if END_MAGIC in tail:
            _refuse("there are bytes behind its end")
        raise Corruption(
            "XC102", f"{file.name} is cut off: the archive has no end", hint=DAMAGED_HINT
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
    (magic, length, _, needed, disk, first_disk, here, count, size, start) = END64.unpack(
        file.read_at(record_at, END64.size)
    )
    if magic != END64_MAGIC or length != END64.size - 12 or disk or first_disk or here != count:
        _refuse("its zip64 record is malformed")
    if needed > VERSION_ZIP64:
        _refuse_version("its zip64 record", needed)
    for wide, told, unknown in zip(
        (start, size, count), narrow, (MAX32, MAX32, MAX16), strict=True
    ):
        if told not in {wide, unknown}:
            _refuse("its end and its zip64 record disagree")
    return start, size, count


def _entries(file: SourceFile, start: int, end: int, count: int) -> Iterator[_Entry]:
    """Yield what the directory says, checked by itself."""
    directory = b""
    told = 0
    for piece in file.small_pieces(start, end - start):
        directory += piece
        position = 0
        while (parsed := _parse_entry(directory, position)) is not None:
            entry, position = parsed
            told += 1
            yield entry
        directory = directory[position:]
    if directory or told != count or not told:
        _refuse(f"it says that it has {count} entries but lists {told}")


def _parse_entry(directory: bytes, position: int) -> tuple[_Entry, int] | None:
    """Return the entry at a position and the next position; None where it is not all there."""
    begin = position + CENTRAL.size
    if begin > len(directory):
        return None
    fields = CENTRAL.unpack_from(directory, position)
    (magic, _, needed, flags, method, _, _, crc32, packed, size) = fields[:10]
    (name_size, extra_size, comment_size, disk, _, _, offset) = fields[10:]
    if magic != CENTRAL_MAGIC:
        raise Corruption("XC102", "the archive's directory is damaged", hint=DAMAGED_HINT)
    end = begin + name_size + extra_size + comment_size
    if end > len(directory):
        return None
    raw_name = directory[begin : begin + name_size]
    name = _decode_name(raw_name)
    if method or comment_size or flags & ~(FLAG_DESCRIPTOR | FLAG_UTF8) or disk:
        _refuse_entry(printable(name), flags, method)
    if needed > VERSION_ZIP64:
        _refuse_version(f"`{printable(name)}`", needed)
    if extra_size or MAX32 in {size, packed, offset}:
        extra = directory[begin + name_size : begin + name_size + extra_size]
        size, packed, offset = _widen(extra, (size, packed, offset), name)
    if size != packed:
        _refuse(f"`{printable(name)}` is stored in {packed} bytes but has {size}")
    return _Entry(name, raw_name, flags, size, crc32, offset), end


def _refuse_entry(shown: str, flags: int, method: int) -> NoReturn:
    if flags & FLAG_ENCRYPTED:
        _refuse(f"`{shown}` is marked as encrypted")
    if flags & ~(FLAG_DESCRIPTOR | FLAG_UTF8):
        _refuse(f"`{shown}` has the unknown flags {flags:#x}")
    if method:
        _refuse(f"`{shown}` is compressed (method {method})")
    _refuse(f"`{shown}` has a comment or lies in another part")


def _refuse_version(what: str, needed: int) -> NoReturn:
    _refuse(f"{what} asks for a reader of version {needed / 10}")


def _decode_name(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        _refuse(f"the name {raw!r:.100} is not Unicode")


def _widen(extra: bytes, narrow: tuple[int, int, int], name: str) -> tuple[int, int, int]:
    """Check the extra fields, and replace sizes that are saturated by those of the zip64 field."""
    wide = b""
    position = 0
    while position < len(extra):
        kind, size = EXTRA.unpack(extra[position : position + 4].ljust(4, b"\xff"))
        position += 4
        if kind not in _EXTRAS or position + size > len(extra):
            shown = printable(name)
            _refuse(f"`{shown}` has an extra field {kind:#06x} that is unknown or cut off")
        if kind == ZIP64_EXTRA:
            if wide:
                _refuse(f"`{printable(name)}` has two zip64 fields")
            wide = extra[position : position + size]
        position += size
    if not wide and MAX32 not in narrow:
        return narrow
    fields: list[int] = []
    for value in narrow:
        if value == MAX32:
            if len(wide) < 8:
                _refuse(f"`{printable(name)}` lacks its zip64 sizes")
            fields.append(int.from_bytes(wide[:8], "little"))
            wide = wide[8:]
        else:
            fields.append(value)
    if wide:
        _refuse(f"`{printable(name)}` has zip64 sizes that nothing refers to")
    return fields[0], fields[1], fields[2]


class _Names:
    """Checks that all names are paths below one top folder, and that no two are alike."""

    def __init__(self, records: Records) -> None:
        self.root = ""
        self._records = records
        self._seen: set[str] = set()

    def check(self, name: str) -> int | str:
        """Return a name without the top folder, or the number of the storage that it names."""
        root, _, inner = name.partition("/")
        number = storage_number(inner)
        if root == self.root and number >= 0:
            if self._records.row_of_storage(number) >= 0:
                _refuse(f"`{printable(name)}` is there twice")
            return number
        if not _PATH.fullmatch(inner) or root in {"", ".", ".."}:
            _refuse(f"`{printable(name)}` is not a path below one top folder")
        if not self.root:
            self.root = root
            if any(char in root for char in "\\:\0"):
                _refuse(f"`{printable(name)}` is not a portable path")
        elif root != self.root:
            _refuse(f"it has two top folders, and `{printable(name)}` lies in the second")
        folded = inner.lower()
        if folded in self._seen:
            _refuse(f"`{printable(name)}` is there twice")
        self._seen.add(folded)
        return inner


def _check_local_header(window: _Window, entry: _Entry) -> int:
    """Compare a local header with the directory; return the offset of the record's data."""
    size_of_names = LOCAL.size + len(entry.raw_name)
    header = window.read(entry.offset, size_of_names)
    if len(header) < size_of_names:
        _refuse(f"`{printable(entry.name)}` lies outside the archive")
    (magic, needed, flags, method, _, _, crc32, packed, size, name_size, extra_size) = (
        LOCAL.unpack_from(header)
    )
    if magic != LOCAL_MAGIC:
        _refuse(f"`{printable(entry.name)}` has no local header")
    if name_size != len(entry.raw_name) or not header.endswith(entry.raw_name):
        _refuse(f"`{printable(entry.name)}` has another name in its local header")
    if flags != entry.flags or method:
        _refuse(f"`{printable(entry.name)}` has other flags in its local header")
    if needed > VERSION_ZIP64:
        _refuse_version(f"`{printable(entry.name)}`", needed)
    offset: int = entry.offset + size_of_names + extra_size
    if offset + entry.size > window.end:
        _refuse(f"`{printable(entry.name)}` reaches beyond the archive")
    if extra_size > _EXTRA_BYTES:
        _refuse(f"`{printable(entry.name)}` has extra fields of {extra_size} bytes")
    if extra_size or MAX32 in {packed, size}:
        extra = window.read(offset - extra_size, extra_size)
        size, packed, _ = _widen(extra, (size, packed, 0), entry.name)
    told = (crc32, packed, size)
    deferred = flags & FLAG_DESCRIPTOR and told == (0, 0, 0)
    if not deferred and told != (entry.crc32, entry.size, entry.size):
        _refuse(f"`{printable(entry.name)}` has another size or checksum in its local header")
    return offset


def _check_descriptor(window: _Window, entry: _Entry, position: int) -> int:
    """Compare the data descriptor, if there is one, with the directory; return where it ends."""
    if not entry.flags & FLAG_DESCRIPTOR:
        return position
    # Sizes are 8 bytes wide for records that needed zip64 where they were written.
    for layout in (DESCRIPTOR, DESCRIPTOR64):
        found = window.read(position, layout.size)
        if len(found) == layout.size:
            told = layout.unpack(found)
            if told == (DESCRIPTOR_MAGIC, entry.crc32, entry.size, entry.size):
                return position + layout.size
    if entry.size == 0:
        # miniz, which torch uses, writes none for an empty record.
        return position
    _refuse(f"`{printable(entry.name)}` has another size or checksum behind its data")
