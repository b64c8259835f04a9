"""A `.pth` file whose storages stay what they are: only the pickle and the directory are new.

The records that are kept lie at the same place within a block as in the source. Where the file
system can share blocks between files (btrfs, XFS), nothing of them is read, copied or stored twice.
Elsewhere they are copied, and their checksums compared.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xcompat.converters.containers.packing import checksums_of
from xcompat.converters.containers.records import ArchiveRecord, check_crc32
from xcompat.converters.containers.torch_file import SMALL_RECORDS
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.containers.zip_entries import (
    Entry,
    descriptor,
    directory,
    local_header,
    place,
)
from xcompat.converters.files import checksum
from xcompat.converters.files.copying import Ranges
from xcompat.converters.files.output_file import BLOCK
from xcompat.converters.pickles.pickle_writer import Pickled
from xcompat.converters.values.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from xcompat.converters.files.output_file import OutputFile
    from xcompat.converters.values.tensors import Tensor

_AT_ONCE: Final = 2_000
"""Records that are copied together, at most."""


class _Run(NamedTuple):
    """Records that follow each other in the source, and will in the output."""

    rows: range
    """Their places among the records of the source, which lie in it without a gap."""
    first: Entry
    """The first one, with a local header of its own that puts its data where it should be."""
    shift: int
    """How far the records move."""
    end: int
    """Offset in the output behind the last one."""


class RecordsLayout:
    """A `.pth` file made of new small records and of the source's own storages.

    Nothing is kept for a record but whether it is wanted: its place is computed when it is needed.

    Args:
        source: The checkpoint that holds the tensors.
        value: What `data.pkl` shall hold.
        tensors: All tensors in `value`.

    Attributes:
        size: Of the whole file, in bytes.
        shared: Bytes that were not copied, because the two files share their blocks.
    """

    def __init__(self, source: TorchSource, value: Any, tensors: Iterable[Tensor]) -> None:
        self._source = source
        self._records = source.archive.records
        self._value = value
        self._pickled = Pickled(value)
        self._small: list[tuple[Entry, int]] = []
        position = 0
        for name, (size, crc32) in self._small_records().items():
            entry = place(Entry(self._full_name(name), size, position))
            # Without checksums in the source there can be none: they are all or nothing.
            self._small.append((entry, crc32 if source.checksummed else 0))
            position = entry.end
        self._wanted = bytearray(len(self._records))
        for tensor in tensors:
            self._wanted[self._records.row_of_storage(tensor.key)] = 1
        for run in self._runs():
            position = run.end
        self.size = position + sum(map(len, directory(self._entries(), position)))
        self.shared = 0

    def _small_records(self) -> dict[str, tuple[int, int]]:
        """Return size and checksum of what is written anew."""
        return {
            "data.pkl": (self._pickled.size, self._pickled.crc32),
            **{
                name: (len(content), checksum.crc32(content))
                for name, content in SMALL_RECORDS.items()
            },
        }

    def _full_name(self, name: str) -> bytes:
        return f"{self._source.archive.root}/{name}".encode()

    def _entry(self, record: ArchiveRecord, offset: int) -> Entry:
        return Entry(self._full_name(record.name), record.size, offset, flags=record.flags)

    def _runs(self) -> Iterator[_Run]:
        """Yield what follows each other in the source, with its place in the output."""
        position = self._small[-1][0].end
        begin = self._wanted.find(1)
        while begin >= 0:
            end = self._wanted.find(0, begin)
            rows = range(begin, end if end >= 0 else len(self._wanted))
            record = self._records.at(rows[0])
            entry = self._entry(record, position)
            first = place(entry, alignment=BLOCK, phase=record.offset % BLOCK)
            shift = first.data - record.offset
            position = self._records.at(rows[-1]).end + shift
            yield _Run(rows, first, shift, position)
            begin = self._wanted.find(1, rows.stop)

    def _entries(self) -> Iterator[tuple[Entry, int]]:
        """Yield each record of the output with its checksum."""
        yield from self._small
        for run in self._runs():
            yield run.first, self._records.at(run.rows[0]).crc32
            for record in map(self._records.at, run.rows[1:]):
                yield self._entry(record, record.header + run.shift), record.crc32

    def write(self, output: OutputFile) -> None:
        """Write the file.

        Raises:
            Corruption: XC102, the source is damaged.
        """
        for (entry, crc32), name in zip(self._small, self._small_records(), strict=True):
            output.write(local_header(entry))
            if name in SMALL_RECORDS:
                output.write(SMALL_RECORDS[name])
            else:
                self._pickled.write(output.write)
            output.write(descriptor(entry, crc32))
        with self._source.naming():
            for run in self._runs():
                output.write(local_header(run.first, self._records.at(run.rows[0]).crc32))
                self._write_run(output, run)
        for piece in directory(self._entries(), output.position):
            output.write(piece)

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing.

        Raises:
            Refusal, Corruption: It is not a checkpoint.
        """
        with TorchSource(path) as file:
            if file.value != self._value:
                return "another structure than was written"
            written = (file.archive.records[record.name] for record in self._kept())
            read = checksums_of(file.file, written)
            expected: Iterable[int] = (record.crc32 for record in self._kept())
            if not self._source.checksummed:
                expected = checksums_of(self._source.file, self._kept())
            for record, now, before in zip(self._kept(), read, expected, strict=True):
                if now != before:
                    return f"other bytes of record `{printable(record.name)}`"
        return ""

    def _kept(self) -> Iterator[ArchiveRecord]:
        """Yield the records of the source that go into the output."""
        return (self._records.at(row) for run in self._runs() for row in run.rows)

    def _write_run(self, output: OutputFile, run: _Run) -> None:
        file = self._source.file
        begin = self._records.at(run.rows[0]).offset
        if self._source.checksummed:
            crc32 = 0
            for record, end in self._with_gaps(run):
                behind = record.offset + record.size
                crc32 = checksum.crc32_combine(crc32, record.crc32, record.size)
                crc32 = checksum.crc32(file.read_at(behind, end - behind), crc32)
            size = run.end - run.shift - begin
            if output.share(file, begin, size, crc32):
                self.shared += size
                return
        records = self._with_gaps(run)
        while batch := list(islice(records, _AT_ONCE)):
            ranges = Ranges()
            for record, end in batch:
                behind = record.offset + record.size
                ranges.append(record.offset, record.size)
                ranges.append(behind, end - behind)
            copied = output.copy(file, ranges)
            if self._source.checksummed:
                for (record, _), crc32 in zip(batch, copied[::2], strict=True):
                    check_crc32(record, crc32)

    def _with_gaps(self, run: _Run) -> Iterator[tuple[ArchiveRecord, int]]:
        """Yield each record, and the end of what lies between its data and the next."""
        record = self._records.at(run.rows[0])
        for following in map(self._records.at, run.rows[1:]):
            yield record, following.offset
            record = following
        yield record, record.end
