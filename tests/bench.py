"""What the README quotes: paired runs of whole commands, in turn, and the median of the ratios.

`nox -s bench -- path/to/model.pth` (make one with `nox -s make_checkpoint -- FOLDER --size full`).
Without a path only the start of the command line is measured. `--tts PYTHON` names the interpreter
of an environment with the real TTS, to compare with what people do there; `--folder DIR` is where
the output goes, for example on a file system that shares blocks.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from written_archive import Archive, pickle_bytes

from xcompat.converters import write_tiny_release
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.values.objects import StateDict
from xcompat.converters.values.tensors import F32, Storage, Tensor, packed

ROUNDS = 5
XCOMPAT = [str(Path(sys.executable).with_name("xcompat"))]
FLOOR = [sys.executable, "-c", "import typer, rich.table"]
PINS = {
    "all is well": ["TTS==0.22.0", "torch==2.8.0", "torchaudio==2.8.0", "transformers==4.40.2"],
    "with a plan": ["TTS==0.22.0", "torch==2.9.1", "torchaudio==2.9.1", "transformers==4.57.2"],
}
BY_HAND = """
import sys, torch
from safetensors.torch import save_file
state = torch.load(sys.argv[1], map_location="cpu", weights_only=False)["model"]
save_file(state, sys.argv[2], metadata={"format": "pt"})
"""
"""What guides say, in an environment that has TTS: load everything, save everything."""


class Cost(NamedTuple):
    """What some commands took, one after the other."""

    wall: float
    cpu: float
    memory: float
    """Peak resident memory in MiB."""


def run(commands: list[list[str]]) -> Cost:
    """Run commands in a process that has no other children, and so knows their peak memory."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        started = time.perf_counter()
        for command in commands:
            done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
            # The doctor may say no to this environment.
            if done.returncode > 3:
                os._exit(1)
        wall = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cost = (wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
        os.write(write, " ".join(map(str, cost)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as told:
        return Cost(*map(float, told.read().split()))


def compare(label: str, ours: list[list[str]], theirs: list[list[str]], output: Path) -> None:
    """Run both lists of commands in turn; print the median ratios and the medians."""
    pairs: list[tuple[Cost, Cost]] = []
    for round_ in range(ROUNDS + 1):
        costs: dict[bool, Cost] = {}
        # Each goes first in every other pair: what ran before leaves fast or slow memory behind.
        for is_ours in (round_ % 2 == 0, round_ % 2 == 1):
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir()
            os.sync()
            costs[is_ours] = run(ours if is_ours else theirs)
        if round_:  # the first one warms caches
            pairs.append((costs[True], costs[False]))
    wall, cpu, memory = (
        statistics.median(getattr(a, field) / getattr(b, field) for a, b in pairs)
        for field in Cost._fields
    )
    print(
        f"{label}: {wall:.3g} times the wall time, {cpu:.3g} the CPU time, {memory:.3g} the memory "
        f"(medians of {ROUNDS} pairs: {statistics.median(a.wall for a, _ in pairs):.3f} s, "
        f"{statistics.median(a.memory for a, _ in pairs):.0f} MiB and "
        f"{statistics.median(b.wall for _, b in pairs):.3f} s)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s bench --")
    parser.add_argument("checkpoint", nargs="?", type=Path)
    parser.add_argument("--tts", help="interpreter of an environment with the real TTS")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where the output goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix=".bench-") as name:
        output = Path(name, "out")
        start = "import of typer, rich.table"
        compare(f"xcompat --help / {start}", [[*XCOMPAT, "--help"]], [FLOOR], output)
        there = ("--python-version", "3.11", "--platform", "linux-x86_64")
        for what, pins in PINS.items():
            listed = Path(name, "requirements.txt")
            listed.write_text("\n".join(pins), "utf-8")
            command = [*XCOMPAT, "doctor", "-r", str(listed), *there]
            compare(f"xcompat doctor, {what} / {start}", [command], [FLOOR], output)
        compare(f"xcompat doctor, no TTS here / {start}", [[*XCOMPAT, "doctor"]], [FLOOR], output)
        if options.checkpoint:
            conversions(options.checkpoint.resolve(), output, Path(name), options.tts)
            for kind in ("xfs", "btrfs"):
                shared_blocks(options.checkpoint.resolve(), Path(name), kind)
        many_models(Path(name), output)
        # Last, since a child's memory is never told as less than this process has.
        large_inputs(Path(name), output)


def many_models(folder: Path, output: Path) -> None:
    """Compare ten models of 210 MB in one command with a command for each, and with `cp`."""
    write_large(folder / "large.pth", 200, 1 << 18)
    models = [folder / f"models/voice-{number}" for number in range(10)]
    for model in models:
        model.mkdir(parents=True)
        (model / "model.pth").hardlink_to(folder / "large.pth")
    convert = [*XCOMPAT, "convert"]
    together = [[*convert, str(folder / "models"), "-o", str(output / "together")]]
    by_hand = [[*convert, str(model), "-o", str(output / model.name)] for model in models]
    # What was written as holes would stay holes: `cp` would leave out what a conversion writes.
    whole = ("--reflink=never", "--sparse=never")
    copy = [["cp", "-r", *whole, str(folder / "models"), str(output)], ["sync"]]
    compare("convert of ten models / one after another", together, by_hand, output)
    compare("convert of ten models / cp and sync", together, copy, output)
    shutil.rmtree(folder / "models")


def large_inputs(folder: Path, output: Path) -> None:
    """Measure what shall not grow with the input, and what shall grow no faster than it."""
    for count, numel, words in (
        (20, 500_000_000, ["--dry-run"]),
        (1_000, 16, ["--no-fsync"]),
        (10_000, 16, ["--no-fsync"]),
        (100_000, 16, ["--no-fsync"]),
    ):
        write_large(folder / "large.pth", count, numel)
        shutil.rmtree(output, ignore_errors=True)
        command = [*XCOMPAT, "convert", str(folder / "large.pth"), "-o", str(output), *words]
        cost = run([command])
        print(
            f"convert {' '.join(words)} of {count:,} tensors of {numel:,} elements: "
            f"{cost.wall:.2f} s, {cost.cpu:.2f} s of processor time, {cost.memory:.0f} MiB",
            flush=True,
        )


def shared_blocks(source: Path, folder: Path, kind: str) -> None:
    """Measure a repair and a `.pth` on a file system that shares blocks, in a mounted file."""
    if os.geteuid() or not shutil.which(f"mkfs.{kind}"):
        print(f"convert on {kind}: not measured, this needs root and mkfs.{kind}")
        return
    image, mounted = folder / kind, folder / "mounted"
    with image.open("wb") as file:
        file.truncate(source.stat().st_size + (2 << 30))
    mounted.mkdir(exist_ok=True)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        model = mounted / "model.pth"
        shutil.copyfile(source, model)
        ways = (["--in-place", str(model)], ["--format", "pth", str(model), "-o", f"{mounted}/out"])
        for words in ways:
            walls, spaces = [], []
            for _ in range(ROUNDS):
                os.sync()
                before = shutil.disk_usage(mounted).free
                walls.append(run([[*XCOMPAT, "convert", *words]]).wall)
                os.sync()
                spaces.append(before - shutil.disk_usage(mounted).free)
                shutil.rmtree(mounted / "out", ignore_errors=True)
                original = mounted / "model.pth.original"
                if original.exists():
                    original.replace(model)
            print(
                f"convert {' '.join(words[:2])} on {kind}: {statistics.median(walls):.3f} s, "
                f"{max(spaces) / 1e6:.2f} MB (median and most of {ROUNDS})",
                flush=True,
            )
    finally:
        subprocess.run(["umount", mounted], check=True)
        image.unlink()


def write_large(path: Path, count: int, numel: int) -> None:
    """Write a checkpoint with many or large tensors of zeros, most of which take no room."""
    tiny = path.with_name("tiny")
    if not tiny.exists():
        write_tiny_release(tiny)
    with TorchSource(tiny / "model.pth") as checkpoint, path.open("wb") as file:
        sources: dict[str, Tensor] = dict(checkpoint.value["model"])
        model = StateDict()
        for index, (name, found) in enumerate(sources.items()):
            storage = Storage(index, found.dtype, found.numel)
            model[name] = packed(storage, found.shape)
        for index in range(len(model), len(model) + count):
            storage = Storage(index, F32, numel)
            model[f"gpt.more.{index}.weight"] = packed(storage, (numel,))
        archive = Archive(file)
        archive.record("data.pkl", [pickle_bytes({"model": model})])
        for found in sources.values():
            start = checkpoint.record(found.storage).offset
            archive.record(
                f"data/{archive.storages}", [checkpoint.file.read_at(start, found.nbytes)]
            )
        for _ in range(count):
            archive.zeros(f"data/{archive.storages}", numel * F32.itemsize)
        archive.record("version", [b"3\n"])
        archive.close()


def conversions(source: Path, output: Path, folder: Path, tts: str | None) -> None:
    """Compare conversions with `cp` of the same file, and with what people do by hand."""
    convert = [*XCOMPAT, "convert", str(source), "-o", str(output / "converted")]
    copy = ["cp", "--reflink=never", str(source), str(output / "copy")]
    compare("convert --dry-run / import", [[*convert, "--dry-run"]], [FLOOR], output)
    # There is no switch for "no checks": the checksums of the default cost next to nothing.
    for options in (["--no-fsync"], ["--no-fsync", "--verify"], ["--no-fsync", "--format", "pth"]):
        compare(f"convert {' '.join(options)} / cp", [[*convert, *options]], [copy], output)
    compare("convert / cp and sync", [convert], [copy, ["sync"]], output)
    original = folder / "original.pth"
    shutil.copyfile(source, original)
    in_place = [
        ["ln", str(original), str(output / "model.pth")],
        [*XCOMPAT, "convert", "--in-place", "--no-fsync", str(output / "model.pth")],
    ]
    compare("convert --in-place --no-fsync / cp", in_place, [copy], output)
    if tts:
        by_hand = [tts, "-c", BY_HAND, str(source), str(output / "model.safetensors")]
        compare(
            "convert --no-fsync / torch.load and save_file with the real TTS",
            [[*convert, "--no-fsync"]],
            [by_hand],
            output,
        )


if __name__ == "__main__":
    main()
