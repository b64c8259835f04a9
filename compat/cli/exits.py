"""What a verdict tells the caller."""

from __future__ import annotations

from typing import Final

from xcompat.errors import ExitCode

VERDICT_EXIT: Final = {
    "compatible": ExitCode.YES,
    "incompatible": ExitCode.NO,
    "unknown": ExitCode.UNKNOWN,
    "clear": ExitCode.YES,
    "obstacles": ExitCode.NO,
}
