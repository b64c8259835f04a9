"""What all tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from builders.terminal import type_command


class Done(NamedTuple):
    """A command that has run."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run `xcompat WORDS` in this process."""
    return lambda *words: Done(*type_command(monkeypatch, capsys, *words))
