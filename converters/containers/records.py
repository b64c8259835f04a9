"""What a torch zip archive holds: where the bytes of each record are, and their checksums."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from xcompat.converters.files import checksum
from xcompat.converters.values import limits
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import number_of
from xcompat.errors import Corruption

if TYPE_CHECKING:
    from xcompat.converters.files.source import SourceFile

_STORAGES: Final = "data/"
DAMAGED_HINT: Final = "The file is incomplete or damaged: download or copy it again."


class ArchiveRecord(NamedTuple):
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
    flags: int = 0
    """General purpose bits of the zip format."""


class Records(Mapping[str, ArchiveRecord]):
    """The records of an archive by name, in the order of the file; 42 bytes of memory for each.

    torch numbers the records of storages: these need no name of their own.
    """

    def __init__(self) -> None:
        self._headers = array("Q", [0])
        self._offsets = array("Q")
        self._sizes = array("Q")
        self._checksums = array("I")
        self._flags = array("H")
        self._numbers = array("i")
        self._names: dict[int, str] = {}
        self._row_of_number = array("i")
        self._row_of_name: dict[str, int] = {}

    def __getitem__(self, name: str) -> ArchiveRecord:
        row = self._row(name)
        if row < 0:
            raise KeyError(name)
        return self.at(row)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._row(name) >= 0

    def __iter__(self) -> Iterator[str]:
        return map(self._name, range(len(self)))

    def at(self, row: int) -> ArchiveRecord:
        """Return a record by its place among all."""
        return ArchiveRecord(
            self._name(row),
            self._offsets[row],
            self._sizes[row],
            self._checksums[row],
            self._headers[row],
            self._headers[row + 1],
            self._flags[row],
        )

    def row_of_storage(self, key: int | str) -> int:
        """Return the place of the record that holds a storage, -1 where there is none."""
        if isinstance(key, str):
            return self._row_of_name.get(f"{_STORAGES}{key}", -1)
        return self._row_of_number[key] if key < len(self._row_of_number) else -1

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def checksummed(self) -> bool:
        """Whether there is a checksum other than zero."""
        return any(self._checksums)

    def append(
        self, key: int | str, *, offset: int, size: int, crc32: int, end: int, flags: int
    ) -> None:
        """Add a record that begins where the last one ends.

        Args:
            key: Its name, which is new, or the number of the storage that it holds.
            offset: See `ArchiveRecord`, and so the others.
            size: In bytes.
            crc32: Of its data.
            end: Offset behind the record and its data descriptor.
            flags: General purpose bits.
        """
        row = len(self._sizes)
        self._headers.append(end)
        self._offsets.append(offset)
        self._sizes.append(size)
        self._checksums.append(crc32)
        self._flags.append(flags)
        if isinstance(key, str):
            self._numbers.append(-1)
            self._names[row] = key
            self._row_of_name[key] = row
            return
        self._numbers.append(key)
        if missing := key + 1 - len(self._row_of_number):
            self._row_of_number.extend(array("i", [-1]) * max(missing, 0))
        self._row_of_number[key] = row

    def _row(self, name: str) -> int:
        """Return the row of a record, -1 where there is none."""
        number = storage_number(name)
        return self._row_of_name.get(name, -1) if number < 0 else self.row_of_storage(number)

    def _name(self, row: int) -> str:
        number = self._numbers[row]
        return self._names[row] if number < 0 else f"{_STORAGES}{number}"


def storage_number(name: str) -> int:
    """Return the number in a name that torch gives to a storage, -1 for any other name."""
    return number_of(name[len(_STORAGES) :]) if name.startswith(_STORAGES) else -1


class Archive(NamedTuple):
    """The directory of a torch zip archive, checked in full."""

    root: str
    """The top folder of all records."""
    records: Records
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
        limits.check(f"bytes of {name}", record.size, limits.TEXT_BYTES)
        return b"".join(self.pieces(file, name))

    def pieces(self, file: SourceFile, name: str) -> Iterator[bytes]:
        """Yield the content of a record that is there, and verify its checksum at the end.

        Raises:
            Corruption: XC102, its checksum does not match.
        """
        record = self.records[name]
        crc32 = 0
        for piece in file.small_pieces(record.offset, record.size):
            crc32 = checksum.crc32(piece, crc32)
            yield piece
        if self.checksummed:
            check_crc32(record, crc32)


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
            hint=DAMAGED_HINT,
        )
