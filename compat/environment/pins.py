"""Reads requirements format: what an environment would hold, without installing."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from xcompat.domain import DECIDING, Environment, distribution_name, minor_of
from xcompat.errors import CannotLook, Misuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.requirements import Requirement

_IGNORED_OPTIONS = (
    "-i", "--index-url", "--extra-index-url", "--find-links", "-f", "--no-index", "--pre",
    "--prefer-binary", "--only-binary", "--no-binary", "--trusted-host", "--require-hashes",
    "--use-feature", "--no-build-isolation",
)  # fmt: skip
"""Options that say where packages come from, not which versions."""
_PLAIN = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*==\s*"
    r"(\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[a-z0-9.]+)?)"
)
"""What `pip freeze` prints; nothing else of `packaging` is needed for it."""
_EDITABLE = ("-e", "--editable")
_MAX_PLAIN = 200
_MAX_LINE = 2000
"""Characters; Python refuses to show numbers of more than 4300 digits."""


def environment_of_pins(file: str, stdin: BinaryIO, *, python: str, platform: str) -> Environment:
    """Return the Environment that a requirements file pins; `-` reads `stdin`.

    Args:
        file: Path of the requirements file, or `-`.
        stdin: Where `-` reads from.
        python: Version of the Python that it is meant for; empty where that is not said.
        platform: Platform that it is meant for.

    Raises:
        CannotLook: `XC204` where a file cannot be read.
        Misuse: `XC205` where a line is not an exact pin.
    """
    reader = _Reader(python, platform, strict=True)
    environment, loose = _read(reader, file, stdin, python, platform)
    for name, (place, specifier) in loose.items():
        raise Misuse(
            "XC205",
            f"{place}: `{name}{specifier}` does not pin one version",
            hint="write `name==version`; `pip freeze` prints an environment that way",
        )
    return environment


def environment_of_requirements(
    file: str, stdin: BinaryIO, *, python: str, platform: str
) -> tuple[Environment, dict[str, tuple[str, str]]]:
    """Return what a requirements file pins, and (place, specifier) of each name that it does not.

    Args, and errors: as for `environment_of_pins`, but lines need not be exact pins. Folders and
    addresses that do not say what they hold are passed over.
    """
    return _read(_Reader(python, platform, strict=False), file, stdin, python, platform)


def _read(
    reader: _Reader, file: str, stdin: BinaryIO, python: str, platform: str
) -> tuple[Environment, dict[str, tuple[str, str]]]:
    if file == "-":
        reader.read(_text(stdin.read(), "standard input"), "<stdin>", Path())
    else:
        reader.read_file(Path(file), asked_by="")
    environment = Environment(
        python=python,
        platform=platform,
        packages=reader.packages,
        source="<stdin>" if file == "-" else file,
        complete=False,
        builds={
            name: reader.packages[name].partition("+")[2]
            for name in ("torch", "torchaudio")
            if "+" in reader.packages.get(name, "")
        },
    )
    loose = {n: told for n, told in reader.loose.items() if n not in reader.packages}
    return environment, loose


class _Reader:
    """Collects pins, and what is not pinned, from a file and from the files that it includes."""

    def __init__(self, python: str, platform: str, *, strict: bool) -> None:
        self._strict = strict
        self.packages: dict[str, str] = {}
        self.loose: dict[str, tuple[str, str]] = {}
        self._marker_environment = _marker_environment(python, platform)
        self._pinned_at: dict[str, str] = {}
        self._open: list[Path] = []

    def read_file(self, path: Path, asked_by: str) -> None:
        place = f"{asked_by}: " if asked_by else ""
        resolved = path.resolve()
        if resolved in self._open:
            raise Misuse("XC205", f"{place}`{path}` includes itself")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CannotLook(
                "XC204", f"{place}cannot read `{path}`: {error.strerror}", hint="check the path"
            ) from error
        self._open.append(resolved)
        self.read(_text(content, f"{place}`{path}`"), str(path), path.parent)
        self._open.pop()

    def read(self, text: str, name: str, folder: Path) -> None:
        for number, line in _logical_lines(text):
            place = f"{name}:{number}"
            option, _, value = line.replace("=", " ", 1).partition(" ")
            if option in ("-r", "--requirement") or re.match(r"-r\S", line):
                self.read_file(folder / (value.strip() or line[2:].strip()), place)
            elif option in _EDITABLE and not self._strict:
                self._pass_over(_egg(line), line, place)
            elif not line.startswith("-"):
                self._pin(line, place)
            elif option not in _IGNORED_OPTIONS and not re.match(r"-[if]\S", line):
                raise Misuse(
                    "XC205",
                    f"{place}: the option `{option}` is not understood",
                    hint="leave only lines of the form `name==version`",
                )

    def _pin(self, line: str, place: str) -> None:
        if len(line) < _MAX_PLAIN and (plain := _PLAIN.fullmatch(line)):
            self._add(plain[1], plain[2], place)
            return
        if not self._strict and _is_place(line):
            self._pass_over(_egg(line), line, place)
            return
        requirement = _parse(line, place)
        if requirement.marker and not requirement.marker.evaluate(self._marker_environment):
            return
        version = _exact_version(requirement)
        if version is not None:
            self._add(requirement.name, version, place)
        elif requirement.url:
            self._pass_over(requirement.name, line, place)
        else:
            name = distribution_name(requirement.name)
            first, before = self.loose.get(name, (place, ""))
            both = ",".join(filter(None, (before, str(requirement.specifier))))
            self.loose[name] = first, both

    def _pass_over(self, name: str, line: str, place: str) -> None:
        """Leave an address out of account, unless it is of something that decides."""
        if self._strict or distribution_name(name) in DECIDING:
            raise Misuse(
                "XC205",
                f"{place}: `{line}` does not say which version it is",
                hint="write `name==version`; `pip freeze` prints an environment that way",
            )

    def _add(self, name: str, version: str, place: str) -> None:
        name = distribution_name(name)
        if self.packages.setdefault(name, version) != version:
            raise Misuse(
                "XC205",
                f"{place}: {name} is pinned to {version}, "
                f"and to {self.packages[name]} at {self._pinned_at[name]}",
            )
        self._pinned_at.setdefault(name, place)


def _text(content: bytes, what: str) -> str:
    try:
        # PowerShell 5 writes `pip freeze > file` as UTF-16, which pip reads as well.
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotLook("XC204", f"{what} is not text", hint="save it as UTF-8") from error


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, text), continuations joined, comments and hashes removed."""
    joined, start = "", 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        start = start if joined else number
        stripped = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if stripped.endswith("\\"):
            joined += stripped[:-1] + " "
            continue
        whole = re.sub(r"\s--hash[= ]\S+", "", joined + stripped).strip()
        joined = ""
        if whole:
            yield start, whole


def _parse(line: str, place: str) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    if len(line) > _MAX_LINE:
        raise Misuse("XC205", f"{place}: the line has more than {_MAX_LINE:,} characters")
    try:
        return Requirement(line)
    except (InvalidRequirement, RecursionError) as error:
        what = "is a path or an address, not a pin" if _is_place(line) else "is not a requirement"
        raise Misuse(
            "XC205", f"{place}: `{line[:200]}` {what}", hint="write `name==version`"
        ) from error


def _is_place(line: str) -> bool:
    """Return whether a line is a path or an address, without a name in front."""
    return re.match(r"[./~\\]|[\w+.-]+:", line) is not None


def _egg(line: str) -> str:
    """Return the name that an address says of what it holds; empty where it says none."""
    match = re.search(r"#(?:.*&)?egg=([A-Za-z0-9][\w.-]*)", line) or re.search(
        r"([A-Za-z0-9][\w.]*)-\d[^/\\]*\.(?:whl|tar\.gz|zip)\b", line
    )
    return match[1] if match else ""


def _exact_version(requirement: Requirement) -> str | None:
    """Return the one version that is allowed, or, for a wheel's address, the one that it names."""
    if requirement.url:
        file_name = requirement.url.partition("#")[0].rpartition("/")[2]
        match = re.match(r"[\w.]+-(\d[^-]*)(?:-[^-]+)+\.whl$", file_name.replace("%2B", "+"))
        return match[1] if match else None
    pins = [s.version for s in requirement.specifier if s.operator in ("==", "===")]
    only = len(requirement.specifier) == 1 and len(pins) == 1 and not pins[0].endswith(".*")
    return pins[0] if only else None


def _marker_environment(python: str, platform: str) -> dict[str, str]:
    """Return what markers are evaluated against: the target, and this machine for the rest."""
    system, _, machine = platform.partition("-")
    names = {"linux": ("linux", "Linux", "posix"), "macosx": ("darwin", "Darwin", "posix")}
    sys_platform, platform_system, os_name = names.get(system, ("win32", "Windows", "nt"))
    told = {
        "sys_platform": sys_platform,
        "platform_system": platform_system,
        "os_name": os_name,
        "platform_machine": machine.upper() if machine == "amd64" else machine,
        "extra": "",
    }
    if python:
        told["python_full_version"] = python
        told["python_version"] = minor_of(python)
    return told
