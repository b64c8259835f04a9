"""Gives apps the smoke's judgement of one sound: its shape, its length, and its words."""

from __future__ import annotations

import tempfile
import wave
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xcompat.smoke.beyond import Extra, Place, judge_beyond
from xcompat.smoke.judge import judge_heard, judge_sound
from xcompat.target import listening, outline, sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.domain.smoke import Judgement

XTTS_RATE = 24_000
"""Samples a second of what XTTS speaks."""


class Heard(NamedTuple):
    """What was found out about a sound."""

    passed: bool
    """Whether nothing is wrong with it, as far as was looked."""
    judgements: tuple[Judgement, ...]
    """Each thing that was checked, with what was measured."""
    seconds: float
    not_listened: str
    """Why no recogniser was asked; empty where one was."""
    begins: float
    """Second at which the text begins, as far as can be told."""
    ends: float
    """Second at which it ends. Where `extra` says that more comes, it can be cut here."""
    extra: tuple[Extra, ...]
    """What else is in the sound: speech that is not the text, steady sounds, long silence."""
    missing: str
    """Words at the end of the text that a recogniser did not hear; empty where none was asked."""
    letters_per_second: float
    """Of the text, without pauses: what to give `judge` for the next sentence of this voice."""

    @property
    def failed(self) -> tuple[Judgement, ...]:
        """What is wrong."""
        return tuple(each for each in self.judgements if not each.passed)


def judge(
    wav: str | Path | Any,
    text: str,
    *,
    language: str = "en",
    sample_rate: int = XTTS_RATE,
    listen: bool = True,
    letters_per_second: float = 0.0,
) -> Heard:
    """Judge what XTTS spoke, as `xcompat smoke` does: nothing is spoken again.

    Checked are level and shape of speech; whether it is far too short or too long for the text,
    as where the model babbles on or stops early; whether it ends within a sound; and, in English
    and where pocketsphinx is installed (the extra `asr`), whether a recogniser picks the text out
    of ten sentences. What comes before and after the text is told with its seconds: by the words,
    where the recogniser was asked, else by the length of the text and the pauses. One judgement
    alone that fails is a reason to listen, no proof.

    Args:
        wav: Path of a WAV, or the samples: `inference(...)["wav"]`, mono in [-1, 1].
        text: All that was to be said.
        language: Of the text, as XTTS names it.
        sample_rate: Of samples (Hz); a file has its own.
        listen: Whether to ask the recogniser, which takes about as long as the sound.
        letters_per_second: How fast the voice speaks, as a sentence that passed told; 0 where it
            is not known: then only what is much too long or too short is found without words.

    Raises:
        ValueError: There is no text, or the file is none that can be read.
        OSError: The file cannot be opened.
    """
    if not text.strip():
        raise ValueError("there is no text to hold the sound against")
    samples, rate = (wav, sample_rate)
    if isinstance(wav, (str, Path)):
        samples, rate = _read(Path(wav))
    measured = sound.measure(samples, rate)
    judgements = judge_sound(measured, text=text, speech=True)
    understood, places, why = _listened(samples, rate, text, language, asked=listen)
    seconds = float(measured["seconds"])
    beyond = judge_beyond(
        text,
        seconds,
        outline.sounding(samples, rate),
        outline.steady(samples, rate),
        places,
        language=language,
        letters_per_second=letters_per_second,
    )
    judgements += (*beyond.judgements, *understood)
    return Heard(
        passed=all(each.passed for each in judgements),
        judgements=judgements,
        seconds=seconds,
        not_listened=why,
        begins=beyond.begins,
        ends=beyond.ends,
        extra=beyond.extra,
        missing=beyond.missing,
        letters_per_second=beyond.letters_per_second,
    )


def _read(path: Path) -> tuple[Any, int]:
    """Return the samples of a file, averaged over channels, and their rate."""
    import numpy as np  # noqa: PLC0415 - apps have it, the tool does without

    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() == 2:
                frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                return frames.reshape(-1, file.getnchannels()).mean(1) / 32768, file.getframerate()
    except (wave.Error, EOFError):
        pass  # no WAV, or one of floats, as torchaudio writes them
    try:
        import soundfile  # noqa: PLC0415 - comes with TTS

        frames, rate = soundfile.read(str(path), always_2d=True)
    except (ImportError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as a sound: {error}") from error
    return frames.mean(axis=1), int(rate)


def _listened(
    samples: Any, rate: int, text: str, language: str, *, asked: bool
) -> tuple[tuple[Judgement, ...], Sequence[Place], str]:
    """Return what a recogniser heard, and where the words lie, or why none was asked."""
    if not asked:
        return (), (), "not asked for"
    if language.partition("-")[0] != listening.LANGUAGE:
        return (), (), "the recogniser knows English only"
    with tempfile.TemporaryDirectory(prefix="xcompat-") as folder:
        file = Path(folder, "speech.wav")
        sound.write_wav(file, samples, rate)
        try:
            heard = listening.listen(file, text)
        except ImportError:
            return (), (), "no recogniser; pip install 'xcompat[asr]'"
        if heard["understood"] is None:
            return (), (), f"the recogniser does not know {', '.join(heard['unknown'])}"
        places = listening.place(file, text)
    (understood,) = judge_heard(heard, model="")  # What it wrote down is not judged: it mishears.
    return (replace(understood, name="understood"),), places, ""
