"""Environments as folders: what the probe reads, without any package in it."""

import json
import os
from pathlib import Path

TTS_22 = {
    "TTS": "0.22.0",
    "torch": "2.9.1",
    "torchaudio": "2.9.1",
    "transformers": "4.40.2",
    "six": "1.17.0",
    "pip": "25.0",
}


def add_distribution(folder, name, version, *, kind="dist-info", metadata=True):
    """Add the metadata of one distribution to a site-packages folder."""
    info = folder / f"{name.replace('-', '_')}-{version}.{kind}"
    info.mkdir(parents=True)
    if metadata:
        file = "METADATA" if kind == "dist-info" else "PKG-INFO"
        (info / file).write_text(
            f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n\nVersion: 0 of the text\n"
        )
    return info


def make_venv(
    root,
    packages=None,
    *,
    version="3.11.7",
    settings="",
    windows=False,
    interpreter=True,
) -> Path:
    """Make what a virtual environment looks like; its interpreter is not one."""
    minor = ".".join(version.split(".")[:2])
    site = root / ("Lib/site-packages" if windows else f"lib/python{minor}/site-packages")
    site.mkdir(parents=True)
    (root / "pyvenv.cfg").write_text(f"home = /nowhere\nversion = {version}\n{settings}")
    if interpreter:
        python = root / ("Scripts/python.exe" if windows else "bin/python")
        python.parent.mkdir()
        # Ends at once, and loudly: nothing may run it.
        python.write_text("#!/bin/sh\necho the interpreter was run >&2; exit 9\n")
        python.chmod(0o755)
    for name, of in (packages or {}).items():
        add_distribution(site, name, of)
    return site


def make_interpreter(path, answer) -> Path:
    """Make an `interpreter` that prints `answer` whatever it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    path.chmod(0o755)
    assert os.access(path, os.X_OK)
    return path


def answer_of(*site, user="/nowhere", **changed):
    """Return what an interpreter says of itself, with these site folders."""
    return json.dumps(
        {
            "version": "3.11.2",
            "platform": "linux-x86_64",
            "executable": "/usr/bin/python3",
            "prefix": "/usr",
            "user": str(user),
            "site": [str(folder) for folder in site],
            **changed,
        }
    )
