"""A file that is being written under a temporary name, in the folder that it belongs in."""

from __future__ import annotations

import contextlib
import glob
import os
import struct
from typing import TYPE_CHECKING, Final

from xcompat.converters.files import checksum
from xcompat.converters.files.copying import Ranges, transfer
from xcompat.converters.files.writeback import Writeback

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed anyway
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable
    from pathlib import Path

    from xcompat.converters.files.source import SourceFile

BLOCK: Final = 4096
"""What file systems share between files: APFS, btrfs and XFS as they are made by default."""
RESERVED_BYTES: Final = 1 << 20
"""From how many bytes on the space of a file is asked for at once."""
_FICLONERANGE: Final = 0x4020940D
"""ioctl of Linux (linux/fs.h): let a range of one file share its blocks with another file."""


class OutputFile:
    """A file that is being written, and the checksum of what was written so far.

    While it is open it is locked, which tells it from what an ended process left behind.

    Args:
        path: Where it will be.
        advance: Called with the number of bytes that were copied.
        durable: Whether it is brought to the disk while it grows.
        size: How many bytes it will have; 0 where nobody knows yet.

    Attributes:
        path: Where it will be.
        temporary: Where it is.
        position: Bytes written.
        crc32: CRC-32 of these bytes.
    """

    def __init__(
        self, path: Path, advance: Callable[[int], None], *, durable: bool, size: int = 0
    ) -> None:
        self.path = path
        self.position = 0
        self.crc32 = 0
        self._advance = advance
        self._unreserved = size
        remove_abandoned(path)
        self.temporary, descriptor = _create_locked(path)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._descriptor = descriptor
        self._writeback = Writeback(descriptor) if durable else None

    def write(self, data: bytes | memoryview) -> None:
        """Append some bytes."""
        self._write_at(memoryview(data), self.position)
        self._grown(len(data))
        self.crc32 = checksum.crc32(data, self.crc32)

    def copy(self, source: SourceFile, ranges: Ranges) -> array[int]:
        """Append ranges of a source file, one behind the other; return the CRC-32 of each.

        Raises:
            Corruption, CannotLook: The source cannot be read.
        """
        self._reserve()
        found = transfer(source, ranges, self._write_at, self._grown, self.position)
        for part, (_, size) in zip(found, ranges, strict=True):
            self.crc32 = checksum.crc32_combine(self.crc32, part, size)
        return found

    def share(self, source: SourceFile, offset: int, size: int, crc32: int) -> bool:
        """Append a range of a source file without copying its blocks, where that can be done.

        Args:
            source: On the same file system.
            offset: At the same place within its block as this file's position.
            size: In bytes.
            crc32: Of the range, which is not read.

        Returns:
            False, with nothing written, if the blocks cannot be shared.
        """
        if not HAS_LOCKS or offset % BLOCK != self.position % BLOCK:
            return False
        # The blocks at both ends also hold other bytes, so these are copied.
        head = -offset % BLOCK
        middle = (size - head) // BLOCK * BLOCK
        if middle <= 0:
            return False
        request = struct.pack("=qQQQ", source.fileno(), offset + head, middle, self.position + head)
        try:
            fcntl.ioctl(self._descriptor, _FICLONERANGE, request)
        except OSError:
            return False
        tail = head + middle
        self._write_at(memoryview(source.read_at(offset, head)), self.position)
        rest = memoryview(source.read_at(offset + tail, size - tail))
        self._write_at(rest, self.position + tail)
        self._grown(size)
        self.crc32 = checksum.crc32_combine(self.crc32, crc32, size)
        return True

    def place(self, *, replace: bool) -> None:
        """Give the file its name.

        Raises:
            FileExistsError: Something has that name, and it is not to be replaced.
        """
        if os.name == "nt":
            self.close()
        if not replace:
            try:
                # Unlike a rename, a link never replaces what another process put there just now.
                self.path.hardlink_to(self.temporary)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                if os.path.lexists(self.path):
                    raise FileExistsError(17, "File exists") from None
            else:
                self.temporary.unlink()
                return
        self.temporary.replace(self.path)

    def close(self) -> None:
        """Close the file, whatever became of it."""
        if self._writeback:
            self._writeback.stop()
        self._file.close()

    def sync(self) -> None:
        """Bring all bytes to the disk."""
        if self._writeback:
            self._writeback.stop()
        os.fsync(self._descriptor)

    def _write_at(self, view: memoryview, offset: int) -> None:
        while len(view):
            written = _write(self._descriptor, view, offset)
            view = view[written:]
            offset += written

    def _grown(self, size: int) -> None:
        self.position += size
        if self._writeback:
            self._writeback.follow(self.position)
        self._advance(size)

    def _reserve(self) -> None:
        """Ask for the space of the whole file at once, before the first copy.

        Writing is a third faster then, and ext4 does not bring the file to the disk when it takes
        the name of another one. Where the space cannot be had like that, nothing is lost, and
        writing tells what is wrong.
        """
        size, self._unreserved = self._unreserved, 0
        if size < RESERVED_BYTES or not hasattr(os, "posix_fallocate"):
            return
        with contextlib.suppress(OSError):
            # Where a file system cannot do it, the C library would write to each block, and does
            # not where a file is open for appending.
            descriptor = os.open(self.temporary, os.O_WRONLY | os.O_APPEND)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)


def _write(descriptor: int, view: memoryview, offset: int) -> int:
    """Write to an offset; return how much was written."""
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, view, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, view)


def can_share_blocks(path: Path, folder: Path) -> bool:
    """Return whether a new file in a folder can share its blocks with a file; leaves nothing."""
    if not HAS_LOCKS or not hasattr(os, "O_TMPFILE"):
        return False
    with contextlib.suppress(OSError), path.open("rb", buffering=0) as source:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY)
        try:
            request = struct.pack("=qQQQ", source.fileno(), 0, BLOCK, 0)
            fcntl.ioctl(descriptor, _FICLONERANGE, request)
        finally:
            os.close(descriptor)
        return True
    return False


def remove_abandoned(path: Path) -> None:
    """Remove what conversions that were killed left of this file."""
    pattern = f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part"
    for temporary in path.parent.glob(pattern):
        with contextlib.suppress(OSError):
            _remove_if_abandoned(temporary)


def _remove_if_abandoned(temporary: Path) -> None:
    if not HAS_LOCKS:
        temporary.unlink()
        return
    descriptor = os.open(temporary, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink()
    finally:
        os.close(descriptor)


def _create_locked(path: Path) -> tuple[Path, int]:
    """Create a hidden file beside `path`, since only there a rename is one step."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
        descriptor = os.open(temporary, flags, 0o666)
        if not HAS_LOCKS:
            return temporary, descriptor
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Before it was locked, another conversion may have taken it for abandoned.
        if temporary.exists():
            return temporary, descriptor
        os.close(descriptor)
