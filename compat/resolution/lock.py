"""Writes a lock: every package that a proposal needs, with its version and hashes, solved by uv.

uv decides alone what fits together and where it comes from: its own settings (`UV_DEFAULT_INDEX`,
`UV_FIND_LINKS`, `uv.toml` and so on) are the user's, and nothing here overrides them.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.domain import minor_of
from xcompat.errors import CannotLook, Misuse, Refusal, XcompatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xcompat.domain import Environment

_TRIPLES = {
    "linux-x86_64": "x86_64-unknown-linux-gnu",
    "linux-aarch64": "aarch64-unknown-linux-gnu",
    "macosx-arm64": "aarch64-apple-darwin",
    "macosx-x86_64": "x86_64-apple-darwin",
    "win-amd64": "x86_64-pc-windows-msvc",
    "win-arm64": "aarch64-pc-windows-msvc",
}
"""uv's name of each platform."""

_UNREACHED = re.compile(
    r"network (?:was|is|connectivity is) disabled|Failed to fetch|error sending request"
    r"|Retrying \(Retry\(|NewConnectionError|Could not fetch URL"
)
"""What uv and pip write where an index does not answer; both may say next that nothing fits."""


def find_uv() -> str | None:
    """Return uv's path: the one on PATH, or the one of the extra `xcompat[lock]`."""
    on_path = shutil.which("uv")
    if on_path:
        return on_path
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    try:
        return str(find_uv_bin())
    except FileNotFoundError:
        return None


def write_lock(
    file: Path, requirements: Sequence[str], environment: Environment, preferred: Sequence[str] = ()
) -> int:
    """Write a lock of `requirements` for the Python and platform of `environment`.

    The name decides the format: `pylock.toml` and `pylock.NAME.toml` are a PEP 751 lock, any other
    is in requirements format. What is solved stands at the name only when it is complete.

    Args:
        file: Where to write; a lock that is there is replaced.
        requirements: What must be in it.
        environment: Its Python and platform.
        preferred: Exact versions (`numpy==1.26.4`) to take where they fit.

    Returns:
        The number of packages in the lock.

    Raises:
        Misuse: `XC212` for a name, a Python or a platform that there are no locks for.
        Refusal: `XC213` where the file is not a lock, `XC214` where nothing fits together.
        CannotLook: `XC215` without uv, `XC216` where uv or the disk fails.
    """
    format_ = _format(file)
    triple = _TRIPLES.get(environment.platform)
    if triple is None:
        raise Misuse(
            "XC212",
            f"uv cannot lock for the platform `{environment.platform}`",
            hint=f"there are {', '.join(_TRIPLES)}",
        )
    if not environment.python:
        raise Misuse(
            "XC212",
            "a lock is for one Python, and these pins do not say which",
            hint="say it with --python-version, such as 3.11",
        )
    _refuse_to_lose(file)
    uv = find_uv()
    if uv is None:
        raise CannotLook(
            "XC215",
            "a lock is solved by uv, and there is no uv here",
            hint='pip install uv, or install xcompat with its extra: pip install "xcompat[lock]"',
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".xcompat-", dir=file.parent) as folder:
            solved = Path(folder) / file.name
            if preferred:
                solved.write_text("".join(f"{each}\n" for each in preferred), "utf-8")
            command = [
                *(uv, "pip", "compile", "-", "--quiet", "--no-progress", "--generate-hashes"),
                *("--python-version", minor_of(environment.python)),
                *("--python-platform", triple, "--format", format_),
                *("--custom-compile-command", f"xcompat resolve --lock {file.name}"),
                *("--output-file", str(solved)),
            ]
            _compile(command, requirements, environment)
            text = solved.read_text("utf-8")
            solved.replace(file)
    except OSError as error:
        raise CannotLook(
            "XC216", f"cannot write `{file}`: {error.strerror}", hint="check the folder"
        ) from error
    return len(_pinned(text))


def pins_of(file: Path) -> tuple[str, ...]:
    """Return the exact versions in a lock that `write_lock` wrote, as `name==version`."""
    return tuple(f"{name}=={version}" for name, version in _pinned(file.read_text("utf-8")))


def portable(requirements: Sequence[str], keep: Mapping[str, str]) -> tuple[str, ...]:
    """Return requirements without the builds that only what is installed here asks for."""
    return tuple(
        each if "+" in keep.get(each.partition("=")[0], "") else re.sub(r"\+[\w.]+$", "", each)
        for each in requirements
    )


def _format(file: Path) -> str:
    if re.fullmatch(r"pylock(\.[^.]+)?\.toml", file.name):
        return "pylock.toml"
    if file.suffix == ".toml":
        raise Misuse(
            "XC212",
            f"`{file.name}` is no name for a lock",
            hint="write pylock.toml or pylock.NAME.toml, or a .txt name for requirements format",
        )
    return "requirements.txt"


def _refuse_to_lose(file: Path) -> None:
    """Refuse to replace what somebody wrote by hand."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise Misuse("XC212", f"`{file}` is not a file that a lock could replace")
        with file.open("rb") as stream:
            beginning = stream.read(4096).decode("utf-8", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotLook(
            "XC216", f"cannot write `{file}`: {error.strerror}", hint="check the path"
        ) from error
    if beginning.strip() and not re.search(
        r"autogenerated by uv|^lock-version", beginning, re.MULTILINE
    ):
        raise Refusal(
            "XC213",
            f"`{file}` exists and is not a lock: it stays as it is",
            hint="give another name, or delete the file",
        )


def _compile(command: Sequence[str], requirements: Sequence[str], environment: Environment) -> None:
    try:
        done = subprocess.run(
            command,
            input="\n".join(requirements),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env=_with_python_of(environment),
        )
    except OSError as error:
        raise CannotLook(
            "XC216", f"`{command[0]}` cannot be started: {error.strerror}", hint="install uv anew"
        ) from error
    if done.returncode:
        raise unsolved(done.stderr, no_solution=done.returncode == 1)


def unsolved(told: str, *, no_solution: bool) -> XcompatError:
    """Return the error for what an installer told when it found no solution, or could not look."""
    text = "\n  ".join(line for line in told.strip().splitlines() if line.strip())
    unreached = _UNREACHED.search(told)
    if no_solution and not unreached:
        return Refusal(
            "XC214",
            f"these versions cannot be installed together; nothing was changed:\n  {text}",
            hint="a --keep that is narrower than need be, or an index that lacks a version or"
            " build, or does not answer: see UV_DEFAULT_INDEX, UV_INDEX, UV_TORCH_BACKEND",
        )
    hint = "check the network and the index settings"
    if any(name.startswith("PIP_") and "INDEX" in name for name in os.environ):
        hint += "; uv does not read pip's (PIP_INDEX_URL, pip.conf): set UV_DEFAULT_INDEX"
    what = "the package index cannot be reached" if unreached else "the solver failed"
    return CannotLook("XC216", f"{what}; nothing was changed:\n  {text}", hint=hint)


def _with_python_of(environment: Environment) -> dict[str, str]:
    """Return the process's variables, with the target's Python first on PATH.

    Some packages tell their dependencies only to a Python of the right version.
    """
    folder = str(Path(environment.interpreter).parent) if environment.interpreter else ""
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{path}" if folder else path}


def _pinned(text: str) -> list[tuple[str, str]]:
    """Return names and versions of a lock in either format, as uv writes them."""
    if text.lstrip().startswith("lock-version") or "\nlock-version" in text:
        return re.findall(r'\[\[packages\]\]\nname = "([^"]+)"\nversion = "([^"]+)"', text)
    return re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", text, re.MULTILINE)
