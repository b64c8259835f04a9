"""Judge a sound from its measurements. Pure: thresholds in, verdicts out."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from xcompat.domain.smoke import Judgement
from xcompat.target.sound import spoken_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

SILENCE_RMS = 1e-3
"""-60 dBFS; speech is 30 to 40 dB louder."""
CLIPPED_SHARE = 0.01
TONE_SHARE = 0.9
"""Of the spectral energy in one bin; measured 0.42 for untrained weights, less for speech."""
LEFT_IN_STREAM = 1024
"""Samples at the end of a stream that TTS keeps to join them to what never comes."""
LEVEL_RANGE_DB = 10.0
"""Measured 19 and more for speech, 3 and less for noise, tones and shuffled samples."""
FLATTEST = 0.25
"""Measured 0.03 and less for speech, whispered too; 0.57 for white noise."""
MOST_CHANGE = 0.75
"""Measured 0.73 and less for speech, fast and whispered too; 0.95 and more for its blocks of up to
20 ms in any order, 0.63 to 0.9 for blocks of a whole audio token (46 ms)."""
MOST_RHYTHM = 3.2
"""Measured 3.0 and less for speech; audio tokens in any order exceed it nine times of ten."""
ENDING_DB = -6.0
"""A voice fades within 20 ms; what ends louder than this was cut."""
SLOWEST_LETTERS_PER_SECOND = 3.0
FASTEST_LETTERS_PER_SECOND = 27.0
"""Speech has about 15 letters a second."""
LETTERS_PER_SYLLABLE = 2
"""What one character of Chinese, Japanese or Korean counts for."""
PAUSES_SECONDS = 4.0
FURTHEST = {"vocoder": 0.05}
FURTHEST_STEP = 0.01
"""Largest distance of one step on a device from the CPU, relative to what the CPU computes. Set
without a GPU at hand: other orders of addition give 1e-5, TF32 is thought to give 1e-3."""
GOLDEN_TOKENS = {
    "untrained": "65716ddbbd7fddf7fe990f90163734e11af758f7fd4325e45624e02f9f07bbe3",
    "voice": "f0b56f3ea099d5229dfe4e353f73853b5e471543776cfacf308533bd97f31b78",
}
"""SHA-256 of the greedy tokens of the models that runs are recorded with, in all that speak."""
MOST_MISHEARD = 0.7
"""Share of the words that a recogniser may write down wrongly of the voice that ships: of its
sentences played backwards, or with their audio tokens in any order, it mistakes 0.78 and more."""


def judge_tokens(tokens: Mapping[str, Any], *, model: str) -> tuple[Judgement, ...]:
    """Judge what the stage `tokens` decoded and proved.

    Args:
        tokens: The details of the stage.
        model: A model whose tokens are known, see `GOLDEN_TOKENS`; empty for another.
    """
    changes = "text and speaker" if tokens["voices"] > 1 else "the text"
    right = Judgement(
        name="right voice",
        passed=True,
        detail=f"{tokens['tokens']} greedy tokens of {tokens['sequences']} decodes equal "
        f"an independent decode; they change with {changes}",
    )
    if not model:
        return (right,)
    tie = tokens["margin"] < 0
    golden = GOLDEN_TOKENS[model]
    equal = tokens["sha256"] == golden
    detail = "the tokens are those of all recorded runs"
    if not equal:
        detail = f"SHA-256 {tokens['sha256'][:12]} is not the recorded {golden[:12]}"
        detail += "; rounding decided a tie" if tie else ""
    return right, Judgement(name="golden tokens", passed=equal or tie, detail=detail)


def judge_intermediates(steps: Mapping[str, Mapping[str, Any]]) -> tuple[Judgement, ...]:
    """Judge what `target.intermediates.compare` found; nothing where the device is the CPU."""
    judgements = []
    for name, step in steps.items():
        most = FURTHEST.get(name, FURTHEST_STEP)
        detail = f"relative distance from the CPU {step['error']:.1e} (at most {most})"
        judgements.append(
            Judgement(
                name=f"as on the CPU: {name}",
                passed=bool(step["finite"]) and step["error"] <= most,
                detail=detail if step["finite"] else "holds NaN or infinity",
            )
        )
    return tuple(judgements)


def judge_heard(heard: Mapping[str, Any], *, model: str) -> tuple[Judgement, ...]:
    """Judge what `target.listening.listen` understood.

    Args:
        heard: What it returned.
        model: As for `judge_tokens`: of other models, what was written down is told, not judged.
    """
    among = f"among {heard['choices']} sentences"
    if heard["understood"]:
        detail = f"a recogniser picked the text {among}"
    elif heard["heard"]:
        detail = f"a recogniser heard {heard['heard']!r} {among}"
    else:
        detail = f"a recogniser heard none {among}"
    understood = Judgement(name="speak: understood", passed=heard["understood"], detail=detail)
    if not model:
        return (understood,)
    share = heard["mistakes"] / heard["words"]
    written = Judgement(
        name="speak: written down",
        passed=share <= MOST_MISHEARD,
        detail=f"a recogniser without any hint mistook {heard['mistakes']} of {heard['words']} "
        f"words (at most {MOST_MISHEARD:.0%}): {heard['transcript'] or 'nothing'}",
    )
    return understood, written


def judge_spoken(
    stage: str, heard: Mapping[str, Any], *, text: str = "", speech: bool
) -> tuple[Judgement, ...]:
    """Judge what a stage spoke: its sound, and what the vocoder was given for it.

    Args:
        stage: `speak`, `stream` or `clone`.
        heard: The details of the stage.
        text: As for `judge_sound`.
        speech: As for `judge_sound`.
    """
    judgements = judge_sound(
        heard["sound"],
        audio_tokens=heard.get("audio_tokens", 0),
        streamed=stage == "stream",
        text=text,
        speech=speech,
    )
    if "latents_distance" not in heard:
        return judgements
    distance = heard["latents_distance"]
    right = Judgement(
        name="right latents",
        passed=distance <= FURTHEST_STEP,
        detail=f"what the vocoder was given is {distance:.1e} away from the latents of the tokens, "
        f"relative to them (at most {FURTHEST_STEP})",
    )
    return *judgements, right


def judge_sound(
    sound: Mapping[str, Any],
    *,
    audio_tokens: int = 0,
    streamed: bool = False,
    text: str = "",
    speech: bool = False,
) -> tuple[Judgement, ...]:
    """Judge what `target.sound.measure` measured.

    Args:
        sound: The measurements.
        audio_tokens: Tokens that were decoded; where given, the length must follow from them.
        streamed: Whether the sound was joined of what came piece by piece.
        text: The whole sentence, where the model is trained; the duration must be plausible for it.
        speech: Whether the model is trained, so that the sound must have the shape of speech.
    """
    seconds = float(sound["seconds"])
    judgements = [
        Judgement(
            name="finite",
            passed=bool(sound["finite"]),
            detail="no NaN, no infinity" if sound["finite"] else "holds NaN or infinity",
        ),
        Judgement(
            name="not silent",
            passed=sound["rms"] >= SILENCE_RMS,
            detail=f"RMS {sound['rms']:.4f} of full scale (at least {SILENCE_RMS})",
        ),
        Judgement(
            name="not clipped",
            passed=sound["clipped"] <= CLIPPED_SHARE,
            detail=f"{sound['clipped']:.2%} of samples at full scale (at most {CLIPPED_SHARE:.0%})",
        ),
        Judgement(
            name="not a tone",
            passed=sound["loudest_bin"] <= TONE_SHARE,
            detail=f"{sound['loudest_bin']:.0%} of the energy in one bin "
            f"(at most {TONE_SHARE:.0%})",
        ),
    ]
    if audio_tokens:
        expected = spoken_samples(audio_tokens, round(sound["samples"] / seconds))
        left = {0, LEFT_IN_STREAM} if streamed else {0}
        judgements.append(
            Judgement(
                name="length follows the tokens",
                passed=expected - sound["samples"] in left,
                detail=f"{sound['samples']} samples for {audio_tokens} tokens ({expected}"
                f"{f', or {LEFT_IN_STREAM} less' if streamed else ''})",
            )
        )
    if speech:
        judgements += _judge_speech(sound)
    if text:
        judgements += _judge_whole_sentence(sound, text)
    return tuple(judgements)


def _judge_speech(sound: Mapping[str, Any]) -> tuple[Judgement, ...]:
    return (
        Judgement(
            name="louder and softer",
            passed=sound["level_range_db"] >= LEVEL_RANGE_DB,
            detail=f"the level goes through {sound['level_range_db']:.0f} dB "
            f"(at least {LEVEL_RANGE_DB:.0f})",
        ),
        Judgement(
            name="not noise",
            passed=sound["flatness"] <= FLATTEST,
            detail=f"spectral flatness {sound['flatness']:.2f} (at most {FLATTEST})",
        ),
        Judgement(
            name="flows",
            passed=sound["change"] <= MOST_CHANGE,
            detail=f"neighbouring frames of 20 ms differ {sound['change']:.2f} times as much as "
            f"any two (at most {MOST_CHANGE})",
        ),
        Judgement(
            name="no jumps between tokens",
            passed=sound["rhythm"] <= MOST_RHYTHM,
            detail=f"it changes in the rhythm of audio tokens {sound['rhythm']:.1f} times as much "
            f"as by chance (at most {MOST_RHYTHM})",
        ),
    )


def _judge_whole_sentence(sound: Mapping[str, Any], text: str) -> tuple[Judgement, ...]:
    seconds = float(sound["seconds"])
    letters = letters_of(text)
    shortest = max(0.2, letters / FASTEST_LETTERS_PER_SECOND)
    longest = PAUSES_SECONDS + letters / SLOWEST_LETTERS_PER_SECOND
    return (
        Judgement(
            name="length fits the text",
            passed=shortest <= seconds <= longest,
            detail=f"{seconds:.2f} s for {len(text)} characters "
            f"({shortest:.1f} s to {longest:.1f} s)",
        ),
        Judgement(
            name="not cut off",
            passed=sound["ending_db"] <= ENDING_DB,
            detail=f"the last 20 ms are at {sound['ending_db']:.0f} dB of the loud ones "
            f"(at most {ENDING_DB:.0f})",
        ),
    )


def letters_of(text: str) -> int:
    """Return how many letters a text counts for when the time to say it is estimated."""
    return sum(_letters(char) for char in text)


def _letters(char: str) -> int:
    """Count a character for its share of the time: a syllable for two, punctuation for none."""
    if not char.isalnum():
        return int(char.isspace())
    return LETTERS_PER_SYLLABLE if unicodedata.east_asian_width(char) in {"W", "F"} else 1
