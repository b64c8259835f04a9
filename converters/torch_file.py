"""The file that `torch.save` writes: a zip archive of `data.pkl` and one raw record per storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from xcompat.converters import checksum
from xcompat.converters.checkpoint import Checkpoint
from xcompat.converters.packing import Written, checksums_of, write_tensors
from xcompat.converters.pickle_writer import pickle_bytes
from xcompat.converters.values import Cast, StateDict, Storage, Tensor, packed
from xcompat.converters.zip_entries import Entry, descriptor, directory, local_header, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from xcompat.converters.output_file import OutputFile
    from xcompat.converters.tensor_file import TensorFile

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
        items: list[Tensor | Cast] = []
        self._value = _with_own_storages(value, items)
        self._items = {f"data/{index}": item for index, item in enumerate(items)}
        self._archive = ArchiveLayout(
            pickle_bytes(self._value), {name: item.nbytes for name, item in self._items.items()}
        )
        self.size = self._archive.size
        self.written = Written()

    def write(self, output: OutputFile) -> None:
        """Write the file.

        Raises:
            Corruption: XC102, the source is damaged.
            Refusal: XC108, an element cannot be cast.
        """

        def write_record(name: str) -> int:
            write_tensors(output, self._source, [self._items[name]], self.written)
            return self.written.checksums[-1]

        with self._source.naming():
            self._archive.write(output, write_record)

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing.

        Raises:
            Refusal, Corruption: It is not a checkpoint.
        """
        with Checkpoint(path) as file:
            if file.value != self._value:
                return "another structure than was written"
            records = file.archive.records
            read = checksums_of(file.file, (records[name] for name in self._items))
            for name, now, written in zip(self._items, read, self.written.checksums, strict=True):
                if {records[name].crc32, now} != {written}:
                    return f"other bytes of record `{name}`"
        return ""


def _with_own_storages(value: Any, tensors: list[Tensor | Cast]) -> Any:
    """Copy a value, with each tensor packed in a storage of its own; collect the originals."""
    match value:
        case Tensor() | Cast():
            storage = Storage(len(tensors), value.dtype, value.numel)
            tensors.append(value)
            return packed(storage, value.shape)
        case StateDict():
            return StateDict((k, _with_own_storages(v, tensors)) for k, v in value.items())
        case dict():
            return {key: _with_own_storages(item, tensors) for key, item in value.items()}
        case _:
            return value


class ArchiveLayout:
    """The zip archive of a torch checkpoint, its records and their places.

    Args:
        pickled: Content of `data.pkl`.
        sizes: Bytes of each further record, by its name below the top folder.

    Attributes:
        size: Of the whole archive, in bytes.
    """

    def __init__(self, pickled: bytes, sizes: Mapping[str, int]) -> None:
        self._small = {"data.pkl": pickled, **SMALL_RECORDS}
        self._entries: dict[str, Entry] = {}
        position = 0
        small = {name: len(content) for name, content in self._small.items()}
        for name, size in {**small, **sizes}.items():
            self._entries[name] = entry = place(Entry(f"{_ROOT}/{name}".encode(), size, position))
            position = entry.end
        self._directory_at = position
        unknown = ((entry, 0) for entry in self._entries.values())
        self.size = position + len(directory(unknown, position))

    def write(self, output: OutputFile, write_record: Callable[[str], int]) -> None:
        """Write the archive; `write_record` appends a further record and returns its CRC-32."""
        done: list[tuple[Entry, int]] = []
        for name, entry in self._entries.items():
            output.write(local_header(entry))
            if name in self._small:
                output.write(self._small[name])
                crc32 = checksum.crc32(self._small[name])
            else:
                crc32 = write_record(name)
            output.write(descriptor(entry, crc32))
            done.append((entry, crc32))
        output.write(directory(done, self._directory_at))
