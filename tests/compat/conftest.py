"""Real installers and environments, where the only packages are empty wheels."""

import os
import shutil
import subprocess
import sys
import venv

import pytest

from builders.installed import COQUI_ENV, ROW, SCORER, TTS_ENV, UV
from builders.matrices import ISSUE_TEXT, RUN_LINE, write_matrix
from builders.terminal import type_command
from builders.wheels import make_index
from xcompat.domain import DECIDING


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

    def made(root, packages, owner="uv"):
        python = root / "bin" / "python"
        if owner == "uv":
            subprocess.run([UV, "venv", "-q", "--python", sys.executable, root], check=True)
        else:
            shutil.copytree(with_pip, root, symlinks=True)
        command = {
            "uv": [UV, "pip", "install", "-q", "--python", python, "--no-deps"],
            "pip": [python, "-m", "pip", "install", "-q", "--no-deps"],
        }[owner]
        if packages:
            pins = [f"{name}=={version}" for name, version in packages.items()]
            subprocess.run([*command, *pins], check=True)
        return python

    return made


@pytest.fixture
def type_(monkeypatch, capsys, tmp_path, index):
    """Type a command where the only packages are those of the index, and the matrix is small."""
    this = f"{sys.version_info[0]}.{sys.version_info[1]}.0"
    worked = ("install", "import", "load-converted", "speak")
    all_work = {name: {"status": "works"} for name in worked}
    refused = {"load": {"status": "fails", "error": "E"}}
    api = {"api": {"status": "works"}}
    line = {**RUN_LINE, "python": this}
    lines = [
        {**line, "id": "r-tts", "packages": TTS_ENV, "capabilities": all_work | refused},
        {**line, "id": "r-coqui", "packages": COQUI_ENV, "capabilities": all_work | api},
    ]
    rows = {
        run: ROW.format(
            run=f"r-{run}",
            minor=sys.version_info[1],
            packages=", ".join(f'{n} = "{v}"' for n, v in of.items() if n in DECIDING),
        )
        for run, of in (("tts", TTS_ENV), ("coqui", COQUI_ENV))
    }
    write_matrix(tmp_path / "matrices", lines, {"XC002": SCORER, "XC024": ISSUE_TEXT}, rows)
    monkeypatch.setattr("xcompat.matrix.load.SHIPPED", tmp_path / "matrices")
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    for tool in ("UV", "PIP"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(index))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *words: type_command(monkeypatch, capsys, *words)
