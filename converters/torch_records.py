"""A `.pth` file whose storages stay what they are: only the pickle and the directory are new.

The records that are kept lie at the same place within a block as in the source. Where the file
system can share blocks between files (btrfs, XFS), nothing of them is read, copied or stored twice.
Elsewhere they are copied, and their checksums compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from xcompat.converters import checksum
from xcompat.converters.archive import LOCAL, ArchiveRecord, check_crc32
from xcompat.converters.checkpoint import Checkpoint
from xcompat.converters.copying import Ranges
from xcompat.converters.output_file import BLOCK
from xcompat.converters.packing import checksums_of
from xcompat.converters.pickle_writer import pickle_bytes
from xcompat.converters.torch_file import SMALL_RECORDS
from xcompat.converters.values import printable
from xcompat.converters.zip_entries import Entry, descriptor, directory, local_header, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from xcompat.converters.output_file import OutputFile
    from xcompat.converters.values import Tensor


class _Run(NamedTuple):
    """Records that follow each other in the source, and will in the output."""

    first: Entry
    """The first one, with a local header of its own that puts its data where it should be."""
    records: list[ArchiveRecord]

    @property
    def shift(self) -> int:
        """How far the records move."""
        return self.first.data - self.records[0].offset

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield start and end of what lies behind the data of each record in the source."""
        for record, following in zip(self.records, self.records[1:], strict=False):
            yield record.offset + record.size, following.offset
        last = self.records[-1]
        yield last.offset + last.size, last.end

    @property
    def size(self) -> int:
        """Bytes from the data of the first record to behind the descriptor of the last."""
        return self.records[-1].end - self.records[0].offset


class RecordsLayout:
    """A `.pth` file made of new small records and of the source's own storages.

    Args:
        source: The checkpoint that holds the tensors.
        value: What `data.pkl` shall hold.
        tensors: All tensors in `value`.

    Attributes:
        size: Of the whole file, in bytes.
        shared: Bytes that were not copied, because the two files share their blocks.
    """

    def __init__(self, source: Checkpoint, value: Any, tensors: Iterable[Tensor]) -> None:
        self._source = source
        self._value = value
        # Without checksums in the source there can be none in the output: they are all or nothing.
        self._checksum = checksum.crc32 if source.checksummed else _no_checksum
        self._small: list[tuple[Entry, bytes]] = []
        entries: list[tuple[Entry, int]] = []
        position = 0
        for name, content in {"data.pkl": pickle_bytes(value), **SMALL_RECORDS}.items():
            full_name = f"{source.archive.root}/{name}".encode()
            entry = place(Entry(full_name, len(content), position))
            self._small.append((entry, content))
            entries.append((entry, self._checksum(content)))
            position = entry.end
        self._runs: list[_Run] = []
        for records in _consecutive(map(source.record, {tensor.storage for tensor in tensors})):
            here = self._entry(records[0])._replace(offset=position)
            first = place(here, alignment=BLOCK, phase=records[0].offset % BLOCK)
            run = _Run(first, records)
            self._runs.append(run)
            entries.append((first, records[0].crc32))
            for record in records[1:]:
                entry = self._entry(record)
                moved = entry._replace(offset=entry.offset + run.shift)
                entries.append((moved, record.crc32))
            position = first.data + run.size
        self._directory = directory(entries, position)
        self.size = position + len(self._directory)
        self.shared = 0

    def write(self, output: OutputFile) -> None:
        """Write the file.

        Raises:
            Corruption: XC102, the source is damaged.
        """
        for entry, content in self._small:
            output.write(local_header(entry))
            output.write(content)
            output.write(descriptor(entry, self._checksum(content)))
        with self._source.naming():
            for run in self._runs:
                output.write(local_header(run.first, run.records[0].crc32))
                self._write_run(output, run)
        output.write(self._directory)

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing.

        Raises:
            Refusal, Corruption: It is not a checkpoint.
        """
        with Checkpoint(path) as file:
            if file.value != self._value:
                return "another structure than was written"
            kept = [record for run in self._runs for record in run.records]
            written = (file.archive.records[record.name] for record in kept)
            read = checksums_of(file.file, written)
            expected: Iterable[int] = (record.crc32 for record in kept)
            if not self._source.checksummed:
                expected = checksums_of(self._source.file, kept)
            for record, now, before in zip(kept, read, expected, strict=True):
                if now != before:
                    return f"other bytes of record `{printable(record.name)}`"
        return ""

    def _entry(self, record: ArchiveRecord) -> Entry:
        """Return the entry of a record as it is in the source, without padding."""
        header = self._source.file.read_at(record.header, record.offset - record.header)
        fields = LOCAL.unpack_from(header)
        name = header[LOCAL.size : LOCAL.size + fields[9]]
        return Entry(name, record.size, record.header, flags=fields[2])

    def _write_run(self, output: OutputFile, run: _Run) -> None:
        file = self._source.file
        if self._source.checksummed:
            crc32 = 0
            for record, (start, end) in zip(run.records, run.gaps(), strict=True):
                crc32 = checksum.crc32_combine(crc32, record.crc32, record.size)
                crc32 = checksum.crc32(file.read_at(start, end - start), crc32)
            if output.share(file, run.records[0].offset, run.size, crc32):
                self.shared += run.size
                return
        ranges = Ranges()
        for record, (start, end) in zip(run.records, run.gaps(), strict=True):
            ranges.append(record.offset, record.size)
            ranges.append(start, end - start)
        copied = output.copy(file, ranges)
        if self._source.checksummed:
            for record, crc32 in zip(run.records, copied[::2], strict=True):
                check_crc32(record, crc32)


def _no_checksum(_: bytes) -> int:
    return 0


def _consecutive(records: Iterable[ArchiveRecord]) -> Iterator[list[ArchiveRecord]]:
    """Group records that follow each other in the file without a gap."""
    run: list[ArchiveRecord] = []
    for record in sorted(records, key=lambda record: record.offset):
        if run and run[-1].end != record.header:
            yield run
            run = []
        run.append(record)
    if run:
        yield run
