"""Plant babble, noise and silence around what the voice that ships says, and count who finds it.

    nox -s judges -- PYTHON...

`planted_beyond.py FOLDER --heard N` takes the right sentences that `planted_speech.py speak` left
there. One half, four by four as the voices go round, tells how fast each voice speaks; thresholds
were chosen on it too. Of the other half it prints how often a fault was missed, and how often a
right sentence was objected to: without a recogniser, where the voice's rate is not known and where
it is, and with one in the first N sentences.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import wave
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from xcompat.smoke.beyond import Beyond, judge_beyond
from xcompat.smoke.judge import judge_sound, letters_of
from xcompat.target.outline import sounding, steady
from xcompat.target.sound import measure, write_wav

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.random import Generator

RATE = 24_000
VOICES = 4
NEAR = 0.25
"""Seconds that the place to cut may be away from where the fault begins."""
WAYS = ("rate not known", "rate known", "words")
LOOPED = RATE // 10


class Said(NamedTuple):
    """A right sentence."""

    number: int
    text: str
    samples: Any
    goes_on: Any
    """The same where the model was not let stop; None where that was not spoken."""


class Planted(NamedTuple):
    """A sound, and where in it the text ends; None where nothing comes after it."""

    fault: str
    samples: Any
    ends: float | None


def plants(said: Said, other: Any) -> Iterator[Planted]:
    """Yield a sentence as it is, with what is right too, and with each fault.

    Args:
        said: The sentence.
        other: Another one of the same voice.
    """
    chance = np.random.default_rng(said.number)
    samples = said.samples
    begin, end = _ends(samples)
    text, seconds = samples[:end], end / RATE
    spoken = other[slice(*_ends(other))]
    size = int(chance.uniform(0.5, 1.5) * RATE)
    pause = chance.uniform(0.2, 0.8)
    last = letters_of(said.text.split()[-1]) / letters_of(said.text)
    word = _faded(text[end - int((end - begin) * last) :])
    level = float(samples.std())

    yield Planted("none", samples, None)
    yield Planted("a pause of 0.4 s inside (no fault)", _paused(samples, begin, end, chance), None)
    after = (
        ("a piece of another sentence, after a pause", pause, spoken[:size]),
        ("a piece of another sentence, no pause", 0.0, spoken[:size]),
        ("another sentence, after a pause", pause, spoken),
        ("its end reversed, after 0.3 s", 0.3, text[-int(0.8 * RATE) :][::-1]),
        ("the last word again, after 0.1 s", 0.1, word),
        ("the last word three times, no pause", 0.0, np.concatenate([word, word])),
        ("a vowel held for 1.2 s", 0.0, _held(word)),
        ("2 s of white noise", 0.0, chance.normal(0.0, 0.3 * level, 2 * RATE)),
        ("2 s of brown noise", 0.0, _brown(0.2 * level, chance)),
        ("3 s of silence", 0.0, _silence(3.0)),
    )
    for fault, gap, extra in after:
        parts = [text, _silence(gap), _faded(extra), _silence(0.1)]
        yield Planted(fault, np.concatenate(parts), seconds)
    before = [_silence(0.1), _faded(spoken[-size:]), _silence(pause), samples]
    yield Planted("a piece of another sentence before it", np.concatenate(before), None)
    for share in (0.6, 0.8):
        yield Planted(f"cut after {share:.0%}", samples[: int(samples.size * share)], None)
    if said.goes_on is not None:
        yield Planted("the model does not stop", said.goes_on, seconds)


def _ends(samples: Any) -> tuple[int, int]:
    spans = sounding(samples, RATE)
    return round(spans[0][0] * RATE), round(spans[-1][1] * RATE)


def _silence(seconds: float) -> Any:
    return np.zeros(int(seconds * RATE))


def _faded(samples: Any) -> Any:
    size = min(RATE // 100, samples.size // 2)
    rise = np.linspace(0, 1, size)
    level = np.concatenate([rise, np.ones(samples.size - 2 * size), rise[::-1]])
    return samples * level


def _paused(samples: Any, begin: int, end: int, chance: Generator) -> Any:
    """Stop where it is quietest around a place in the middle."""
    middle = begin + int((end - begin) * chance.uniform(0.25, 0.75))
    near = samples[middle - RATE // 10 : middle + RATE // 10]
    quiet = np.convolve(near**2, np.ones(RATE // 100), "same").argmin()
    place = middle - RATE // 10 + int(quiet)
    return np.concatenate([samples[:place], _silence(0.4), samples[place:]])


def _held(word: Any) -> Any:
    """Return the loudest tenth of a second again and again."""
    starts = range(0, max(word.size - LOOPED, 1), LOOPED // 4)
    loudest = max(starts, key=lambda start: float(np.square(word[start : start + LOOPED]).sum()))
    part = np.resize(word[loudest : loudest + LOOPED], LOOPED) * np.hanning(LOOPED)
    held = np.zeros(int(1.2 * RATE))
    for start in range(0, held.size - LOOPED, LOOPED // 2):
        held[start : start + LOOPED] += part
    return held


def _brown(level: float, chance: Generator) -> Any:
    walk = np.cumsum(chance.normal(size=2 * RATE))
    walk -= np.convolve(walk, np.ones(RATE // 50) / (RATE // 50), "same")
    return walk * level / walk.std()


def read(folder: Path) -> list[Said]:
    """Return the right sentences of a folder, in the order in which they were spoken."""
    rows = [json.loads(line) for line in (folder / "planted.jsonl").read_text("utf-8").splitlines()]
    goes_on = {row["text"]: row["wav"] for row in rows if row["fault"] == "the model does not stop"}
    right = [row for row in rows if row["fault"] == "none"]
    return [
        Said(
            number,
            row["text"],
            _samples(folder / row["wav"]),
            _samples(folder / goes_on[row["text"]]) if row["text"] in goes_on else None,
        )
        for number, row in enumerate(right)
    ]


def _samples(path: Path) -> Any:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0


class Outline(NamedTuple):
    """What a sound is before its text is known."""

    seconds: float
    sounding: list[tuple[float, float]]
    steady: list[tuple[float, float]]


def outline(samples: Any) -> Outline:
    """Measure a sound."""
    return Outline(samples.size / RATE, sounding(samples, RATE), steady(samples, RATE))


def _judged(drawn: Outline, text: str, rate: float, places: list[Any]) -> Beyond:
    return judge_beyond(
        text,
        *drawn,
        places,
        language="en",
        letters_per_second=rate,
    )


def _cut_in_a_sound(planted: Planted) -> bool:
    """Tell what the judge of shapes says, which knows no text."""
    judged = judge_sound(measure(planted.samples, RATE), text="any")
    return any(each.name == "not cut off" and not each.passed for each in judged)


class Outcome(NamedTuple):
    """What one way said of one sound."""

    fault: str
    way: str
    objected: bool
    near: bool
    """Whether it said where the text ends."""


def outcomes(said: Said, other: Any, rate: float, wav: Path | None) -> Iterator[Outcome]:
    """Judge a sentence with each fault in each way; with words where there is a place for a WAV."""
    for planted in plants(said, other):
        places: list[Any] = []
        if wav is not None:
            write_wav(wav, planted.samples, RATE)
            places = _listener().places(wav, said.text)
        cut = planted.fault.startswith("cut") and _cut_in_a_sound(planted)
        drawn = outline(planted.samples)
        for way in WAYS[: 2 if wav is None else 3]:
            known = 0.0 if way == "rate not known" else rate
            told = _judged(drawn, said.text, known, places if way == "words" else [])
            failed = [each.name for each in told.judgements if not each.passed]
            near = planted.ends is not None and abs(told.ends - planted.ends) <= NEAR
            print(
                f"{said.number} {planted.fault}, {way}: {', '.join(failed) or '-'}; "
                f"{told.begins:.2f} to {told.ends:.2f} s, planted at {planted.ends}; "
                f"{told.missing}",
                file=sys.stderr,
                flush=True,
            )
            yield Outcome(planted.fault, way, bool(failed or cut), bool(failed) and near)


@functools.cache
def _listener() -> Any:
    from listener import Listener

    return Listener()


def rates(sentences: list[Said]) -> list[float]:
    """Return how fast each voice speaks, by the half of the sentences that is not judged."""
    told: dict[int, list[float]] = {}
    for said in sentences:
        if said.number // VOICES % 2 == 0:
            judged = _judged(outline(said.samples), said.text, 0.0, [])
            told.setdefault(said.number % VOICES, []).append(judged.letters_per_second)
    return [median(told[voice]) for voice in range(VOICES)]


def table(told: Iterable[Outcome]) -> Iterator[str]:
    """Yield the lines of a table."""
    sums: dict[tuple[str, str], Counter[str]] = {}
    for each in told:
        counts = sums.setdefault((each.fault, each.way), Counter())
        counts.update(tried=1, objected=each.objected, near=each.near)
    yield "| planted | " + " | ".join(f"{way}: missed" for way in WAYS) + " |"
    yield "|---|---|---|---|"
    for fault in dict.fromkeys(fault for fault, _ in sums):
        cells = []
        for way in WAYS:
            counts = sums.get((fault, way), Counter())
            number, hits = counts["tried"], counts["objected"]
            right = fault == "none" or fault.endswith("(no fault)")
            cell = f"{hits} false alarms of {number}" if right else f"{number - hits} of {number}"
            cells.append(cell + (f", {counts['near']} placed" if counts["near"] else ""))
        yield f"| {fault} | {' | '.join(cells)} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--heard", type=int, default=50)
    options = parser.parse_args()
    sentences = read(options.folder)
    rate = rates(sentences)
    told: list[Outcome] = []
    fresh = [each for each in sentences if each.number // VOICES % 2 == 1]
    for index, said in enumerate(fresh):
        voice = said.number % VOICES
        same = [each for each in fresh if each.number % VOICES == voice and each is not said]
        heard = index < options.heard and _listener().knows(said.text)
        wav = options.folder / "beyond.wav" if heard else None
        told += outcomes(said, same[index * 7 % len(same)].samples, rate[voice], wav)
    print("\n".join(table(told)))


if __name__ == "__main__":
    main()
