"""Speak English with flite (Debian's libflite1), called as a library; fill a folder with speech.

As a program it is one of several that share the work: part I of N speaks every N-th sentence and
leaves what it has in chunks, `chunk-I-K.npz`, until its time is over.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import os
import time
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np

VOICES = ("slt", "rms", "awb", "kal16")
"""The voices to learn, by flite's names."""
QUICK = "kal16"
"""Joins recorded diphones, twenty times as fast as the others: it speaks every sentence first."""
SAMPLE_RATE = 16_000

_FOLDER = Path(__file__).parent / "flite"
_GAIN = {"slt": 1.0, "rms": 1.15, "awb": 1.0, "kal16": 2.0}
"""Makes them about equally loud."""
_QUIET = 250
_LEAD, _TAIL = int(0.05 * SAMPLE_RATE), int(0.09 * SAMPLE_RATE)
_CHUNK_SECONDS = 240.0


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


def _load(file: str) -> Any:
    """Load a library from the folder beside this file where it is there, else from the system."""
    path = _FOLDER / file
    return ctypes.CDLL(str(path) if path.exists() else file, mode=ctypes.RTLD_GLOBAL)


@functools.lru_cache(maxsize=None)
def _flite() -> Any:
    _load("libasound.so.2")
    flite = _load("libflite.so.1")
    _load("libflite_usenglish.so.1")
    _load("libflite_cmulex.so.1")
    flite.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
    flite.flite_text_to_wave.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
    flite.delete_wave.argtypes = (ctypes.POINTER(_Wave),)
    flite.flite_init()
    return flite


@functools.lru_cache(maxsize=None)
def _voice(name: str) -> int:
    _flite()
    register = getattr(_load(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
    register.restype = ctypes.c_void_p
    register.argtypes = (ctypes.c_char_p,)
    return int(register(None))


def speak(text: str, voice: str) -> Any:
    """Return what `voice` makes of `text`: int16 samples at `SAMPLE_RATE`, without long silence."""
    flite = _flite()
    wave = flite.flite_text_to_wave(text.encode("ascii"), _voice(voice))
    try:
        found = wave.contents
        if found.sample_rate != SAMPLE_RATE or found.num_channels != 1:
            raise ValueError(f"{voice} speaks at {found.sample_rate} Hz")
        samples = np.ctypeslib.as_array(found.samples, (found.num_samples,)).astype(np.float32)
    finally:
        flite.delete_wave(wave)
    samples *= _GAIN[voice]
    loud = np.flatnonzero(np.abs(samples) > _QUIET)
    if loud.size:
        samples = samples[max(0, loud[0] - _LEAD) : loud[-1] + _TAIL]
    return np.clip(samples, -32_000, 32_000).astype(np.int16)


def jobs(sentences: int) -> Iterator[tuple[int, int]]:
    """Yield (sentence, voice) in the order of use: the quick voice first, then the others."""
    quick = VOICES.index(QUICK)
    yield from ((index, quick) for index in range(sentences))
    others = [index for index in range(len(VOICES)) if index != quick]
    for turn in range(len(others)):
        for index in range(sentences):
            yield index, others[(index + turn) % len(others)]


def _save(path: Path, spoken: Sequence[tuple[int, int, Any]]) -> None:
    partial = path.with_suffix(".part.npz")
    np.savez(
        partial,
        samples=np.concatenate([samples for _, _, samples in spoken]),
        lengths=np.array([len(samples) for _, _, samples in spoken], np.int64),
        sentences=np.array([sentence for sentence, _, _ in spoken], np.int64),
        voices=np.array([voice for _, voice, _ in spoken], np.int64),
    )
    os.replace(partial, path)


def main() -> None:
    """Speak this part of the sentences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=Path, default=Path(__file__).parent / "texts" / "train.txt")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--until", type=float, required=True, help="when to stop, as time.time()")
    parser.add_argument("--limit", type=int, help="use so many sentences only")
    options = parser.parse_args()
    texts = options.texts.read_text("ascii").splitlines()[: options.limit]
    spoken: list[tuple[int, int, Any]] = []
    seconds, chunks = 0.0, 0
    for number, (sentence, voice) in enumerate(jobs(len(texts))):
        if number % options.of != options.part:
            continue
        samples = speak(texts[sentence], VOICES[voice])
        spoken.append((sentence, voice, samples))
        seconds += len(samples) / SAMPLE_RATE
        over = time.time() > options.until
        if seconds > _CHUNK_SECONDS or over:
            _save(options.folder / f"chunk-{options.part}-{chunks}.npz", spoken)
            spoken, seconds, chunks = [], 0.0, chunks + 1
        if over:
            return
    if spoken:
        _save(options.folder / f"chunk-{options.part}-{chunks}.npz", spoken)


if __name__ == "__main__":
    main()
