"""Judge a sound from its measurements. Pure: thresholds in, verdicts out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.domain import Judgement

if TYPE_CHECKING:
    from collections.abc import Mapping

SILENCE_RMS = 1e-3
"""-60 dBFS; speech is 30 to 40 dB louder."""
CLIPPED_SHARE = 0.01
TONE_SHARE = 0.9
"""Of the spectral energy in one bin; measured 0.42 for untrained weights, less for speech."""
SECONDS_PER_TOKEN = 1024 / 22050
"""One audio token is 1024 samples at the rate at which the GPT works (XTTS v2 configuration)."""
TOKEN_SLACK = 3
SLOWEST_CHARACTERS_PER_SECOND = 3.0
PAUSES_SECONDS = 4.0


def judge_sound(
    sound: Mapping[str, Any], *, audio_tokens: int = 0, text: str = ""
) -> tuple[Judgement, ...]:
    """Judge what `target.sound.measure` measured.

    Args:
        sound: The measurements.
        audio_tokens: Tokens that were decoded; where given, the duration must follow from them.
        text: The sentence, where the model is trained; the duration must be plausible for it.
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
        expected = audio_tokens * SECONDS_PER_TOKEN
        judgements.append(
            Judgement(
                name="length follows the tokens",
                passed=abs(seconds - expected) <= TOKEN_SLACK * SECONDS_PER_TOKEN,
                detail=f"{seconds:.2f} s for {audio_tokens} tokens ({expected:.2f} s)",
            )
        )
    if text:
        longest = PAUSES_SECONDS + len(text) / SLOWEST_CHARACTERS_PER_SECOND
        judgements.append(
            Judgement(
                name="length fits the text",
                passed=0.2 <= seconds <= longest,
                detail=f"{seconds:.2f} s for {len(text)} characters (0.2 s to {longest:.1f} s)",
            )
        )
    return tuple(judgements)
