"""What is typed reaches the commands whatever typer is there, and a shell completes it."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

import xcompat

PROGRAM = """
import atexit, sys
sys.argv[0] = "xcompat"
told = lambda: print([x for x in ("pydantic", "rich") if x in sys.modules], file=sys.stderr)
atexit.register(told)
from xcompat.__main__ import main
main()
"""


def xcompat_in_a_process(*words, **environment):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "XC001"),
        ("doctor", "--no-gpu", "--partial", "-r", "-", "--need", "speak", "--format", "json"),
        ("matrix", "--check", os.devnull, "--json"),
        ("--version",),
    ],
)
def test_no_word_takes_a_validator(words):
    """pydantic takes as long to import as a command; typer 0.29 asks it for each option."""
    done = xcompat_in_a_process(*words)
    assert done.stderr.splitlines()[-1] == "[]"


def test_typer_is_asked_what_is_unclear(run):
    done = run("convert", "model", "--dtype", "float64")
    assert done.exit_code == 2
    assert "'float64' is not one of 'float16', 'bfloat16'" in done.stderr


def test_the_words_arrive(run, tmp_path):
    (tmp_path / "model").mkdir()
    done = run("convert", str(tmp_path / "model"), "--dtype", "float16", "--format", "pth")
    assert "error[XC1" in done.stderr
    assert run("doctor", "--need", "import", "--need", "fly").exit_code == 2


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("xcompat doc", {"doctor"}),
        ("xcompat doctor --form", {"--format"}),
        ("xcompat convert --dtype ", {"float16", "bfloat16"}),
    ],
)
def test_a_shell_completes(typed, expected):
    told = {
        "_XCOMPAT_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    done = xcompat_in_a_process(**told)
    assert set(done.stdout.split()) == expected


def test_the_script_of_a_shell_is_shown():
    done = xcompat_in_a_process("--show-completion", "bash", SHELL="/bin/bash")
    assert "_XCOMPAT_COMPLETE=complete_bash" in done.stdout


def test_the_version_is_written_in_one_place():
    assert xcompat.__version__ == importlib.metadata.version("xcompat")


def test_a_document_is_utf8_where_the_stream_lacks_some_of_its_signs():
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    words = [sys.executable, "-m", "xcompat", "matrix", "--markdown"]
    done = subprocess.run(words, capture_output=True, check=True, env=environment)
    assert "✓" in done.stdout.decode()
