"""A thread that brings a growing file to the disk."""

from __future__ import annotations

import contextlib
import os
import threading
from queue import SimpleQueue
from typing import Final

from xcompat.converters.files.interrupts import held

WRITEBACK_BYTES: Final = 32 << 20
"""How much is written between two requests to the disk."""


class Writeback:
    """Brings a growing file to the disk while it grows, so that the last fsync has little to do.

    The thread only waits for the disk. What it cannot sync is left to the last fsync, which tells.
    It is told by a queue made in C: an interrupt in the middle of a semaphore, which is made in
    Python, can leave it locked for ever.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._next = WRITEBACK_BYTES
        self._due: SimpleQueue[None] = SimpleQueue()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def follow(self, position: int) -> None:
        """Say how far the file has grown."""
        if position < self._next:
            return
        self._next = position + WRITEBACK_BYTES
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            with held():
                self._thread.start()
        self._due.put(None)

    def stop(self) -> None:
        """End the thread; the descriptor may be closed after this."""
        self._stopped = True
        if self._thread is not None and self._thread.is_alive():
            self._due.put(None)
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._due.get()
            if self._stopped:
                return
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)
