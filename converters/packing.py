"""Brings a tensor's elements from its storage into row-major order, in bounded memory."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, Literal

from xcompat.converters import checksum
from xcompat.converters.archive import ArchiveRecord, check_crc32
from xcompat.converters.output import BUFFER_BYTES, OutputFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.converters.source import SourceFile
    from xcompat.converters.values import Tensor

_WINDOW_BYTES: Final = 8 << 20
"""How much of a storage is held in memory to pick elements from."""
_SPARSE: Final = 16
"""From a window this many times larger than what it yields, elements are read one by one."""
_Format = Literal["B", "H", "I", "Q"]
_FORMATS: Final[dict[int, _Format]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def write_tensor(
    output: OutputFile, file: SourceFile, record: ArchiveRecord, tensor: Tensor, *, verify: bool
) -> None:
    """Append the elements of a tensor to an output file.

    Args:
        output: Receives `tensor.nbytes` bytes.
        file: The checkpoint.
        record: The record that holds the tensor's storage.
        tensor: What to write; `Checkpoint.check_tensors` has seen it.
        verify: Compare the CRC-32 of the record. Where the tensor is the whole record this costs
            no second pass.

    Raises:
        Corruption: XC102, the checksum does not match or the file is truncated.
    """
    itemsize = tensor.storage.dtype.itemsize
    start = record.offset + tensor.offset * itemsize
    if tensor.is_contiguous and tensor.nbytes == record.size:
        crc32 = output.copy(file, start, tensor.nbytes)
        if verify:
            check_crc32(record, crc32)
        return
    if verify:
        check_crc32(record, _crc32_of(file, record))
    if tensor.is_contiguous:
        output.copy(file, start, tensor.nbytes)
        return
    for packed in _pack(file, start, tensor.shape, tensor.stride, itemsize):
        output.write(packed.cast("B"))


def _crc32_of(file: SourceFile, record: ArchiveRecord) -> int:
    buffer = memoryview(bytearray(min(BUFFER_BYTES, record.size)))
    crc32 = 0
    remaining = record.size
    file.seek(record.offset)
    while remaining:
        view = buffer[:remaining]
        file.read_next(view)
        crc32 = checksum.crc32(view, crc32)
        remaining -= len(view)
    return crc32


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
