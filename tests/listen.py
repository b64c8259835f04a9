"""Measure how well the recogniser tells spoken sentences from wrong sounds: `nox -s listen`.

espeak-ng speaks every sentence that `target.listening` knows, with several voices; each is then
reversed, shuffled and replaced by noise. Right means: chose the sentence that was given as text.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import wave
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.target.listening import DECOYS, listen

if TYPE_CHECKING:
    from collections.abc import Callable

    Samples = array[int]
    Change = Callable[[Samples, int], Samples]

VOICES = ("en-us", "en-gb", "en-us+f3")
SPEED = "150"


def speech(voice: str, text: str, folder: Path) -> tuple[Samples, int]:
    """Return what espeak-ng says, 16-bit mono, and its sample rate (Hz)."""
    path = folder / "espeak.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-s", SPEED, "-w", str(path), text], check=True)
    with wave.open(str(path)) as file:
        return array("h", file.readframes(file.getnframes())), file.getframerate()


def reverse(samples: Samples, _: int) -> Samples:
    """Play it backwards."""
    return samples[::-1]


def shuffle(samples: Samples, rate: int) -> Samples:
    """Put the audio tokens, 1024 samples at 22,050 Hz, in any order."""
    size = 1024 * rate // 22050
    blocks = [samples[i : i + size] for i in range(0, len(samples), size)]
    random.Random(3).shuffle(blocks)
    return array("h", (value for block in blocks for value in block))


def hiss(samples: Samples, _: int) -> Samples:
    """Give white noise of the same length."""
    chance = random.Random(4)
    return array("h", (int(chance.gauss(0, 3000)) for _ in samples))


def half(samples: Samples, _: int) -> Samples:
    """Cut it in the middle."""
    return samples[: len(samples) // 2]


def measure(voice: str, change: Change | None, folder: Path) -> str:
    """Listen to every sentence and count the answers."""
    right = other = nothing = 0
    for text in DECOYS:
        samples, rate = speech(voice, text, folder)
        path = folder / "heard.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes((change(samples, rate) if change else samples).tobytes())
        heard = listen(path, text)
        right += bool(heard["understood"])
        nothing += not heard["heard"]
        other += bool(heard["heard"]) and not heard["understood"]
    return f"{right:5} {other:8} {nothing:8}   of {len(DECOYS)}"


def main() -> int:
    """Print one line per kind of sound."""
    print(f"{'sound':24} right  another  nothing")
    with tempfile.TemporaryDirectory() as name:
        for voice in VOICES:
            print(f"{voice:24}{measure(voice, None, Path(name))}", flush=True)
        for change in (reverse, shuffle, hiss, half):
            label = f"{VOICES[0]}, {change.__name__}"
            print(f"{label:24}{measure(VOICES[0], change, Path(name))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
