"""Writes a tensor: its elements from its storage, in row-major order, in bounded memory."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from xcompat.converters import checksum
from xcompat.converters.archive import ArchiveRecord, check_crc32
from xcompat.converters.casting import Caster
from xcompat.converters.source import BUFFER_BYTES
from xcompat.converters.values import Cast, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.converters.output_file import OutputFile
    from xcompat.converters.source import SourceFile
    from xcompat.converters.tensor_file import TensorFile

_WINDOW_BYTES: Final = 8 << 20
"""How much of a storage is held in memory to pick elements from."""
_SPARSE: Final = 16
"""From a window this many times larger than what it yields, elements are read one by one."""
_Format = Literal["B", "H", "I", "Q"]
_FORMATS: Final[dict[int, _Format]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Written(NamedTuple):
    """What `write_tensor` wrote."""

    crc32: int
    """Of the bytes that were appended."""
    error: float = 0.0
    """Square root of the sum of the squared differences that a cast made."""
    norm: float = 0.0
    """Square root of the sum of the squared elements that were cast."""


def write_tensor(output: OutputFile, source: TensorFile, item: Tensor | Cast) -> Written:
    """Append the elements of a tensor to an output file, comparing the source's checksum.

    Args:
        output: Receives `item.nbytes` bytes.
        source: Where the elements are. Where the tensor is a whole record, and not cast, comparing
            the checksum costs no second pass.
        item: What to write; `check_tensors` of the source has seen it.

    Raises:
        Corruption: XC102, the checksum does not match or the file is truncated.
        Refusal: XC108, an element cannot be cast.
    """
    tensor = item.tensor if isinstance(item, Cast) else item
    record = source.record(tensor.storage)
    start = record.offset + tensor.offset * tensor.dtype.itemsize
    if item is tensor and tensor.is_contiguous and tensor.nbytes == record.size:
        crc32 = output.copy(source.file, start, tensor.nbytes)
        if source.checksummed:
            check_crc32(record, crc32)
        return Written(crc32)
    if source.checksummed:
        check_crc32(record, crc32_of(source.file, record))
    if item is tensor and tensor.is_contiguous:
        return Written(output.copy(source.file, start, tensor.nbytes))
    caster = Caster(item) if isinstance(item, Cast) else None
    crc32 = 0
    for packed in _elements(source.file, start, tensor):
        written = caster.convert(packed) if caster else packed
        crc32 = checksum.crc32(written, crc32)
        output.write(written)
    return Written(crc32, caster.error, caster.norm) if caster else Written(crc32)


def crc32_of(file: SourceFile, record: ArchiveRecord) -> int:
    """Return the CRC-32 of a record as it is read now."""
    crc32 = 0
    for piece in file.pieces(record.offset, record.size):
        crc32 = checksum.crc32(piece, crc32)
    return crc32


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
