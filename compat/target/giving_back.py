"""Give memory that was freed back to the system, where the C library keeps it."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any


def give_back(device: Any) -> None:
    """Let glibc return what lies free between blocks in use; elsewhere do nothing.

    Nor where a card computes, which has memory of its own.

    Sounds of ever new lengths leave holes in the heap that no later one fills: glibc maps a block
    of its own for each large tensor only until the first one was freed.
    """
    trim = _trim()
    if trim is not None and device.type == "cpu":
        trim(0)


@functools.lru_cache(maxsize=None)
def _trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
