"""The files of one conversion: written under temporary names, and in place all or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from typing import TYPE_CHECKING, Final

from xcompat.converters import checksum
from xcompat.converters.values import printable
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from xcompat.converters.source import SourceFile

WRITEBACK_BYTES: Final = 32 << 20
"""How much is written between two requests to the disk."""
BUFFER_BYTES: Final = 256 << 10
"""Fits the second-level cache; 1 MiB and more were measured to be slower."""


class OutputFile:
    """A file that is being written, and the checksum of what was written so far.

    Attributes:
        path: Where it will be.
        position: Bytes written.
        crc32: CRC-32 of these bytes.
    """

    def __init__(self, path: Path, advance: Callable[[int], None], *, durable: bool) -> None:
        self.path = path
        self.position = 0
        self.crc32 = 0
        self._advance = advance
        # Hidden, and in the same folder: only there is a rename one step.
        self.temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._file = os.fdopen(os.open(self.temporary, flags, 0o666), "wb", buffering=0)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._writeback = _Writeback(self._file.fileno()) if durable else None

    def write(self, data: bytes | memoryview) -> None:
        """Append some bytes."""
        self._write(memoryview(data))
        self.crc32 = checksum.crc32(data, self.crc32)

    def copy(self, source: SourceFile, offset: int, size: int) -> int:
        """Append a range of a source file; return the CRC-32 of that range."""
        source.seek(offset)
        part = 0
        remaining = size
        while remaining:
            view = self._buffer[:remaining]
            source.read_next(view)
            part = checksum.crc32(view, part)
            self._write(view)
            remaining -= len(view)
            self._advance(len(view))
        self.crc32 = checksum.crc32_combine(self.crc32, part, size)
        return part

    def close(self) -> None:
        """Close the file, whatever became of it."""
        if self._writeback:
            self._writeback.stop()
        self._file.close()

    def sync(self) -> None:
        """Bring all bytes to the disk."""
        if self._writeback:
            self._writeback.stop()
        os.fsync(self._file.fileno())

    def _write(self, view: memoryview) -> None:
        self.position += len(view)
        if self._writeback:
            self._writeback.follow(self.position)
        while written := self._file.write(view):
            if written == len(view):
                return
            view = view[written:]


class _Writeback:
    """Brings a growing file to the disk while it grows, so that the last fsync has little to do.

    The thread only waits for the disk. What it cannot sync is left to the last fsync, which tells.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._next = WRITEBACK_BYTES
        self._due = threading.Semaphore(0)
        self._stopped = False
        self._thread: threading.Thread | None = None

    def follow(self, position: int) -> None:
        """Say how far the file has grown."""
        if position < self._next:
            return
        self._next = position + WRITEBACK_BYTES
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._due.release()

    def stop(self) -> None:
        """End the thread; the descriptor may be closed after this."""
        self._stopped = True
        if self._thread is not None:
            self._due.release()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            self._due.acquire()
            if self._stopped:
                return
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)


class OutputFolder:
    """A folder that receives files in one transaction. Use it as a context manager.

    Leaving the block without `commit` removes every trace: temporary files, and the folder where
    it was created for this.

    Args:
        path: The folder; it is created, with its parents, where it does not exist.
        advance: Called with the number of bytes that were copied.
        durable: Bring everything to the disk before a file gets its name. Where files that exist
            are replaced, this is done in any case.

    Raises:
        CannotLook: XC111, the folder cannot be written to or the disk is full.
    """

    def __init__(
        self, path: Path, advance: Callable[[int], None], *, durable: bool = False
    ) -> None:
        self.path = path
        self._advance = advance
        self._durable = durable
        self._files: list[OutputFile] = []
        self._created_folders: list[Path] = []
        self._placed: list[Path] = []
        self._committed = False

    def __enter__(self) -> Self:
        with output_errors(self.path):
            try:
                self._create_folders()
            except BaseException:
                self._roll_back()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in self._files:
            file.close()
        if not self._committed:
            self._roll_back()

    def create(self, name: str) -> OutputFile:
        """Begin a file; files are put in place in the order of their creation."""
        file = OutputFile(self.path / name, self._advance, durable=self._durable)
        self._files.append(file)
        return file

    def commit(self, last: tuple[str, ...]) -> None:
        """Put all files in place, those named in `last` at the end and in that order.

        Of these files, those that exist already are removed first, so that a folder never holds a
        model together with the configuration of another one.
        """
        durable = self._durable or any(os.path.lexists(file.path) for file in self._files)
        for file in self._files:
            if durable:
                file.sync()
            file.close()
        for file in self._files:
            if file.path.name in last:
                file.path.unlink(missing_ok=True)
        order = {name: place for place, name in enumerate(last, start=1)}
        for file in sorted(self._files, key=lambda file: order.get(file.path.name, 0)):
            is_new = not os.path.lexists(file.path)
            file.temporary.replace(file.path)
            if is_new:
                self._placed.append(file.path)
        if durable:
            self._sync_folder()
        self._committed = True

    def _create_folders(self) -> None:
        missing = [self.path]
        while not missing[-1].exists() and missing[-1].parent != missing[-1]:
            missing.append(missing[-1].parent)
        for folder in reversed(missing[:-1]):
            folder.mkdir()
            self._created_folders.append(folder)
        if not self.path.is_dir():
            raise NotADirectoryError(20, "Not a directory")

    def _roll_back(self) -> None:
        for path in (*(file.temporary for file in self._files), *reversed(self._placed)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for folder in reversed(self._created_folders):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _sync_folder(self) -> None:
        """Make the renames durable, on systems where a folder can be opened."""
        if os.name == "posix":
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def output_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says about the output into an error for people.

    Raises:
        CannotLook: XC111.
    """
    try:
        yield
    except OSError as error:
        raise CannotLook(
            "XC111",
            f"cannot write to {printable(str(folder), 4096)}: {error.strerror or error}",
            hint="Choose a folder that can be written to and has room with -o; "
            "nothing was left behind.",
        ) from error
