"""A file that tensors are read from: where the bytes of each are, whatever the format."""

from __future__ import annotations

import contextlib
from math import prod
from operator import mul
from typing import TYPE_CHECKING, Any, Final

from xcompat.converters.files.source import SourceFile
from xcompat.converters.values import limits
from xcompat.converters.values.printable import printable
from xcompat.errors import Corruption, Refusal, XcompatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from xcompat.converters.containers.records import ArchiveRecord
    from xcompat.converters.values.tensors import Storage, Tensor

_BIG: Final = 1 << 62


class TensorFile:
    """An opened file of tensors. Use it as a context manager.

    Attributes:
        file: The file, open for reading.
        value: What it holds, as inert values.
        checksummed: Whether its records come with a CRC-32 to compare.

    Raises:
        XcompatError: What `_read` raises, with the file's name.
    """

    checksummed: bool
    value: Any

    def __init__(self, path: Path) -> None:
        self.file = SourceFile(path)
        try:
            with self.naming():
                self._read()
        except BaseException:
            self.file.__exit__(None, None, None)
            raise

    def _read(self) -> None:
        """Read the structure of the file: set `value` and `checksummed`."""
        raise NotImplementedError

    def find(self, storage: Storage) -> ArchiveRecord | None:
        """Return the record that holds a storage, None where there is none."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.file.__exit__(kind, error, traceback)

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Say which file an error is about, where it does not say so itself."""
        try:
            yield
        except XcompatError as error:
            if self.file.name in error.message:
                raise
            message = f"{self.file.name}: {error.message}"
            raise type(error)(error.code, message, hint=error.hint) from error

    def record(self, storage: Storage) -> ArchiveRecord:
        """Return the record that holds a storage, which `check_tensors` has found to be there."""
        record = self.find(storage)
        if record is None:
            raise AssertionError(f"check_tensors has not seen storage {storage.key}")
        return record

    def check_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Make sure that each tensor lies within its storage and each storage fills its record.

        Raises:
            Refusal: XC107, naming the tensor; XC106, a tensor far larger than its storage.
            Corruption: XC102, a storage has no record.
        """
        written = 0
        for name, tensor in tensors.items():
            self._check_tensor(name, tensor)
            written += tensor.nbytes
        limits.check(
            "bytes of all tensors once they are packed",
            written,
            limits.EXPANSION * self.file.size + limits.BROADCAST_BYTES,
        )

    def _check_tensor(self, name: str, tensor: Tensor) -> None:
        storage = tensor.storage
        record = self.find(storage)
        if record is None:
            raise Corruption(
                "XC102",
                f"{self.file.name}: tensor `{printable(name)}` has no data: there is no record "
                f"`data/{printable(str(storage.key))}`",
                hint="The file is incomplete: download or copy it again.",
            )
        if record.size != storage.nbytes:
            raise _lie(
                name,
                f"its storage has {record.size} bytes, not the {storage.nbytes} of "
                f"{storage.numel} elements of {storage.dtype.name}",
            )
        _, _, offset, shape, stride = tensor.view
        if len(shape) > limits.TENSOR_DIMENSIONS:
            what = f"dimensions of tensor `{printable(name)}`"
            limits.check(what, len(shape), limits.TENSOR_DIMENSIONS)
        if len(shape) != len(stride):
            raise _lie(name, f"it has {len(shape)} dimensions, but {len(stride)} strides")
        numbers = (offset, *shape, *stride)
        if min(numbers) < 0 or max(numbers) >= _BIG:
            raise _lie(name, "its offset, shape or strides are out of range")
        last = offset + sum(map(mul, shape, stride)) - sum(stride)
        numel = prod(shape)
        if offset > storage.numel or (numel and last >= storage.numel):
            raise _lie(
                name, f"it reaches to element {max(last, offset)} of a storage of {storage.numel}"
            )
        if numel > storage.numel:
            what = f"bytes of the expanded tensor `{printable(name)}`"
            limits.check(what, tensor.nbytes, limits.BROADCAST_BYTES)


def _lie(name: str, reason: str) -> Refusal:
    return Refusal(
        "XC107",
        f"tensor `{printable(name)}` contradicts its data: {reason}",
        hint="The file was not written by torch.save: get it from its publisher again.",
    )
