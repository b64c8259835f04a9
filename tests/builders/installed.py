"""Real environments of empty wheels: what is in them, and what they rest on."""

import json
import os
import subprocess

import pytest

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
