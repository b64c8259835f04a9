"""Reads lists of distributions as people have them: what an environment would hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from xcompat.domain import FAMILY, Environment, distribution_name, minor_of
from xcompat.domain.versions import parsed
from xcompat.environment.addresses import build_of_index
from xcompat.environment.completeness import (
    INSTALLERS,
    header_of,
    is_freeze,
    may_hold_what_decides,
    pins_of_table,
)
from xcompat.environment.markers import Markers
from xcompat.environment.pylock import entries_of_pylock, is_pylock
from xcompat.environment.requirements import Entry, Requirements, content_of, decoded
from xcompat.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xcompat.environment.completeness import Header

_BUILT: Final = ("torch", "torchaudio")
_NEEDED: Final = ("torch", "torchaudio", "transformers", "numpy")
"""What every TTS needs: a constraint on it counts, whether or not it is named elsewhere."""
_SHOWN: Final = 3
_SHOWN_CHARACTERS: Final = 60
_SECRET: Final = re.compile(r"(://)[^/@\s]+@")


class Pins(NamedTuple):
    """What a list says."""

    environment: Environment
    """What it names; a version that it does not say is empty."""
    addresses: Mapping[str, str]
    """Distribution to the place and the line that bring it from an address without a version."""


def pins_of(
    file: str, stdin: BinaryIO, *, python: str, platform: str, complete: bool | None = None
) -> Pins:
    """Return what a list of distributions says: requirements, a freeze, a lock, `pip list`.

    Args:
        file: Path of the list, or `-`.
        stdin: Where `-` reads from.
        python: Version of the Python that it is meant for; empty where that is not said.
        platform: Platform that it is meant for.
        complete: Whether it names all that is installed; None recognises that by its content.

    Raises:
        CannotLook: `XC204` where a file cannot be read.
        Misuse: `XC205` where a line is none that an installer takes, or two contradict each other.
    """
    content = stdin.read() if file == "-" else content_of(Path(file))
    name = "<stdin>" if file == "-" else file
    text = decoded(content, "standard input" if file == "-" else f"`{file}`")
    header = header_of(text)
    python_said = python or header.python
    markers = Markers(python_said, platform)
    told = Requirements(markers)
    why = ""
    if is_pylock(text):
        why = "it is a pylock.toml"
        told.entries = entries_of_pylock(text, name, markers)
    elif table := pins_of_table(text):
        why = "it is a table of pip list"
        told.read(table, name, Path())
    elif file == "-":
        told.read(text, name, Path())
    else:
        told.read_file(Path(file), content)
    found = _Found(told, platform)
    why = why or _why_complete(header, found)
    is_complete = bool(why) if complete is None else complete
    notes = found.notes()
    if header.python and not python:
        notes.append(f"for Python {header.python}, as its header says")
    if why and complete is None:
        notes.append(f"taken for all that is installed: {why}; --partial says otherwise")
    environment = Environment(
        python=python_said,
        platform=platform,
        packages=found.packages,
        source=name,
        complete=is_complete,
        builds=found.builds,
        ranges=found.ranges,
        unlisted=_unlisted(header, found.packages, python_said) if is_complete else frozenset(),
        notes=tuple(notes),
        places=found.places,
    )
    return Pins(environment, found.addresses)


class _Found:
    """The entries of a list, put together by distribution."""

    def __init__(self, told: Requirements, platform: str) -> None:
        self.packages: dict[str, str] = {}
        self.ranges: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self.places: dict[str, str] = {}
        self.builds: dict[str, str] = {}
        self.told = told
        self._unsaid: list[str] = []
        self._undecided: list[str] = []
        constraints = _by_name(told.constraints)
        entries = _by_name(told.entries)
        for name, group in entries.items():
            self._put(name, group, constraints.pop(name, []))
        if FAMILY & self.packages.keys():
            for name in _NEEDED:
                for each in constraints.pop(name, []):
                    self.places.setdefault(name, each.place)
                    if each.version:
                        self.packages[name] = each.version
                    elif each.specifier:
                        self._allow(name, each.specifier)
        self._left_over = len(constraints)
        self._set_builds(entries, platform)

    def notes(self) -> list[str]:
        """Return what the list does not say, in a sentence each."""
        notes = list(self._undecided)
        if self._unsaid:
            notes.append(f"no version is said by {_counted(self._unsaid)}")
        if self.told.nameless:
            notes.append(f"what they bring is not said by {_counted(self.told.nameless)}")
        if self.told.elsewhere:
            notes.append(f"lies elsewhere and was not read: {_counted(self.told.elsewhere)}")
        if self._left_over:
            notes.append(
                f"constraints on {self._left_over} distributions that nothing names are left out"
            )
        return notes

    def has_wishes(self) -> bool:
        """Return whether anything is named that can be had in several versions."""
        return any(
            not version and name not in self.addresses for name, version in self.packages.items()
        )

    def _put(self, name: str, group: Sequence[Entry], constraints: Sequence[Entry]) -> None:
        versions = {each.version: each for each in group if each.version}
        if not versions:
            versions = {each.version: each for each in constraints if each.version}
        if len(versions) > 1:
            first, second = list(versions.values())[:2]
            if not any(each.is_conditional for each in versions.values()):
                raise Misuse(
                    "XC205",
                    f"{second.place}: {name} is pinned to {second.version}, "
                    f"and to {first.version} at {first.place}",
                )
            self._undecided.append(
                f"{name} is {' or '.join(versions)}, which depends on the Python: --python-version"
            )
        self.packages[name] = next(iter(versions)) if len(versions) == 1 else ""
        self.places[name] = next(iter(versions.values()), group[0]).place
        if versions:
            return
        self._unsaid.append(group[0].line)
        for each in (*group, *constraints):
            if each.specifier:
                self._allow(name, each.specifier)
        if address := next((each for each in group if each.is_address), None):
            self.addresses[name] = f"{address.place}: `{address.line}`"

    def _allow(self, name: str, specifier: str) -> None:
        both = filter(None, (self.ranges.get(name, ""), specifier))
        self.ranges[name] = ",".join(both)

    def _set_builds(self, entries: Mapping[str, Sequence[Entry]], platform: str) -> None:
        """Say what torch is built for: its version says it, or an index that has one build only."""
        builds = {build for each in self.told.indexes if (build := build_of_index(each))}
        for name in _BUILT:
            local = self.packages.get(name, "").partition("+")[2]
            own = builds | {each.build for each in entries.get(name, ()) if each.build}
            if local:
                self.builds[name] = local
            elif name in self.packages and len(own) == 1 and not platform.startswith("macosx"):
                (self.builds[name],) = own


def _by_name(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for each in entries:
        groups.setdefault(distribution_name(each.name), []).append(each)
    return groups


def _why_complete(header: Header, found: _Found) -> str:
    """Return by what requirements show that they name all that is installed, or nothing."""
    told = found.told
    if found.has_wishes() or told.elsewhere or may_hold_what_decides(told.nameless):
        return ""
    if header.compiler:
        return f"its header names {header.compiler}"
    if is_freeze(found.packages):
        return "it names what only installers bring, as pip freeze does"
    return ""


def _unlisted(header: Header, packages: Mapping[str, str], python: str) -> frozenset[str]:
    """Return what can be installed though a complete list does not name it."""
    left_out = frozenset(map(distribution_name, header.left_out))
    version = parsed(minor_of(python))
    if "pip" in packages:
        usual: frozenset[str] = frozenset()
    elif not header.compiler and version and version.release >= (3, 12):
        usual = frozenset({"pip"})
    else:
        usual = INSTALLERS
    return (usual | left_out) - packages.keys()


def _counted(lines: Sequence[str]) -> str:
    """Return the first of some lines, and how many there are, in one line without secrets."""
    shown = [_SECRET.sub(r"\1", " ".join(line.split())) for line in lines[:_SHOWN]]
    cut = [x if len(x) <= _SHOWN_CHARACTERS else f"{x[: _SHOWN_CHARACTERS - 1]}…" for x in shown]
    more = len(lines) - len(cut)
    return ", ".join(cut) + (f" and {more} more" if more else "")
