"""Version specifiers as known issues write them: `>=4.52,<4.57`, `==2.9.*`.

`packaging.specifiers` understands far more, and takes as long to import as a diagnosis may take
beside `rich`. What is here agrees with it, for releases: a test compares the two.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

_CLAUSE: Final = re.compile(r"\s*(==|!=|>=|<=|>|<)\s*(\d+(?:\.\d+)*)(\.\*)?\s*")
_HOLDS: Final[dict[str, Callable[[Version, Version], bool]]] = {
    ">=": lambda version, bound: version >= bound,
    "<=": lambda version, bound: version <= bound,
    ">": lambda version, bound: version > bound,
    "<": lambda version, bound: version < bound,
    "==": lambda version, bound: version == bound,
    "!=": lambda version, bound: version != bound,
}


@cache
def clauses(specifier: str) -> tuple[tuple[str, Version, bool], ...]:
    """Return the parts of a specifier: operator, version, and whether it ends in `.*`.

    Raises:
        ValueError: it is not a specifier, or one of a kind that no known issue needs.
    """
    parts = []
    for text in specifier.split(",") if specifier.strip() else ():
        match = _CLAUSE.fullmatch(text)
        if match is None or (match[3] and match[1] not in ("==", "!=")):
            raise ValueError(f"`{text.strip()}` is not a version specifier")
        parts.append((match[1], Version(match[2]), bool(match[3])))
    return tuple(parts)


def contains(specifier: str, version: Version) -> bool:
    """Return whether all parts of a specifier hold for a release."""
    return all(_clause_holds(*clause, version) for clause in clauses(specifier))


def _clause_holds(operator: str, bound: Version, is_prefix: bool, version: Version) -> bool:  # noqa: FBT001
    if is_prefix:
        length = len(bound.release)
        padded = (*version.release, *[0] * length)[:length]
        return (padded == bound.release) is (operator == "==")
    return _HOLDS[operator](version, bound)
