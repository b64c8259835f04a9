"""Do in one environment what an app does, one app and way at a time: `python session.py FOLDERS`.

FOLDERS holds the model folders `original`, `in-place` and `both`. Each way has a
process of its own; what happened is printed as one line of JSON for each app.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

sys.path.insert(0, str(Path(__file__).parent))

from ways import WAYS, Way

APPS = {
    "ebook2audiobook": "ebook2audiobook",
    "realtimetts": "RealtimeTTS",
    "alltalk_1": "AllTalk 1",
    "alltalk_2": "AllTalk 2",
    "xtts_api_server": "xtts-api-server",
    "xtts_webui": "xtts-webui",
    "openedai_speech": "openedai-speech",
    "xtts_streaming_server": "xtts-streaming-server",
    "epub2tts": "epub2tts",
    "pandrator": "Pandrator",
    "auralis": "Auralis",
    "mac_assistant": "a voice assistant on TTS(NAME)",
}
"""Modules beside this one, and the apps whose calls they make in our own words."""
NO_LOADER = ("alltalk_2", "mac_assistant")
"""They hold a `TTS.api.TTS`, which `load_xtts` does not return: `attach` is for them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path)
    parser.add_argument("--app", action="append", choices=APPS)
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--alone", action="store_true", help="in this process")
    asked = parser.parse_args()
    apps = asked.app or list(APPS)
    if asked.alone:
        for app in apps:
            print(json.dumps(done(app, way_of(asked.folders, asked.way[0]))), flush=True)
        return
    from xcompat.target import sound

    sound.write_wav(asked.folders / "voice.wav", sound.hum(), sound.HUM_RATE)
    for name in asked.way or WAYS:
        able = [app for app in apps if name != "load_xtts" or app not in NO_LOADER]
        for told in in_a_process(asked.folders, able, name):
            print(json.dumps(told), flush=True)


def way_of(folders: Path, name: str) -> Way:
    folder = name if name in ("original", "in-place") else "both"
    return Way(name, folders / folder, folders / "voice.wav")


def done(app: str, way: Way) -> dict[str, Any]:
    """Run an app to its end; return what was heard, or what stopped it."""
    told: dict[str, Any] = {"app": app, "way": way.name}
    try:
        heard = [_seconds(each) for each in importlib.import_module(app).speak(way)]
    except (Exception, SystemExit) as error:
        said = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).replace(str(way.folder.parent), "MODELS")
        return {**told, "works": False, "error": f"{type(error).__name__}: {said[:2000].strip()}"}
    return {**told, "works": True, "seconds": heard}


def _seconds(wav: Any) -> float:
    import numpy

    samples = numpy.asarray(wav, dtype="float32").reshape(-1)
    if not samples.size or not numpy.isfinite(samples).all() or abs(samples).max() == 0:
        raise SystemExit("what it spoke is silence")
    return round(samples.size / 24000, 2)


def in_a_process(folders: Path, apps: list[str], name: str) -> Iterator[dict[str, Any]]:
    """Yield what the apps did one way, in a process of their own that is offline."""
    from xcompat.target import downloaded

    caches = folders / f"caches-{way_of(folders, name).folder.name}"
    if not caches.exists():
        downloaded.put_into_cache(way_of(folders, name).folder, caches)
    variables = {
        **os.environ,
        **downloaded.cache_variables(caches),
        "COQUI_TOS_AGREED": "1",
        "HF_HUB_OFFLINE": "1",
    }
    words = [word for app in apps for word in ("--app", app)]
    command = [sys.executable, __file__, str(folders), "--way", name, "--alone", *words]
    child = subprocess.run(
        command,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    told = [json.loads(line) for line in child.stdout.splitlines() if line.startswith('{"app"')]
    yield from told
    last = (child.stderr.strip().splitlines() or [""])[-1]
    for app in apps[len(told) :]:
        error = f"the process ended with {child.returncode}: {last}"
        yield {"app": app, "way": name, "works": False, "error": error}


if __name__ == "__main__":
    main()
