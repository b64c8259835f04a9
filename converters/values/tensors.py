"""Tensors of a checkpoint, without their elements: where these lie, and of which type they are."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple


@dataclass(frozen=True, slots=True, eq=False)
class Dtype:
    """An element type, as safetensors and as torch's storages name it: one of `DTYPES`."""

    name: str
    """In a safetensors header, for example `F32`."""
    storage: str
    """Class in module `torch`, for example `FloatStorage`."""
    itemsize: int
    """Bytes per element."""


DTYPES = (
    Dtype("F32", "FloatStorage", 4),
    Dtype("I64", "LongStorage", 8),
    Dtype("F16", "HalfStorage", 2),
    Dtype("BF16", "BFloat16Storage", 2),
    Dtype("F64", "DoubleStorage", 8),
    Dtype("I32", "IntStorage", 4),
    Dtype("I16", "ShortStorage", 2),
    Dtype("I8", "CharStorage", 1),
    Dtype("U8", "ByteStorage", 1),
    Dtype("BOOL", "BoolStorage", 1),
)
STORAGE_DTYPES = {dtype.storage: dtype for dtype in DTYPES}
F32, I64, F16, BF16 = DTYPES[:4]

UNSUPPORTED_STORAGES = (
    "ComplexDoubleStorage",
    "ComplexFloatStorage",
    "QInt32Storage",
    "QInt8Storage",
    "QUInt2x4Storage",
    "QUInt4x2Storage",
    "QUInt8Storage",
    "UntypedStorage",
)
"""Storages of torch whose elements no XTTS checkpoint holds; recognised in order to be named."""


class Storage(NamedTuple):
    """A flat array in a checkpoint: the record `data/<key>` of its archive."""

    key: int | str
    """A number where `number_of` finds one."""
    dtype: Dtype
    numel: int

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.numel * self.dtype.itemsize


class View(NamedTuple):
    """All that a tensor is but its storage's key: many tensors of a model share one.

    Offset and strides count elements, as in torch.
    """

    dtype: Dtype
    storage_numel: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, in 80 bytes of memory."""

    key: int | str
    """Of the storage."""
    view: View

    @property
    def storage(self) -> Storage:
        """What holds the elements."""
        return Storage(self.key, self.view.dtype, self.view.storage_numel)

    @property
    def dtype(self) -> Dtype:
        """Type of the elements."""
        return self.view.dtype

    @property
    def offset(self) -> int:
        """Of the first element in the storage."""
        return self.view.offset

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its dimensions."""
        return self.view.shape

    @property
    def stride(self) -> tuple[int, ...]:
        """Steps of its dimensions."""
        return self.view.stride

    @property
    def numel(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes once it is packed."""
        return self.numel * self.dtype.itemsize

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in the storage in row-major order without holes."""
        if self.numel == 0:
            return True
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True


class Cast(NamedTuple):
    """A tensor that is to be written with elements of another type."""

    name: str
    tensor: Tensor
    dtype: Dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its dimensions."""
        return self.tensor.shape

    @property
    def numel(self) -> int:
        """Number of elements."""
        return self.tensor.numel

    @property
    def nbytes(self) -> int:
        """Size in bytes once it is cast and packed."""
        return self.numel * self.dtype.itemsize


def view(storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Return a view of a storage."""
    return Tensor(storage.key, View(storage.dtype, storage.numel, offset, shape, stride))


def packed(storage: Storage, shape: tuple[int, ...]) -> Tensor:
    """Return the tensor of this shape whose elements are the first ones of a storage."""
    return view(storage, 0, shape, contiguous_stride(shape))


def contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides, in elements, of a packed tensor of this shape (as torch computes them)."""
    stride: list[int] = []
    step = 1
    for size in reversed(shape):
        stride.append(step)
        step *= max(size, 1)
    return tuple(reversed(stride))


def number_of(key: str) -> int:
    """Return the number that a key is, as torch counts storages; -1 where it is none of these."""
    if len(key) > _DIGITS or not (key.isascii() and key.isdecimal()):
        return -1
    return -1 if key[0] == "0" and key != "0" else int(key)


_DIGITS = 6
"""Of the number of a storage: no archive has as many records as that."""
