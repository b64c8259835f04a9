"""Judge what is in a sound beyond its text: babble, silence, noise. Pure, as `judge` is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from xcompat.domain.smoke import Judgement
from xcompat.smoke.judge import letters_of
from xcompat.target.listening import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Span = tuple[float, float]
Place = tuple[str, float, float]
"""A word, its begin and its end (s)."""

USUAL_LETTERS = 16.0
"""A second, without pauses: espeak-ng at 165 words a minute has 14 to 20 in most languages."""
OTHER_LETTERS = {"ar": 9.0, "fr": 19.0, "hi": 10.0, "ja": 14.0, "ko": 11.0, "zh": 9.0}
"""French writes more than it says; others write less, or a character counts for two letters. Of
Chinese and Japanese, which espeak-ng reads badly: 4.5 characters and 7 kana."""
LETTERS_OF_A_FIGURE = 5
"""`1984` is twenty letters when it is read."""
LONGEST_SILENCE = 1.5
"""Seconds. A voice may take a second between sentences."""
TOLERANCE_KNOWN, TOLERANCE_USUAL = 1.35, 1.7
"""Times longer or shorter than usual that a text may be: with the voice's own rate, without. By its
own rate, 48 sentences of the voice that ships took 0.84 to 1.24 times what is usual."""
AT_PAUSE_KNOWN, AT_PAUSE_USUAL = 1.05, 1.35
"""Times longer that it may be, where there is a pause at which the text can be over. Chosen on the
same sentences with a pause of 0.4 s put into each, of which one is taken for the end."""
SLACK = 0.1
"""Seconds that are added to both: words are held longer in a short sentence."""
MOST_BEYOND = 0.3
"""Seconds before the first and after the last word that a recogniser places: words begin and end
softly, and it is not exact."""
LEAST_SPEECH = 0.15
"""Seconds of sound after a pause that are a click or a breath."""
FADES = 0.05
"""Seconds after a last word, as it is placed, that show that it was not cut."""
LEAST_OF_A_WORD = 0.5
"""Share of its usual time that the last word must take: it is cut else."""
PLACE_OF_A_MARK = 0.1
"""Share of the text that a pause may be away from the mark that it is for."""


class Extra(NamedTuple):
    """A part of a sound that is not the text."""

    begins: float
    ends: float
    what: Literal["speech", "silence", "steady sound"]
    """A steady sound is noise, a hum, or a vowel that is held."""


class Beyond(NamedTuple):
    """Where the text lies in a sound, and what else is there."""

    begins: float
    ends: float
    extra: tuple[Extra, ...]
    missing: str
    letters_per_second: float
    judgements: tuple[Judgement, ...]


def judge_beyond(
    text: str,
    seconds: float,
    sounding: Sequence[Span],
    steady: Sequence[Span],
    places: Sequence[Place],
    *,
    language: str,
    letters_per_second: float,
) -> Beyond:
    """Judge where a text begins and ends in a sound.

    Args:
        text: All that was to be said.
        seconds: Length of the sound.
        sounding: What `target.outline.sounding` found.
        steady: What `target.outline.steady` found.
        places: What `target.listening.place` found; empty where no recogniser was asked.
        language: Of the text.
        letters_per_second: Of the voice, without pauses; 0 where it is not known.
    """
    letters = letters_of(text) + (LETTERS_OF_A_FIGURE - 1) * sum(map(str.isdigit, text))
    speech = tuple(_without(sounding, steady))
    silent = _gaps(sounding, seconds)
    known = bool(letters_per_second)
    rate = letters_per_second or OTHER_LETTERS.get(language.partition("-")[0], USUAL_LETTERS)
    if places:
        begins, ends = _placed(text, places, speech, rate)
        missing = _missing(text, places, speech, rate)
    else:
        begins, ends = _fitted(text, speech, letters / rate, known=known)
        missing = ""
    around = [Extra(*span, "speech") for span in _outside(speech, begins, ends)]
    around += [Extra(*span, "steady sound") for span in steady]
    extra = tuple(sorted(around + [Extra(*span, "silence") for span in silent]))
    said = _length(_clipped(speech, begins, ends))
    return Beyond(
        begins=begins,
        ends=ends,
        extra=extra,
        missing=missing,
        letters_per_second=letters / said if said else 0.0,
        judgements=(
            _judged_around(extra, begins, ends, after=True),
            _judged_around(extra, begins, ends, after=False),
            _judged_kind(extra, "silence", "no long silence", f"of {LONGEST_SILENCE} s and more"),
            _judged_kind(extra, "steady sound", "no steady sound", "noise, a hum, a held vowel"),
            _judged_end(said, letters / rate, missing, placed=bool(places), known=known),
        ),
    )


def _judged_around(extra: Sequence[Extra], begins: float, ends: float, *, after: bool) -> Judgement:
    where = "after" if after else "before"
    beyond = [
        each
        for each in extra
        if each.what != "silence"
        and (each.begins + each.ends > 2 * ends if after else each.begins + each.ends < 2 * begins)
    ]
    detail = f"the text lies between {begins:.2f} s and {ends:.2f} s"
    if beyond:
        parts = (f"{each.what} from {each.begins:.2f} s to {each.ends:.2f} s" for each in beyond)
        detail += f"; {where} it comes " + ", ".join(parts)
    return Judgement(name=f"nothing {where} the text", passed=not beyond, detail=detail)


def _judged_kind(extra: Sequence[Extra], what: str, name: str, meant: str) -> Judgement:
    found = ", ".join(
        f"{each.begins:.2f} s to {each.ends:.2f} s" for each in extra if each.what == what
    )
    detail = f"{what} from {found}" if found else "none"
    return Judgement(name=name, passed=not found, detail=f"{detail} ({meant})")


def _judged_end(
    said: float, expected: float, missing: str, *, placed: bool, known: bool
) -> Judgement:
    if placed:
        detail = f"not heard at the end: {missing}" if missing else "its last words are heard"
        return Judgement(name="said to its end", passed=not missing, detail=detail)
    least = expected / (TOLERANCE_KNOWN if known else TOLERANCE_USUAL)
    return Judgement(
        name="said to its end",
        passed=said >= least,
        detail=f"{said:.2f} s of speech, about {expected:.2f} s are usual for the text "
        f"(at least {least:.2f} s)",
    )


def _placed(text: str, places: Sequence[Place], speech: Sequence[Span], rate: float) -> Span:
    """Return where the text lies by its first and last word, with their soft ends."""
    unheard = letters_of(" ".join(words(text)[len(places) :])) / rate
    ends = _reaching(speech, places[-1][2], unheard)
    mirrored = tuple((-end, -begin) for begin, end in reversed(speech))
    return -_reaching(mirrored, -places[0][1], 0.0), ends


def _reaching(speech: Sequence[Span], ends: float, unheard: float) -> float:
    """Return where the speech of a text ends whose last word is placed, and some may be unclear."""
    after = [span for span in speech if span[1] > ends]
    if after and after[0][0] < ends:
        left = MOST_BEYOND + unheard * TOLERANCE_KNOWN - (after[0][1] - ends)
        if left < 0:
            return ends + unheard
        ends = after.pop(0)[1]
    else:
        left = unheard * TOLERANCE_KNOWN
        ends = max((span[1] for span in speech if span[1] <= ends), default=ends)
    while unheard and after and _length(after[:1]) <= left:
        left -= _length(after[:1])
        ends = after.pop(0)[1]
    return after[-1][1] if after and _length(after) <= LEAST_SPEECH else ends


def _missing(text: str, places: Sequence[Place], speech: Sequence[Span], rate: float) -> str:
    """Return the words at the end that are not heard, where they cannot be just unclear."""
    word, begin, end = places[-1]
    unheard = words(text)[len(places) :]
    after = _length(_clipped(speech, end, math.inf))
    if after >= LEAST_OF_A_WORD * letters_of(" ".join(unheard)) / rate and unheard:
        return ""
    whole = after > FADES or end - begin >= LEAST_OF_A_WORD * letters_of(word) / rate
    return " ".join(unheard if whole else [word, *unheard])


def _fitted(text: str, speech: Sequence[Span], expected: float, *, known: bool) -> Span:
    """Return where the text lies by its length: between pauses, or from the begin on."""
    if not speech:
        return 0.0, 0.0
    whole = _length(speech)
    begins, ends = speech[0][0], speech[-1][1]
    if whole <= expected * (AT_PAUSE_KNOWN if known else AT_PAUSE_USUAL) + SLACK:
        return begins, ends
    marks = tuple(_marks(text))
    best = abs(math.log(whole / expected))
    for first in range(len(speech)):
        for last in range(first, len(speech)):
            edges = {_length(speech[:first]) / whole, _length(speech[: last + 1]) / whole}
            if any(_near(edge, marks) for edge in edges - {0.0, 1.0}):
                continue
            away = abs(math.log(_length(speech[first : last + 1]) / expected))
            if away < best:
                best, begins, ends = away, speech[first][0], speech[last][1]
    longest = expected * (TOLERANCE_KNOWN if known else TOLERANCE_USUAL) + SLACK
    if _length(_clipped(speech, begins, ends)) > longest:
        ends = begins + expected
    return begins, ends


def _marks(text: str) -> Iterator[float]:
    """Yield the share of the text before each mark that a voice may pause at."""
    whole = letters_of(text)
    for index, char in enumerate(text):
        if not char.isalnum() and not char.isspace() and char not in "'\u2019-":
            yield letters_of(text[: index + 1]) / whole if whole else 1.0


def _near(share: float, marks: Sequence[float]) -> bool:
    return any(abs(share - mark) <= PLACE_OF_A_MARK for mark in marks if mark < 1)


def _outside(speech: Sequence[Span], begins: float, ends: float) -> Iterator[Span]:
    """Yield what is said before and after, each as one with its pauses."""
    for parts in (_clipped(speech, 0.0, begins), _clipped(speech, ends, math.inf)):
        if parts:
            yield parts[0][0], parts[-1][1]


def _without(spans: Sequence[Span], others: Sequence[Span]) -> Iterator[Span]:
    """Yield spans without the parts that others take, and without what is left over of a sound."""
    for begin, end in spans:
        rest = begin
        for low, high in others:
            if low < end and high > rest:
                if low - rest > MOST_BEYOND:
                    yield rest, low
                rest = high
        if end > rest and (rest == begin or end - rest > MOST_BEYOND):
            yield rest, end


def _gaps(spans: Sequence[Span], seconds: float) -> tuple[Span, ...]:
    edges = [0.0, *(edge for span in spans for edge in span), seconds]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple(pair for pair in pairs if pair[1] - pair[0] >= LONGEST_SILENCE)


def _clipped(spans: Sequence[Span], begins: float, ends: float) -> tuple[Span, ...]:
    parts = ((max(span[0], begins), min(span[1], ends)) for span in spans)
    return tuple(part for part in parts if part[1] - part[0] > 1e-9)


def _length(spans: Sequence[Span]) -> float:
    return sum(end - begin for begin, end in spans)
