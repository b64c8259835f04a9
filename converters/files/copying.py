"""Reads ranges of a file, computes the checksum of each, and writes them one behind the other.

Two threads share the work, a window at a time: reading, the checksum and writing all run without
the interpreter's lock. What is checked is what is written: each byte passes through one buffer.
"""

from __future__ import annotations

import os
import threading
from array import array
from typing import TYPE_CHECKING, Final

from xcompat.converters.files import checksum
from xcompat.converters.files.interrupts import held
from xcompat.converters.files.source import BUFFER_BYTES, copy_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xcompat.converters.files.source import SourceFile

WINDOW_BYTES: Final = 8 << 20
_WINDOW_RANGES: Final = 1000


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads() -> int:
    """Return how many threads pay: of more than two, writes to one file let only two work."""
    # Without these, both move the one position that a file has.
    independent = hasattr(os, "preadv") and hasattr(os, "pwrite")
    return min(2, processors()) if independent else 1


class Ranges:
    """Parts of a file, in the order in which they are wanted: 16 bytes of memory for each.

    Attributes:
        total: Their bytes together.
    """

    def __init__(self) -> None:
        self._offsets = array("Q")
        self._sizes = array("Q")
        self.total = 0

    def append(self, offset: int, size: int) -> None:
        """Add a part that begins at `offset`."""
        self._offsets.append(offset)
        self._sizes.append(size)
        self.total += size

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._offsets, self._sizes, strict=True)


def transfer(
    source: SourceFile,
    ranges: Ranges,
    write: Callable[[memoryview, int], None] | None = None,
    advance: Callable[[int], None] | None = None,
    begin: int = 0,
) -> array[int]:
    """Return the CRC-32 of each range, and write them all where that is asked for.

    Args:
        source: What is read.
        ranges: Parts of it.
        write: Writes bytes at an offset of the output, from several threads.
        advance: Called, by the caller's thread, with the bytes that were read since the last call.
        begin: Offset in the output of the first range.

    Raises:
        Corruption: XC102, the source ends too early.
        CannotLook: XC112, the system cannot read it.
        OSError: What `write` raises.
    """
    crew = _Crew(source, ranges, write, advance, begin)
    return _joined(ranges, begin, crew.results())


def _windows(ranges: Ranges, begin: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield where each window begins in the output, and the parts of ranges in it.

    Windows end where buffers do, so that no page is written by two threads.
    """
    at = position = begin
    parts: list[tuple[int, int]] = []
    for offset, size in ranges:
        while size:
            part = min(size, WINDOW_BYTES - position % WINDOW_BYTES)
            parts.append((offset, part))
            offset += part  # noqa: PLW2901 - the rest of the range
            size -= part  # noqa: PLW2901
            position += part
            if position % WINDOW_BYTES == 0 or len(parts) == _WINDOW_RANGES:
                yield at, parts
                at = position
                parts = []
    if parts:
        yield at, parts


def _joined(ranges: Ranges, begin: int, results: list[array[int]]) -> array[int]:
    """Combine the checksums of parts into those of ranges."""
    parts = (
        (size, crc32)
        for (_, window), checksums in zip(_windows(ranges, begin), results, strict=True)
        for (_, size), crc32 in zip(window, checksums, strict=True)
    )
    found = array("I")
    for _, size in ranges:
        done = crc32 = 0
        while done < size:
            more, part = next(parts)
            crc32 = checksum.crc32_combine(crc32, part, more)
            done += more
        found.append(crc32)
    return found


class _Crew:
    """The threads of one transfer, of which the caller's is one."""

    def __init__(
        self,
        source: SourceFile,
        ranges: Ranges,
        write: Callable[[memoryview, int], None] | None,
        advance: Callable[[int], None] | None,
        begin: int,
    ) -> None:
        self._source = source
        self._write = write
        self._advance = advance
        self._windows = enumerate(_windows(ranges, begin))
        self._lock = threading.Lock()
        self._found: dict[int, array[int]] = {}
        self._helpers = [
            threading.Thread(target=self._help, daemon=True)
            for _ in range(1, min(_threads(), -(-ranges.total // WINDOW_BYTES)))
        ]
        self._failure: BaseException | None = None
        self._stopped = False
        self._told = 0
        self._done = 0

    def results(self) -> list[array[int]]:
        """Do the work; return the checksums of the parts in each window."""
        try:
            with held():  # an interrupt in the middle of a start would lose a thread
                for helper in self._helpers:
                    helper.start()
            self._work(self._tell)
        except BaseException:
            self._stopped = True
            raise
        finally:
            for helper in self._helpers:
                if helper.is_alive():
                    helper.join()
        if self._failure:
            raise self._failure
        self._tell()
        return [self._found[number] for number in range(len(self._found))]

    def _tell(self) -> None:
        done = self._done
        if self._advance and done > self._told:
            self._advance(done - self._told)
            self._told = done

    def _help(self) -> None:
        try:
            self._work(None)
        except BaseException as error:
            self._failure = error
            self._stopped = True

    def _work(self, tell: Callable[[], None] | None) -> None:
        buffer = copy_buffer()
        while not self._stopped:
            with self._lock:
                number, (at, parts) = next(self._windows, (-1, (0, [])))
            if number < 0:
                return
            self._found[number] = self._pass_on(buffer, at, parts, tell)

    def _pass_on(
        self,
        buffer: memoryview,
        at: int,
        parts: list[tuple[int, int]],
        tell: Callable[[], None] | None,
    ) -> array[int]:
        """Read the parts of a window, write them at `at`, and return their checksums."""
        found = array("I")
        filled = 0
        # Writes that end where pages do are faster.
        room = BUFFER_BYTES - at % BUFFER_BYTES
        for offset, size in parts:
            crc32 = 0
            while size:
                piece = buffer[filled : min(filled + size, room)]
                self._source.read_into(offset, piece)
                crc32 = checksum.crc32(piece, crc32)
                offset += len(piece)  # noqa: PLW2901 - the rest of the part
                size -= len(piece)  # noqa: PLW2901
                filled += len(piece)
                if filled == room:
                    self._flush(buffer[:filled], at, tell)
                    at += filled
                    filled = 0
                    room = BUFFER_BYTES
                    if self._stopped:
                        return found
            found.append(crc32)
        self._flush(buffer[:filled], at, tell)
        return found

    def _flush(self, filled: memoryview, at: int, tell: Callable[[], None] | None) -> None:
        if self._write:
            self._write(filled, at)
        with self._lock:
            self._done += len(filled)
        if tell:
            tell()
