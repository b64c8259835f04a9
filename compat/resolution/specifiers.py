"""What a person wants to keep, and whether a version is that.

Known issues write specifiers of fewer kinds: `matrix.specifier` reads those, and starts faster.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from packaging.version import Version

from xcompat.domain.versions import parsed

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


@cache
def meets(specifier: str, version: str | None) -> bool:
    """Return whether a version is what a person wants to keep; builds (`+cu128`) do not matter."""
    told = parsed(version)
    if told is None or not specifier:
        return told is not None
    return _set_of(specifier).contains(Version(told.public), prereleases=True)


@cache
def is_satisfiable(specifier: str) -> bool:
    """Return whether any version at all can be what a specifier allows.

    Between two neighbouring bounds all releases are alike, so one of them speaks for all.
    """
    if not specifier:
        return True
    told = _set_of(specifier)
    bounds = [parsed(each.version.removesuffix(".*")) for each in told]
    if any(bound is None or bound.is_prerelease for bound in bounds):
        return True  # Too fine a question: the installer will answer it.
    length = max((len(bound.release) for bound in bounds if bound), default=0)
    between = [
        ".".join(map(str, (*bound.release, *[0] * (length - len(bound.release)), 1)))
        for bound in bounds
        if bound
    ]
    exact = [str(bound) for bound in bounds]
    return any(meets(specifier, version) for version in ("0", *exact, *between))


def exact_in(specifier: str) -> str:
    """Return the version that a specifier names, with its build; empty where it names none."""
    if "==" not in specifier:
        return ""
    exact = (each.version for each in _parts(specifier) if each.operator == "==")
    return next((version for version in exact if not version.endswith("*")), "")


def _set_of(specifier: str) -> SpecifierSet:
    """Return a specifier, without the builds in it."""
    return _parts(re.sub(r"\+[\w.]+", "", specifier))


def _parts(specifier: str) -> SpecifierSet:
    # It takes as long to import as a whole plan may: who keeps nothing does without.
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415

    return SpecifierSet(specifier)
