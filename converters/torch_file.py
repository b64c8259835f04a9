"""The file that `torch.save` writes: a zip archive of `data.pkl` and one raw record per storage.

The layout is the one of torch 1.6 to today: all records stored, their data aligned to 64 bytes by
an extra field in the local header, a data descriptor behind them, so that `mmap=True` works and the
checksum of a record may be known only after it was copied.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from xcompat.converters import checksum
from xcompat.converters.archive import (
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
    ZIP64_EXTRA,
)
from xcompat.converters.packing import write_tensor
from xcompat.converters.pickle_writer import pickle_bytes
from xcompat.converters.values import Storage, Tensor, contiguous_stride

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xcompat.converters.checkpoint import Checkpoint
    from xcompat.converters.output import OutputFile

ALIGNMENT: Final = 64
_ROOT: Final = "archive"
_FLAGS: Final = FLAG_DESCRIPTOR | FLAG_UTF8
_VERSION: Final = 20
_VERSION_ZIP64: Final = 45
_PADDING_EXTRA: Final = b"FB"
"""Identifier of the extra field that torch pads with, and its padding byte is `Z`."""


class TorchLayout:
    """Where everything goes in a `.pth` file, known before the first byte is written.

    Args:
        checkpoint: Where the tensors' bytes are.
        value: What `data.pkl` shall hold, with tensors of that checkpoint in it. Each of them gets
            a storage of its own.

    Attributes:
        size: Of the whole file, in bytes.
    """

    def __init__(self, checkpoint: Checkpoint, value: Any) -> None:
        self._checkpoint = checkpoint
        packed: list[Tensor] = []
        pickled = pickle_bytes(_with_own_storages(value, packed))

        def writer(tensor: Tensor) -> Callable[[OutputFile], None]:
            record = checkpoint.record(tensor.storage)
            verify = checkpoint.checksummed
            return lambda output: write_tensor(
                output, checkpoint.file, record, tensor, verify=verify
            )

        contents = {f"data/{index}": writer(tensor) for index, tensor in enumerate(packed)}
        sizes = {f"data/{index}": tensor.nbytes for index, tensor in enumerate(packed)}
        self._archive = ArchiveLayout(pickled, sizes)
        self._contents = contents
        self.size = self._archive.size

    def write(self, output: OutputFile) -> None:
        """Write the file.

        Raises:
            Corruption: XC102, the checkpoint is damaged.
        """
        with self._checkpoint.naming():
            self._archive.write(output, lambda name: self._contents[name](output))


def _with_own_storages(value: Any, tensors: list[Tensor]) -> Any:
    """Copy a value, with each tensor packed in a storage of its own; collect the originals."""
    match value:
        case Tensor():
            storage = Storage(str(len(tensors)), value.storage.dtype, value.numel)
            tensors.append(value)
            return Tensor(storage, 0, value.shape, contiguous_stride(value.shape))
        case OrderedDict():
            return OrderedDict((k, _with_own_storages(v, tensors)) for k, v in value.items())
        case dict():
            return {key: _with_own_storages(item, tensors) for key, item in value.items()}
        case _:
            return value


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    size: int
    offset: int
    """Of the local header."""
    padding: int
    """Bytes of the extra field that aligns the data."""

    @property
    def is_wide(self) -> bool:
        return self.size >= MAX32

    @property
    def head_size(self) -> int:
        return LOCAL.size + len(self.name) + 20 * self.is_wide + self.padding

    @property
    def end(self) -> int:
        return self.offset + self.head_size + self.size + (24 if self.is_wide else 16)


class ArchiveLayout:
    """The zip archive of a torch checkpoint, its records and their places.

    Args:
        pickled: Content of `data.pkl`.
        sizes: Bytes of each further record, by its name below the top folder.

    Attributes:
        size: Of the whole archive, in bytes.
    """

    def __init__(self, pickled: bytes, sizes: Mapping[str, int]) -> None:
        self._small = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n"}
        names = {"data.pkl": len(pickled), "byteorder": 6, **sizes, "version": 2}
        self._entries: dict[str, _Entry] = {}
        position = 0
        for name, size in names.items():
            self._entries[name] = entry = _place(name, size, position)
            position = entry.end
        self._directory_at = position
        self.size = position + sum(map(len, self._directory(dict.fromkeys(self._entries, 0))))

    def write(self, output: OutputFile, write_record: Callable[[str], None]) -> None:
        """Write the archive; `write_record` appends the bytes of a further record."""
        checksums: dict[str, int] = {}
        for name, entry in self._entries.items():
            output.write(_local_header(entry))
            if name in self._small:
                output.write(self._small[name])
                checksums[name] = checksum.crc32(self._small[name])
            else:
                before = output.crc32
                write_record(name)
                checksums[name] = checksum.crc32_of_tail(before, output.crc32, entry.size)
            layout = "<4sIQQ" if entry.is_wide else "<4sIII"
            output.write(
                struct.pack(layout, DESCRIPTOR_MAGIC, checksums[name], entry.size, entry.size)
            )
        for part in self._directory(checksums):
            output.write(part)

    def _directory(self, checksums: Mapping[str, int]) -> list[bytes]:
        parts = [_central_header(entry, checksums[name]) for name, entry in self._entries.items()]
        size = sum(map(len, parts))
        count = len(parts)
        start = self._directory_at
        if start >= MAX32 or count >= MAX16:
            version = _VERSION_ZIP64
            parts.append(
                END64.pack(
                    END64_MAGIC, END64.size - 12, version, version, 0, 0, count, count, size, start
                )
            )
            parts.append(LOCATOR64.pack(LOCATOR64_MAGIC, 0, start + size, 1))
        few = min(count, MAX16)
        parts.append(END.pack(END_MAGIC, 0, 0, few, few, size, min(start, MAX32), 0))
        return parts


def _place(name: str, size: int, offset: int) -> _Entry:
    raw = f"{_ROOT}/{name}".encode()
    bare = _Entry(raw, size, offset, 0)
    # The padding field has a header of four bytes itself.
    padding = 4 + -(offset + bare.head_size + 4) % ALIGNMENT
    return _Entry(raw, size, offset, padding)


def _local_header(entry: _Entry) -> bytes:
    told = MAX32 if entry.is_wide else 0
    wide = struct.pack("<2H2Q", ZIP64_EXTRA, 16, 0, 0) if entry.is_wide else b""
    padding = entry.padding - 4
    extra = wide + _PADDING_EXTRA + struct.pack("<H", padding) + b"Z" * padding
    version = _VERSION_ZIP64 if entry.is_wide else _VERSION
    header = LOCAL.pack(
        LOCAL_MAGIC, version, _FLAGS, 0, 0, 0, 0, told, told, len(entry.name), len(extra)
    )
    return header + entry.name + extra


def _central_header(entry: _Entry, crc32: int) -> bytes:
    fields = [entry.size, entry.size] if entry.is_wide else []
    far = entry.offset >= MAX32
    if far:
        fields.append(entry.offset)
    extra = struct.pack(f"<2H{len(fields)}Q", ZIP64_EXTRA, 8 * len(fields), *fields)
    if not fields:
        extra = b""
    size = min(entry.size, MAX32)
    version = _VERSION_ZIP64 if fields else _VERSION
    header = CENTRAL.pack(
        CENTRAL_MAGIC,
        *(version, version, _FLAGS, 0, 0, 0, crc32, size, size),
        *(len(entry.name), len(extra), 0, 0, 0, 0, min(entry.offset, MAX32)),
    )
    return header + entry.name + extra
