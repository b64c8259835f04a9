"""Does what two of the apps do in one environment: `check.py PYTHON FOLDER --bytecode FOLDER`.

With `--record` the outcome is recorded. Else it fails where an app that worked does not, or the
other way round, by matrices/apps.jsonl. PYTHON has TTS and need not have xcompat; FOLDER is empty.
The model is the voice that ships.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from page import RECORDS, read
from record import add, environment_named

import xcompat
from xcompat.converters import repair
from xcompat.environment.probe import environment_of
from xcompat.smoke.lacking import lack_in
from xcompat.smoke.voice import make_voice

PROGRAMS = (("xtts_webui", "in-place"), ("xtts_streaming_server", "load_xtts"))
"""One loads files by their paths, by stock TTS, and speaks with a built-in voice; the other clones
and streams through xcompat."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytecode", type=Path, help="what Python and numba have compiled")
    parser.add_argument("--record", action="store_true", help="instead of comparing")
    asked = parser.parse_args()
    started = time.monotonic()
    environment = environment_named(environment_of(asked.python).packages)
    make_models(asked.folder)
    told = session(asked.python, asked.folder, asked.bytecode)
    print(f"{time.monotonic() - started:.0f} s: apps in {environment}", file=sys.stderr)
    if asked.record:
        add(environment, told)
        return 0
    different = differences(environment, told, read(RECORDS))
    for each in different:
        print(each)
    return 1 if different else 0


def make_models(folder: Path) -> None:
    """Make the folders that session.py takes, but for `original`."""
    make_voice(folder)
    (folder / "converted").rename(folder / "both")
    (folder / "original").rename(folder / "in-place")
    repair(folder / "in-place", keep_original=False, fsync=False)


def session(python: str, folder: Path, bytecode: Path | None) -> list[dict[str, Any]]:
    """Run the programs with an xcompat that is only lent to the environment."""
    lent = folder / "lent"
    lent.mkdir()
    (lent / "xcompat").symlink_to(Path(xcompat.__file__).parent)
    variables = {**os.environ, "PYTHONPATH": str(lent)}
    if bytecode:
        variables |= {
            "PYTHONPYCACHEPREFIX": str(bytecode),
            "NUMBA_CACHE_DIR": str(bytecode / "numba"),
        }
    script = str(Path(__file__).with_name("session.py"))
    told = []
    for app, way in PROGRAMS:
        ran = subprocess.run(
            [python, script, str(folder), "--app", app, "--way", way],
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        told += [json.loads(line) for line in ran.stdout.splitlines()]
    return told


def differences(
    environment: str, told: list[dict[str, Any]], records: list[dict[str, Any]]
) -> list[str]:
    """Return what is not as it was recorded, one sentence each."""
    recorded = {
        (each["app"], each["way"]): each for each in records if each["environment"] == environment
    }
    different = []
    for each in told:
        before = recorded.get((each["app"], each["way"]))
        name = f"{each['app']}, {each['way']}, in {environment}"
        now = "works" if each["works"] else each["error"]
        if lack := lack_in("" if each["works"] else now):
            different.append(f"{name}: not compared: this machine has too little {lack}: {now}")
        elif before is None:
            different.append(f"{name}: never recorded; {now}")
        elif each["works"] != before["works"]:
            then = "works" if before["works"] else before["error"]
            different.append(f"{name}: {now}; recorded: {then}")
    return different


if __name__ == "__main__":
    sys.exit(main())
