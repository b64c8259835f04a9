"""A safetensors file as a source of tensors, for the way back to `.pth`.

Format: https://github.com/huggingface/safetensors#format. As everywhere here, what could be read in
two ways is refused: names given twice, holes, overlaps, and bytes that belong to no tensor.
"""

from __future__ import annotations

from array import array
from math import prod
from typing import TYPE_CHECKING, Any, Final, NoReturn

from xcompat.converters.containers.recognise import refuse_foreign_format
from xcompat.converters.containers.records import ArchiveRecord
from xcompat.converters.containers.tensor_file import TensorFile
from xcompat.converters.files.json_documents import object_items
from xcompat.converters.values import limits
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import DTYPES, Tensor, View, contiguous_stride
from xcompat.errors import Corruption, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.converters.files.source import SourceFile
    from xcompat.converters.values.tensors import Storage

METADATA: Final = "__metadata__"
"""Key of the header that is no tensor."""
_MAX64: Final = (1 << 64) - 1
_TENSOR: Final = 200
"""Bytes of memory for a tensor beside its name, on CPython with 64 bits."""
_VIEW: Final = 500
"""For a shape that no other tensor has."""
_INTEGERS: Final = frozenset({int})
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
        limits.check("bytes of the safetensors header", size, limits.HEADER_BYTES)
        metadata: Any = None
        self.value = {}
        self._begins = array("Q")
        self._ends = array("Q")
        self._views: dict[tuple[str, tuple[int, ...]], View] = {}
        self._memory = 0
        for name, entry in object_items(self.file.small_pieces(8, size), "its header"):
            if name == METADATA and metadata is None:
                metadata = _texts(entry)
                continue
            if name in self.value or name == METADATA:
                _damaged(f"its header has the key `{printable(name)}` twice")
            self._add(name, entry, 8 + size)
        self.metadata = metadata or {}
        self._check_ranges(8 + size)

    def _add(self, name: str, entry: Any, body: int) -> None:
        """Add the tensor of an entry, whose bytes lie in the body."""
        kind, shape, start, end = _fields(name, entry)
        view = self._views.get((kind, shape))
        if view is None:
            view = self._views[kind, shape] = _view(name, kind, shape)
            self._memory += _VIEW
        self._memory += name.__sizeof__() + _TENSOR
        if end - start != view.storage_numel * view.dtype.itemsize:
            _damaged(f"tensor `{printable(name)}` has {end - start} bytes, not those of its shape")
        if body + end > self.file.size:
            _damaged(f"tensor `{printable(name)}` reaches beyond the end of the file")
        row = len(self._begins)
        if self._memory > limits.MEMORY or row == limits.ARCHIVE_ENTRIES:
            limits.check("memory for the tensors of the header", self._memory, limits.MEMORY)
            limits.check("tensors of the header", row + 1, limits.ARCHIVE_ENTRIES)
        self.value[name] = Tensor(row, view)
        self._begins.append(body + start)
        self._ends.append(body + end)

    def _check_ranges(self, position: int) -> None:
        """Make sure that the bytes from a position on belong to one tensor each."""
        # One number for both ends takes half the memory of a pair.
        packed = (begin << 64 | end for begin, end in zip(self._begins, self._ends, strict=True))
        for both in sorted(packed):
            begin, end = both >> 64, both & _MAX64
            if begin != position:
                _damaged(f"there are unaccounted or shared bytes before byte {begin}")
            position = end
        if position != self.file.size:
            _damaged("there are bytes behind the last tensor")

    def find(self, storage: Storage) -> ArchiveRecord | None:
        """Return the range of a tensor's bytes."""
        if not isinstance(storage.key, int) or storage.key >= len(self._begins):
            return None
        begin, end = self._begins[storage.key], self._ends[storage.key]
        return ArchiveRecord(f"data/{storage.key}", begin, end - begin, 0, begin, end)


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


def _fields(name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Return type and shape of a tensor, and where its bytes begin and end in the body."""
    match entry:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(end)]} if (
            len(entry) == 3
        ):
            numbers = (*shape, start, end)
            if _INTEGERS.issuperset(map(type, numbers)) and min(numbers) >= 0:
                return kind, tuple(shape), start, end
    _damaged(f"the entry of tensor `{printable(name)}` is malformed")


def _view(name: str, kind: str, shape: tuple[int, ...]) -> View:
    shown = printable(name)
    dtype = _BY_NAME.get(kind)
    if dtype is None:
        raise Refusal(
            "XC101",
            f"tensor `{shown}` has elements of type {printable(kind)}, which no XTTS has",
        )
    limits.check(f"dimensions of tensor `{shown}`", len(shape), limits.TENSOR_DIMENSIONS)
    return View(dtype, prod(shape), 0, shape, contiguous_stride(shape))
