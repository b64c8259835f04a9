"""Each judge rejects what it exists to reject; `measure` measures sounds that numpy makes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from xcompat.judge import judge_sound
from xcompat.target.sound import measure

RATE = 24_000
SECONDS = 2
TOKENS = 43
"""Audio tokens of two seconds: 43 * 1024 / 22050 = 1.997 s."""


def noise(level: float = 0.2) -> Any:
    return np.random.default_rng(7).normal(0.0, level, RATE * SECONDS)


def failed(samples: Any, **known: Any) -> list[str]:
    return [j.name for j in judge_sound(measure(samples, RATE), **known) if not j.passed]


def test_a_good_sound_passes() -> None:
    assert failed(noise(), audio_tokens=TOKENS, text="A sentence of two seconds.") == []


def test_nan_is_heard() -> None:
    samples = noise()
    samples[1000] = math.nan
    assert failed(samples) == ["finite"]


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_is_heard(level: float) -> None:
    assert "not silent" in failed(noise(level))


def test_a_constant_offset_is_silence() -> None:
    assert "not silent" in failed(np.full(RATE, 0.5))


def test_clipping_is_heard() -> None:
    assert failed(np.clip(noise(1.0), -1.0, 1.0)) == ["not clipped"]


def test_a_tone_is_heard() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert failed(tone) == ["not a tone"]


def test_length_must_follow_the_tokens() -> None:
    assert failed(noise(), audio_tokens=2 * TOKENS) == ["length follows the tokens"]


@pytest.mark.parametrize(("seconds", "text"), [(60, "Short."), (0.05, "Short.")])
def test_length_must_fit_the_text(seconds: float, text: str) -> None:
    samples = np.resize(noise(), int(RATE * seconds))
    assert failed(samples, text=text) == ["length fits the text"]


def test_no_sound_at_all_is_silence() -> None:
    assert failed(np.zeros(0)) == ["not silent"]
