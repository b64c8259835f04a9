"""What the options ask about: an environment, capabilities, a language, releases."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from packaging.version import InvalidVersion, Version

from xcompat.domain import CAPABILITIES, LANGUAGES, NEEDED, distribution_name
from xcompat.environment.platforms import platform_name, this_platform
from xcompat.environment.probe import environment_of
from xcompat.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xcompat.domain import Capability, Environment


def environment_asked_for(
    python: str | None,
    requirements: str | None,
    python_version: str | None,
    platform: str | None,
    stdin: BinaryIO,
    *,
    language: str | None = None,
    complete: bool | None = None,
) -> Environment:
    """Return the Environment that the options of `doctor` name.

    A Python version or platform that is given takes the place of what was found. Pins are judged
    for this machine's platform where no other is given, and for any Python. Whether they name all
    that is installed is recognised where `complete` is None.

    Raises:
        Misuse: `XC205` for a line that is no requirement, `XC210` where the options make no sense,
            `XC231` for a language that XTTS does not speak.
        CannotLook: where the environment or the file cannot be read.
    """
    check_options(python, requirements, python_version, complete=complete)
    if requirements is not None:
        from xcompat.environment.pins import pins_of

        pins = pins_of(
            requirements,
            stdin,
            python=python_version or "",
            platform=platform_asked_for(platform) or this_platform(),
            complete=complete,
        )
        return pins.environment._replace(language=language_asked_for(language))
    return as_asked(environment_of(python), python_version, platform, language)


def as_asked(
    found: Environment, python_version: str | None, platform: str | None, language: str | None
) -> Environment:
    """Return what was found, with what is known of this machine, for what the options name.

    Raises:
        Misuse: as for `environment_asked_for`.
    """
    from xcompat.environment.surroundings import signs_around

    platform = platform_asked_for(platform)
    elsewhere = platform is not None and platform != found.platform
    return found._replace(
        python=python_version or found.python,
        platform=platform or found.platform,
        system={} if elsewhere else found.system,
        signs={**found.signs, **signs_around(os.environ, sys.platform, Path.home())},
        language=language_asked_for(language),
    )


def check_options(
    python: str | None,
    requirements: str | None,
    python_version: str | None,
    *,
    complete: bool | None = None,
) -> None:
    """Refuse options that contradict each other, and what is no Python version.

    Raises:
        Misuse: `XC210`.
    """
    if python is not None and requirements is not None:
        raise Misuse("XC210", "`--python` and `-r` exclude each other", hint="give one of them")
    if complete is not None and requirements is None:
        raise Misuse(
            "XC210", "`--complete` and `--partial` are about a list", hint="name the list with -r"
        )
    if python_version is not None and not re.fullmatch(r"3\.\d{1,2}(\.\d{1,2})?", python_version):
        raise Misuse(
            "XC210", f"`{python_version}` is not a Python version", hint="write it like 3.11"
        )


def platform_asked_for(spelled: str | None) -> str | None:
    """Return a platform in its short name, or None where none is asked for.

    Raises:
        Misuse: `XC210` where it is none.
    """
    if spelled is None:
        return None
    platform = platform_name(spelled)
    if not re.fullmatch(r"[a-z0-9]+-\w+", platform):
        raise Misuse(
            "XC210",
            f"`{platform}` is not a platform",
            hint="write it like linux-x86_64, linux-aarch64, macosx-arm64 or win-amd64",
        )
    return platform


def language_asked_for(spelled: str | None) -> str:
    """Return a language as XTTS names it, or an empty text where none is asked for.

    Raises:
        Misuse: `XC231` where XTTS does not speak it.
    """
    if spelled is None:
        return ""
    wanted = spelled.lower().replace("_", "-")
    for language in LANGUAGES:
        if wanted.partition("-")[0] == language.partition("-")[0]:
            return language
    raise Misuse(
        "XC231",
        f"XTTS v2 does not speak `{spelled}`",
        hint=f"it speaks {', '.join(LANGUAGES)}",
    )


def capabilities_asked_for(names: Iterable[str] | None) -> tuple[Capability, ...]:
    """Return the capabilities of those names, in their order; the usual ones for none.

    Raises:
        Misuse: `XC207` where there is no capability of that name.
    """
    if not names:
        return NEEDED
    wanted = {part.strip() for name in names for part in name.split(",")}
    for name in sorted(wanted - set(CAPABILITIES)):
        raise Misuse(
            "XC207",
            f"there is no capability `{name}`",
            hint=f"there are {', '.join(CAPABILITIES)}",
        )
    return tuple(c for c in CAPABILITIES if c in wanted)


def codes_asked_for(ignore: Iterable[str] | None) -> frozenset[str]:
    """Return the codes of the known issues that are to be left out.

    Raises:
        Misuse: `XC208` where there is none of one of them.
    """
    words = [word for each in ignore or () for word in each.split(",") if word.strip()]
    if not words:
        return frozenset()
    from xcompat.cli.pasted import code_of_issue
    from xcompat.matrix.load import load_issues

    every = load_issues()
    return frozenset(code_of_issue(word, every) for word in words)


def releases_asked_for(
    tts: str | None, torch: str | None, macos: str | None, python: str | None
) -> tuple[tuple[str, str], str, str]:
    """Return TTS (distribution, version), torch and macOS: those named, else the installed ones.

    What is neither named nor installed is an empty text.

    Raises:
        Misuse: `XC221` where an option is not a release or a version.
        CannotLook: where the environment cannot be read.
    """
    match = re.fullmatch(r"\s*(TTS|coqui[-_.]tts)\s*==\s*(\S+)\s*", tts or "", re.IGNORECASE)
    if tts is not None and not (match and _is_version(match[2])):
        raise Misuse(
            "XC221",
            f"`{tts}` is not a release of TTS",
            hint="write it like TTS==0.22.0 or coqui-tts==0.28.0",
        )
    if torch is not None and not _is_version(torch):
        raise Misuse("XC221", f"`{torch}` is not a version of torch", hint="write it like 2.9.1")
    if macos is not None and not _macos_version(macos):
        raise Misuse("XC221", f"`{macos}` is not a version of macOS", hint="write it like 14.5")
    if match and torch and python is None:
        # All that decides is named: nothing is taken from an environment, not even its macOS.
        return (distribution_name(match[1]), match[2]), torch, _macos_version(macos or "")
    installed_tts, installed_torch, running = releases_of(environment_of(python))
    return (
        (distribution_name(match[1]), match[2]) if match else installed_tts,
        torch or installed_torch,
        _macos_version(macos or "") or running,
    )


def releases_of(environment: Environment) -> tuple[tuple[str, str], str, str]:
    """Return TTS (distribution, version), torch and macOS of an environment; empty where absent."""
    packages = environment.packages
    installed = next((name for name in ("TTS", "coqui-tts") if name in packages), "")
    return (
        (installed, packages.get(installed, "")),
        packages.get("torch", ""),
        _macos_version(environment.system.get("macos") or ""),
    )


def _macos_version(text: str) -> str:
    """Return `text` as a version of macOS, or an empty text where it is none."""
    match = re.fullmatch(r"(?:macos[ -]?)?(\d{2}(?:\.\d+){0,2})", text.strip().lower())
    return match[1] if match else ""


def _is_version(text: str) -> bool:
    """Return whether `text` is a version number."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
