"""What a verdict tells the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xcompat.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

VERDICT_EXIT: Final = {
    "compatible": ExitCode.YES,
    "incompatible": ExitCode.NO,
    "unknown": ExitCode.UNKNOWN,
    "clear": ExitCode.YES,
    "obstacles": ExitCode.NO,
}

_WORST_LAST: Final = (
    ExitCode.YES,
    ExitCode.UNKNOWN,
    ExitCode.NO,
    ExitCode.COULD_NOT_LOOK,
    ExitCode.BUG,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return what is told of many where only one can be told."""
    return max(codes, key=_WORST_LAST.index)
