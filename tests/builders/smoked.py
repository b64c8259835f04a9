"""A whole smoke with a stand-in for the target interpreter."""

from __future__ import annotations

import json
import sys
import wave
from typing import TYPE_CHECKING, Any

from xcompat.matrix.load import load_matrix
from xcompat.smoke.request import SmokeRequest
from xcompat.smoke.smoke import run_smoke

if TYPE_CHECKING:
    from pathlib import Path

    from xcompat.domain.smoke import SmokeReport
    from xcompat.smoke.against import Rival

SPEECH = {
    "seconds": 47872 / 24_000,
    "samples": 47872,
    "finite": True,
    "rms": 0.1,
    "clipped": 0.0,
    "loudest_bin": 0.1,
    "level_range_db": 30.0,
    "flatness": 0.01,
    "change": 0.4,
    "ending_db": -40.0,
    "rhythm": 1.1,
}
HEARD = {"sound": SPEECH, "audio_tokens": 43, "synthesis_seconds": 3.0}
ANSWERS: dict[str, dict[str, Any]] = {
    "import": {},
    "device": {"device": "cpu", "reason": "auto chose cpu (no CUDA device is visible to torch)"},
    "load": {"parameters": 1, "trained": False},
    "languages": {
        "text_tokens": 30,
        "characters": 250,
        "tokens": {"en": 9, "de": 8},
        "errors": {"ja": "ModuleNotFoundError: No module named 'cutlet'"},
    },
    "condition": {"voice": "Ana", "speakers": 58},
    "tokens": {"voices": 2, "sequences": 4, "tokens": 160, "margin": 0.1, "sha256": "0"},
    "intermediates": {"steps": {}},
    "speak": {
        **HEARD,
        "latents_distance": 1e-6,
        "later_synthesis_seconds": 1.0,
        "later_seconds": 2.0,
    },
    "stream": {**HEARD, "first_audio_seconds": 0.9, "later_first_audio_seconds": 0.4},
    "clone": HEARD,
    "picture": {},
}
PLAYER = """
import json, sys
request, answers = json.loads(sys.argv[-1]), json.load(open({answers!r}))
for stage in map(str.strip, sys.stdin):
    print(json.dumps({{"event": "begin", "stage": stage}}), flush=True)
    if stage == "speak":
        open(request["wav"], "wb").write(open({sound!r}, "rb").read())
        answers[stage]["wav"] = request["wav"]
    if stage == "picture":
        open(request["picture"], "wb").write(b"picture")
        answers[stage]["picture"] = request["picture"]
    print(json.dumps({{"event": "end", "stage": stage, "status": "works", "seconds": 0.5,
                      "details": answers[stage]}}), flush=True)
print(json.dumps({{"event": "memory", "host_bytes": 1048576}}), flush=True)
"""


def make_player(folder: Path, **changed: dict[str, Any]) -> Path:
    """Write an interpreter whose stages answer as above, up to what is changed."""
    sound, answers = folder / "sound.wav", folder / "answers.json"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(bytes(2000))
    told = {stage: {**ANSWERS[stage], **changed.get(stage, {})} for stage in ANSWERS}
    answers.write_text(json.dumps(told))
    player, python = folder / "player.py", folder / "python"
    player.write_text(PLAYER.format(answers=str(answers), sound=str(sound)))
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{player}" "$@"\n')
    python.chmod(0o755)
    return python


def speak(
    folder: Path,
    *,
    text: str = "Hello.",
    against: tuple[Rival, ...] = (),
    **changed: dict[str, Any],
) -> SmokeReport:
    """Run a smoke whose stages answer as above, up to what is changed."""
    python, model = make_player(folder, **changed), folder / "model"
    model.mkdir(exist_ok=True)
    (model / "model.safetensors").touch()
    request = SmokeRequest(
        python=python, model=model, text=text, wav=folder / "speech.wav", against=against
    )
    return run_smoke(request, load_matrix().issues)
