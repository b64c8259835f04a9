"""A safetensors file as a source of tensors, for the way back to `.pth`.

Format: https://github.com/huggingface/safetensors#format. As everywhere here, what could be read in
two ways is refused: names given twice, holes, overlaps, and bytes that belong to no tensor.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final, NoReturn

from xcompat.converters import limits
from xcompat.converters.archive import ArchiveRecord
from xcompat.converters.plain_json import load_object
from xcompat.converters.recognise import refuse_foreign_format
from xcompat.converters.tensor_file import TensorFile
from xcompat.converters.values import DTYPES, Storage, Tensor, packed, printable
from xcompat.errors import Corruption, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.converters.source import SourceFile

METADATA: Final = "__metadata__"
"""Key of the header that is no tensor."""
_BY_NAME: Final = {dtype.name: dtype for dtype in DTYPES}


class SafetensorsSource(TensorFile):
    """An opened safetensors file.

    Attributes:
        value: Its tensors by name.
        metadata: The texts that its header holds beside them.

    Raises:
        Corruption: XC102, the header is damaged or does not fit the file.
        Refusal: XC101, elements of a type that no XTTS has; XC106, a resource limit.
        CannotLook: XC112, see `SourceFile`.
    """

    value: dict[str, Tensor]
    metadata: Mapping[str, str]

    def _read(self) -> None:
        # A safetensors file has no checksums.
        self.checksummed = False
        head = self.file.read_at(0, min(10, self.file.size))
        if head[8:] != b'{"':
            _refuse_other_formats(self.file)
        size = int.from_bytes(head[:8], "little")
        if size > self.file.size - 8:
            _damaged("it says that its header is longer than the file")
        limits.check("bytes of the safetensors header", size, limits.COMPANION_BYTES)
        header = load_object(self.file.read_at(8, size), "its header")
        self.metadata = _texts(header.pop(METADATA, {}))
        self.value = {}
        self._records: dict[str, ArchiveRecord] = {}
        body = 8 + size
        for name, entry in header.items():
            tensor, start, end = _tensor(name, entry)
            if body + end > self.file.size:
                _damaged(f"tensor `{printable(name)}` reaches beyond the end of the file")
            self.value[name] = tensor
            self._records[name] = ArchiveRecord(
                name, body + start, end - start, 0, body + start, body + end
            )
        position = body
        for record in sorted(
            self._records.values(), key=lambda record: (record.offset, record.end)
        ):
            if record.offset != position:
                _damaged(f"there are unaccounted or shared bytes before `{printable(record.name)}`")
            position = record.end
        if position != self.file.size:
            _damaged("there are bytes behind the last tensor")

    def find(self, storage: Storage) -> ArchiveRecord | None:
        """Return the range of a tensor's bytes."""
        return self._records.get(str(storage.key))


def _refuse_other_formats(file: SourceFile) -> None:
    refuse_foreign_format(file)
    raise Refusal(
        "XC101",
        "this is a checkpoint of torch, whatever its name says",
        hint="Give it a name that ends in .pth.",
    )


def _damaged(reason: str) -> NoReturn:
    raise Corruption(
        "XC102",
        f"the safetensors file is damaged: {reason}",
        hint="The file is incomplete: download, copy or convert it again.",
    )


def _texts(metadata: Any) -> Mapping[str, str]:
    if not isinstance(metadata, dict) or any(type(text) is not str for text in metadata.values()):
        _damaged(f"its `{METADATA}` is no map of texts")
    return metadata


def _tensor(name: str, entry: Any) -> tuple[Tensor, int, int]:
    """Return a tensor, and where its bytes begin and end in the body."""
    shown = printable(name)
    match entry:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(end)]} if (
            len(entry) == 3
        ):
            pass
        case _:
            _damaged(f"the entry of tensor `{shown}` is malformed")
    if any(type(number) is not int or number < 0 for number in (*shape, start, end)):
        _damaged(f"the entry of tensor `{shown}` is malformed")
    dtype = _BY_NAME.get(kind)
    if dtype is None:
        raise Refusal(
            "XC101",
            f"tensor `{shown}` has elements of type {printable(kind)}, which no XTTS has",
        )
    limits.check(f"dimensions of tensor `{shown}`", len(shape), limits.TENSOR_DIMENSIONS)
    numel = prod(shape)
    if end - start != numel * dtype.itemsize:
        _damaged(f"tensor `{shown}` has {end - start} bytes, not those of its shape")
    return packed(Storage(name, dtype, numel), tuple(shape)), start, end
