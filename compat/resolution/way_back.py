"""The way back from a change: a file with what was installed, and the commands that restore it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from xcompat.domain import distribution_name
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from xcompat.resolution.prepare import Prepared


def write_way_back(prepared: Prepared) -> Path:
    """Write down the exact versions that are there, before the first of them changes."""
    installation = prepared.installation
    touched = _touched(prepared)
    installed = sorted(installation.installed.items())
    own = [each.line for name, each in installed if name in touched]
    others = [each.line for name, each in installed if name not in touched]
    number = 1
    while (file := Path(installation.prefix, f"xcompat-restore-{number}.txt")).exists():
        number += 1
    lines = [
        "# What was installed here before `xcompat resolve --apply`. To go back:",
        *(f"#   {command}" for command in restore_commands(prepared, file)),
        *own,
        "# What was not to be changed:",
        *(f"# {line}" for line in others),
    ]
    try:
        with file.open("x", encoding="utf-8") as text:
            text.write("\n".join(lines) + "\n")
            text.flush()
            os.fsync(text.fileno())
    except OSError as error:
        raise CannotLook(
            "XC216",
            f"cannot write the way back to `{file}`, so nothing was changed: {error.strerror}",
            hint="check the disk",
        ) from error
    return file


def restore_commands(prepared: Prepared, file: Path) -> tuple[str, ...]:
    """Return what a person types to go back to what a file of `write_way_back` says."""
    # What was there came from wherever this machine's settings say.
    installation = prepared.installation._replace(build="")
    touched = sorted(_touched(prepared))
    commands = [installation.command("uninstall", *touched)]
    if any(name in installation.installed for name in touched):
        commands.append(installation.command("install", "--no-deps", "-r", str(file)))
    return tuple(" ".join(map(_quoted, command)) for command in commands)


def _touched(prepared: Prepared) -> set[str]:
    names = {distribution_name(Requirement(each).name) for each in prepared.installs}
    return names | set(prepared.uninstalls)


def _quoted(word: str) -> str:
    import shlex  # noqa: PLC0415

    if os.name == "nt":
        return f'"{word}"' if " " in word else word
    return shlex.quote(word)
