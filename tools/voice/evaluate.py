"""Measure a built checkpoint with the real TTS classes, next to flite itself.

For each voice, held-out sentences are spoken by `Xtts.inference` with its default settings and
greedily. Of each: does it end, how long is it, is it nearer to flite's rendering of this sentence
than to that of another one, and what does pocketsphinx hear.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import re
import tempfile
import time
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from scipy.signal import resample_poly

import features
import speech
from export import real
from generate import save_wav
from model import MELS
from train import SPEAKERS

HERE = Path(__file__).parent
CHOICES = 10
LONGEST_RATIO = 1.6
"""Speech that takes longer than so many times flite's is counted as not ended."""
WAYS = {"default": {}, "greedy": {"do_sample": False}}
"""Arguments of `inference` beside text, language and voice."""

_PEAK, _NOISE, _MARGIN = 0.7, 1e-3, 4000


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


class Listener:
    """Pocketsphinx with its own American English model."""

    def __init__(self) -> None:
        from pocketsphinx import Config, Decoder

        self.free = Decoder(Config(samprate=16000.0, loglevel="FATAL"))
        self.strict = Decoder(Config(lm=None, samprate=16000.0, loglevel="FATAL"))

    def knows(self, text: str) -> bool:
        return all(self.strict.lookup_word(word) is not None for word in words(text))

    def transcribe(self, sound: Any) -> list[str]:
        """Return the words that it hears in 16 kHz sound."""
        return self._hear(self.free, sound)

    def choose(self, sound: Any, texts: Sequence[str]) -> str:
        """Return which of `texts` it hears; empty where none fits."""
        rules = " | ".join(" ".join(words(text)) for text in texts)
        self.strict.add_jsgf_string("choice", f"#JSGF V1.0; grammar c; public <s> = {rules};")
        self.strict.activate_search("choice")
        heard = self._hear(self.strict, sound)
        return next((text for text in texts if words(text) == heard), "")

    def _hear(self, decoder: Any, sound: Any) -> list[str]:
        chance = np.random.default_rng(0)
        level = sound * (_PEAK / max(1e-6, float(np.abs(sound).max())))
        level = np.pad(level, _MARGIN) + chance.normal(0.0, _NOISE, len(sound) + 2 * _MARGIN)
        samples = (np.clip(level, -1.0, 1.0) * 32767).astype("<i2")
        decoder.start_utt()
        decoder.process_raw(samples.tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return words(hypothesis.hypstr) if hypothesis else []


def word_errors(spoken: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words were replaced, left out or added."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(spoken, 1):
        above, row[0] = row[0], number
        for index, other in enumerate(heard, 1):
            best = min(row[index] + 1, row[index - 1] + 1, above + (word != other))
            above, row[index] = row[index], best
    return row[-1]


def mels(sound: Any) -> Any:
    """Return log mels (frames, 80) of 16 kHz sound, its loudest part at a fixed level."""
    at_input = features.resample(torch.from_numpy(sound.astype(np.float32)), 441, 320)
    starts = torch.arange(0, max(1, len(at_input) - 1024), 1024)
    logs = features.code_mels(at_input, starts).view(-1, MELS)
    return (logs - logs.mean()).numpy()


def warped(one: Any, other: Any) -> float:
    """Return the mean distance of two mels along the best path (dynamic time warping)."""
    cost = np.abs(one[:, None, :] - other[None, :, :]).mean(-1)
    total = np.full((len(one) + 1, len(other) + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(len(one)):
        for j in range(len(other)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1] / (len(one) + len(other)))


def spectrum(parts: Sequence[Any]) -> Any:
    """Return the mean mel of the louder half of the frames: what a voice sounds like."""
    frames = np.concatenate([mels(part) for part in parts])
    loud = frames[frames.mean(1) > np.median(frames.mean(1))]
    return loud.mean(0)


class Evaluation:
    """What is spoken, by whom, and what came of it."""

    def __init__(self, folder: Path, texts: Sequence[str], keep: Path | None) -> None:
        self.model = real(folder)
        self.listener = Listener()
        self.texts = [text for text in texts if self.listener.knows(text)]
        self.keep = keep
        self.flite: dict[tuple[str, str], Any] = {}

    def by_flite(self, text: str, voice: str) -> Any:
        key = text, voice
        if key not in self.flite:
            self.flite[key] = speech.speak(text, voice).astype(np.float32) / 32768.0
        return self.flite[key]

    def by_model(self, text: str, entry: dict[str, Any], **how: Any) -> Any:
        """Return the sound at 16 kHz."""
        done = self.model.inference(
            text, "en", entry["gpt_cond_latent"], entry["speaker_embedding"], **how
        )
        self.last = done["wav"]
        return resample_poly(done["wav"], 2, 3).astype(np.float32)

    def measure(self, voice: str, way: str, texts: Sequence[str]) -> dict[str, Any]:
        """Speak `texts` and return the figures of this voice and way."""
        entry = self.model.speaker_manager.speakers[SPEAKERS[voice]]
        sums: collections.Counter[str] = collections.Counter()
        ratios, own, others, seconds = [], [], [], 0.0
        for number, text in enumerate(texts):
            torch.manual_seed(number)
            began = time.perf_counter()
            sound = self.by_model(text, entry, **WAYS[way])
            seconds += time.perf_counter() - began
            if self.keep:
                save_wav(self.keep / f"{SPEAKERS[voice]}-{way}-{number:02}.wav", self.last)
            flite = self.by_flite(text, voice)
            ratios.append(len(sound) / len(flite))
            sums["ended"] += ratios[-1] < LONGEST_RATIO
            choices = self._choices(text)
            sums["chosen"] += self.listener.choose(sound, choices) == text
            sums["chosen of flite"] += self.listener.choose(flite, choices) == text
            sums["words"] += len(words(text))
            heard = self.listener.transcribe(sound)
            sums["errors"] += word_errors(words(text), heard)
            sums["errors of flite"] += word_errors(words(text), self.listener.transcribe(flite))
            other = self.by_flite(choices[choices.index(text) - 1], voice)
            own.append(warped(mels(sound), mels(flite)))
            others.append(warped(mels(sound), mels(other)))
            print(
                f"  {ratios[-1]:.2f} {own[-1]:.2f}/{others[-1]:.2f} {text} | {' '.join(heard)}",
                flush=True,
            )
        count = len(texts)
        return {
            "voice": SPEAKERS[voice],
            "way": way,
            "sentences": count,
            "ended": sums["ended"] / count,
            "duration ratio": float(np.median(ratios)),
            "mel distance": float(np.mean(own)),
            "mel distance to another": float(np.mean(others)),
            "nearer to its own": float(np.mean(np.array(own) < np.array(others))),
            "chosen of 10": sums["chosen"] / count,
            "chosen of 10, flite": sums["chosen of flite"] / count,
            "word error rate": sums["errors"] / sums["words"],
            "word error rate, flite": sums["errors of flite"] / sums["words"],
            "seconds a sentence": seconds / count,
        }

    def _choices(self, text: str) -> list[str]:
        length = len(words(text))
        others = [other for other in self.texts if words(other) != words(text)]
        others.sort(key=lambda other: abs(len(words(other)) - length))
        return sorted([text, *others[: CHOICES - 1]])

    def cloned(self, texts: Sequence[str], folder: Path) -> dict[str, str]:
        """Clone each voice from a WAV of some sentences; return which voice it sounds like."""
        known = {
            voice: spectrum([self.by_flite(text, voice) for text in texts[:12]])
            for voice in speech.VOICES
        }
        nearest = {}
        for voice in speech.VOICES:
            said = np.concatenate([self.by_flite(text, voice) for text in texts[-4:]])
            path = folder / f"{voice}.wav"
            save_wav(path, said, speech.SAMPLE_RATE)
            latents, embedding = self.model.get_conditioning_latents(audio_path=[str(path)])
            entry = {"gpt_cond_latent": latents, "speaker_embedding": embedding}
            torch.manual_seed(0)
            made = spectrum([self.by_model(text, entry) for text in texts[:4]])
            away = {name: float(np.abs(made - mean).mean()) for name, mean in known.items()}
            nearest[SPEAKERS[voice]] = SPEAKERS[min(away, key=lambda name: away[name])]
        return nearest


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what `export.py build` wrote")
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--voices", default=",".join(speech.VOICES))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="leave the sound in this folder")
    options = parser.parse_args()
    texts = (HERE / "texts" / "heldout.txt").read_text("ascii").splitlines()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    evaluation = Evaluation(options.folder, texts, options.keep)
    project, others = evaluation.texts[:26], evaluation.texts[26:]
    random.Random(0).shuffle(others)
    chosen = [*project, *others][: options.sentences]
    rows = []
    for voice in options.voices.split(","):
        for way in options.ways.split(","):
            rows.append(evaluation.measure(voice, way, chosen))
            print(json.dumps(rows[-1]), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cloned = evaluation.cloned(chosen, Path(folder))
    print(json.dumps({"cloned": cloned}), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "cloned": cloned}, indent=1))


if __name__ == "__main__":
    main()
