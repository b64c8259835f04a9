"""The safetensors format: 8 bytes of header length, a JSON header, and the tensors end to end.

See https://github.com/huggingface/safetensors#format. Two choices go beyond the format, so that a
memory-mapped load computes on aligned data and gives the same output as a stock load, bit for bit:
the header is padded so that the body starts at a multiple of 64 bytes, and tensors whose size is a
multiple of 64 come first, the others by falling element size.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from xcompat.converters import limits
from xcompat.converters.packing import Written, checksums_of, write_tensors
from xcompat.converters.safetensors_source import METADATA, SafetensorsSource
from xcompat.converters.values import Cast, Tensor, printable
from xcompat.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from xcompat.converters.output_file import OutputFile
    from xcompat.converters.tensor_file import TensorFile

ALIGNMENT: Final = 64
_MAX_HEADER: Final = 100_000_000
"""What the safetensors library accepts."""
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
        self._tensors = dict(sorted(tensors.items(), key=self._order))
        # One text for each tensor: a hundred thousand of them as dicts would take 60 MB.
        entries = [f'"{METADATA}":{_json(dict(metadata))}']
        position = 0
        for name, tensor in self._tensors.items():
            end = position + tensor.nbytes
            entries.append(
                f'{_json(name)}:{{"dtype":"{tensor.dtype.name}","shape":{_json(tensor.shape)},'
                f'"data_offsets":[{position},{end}]}}'
            )
            position = end
        encoded = ("{" + ",".join(entries) + "}").encode()
        del entries
        encoded += b" " * (-(8 + len(encoded)) % ALIGNMENT)
        limits.check("bytes of the safetensors header", len(encoded), _MAX_HEADER)
        self._head = len(encoded).to_bytes(8, "little") + encoded
        self.size = len(self._head) + position
        self.written = Written()

    def _order(self, item: tuple[str, Tensor | Cast]) -> tuple[bool, int, int, str]:
        name, tensor = item
        storage = (tensor.tensor if isinstance(tensor, Cast) else tensor).storage
        return (
            tensor.nbytes % ALIGNMENT != 0,
            -tensor.dtype.itemsize,
            self._source.record(storage).offset,
            name,
        )

    def write(self, output: OutputFile) -> None:
        """Write the file.

        Raises:
            Corruption: XC102, the source is damaged.
            Refusal: XC108, an element cannot be cast.
        """
        output.write(self._head)
        with self._source.naming():
            write_tensors(output, self._source, self._tensors.values(), self.written)

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing.

        Raises:
            Corruption: XC102, it is not a safetensors file.
        """
        with SafetensorsSource(path) as file:
            if list(file.value) != list(self._tensors):
                return "other tensors than were written"
            for name, tensor in self._tensors.items():
                found = file.value[name]
                if (found.dtype, found.shape) != (tensor.dtype, tensor.shape):
                    return f"another type or shape of tensor `{printable(name)}`"
            records = (file.record(found.storage) for found in file.value.values())
            read = checksums_of(file.file, records)
            for name, now, written in zip(self._tensors, read, self.written.checksums, strict=True):
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
