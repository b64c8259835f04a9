"""Leaves out of a diagnosis what its user has dealt with: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.diagnosis.doctor import verdict_of

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from xcompat.domain import CapabilityStatus, Diagnosis


def without(diagnosis: Diagnosis, codes: AbstractSet[str]) -> Diagnosis:
    """Return the diagnosis without the findings of those codes.

    What fails for nothing else does not count any more. That is not to say that it works: the
    statuses stay as they are, and where nothing is left that counts, the verdict is unknown.
    """
    needed = tuple(
        name for name in diagnosis.needed if not _fails_for(codes, diagnosis.capabilities[name])
    )
    return diagnosis._replace(
        needed=needed,
        verdict=verdict_of(diagnosis.capabilities, needed) if needed else "unknown",
        findings=tuple(each for each in diagnosis.findings if each.issue.code not in codes),
        ignored=tuple(each for each in diagnosis.findings if each.issue.code in codes),
    )


def _fails_for(codes: AbstractSet[str], told: CapabilityStatus) -> bool:
    """Return whether a capability fails, and for nothing but these."""
    return told.status == "fails" and bool(told.issues) and codes >= set(told.issues)
