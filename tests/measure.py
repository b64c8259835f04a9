"""Measure cells of the version matrix in environments of their own, and record what happened.

`nox -s matrix -- NAME...`, or `-- --sweep NAME`, or `-- --tts TTS==0.22.0 --torch 2.9.1 ...`, or
`-- --new` for what was released and never run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import new_cells
from cell_bench import Bench, NotMeasured
from cells import DEFAULT_PYTHON, PINNED, Cell, read_cells
from xcompat.environment.platforms import this_platform
from xcompat.matrix.forms import in_todays_words
from xcompat.smoke.judge import GOLDEN_TOKENS
from xcompat.smoke.run_line import append_run
from xcompat.target.checkpoint import UNTRAINED

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MATRICES = Path(__file__).parent.parent / "matrices"
_TORCH_FAMILY = ("torch", "torchaudio", "torchcodec", "triton")


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
    model, golden = run.get("model", UNTRAINED), before["tokens"]
    if run["tokens"] and model != before.get("model", UNTRAINED):
        golden = GOLDEN_TOKENS[model]
    if golden != run["tokens"]:
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
        if cell.ci:
            failures += bench.apps_differ(record=not options.check)
            failures += bench.unproved()
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
