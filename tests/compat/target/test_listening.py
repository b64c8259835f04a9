"""The recogniser picks the sentence that was spoken and no other; `nox -s listen` counts."""

from __future__ import annotations

import shutil
import wave
from array import array
from typing import TYPE_CHECKING

import numpy as np
import pytest

import listen as sounds
from xcompat.target import listening

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("pocketsphinx")
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng makes speech")
TEXT = "The doctor told him to drink more water."


def write(path: Path, samples: array[int], rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


@needs_espeak
def test_the_spoken_sentence_is_understood(tmp_path: Path) -> None:
    samples, rate = sounds.speech("en-us", TEXT, tmp_path)
    wav = write(tmp_path / "speech.wav", samples, rate)
    heard = listening.listen(wav, TEXT)
    assert heard["understood"] is True
    assert heard["mistakes"] < heard["words"] == 8
    other = listening.listen(wav, "My neighbor plays the piano every evening.")
    assert (other["understood"], other["heard"]) == (False, TEXT)


@needs_espeak
@pytest.mark.parametrize(
    "change",
    [
        sounds.reverse,
        *(pytest.param(c, marks=pytest.mark.speech) for c in (sounds.shuffle, sounds.hiss)),
    ],
)
def test_what_is_no_speech_is_not_understood(tmp_path: Path, change: sounds.Change) -> None:
    samples, rate = sounds.speech("en-us", TEXT, tmp_path)
    wav = write(tmp_path / "wrong.wav", change(samples, rate), rate)
    assert listening.listen(wav, TEXT)["understood"] is False


def test_a_word_that_is_not_in_the_dictionary_is_no_verdict(tmp_path: Path) -> None:
    wav = write(tmp_path / "x.wav", array("h", [0] * 16000), 16000)
    heard = listening.listen(wav, "The xqzrt is here.")
    assert (heard["understood"], heard["unknown"]) == (None, ["xqzrt"])
    assert listening.listen(wav, "There are 7 of them.")["understood"] is None


@pytest.mark.parametrize(
    ("heard", "mistakes"),
    [("a b c", 0), ("a c", 1), ("a x c", 1), ("a b b c", 1), ("", 3), ("x y z", 3)],
)
def test_words_left_out_added_and_replaced_are_mistakes(heard: str, mistakes: int) -> None:
    assert listening.mistakes(["a", "b", "c"], heard.split()) == mistakes


def test_there_are_ten_choices_of_like_length() -> None:
    choices = listening.choices_for(TEXT)
    assert len(choices) == len(set(choices)) == listening.CHOICES
    assert TEXT in choices
    assert all(5 <= len(listening.words(choice)) <= 11 for choice in choices)


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100])
def test_resampling_keeps_a_tone(rate: int) -> None:
    tone = 1000 * np.sin(2 * np.pi * 1000 * np.arange(rate // 4) / rate)
    resampled = np.array(listening._resample(tone.astype(int).tolist(), rate))
    expected = 1000 * np.sin(2 * np.pi * 1000 * np.arange(4000) / 16000)
    assert np.abs(resampled[100:3800] - expected[100:3800]).max() < 15


def test_words_are_spelled_without_accents() -> None:
    assert listening.words("The caf\u00e9\u2019s na\u00efve \u201cfa\u00e7ade\u201d.") == [
        "the",
        "cafe's",
        "naive",
        "facade",
    ]
