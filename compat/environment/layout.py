"""Finds a Python installation, and where it keeps its distributions.

Nothing of it is executed: the version of a virtual environment comes from its `pyvenv.cfg` or from
the name of its folder. An installation that writes its version nowhere is asked: `-I -S`, so that
no `.pth`, `sitecustomize` or environment variable of its own runs.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from xcompat.domain import minor_of
from xcompat.environment.contents import names_in, text_of
from xcompat.environment.path_files import with_path_files
from xcompat.environment.platforms import platform_name, this_platform
from xcompat.errors import CannotLook

ASK_TIMEOUT = 20.0
"""Seconds that a foreign interpreter may take to answer; a cold network disk needs several."""

_QUESTION = """
import json, site, sys, sysconfig
base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
print(json.dumps({
    "version": ".".join(map(str, sys.version_info[:3])),
    "platform": sysconfig.get_platform(),
    "executable": sys.executable,
    "prefix": sys.prefix,
    "user": site.getusersitepackages(),
    "site": site.getsitepackages([sys.base_prefix, sys.base_exec_prefix]) + sorted(set(
        sysconfig.get_paths(vars=base)[name] for name in ("purelib", "platlib"))),
}))
"""
"""What is asked about is the installation itself: whether `-S` makes an interpreter forget that it
stands in a virtual environment depends on its version."""
_NUMBERS = re.compile(r"\d+(?:\.\d+)+")
_LIBRARY = re.compile(r"(?:python|pypy)(\d+\.\d+)t?$")


class Layout(NamedTuple):
    """Where a Python installation keeps its distributions, in the order in which it looks."""

    python: str
    platform: str
    interpreter: str
    root: str
    folders: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    """What was not looked into, in a sentence each."""


def own_layout() -> Layout:
    """Return the layout of the Python that runs this."""
    folders = [Path(entry) for entry in sys.path if entry]
    return Layout(
        python=".".join(map(str, sys.version_info[:3])),
        platform=this_platform(),
        interpreter=sys.executable,
        root=sys.prefix,
        folders=tuple(folder for folder in folders if folder.is_dir()),
    )


def find_layout(python: str) -> Layout:
    """Return the layout of an interpreter, a virtual environment's folder, or a name on PATH.

    Raises:
        CannotLook: `XC201` where there is no such Python, `XC202` where it does not answer,
            `XC203` where its environment is damaged.
    """
    path = Path(python).expanduser()
    if path.is_dir():
        return _of_folder(path)
    if not os.path.lexists(path):
        import shutil  # noqa: PLC0415

        on_path = shutil.which(python)
        if on_path is None:
            raise CannotLook(
                "XC201",
                f"there is no Python at `{python}`, and no command of that name on PATH",
                hint="give the path of an interpreter or the folder of a virtual environment",
            )
        path = Path(on_path)
    # Not resolved: the interpreter of a venv is a link to the one that it was made from.
    path = path.absolute()
    for root in (path.parent.parent, path.parent):
        if (root / "pyvenv.cfg").is_file():
            return _of_venv(root, path)
    return _with_path_files(_asked(path))


def _of_folder(folder: Path) -> Layout:
    folder = folder.absolute()
    interpreter = next(
        (
            candidate
            for name in ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")
            if os.path.lexists(candidate := folder / name)
        ),
        None,
    )
    if (folder / "pyvenv.cfg").is_file():
        return _of_venv(folder, interpreter)
    if interpreter is None:
        raise CannotLook(
            "XC201",
            f"`{folder}` is not a virtual environment: it has no pyvenv.cfg and no interpreter",
            hint="give the path of an interpreter or the folder of a virtual environment",
        )
    layout = _asked(interpreter)
    root = Path(layout.root)
    if not (root.exists() and root.samefile(folder)):
        # A copied or half-deleted environment: judging, or changing, another one would be wrong.
        raise CannotLook(
            "XC203",
            f"`{folder}` has no pyvenv.cfg, and its interpreter belongs to `{root}`",
            hint="make the environment anew, or give the path of the interpreter that you mean",
        )
    return _with_path_files(layout)


def _of_venv(root: Path, interpreter: Path | None) -> Layout:
    if interpreter is None or not interpreter.exists():
        where = f"{interpreter} leads nowhere" if interpreter else "it has no interpreter"
        raise CannotLook(
            "XC203",
            f"the virtual environment `{root}` is broken: {where}",
            hint="the Python that it was made from was removed or moved: make the environment anew",
        )
    settings = _pyvenv(root / "pyvenv.cfg")
    version = _version_said(settings) or _version_of_folder(root)
    platform = this_platform()
    folders = _venv_folders(root, version)
    if not folders:
        asked = _asked(interpreter)
        version, platform = asked.python, asked.platform
        folders = _venv_folders(root, version)
    if not folders:
        raise CannotLook(
            "XC203",
            f"the virtual environment `{root}` is broken: it has no site-packages of"
            f" Python {minor_of(version)}",
            hint="the Python that it was made from became another: make the environment anew",
        )
    if settings.get("include-system-site-packages", "").lower() == "true":
        asked = _asked(_base_interpreter(settings, version) or interpreter)
        folders += [folder for folder in asked.folders if folder not in folders]
        platform = asked.platform
    return _with_path_files(
        Layout(
            python=version,
            platform=platform,
            interpreter=str(interpreter),
            root=str(root),
            folders=tuple(folders),
        )
    )


def _with_path_files(layout: Layout) -> Layout:
    folders, notes = with_path_files(layout.folders)
    return layout._replace(folders=folders, notes=notes)


def _pyvenv(path: Path) -> dict[str, str]:
    text = text_of(path)
    if text is None:
        raise CannotLook("XC203", f"`{path}` cannot be read", hint="check its permissions")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip().lower(): value.strip().strip("'\"") for key, _, value in pairs}


def _version_said(settings: dict[str, str]) -> str:
    """Return the version in the settings: uv and virtualenv write `version_info`, venv `version`.

    It can have two numbers only, or be missing.
    """
    said = (_NUMBERS.match(settings.get(key, "")) for key in ("version_info", "version"))
    numbers = [".".join(match[0].split(".")[:3]) for match in said if match]
    return max(numbers, key=lambda version: version.count("."), default="")


def _version_of_folder(root: Path) -> str:
    """Return the version that the only library folder is named after; empty if there are more."""
    names = {*names_in(root / "lib"), *names_in(root / "lib64")}
    minors = {match[1] for name in names if (match := _LIBRARY.match(name))}
    return minors.pop() if len(minors) == 1 else ""


def _venv_folders(root: Path, version: str) -> list[Path]:
    minor = minor_of(version)
    if not minor:
        return []
    candidates = [root / "Lib" / "site-packages"]
    for lib in ("lib", "lib64"):
        candidates += [
            root / lib / f"{name}{minor}{abi}" / "site-packages"
            for name in ("python", "pypy")
            for abi in ("", "t")
        ]
    folders: list[Path] = []
    for candidate in candidates:
        # lib64 is mostly a link to lib, and on a case-insensitive disk Lib is lib.
        if candidate.is_dir() and not any(candidate.samefile(folder) for folder in folders):
            folders.append(candidate)
    return folders


def _base_interpreter(settings: dict[str, str], version: str) -> Path | None:
    home = Path(settings.get("home", ""))
    minor = minor_of(version)
    names = (f"python{minor}", "python3", "python", "python.exe")
    candidates = [home / name for name in names] if settings.get("home") else []
    # virtualenv names it with a dash, and venv where it is one.
    candidates += [Path(settings[k]) for k in ("base-executable", "executable") if k in settings]
    return next((path for path in candidates if path.is_file()), None)


def _asked(interpreter: Path) -> Layout:
    """Ask an interpreter for what no file says."""
    import json  # noqa: PLC0415
    import subprocess  # noqa: PLC0415

    def broken(why: str) -> CannotLook:
        return CannotLook(
            "XC202",
            f"the interpreter `{interpreter}` does not work: {why}",
            hint=f"try it yourself: {interpreter} --version",
        )

    try:
        answer = subprocess.run(
            [str(interpreter), "-I", "-S", "-c", _QUESTION],
            capture_output=True,
            timeout=ASK_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise broken(f"no answer within {ASK_TIMEOUT:.0f} seconds") from error
    except OSError as error:
        raise broken(error.strerror or str(error)) from error
    if answer.returncode:
        lines = answer.stderr.decode(errors="replace").strip().splitlines()
        raise broken(lines[-1] if lines else f"it ended with status {answer.returncode}")
    try:
        told: dict[str, Any] = json.loads(answer.stdout)
        folders = [Path(entry) for entry in told["site"]]
        if not os.environ.get("PYTHONNOUSERSITE"):
            folders.insert(0, Path(told["user"]))
        return Layout(
            python=str(told["version"]),
            platform=platform_name(str(told["platform"])),
            interpreter=str(told["executable"] or interpreter),
            root=str(told["prefix"]),
            folders=tuple(dict.fromkeys(folder for folder in folders if folder.is_dir())),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise broken("it is not a Python that xcompat understands") from error
