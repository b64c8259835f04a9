"""What a `xcompat fix` has begun: written down before each change, so that it can be undone.

One file for each time, in the user's state folder. It is replaced in one step, so that whoever is
killed leaves the last complete one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xcompat.resolution.prepare import Prepared

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

_NAMES: Final = f"fix-{'[0-9]' * 6}.json"


class Packages(NamedTuple):
    """An environment whose packages were about to change."""

    python: str
    prefix: str
    uv: str
    """uv's path where uv owns the environment; empty where pip does."""
    before: Mapping[str, str]
    """Distribution to what brings it back (`name==version`); empty where it was not there."""
    versions: Mapping[str, str]
    """Distribution to its version before; empty where it was not there."""
    complete: bool = False
    """Whether the installer came to its end: until then versions tell nothing of files."""

    def joined(self, later: Packages) -> Packages:
        """Return both changes as one: what was there before the first is what counts."""
        return later._replace(
            before={**later.before, **self.before},
            versions={**later.versions, **self.versions},
        )


class Converted(NamedTuple):
    """A model whose conversion was about to begin."""

    checkpoint: str
    original: str
    """Where a conversion in place keeps what it replaces; empty for one beside it."""
    before: tuple[str, int, int]
    """Of the checkpoint: where it links to, its size and its time in nanoseconds."""
    folder: str
    """Where the conversion goes."""
    made: bool
    """Whether the folder is made for it."""
    files: tuple[str, ...]
    """What it writes there, by name."""
    contents: Mapping[str, str]
    """Text of those of them that were there and are replaced."""
    after: tuple[str, int, int] | None = None
    """Of the checkpoint that took the other's place, once it is there."""
    aside: tuple[str, ...] = ()
    """What goes to the folder beside, so that exactly four files stay, as it is called here."""


class Journal(NamedTuple):
    """What one `xcompat fix` has begun."""

    file: Path
    begun: str
    state: str
    """`begun`, `done` or `undone`."""
    packages: Packages | None = None
    model: Converted | None = None

    def written(self) -> Journal:
        """Put it on the disk, in one step, and return it.

        Raises:
            CannotLook: `XC243`.
        """
        told = {
            "schema": 1,
            "begun": self.begun,
            "state": self.state,
            "packages": self.packages and self.packages._asdict(),
            "model": self.model and self.model._asdict(),
        }
        part = self.file.with_suffix(".part")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with part.open("w", encoding="utf-8") as stream:
                json.dump(told, stream, indent=2)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.file)
        except OSError as error:
            raise CannotLook(
                "XC243",
                f"cannot write down the way back in `{self.file.parent}`: {error.strerror};"
                " nothing more was changed",
                hint="free some space, or name another folder: XDG_STATE_HOME",
            ) from error
        return self

    def taken_back(self) -> None:
        """Have on the disk what was there before a change that did not come about."""
        if self.packages or self.model:
            self.written()
        else:
            self.file.unlink(missing_ok=True)


def state_folder(environ: Mapping[str, str], platform: str, home: Path) -> Path:
    """Return where what a user's xcompat remembers lies.

    Args:
        environ: Environment variables.
        platform: As `sys.platform` names it.
        home: The user's home folder.
    """
    if environ.get("XDG_STATE_HOME"):
        return Path(environ["XDG_STATE_HOME"]) / "xcompat"
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "xcompat"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "xcompat"
    return home / ".local" / "state" / "xcompat"


def here() -> Path:
    """Return the state folder of whoever runs this."""
    return state_folder(os.environ, sys.platform, Path.home())


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second `xcompat fix` away meanwhile.

    Raises:
        CannotLook: `XC248`, there is one; `XC243`, the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "fix.lock").open("w", encoding="utf-8")
    except OSError as error:
        raise CannotLook(
            "XC243",
            f"cannot write to `{folder}`: {error.strerror}; nothing was changed",
            hint="name another folder: XDG_STATE_HOME",
        ) from error
    with lock:
        if HAS_LOCKS:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CannotLook(
                    "XC248", "another `xcompat fix` is at work", hint="wait until it has ended"
                ) from error
        yield


def journals(folder: Path) -> list[Journal]:
    """Return all that there are, the newest first.

    Raises:
        CannotLook: `XC243`, one cannot be read.
    """
    return [_read(file) for file in sorted(folder.glob(_NAMES), reverse=True)]


def new_journal(folder: Path, begun: str) -> Journal:
    """Return a journal that is not written yet."""
    number = 1 + max((int(file.stem[4:]) for file in folder.glob(_NAMES)), default=0)
    return Journal(folder / f"fix-{number:06}.json", begun, "begun")


def packages_of(prepared: Prepared) -> Packages:
    """Return what has to be known of an environment to bring its packages back."""
    from packaging.requirements import Requirement  # noqa: PLC0415

    from xcompat.domain import distribution_name  # noqa: PLC0415

    installation = prepared.installation
    installs = [distribution_name(Requirement(each).name) for each in prepared.installs]
    wanted = dict.fromkeys([*prepared.uninstalls, *installs])
    there = installation.installed
    return Packages(
        python=installation.python,
        prefix=installation.prefix,
        uv=installation.uv or "",
        before={name: there[name].line if name in there else "" for name in wanted},
        versions={name: there[name].version if name in there else "" for name in wanted},
    )


def identity(path: Path) -> tuple[str, int, int]:
    """Return what tells one file from another without reading it; ("", -1, -1) for none."""
    try:
        link = str(path.readlink()) if path.is_symlink() else ""
        seen = path.stat()
    except OSError:
        return "", -1, -1
    return link, seen.st_size, seen.st_mtime_ns


def _read(file: Path) -> Journal:
    try:
        told: dict[str, Any] = json.loads(file.read_text("utf-8"))
        packages, model = told["packages"], told["model"]
        return Journal(
            file=file,
            begun=told["begun"],
            state=told["state"],
            packages=Packages(**packages) if packages else None,
            model=_converted(model) if model else None,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotLook(
            "XC243",
            f"`{file}`, which tells the way back, cannot be read: {error}",
            hint="the same is in xcompat-restore-N.txt of the environment; originals of models"
            " are beside them, as model.pth.original; then delete this file",
        ) from error


def _converted(told: dict[str, Any]) -> Converted:
    after = told["after"]
    tuples: dict[str, Any] = {
        name: tuple(told[name]) for name in ("before", "files", "aside") if name in told
    }
    return Converted(**{**told, **tuples, "after": tuple(after) if after else None})
