"""Reads the Environment of a Python installation, or of a requirements file.

Nothing of the target is executed or imported: versions come from the names of its `dist-info` and
`egg-info` entries, from their METADATA, and from `pyvenv.cfg`. Only an installation without a
`pyvenv.cfg`, which does not write its version anywhere, is asked: `-I -S`, so that no `.pth`,
`sitecustomize` or environment variable of its own runs.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xcompat.domain import DECIDING, Environment, distribution_name, minor_of
from xcompat.environment.ffmpeg import ffmpeg_versions, supported_versions
from xcompat.environment.integrity import signs_of_damage
from xcompat.errors import CannotLook

ASK_TIMEOUT = 20.0
"""Seconds that a foreign interpreter may take to answer; a cold network disk needs several."""

_QUESTION = """
import json, site, sys, sysconfig
print(json.dumps({
    "version": ".".join(map(str, sys.version_info[:3])),
    "platform": sysconfig.get_platform(),
    "executable": sys.executable,
    "prefix": sys.prefix,
    "user": site.getusersitepackages(),
    "site": site.getsitepackages() + sorted(set(
        sysconfig.get_paths()[name] for name in ("purelib", "platlib"))),
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where a Python installation keeps its distributions, in the order in which it looks."""

    python: str
    platform: str
    interpreter: str
    root: str
    folders: tuple[Path, ...]


def environment_of(python: str | None = None) -> Environment:
    """Return the Environment of an interpreter, a venv folder, a name on PATH, or, for None, here.

    "Here" is the activated virtual environment, if there is one, or else the Python that runs
    xcompat.

    Raises:
        CannotLook: `XC201` where there is no such Python, `XC202` where it does not answer,
            `XC203` where its environment is damaged.
    """
    if python is None:
        active = os.environ.get("VIRTUAL_ENV")
        if active and Path(active).resolve() != Path(sys.prefix).resolve():
            layout = _find(active)
        else:
            layout = _own_layout()
    else:
        layout = _find(python)
    found = _scan(layout.folders)
    packages = {name: entry.version for name, entry in found.items()}
    builds: dict[str, str] = {
        name: build
        for name in ("torch", "torchaudio")
        if name in found and (build := _build(found[name]))
    }
    platform = _platform_of_wheels(found) or layout.platform
    metadata = {name: entry.path for name, entry in found.items()}
    system, signs = _system(layout, found)
    signs |= signs_of_damage(metadata, layout.folders)
    return Environment(
        python=layout.python,
        platform=platform,
        packages=packages,
        source=layout.root,
        interpreter=layout.interpreter,
        builds=builds,
        system=system,
        duplicates={
            name: versions
            for name, entry in found.items()
            # Debian describes some packages twice, in both formats: that is no contradiction.
            if len(versions := tuple(sorted({entry.version, *entry.others}))) > 1
        },
        signs=signs | _rosetta(platform, layout.interpreter),
    )


def this_platform() -> str:
    """Return the platform that xcompat runs on, as the runs name it."""
    # sysconfig costs as much as the rest of the probe where it builds its variables; the pieces
    # that its platform name is made of are at hand.
    if sys.platform == "win32":
        import sysconfig  # noqa: PLC0415

        return platform_name(sysconfig.get_platform())
    machine = os.uname().machine
    return f"macosx-{machine}" if sys.platform == "darwin" else f"{sys.platform}-{machine}"


def platform_name(tag: str) -> str:
    """Return the short name of a platform tag: `macosx-14.0-arm64` is `macosx-arm64`.

    `manylinux_2_28_x86_64` and `linux-x86_64` are both `linux-x86_64`.
    """
    tag = tag.lower()
    if match := re.match(r"macosx[-_]\d+[._]\d+[-_](\w+)$", tag):
        return f"macosx-{match[1]}"
    if match := re.match(r"(?:many|musl)?linux(?:\d+|_\d+_\d+)?[-_](\w+)$", tag):
        return f"linux-{match[1]}"
    return tag.replace("win_", "win-")


def _own_layout() -> _Layout:
    folders = [Path(entry) for entry in sys.path if entry]
    return _Layout(
        python=".".join(map(str, sys.version_info[:3])),
        platform=this_platform(),
        interpreter=sys.executable,
        root=sys.prefix,
        folders=tuple(folder for folder in folders if folder.is_dir()),
    )


def _find(python: str) -> _Layout:
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
    return _asked(path)


def _of_folder(folder: Path) -> _Layout:
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
    return layout


def _of_venv(root: Path, interpreter: Path | None) -> _Layout:
    if interpreter is None or not interpreter.exists():
        where = f"{interpreter} leads nowhere" if interpreter else "it has no interpreter"
        raise CannotLook(
            "XC203",
            f"the virtual environment `{root}` is broken: {where}",
            hint="the Python that it was made from was removed or moved: make the environment anew",
        )
    settings = _pyvenv(root / "pyvenv.cfg")
    version = re.match(
        r"\d+(?:\.\d+)+", settings.get("version_info") or settings.get("version") or ""
    )
    folders = _venv_folders(root, version[0] if version else "")
    if version is None or not folders or version[0].count(".") < 2:
        return _asked(interpreter)
    platform = this_platform()
    if settings.get("include-system-site-packages", "").lower() == "true":
        base = _base_interpreter(settings, version[0])
        if base is None:
            return _asked(interpreter)
        asked = _asked(base)
        folders += [folder for folder in asked.folders if folder not in folders]
        platform = asked.platform
    return _Layout(
        python=version[0],
        platform=platform,
        interpreter=str(interpreter),
        root=str(root),
        folders=tuple(folders),
    )


def _pyvenv(path: Path) -> dict[str, str]:
    text = _read(path)
    if text is None:
        raise CannotLook("XC203", f"`{path}` cannot be read", hint="check its permissions")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _venv_folders(root: Path, version: str) -> list[Path]:
    minor = minor_of(version)
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
    return next((home / name for name in names if (home / name).is_file()), None)


def _asked(interpreter: Path) -> _Layout:
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
        return _Layout(
            python=str(told["version"]),
            platform=platform_name(str(told["platform"])),
            interpreter=str(told["executable"] or interpreter),
            root=str(told["prefix"]),
            folders=tuple(dict.fromkeys(folder for folder in folders if folder.is_dir())),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise broken("it is not a Python that xcompat understands") from error


@dataclass(slots=True)
class _Entry:
    """The metadata of one installed distribution."""

    version: str
    path: Path
    others: tuple[str, ...] = ()


_METADATA = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.]*?)"
    r"(?:-(?P<version>\d[^-]*)(?:-py[\d.]+)?)?\.(?P<kind>dist-info|egg-info|egg-link)$"
)


def _scan(folders: tuple[Path, ...]) -> dict[str, _Entry]:
    """Return every distribution in `folders`; the first folder that has one decides."""
    found: dict[str, _Entry] = {}
    for folder in folders:
        for name, entries in _scan_folder(folder).items():
            if name not in found:
                first, *rest = entries
                first.others = tuple(entry.version for entry in rest)
                found[name] = first
    return found


def _scan_folder(folder: Path) -> dict[str, list[_Entry]]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - a tenth of the time of iterdir
    except OSError:
        return {}
    here: dict[str, list[_Entry]] = {}
    for file_name in names:
        # Names that begin with `~` are what pip leaves of an interrupted uninstall: no match.
        match = _METADATA.match(file_name)
        if match is None:
            continue
        name = distribution_name(match["name"])
        path = folder / file_name
        version: str | None = match["version"]
        if match["kind"] == "egg-link":
            name_and_version = _egg_link(path)
            if name_and_version is None:
                continue
            path, version = name_and_version
        elif name in _NAMES_TO_CONFIRM or version is None:
            version = _metadata_version(path) or version
        if version:
            here.setdefault(name, []).append(_Entry(version, path))
    return here


_NAMES_TO_CONFIRM = frozenset(DECIDING)
"""Read from METADATA, as importlib.metadata does; for the others a file name is enough."""


def _metadata_version(path: Path) -> str | None:
    for candidate in (path / "METADATA", path / "PKG-INFO", path):
        text = _read(candidate, limit=8192)
        if text is not None:
            match = re.search(r"^Version:[ \t]*(\S+)", text.split("\n\n", 1)[0], re.MULTILINE)
            return match[1] if match else None
    return None


def _egg_link(path: Path) -> tuple[Path, str] | None:
    """Follow a setuptools `develop` link to the version of the source tree that it names."""
    lines = (_read(path) or "").splitlines()
    if not lines:
        return None
    for info in Path(lines[0].strip()).glob(f"{path.stem.replace('-', '_')}.egg-info"):
        version = _metadata_version(info)
        if version:
            return info, version
    return None


def _build(entry: _Entry) -> str:
    """Return what torch or torchaudio was built for: `cpu`, `cu128`, or `` where it is not said.

    The wheels of the registry carry it only in `version.py`, which is read as text.
    """
    name = entry.path.name.partition("-")[0]
    text = _read(entry.path.parent / name / "version.py") or ""
    match = re.search(r"__version__\s*=\s*['\"][^'\"+]*\+(\w+)['\"]", text)
    return match[1] if match else entry.version.partition("+")[2]


def _platform_of_wheels(found: dict[str, _Entry]) -> str | None:
    """Return the platform that the installed torch is for.

    An Intel Python under Rosetta looks like any other from the outside; its wheels do not.
    """
    if sys.platform != "darwin" or "torch" not in found:
        return None
    match = re.search(
        r"^Tag: \S+-(macosx_\S+)$", _read(found["torch"].path / "WHEEL") or "", re.MULTILINE
    )
    return platform_name(match[1]) if match and "universal" not in match[1] else None


def _rosetta(platform: str, interpreter: str) -> dict[str, tuple[str, ...]]:
    """Return the sign that an Intel Python runs on Apple silicon, where that is so.

    The kernel names its own processor even to a translated process.
    """
    if sys.platform != "darwin" or platform != "macosx-x86_64":
        return {}
    host = os.uname()
    is_apple = host.machine == "arm64" or "ARM64" in host.version
    return {"rosetta": (interpreter,)} if is_apple else {}


def _system(
    layout: _Layout, found: dict[str, _Entry]
) -> tuple[dict[str, str | None], dict[str, tuple[str, ...]]]:
    """Return what is not a distribution, and what is wrong with it."""
    system: dict[str, str | None] = {}
    signs: dict[str, tuple[str, ...]] = {}
    if sys.platform == "darwin" and layout.platform.startswith("macosx"):
        import platform as host  # noqa: PLC0415

        system["macos"] = host.mac_ver()[0]
    if "torchcodec" in found:
        versions = ffmpeg_versions(Path(layout.root), os.environ)
        supported = supported_versions(found["torchcodec"].path.parent / "torchcodec")
        usable = [v for v in versions or () if v in supported]
        if versions is not None:
            system["ffmpeg"] = str((usable or versions)[0]) if versions else None
        if versions and supported and not usable:
            told = f"FFmpeg {versions[0]}; torchcodec has libraries for {_listed(supported)}"
            signs["ffmpeg-unsupported"] = (told,)
    return system, signs


def _listed(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, sorted(versions)))


def _read(path: Path, limit: int = 1 << 20) -> str | None:
    """Return the beginning of a file as text, or None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(limit).decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return None
