"""Tells a failure for want of disk or memory from one that the versions are to blame for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xcompat.domain.smoke import StageResult

_WORDS = {
    "disk space": re.compile(
        r"\[Errno (?:28|122)\]|No space left on device|Disk quota exceeded"
        r"|not enough space on the disk|database or disk is full"
    ),
    "memory": re.compile(
        r"\bMemoryError\b|\[Errno 12\]|Cannot allocate memory|std::bad_alloc|OutOfMemoryError"
        r"|DefaultCPUAllocator: (?:not enough|can.t allocate) memory|out of memory"
        # The system ends so what takes the last memory; nothing of ours does where it waits.
        r"|killed by SIGKILL"
    ),
}


def lack_in(words: str) -> str:
    """Return what a machine had too little of by the words of an error, or nothing."""
    return next((what for what, known in _WORDS.items() if known.search(words)), "")


def require_machine(stages: Iterable[StageResult]) -> None:
    """Refuse stages of which one failed for want of disk or memory: that is no run to keep.

    Raises:
        CannotLook: XC309.
    """
    for stage in stages:
        lack = lack_in(f"{stage.error}\n{stage.traceback}") if stage.status == "fails" else ""
        if lack:
            raise CannotLook(
                "XC309",
                f"this machine has too little {lack}: {stage.name} ended with `{stage.error}`",
                hint="That says nothing of the versions, so that nothing is recorded or compared. "
                "Free some, and measure again.",
            )
