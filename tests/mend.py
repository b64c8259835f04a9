"""Breaks environments, lets `resolve --apply` or `fix` mend them, and hears them speak.

Run by `nox -s resolve -- NAME...` and `nox -s fix -- NAME...`; without names, all of them. Each
needs about 6 GB while it is there, of which uv links most.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAKER = Path(__file__).parents[1] / "compat" / "target" / "__main__.py"
REPORT = ["TTS==0.22.0", "torch==2.9.1", "torchaudio==2.9.1", "transformers==4.57.2"]
TORCH = ["torch==2.8.0", "torchaudio==2.8.0"]
BROKEN: dict[str, tuple[list[str], list[str]]] = {
    "report": (REPORT, []),
    "report-keeps-tts": (REPORT, ["TTS", "torch"]),
    "report-keeps-tts-pip": (REPORT, ["TTS", "torch"]),
    "both-installed": (
        ["TTS==0.22.0", "coqui-tts==0.28.0", "six", *TORCH, "transformers==4.57.6"],
        [],
    ),
    "newcomer": (["TTS"], []),
    "coqui-0.27.5-transformers-5": (
        ["coqui-tts==0.27.5", "six", *TORCH, "transformers==5.1.0"],
        [],
    ),
}
"""Environments that do not work: what is installed, and what `resolve` must keep. One whose name
ends in `-pip` is pip's, the others are uv's."""
WORKING = ["coqui-tts==0.28.0", "six", *TORCH, "transformers==4.57.6"]
"""What makes the tiny model that `fix` is tried on."""


def main() -> None:
    """Mend the environments that are named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="where the environments are made")
    parser.add_argument("names", nargs="*", help=", ".join(BROKEN))
    parser.add_argument("--fix", action="store_true", help="by one `xcompat fix`, and back")
    parser.add_argument("--model", type=Path, help="a tiny model as published; made if not given")
    options = parser.parse_intermixed_args()
    folder = options.folder.resolve()
    model = options.model
    if options.fix and model is None:
        model = folder / "model"
        with scratch_in(folder) as scratch:
            python = make_environment(scratch / "venv", WORKING, pip=False)
            shutil.rmtree(model, ignore_errors=True)
            run([python, "-I", str(MAKER), "make-checkpoint", str(model)])
    for name in options.names or BROKEN:
        with scratch_in(folder) as scratch:
            if options.fix:
                fix(name, scratch, model)
            else:
                mend(name, scratch)


@contextlib.contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """Give an empty folder, and remove all of it afterwards."""
    scratch = folder / "mend"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def fix(name: str, scratch: Path, published: Path) -> None:
    """Break one environment, mend it with its model by one command, hear it, and go back."""
    installed, _ = BROKEN[name]
    python = make_environment(scratch / "venv", installed, pip=name.endswith("-pip"))
    model = shutil.copytree(published, scratch / "model")
    os.environ["XDG_STATE_HOME"] = str(scratch / "state")
    before = files_in(model), frozen(python)
    xcompat("doctor", "--python", python, expected=1)
    told = json.loads(xcompat("fix", str(model), "--python", python, "--yes", "--json"))
    if told["smoke"]["verdict"] != "speaks" or (files_in(model), frozen(python)) == before:
        sys.exit(f"{name}: nothing was mended")
    xcompat("fix", "--undo")
    if files_in(model) != before[0]:
        sys.exit(f"{name}: the model is not as it was")
    if frozen(python) != before[1]:
        sys.exit(f"{name}: the packages are not as they were")
    seconds = sum(stage["seconds"] for stage in told["smoke"]["stages"])
    print(f"{name}: speaks ({seconds:.0f} s of smoke), and everything came back", flush=True)


def files_in(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def frozen(python: str) -> str:
    """Return what is installed, with versions and addresses."""
    return run(["uv", "pip", "freeze", "-q", "--python", python])


def mend(name: str, scratch: Path) -> None:
    """Break, mend and hear one environment; end the process where it does not speak."""
    installed, kept = BROKEN[name]
    python = make_environment(scratch / "venv", installed, pip=name.endswith("-pip"))
    words = ["--python", python, *(word for each in kept for word in ("--keep", each))]
    xcompat("doctor", "--python", python, expected=1)
    xcompat("resolve", *words, "--apply", "--yes")
    xcompat("doctor", "--python", python)
    again = json.loads(xcompat("resolve", *words, "--json"))
    if again["proposals"][0]["changes"]:
        sys.exit(f"{name}: the plan changes its own result")
    model = str(scratch / "model")
    run([python, "-I", str(MAKER), "make-checkpoint", model])
    xcompat("convert", model)
    report = json.loads(
        xcompat(
            "smoke", f"{model}-converted", "--python", python,
            "-o", str(scratch / "speech.wav"), "--json",
        )
    )  # fmt: skip
    print(f"{name}: {report['verdict']}", flush=True)


def make_environment(root: Path, installed: list[str], *, pip: bool) -> str:
    """Make an environment with its owner, and return its interpreter."""
    python = str(root / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    seed = ["--seed"] if pip else []
    run(["uv", "venv", "-q", "--python", "3.11", *seed, str(root)])
    # In pip's environment as well uv installs torch: it links what pip would copy by the gigabyte.
    by_uv = [each for each in installed if not pip or each.startswith("torch")]
    run(["uv", "pip", "install", "-q", "--python", python, *by_uv])
    if pip:
        settings = root / "pyvenv.cfg"
        lines = settings.read_text("utf-8").splitlines()
        settings.write_text("\n".join(line for line in lines if not line.startswith("uv")), "utf-8")
        run([python, "-m", "pip", "install", "-q", *installed])
    return python


def xcompat(*words: str, expected: int = 0) -> str:
    """Run xcompat; show and return what it says."""
    return run([sys.executable, "-m", "xcompat", *words], expected)


def run(command: list[str], expected: int = 0) -> str:
    """Run a command, show and return its output; end the process on another status."""
    print("$", *command, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    print(done.stdout, flush=True)
    if done.returncode != expected:
        sys.exit(f"ended with {done.returncode}, not {expected}")
    return done.stdout


if __name__ == "__main__":
    main()
