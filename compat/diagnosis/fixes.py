"""Which ways out of a known issue are meant for an environment, by the releases that they name.

Pure. A way out is a command, whose remark behind `  # ` may begin with the releases that it is for
(`TTS 0.20.1 to 0.22.0, coqui-tts 0.24.1`), or a sentence. What is uninstalled belongs to what is
installed after it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import Version

from xcompat.domain import SAME_FILES
from xcompat.domain.versions import parsed, release

if TYPE_CHECKING:
    from xcompat.domain import Environment, KnownIssue

_RELEASE = re.compile(
    r"(TTS|coqui-tts|torch|Python)"
    r"(?: (\d[\d.]*\d)(?: (?:to|and) (\d[\d.]*\d))?( and newer| and before)?)?(?=$|[,:;])"
)


def fixes_for(issue: KnownIssue, environment: Environment) -> tuple[str, ...]:
    """Return the ways out that may be meant for an environment; all of them where none is."""
    kept: list[str] = []
    held: list[str] = []
    for fix in issue.fixes:
        if "pip uninstall " in fix:
            held.append(fix)
            continue
        if is_meant(fix, environment):
            kept += [*held, fix]
        held = []
    return (*kept, *held) if kept else issue.fixes


def is_meant(fix: str, environment: Environment) -> bool:
    """Return whether nothing that a way out names speaks against an environment."""
    remark = fix.partition("  # ")[2]
    if remark.startswith("Linux on ARM"):
        return environment.platform in ("", "linux-aarch64")
    named = _named(remark)
    if not named:
        return True
    told = [_holds(each, environment) for each in named]
    return any(each is not False for each in told)


def _named(remark: str) -> list[tuple[str, ...]]:
    """Return the releases that a remark begins with."""
    found: list[tuple[str, ...]] = []
    while match := _RELEASE.match(remark):
        found.append(match.groups(""))
        remark = remark[match.end() :].lstrip(",").lstrip()
    return found


def _holds(named: tuple[str, ...], environment: Environment) -> bool | None:
    """Return whether an environment has a release; None where it does not say."""
    name, low, high, how = named
    said = environment.python if name == "Python" else environment.packages.get(name)
    version = parsed(said)
    if version is None:
        family = SAME_FILES[0] if name in SAME_FILES[0] else ()
        other = any(each in environment.packages for each in family if each != name)
        return False if other or (environment.complete and name != "Python") else None
    if not low:
        return True
    number = release(version)
    # `torch 2.9` means each 2.9.x.
    series = Version(".".join(map(str, number.release[: max(low.count("."), 1) + 1])))
    if how == " and newer":
        return series >= Version(low)
    if how == " and before":
        return series <= Version(low)
    if high:
        return Version(low) <= series <= Version(high)
    return series == Version(low)
