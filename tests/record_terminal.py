"""Records what a terminal shows of `xcompat doctor`, as the SVG of the README and the site.

A real run in a pseudo-terminal, in colour; only the list that it looks at is made for it.
"""

from __future__ import annotations

import io
import os
import pty
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PINS = "TTS==0.22.0\ntorch==2.9.1\ntorchaudio==2.9.1\ntransformers==4.57.1\n"
WORDS = ("xcompat", "doctor", "-r", "requirements.txt", "--no-gpu")
COLUMNS, LINES = 92, 36
PICTURE = Path(__file__).parents[1] / "docs/site/terminal.svg"


def recorded(folder: Path) -> str:
    """Return what a terminal gets of the command in a folder."""
    (folder / "requirements.txt").write_text(PINS, "utf-8")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        settings = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "HOME": str(folder)}
        command = [sys.executable, "-m", *WORDS]
        os.execve(sys.executable, command, {"PATH": os.environ["PATH"], **settings})
    told = b""
    while piece := _read(terminal):
        told += piece
    os.waitpid(pid, 0)
    return told.decode("utf-8").replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # How Linux says that the other end is closed.
        return b""


def picture(told: str) -> str:
    """Return the first lines of a terminal as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text("$ " + " ".join(WORDS[:4]), style="bold"))
    for line in told.splitlines()[: LINES - 1]:
        console.print(Text.from_ansi(line), no_wrap=True, crop=True, overflow="ellipsis")
    return console.export_svg(title="xcompat doctor", unique_id="xcompat")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        PICTURE.write_text(picture(recorded(Path(scratch))), "utf-8")
