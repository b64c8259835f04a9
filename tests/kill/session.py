"""Ends conversions at random moments, and looks at what is left: `nox -s kill -- MOMENTS`.

After each end the folder holds no file that is neither that of a whole conversion nor one that was
there before, never a model beside the configuration of another one, and the source as it was. The
same command, given again, does the work and leaves nothing of the first attempt.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from builders import checkpoints, zip_forge  # noqa: E402
from builders import pickle_asm as asm  # noqa: E402
from xcompat.cli import main as main_of_the_command  # noqa: E402

MODELS = ("model.safetensors", "model.pth")
BYTES_PER_TENSOR = 8 << 20
TENSORS = 4
PAIRS = 20


@dataclass(frozen=True)
class Way:
    """One way to call the command."""

    options: tuple[str, ...]
    over_another: bool = False
    """Whether the folder holds the conversion of another model before."""
    in_place: bool = False


WAYS = (
    Way(("--format", "safetensors")),
    Way(("--format", "pth")),
    Way(("--format", "both")),
    Way(("--format", "both", "--no-fsync")),
    Way(("--format", "safetensors", "--verify")),
    Way(("--format", "both", "--force"), over_another=True),
    Way(("--format", "safetensors", "--force", "--no-fsync"), over_another=True),
    Way(("--in-place",), in_place=True),
    Way(("--in-place", "--discard-original", "--no-fsync"), in_place=True),
)

Content = dict[str, int]
"""CRC-32 of each file by its name."""


def make_source(folder: Path, seed: int) -> Path:
    """Write a folder with a checkpoint of 34 MB that names a class, and its companions."""
    noise = random.Random(seed)
    tensors, content = checkpoints.state_dict()
    for index in range(TENSORS):
        numel = BYTES_PER_TENSOR // 4
        tensors[f"gpt.{index}"] = asm.tensor(asm.storage(f"big{index}", numel), (numel,))
        content[f"data/big{index}"] = noise.randbytes(BYTES_PER_TENSOR)
    config = asm.config("XttsConfig", {"model": asm.text("xtts"), "run": asm.number(seed),
        "model_args": asm.config("XttsArgs", {
            "gpt_layers": asm.number(0), "gpt_n_model_channels": asm.number(2),
            "gpt_max_audio_tokens": asm.number(2), "gpt_max_text_tokens": asm.number(2),
            "gpt_num_audio_tokens": asm.number(4)})})  # fmt: skip
    value = asm.dict_({"config": config, "model": asm.ordered_dict(tensors)})
    folder.mkdir(parents=True)
    archive = zip_forge.archive(checkpoints.entries(asm.pickle(value), content))
    return checkpoints.write(folder, archive)


def content_of(folder: Path) -> Content:
    found = {}
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        crc32 = 0
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                crc32 = zlib.crc32(block, crc32)
        found[path.name] = crc32
    return found


class Child:
    """The command in a process of its own, which need not start an interpreter first."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self._errors = folder / f"errors-{time.monotonic_ns()}"
        self._code: int | None = None
        self._pid = os.fork()
        if not self._pid:
            os._exit(self._run(words))

    def _run(self, words: list[str]) -> int:
        try:
            descriptor = os.open(self._errors, os.O_WRONLY | os.O_CREAT)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            sys.argv = ["xcompat", "convert", *words]
            main_of_the_command()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            return 99
        else:
            return 0

    def send(self, number: signal.Signals) -> None:
        if self._poll() is None:
            os.kill(self._pid, number)

    def wait(self) -> int:
        while self._poll() is None:
            time.sleep(0.001)
        assert self._code is not None
        return self._code

    def wait_until_it_writes(self, work: Path) -> None:
        while self._poll() is None and not any(work.glob(".*.part")):
            time.sleep(0.0005)

    def told(self) -> str:
        return self._errors.read_text() if self._errors.exists() else ""

    def _poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


class Session:
    """Sources, what whole conversions of them give, and what was seen so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first = make_source(folder / "first", 1)
        self.second = make_source(folder / "second", 2)
        self.source = content_of(self.first.parent)
        self.whole = {way: self.reference(way) for way in WAYS}
        self.seen: Counter[str] = Counter()

    def command(self, way: Way, work: Path) -> list[str]:
        if way.in_place:
            return [str(work), *way.options]
        return [str(self.first.parent), "-o", str(work), *way.options]

    def prepare(self, way: Way, work: Path) -> Content:
        """Make the folder as it is before; return its content."""
        shutil.rmtree(work, ignore_errors=True)
        if way.in_place:
            shutil.copytree(self.first.parent, work)
        elif way.over_another:
            shutil.copytree(self.another(way), work)
        return content_of(work)

    def another(self, way: Way) -> Path:
        """Where the conversion of another model lies that this way overwrites."""
        return self.folder / f"another{WAYS.index(way)}"

    def reference(self, way: Way) -> tuple[Content, float]:
        """Convert undisturbed; return what the folder holds then, and the seconds of writing."""
        if way.over_another:
            make = [str(self.second.parent), "-o", str(self.another(way)), *way.options]
            self.expect(Child(make, self.folder).wait() == 0, "a conversion failed")
        work = self.folder / "work"
        self.prepare(way, work)
        child = Child(self.command(way, work), self.folder)
        child.wait_until_it_writes(work)
        started = time.monotonic()
        self.expect(child.wait() == 0, f"a conversion failed: {child.told()}")
        return content_of(work), time.monotonic() - started

    def end(self, way: Way, number: signal.Signals, moment: float) -> None:
        """End one conversion, look at what is left, and do it again.

        Args:
            way: How it is called.
            number: The signal that ends it.
            moment: Seconds after it began to write; if negative, after it was started.
        """
        work = self.folder / "work"
        before = self.prepare(way, work)
        child = Child(self.command(way, work), self.folder)
        if moment >= 0:
            child.wait_until_it_writes(work)
        time.sleep(abs(moment))
        child.send(number)
        code = child.wait()
        self.judge(way, work, before, number, code, child.told())
        again = [*self.command(way, work), *(() if way.in_place else ("--force",))]
        if way.in_place and (work / "model.pth.original").exists():
            again = self.recover(work)
        second = Child(again, self.folder)
        self.expect(second.wait() == 0, f"again: {second.told()}")
        after = content_of(work)
        whole = self.whole[way][0]
        left = {name for name in after if name not in whole and name not in before}
        self.expect(not left, f"{left} was left behind")
        for name in whole:
            if name != "xcompat.json" and not (way.in_place and name.endswith(".original")):
                self.expect(after.get(name) == whole[name], f"{name} is another one")
        self.expect(content_of(self.first.parent) == self.source, "the source was changed")

    def recover(self, work: Path) -> list[str]:
        """The original is kept: it is the source, unharmed, and the conversion starts from it."""
        (work / "model.pth.original").replace(work / "model.pth")
        self.expect(
            content_of(work)["model.pth"] == self.source["model.pth"], "the original was changed"
        )
        return [str(work), "--in-place"]

    def judge(  # noqa: PLR0917 - what was done, and what came of it
        self, way: Way, work: Path, before: Content, number: int, code: int, errors: str
    ) -> None:
        whole = self.whole[way][0]
        after = content_of(work)
        named = {name: crc32 for name, crc32 in after.items() if not name.endswith(".part")}
        for name, crc32 in named.items():
            known = {before.get(name), whole.get(name)}
            if name == "xcompat.json":  # it tells the versions of a conversion, and is checked last
                continue
            self.expect(crc32 in known, f"{name} is neither the old nor the new one")
        for name in set(MODELS) & set(named):
            old = named[name] == before.get(name)
            expected = before if old else whole
            companions = {"config.json"} & set(expected)
            for companion in companions:
                self.expect(
                    named.get(companion) == expected[companion] or way.in_place,
                    f"{name} lies beside the {companion} of another one",
                )
        if way.in_place:
            self.expect("model.pth" in named, "the folder lost its checkpoint")
        # Python itself drops an interrupt that comes while it forgets an ended thread, and says so.
        dropped = errors.startswith("Exception ignored in") and code == 0
        self.expect(dropped or "Traceback" not in errors, errors)
        complete = all(named.get(name) == crc32 for name, crc32 in whole.items() if name in MODELS)
        complete = complete and set(named) == set(after)
        if number == signal.SIGINT and code != 0:
            self.expect(code == 130, f"exit {code}")
            # The interrupt may come when all is done but the summary.
            self.expect(after == before or complete, f"an interrupt left {sorted(after)}")
        state = "complete" if complete else "partial" if after != before else "as before"
        self.seen[f"{signal.Signals(number).name}: {state}"] += 1

    def race(self, way: Way) -> None:
        """Convert twice at once into one folder: one result, and the other is told."""
        work = self.folder / "work"
        self.prepare(way, work)
        pair = [Child(self.command(way, work), self.folder) for _ in range(2)]
        ended = {child: child.wait() for child in pair}
        codes = sorted(ended.values())
        told = " / ".join(child.told() for child, code in ended.items() if code)
        self.expect(codes[0] == 0, f"neither succeeded: {told}")
        self.expect(codes[1] in {0, 4}, f"exit {codes[1]}: {told}")
        self.expect("Traceback" not in told, told)
        after, whole = content_of(work), self.whole[way][0]
        self.expect(set(after) == set(whole), f"the folder holds {sorted(after)}")
        for name in set(whole) - {"xcompat.json"}:
            self.expect(after[name] == whole[name], f"{name} is another one")
        self.seen[f"two at once: exit codes {codes}"] += 1

    def expect(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001
        if not holds:
            raise SystemExit(f"{otherwise}\nthe folder is kept: {self.folder}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--moments", type=int, default=250)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    noise = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="xcompat-kill-"))
    session = Session(folder)
    for index in range(options.moments):
        way = WAYS[index % len(WAYS)]
        number = signal.SIGINT if index % 5 == 4 else signal.SIGKILL
        # Before that, the interpreter still starts, and tells an interrupt in its own way.
        earliest = 0 if number == signal.SIGINT else -0.3
        session.end(way, number, noise.uniform(earliest, 1.1) * session.whole[way][1])
        sys.stdout.write(f"\r{index + 1} {dict(sorted(session.seen.items()))}")
        sys.stdout.flush()
    for index in range(PAIRS):
        session.race(WAYS[index % 5])
    shutil.rmtree(folder)
    sys.stdout.write(f"\nseed {options.seed}: {dict(sorted(session.seen.items()))}\n")


if __name__ == "__main__":
    main()
