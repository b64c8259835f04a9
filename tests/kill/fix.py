"""Ends `xcompat fix` at random moments, with all that it started: `nox -s kill -- --moments N`.

Model, conversion, environment and installers are real; the wheels are empty but for some hundred
modules, and only the speaking is a stand-in. After each end the model is the old or the new one.
Then `xcompat fix --undo` brings back every byte of the model and of the packages, or `xcompat fix`
goes on to what an undisturbed one reaches, and the undo after it brings everything back. Half of
them are `--exact`, which puts files of the model beside its folder.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from builders import installed, smoked, wheels  # noqa: E402
from xcompat.converters import write_tiny_release  # noqa: E402

CHECKPOINT = "model/model.pth"
GOLDEN = "65716ddbbd7fddf7fe990f90163734e11af758f7fd4325e45624e02f9f07bbe3"
MODULES = 300
OWNERS = ("uv", "uv", "uv", "pip")
STARTER = """
import sys
from dataclasses import replace
from pathlib import Path
from xcompat.matrix import load
load.SHIPPED = Path(sys.argv.pop(1))
python = Path(sys.argv.pop(1))
from xcompat.mending import carry_out
spoken = carry_out.run_smoke
carry_out.run_smoke = lambda request, *rest: spoken(replace(request, python=python), *rest)
from xcompat.cli import main
main()
"""

Content = dict[str, str]
"""SHA-256 of each file, by its path."""


def content_of(folder: Path) -> Content:
    """Return what a folder holds, but for what Python compiles and ways back that stay."""
    found = {}
    for path in sorted(folder.rglob("*")):
        skipped = "__pycache__" in path.parts or path.name.startswith("xcompat-restore-")
        # What an installer notes of itself: where a wheel lay, when it was installed, its RECORD.
        noted = path.name in {"direct_url.json", "uv_cache.json", "RECORD", "REQUESTED"}
        if path.is_file() and not skipped and not noted:
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def words_of(*, exact: bool) -> tuple[str, ...]:
    """Return the options of a fix."""
    return ("--yes", "--exact") if exact else ("--yes",)


def inside(model: Content) -> set[str]:
    """Return the files in the model's folder, not those beside it."""
    return {name for name in model if name.startswith("model/")}


class Session:
    """A model, one broken environment for each owner, and what was seen so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: Counter[str] = Counter()
        index = wheels.make_index(folder / "wheels", modules=MODULES)
        installed.write_small_matrix(folder / "matrices")
        os.environ |= installed.offline_with(index, folder / "cache")
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        (folder / "player").mkdir()
        self.player = smoked.make_player(folder / "player", tokens={"sha256": GOLDEN})
        write_tiny_release(folder / "model")
        (folder / "model" / "tos_agreed.txt").write_text("yes")
        with_pip = folder / "with-pip"
        venv.create(with_pip, with_pip=True)
        for owner, copied in (("uv", None), ("pip", with_pip)):
            installed.make_environment(folder / owner, installed.REPORT, copied)
        self.new: dict[tuple[str, bool], tuple[Content, Content]] = {}
        self.seconds: dict[str, float] = {}
        for owner, exact in itertools.product(("uv", "pip"), (True, False)):
            self.prepare(owner)
            started = time.monotonic()
            self.expect(self.fix(*words_of(exact=exact)) == 0, "an undisturbed fix failed")
            self.seconds[owner] = time.monotonic() - started
            self.new[owner, exact] = self.now()
            self.expect(self.fix("--undo") == 0, "an undisturbed undo failed")
            self.expect(self.now() == self.old, "an undisturbed undo left something")

    def prepare(self, owner: str) -> None:
        """Put model and environment where they are worked on, and forget what was done."""
        for name in ("work", "state"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.folder / "model", self.folder / "work" / "model")
        shutil.copytree(self.folder / owner, self.folder / "work" / "env", symlinks=True)
        self.old = self.now()

    def now(self) -> tuple[Content, Content]:
        """Return what is in the model's folder and beside it, and in the environment."""
        work = self.folder / "work"
        told = content_of(work)
        models = {name: digest for name, digest in told.items() if not name.startswith("env/")}
        return models, {name: digest for name, digest in told.items() if name not in models}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start the command, in a group of its own."""
        work = self.folder / "work"
        given = () if "--undo" in words else (str(work / "model"), "--python", str(work / "env"))
        starter = ("-c", STARTER, str(self.folder / "matrices"), str(self.player))
        self.told = self.folder / "told.txt"
        with self.told.open("wb") as told:
            return subprocess.Popen(
                [sys.executable, *starter, "fix", *given, *words],
                stdin=subprocess.DEVNULL, stdout=told, stderr=told, start_new_session=True,
            )  # fmt: skip

    def fix(self, *words: str) -> int:
        """Run the command to its end."""
        return self.start(*words).wait()

    def end(
        self, owner: str, moment: float, *, exact: bool, goes_on: bool, in_change: bool
    ) -> None:
        """End one fix, look at the model, and go on or back."""
        self.prepare(owner)
        work = self.folder / "work"
        process = self.start(*words_of(exact=exact))
        while in_change and process.poll() is None and not list(work.glob("env/*restore*")):
            time.sleep(0.001)
        time.sleep(moment)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        checkpoint = self.now()[0].get(CHECKPOINT)
        new = self.new[owner, exact]
        known = (self.old[0][CHECKPOINT], new[0][CHECKPOINT])
        self.expect(checkpoint in known, "the model is neither the old nor the new one")
        begun = list(self.folder.glob("state/xcompat/*.json"))
        if goes_on:
            self.expect(self.fix(*words_of(exact=exact)) == 0, "going on failed")
            model, packages = self.now()
            self.expect(packages == new[1], "going on reached something else")
            self.expect(model[CHECKPOINT] == known[1], "going on left the model as it was")
            self.expect(not exact or inside(model) == inside(new[0]), "going on left other files")
        elif not begun:
            self.expect(self.now() == self.old, "something was changed before it was noted")
        if begun or goes_on:
            self.expect(self.fix("--undo") == 0, "the undo failed")
            said = self.told.read_text().partition(" had left ")[2].partition("\n")[0]
            way = f"{owner}, exact" if exact else owner
            self.seen[f"{way}: {'after going on' if goes_on else said}"] += 1
        else:
            self.seen[f"{owner}: nothing was begun"] += 1
        self.expect(self.now() == self.old, "not everything came back")

    def expect(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001
        """End all of it where something does not hold; the folder stays, to look at."""
        if not holds:
            told = self.told.read_text() if self.told.exists() else ""
            for old, new in zip(self.old, self.now(), strict=True):
                changed = {name for name in old | new if old.get(name) != new.get(name)}
                told += f"\nnot as before: {sorted(changed)[:20]}"
            raise SystemExit(f"{told}\n{otherwise}\nthe folder is kept: {self.folder}")


def main() -> None:
    """End as many fixes as the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    noise = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="xcompat-kill-"))
    session = Session(folder)
    for index in range(options.moments):
        owner = OWNERS[index % len(OWNERS)]
        # Most of the time goes into solving: two of three moments lie in what is changed.
        in_change = index % 3 > 0
        longest = session.seconds[owner] * (0.5 if in_change else 1.0)
        session.end(
            owner,
            noise.uniform(0, longest),
            exact=index // 8 % 2 == 1,
            goes_on=index // 4 % 2 == 1,
            in_change=in_change,
        )
        sys.stdout.write(f"{index + 1} {dict(sorted(session.seen.items()))}\n")
        sys.stdout.flush()
    shutil.rmtree(folder)
    sys.stdout.write(f"seed {options.seed}: {dict(sorted(session.seen.items()))}\n")


if __name__ == "__main__":
    main()
