"""What is around a text is told with its seconds; what is right is not objected to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from planted_beyond import Said, plants, table

from xcompat import judge
from xcompat.smoke.beyond import Extra, judge_beyond
from xcompat.target import listening
from xcompat.target.outline import sounding, steady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.smoke.beyond import Beyond, Place, Span

RATE = 24_000
TEXT = "The doctor told him to drink more water."
USUAL = 2.5
"""Seconds that it usually takes: 40 letters and spaces at 16 a second."""


def beyond(
    sounding: Sequence[Span],
    *,
    text: str = TEXT,
    seconds: float = 0.0,
    steady: Sequence[Span] = (),
    places: Sequence[Place] = (),
    rate: float = 0.0,
    language: str = "en",
) -> Beyond:
    last = max([0.0, *(end for _, end in (*sounding, *steady))])
    return judge_beyond(
        text,
        seconds or last + 0.1,
        sounding,
        steady,
        places,
        language=language,
        letters_per_second=rate,
    )


def failed(told: Beyond) -> list[str]:
    return [each.name for each in told.judgements if not each.passed]


def placed(begin: float, end: float, text: str = TEXT, count: int = 99) -> list[Place]:
    """Return the first words of a text, each as long as the others."""
    said = listening.words(text)
    edges = np.linspace(begin, end, len(said[:count]) + 1).tolist()
    return list(zip(said, edges[:-1], edges[1:], strict=False))


@pytest.mark.parametrize(
    "spans",
    [
        [(0.1, 2.6)],
        [(0.1, 2.0)],
        [(0.1, 3.6)],
        [(0.1, 1.0), (1.5, 3.0)],  # It pauses where nothing says so.
        [(0.1, 0.6), (1.0, 1.6), (2.0, 2.8)],
    ],
)
def test_a_text_that_takes_its_time_has_nothing_around_it(spans: list[Span]) -> None:
    told = beyond(spans)
    assert (failed(told), told.extra) == ([], ())
    assert (told.begins, told.ends) == (spans[0][0], spans[-1][1])


def test_speech_after_a_pause_beyond_the_text_is_told_with_its_seconds() -> None:
    told = beyond([(0.1, 2.6), (3.2, 4.9)])
    assert failed(told) == ["nothing after the text"]
    assert told.extra == (Extra(3.2, 4.9, "speech"),)
    assert (told.begins, told.ends) == (0.1, 2.6)
    assert "after it comes speech from 3.20 s to 4.90 s" in told.judgements[0].detail


def test_speech_before_the_text_is_told() -> None:
    told = beyond([(0.1, 1.5), (2.0, 4.5)])
    assert failed(told) == ["nothing before the text"]
    assert (told.begins, told.extra) == (2.0, (Extra(0.1, 1.5, "speech"),))


def test_the_rate_of_the_voice_finds_less_babble() -> None:
    spans = [(0.1, 2.1), (2.6, 3.2)]  # 40 letters in two seconds: 20 a second
    assert failed(beyond(spans)) == []
    told = beyond(spans, rate=20.0)
    assert failed(told) == ["nothing after the text"]
    assert beyond([(0.1, 2.1)]).letters_per_second == pytest.approx(20.0, rel=0.05)
    assert failed(beyond([(0.1, 1.4)], rate=20.0)) == ["said to its end"]


def test_what_goes_on_without_a_pause_ends_about_where_it_should() -> None:
    told = beyond([(0.1, 6.0)])
    assert failed(told) == ["nothing after the text"]
    assert told.ends == pytest.approx(0.1 + USUAL, abs=0.1)


def test_a_pause_has_its_place_at_a_mark() -> None:
    slow = [(0.1, 2.1), (2.7, 4.5)]  # ten letters a second
    assert failed(beyond(slow, text="It was a cold day. All the bells rang.")) == []
    assert failed(beyond(slow, text="It was a cold day when all the bells rang")) == [
        "nothing after the text"
    ]


def test_a_sentence_that_ends_early_is_told() -> None:
    assert failed(beyond([(0.1, 1.3)])) == ["said to its end"]
    assert failed(beyond([])) == ["said to its end"]


@pytest.mark.parametrize(
    ("text", "language", "seconds"),
    [
        ("早上好今天山里下雨", "zh-cn", 2.0),
        ("안녕하세요 여러분", "ko", 1.6),
        ("صباح الخير جميعا", "ar", 1.8),
        ("It was 1984.", "en", 1.6),
    ],
)
def test_each_script_has_its_own_time(text: str, language: str, seconds: float) -> None:
    assert failed(beyond([(0.1, 0.1 + seconds)], text=text, language=language)) == []
    long = [(0.1, 0.1 + 3 * seconds)]
    assert failed(beyond(long, text=text, language=language)) == ["nothing after the text"]


@pytest.mark.parametrize(
    ("spans", "seconds", "where"),
    [
        ([(2.0, 4.5)], 4.6, (0.0, 2.0)),
        ([(0.1, 1.1), (3.1, 4.6)], 4.7, (1.1, 3.1)),
        ([(0.1, 2.6)], 5.6, (2.6, 5.6)),
    ],
)
def test_a_long_silence_is_told_wherever_it_is(
    spans: list[Span], seconds: float, where: Span
) -> None:
    told = beyond(spans, seconds=seconds)
    assert failed(told) == ["no long silence"]
    assert told.extra == (Extra(*where, "silence"),)


def test_a_steady_sound_is_not_the_text() -> None:
    told = beyond([(0.1, 4.6)], steady=[(2.7, 4.6)])
    assert failed(told) == ["nothing after the text", "no steady sound"]
    assert told.extra == (Extra(2.7, 4.6, "steady sound"),)
    assert told.ends == pytest.approx(2.7)
    # A recogniser may give the last word the begin of the noise.
    told = beyond([(0.1, 4.6)], steady=[(2.5, 4.6)], places=placed(0.1, 2.8))
    assert failed(told) == ["nothing after the text", "no steady sound"]
    held = beyond([(0.1, 3.4)], steady=[(1.0, 1.9)])
    assert failed(held) == ["no steady sound"]


def test_words_decide_where_they_were_placed() -> None:
    spans = [(0.1, 3.4)]
    assert failed(beyond(spans)) == []
    told = beyond(spans, places=placed(0.15, 2.5))
    assert failed(told) == ["nothing after the text"]
    assert (told.begins, told.ends) == (0.1, 2.5)
    assert told.extra == (Extra(2.5, 3.4, "speech"),)
    # Words end softly: so little more is theirs.
    assert failed(beyond([(0.1, 2.7)], places=placed(0.15, 2.5))) == []


def test_a_pause_is_where_words_are_cut_from_what_follows() -> None:
    told = beyond([(0.1, 2.6), (3.0, 4.0)], places=placed(0.1, 2.5))
    assert (told.ends, told.extra) == (2.6, (Extra(3.0, 4.0, "speech"),))
    told = beyond([(0.1, 2.45), (3.0, 4.0)], places=placed(0.1, 2.5))
    assert (told.ends, told.extra) == (2.45, (Extra(3.0, 4.0, "speech"),))


def test_words_that_are_not_heard_are_named() -> None:
    told = beyond([(0.1, 1.9)], places=placed(0.1, 1.9, count=6))
    assert (failed(told), told.missing) == (["said to its end"], "more water")
    cut = [*placed(0.1, 2.0, count=7), ("water", 2.0, 2.1)]
    assert beyond([(0.1, 2.1)], places=cut).missing == "water"
    assert beyond([(0.1, 2.3)], places=[*cut[:-1], ("water", 2.0, 2.3)]).missing == ""


def test_unclear_words_are_not_missing() -> None:
    told = beyond([(0.1, 2.6)], places=placed(0.1, 1.9, count=6))
    assert (failed(told), told.missing, told.ends) == ([], "", 2.6)
    told = beyond([(0.1, 1.9), (2.1, 2.7)], places=placed(0.1, 1.9, count=6))
    assert (failed(told), told.missing, told.ends) == ([], "", 2.7)
    assert failed(beyond([(0.1, 4.6)], places=placed(0.1, 1.9, count=6))) == [
        "nothing after the text"
    ]


def test_after_a_pause_only_a_click_is_let_pass() -> None:
    words = placed(0.1, 2.5)
    assert failed(beyond([(0.1, 2.5), (2.9, 3.0)], places=words)) == []
    assert failed(beyond([(0.1, 2.5), (2.9, 3.15)], places=words)) == ["nothing after the text"]
    assert failed(beyond([(0.1, 0.4), (0.6, 3.1)], places=placed(0.6, 3.1))) == [
        "nothing before the text"
    ]


def syllables(seconds: float, seed: int = 0) -> Any:
    """Return a voice that glides through vowels, seven syllables in a second."""
    chance = np.random.default_rng(seed)
    parts = []
    while sum(part.size for part in parts) < seconds * RATE:
        time = np.arange(int(chance.uniform(0.1, 0.18) * RATE)) / RATE
        pitch, first, second = chance.uniform((90, 300, 900), (160, 800, 2300))
        voice = sum(
            np.sin(2 * np.pi * pitch * n * time)
            * sum(np.exp(-(((n * pitch - f) / 120) ** 2)) for f in (first, second))
            for n in range(1, 24)
        )
        parts.append(0.1 * voice * np.hanning(time.size))
    end = np.zeros(RATE // 10)
    return np.concatenate([end, np.concatenate(parts)[: int(seconds * RATE)], end])


def test_what_sounds_is_found_to_a_hundredth_of_a_second() -> None:
    voice = syllables(1.0)
    spans = sounding(np.concatenate([voice, voice]) + 0.3, RATE)
    assert np.array(spans) == pytest.approx(np.array([(0.1, 1.1), (1.3, 2.3)]), abs=0.03)
    for nothing in (np.zeros(0), np.zeros(RATE), np.full(RATE, 0.5)):
        assert sounding(nothing, RATE) == []
        assert steady(nothing, RATE) == []


@pytest.mark.parametrize("kind", ["white", "brown", "hum", "tone"])
def test_what_stays_as_it_is_is_found(kind: str) -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.05, RATE)
    time = np.arange(RATE) / RATE
    sound = {
        "white": noise,
        "brown": np.cumsum(noise) - np.convolve(np.cumsum(noise), np.ones(481) / 481, "same"),
        "hum": 0.1 * sum(np.sin(2 * np.pi * 120 * n * time) / n for n in range(1, 20)),
        "tone": 0.2 * np.sin(2 * np.pi * 440 * time),
    }[kind]
    voice = syllables(2.0)
    assert steady(voice, RATE) == []
    ((begin, end),) = steady(np.concatenate([voice, sound]), RATE)
    assert begin == pytest.approx(2.2, abs=0.15)
    assert end == pytest.approx(3.2, abs=0.1)


def test_an_app_is_told_where_to_cut() -> None:
    voice = syllables(USUAL)
    heard = judge(voice, TEXT, listen=False)
    assert (heard.extra, heard.missing) == ((), "")
    assert heard.letters_per_second == pytest.approx(16.0, rel=0.1)
    more = np.concatenate([voice, np.zeros(RATE // 2), syllables(1.5, seed=4)])
    heard = judge(more, TEXT, listen=False)
    assert "nothing after the text" in [each.name for each in heard.failed]
    assert heard.ends == pytest.approx(USUAL + 0.1, abs=0.05)
    cut = judge(more[: int(heard.ends * RATE)], TEXT, listen=False)
    assert cut.extra == ()


def test_every_plant_is_another_sound() -> None:
    said = Said(3, TEXT, syllables(USUAL), goes_on=None)
    planted = {each.fault: each for each in plants(said, syllables(USUAL, seed=2))}
    assert len({each.samples.tobytes() for each in planted.values()}) == len(planted)
    late = [each for each in planted.values() if each.ends is not None]
    assert late
    assert all(each.samples.size / RATE > each.ends + 0.3 for each in late)
    assert list(table([]))[1:] == ["|---|---|---|---|"]
