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
from xcompat.converters.packing import write_tensor
from xcompat.converters.values import Tensor, printable
from xcompat.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.converters.checkpoint import Checkpoint
    from xcompat.converters.output import OutputFile

ALIGNMENT: Final = 64
_METADATA: Final = "__metadata__"
_MAX_HEADER: Final = 100_000_000
"""What the safetensors library accepts."""


class SafetensorsLayout:
    """Where everything goes in a safetensors file, known before the first byte is written.

    Attributes:
        size: Of the whole file, in bytes.

    Raises:
        Refusal: XC108, a name that the format reserves or cannot hold.
    """

    def __init__(
        self, checkpoint: Checkpoint, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
    ) -> None:
        self._checkpoint = checkpoint
        check_names(tensors)
        self._tensors = dict(sorted(tensors.items(), key=self._order))
        header: dict[str, object] = {_METADATA: dict(metadata)}
        position = 0
        for name, tensor in self._tensors.items():
            end = position + tensor.nbytes
            header[name] = {
                "dtype": tensor.storage.dtype.name,
                "shape": list(tensor.shape),
                "data_offsets": [position, end],
            }
            position = end
        encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        encoded += b" " * (-(8 + len(encoded)) % ALIGNMENT)
        limits.check("bytes of the safetensors header", len(encoded), _MAX_HEADER)
        self._head = len(encoded).to_bytes(8, "little") + encoded
        self.size = len(self._head) + position

    def _order(self, item: tuple[str, Tensor]) -> tuple[bool, int, int, str]:
        name, tensor = item
        return (
            tensor.nbytes % ALIGNMENT != 0,
            -tensor.storage.dtype.itemsize,
            self._checkpoint.record(tensor.storage).offset,
            name,
        )

    def write(self, output: OutputFile) -> None:
        """Write the file.

        Raises:
            Corruption: XC102, the checkpoint is damaged.
        """
        output.write(self._head)
        source = self._checkpoint
        with source.naming():
            for tensor in self._tensors.values():
                record = source.record(tensor.storage)
                write_tensor(output, source.file, record, tensor, verify=source.checksummed)


def check_names(tensors: Mapping[str, Tensor]) -> None:
    """Refuse names that safetensors reserves or that are no Unicode text.

    Raises:
        Refusal: XC108, naming the tensor.
    """
    for name in tensors:
        if name == _METADATA:
            raise Refusal(
                "XC108", f"a tensor is named `{_METADATA}`, which safetensors keeps for itself"
            )
        try:
            name.encode()
        except UnicodeEncodeError:
            raise Refusal(
                "XC108", f"the tensor name `{printable(name)}` is not Unicode text"
            ) from None
