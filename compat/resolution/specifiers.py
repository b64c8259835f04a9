"""What a person wants to keep, and whether a version is that.

Known issues write specifiers of fewer kinds: `matrix.specifier` reads those, and starts faster.
"""

from __future__ import annotations

import re
from functools import cache

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from xcompat.domain.versions import parsed


@cache
def meets(specifier: str, version: str | None) -> bool:
    """Return whether a version is what a person wants to keep; builds (`+cu128`) do not matter."""
    told = parsed(version)
    without_builds = re.sub(r"\+[\w.]+", "", specifier)
    return told is not None and SpecifierSet(without_builds).contains(
        Version(told.public), prereleases=True
    )


@cache
def is_satisfiable(specifier: str) -> bool:
    """Return whether any version at all can be what a specifier allows.

    Between two neighbouring bounds all releases are alike, so one of them speaks for all.
    """
    told = SpecifierSet(re.sub(r"\+[\w.]+", "", specifier))
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
