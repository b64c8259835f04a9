"""Real environments of empty wheels: what is in them, and what they rest on."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from builders.matrices import ISSUE_TEXT, RUN_LINE, write_matrix
from xcompat.domain import DECIDING
from xcompat.resolution import lock

UV = lock.find_uv()
needs_installers = pytest.mark.skipif(
    os.name == "nt" or UV is None, reason="needs uv, and paths and scripts of POSIX"
)
TTS_ENV = {
    "TTS": "0.22.0", "trainer": "0.0.36", "coqpit": "0.0.17", "torch": "2.9.1",
    "torchaudio": "2.9.1", "transformers": "4.40.2", "tokenizers": "0.19.1", "numpy": "1.26.4",
}  # fmt: skip
COQUI_ENV = {
    "coqui-tts": "0.28.0", "coqui-tts-trainer": "0.4.0", "coqpit-config": "0.2.5",
    "torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.57.6", "tokenizers": "0.22.2",
    "numpy": "2.4.6", "six": "1.17.0",
}  # fmt: skip
REPORT = {**TTS_ENV, "transformers": "4.57.2", "tokenizers": "0.22.2"}
BOTH = {**TTS_ENV, **COQUI_ENV}
ROW = """\
title = "A row"
python = "==3.{minor}.*"
platforms = ["linux-x86_64"]
capabilities = ["import", "load-converted", "speak"]
runs = ["{run}"]
packages = {{ {packages} }}
"""
SCORER = """\
title = "This TTS needs BeamSearchScorer, which transformers 4.57 removed"
severity = "error"
capabilities = ["import"]
cause = "It was removed."
fixes = ["pip install transformers==4.40.2"]
symptoms = []
sources = ["https://example.org"]

[[conditions]]
packages = { TTS = "*", transformers = ">=4.57" }
"""


def make_environment(root, packages, with_pip=None):
    """Make a real environment that uv owns, or pip, where one of pip's is given to copy."""
    python = root / "bin" / "python"
    if with_pip is None:
        subprocess.run([UV, "venv", "-q", "--python", sys.executable, root], check=True)
        command = [UV, "pip", "install", "-q", "--python", python, "--no-deps"]
    else:
        shutil.copytree(with_pip, root, symlinks=True)
        command = [python, "-m", "pip", "install", "-q", "--no-deps"]
    if packages:
        pins = [f"{name}=={version}" for name, version in packages.items()]
        subprocess.run([*command, *pins], check=True)
    return python


def offline_with(index, cache):
    """Return the variables with which installers know only the wheels of a folder."""
    variables = {"UV_NO_CONFIG": "1", "UV_OFFLINE": "1", "UV_CACHE_DIR": str(cache)}
    variables["PIP_CONFIG_FILE"] = os.devnull
    for tool in ("UV", "PIP"):
        variables |= {f"{tool}_NO_INDEX": "1", f"{tool}_FIND_LINKS": str(index)}
    return variables


def write_small_matrix(folder):
    """Write two runs and two rows for the Python that runs this, and what breaks the report."""
    line = {**RUN_LINE, "python": f"{sys.version_info[0]}.{sys.version_info[1]}.0"}
    worked = ("install", "import", "load-converted", "speak")
    all_work = {name: {"status": "works"} for name in worked}
    refused = {"load": {"status": "fails", "error": "E"}}
    api = {"api": {"status": "works"}}
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
    write_matrix(folder, lines, {"XC002": SCORER, "XC024": ISSUE_TEXT}, rows)


def installed(python):
    code = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, check=True)
    told = json.loads(done.stdout)
    return {name: version for name, version in told.items() if name not in ("pip", "setuptools")}


def imported(python, package):
    """Return which distribution the files of an import package are of."""
    code = f"import {package}; print({package}.name)"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def stub_uv(tmp_path, monkeypatch, lines):
    """Put a uv on PATH that does `lines` of shell first, and then what uv does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "uv").write_text(f'#!/bin/sh\n{lines}\nexec {UV} "$@"\n')
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
