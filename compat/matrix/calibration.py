"""How often answers of each kind were right, as `nox -s calibration` measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.domain import Trials
from xcompat.matrix.tables import BadTable, json_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def trials_of(text: str) -> Mapping[tuple[str, str, str, str], Trials]:
    """Return how answers were judged: by what was left out, column, capability and basis.

    Raises:
        BadTable: It is not what `nox -s calibration` writes.
    """
    rows = json_of(text)
    trials: dict[tuple[str, str, str, str], Trials] = {}
    try:
        for left, column, capability, basis, right, wrong, unknown in rows:  # type: ignore[attr-defined]
            trials[left, column, capability, basis] = Trials(right, wrong, unknown)
    except (TypeError, ValueError) as error:
        raise BadTable("", f"not a table of trials: {error}") from error
    return trials
