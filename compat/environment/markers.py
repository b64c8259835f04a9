"""Evaluates environment markers for a target that is known in part."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from xcompat.domain import minor_of

if TYPE_CHECKING:
    from packaging.markers import Marker

_MINORS: Final = tuple(f"3.{minor}" for minor in range(8, 16))
"""Pythons that a list can be meant for where it does not say for which."""


class Markers:
    """Markers of one target.

    Args:
        python: Its version, of which the last number or all can be missing.
        platform: Its platform.
    """

    def __init__(self, python: str, platform: str) -> None:
        minors = (minor_of(python),) if python else _MINORS
        full = (python,) if python.count(".") > 1 else [f"{m}.{p}" for m in minors for p in (0, 99)]
        where = _of_platform(platform)
        self._targets = [
            {**where, "python_full_version": each, "python_version": minor_of(each)}
            for each in full
        ]
        self._evaluated = cache(self._evaluate)

    def evaluate(self, marker: Marker | None) -> bool | None:
        """Return whether a marker holds; None where that depends on a Python that is not said.

        One that only the target itself could evaluate holds.
        """
        return True if marker is None else self._evaluated(marker)

    def _evaluate(self, marker: Marker) -> bool | None:
        from packaging.markers import UndefinedComparison, UndefinedEnvironmentName  # noqa: PLC0415

        try:
            told = {marker.evaluate(target) for target in self._targets}
        except (UndefinedComparison, UndefinedEnvironmentName):
            return True
        return told.pop() if len(told) == 1 else None


def _of_platform(platform: str) -> dict[str, str]:
    """Return what a platform decides; this machine stands for the rest."""
    system, _, machine = platform.partition("-")
    names = {"linux": ("linux", "Linux", "posix"), "macosx": ("darwin", "Darwin", "posix")}
    sys_platform, platform_system, os_name = names.get(system, ("win32", "Windows", "nt"))
    return {
        "sys_platform": sys_platform,
        "platform_system": platform_system,
        "os_name": os_name,
        "platform_machine": machine.upper() if machine == "amd64" else machine,
        "extra": "",
    }
