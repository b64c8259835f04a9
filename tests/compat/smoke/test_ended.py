"""A smoke that is ended leaves no child behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import venv
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")


@pytest.fixture(autouse=True)
def nothing_ignored() -> Iterator[None]:
    """Have commands take signals, also where the tests run in the background of a script."""
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_child_ends_with_the_command(tmp_path: Path, name: str) -> None:
    process, child = start_smoke(tmp_path, [])
    process.send_signal(getattr(signal, name))
    assert process.wait(30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_bench_ends_as_a_smoke_does(tmp_path: Path) -> None:
    process, child = start_smoke(tmp_path, [], ["bench"])
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_what_the_caller_has_ignored_ends_nothing(tmp_path: Path) -> None:
    process, child = start_smoke(tmp_path, ["nohup"])
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    os.kill(child, 0)
    process.terminate()
    assert process.wait(30) == 130


def start_smoke(
    folder: Path, before: list[str], words: list[str] | None = None
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a smoke with a TTS that takes its time; return it, and the process of its child."""
    model = folder / "model"
    model.mkdir()
    (model / "model.safetensors").touch()
    package = folder / "packages" / "TTS"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        f"import os, time\nopen({str(folder / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    python = make_interpreter(folder, package.parent)
    words = words or ["smoke", "-o", str(folder / "speech.wav")]
    command = [sys.executable, "-m", "xcompat", *words, str(model), "--python", str(python)]
    process = subprocess.Popen([*before, *command])
    written = folder / "pid"
    deadline = time.monotonic() + 60
    while not (written.exists() and written.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return process, int(written.read_text())


def make_interpreter(folder: Path, packages: Path) -> Path:
    """Make a virtual environment whose Python has `packages`."""
    venv.create(folder / "venv", symlinks=True)
    (site,) = (folder / "venv").glob("lib/python3*/site-packages")
    (site / "mine.pth").write_text(f"{packages}\n")
    return folder / "venv" / "bin" / "python"
