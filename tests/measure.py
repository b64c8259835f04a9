"""Measure cells of the version matrix in environments of their own, and record what happened.

`nox -s matrix -- NAME...`, or `-- --sweep NAME`, or `-- --tts TTS==0.22.0 --torch 2.9.1 ...`, or
`-- --new` for what was released and never run.

An environment that is reused lies where an earlier cell left something behind. So each cell is
resolved anew; the environment of the one before is kept only where Python, the TTS family, torch
and what goes with it are the same, is brought to exactly the resolved set, and must hold no file
that no distribution brought. `--fresh` makes a new one for every cell.

The compiled modules of all environments are kept in one folder, where Python itself compares each
with the time and the size of its source; uv stamps a file with the time of unpacking.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.metadata
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import new_cells
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from xcompat.domain import SAME_FILES, distribution_name
from xcompat.environment.platforms import this_platform
from xcompat.environment.probe import environment_of
from xcompat.errors import XcompatError
<<<<<<< HEAD
from xcompat.matrix.forms import in_todays_words
from xcompat.smoke.record import append_run, record_run, run_header, without_machine_paths
=======
from xcompat.smoke.record import record_run
from xcompat.smoke.run_line import append_run, run_header, without_machine_paths
>>>>>>> 011b575 (The smoke in three: what is asked and checked, the run, the report; a recorded run apart from its line; engines apart from their timing)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment,unused-ignore]

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MATRICES = Path(__file__).parent.parent / "matrices"
PINNED = ("torch", "torchaudio", "torchcodec", "transformers")
"""What a cell pins beside its TTS."""
DEFAULT_PYTHON = "3.11"
STAGE_TIMEOUT_SECONDS = 420.0
_TORCH_FAMILY = ("torch", "torchaudio", "torchcodec", "triton")
_VERDICTS_ON_THE_SET = ("No solution found", "Failed to build", "Failed to download and build")
"""What uv says where the set does not install, rather than the network or the disk failing it."""


class NotMeasured(Exception):  # noqa: N818 - it ends a cell, not the sweep
    """Nothing can be said about a cell; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination to measure: what is installed, how, and on which Python."""

    tts: str
    name: str = "one-off"
    torch: str = ""
    torchaudio: str = ""
    torchcodec: str = ""
    transformers: str = ""
    also: tuple[str, ...] = ()
    """Further requirements, resolved together with the others."""
    then: tuple[str, ...] = ()
    """Arguments of `uv pip`, run in this order when everything is installed."""
    python: str = DEFAULT_PYTHON
    ci: bool = False

    @property
    def requirements(self) -> tuple[str, ...]:
        pins = ((name, getattr(self, name)) for name in PINNED)
        return (self.tts, *(f"{name}=={version}" for name, version in pins if version), *self.also)

    @property
    def heavy(self) -> tuple[str, ...]:
        """What an environment must have in common with this cell to serve it as well."""
        family = Requirement(self.tts).name
        return (self.python, family, self.torch, self.torchaudio, self.torchcodec)

    @property
    def arguments(self) -> str:
        """What follows `nox -s matrix --` to measure this cell again."""
        words = [f"--tts {self.tts}"]
        words += [f"--{name} {getattr(self, name)}" for name in PINNED if getattr(self, name)]
        words += [f"--with '{requirement}'" for requirement in self.also]
        words += [f"--then '{step}'" for step in self.then]
        if self.python != DEFAULT_PYTHON:
            words.append(f"--python {self.python}")
        return " ".join(words)

    @property
    def command(self) -> str:
        return f"nox -s matrix -- {self.arguments}"


def read_cells(file: Path) -> tuple[Cell, ...]:
    """Return the cells of `file`: those that have a name of their own, then those of the sweeps.

    A sweep has a `base` and `vary`, a list of axes; its cells are all combinations of one value
    of each axis. An axis is a list of tables, or a table that gives one key a list of values.
    """
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    named = [_cell(table) for table in tables.get("cell", [])]
    swept = [
        _cell({"name": sweep["name"], **sweep.get("base", {}), **_merged(values)})
        for sweep in tables.get("sweep", [])
        for values in itertools.product(*map(_axis, sweep["vary"]))
    ]
    return (*named, *swept)


def _cell(table: Mapping[str, Any]) -> Cell:
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return Cell(**{**table, **lists})


def _axis(axis: list[dict[str, Any]] | dict[str, list[Any]]) -> list[dict[str, Any]]:
    if isinstance(axis, list):
        return axis
    ((key, values),) = axis.items()
    return [{key: value} for value in values]


def _merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for table in tables for key, value in table.items()}


def choose(options: argparse.Namespace, cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells that the command line asks for.

    Raises:
        SystemExit: It names one that does not exist.
    """
    cells = tuple(cells)
    unknown = {*options.names, *options.sweep} - {cell.name for cell in cells}
    if unknown:
        raise SystemExit(f"no cell or sweep {', '.join(sorted(unknown))} in matrices/cells.toml")
    wanted = {*options.names, *options.sweep}
    chosen = [cell for cell in cells if cell.name in wanted or (options.ci and cell.ci)]
    if options.new:
        for new in new_cells.cells(new_cells.newest_release):
            words = _parser().parse_args(shlex.split(new["arguments"]))
            chosen += [replace(cell, name=new["name"]) for cell in choose(words, ())]
    if options.tts:
        pins = {name: getattr(options, name) for name in PINNED}
        chosen.append(
            Cell(
                tts=options.tts,
                **pins,
                also=tuple(options.also),
                then=tuple(options.then),
                python=options.python,
            )
        )
    return chosen


class Bench:
    """Where cells are measured: one environment at a time, and the compiled modules of all."""

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self._fresh = fresh
        self._environment = folder / "venv"
        self._bytecode = folder / "bytecode"
        self._holds: tuple[str, ...] = ()
        """What the environment was made for, where another cell can have it."""

    def clear(self) -> None:
        """Delete the environment."""
        self._holds = ()
        shutil.rmtree(self._environment, ignore_errors=True)

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Install the cell, run everything in it, and return the run.

        Raises:
            NotMeasured: The environment could not be made for a reason that says nothing about
                the cell, or its interpreter does not run.
        """
        try:
            run = self._measure(cell)
        except XcompatError as error:
            self.clear()
            raise NotMeasured(error.message) from error
        except BaseException:
            self.clear()
            raise
        if cell.then or self._fresh:
            self.clear()
        return run

    def _measure(self, cell: Cell) -> dict[str, Any]:
        try:
            resolved = self._install(cell)
        except _Refused as refusal:
            return _not_installed(cell, str(refusal))
        run = record_run(
            environment_of(str(self._interpreter)),
            timeout=STAGE_TIMEOUT_SECONDS,
            bytecode=self._bytecode,
        )
        if not cell.then:  # What was forced has not resolved.
            if found := _pins(run["packages"]) ^ resolved:
                raise NotMeasured(f"the environment is not what was resolved: {sorted(found)}")
            refused = _refused_by_pip(self._environment, run["python"])
            run["capabilities"]["install"] = (
                {"status": "fails", "error": refused} if refused else {"status": "works"}
            )
        return {**run, "command": cell.command, "cell": cell.name}

    @property
    def _interpreter(self) -> Path:
        return self._environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def _install(self, cell: Cell) -> set[str]:
        """Bring the environment to what the cell resolves to, and return that.

        Raises:
            _Refused: The set does not install.
        """
        if cell.heavy != self._holds or _strays(self._environment):
            self.clear()
            _uv("venv", "--python", cell.python, str(self._environment))
        python = ("--python", str(self._interpreter))
        wanted = "\n".join(cell.requirements)
        listed = _uv("pip", "compile", *python, "--no-header", "--no-annotate", "-", told=wanted)
        _uv("pip", "sync", *python, "-", told=listed)
        resolved = dict(line.split("==") for line in listed.split())
        # The next cell would uninstall one of two that share files, and lose those of the other.
        shared = any(set(pair) <= set(map(distribution_name, resolved)) for pair in SAME_FILES)
        self._holds = () if shared else cell.heavy
        for line in cell.then:
            verb, *words = shlex.split(line)
            _uv("pip", verb, *python, *words)
        return _pins(resolved)


class _Refused(Exception):  # noqa: N818 - the answer of an installer
    """uv did not do what it was asked to; the message is its own."""


def _uv(*words: str, told: str = "") -> str:
    """Run uv and return what it prints.

    Raises:
        _Refused: It does not do what it is asked for.
    """
    done = subprocess.run(
        ["uv", "--quiet", *words], input=told, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise _Refused(done.stderr)
    return done.stdout


def _pins(packages: Mapping[str, str]) -> set[str]:
    return {f"{distribution_name(name)}=={Version(v)}" for name, v in packages.items()}


def _strays(environment: Path) -> list[Path]:
    """Return the files that no distribution brought: cells wrote them, or uninstalling left them.

    Compiled modules are none: Python compares them with their source.
    """
    strays: list[Path] = []
    for site in _site_packages(environment):
        brought = set()
        for record in site.glob("*.dist-info/RECORD"):
            with record.open(encoding="utf-8", newline="") as lines:
                brought |= {os.path.normpath(row[0]) for row in csv.reader(lines) if row}
        for folder, _, names in os.walk(site):
            inside = os.path.relpath(folder, site)
            strays += [
                Path(folder, name)
                for name in names
                if os.path.normpath(f"{inside}/{name}") not in brought
                and not folder.endswith("__pycache__")
                and not name.startswith("_virtualenv.")
            ]
    return strays


def _site_packages(environment: Path) -> list[Path]:
    parent = "Lib" if os.name == "nt" else "lib/python*"
    return list(environment.glob(f"{parent}/site-packages"))


def _refused_by_pip(environment: Path, python: str) -> str:
    """Return pip's words for a release that is not for this Python, or nothing.

    uv leaves the upper bounds of Requires-Python out of account and installs it all the same.
    """
    folders = [str(path) for path in _site_packages(environment)]
    for found in importlib.metadata.distributions(path=folders):
        wanted = found.metadata["Requires-Python"] or ""
        if not SpecifierSet(wanted).contains(python, prereleases=True):
            name = found.metadata["Name"]
            return f"Package '{name}' requires a different Python: {python} not in '{wanted}'"
    return ""


def _short(words: str) -> str:
    """Return what an installer says as one line: all of it, or how it begins and ends."""
    line = " ".join(words.split())
    return line if len(line) < 1200 else f"{line[:300]} ... {line[-800:]}"


def _not_installed(cell: Cell, words: str) -> dict[str, Any]:
    """Return the run of a cell whose set does not install: its pins and the installer's words.

    Raises:
        NotMeasured: The installer failed for another reason.
    """
    if not any(verdict in words for verdict in _VERDICTS_ON_THE_SET):
        raise NotMeasured(words.strip())
    pins = {
        requirement.name: each.version
        for requirement in map(Requirement, cell.requirements)
        for each in requirement.specifier
        if each.operator == "=="
    }
    return {
        **run_header(cell.python, this_platform()),
        "command": cell.command,
        "cell": cell.name,
        "device": "cpu",
        "packages": pins,
        "builds": {},
        "system": {"ffmpeg": None},
        "capabilities": {
            "install": {"status": "fails", "error": without_machine_paths(_short(words))}
        },
        "tokens": None,
    }


def recorded(folder: Path, platform: str) -> list[dict[str, Any]]:
    """Return the runs recorded on `platform`, oldest first."""
    file = folder / f"{platform}.jsonl"
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [in_todays_words(json.loads(line)) for line in lines]


def differences(run: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Compare a run with the newest of `runs` that has the same command."""
    same = [before for before in runs if before["command"] == run["command"]]
    if not same:
        return [f"{run['command']}: no run recorded on {run['platform']}"]
    before = same[-1]
    skipped = set()
    if (before["system"]["ffmpeg"] is None) != (run["system"]["ffmpeg"] is None):
        print("clone is not compared: FFmpeg is here or was there, not both", file=sys.stderr)
        skipped.add("clone")
    names = (before["capabilities"].keys() | run["capabilities"].keys()) - skipped
    different = [
        f"{run['command']}: {name} {_status(run, name)}, recorded as {_status(before, name)}"
        f" ({run['capabilities'].get(name, {}).get('error', '')})"
        for name in sorted(names)
        if _status(run, name) != _status(before, name)
    ]
    if before["tokens"] != run["tokens"]:
        different.append(f"{run['command']}: other tokens than recorded")
    return different


def _status(run: Mapping[str, Any], name: str) -> str:
    return str(run["capabilities"].get(name, {}).get("status", "not reached"))


def forget_torch(packages: Iterable[str]) -> None:
    """Delete what torch brought to uv's cache with an environment of these packages: up to 8 GB."""
    names = [n for n in packages if n in _TORCH_FAMILY or n.startswith(("nvidia-", "cuda-"))]
    if names:
        subprocess.run(["uv", "--quiet", "cache", "clean", *names], check=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s matrix --")
    parser.add_argument("names", nargs="*", help="cells or sweeps of matrices/cells.toml")
    parser.add_argument("--sweep", action="append", default=[], help="a sweep of cells.toml")
    parser.add_argument("--ci", action="store_true", help="the cells that CI measures again")
    parser.add_argument(
        "--new", action="store_true", help="new releases, beside versions that work"
    )
    parser.add_argument("--tts", help="for example TTS==0.22.0 or coqui-tts==0.28.0")
    for name in PINNED:
        parser.add_argument(f"--{name}", default="", help="exact version")
    parser.add_argument("--with", dest="also", action="append", default=[], help="a requirement")
    parser.add_argument(
        "--then", action="append", default=[], help="arguments of `uv pip`, after the installation"
    )
    parser.add_argument("--python", default=DEFAULT_PYTHON)
    parser.add_argument("--check", action="store_true", help="compare with what is recorded")
    parser.add_argument("--again", action="store_true", help="also what is recorded already")
    parser.add_argument(
        "--fresh", action="store_true", help="make a new environment for every cell"
    )
    parser.add_argument(
        "--tidy", action="store_true", help="clear each torch from uv's cache before the next"
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(tempfile.gettempdir(), "xcompat-matrix"),
        help="folder for the environment of a cell and the compiled modules of all",
    )
    parser.add_argument("--list", action="store_true", help="name the cells and stop")
    parser.add_argument("--json", action="store_true", help="list as JSON")
    return parser


def main(words: list[str]) -> int:
    """Do what the command line asks for; 1 if a cell was not measured or not as recorded."""
    parser = _parser()
    options = parser.parse_args(words)
    cells = read_cells(MATRICES / "cells.toml")
    chosen = choose(options, cells)
    runs = recorded(MATRICES / "runs", this_platform())
    commands = {run["command"] for run in runs}
    if options.list:
        _show(chosen if chosen or options.new else cells, commands, as_json=options.json)
        return 0
    if not chosen and options.new:
        print("nothing was released that has not been run", file=sys.stderr)
        return 0
    if not chosen:
        parser.error("name cells or sweeps, or give --tts; --list shows what there is")
    if not (options.check or options.again or options.tts):
        chosen = [cell for cell in chosen if cell.command not in commands]
    torches = list(dict.fromkeys(cell.torch for cell in chosen))
    chosen.sort(key=lambda cell: (torches.index(cell.torch), cell.heavy))
    with _alone(options.scratch):
        bench = Bench(options.scratch, fresh=options.fresh)
        try:
            failures = _measure_all(chosen, bench, options, runs)
        finally:
            bench.clear()
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _measure_all(
    cells: Sequence[Cell],
    bench: Bench,
    options: argparse.Namespace,
    runs: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Measure cells one by one, record or compare each, and return what is not as it should be."""
    failures = []
    pin = ""
    installed: Mapping[str, str] = {}
    for number, cell in enumerate(cells, start=1):
        if options.tidy and cell.torch not in (pin, installed.get("torch")):
            forget_torch(installed)
        started = time.monotonic()
        try:
            run = bench.measure(cell)
        except NotMeasured as error:
            failures.append(f"{cell.command}: not measured: {error}")
            continue
        outcomes = {name: outcome["status"] for name, outcome in run["capabilities"].items()}
        print(
            f"[{number}/{len(cells)}] {time.monotonic() - started:.0f} s: {cell.arguments}:",
            outcomes,
            file=sys.stderr,
            flush=True,
        )
        if options.check:
            failures += differences(run, runs)
        else:
            append_run(MATRICES / "runs" / f"{run['platform']}.jsonl", run)
        pin, installed = cell.torch, run["packages"]
    return failures


@contextlib.contextmanager
def _alone(scratch: Path) -> Iterator[None]:
    """Hold `scratch`: two that measure in one folder would measure each other's environment.

    Raises:
        SystemExit: Somebody else measures there.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / "lock").open("w") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SystemExit(f"another measurement runs in {scratch}") from None
        yield


def _show(cells: Iterable[Cell], commands: set[str], *, as_json: bool) -> None:
    listed = [
        {
            "name": cell.name,
            "arguments": cell.arguments,
            "python": cell.python,
            "ci": cell.ci,
            "recorded": cell.command in commands,
        }
        for cell in cells
    ]
    if as_json:
        print(json.dumps(listed))
        return
    for cell in listed:
        print(f"{'recorded' if cell['recorded'] else '-':8}  {cell['name']}: {cell['arguments']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
