"""The command line as a person meets it: what is typed, what comes back."""

import gc
import io
import sys

import pytest

from xcompat.cli import main


def type_command(monkeypatch, capsys, *words, stdin=""):
    """Run `xcompat WORDS` in this process; return (exit code, stdout, stderr)."""
    monkeypatch.setattr(sys, "argv", ["xcompat", *words])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
    with pytest.raises(SystemExit) as caught:
        main()
    gc.enable()  # the tests go on where the process would have ended
    captured = capsys.readouterr()
    return caught.value.code or 0, captured.out, captured.err
