"""A file that is read once: opened once, checked to be a regular file, and unchanged at the end."""

from __future__ import annotations

import mmap
import os
import stat
from typing import TYPE_CHECKING, Final

from xcompat.converters.values import limits
from xcompat.converters.values.printable import printable
from xcompat.errors import CannotLook, Corruption

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

BUFFER_BYTES: Final = 256 << 10
"""Fits the second-level cache, and less makes more calls. 512 KiB were measured to be 5 % faster
while memory is free, but half as fast once files fill it; 2 MiB take three times as long."""
SMALL_BYTES: Final = 32 << 10
"""How much of a pickle or of a directory is read at a time."""


def copy_buffer() -> memoryview:
    """Return a buffer of `BUFFER_BYTES` that begins where a page does.

    A system copies to and from pages. Where a buffer lies 16 bytes behind their begin, as those of
    `bytearray` do, x86 processors copied at a quarter of the speed (measured on AMD EPYC).
    """
    return memoryview(mmap.mmap(-1, BUFFER_BYTES))


class SourceFile:
    """A regular file, opened for reading at any offset. Use it as a context manager.

    Attributes:
        path: Where it is.
        size: Bytes, when it was opened.
        modified: When it was last changed, in nanoseconds, as it was when it was opened.

    Raises:
        CannotLook: XC112, the file is missing, unreadable or not a regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # Opening a device may do something, and a FIFO that takes its place may not block.
            self._require_regular(path.stat())
            flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
            descriptor = os.open(path, flags)
        except OSError as error:
            raise CannotLook(
                "XC112",
                f"cannot read {self.name}: {error.strerror or error}",
                hint="Check the path and the permissions.",
            ) from error
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        try:
            self._require_regular(os.fstat(descriptor))
        except CannotLook:
            self._file.close()
            raise
        self._descriptor = descriptor
        self._before = self._state()
        self.size, self.modified, _, _ = self._before
        self._buffer: memoryview | None = None

    def _require_regular(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise CannotLook("XC112", f"{self.name} is not a regular file")

    @property
    def name(self) -> str:
        """The path as a message may show it."""
        return printable(str(self.path), limit=4096)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly `size` bytes from `offset`.

        Raises:
            Corruption: XC102, the file ends before.
            CannotLook: XC112, the system cannot read it.
        """
        try:
            data = _read(self._descriptor, size, offset)
        except OSError as error:
            raise self._unreadable(error) from error
        if len(data) == size:
            return data
        buffer = bytearray(size)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def small_pieces(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield the `size` bytes from `offset` in pieces to keep. Raises as `read_at`."""
        for begin in range(offset, offset + size, SMALL_BYTES):
            yield self.read_at(begin, min(SMALL_BYTES, offset + size - begin))

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fill a buffer from `offset`, also from several threads at once. Raises as `read_at`."""
        try:
            while (filled := _read_into(self._descriptor, view, offset)) != len(view):
                if not filled:
                    raise Corruption(
                        "XC102",
                        f"{self.name} ends too early",
                        hint="The file is incomplete: download or copy it again.",
                    )
                view = view[filled:]
                offset += filled
        except OSError as error:
            raise self._unreadable(error) from error

    def fileno(self) -> int:
        """Return the descriptor of the open file."""
        return self._descriptor

    def _unreadable(self, error: OSError) -> CannotLook:
        return CannotLook("XC112", f"cannot read {self.name}: {error.strerror or error}")

    def pieces(self, offset: int, size: int) -> Iterator[memoryview]:
        """Yield a range through the one buffer of this file, which each step fills again.

        Raises as `read_at`.
        """
        if self._buffer is None:
            self._buffer = copy_buffer()
        while size:
            piece = self._buffer[:size]
            self.read_into(offset, piece)
            yield piece
            offset += len(piece)
            size -= len(piece)

    def check_unchanged(self) -> None:
        """Make sure that all reads saw one and the same file.

        Raises:
            CannotLook: XC112, the file was changed meanwhile.
        """
        if self._state() != self._before:
            raise CannotLook(
                "XC112",
                f"{self.name} was changed while it was read",
                hint="Wait until the download or the training has finished, then run this again.",
            )

    def _state(self) -> tuple[int, int, int, int]:
        now = os.fstat(self._descriptor)
        return now.st_size, now.st_mtime_ns, now.st_ino, now.st_dev


def _read(descriptor: int, size: int, offset: int) -> bytes:
    """Read some bytes from an offset, fewer at the end of the file."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def _read_into(descriptor: int, view: memoryview, offset: int) -> int:
    """Read from an offset into a buffer; return how many bytes came."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view], offset)
    data = _read(descriptor, len(view), offset)
    view[: len(data)] = data
    return len(data)


def read_small(path: Path) -> bytes:
    """Return the content of a companion file.

    Raises:
        CannotLook: XC112, as `SourceFile`.
        Refusal: XC106, it is far larger than such a file can be.
    """
    with SourceFile(path) as file:
        limits.check(f"bytes of {file.name}", file.size, limits.COMPANION_BYTES)
        return file.read_at(0, file.size)
