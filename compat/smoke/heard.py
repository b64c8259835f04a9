"""Gives apps the smoke's judgement of one sound: its shape, its length, and its words."""

from __future__ import annotations

import tempfile
import wave
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xcompat.smoke.judge import judge_heard, judge_sound
from xcompat.target import listening, sound

if TYPE_CHECKING:
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
) -> Heard:
    """Judge what XTTS spoke, as `xcompat smoke` does: nothing is spoken again.

    Checked are level and shape of speech; whether it is far too short or too long for the text,
    as where the model babbles on or stops early; whether it ends within a sound; and, in English
    and where pocketsphinx is installed (the extra `asr`), whether a recogniser picks the text out
    of ten sentences. One judgement alone that fails is a reason to listen, no proof.

    Args:
        wav: Path of a WAV, or the samples: `inference(...)["wav"]`, mono in [-1, 1].
        text: All that was to be said.
        language: Of the text, as XTTS names it.
        sample_rate: Of samples (Hz); a file has its own.
        listen: Whether to ask the recogniser, which takes about as long as the sound.

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
    understood, why = _listened(samples, rate, text, language, asked=listen)
    judgements += understood
    passed = all(each.passed for each in judgements)
    return Heard(passed, judgements, float(measured["seconds"]), why)


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
) -> tuple[tuple[Judgement, ...], str]:
    """Return what a recogniser heard, or why none was asked."""
    if not asked:
        return (), "not asked for"
    if language.partition("-")[0] != listening.LANGUAGE:
        return (), "the recogniser knows English only"
    with tempfile.TemporaryDirectory(prefix="xcompat-") as folder:
        file = Path(folder, "speech.wav")
        sound.write_wav(file, samples, rate)
        try:
            heard = listening.listen(file, text)
        except ImportError:
            return (), "no recogniser; pip install 'xcompat[asr]'"
    if heard["understood"] is None:
        return (), f"the recogniser does not know {', '.join(heard['unknown'])}"
    (understood,) = judge_heard(heard, model="")  # What it wrote down is not judged: it mishears.
    return (replace(understood, name="understood"),), ""
