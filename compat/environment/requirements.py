"""Reads requirements format as pip and uv do: line by line, with the files that they include."""

from __future__ import annotations

import codecs
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from xcompat.domain.versions import parsed
from xcompat.environment.addresses import is_place, named_by
from xcompat.errors import CannotLook, Misuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.markers import Marker
    from packaging.requirements import Requirement

    from xcompat.environment.markers import Markers

_INDEXES: Final = ("-i", "--index-url", "--pypi-url", "--extra-index-url")
_IGNORED: Final = (
    "-f", "--find-links", "--no-index", "--pre", "--all-releases", "--only-final",
    "--prefer-binary", "--only-binary", "--no-binary", "--trusted-host", "--require-hashes",
    "--use-feature", "--no-build-isolation",
)  # fmt: skip
"""Options that say how packages are fetched, not which versions."""
_PLAIN: Final = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*==\s*"
    r"(\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[a-z0-9.]+)?)"
)
"""What `pip freeze` prints; nothing else of `packaging` is needed for it."""
_EDITABLE: Final = re.compile(r"#\s*Editable .*\(([A-Za-z0-9][\w.-]*)==([^\s)]+)\)")
"""What `pip freeze` says above an editable installation that no address names."""
_MAX_PLAIN: Final = 200
_MAX_LINE: Final = 2000
"""Characters; Python refuses to show numbers of more than 4300 digits."""


class Entry(NamedTuple):
    """One distribution as a list names it."""

    name: str
    version: str
    """The one version that it says; empty where it says none, or several."""
    line: str
    place: str
    """File and line, for errors."""
    specifier: str = ""
    """Versions that it allows, where it says none."""
    is_address: bool = False
    """Whether it says from where, and so which, though perhaps not in which version."""
    is_conditional: bool = False
    """Whether it counts for some Pythons only, where the Python is not said."""
    build: str = ""
    """What its own index builds for."""


class Requirements:
    """What requirements say: collected from a text, and from the files that it includes.

    Args:
        markers: Of the target; what does not hold there is passed over.
    """

    def __init__(self, markers: Markers) -> None:
        self.entries: list[Entry] = []
        self.constraints: list[Entry] = []
        """What is only said of a distribution if something else brings it."""
        self.nameless: list[str] = []
        """Lines that bring something, and do not say what."""
        self.elsewhere: list[str] = []
        """Lists that are included, and lie on another machine."""
        self.indexes: list[str] = []
        self._markers = markers
        self._into = self.entries
        self._open: list[Path] = []

    def read_file(self, path: Path, content: bytes | None = None, *, asked_by: str = "") -> None:
        """Read a file.

        Args:
            path: Where it is.
            content: Of it, where it was read already.
            asked_by: File and line that include it.

        Raises:
            CannotLook: `XC204` where it, or a file that it includes, cannot be read.
            Misuse: `XC205` where a line is no requirement.
        """
        place = f"{asked_by}: " if asked_by else ""
        resolved = path.resolve()
        if resolved in self._open:
            raise Misuse("XC205", f"{place}`{path}` includes itself")
        if content is None:
            content = content_of(path, place)
        self._open.append(resolved)
        self.read(decoded(content, f"{place}`{path}`"), str(path), path.parent)
        self._open.pop()

    def read(self, text: str, name: str, folder: Path) -> None:
        """Read a text.

        Args:
            text: In requirements format.
            name: Of its file, for errors.
            folder: From where paths in it lead.

        Raises:
            CannotLook: `XC204` where a file that it includes cannot be read.
            Misuse: `XC205` where a line is no requirement.
        """
        lines = text.splitlines()
        told_above = {n: m for n, x in enumerate(lines, start=2) if (m := _EDITABLE.match(x))}
        for number, line in _logical_lines(lines):
            place = f"{name}:{number}"
            if not line.startswith("-"):
                self._requirement(re.split(r"\s+--(?=[a-z])", line, maxsplit=1)[0], place)
                continue
            option, value = _option(line)
            if option in ("-r", "--requirement", "-c", "--constraint"):
                self._include(option, value, line, folder, place)
            elif option in ("-e", "--editable"):
                if told := told_above.get(number):
                    self._into.append(Entry(told[1], told[2], line, place, is_address=True))
                else:
                    self._requirement(value, place, shown=line)
            elif option in _INDEXES:
                self.indexes.append(value)
            elif option not in _IGNORED:
                raise Misuse(
                    "XC205",
                    f"{place}: the option `{option}` is not understood",
                    hint="leave only lines of the form `name==version`",
                )

    def _include(self, option: str, value: str, line: str, folder: Path, place: str) -> None:
        if re.match(r"https?:", value):
            self.elsewhere.append(line)
            return
        before = self._into
        if option in ("-c", "--constraint"):
            self._into = self.constraints
        self.read_file(folder / value.removeprefix("file://"), asked_by=place)
        self._into = before

    def _requirement(self, line: str, place: str, shown: str = "") -> None:
        if len(line) < _MAX_PLAIN and (plain := _PLAIN.fullmatch(line)):
            self._into.append(Entry(plain[1], plain[2], line, place))
            return
        if len(line) > _MAX_LINE:
            raise Misuse("XC205", f"{place}: the line has more than {_MAX_LINE:,} characters")
        shown = shown or line
        if is_place(line):
            self._address(line, place, shown)
            return
        requirement = _parse(line, place)
        holds = self._markers.evaluate(requirement.marker)
        if holds is False:
            return
        version = _exact_version(requirement)
        self._into.append(
            Entry(
                requirement.name,
                version,
                shown,
                place,
                specifier="" if version else str(requirement.specifier),
                is_address=requirement.url is not None,
                is_conditional=holds is None,
            )
        )

    def _address(self, line: str, place: str, shown: str) -> None:
        address, _, condition = re.sub(r"\s;\s*", "\0", line).partition("\0")
        holds = self._markers.evaluate(_marker(condition, place)) if condition else True
        if holds is False:
            return
        name, version = named_by(address)
        if name:
            told = Entry(name, version, shown, place, is_address=True, is_conditional=holds is None)
            self._into.append(told)
        else:
            self.nameless.append(shown)


def content_of(path: Path, place: str = "") -> bytes:
    """Return what a file holds.

    Args:
        path: Where it is.
        place: Beginning of the error: who asks for it.

    Raises:
        CannotLook: `XC204`.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CannotLook(
            "XC204", f"{place}cannot read `{path}`: {error.strerror}", hint="check the path"
        ) from error


def decoded(content: bytes, what: str) -> str:
    """Return the text of a list.

    Raises:
        CannotLook: `XC204` where it is none.
    """
    try:
        # PowerShell 5 writes `pip freeze > file` as UTF-16, which pip reads as well.
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotLook("XC204", f"{what} is not text", hint="save it as UTF-8") from error


def _logical_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, text), continuations joined, comments removed."""
    joined, start = "", 0
    for number, line in enumerate([*lines, ""], start=1):
        start = start if joined else number
        stripped = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if stripped.endswith("\\"):
            joined += stripped[:-1] + " "
            continue
        whole = (joined + stripped).strip()
        joined = ""
        if whole:
            yield start, re.sub(r"\$\{([A-Z0-9_]+)\}", _variable, whole)


def _variable(match: re.Match[str]) -> str:
    """Return what stands in place of `${NAME}`, as for pip."""
    return os.environ.get(match[1]) or match[0]


def _option(line: str) -> tuple[str, str]:
    option, value = line[:2], line[2:]
    if option == "--":
        option, value = re.split(r"(?=[\s=]|$)", line, maxsplit=1)
    return option, value.lstrip("= \t").strip().strip("'\"")


def _parse(line: str, place: str) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    try:
        return Requirement(line)
    except (InvalidRequirement, RecursionError) as error:
        raise _no_requirement(line, place) from error


def _marker(text: str, place: str) -> Marker:
    from packaging.markers import InvalidMarker, Marker  # noqa: PLC0415

    try:
        return Marker(text)
    except (InvalidMarker, RecursionError) as error:
        raise _no_requirement(text, place) from error


def _no_requirement(text: str, place: str) -> Misuse:
    return Misuse(
        "XC205",
        f"{place}: `{text[:200]}` is not a requirement",
        hint="write `name==version`; `pip freeze` prints an environment that way",
    )


def _exact_version(requirement: Requirement) -> str:
    """Return the one version that is allowed, or that an address names, or nothing."""
    if requirement.url:
        return named_by(requirement.url)[1]
    pins = {s.version for s in requirement.specifier if s.operator in ("==", "===")}
    version = pins.pop() if len(pins) == 1 else ""
    if version.endswith(".*"):
        return ""
    agrees = len(requirement.specifier) == 1 or (
        parsed(version) is not None and requirement.specifier.contains(version, prereleases=True)
    )
    return version if agrees else ""
