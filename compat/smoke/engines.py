"""The engines that people use instead of XTTS, through one small adapter each.

An adapter says how an engine is asked to speak, and how long what it wrote sounds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_WAV_HEADER = 44
"""Bytes of the shortest WAV header: more is sound."""
_ESPEAK = {"en": "en-us", "zh-cn": "cmn"}
_GOOGLE = {"zh-cn": "zh-CN"}


class Order(NamedTuple):
    """How an engine is asked to speak."""

    command: tuple[str, ...]
    stdin: str = ""
    file: str = ""
    """Where it writes the sound; empty where it writes it to stdout, as it speaks."""


class EngineError(Exception):
    """An engine did not speak; the message says why, on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The adapter of one engine."""

    program: str
    order: Callable[[str, str, str, str, str], Order]
    """Program, text, language as XTTS spells it, voice, and a folder for files to an order."""
    seconds: Callable[[bytes, str], float]
    """Sound and voice to the length of the sound."""
    silent: int
    """Bytes that come before the first sound."""
    needs_network: bool = False
    needs_voice: str = ""
    """What must be named behind `=`, where there is no default."""


def _espeak(program: str, text: str, language: str, voice: str, folder: str) -> Order:
    del folder
    spoken = voice or _ESPEAK.get(language, language)
    return Order((program, "--stdout", "-v", spoken, "--stdin"), stdin=text)


def _say(program: str, text: str, language: str, voice: str, folder: str) -> Order:
    del language
    file = str(Path(folder) / "say.wav")
    chosen = ("-v", voice) if voice else ()
    kind = ("--file-format=WAVE", "--data-format=LEI16@22050")
    return Order((program, *chosen, "-o", file, *kind, "-f", "-"), stdin=text, file=file)


def _piper(program: str, text: str, language: str, voice: str, folder: str) -> Order:
    del language, folder
    return Order((program, "--model", voice, "--output-raw"), stdin=f"{text}\n")


def _gtts(program: str, text: str, language: str, voice: str, folder: str) -> Order:
    del folder
    spoken = voice or _GOOGLE.get(language, language)
    return Order((program, "--lang", spoken, "--file", "-"), stdin=text)


def _edge(program: str, text: str, language: str, voice: str, folder: str) -> Order:
    del folder
    if not voice and language != "en":
        raise EngineError(
            f"its default voice speaks English: name one, edge-tts=VOICE, for {language}"
        )
    chosen = ("--voice", voice) if voice else ()
    return Order((program, *chosen, "--file", "-"), stdin=text)


def wav_seconds(sound: bytes, voice: str = "") -> float:
    """Return the length of a WAV from its bytes; a header written to a pipe states none."""
    del voice
    rate = size = place = 0
    if sound[:4] == b"RIFF" and sound[8:12] == b"WAVE":
        place = 12
    while place and place + 8 <= len(sound):
        kind, length = (
            sound[place : place + 4],
            int.from_bytes(sound[place + 4 : place + 8], "little"),
        )
        if kind == b"fmt ":
            rate = int.from_bytes(sound[place + 16 : place + 20], "little")
        if kind == b"data":
            size = min(length, len(sound) - place - 8)
            break
        place += 8 + length + length % 2
    if not rate or not size:
        raise EngineError("what it wrote is not a WAV with sound in it")
    return size / rate  # bytes of sound by bytes a second


def raw_seconds(sound: bytes, voice: str) -> float:
    """Return the length of Piper's raw sound; the rate is in the file beside the voice."""
    try:
        rate = int(json.loads(Path(f"{voice}.json").read_text("utf-8"))["audio"]["sample_rate"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{voice}.json does not tell the sample rate of the voice") from error
    return len(sound) / 2 / rate


_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MP3_KILOBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Layer III, of MPEG 1 and of MPEG 2 and 2.5 (ISO/IEC 11172-3 and 13818-3)."""


def mp3_seconds(sound: bytes, voice: str = "") -> float:
    """Return the length of an MP3 by counting its frames."""
    del voice
    seconds, place = 0.0, 0
    while (place := sound.find(b"\xff", place)) >= 0 and place + 4 <= len(sound):
        _, second, third, _ = sound[place : place + 4]
        version, layer = second >> 3 & 3, second >> 1 & 3
        bits, rate = third >> 4, third >> 2 & 3
        if second < 0xE0 or version == 1 or layer != 1 or rate == 3 or bits in {0, 15}:
            place += 1
            continue
        first = version == 3
        hertz = _MP3_RATES[version][rate]
        samples = 1152 if first else 576
        kilobits = _MP3_KILOBITS[first][bits]
        place += samples // 8 * kilobits * 1000 // hertz + (third >> 1 & 1)
        seconds += samples / hertz
    if not seconds:
        raise EngineError("what it wrote is not an MP3 with sound in it")
    return seconds


ENGINES = {
    "espeak-ng": Engine(
        program="espeak-ng", order=_espeak, seconds=wav_seconds, silent=_WAV_HEADER
    ),
    "say": Engine(program="say", order=_say, seconds=wav_seconds, silent=_WAV_HEADER),
    "piper": Engine(
        program="piper", order=_piper, seconds=raw_seconds, silent=0, needs_voice="VOICE.onnx"
    ),
    "gtts": Engine(
        program="gtts-cli", order=_gtts, seconds=mp3_seconds, silent=0, needs_network=True
    ),
    "edge-tts": Engine(
        program="edge-tts", order=_edge, seconds=mp3_seconds, silent=0, needs_network=True
    ),
}
