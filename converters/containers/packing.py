"""Writes a tensor: its elements from its storage, in row-major order, in bounded memory."""

from __future__ import annotations

from array import array
from math import prod
from typing import TYPE_CHECKING, Final, Literal

from xcompat.converters.containers.casting import Caster
from xcompat.converters.containers.records import ArchiveRecord, check_crc32
from xcompat.converters.files import checksum
from xcompat.converters.files.copying import Ranges, transfer
from xcompat.converters.files.source import BUFFER_BYTES
from xcompat.converters.values.tensors import Cast, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xcompat.converters.containers.tensor_file import TensorFile
    from xcompat.converters.files.output_file import OutputFile
    from xcompat.converters.files.source import SourceFile

_WINDOW_BYTES: Final = 8 << 20
"""How much of a storage is held in memory to pick elements from."""
_AT_ONCE: Final = 10_000
"""Tensors that are whole records and are copied together, at most."""
_SPARSE: Final = 16
"""From a window this many times larger than what it yields, elements are read one by one."""
_Format = Literal["B", "H", "I", "Q"]
_FORMATS: Final[dict[int, _Format]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Written:
    """What `write_tensors` wrote.

    Attributes:
        checksums: CRC-32 of the bytes of each tensor, in their order.
        casts: By tensor, the square roots of the sum of the squared differences that its cast
            made, and of the sum of its squared elements.
    """

    def __init__(self) -> None:
        self.checksums = array("I")
        self.casts: dict[str, tuple[float, float]] = {}


def write_tensors(
    output: OutputFile, source: TensorFile, items: Iterable[Tensor | Cast], written: Written
) -> None:
    """Append the elements of tensors to an output file, comparing the source's checksums.

    Args:
        output: Receives `item.nbytes` bytes for each.
        source: Where the elements are. For tensors that are whole records, and not cast, comparing
            the checksum costs no second pass.
        items: What to write; `check_tensors` of the source has seen them.
        written: Is told what was done.

    Raises:
        Corruption: XC102, a checksum does not match or the file is truncated.
        Refusal: XC108, an element cannot be cast.
    """
    batch = _Batch(output, source, written)
    for item in items:
        tensor = item.tensor if isinstance(item, Cast) else item
        record = source.record(tensor.storage)
        if item is tensor and tensor.is_contiguous and tensor.nbytes == record.size:
            batch.add(tensor, record)
            if len(batch) == _AT_ONCE:
                batch.copy()
            continue
        batch.copy()
        if source.checksummed:
            check_crc32(record, crc32_of(source.file, record))
        written.checksums.append(_write_elements(output, source.file, record, item, written))
    batch.copy()


class _Batch:
    """Tensors that are whole records, to be copied together."""

    def __init__(self, output: OutputFile, source: TensorFile, written: Written) -> None:
        self._output = output
        self._source = source
        self._written = written
        self._tensors: list[Tensor] = []
        self._recorded = array("I")
        self._ranges = Ranges()

    def __len__(self) -> int:
        return len(self._tensors)

    def add(self, tensor: Tensor, record: ArchiveRecord) -> None:
        self._tensors.append(tensor)
        self._recorded.append(record.crc32)
        self._ranges.append(record.offset, record.size)

    def copy(self) -> None:
        found = self._output.copy(self._source.file, self._ranges)
        if self._source.checksummed and found != self._recorded:
            for tensor, crc32 in zip(self._tensors, found, strict=True):
                check_crc32(self._source.record(tensor.storage), crc32)
        self._written.checksums.extend(found)
        self._tensors.clear()
        self._recorded = array("I")
        self._ranges = Ranges()


def _write_elements(
    output: OutputFile,
    file: SourceFile,
    record: ArchiveRecord,
    item: Tensor | Cast,
    written: Written,
) -> int:
    """Append the elements of one tensor that is a part of a record, or cast; return their CRC."""
    tensor = item.tensor if isinstance(item, Cast) else item
    start = record.offset + tensor.offset * tensor.dtype.itemsize
    if item is tensor and tensor.is_contiguous:
        ranges = Ranges()
        ranges.append(start, tensor.nbytes)
        return output.copy(file, ranges)[0]
    caster = Caster(item) if isinstance(item, Cast) else None
    crc32 = 0
    for packed in _elements(file, start, tensor):
        data = caster.convert(packed) if caster else packed
        crc32 = checksum.crc32(data, crc32)
        output.write(data)
    if caster and isinstance(item, Cast):
        written.casts[item.name] = (caster.error, caster.norm)
    return crc32


def elements_of(source: TensorFile, tensor: Tensor) -> bytes:
    """Return the elements of a small tensor in row-major order, comparing the source's checksum.

    Args:
        source: Where the elements are; its `check_tensors` has seen the tensor.
        tensor: Of the source.

    Raises:
        Corruption: XC102, a checksum does not match or the file is truncated.
    """
    record = source.record(tensor.storage)
    if source.checksummed:
        check_crc32(record, crc32_of(source.file, record))
    start = record.offset + tensor.offset * tensor.dtype.itemsize
    return b"".join(map(bytes, _elements(source.file, start, tensor)))


def crc32_of(file: SourceFile, record: ArchiveRecord) -> int:
    """Return the CRC-32 of a record as it is read now."""
    return checksums_of(file, [record])[0]


def checksums_of(file: SourceFile, records: Iterable[ArchiveRecord]) -> array[int]:
    """Return the CRC-32 of each record as it is read now."""
    ranges = Ranges()
    for record in records:
        ranges.append(record.offset, record.size)
    return transfer(file, ranges)


def _elements(file: SourceFile, start: int, tensor: Tensor) -> Iterator[memoryview]:
    """Yield the elements of a tensor in row-major order, as bytes."""
    if tensor.is_contiguous:
        yield from file.pieces(start, tensor.nbytes)
        return
    for packed in _pack(file, start, tensor.shape, tensor.stride, tensor.dtype.itemsize):
        yield packed.cast("B")


def _pack(
    file: SourceFile, start: int, shape: tuple[int, ...], stride: tuple[int, ...], itemsize: int
) -> Iterator[memoryview]:
    """Yield the packed elements of a view whose first element lies at byte `start`."""
    span = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    numel = prod(shape)
    if not shape or (span * itemsize <= _WINDOW_BYTES and span <= _SPARSE * numel):
        window = memoryview(file.read_at(start, span * itemsize)).cast(_FORMATS[itemsize])
        yield from _gather(window, shape, stride)
        return
    for index in range(shape[0]):
        at = start + index * stride[0] * itemsize
        yield from _pack(file, at, shape[1:], stride[1:], itemsize)


def _gather(
    window: memoryview, shape: tuple[int, ...], stride: tuple[int, ...]
) -> Iterator[memoryview]:
    """Yield the packed elements of a view that lies in memory, about one buffer at a time."""
    if not shape:
        yield window[:1]
        return
    *outer, (size, step) = zip(shape, stride, strict=True)
    rows = _offsets(outer)
    per_buffer = max(1, BUFFER_BYTES // (size * window.itemsize))
    buffer = memoryview(bytearray(per_buffer * size * window.itemsize))
    buffer = buffer.cast(_FORMATS[window.itemsize])
    filled = 0
    for offset in rows:
        target = buffer[filled : filled + size]
        if step:
            target[:] = window[offset : offset + (size - 1) * step + 1 : step]
        else:
            for index in range(size):
                target[index] = window[offset]
        filled += size
        if filled == len(buffer):
            yield buffer
            filled = 0
    if filled:
        yield buffer[:filled]


def _offsets(dimensions: list[tuple[int, int]]) -> Iterator[int]:
    """Yield the offset of every row, in row-major order, without recursion."""
    indexes = [0] * len(dimensions)
    offset = 0
    while True:
        yield offset
        for axis in range(len(dimensions) - 1, -1, -1):
            size, step = dimensions[axis]
            indexes[axis] += 1
            offset += step
            if indexes[axis] < size:
                break
            offset -= size * step
            indexes[axis] = 0
        else:
            return
