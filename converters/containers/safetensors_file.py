"""The safetensors format: 8 bytes of header length, a JSON header, and the tensors end to end.

See https://github.com/huggingface/safetensors#format. Two choices go beyond the format, so that a
memory-mapped load computes on aligned data and gives the same output as a stock load, bit for bit:
the header is padded so that the body starts at a multiple of 64 bytes, and tensors whose size is a
multiple of 64 come first, the others by falling element size.
"""

from __future__ import annotations

import json
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final

from xcompat.converters.containers.packing import Written, checksums_of, write_tensors
from xcompat.converters.containers.safetensors_source import METADATA, SafetensorsSource
from xcompat.converters.values import limits
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import Cast, Tensor
from xcompat.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from xcompat.converters.containers.tensor_file import TensorFile
    from xcompat.converters.files.output_file import OutputFile

ALIGNMENT: Final = 64
_MAX_HEADER: Final = 100_000_000
"""What the safetensors library accepts."""
_AT_ONCE: Final = 500
"""Entries of the header that are written at once."""
_SORTED_AT_ONCE: Final = 10_000
_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class SafetensorsLayout:
    """Where everything goes in a safetensors file, known before the first byte is written.

    Attributes:
        size: Of the whole file, in bytes.
        written: What became of the tensors, once they are written.

    Raises:
        Refusal: XC108, a name that the format reserves or cannot hold.
    """

    def __init__(
        self, source: TensorFile, tensors: Mapping[str, Tensor | Cast], metadata: Mapping[str, str]
    ) -> None:
        self._source = source
        check_names(tensors)
        self._items = tensors
        # Parts, because a key for each of a hundred thousand names takes 4 MB.
        names = iter(sorted(tensors))
        parts = iter(lambda: sorted(islice(names, _SORTED_AT_ONCE), key=self._order), [])
        self._names = list(merge(*parts, key=self._order))
        self._metadata = dict(metadata)
        length = sum(map(len, self._entries()))
        self._padding = -(8 + length) % ALIGNMENT
        limits.check("bytes of the safetensors header", length + self._padding, _MAX_HEADER)
        self._header = length + self._padding
        self.size = 8 + self._header + sum(item.nbytes for item in tensors.values())
        self.written = Written()

    def _order(self, name: str) -> int:
        item = self._items[name]
        storage = (item.tensor if isinstance(item, Cast) else item).storage
        aligned = item.nbytes % ALIGNMENT == 0
        place = 0 if aligned else 16 - item.dtype.itemsize
        return (place << 64) + self._source.record(storage).offset

    def _entries(self) -> Iterator[bytes]:
        """Yield the header in pieces."""
        yield f'{{"{METADATA}":{_json(self._metadata)}'.encode()
        position = 0
        for name in self._names:
            item = self._items[name]
            end = position + item.nbytes
            shape = ",".join(map(str, item.shape))
            yield (
                f',{_json(name)}:{{"dtype":"{item.dtype.name}","shape":[{shape}],'
                f'"data_offsets":[{position},{end}]}}'
            ).encode()
            position = end
        yield b"}"

    def write(self, output: OutputFile) -> None:
        """Write the file.

        Raises:
            Corruption: XC102, the source is damaged.
            Refusal: XC108, an element cannot be cast.
        """
        output.write(self._header.to_bytes(8, "little"))
        entries = self._entries()
        while piece := b"".join(islice(entries, _AT_ONCE)):
            output.write(piece)
        output.write(b" " * self._padding)
        with self._source.naming():
            items = map(self._items.__getitem__, self._names)
            write_tensors(output, self._source, items, self.written)

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing.

        Raises:
            Corruption: XC102, it is not a safetensors file.
        """
        with SafetensorsSource(path) as file:
            if list(file.value) != self._names:
                return "other tensors than were written"
            for name in self._names:
                tensor, found = self._items[name], file.value[name]
                if (found.dtype, found.shape) != (tensor.dtype, tensor.shape):
                    return f"another type or shape of tensor `{printable(name)}`"
            records = (file.record(found.storage) for found in file.value.values())
            read = checksums_of(file.file, records)
            for name, now, written in zip(self._names, read, self.written.checksums, strict=True):
                if now != written:
                    return f"other elements of tensor `{printable(name)}`"
        return ""


def check_names(tensors: Iterable[str]) -> None:
    """Refuse names that safetensors reserves or that are no Unicode text.

    Raises:
        Refusal: XC108, naming the tensor.
    """
    for name in tensors:
        if name == METADATA:
            raise Refusal(
                "XC108", f"a tensor is named `{METADATA}`, which safetensors keeps for itself"
            )
        try:
            name.encode()
        except UnicodeEncodeError:
            raise Refusal(
                "XC108", f"the tensor name `{printable(name)}` is not Unicode text"
            ) from None
