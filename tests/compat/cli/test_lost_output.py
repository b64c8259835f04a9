"""What a command does when its output cannot be written, or is not read to its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    ["doctor"],
    ["doctor", "--json"],
    ["matrix"],
    ["matrix", "--markdown"],
    ["explain", "XC001"],
    ["--help"],
]
ENVIRONMENT = {**os.environ, "COLUMNS": "80"}


def start(words, **streams):
    command = [sys.executable, "-m", "xcompat", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, **streams)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_is_told(words):
    with Path("/dev/full").open("w") as full, start(words, stdout=full) as process:
        _, told = process.communicate()
    assert process.returncode == 4
    assert told.startswith("error[XC234]: the output cannot be written: No space left on device\n")
    assert "Traceback" not in told
    assert "Exception ignored" not in told


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("words", COMMANDS[:-1], ids=" ".join)
def test_a_reader_that_goes_away_is_no_news(words):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with start(words, stdout=writing) as process:
            _, told = process.communicate()
    finally:
        os.close(writing)
    assert process.returncode == 141
    assert told == ""
