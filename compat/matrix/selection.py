"""Chooses recorded runs: `--tts coqui-tts>=0.27 --torch 2.9 --capability stream`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from xcompat.domain import distribution_name
from xcompat.errors import Misuse
from xcompat.matrix.specifier import clauses, contains

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.domain import Capability, Matrix, Run

_FAMILY = ("TTS", "coqui-tts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What runs shall be shown; what is empty chooses all."""

    tts: str = ""
    """`TTS`, `coqui-tts`, a version (`0.22.0`), or both (`coqui-tts>=0.27`)."""
    versions: Mapping[str, str]
    """Distribution to version (`2.9` is 2.9.*) or specifier (`>=2.9,<2.11`)."""
    platform: str = ""
    capability: Capability | None = None

    def of(self, matrix: Matrix) -> Matrix:
        """Return the matrix with the chosen runs only, and the rows that cite one of them.

        Raises:
            Misuse: `XC233`, a version is none.
        """
        runs = tuple(run for run in matrix.runs if self._chooses(run))
        chosen = {run.id for run in runs}
        rows = tuple(row for row in matrix.rows if chosen & set(row.runs))
        return matrix._replace(runs=runs, rows=rows)

    def _chooses(self, run: Run) -> bool:
        packages = run.environment.packages
        return (
            (not self.tts or _has_family(packages, self.tts))
            and all(_matches(packages.get(name), wanted) for name, wanted in self.versions.items())
            and self.platform in ("", run.environment.platform)
            and (self.capability is None or self.capability in run.capabilities)
        )


def _has_family(packages: Mapping[str, str], wanted: str) -> bool:
    start = next((i for i, char in enumerate(wanted) if char in "<>=!~" or char.isdigit()), None)
    name, version = (wanted, "") if start is None else (wanted[:start], wanted[start:])
    names = (distribution_name(name.strip()),) if name.strip() else _FAMILY
    if names[0] not in _FAMILY:
        raise Misuse(
            "XC233",
            f"`{name.strip()}` is not a TTS distribution",
            hint="write TTS, coqui-tts, or for example coqui-tts>=0.27",
        )
    return any(_matches(packages.get(each), version) for each in names)


def _matches(version: str | None, wanted: str) -> bool:
    if version is None or wanted == "absent":
        return version is None and wanted == "absent"
    specifier = f"=={wanted}.*" if wanted[:1].isdigit() else wanted
    try:
        clauses(specifier)
    except ValueError as error:
        raise Misuse(
            "XC233", str(error), hint="write a version such as 2.9, or for example >=2.9,<2.11"
        ) from error
    try:
        return contains(specifier, Version(Version(version).base_version))
    except InvalidVersion:
        return False
