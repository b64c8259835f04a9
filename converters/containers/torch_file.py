"""The file that `torch.save` writes: a zip archive of `data.pkl` and one raw record per storage."""

from __future__ import annotations

from array import array
from itertools import chain, count, repeat
from typing import TYPE_CHECKING, Any, Final

from xcompat.converters.containers.packing import Written, checksums_of, write_tensors
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.containers.zip_entries import (
    Entry,
    descriptor,
    directory,
    local_header,
    place,
)
from xcompat.converters.files import checksum
from xcompat.converters.pickles.pickle_writer import Pickled
from xcompat.converters.values.objects import StateDict
from xcompat.converters.values.tensors import Cast, Storage, Tensor, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from xcompat.converters.containers.tensor_file import TensorFile
    from xcompat.converters.files.output_file import OutputFile

SMALL_RECORDS: Final = {"byteorder": b"little", "version": b"3\n"}
"""What torch writes beside the pickle and the storages."""
_ROOT: Final = "archive"


class TorchLayout:
    """A `.pth` file in which each tensor gets a storage of its own, packed and perhaps cast.

    Args:
        source: Where the tensors' bytes are.
        value: What `data.pkl` shall hold, with tensors of that source in it.

    Attributes:
        size: Of the whole file, in bytes.
        written: What became of the tensors, once they are written.
    """

    def __init__(self, source: TensorFile, value: Any) -> None:
        self._source = source
        self._value = value
        self._items = list(_tensors_of(value))
        sizes = array("Q", (item.nbytes for item in self._items))
        self._archive = ArchiveLayout(Pickled(value, own_storages=True), sizes)
        self.size = self._archive.size
        self.written = Written()

    def write(self, output: OutputFile) -> None:
        """Write the file.

        Raises:
            Corruption: XC102, the source is damaged.
            Refusal: XC108, an element cannot be cast.
        """

        def write_storage(number: int) -> int:
            write_tensors(output, self._source, [self._items[number]], self.written)
            return self.written.checksums[-1]

        with self._source.naming():
            self._archive.write(output, write_storage)

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing.

        Raises:
            Refusal, Corruption: It is not a checkpoint.
        """
        with TorchSource(path) as file:
            if file.value != _with_own_storages(self._value, count()):
                return "another structure than was written"
            names = [f"data/{number}" for number in range(len(self._items))]
            records = file.archive.records
            read = checksums_of(file.file, (records[name] for name in names))
            for name, now, written in zip(names, read, self.written.checksums, strict=True):
                if {records[name].crc32, now} != {written}:
                    return f"other bytes of record `{name}`"
        return ""


def _tensors_of(value: Any) -> Iterator[Tensor | Cast]:
    """Yield the tensors in a value, in the order in which they are pickled."""
    if isinstance(value, (Tensor, Cast)):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors_of(item)


def _with_own_storages(value: Any, numbers: Iterator[int]) -> Any:
    """Copy a value, with each tensor packed in a storage of its own."""
    match value:
        case Tensor() | Cast():
            return packed(Storage(next(numbers), value.dtype, value.numel), value.shape)
        case StateDict():
            return StateDict((k, _with_own_storages(v, numbers)) for k, v in value.items())
        case dict():
            return {key: _with_own_storages(item, numbers) for key, item in value.items()}
        case _:
            return value


class ArchiveLayout:
    """The zip archive of a torch checkpoint, its records and their places.

    Args:
        pickled: Content of `data.pkl`.
        sizes: Bytes of each storage; they are numbered.

    Attributes:
        size: Of the whole archive, in bytes.
    """

    def __init__(self, pickled: Pickled, sizes: array[int]) -> None:
        self._pickled = pickled
        self._sizes = sizes
        end = 0
        for entry in self._entries():
            end = entry.end
        unknown = zip(self._entries(), repeat(0))
        self.size = end + sum(map(len, directory(unknown, end)))

    def _entries(self) -> Iterator[Entry]:
        """Yield the small records and the storages, in their places."""
        position = 0
        small = {"data.pkl": self._pickled.size}
        small |= {name: len(content) for name, content in SMALL_RECORDS.items()}
        numbered = ((f"data/{number}", size) for number, size in enumerate(self._sizes))
        for name, size in chain(small.items(), numbered):
            entry = place(Entry(f"{_ROOT}/{name}".encode(), size, position))
            yield entry
            position = entry.end

    def write(self, output: OutputFile, write_storage: Callable[[int], int]) -> None:
        """Write the archive; `write_storage` appends a storage and returns its CRC-32."""
        checksums = array("I")
        for row, entry in enumerate(self._entries()):
            output.write(local_header(entry))
            checksums.append(self._write_content(row, output, write_storage))
            output.write(descriptor(entry, checksums[-1]))
        told = zip(self._entries(), checksums, strict=True)
        for piece in directory(told, output.position):
            output.write(piece)

    def _write_content(
        self, row: int, output: OutputFile, write_storage: Callable[[int], int]
    ) -> int:
        if row == 0:
            self._pickled.write(output.write)
            return self._pickled.crc32
        if row > len(SMALL_RECORDS):
            return write_storage(row - 1 - len(SMALL_RECORDS))
        content = [*SMALL_RECORDS.values()][row - 1]
        output.write(content)
        return checksum.crc32(content)
