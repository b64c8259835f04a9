"""Does what two of the apps do in one environment: `check.py PYTHON FOLDER --bytecode FOLDER`.

Fails where an app that worked does not, or the other way round, by matrices/apps.jsonl. PYTHON has
TTS and need not have xcompat; FOLDER is empty. The model is the voice that ships.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from page import RECORDS, read
from record import environment_named

import xcompat
from xcompat.converters import repair
from xcompat.environment.probe import environment_of
from xcompat.smoke.lacking import lack_in
from xcompat.smoke.voice import make_voice

APPS = ("xtts_webui", "xtts_streaming_server")
"""One loads files by their paths and speaks with a built-in voice, the other clones and streams."""
WAYS = ("in-place", "load_xtts")
THROUGH_FFMPEG = ("xtts_streaming_server", "in-place")
"""torchaudio hands the recording to torchcodec, and that to FFmpeg; xcompat reads it itself."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytecode", type=Path, help="what Python and numba have compiled")
    asked = parser.parse_args()
    started = time.monotonic()
    environment = environment_named(environment_of(asked.python).packages)
    make_models(asked.folder)
    told = session(asked.python, asked.folder, asked.bytecode)
    if not shutil.which("ffmpeg"):
        print("FFmpeg is not here: what reads a voice through it is not compared", file=sys.stderr)
        told = [each for each in told if (each["app"], each["way"]) != THROUGH_FFMPEG]
    different = differences(environment, told, read(RECORDS))
    print(f"{time.monotonic() - started:.0f} s: apps in {environment}", file=sys.stderr)
    print("\n".join(different))
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
    words = [word for app in APPS for word in ("--app", app)]
    words += [word for way in WAYS for word in ("--way", way)]
    script = str(Path(__file__).with_name("session.py"))
    ran = subprocess.run(
        [python, script, str(folder), *words],
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


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
