# /// script
# dependencies = ["nox[uv]>=2025.2.9"]
# ///
"""The project's work that is more than editing: `nox -l` lists it, plain `nox` is what CI runs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nox

if TYPE_CHECKING:
    from collections.abc import Iterator

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
RUNS = ROOT / "matrices" / "runs"
PINNED = ("torch", "torchaudio", "torchcodec", "transformers")
"""What a cell pins beside its TTS."""
PROVED_WITH_RUNTIME = (
    "tts-without-torchcodec",
    "tts-transformers-5",
    "coqui-newest",
    "extra-xtts",
    "coqui-0.27.5-transformers-5.1",
)
CELLS = nox.project.load_toml(ROOT / "matrices" / "cells.toml")["cell"]


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and who may import whom."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("typecheck"))
    session.run("mypy", "-p", "xcompat")
    session.run("mypy", "noxfile.py", "tests/bench.py")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite: no network, no torch."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("tests"))
    session.run("coverage", "run", "-m", "pytest", "-m", "not property", *session.posargs)
    session.run("coverage", "report")


@nox.session(default=False)
def property(session: nox.Session) -> None:  # noqa: A001 - the marker's name
    """Run the long Hypothesis suites."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("tests"))
    session.run("pytest", "-m", "property", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distributions and use the installed wheel as a stranger would."""
    session.install(*_group("wheel"))
    target = session.create_tmp()
    session.run("python", "-m", "build", "--outdir", f"{target}/dist", silent=True)
    (built,) = Path(target, "dist").glob("*.whl")
    session.run("check-wheel-contents", "--toplevel", "xcompat", str(built))
    session.install("--force-reinstall", str(built))
    with session.chdir(target):
        session.run("xcompat", "--version")
        session.run("xcompat", "doctor", success_codes=[1])
        session.run("xcompat", "demo", "--forged", "forged-demo")


@nox.session
def demo(session: nox.Session) -> None:
    """Show the whole story in an environment of its own, and leave a WAV and a picture."""
    session.install(".[xtts]")
    session.run("xcompat", "demo", *session.posargs)


@nox.session(default=False)
def make_checkpoint(session: nox.Session) -> None:
    """Make a checkpoint with the real TTS classes: `-- FOLDER --kind release --size full`."""
    session.install(".[xtts]")
    maker = ROOT / "compat" / "target" / "__main__.py"
    arguments = session.posargs
    if not arguments or arguments[0].startswith("-"):
        arguments = [str(ROOT / "checkpoints"), *arguments]
    session.run("python", "-I", str(maker), "make-checkpoint", *arguments)


@nox.session(default=False)
def runtime(session: nox.Session) -> None:
    """Prove the xcompat runtime in the environments of some cells: `-- NAME...`."""
    session.install(".", "uv")
    for name in session.posargs or PROVED_WITH_RUNTIME:
        with _environment(session, _cell(name)) as (scratch, interpreter):
            original, converted = scratch / "original", scratch / "converted"
            python = (str(interpreter), "-I")
            maker = (str(ROOT / "compat" / "target" / "__main__.py"), "make-checkpoint")
            session.run(*python, *maker, str(original), external=True)
            session.run("xcompat", "convert", str(original), "-o", str(converted), "--format=both")
            proof = str(ROOT / "tests" / "prove_runtime.py")
            session.run(*python, proof, str(converted), external=True)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure what the README quotes, in paired runs."""
    session.install(".")
    session.run("python", "tests/bench.py", *session.posargs)


@nox.session
def cells(session: nox.Session) -> None:
    """Run the cells marked `ci` again; fail if an outcome is not the recorded one."""
    _matrix(session, [cell for cell in CELLS if cell.get("ci")], check=True)


@nox.session(default=False)
def matrix(session: nox.Session) -> None:
    """Measure cells and record them: `-- NAME...`, or `-- --tts TTS==0.22.0 --torch 2.9.1 ...`."""
    parser = argparse.ArgumentParser(prog="nox -s matrix --")
    parser.add_argument("names", nargs="*", help="cells of matrices/cells.toml")
    parser.add_argument("--tts", help="for example TTS==0.22.0 or coqui-tts==0.28.0")
    for name in PINNED:
        parser.add_argument(f"--{name}", help="exact version")
    parser.add_argument("--with", dest="also", action="append", default=[], help="a requirement")
    parser.add_argument("--python", default="3.11")
    parser.add_argument("--check", action="store_true", help="compare with what is recorded")
    options = parser.parse_args(session.posargs)
    chosen = [_cell(name) for name in options.names]
    if options.tts:
        chosen.append({key: value for key, value in vars(options).items() if value})
    if not chosen:
        parser.error("name cells, or give --tts; cells: " + " ".join(c["name"] for c in CELLS))
    _matrix(session, chosen, check=options.check)


def _cell(name: str) -> dict[str, Any]:
    cell: dict[str, Any]
    for cell in CELLS:
        if cell["name"] == name:
            return cell
    raise SystemExit(f"no cell {name!r} in matrices/cells.toml")


def _requirements(cell: dict[str, Any]) -> list[str]:
    pinned = [f"{name}=={cell[name]}" for name in PINNED if name in cell]
    return [cell["tts"], *pinned, *cell.get("also", [])]


def _command(cell: dict[str, Any]) -> str:
    words = [f"--tts {cell['tts']}"]
    words += [f"--{name} {cell[name]}" for name in PINNED if name in cell]
    words += [f"--with '{requirement}'" for requirement in cell.get("also", [])]
    if cell.get("python", "3.11") != "3.11":
        words.append(f"--python {cell['python']}")
    return "nox -s matrix -- " + " ".join(words)


def _matrix(session: nox.Session, chosen: list[dict[str, Any]], *, check: bool) -> None:
    session.install(".", "uv")
    differences = []
    for cell in chosen:
        run = _measure(session, cell)
        outcomes = {name: value["status"] for name, value in run["capabilities"].items()}
        session.log(f"{_command(cell)}: {outcomes}")
        if check:
            differences += _differences(run)
        else:
            RUNS.mkdir(exist_ok=True)
            file = RUNS / f"{run['platform']}.jsonl"
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(run, sort_keys=True, ensure_ascii=False) + "\n")
    if differences:
        session.error("not as recorded:\n  " + "\n  ".join(differences))


@contextlib.contextmanager
def _environment(session: nox.Session, cell: dict[str, Any]) -> Iterator[tuple[Path, Path]]:
    """Make the cell's environment; yield a scratch folder and the interpreter; delete both."""
    scratch = Path(session.create_tmp()) / "cell"
    shutil.rmtree(scratch, ignore_errors=True)
    environment = scratch / "venv"
    interpreter = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        session.run("uv", "venv", "-q", "--python", cell.get("python", "3.11"), str(environment))
        session.run(
            *("uv", "pip", "install", "-q", "--python", str(interpreter)),
            *_requirements(cell),
        )
        yield scratch, interpreter
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measure(session: nox.Session, cell: dict[str, Any]) -> dict[str, Any]:
    """Record a run in the cell's environment."""
    with _environment(session, cell) as (scratch, interpreter):
        lines = scratch / "run.jsonl"
        session.run("xcompat", "smoke", "--python", str(interpreter), "--record", str(lines))
        run: dict[str, Any] = json.loads(lines.read_text(encoding="utf-8"))
    run["capabilities"]["install"] = {"status": "works"}
    return {**run, "command": _command(cell), "cell": cell.get("name", "")}


def _differences(run: dict[str, Any]) -> list[str]:
    """Compare a run with the newest recorded one of the same command."""
    recorded = [
        line
        for file in sorted(RUNS.glob("*.jsonl"))
        for line in map(json.loads, file.read_text(encoding="utf-8").splitlines())
        if line["command"] == run["command"] and line["platform"] == run["platform"]
    ]
    if not recorded:
        return [f"{run['command']}: no run recorded on {run['platform']}"]
    before = recorded[-1]
    skipped = set()
    if (before["system"]["ffmpeg"] is None) != (run["system"]["ffmpeg"] is None):
        print("clone is not compared: FFmpeg is here or was there, not both", file=sys.stderr)
        skipped.add("clone")
    names = (before["capabilities"].keys() | run["capabilities"].keys()) - skipped

    def status(line: dict[str, Any], name: str) -> str:
        return str(line["capabilities"].get(name, {}).get("status", "not reached"))

    different = [
        f"{run['command']}: {name} {status(run, name)}, recorded as {status(before, name)}"
        f" ({run['capabilities'].get(name, {}).get('error', '')})"
        for name in sorted(names)
        if status(run, name) != status(before, name)
    ]
    if before["tokens"] != run["tokens"]:
        different.append(f"{run['command']}: other tokens than recorded")
    return different
