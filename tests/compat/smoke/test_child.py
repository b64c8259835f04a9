"""A child that hangs, aborts, prints nonsense or cannot start never takes the parent down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xcompat.errors import CannotLook
from xcompat.smoke.child import run_stages

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fake interpreters are shell scripts")

BEGIN = """echo '{"event": "begin", "stage": "speak"}'"""


def interpreter(folder: Path, script: str) -> Path:
    """Write a stand-in for a Python interpreter: a shell script that plays the child."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_an_abort_fails_the_stage_that_was_running(tmp_path: Path) -> None:
    python = interpreter(tmp_path, f"{BEGIN}; echo 'MLIR pass manager failed' >&2; kill -ABRT $$")
    (stage,) = run_stages(python, ["speak"], {}).stages
    assert (stage.name, stage.status) == ("speak", "fails")
    assert stage.error == "the interpreter was killed by SIGABRT"
    assert "MLIR pass manager failed" in stage.traceback


def test_an_exit_fails_the_stage_that_was_running(tmp_path: Path) -> None:
    (stage,) = run_stages(interpreter(tmp_path, f"{BEGIN}; exit 3"), ["speak"], {}).stages
    assert stage.error == "the interpreter exited with status 3"


def test_a_hang_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    python = interpreter(tmp_path, f"{BEGIN}; sleep 1000 & echo $! >{tmp_path}/pid; wait")
    started = time.monotonic()
    (stage,) = run_stages(python, ["speak"], {}, timeout=0.5).stages
    assert stage.error.startswith("no answer within")
    assert time.monotonic() - started < 30
    sleeper = (tmp_path / "pid").read_text().strip()
    deadline = time.monotonic() + 5
    while _is_running(sleeper) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(sleeper)


def test_a_machine_that_was_stopped_is_not_a_hang(tmp_path: Path) -> None:
    end = """echo '{"event": "end", "stage": "speak", "status": "works", "seconds": 0}'"""
    python = interpreter(tmp_path, f"echo $$ >{tmp_path}/pid; {BEGIN}; sleep 1; {end}; read x")
    code = (
        "import sys; from pathlib import Path; from xcompat.smoke.child import run_stages\n"
        "print(run_stages(Path(sys.argv[1]), ['speak'], {}, timeout=2).stages[0].status)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(python)], stdout=subprocess.PIPE)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    for process in (child, parent.pid):
        os.kill(process, signal.SIGSTOP)
    time.sleep(2.5)
    for process in (parent.pid, child):
        os.kill(process, signal.SIGCONT)
        time.sleep(0.2)  # the parent finds its time gone before the child can answer
    assert parent.communicate(timeout=30)[0].strip() == b"works"


def _is_running(pid: str) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_an_interpreter_that_says_nothing_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(CannotLook) as caught:
        run_stages(interpreter(tmp_path, "echo 'no such option: -I' >&2; exit 2"), ["speak"], {})
    assert caught.value.code == "XC301"
    assert caught.value.hint == "no such option: -I"


def test_a_missing_interpreter_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match="cannot be started"):
        run_stages(tmp_path / "nowhere", ["speak"], {})


def test_the_real_child_reports_a_missing_tts_and_stops() -> None:
    outcome = run_stages(Path(sys.executable), ["import", "device"], {"device": "cpu"})
    (stage,) = outcome.stages
    assert stage.error == "ModuleNotFoundError: No module named 'TTS'"
    assert "Traceback" in stage.traceback


def test_the_real_child_goes_on_after_an_optional_failure() -> None:
    stages = run_stages(
        Path(sys.executable), ["import", "inventory"], {}, optional=["import"]
    ).stages
    assert [(s.name, s.status) for s in stages] == [("import", "fails"), ("inventory", "works")]
    assert stages[1].details["distributions"]["pytest"] == pytest.__version__


def test_a_hostile_working_directory_does_not_reach_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "TTS.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (stage,) = run_stages(Path(sys.executable), ["import"], {}).stages
    assert stage.error == "ModuleNotFoundError: No module named 'TTS'"
