"""Real installers and environments, where the only packages are empty wheels."""

import os
import venv

import pytest

from builders.installed import make_environment, offline_with, write_small_matrix
from builders.terminal import type_command
from builders.wheels import make_index


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("index") / "wheels")


@pytest.fixture(scope="session")
def with_pip(tmp_path_factory):
    """A virtual environment as `python -m venv` makes it: to copy, because pip takes its time."""
    root = tmp_path_factory.mktemp("venv") / "env"
    venv.create(root, with_pip=True)
    return root


@pytest.fixture
def make(index, with_pip):
    """Make a real environment, and install wheels of the index into it with its owner."""

    return lambda root, packages, owner="uv": make_environment(
        root, packages, with_pip if owner == "pip" else None
    )


@pytest.fixture
def type_(monkeypatch, capsys, tmp_path, index):
    """Type a command where the only packages are those of the index, and the matrix is small."""
    write_small_matrix(tmp_path / "matrices")
    monkeypatch.setattr("xcompat.matrix.load.SHIPPED", tmp_path / "matrices")
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    for name, value in offline_with(index, tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *words: type_command(monkeypatch, capsys, *words)
