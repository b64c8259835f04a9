"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from builders.terminal import type_command

if TYPE_CHECKING:
    from collections.abc import Callable


class Done(NamedTuple):
    """A command that has run."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run `xcompat WORDS` in this process."""
    return lambda *words: Done(*type_command(monkeypatch, capsys, *words))
