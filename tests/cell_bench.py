"""Measures one cell after the other, each in exactly what it resolves to.

An environment that is reused lies where an earlier cell left something behind. So each cell is
resolved anew; the environment of the one before is kept only where Python, the TTS family, torch
and what goes with it are the same, is brought to exactly the resolved set, and must hold no file
that no distribution brought. `--fresh` makes a new one for every cell.

The compiled modules of all environments are kept in one folder, where Python itself compares each
with the time and the size of its source; uv stamps a file with the time of unpacking.
"""

from __future__ import annotations

import csv
import importlib.metadata
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from xcompat import convert
from xcompat.domain import SAME_FILES, distribution_name
from xcompat.environment.platforms import this_platform
from xcompat.environment.probe import environment_of
from xcompat.errors import XcompatError
from xcompat.smoke.lacking import lack_in
from xcompat.smoke.record import record_run
from xcompat.smoke.run_line import run_header, without_machine_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cells import Cell

STAGE_TIMEOUT_SECONDS = 420.0
_TESTS = Path(__file__).parent
_APPS = _TESTS / "apps" / "check.py"
_CHECKPOINT_MAKER = (str(_TESTS.parent / "compat" / "target" / "__main__.py"), "make-checkpoint")
_PROOFS = ("fixed_shapes", "capture_rules", "graphs", "sound_rules", "sounds_at_once")
"""Those of prove_runtime.py that a card has to rely on and that take a second or two."""
_VERDICTS_ON_THE_SET = ("No solution found", "Failed to build", "Failed to download and build")
"""What uv says where the set does not install, rather than the network or the disk failing it."""


class NotMeasured(Exception):  # noqa: N818 - it ends a cell, not the sweep
    """Nothing can be said about a cell; the message says why."""


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
        except (OSError, MemoryError) as error:
            self.clear()
            if lack := lack_in(f"{type(error).__name__}: {error}"):
                raise NotMeasured(f"this machine has too little {lack}: {error}") from error
            raise
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

    def apps_differ(self, *, record: bool = False) -> list[str]:
        """Do what two apps do where a cell was measured last; say what is not as recorded.

        Args:
            record: Record it instead.
        """
        with tempfile.TemporaryDirectory(prefix="xcompat-apps-") as folder:
            words = [str(self._interpreter), folder, "--bytecode", str(self._bytecode)]
            words += ["--record"] if record else []
            done = subprocess.run(
                [sys.executable, str(_APPS), *words],
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        ended = [f"the programs of apps ended with {done.returncode}"] if done.returncode else []
        return done.stdout.splitlines() or ended

    def unproved(self) -> list[str]:
        """Prove what accelerators are given, where a cell was measured last; say what fails."""
        with tempfile.TemporaryDirectory(prefix="xcompat-proofs-") as name:
            original, model = Path(name, "original"), Path(name, "converted")
            if fault := self._fault_of(*_CHECKPOINT_MAKER, str(original)):
                return [fault]
            convert(original, model, format="both")
            faults = (
                self._fault_of(str(_TESTS / "prove_runtime.py"), str(model), *_PROOFS),
                self._fault_of(str(_TESTS / "prove_kernels.py"), str(model), "equal"),
            )
        return [fault for fault in faults if fault]

    def _fault_of(self, script: str, *words: str) -> str:
        """Run a script where a cell was measured last; return how it failed, or nothing."""
        compiled = f"pycache_prefix={self._bytecode}"
        done = subprocess.run(
            [str(self._interpreter), "-I", "-X", compiled, script, *words],
            env={**os.environ, "NUMBA_CACHE_DIR": str(self._bytecode / "numba")},
            capture_output=True,
            text=True,
            check=False,
        )
        sys.stderr.write(done.stdout)
        if not done.returncode:
            return ""
        return f"{Path(script).name}: {done.stdout}{done.stderr[-1000:]}"

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
    if lack_in(words) or not any(verdict in words for verdict in _VERDICTS_ON_THE_SET):
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
