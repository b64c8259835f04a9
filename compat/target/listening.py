"""Listen to English speech with an offline recogniser: which of ten sentences was spoken?

Free transcription of synthetic speech is poor with the model that pocketsphinx carries; choosing
among sentences is a question that it answers well. Runs in any interpreter that has pocketsphinx;
needs nothing else.
"""

from __future__ import annotations

import array
import math
import random
import re
import sys
import unicodedata
import wave
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGE = "en"
CHOICES = 10
"""Sentences to choose from, the spoken one among them."""
RATE = 16_000
"""Sample rate (Hz) for which the acoustic model was trained."""
DECOYS = (
    "Good morning to all of you.",
    "It rains in the mountains.",
    "The old bridge was closed because the river had risen.",
    "She bought fresh bread and a basket of green apples.",
    "Our train leaves from the last platform at seven.",
    "Please put the heavy boxes next to the kitchen door.",
    "A small dog ran across the empty street.",
    "Nobody knew why the lights went out last night.",
    "He wrote a long letter to his sister in winter.",
    "The children are building a house of sand and stones.",
    "Turn left after the church and follow the narrow road.",
    "We will meet again when the summer is over.",
    "My neighbor plays the piano every evening.",
    "The doctor told him to drink more water.",
    "There is a yellow bird sitting on the roof.",
    "They found an old coin under the wooden floor.",
    "I would like a cup of coffee without sugar.",
    "The teacher opened the window and smiled.",
    "Most of the tickets were sold before noon.",
    "Snow covered the fields from here to the forest.",
    "Her brother works in a factory near the harbor.",
    "You can see the whole city from that tower.",
    "The soup is too hot to eat right now.",
    "When the storm was over we walked along the beach and looked for pieces of wood to burn.",
    "If you want to catch the early boat you should go to bed now and set the clock for five.",
    "The people in the village say that nobody has lived in the house on the hill for years.",
)

_OTHER_SPEECH = (
    *("AA T", "IY S", "N AH", "D ER", "M AY", "R EH", "K OW", "IH NG"),
    *("S EY", "L UW", "DH AH", "P AE", "B AO", "W IH", "HH AW", "F UH"),
)
"""Syllables that together stand for speech that is not the text. All single sounds would fit
better, and take half a minute for each second of sound."""
_OTHER = "other_speech_"
_STOPPED = 1e-4
"""Probability that a text stops after a word. With 1e-2, another sentence before it is taken for
its first words, and the text for other speech; with 1e-8 nothing is found of what was cut."""
_NARROW = {"beam": 1e-30, "wbeam": 1e-20, "pbeam": 1e-30}
"""A third of the time of the usual beams; there is one order of words only."""

_PEAK = 0.7
_MARGIN_SECONDS = 0.25
_NOISE = 1e-3
"""The model was trained on recordings: perfect silence is unknown to it."""
_HALF_TAPS = 12
_FRAMES_A_SECOND = 100


def listen(wav: Path, text: str) -> Dict[str, Any]:
    """Tell whether `text` is what a listener hears in `wav`, given ten sentences to choose from.

    Args:
        wav: 16-bit mono PCM of any rate from 16,000 Hz.
        text: English.

    Returns:
        `understood`: whether the recogniser chose `text`; None where it cannot be asked, because
        `unknown` words are not in its dictionary. `heard` is the sentence that it chose, empty
        where none fits. `choices` is how many it could choose from. `transcript` is what it
        writes down without any hint, with `mistakes` in the `words` of the text.

    Raises:
        ImportError: pocketsphinx is not installed here.
    """
    from pocketsphinx import Config, Decoder

    decoder = Decoder(Config(lm=None, samprate=float(RATE), loglevel="FATAL"))
    spoken = words(text)
    unknown = sorted({word for word in spoken if decoder.lookup_word(word) is None})
    sound = recording(wav)
    free = Decoder(Config(samprate=float(RATE), loglevel="FATAL"))
    transcript = words(heard(free, sound))
    told = {
        "transcript": " ".join(transcript),
        "mistakes": mistakes(spoken, transcript),
        "words": len(spoken),
    }
    if unknown or not spoken or re.search(r"\d", text):
        return {"understood": None, "heard": "", "choices": 0, "unknown": unknown or [text], **told}
    choices = choices_for(text)
    rules = " | ".join(" ".join(words(choice)) for choice in choices)
    decoder.add_jsgf_string("choice", f"#JSGF V1.0; grammar choice; public <sentence> = {rules};")
    decoder.activate_search("choice")
    chosen = heard(decoder, sound)
    return {
        "understood": chosen.split() == spoken,
        "heard": next((choice for choice in choices if words(choice) == chosen.split()), ""),
        "choices": len(choices),
        "unknown": [],
        **told,
    }


def place(wav: Path, text: str) -> List[Tuple[str, float, float]]:
    """Return the words of a text where they lie in `wav`: each with its begin and end (s).

    Before and after them may be anything. Words at the end that are not heard are not returned;
    nothing is returned where the first is not heard either, or the recogniser cannot be asked.

    Args:
        wav: As for `listen`.
        text: English, of words that are in the dictionary.

    Raises:
        ImportError: pocketsphinx is not installed here.
    """
    return placed(placing_decoder(), recording(wav), text)


def placing_decoder() -> Any:
    """Return a decoder of pocketsphinx for `placed`."""
    from pocketsphinx import Config, Decoder

    decoder = Decoder(Config(lm=None, samprate=float(RATE), loglevel="FATAL", **_NARROW))
    for number, sounds in enumerate(_OTHER_SPEECH, 1):
        decoder.add_word(f"{_OTHER}{number}", sounds, number == len(_OTHER_SPEECH))
    return decoder


def placed(decoder: Any, sound: bytes, text: str) -> List[Tuple[str, float, float]]:
    """Do as `place`, with a `placing_decoder`, and what `recording` returned."""
    spoken = words(text)
    if not spoken or any(decoder.lookup_word(word) is None for word in spoken):
        return []
    others = " | ".join(f"{_OTHER}{number}" for number in range(1, len(_OTHER_SPEECH) + 1))
    begun = ""
    for word in reversed(spoken):
        going_on = f" ( /{1 - _STOPPED}/ {begun} | /{_STOPPED}/ <NULL> )" if begun else ""
        begun = word + going_on
    decoder.add_jsgf_string(
        "place",
        f"#JSGF V1.0; grammar place; <other> = {others}; "
        f"public <sentence> = [<other>+] {begun} [<other>+];",
    )
    decoder.activate_search("place")
    if not heard(decoder, sound):
        return []
    found = []
    for segment in decoder.seg():
        # Pauses and noises are in angles or brackets; a second way to speak a word is `the(2)`.
        word = segment.word.partition("(")[0]
        if word[0] not in "<[" and not word.startswith(_OTHER):
            begin, end = (
                frame / _FRAMES_A_SECOND - _MARGIN_SECONDS
                for frame in (segment.start_frame, segment.end_frame + 1)
            )
            found.append((word, max(begin, 0.0), end))
    return found


def heard(decoder: Any, sound: bytes) -> str:
    """Return what a decoder of pocketsphinx hears in a recording."""
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def mistakes(spoken: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words were replaced, left out or added."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(spoken, 1):
        above, row[0] = row[0], number
        for index, other in enumerate(heard, 1):
            best = min(row[index] + 1, row[index - 1] + 1, above + (word != other))
            above, row[index] = row[index], best
    return row[-1]


def words(text: str) -> List[str]:
    """Return the words of an English text as the dictionary spells them, without accents."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("\u2019", "'"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return re.findall(r"[a-z]+(?:'[a-z]+)?", plain)


def choices_for(text: str) -> List[str]:
    """Return `text` among the decoys that are most like it in length, in a fixed order."""
    length = len(words(text))
    others = [decoy for decoy in DECOYS if words(decoy) != words(text)]
    others.sort(key=lambda decoy: abs(len(words(decoy)) - length))
    return sorted([text, *others[: CHOICES - 1]])


def recording(wav: Path) -> bytes:
    """Return the sound as the recogniser wants it: 16 kHz, 16 bits, a level, some quiet around."""
    with wave.open(str(wav), "rb") as file:
        rate = file.getframerate()
        samples = array.array("h", file.readframes(file.getnframes()))
    if sys.byteorder == "big":
        samples.byteswap()
    resampled = _resample(samples, rate)
    scale = _PEAK / (max(map(abs, resampled), default=0.0) or 1.0)
    quiet = [0.0] * int(RATE * _MARGIN_SECONDS)
    chance = random.Random(0)  # noqa: S311
    noisy = (value * scale + chance.gauss(0.0, _NOISE) for value in (*quiet, *resampled, *quiet))
    return array.array("h", (int(max(-1.0, min(1.0, value)) * 32767) for value in noisy)).tobytes()


def _resample(samples: Sequence[int], rate: int) -> List[float]:
    """Resample to `RATE` with a windowed sinc; its taps repeat with the ratio of the rates."""
    divisor = math.gcd(rate, RATE)
    phases, step = RATE // divisor, rate // divisor
    cutoff = min(1.0, RATE / rate)
    reach = int(_HALF_TAPS / cutoff)
    taps = [_taps(phase * step % phases / phases, reach, cutoff) for phase in range(phases)]
    padded = [0] * reach + list(samples) + [0] * (reach + 1)
    resampled = []
    for index in range(len(samples) * phases // step):
        start = index * step // phases
        window = padded[start : start + 2 * reach + 1]
        resampled.append(sum(map(float.__mul__, taps[index % phases], map(float, window))))
    return resampled


def _taps(fraction: float, reach: int, cutoff: float) -> List[float]:
    def tap(position: float) -> float:
        angle = math.pi * cutoff * position
        sinc = math.sin(angle) / angle if angle else 1.0
        return cutoff * sinc * (0.5 + 0.5 * math.cos(math.pi * position / (reach + 1)))

    return [tap(offset - fraction) for offset in range(-reach, reach + 1)]
