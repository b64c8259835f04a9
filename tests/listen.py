"""Measure how well judges and recogniser tell speech from wrong sounds: `nox -s listen`.

espeak-ng speaks; what it says is then cut, shuffled, mixed and replaced by noise. The judges are
those of the shape of speech, which know no words: how often does one of them object? The recogniser
is given every sentence that `target.listening` knows: did it choose the one that was spoken?
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

import numpy as np

from xcompat.smoke.judge import judge_sound
from xcompat.target.languages import SENTENCES
from xcompat.target.listening import DECOYS, listen
from xcompat.target.sound import TOKEN_SECONDS, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Samples = array[int]
    Change = Callable[[Samples, int], Samples]
    Wave = np.ndarray[tuple[int], np.dtype[np.float64]]
    Spoken = tuple[Wave, int, str]
    """Samples in [-1, 1], their rate (Hz), and the text."""

VOICES = ("en-us", "en-gb", "en-us+f3")
SPEED = "150"


def speech(voice: str, text: str, folder: Path, speed: str = SPEED) -> tuple[Samples, int]:
    """Return what espeak-ng says, 16-bit mono, and its sample rate (Hz)."""
    path = folder / "espeak.wav"
    order = ["espeak-ng", "-v", voice, "-s", speed, "-w", str(path), text]
    subprocess.run(order, check=True)
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


def recognised(voice: str, change: Change | None, folder: Path) -> str:
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


JUDGED_VOICES = ("", "+f2", "+croak", "+whisper", "+klatt3")
JUDGED_SPEEDS = ("130", "190", "230")
"""Words a minute; people read aloud at 150 to 180."""
_ESPEAK = {"en": "en-us", "zh-cn": "cmn"}


def spoken(folder: Path) -> list[Spoken]:
    """Speak a sentence in every language of XTTS, in every voice and at every speed."""
    said = []
    for language, greeting in SENTENCES.items():
        # A greeting takes a second; most sentences of a smoke take several.
        text = DECOYS[number_of(language)] if language == "en" else f"{greeting} {greeting[:-1]}!"
        for voice in JUDGED_VOICES:
            for speed in JUDGED_SPEEDS:
                name = _ESPEAK.get(language, language) + voice
                samples, rate = speech(name, text, folder, speed)
                if len(samples) > rate // 2:
                    said.append((np.array(samples) / 32768, rate, text))
    return said


def number_of(language: str) -> int:
    """Return the number of a sentence, another for each language."""
    return sorted(SENTENCES).index(language)


def objections(said: Iterable[Spoken]) -> tuple[int, int, str]:
    """Return how many sounds a judge objects to, of how many, and which judges did most."""
    objected, count = 0, 0
    by: dict[str, int] = {}
    for samples, rate, text in said:
        failed = [
            j.name
            for j in judge_sound(measure(samples, rate), text=text, speech=True)
            if not j.passed
        ]
        objected += bool(failed)
        count += 1
        for name in failed:
            by[name] = by.get(name, 0) + 1
    most = sorted(by, key=lambda name: -by[name])
    return objected, count, ", ".join(f"{name} {by[name]}" for name in most[:3])


def _blocks(seconds: float) -> Callable[[Spoken], Wave]:
    def change(said: Spoken) -> Wave:
        samples, rate, _ = said
        size = int(seconds * rate)
        blocks = [samples[i : i + size] for i in range(0, samples.size, size)]
        random.Random(samples.size).shuffle(blocks)
        return np.concatenate(blocks)

    return change


def _coloured(exponent: float) -> Callable[[Spoken], Wave]:
    def change(said: Spoken) -> Wave:
        size = said[0].size
        spectrum = np.fft.rfft(np.random.default_rng(size).normal(size=size))
        spectrum[1:] /= np.arange(1, spectrum.size) ** exponent
        sound = np.fft.irfft(spectrum, size)
        return 0.2 * sound / sound.std()

    return change


def _tones(*pitches: float) -> Callable[[Spoken], Wave]:
    def change(said: Spoken) -> Wave:
        time = np.arange(said[0].size) / said[1]
        sound = sum(
            np.sin(2 * np.pi * pitch * n * time) / n for pitch in pitches for n in range(1, 9)
        )
        return 0.3 * sound / np.abs(sound).max()

    return change


def _melody(said: Spoken) -> Wave:
    samples, rate, _ = said
    time = np.arange(samples.size) / rate
    pitch = 220 * 2 ** (np.array([0, 4, 7, 12, 7, 4])[(time * 4).astype(int) % 6] / 12)
    return 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / rate) * np.exp(-4 * (time * 4 % 1))


def _cut_in_a_vowel(said: Spoken) -> Wave:
    samples, rate, _ = said
    middle = samples[samples.size // 3 : 2 * samples.size // 3]
    size = rate // 50
    levels = np.square(middle[: middle.size // size * size].reshape(-1, size)).mean(axis=1)
    return samples[: samples.size // 3 + (int(levels.argmax()) + 1) * size]


def _with_silence(before: float, after: float) -> Callable[[Spoken], Wave]:
    return lambda said: np.concatenate(
        [np.zeros(int(before * said[1])), said[0], np.zeros(int(after * said[1]))]
    )


CHANGES: dict[str, Callable[[Spoken], Wave]] = {
    "as it was spoken": lambda said: said[0],
    "at a tenth of the level": lambda said: said[0] / 10,
    "half a second of silence before it": _with_silence(0.5, 0.0),
    "a second of silence after it": _with_silence(0.0, 1.0),
    "on a constant offset": lambda said: said[0] * 0.5 + 0.2,
    "blocks of 5 ms in any order": _blocks(0.005),
    "blocks of 20 ms in any order": _blocks(0.02),
    "audio tokens (46 ms) in any order": _blocks(TOKEN_SECONDS),
    "blocks of 100 ms in any order": _blocks(0.1),
    "reversed": lambda said: said[0][::-1],
    "white noise": _coloured(0.0),
    "pink noise": _coloured(0.5),
    "brown noise": _coloured(1.0),
    "hum of 50 Hz": _tones(50.0),
    "a chord": _tones(220.0, 277.2, 329.6),
    "a melody of plucked tones": _melody,
    "clipped": lambda said: np.clip(said[0] * 100, -1, 1),
    "too quiet": lambda said: said[0] * 1e-3,
    "cut in a vowel": _cut_in_a_vowel,
    "the first third only": lambda said: said[0][: said[0].size // 3],
    "three times as fast": lambda said: said[0][::3],
    "ten seconds of silence before it": _with_silence(10.0, 0.0),
}
"""The first five shall pass."""
SHALL_PASS = 5


def main() -> int:
    """Print one line per kind of sound; fail where speech is refused too often."""
    refused = 0.0
    with tempfile.TemporaryDirectory() as name:
        said = spoken(Path(name))
        print(f"{'judges of the shape of speech':36} refused")
        for number, (label, change) in enumerate(CHANGES.items()):
            changed = [(change(each), each[1], each[2]) for each in said]
            objected, count, by = objections(changed)
            if number < SHALL_PASS:
                refused = max(refused, objected / count)
            print(f"{label:36}{objected:6} of {count}  {by}", flush=True)
        print(f"\n{'recogniser':24} right  another  nothing")
        for voice in VOICES:
            print(f"{voice:24}{recognised(voice, None, Path(name))}", flush=True)
        for play in (reverse, shuffle, hiss, half):
            label = f"{VOICES[0]}, {play.__name__}"
            print(f"{label:24}{recognised(VOICES[0], play, Path(name))}", flush=True)
    return 1 if refused > 0.01 else 0


if __name__ == "__main__":
    sys.exit(main())
