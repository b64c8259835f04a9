"""Measure what people use instead of XTTS, on the same sentence, through one small adapter each."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xcompat.domain.smoke import Comparison
from xcompat.errors import Misuse
from xcompat.smoke.processes import kill_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

INSTALLED = "installed"
"""Asks for every engine that is installed here, works offline and needs no voice to be named."""
TIMEOUT_SECONDS = 120.0
_BLOCK = 65536
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """An engine, or a folder with another XTTS, that was asked for."""

    name: str
    voice: str = ""
    folder: Path | None = None
    program: str = ""
    """Path of the engine's program; empty where it is not installed."""


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


def rivals_asked_for(words: Sequence[str], python: Path) -> tuple[Rival, ...]:
    """Read what `--against` names: engines, `NAME=VOICE`, `installed`, folders with an XTTS.

    Args:
        words: As typed.
        python: Interpreter of the target; engines are looked for beside it, then on PATH.

    Raises:
        Misuse: Nothing is called that, or a voice must be named (XC307).
    """
    rivals = [rival for word in words for rival in _named(word, python)]
    return tuple({(r.name, r.voice, r.folder): r for r in rivals}.values())


def _named(word: str, python: Path) -> list[Rival]:
    if word == INSTALLED:
        found = [
            Rival(name=name, program=_program(engine, python))
            for name, engine in ENGINES.items()
            if not (engine.needs_network or engine.needs_voice)
        ]
        return [rival for rival in found if rival.program]
    name, _, voice = word.partition("=")
    if name not in ENGINES:
        if Path(word).is_dir():
            return [Rival(name=Path(word).resolve().name, folder=Path(word))]
        raise Misuse(
            "XC307",
            f"`{word}` is neither an engine nor a folder",
            hint=f"Engines: {', '.join(ENGINES)}; or `{INSTALLED}`, or a converted model folder.",
        )
    engine = ENGINES[name]
    if engine.needs_voice and not voice:
        raise Misuse(
            "XC307",
            f"{name} has no voice of its own",
            hint=f"Name one: --against {name}={engine.needs_voice}",
        )
    return [Rival(name=name, voice=voice, program=_program(engine, python))]


def _program(engine: Engine, python: Path) -> str:
    # Not resolved: the interpreter of a virtual environment is a link to another folder's.
    beside = shutil.which(engine.program, path=str(python.absolute().parent))
    return beside or shutil.which(engine.program) or ""


def compare(rival: Rival, text: str, language: str) -> Comparison:
    """Let an engine speak `text` twice, each time from the start of its process; tell the second.

    An engine that cannot be run is told as such, and never an error.
    """
    engine = ENGINES[rival.name]

    def told(
        error: str = "", latency: float = 0.0, first: float = 0.0, seconds: float = 0.0
    ) -> Comparison:
        return Comparison(
            name=rival.name + (f" ({Path(rival.voice).name})" if rival.voice else ""),
            error=error,
            latency_seconds=latency,
            first_audio_seconds=first,
            speech_seconds=seconds,
            real_time_factor=latency / seconds if seconds else 0.0,
            needs_network=engine.needs_network,
            needs_gpu=False,
        )

    if not rival.program:
        return told(f"not installed: there is no program `{engine.program}`")
    try:
        with tempfile.TemporaryDirectory(prefix="xcompat-against-") as folder:
            order = engine.order(rival.program, text, language, rival.voice, folder)
            _speak(order, engine.silent)
            sound, first, latency = _speak(order, engine.silent)
        seconds = engine.seconds(sound, rival.voice)
    except (EngineError, OSError) as error:
        return told(" ".join(str(error).split()))
    return told("", latency, first, seconds)


def _speak(order: Order, silent: int) -> tuple[bytes, float, float]:
    """Return the sound, and when its first bytes and its last were there, in seconds."""
    started = time.perf_counter()
    first = 0.0
    with tempfile.TemporaryFile() as stderr, _started(order, stderr.fileno()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(order.stdin.encode())
            process.stdin.close()
        sound = bytearray()
        while block := process.stdout.read1(_BLOCK):  # type: ignore[attr-defined]
            sound += block
            if len(sound) > silent and not first:
                first = time.perf_counter() - started
        status = process.wait()
        latency = time.perf_counter() - started
        if status:
            stderr.seek(0)
            said = stderr.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise EngineError(said or f"it ended with status {status}")
    if order.file:
        sound, first = bytearray(Path(order.file).read_bytes()), latency
    if len(sound) <= silent:
        raise EngineError("it wrote no sound")
    return bytes(sound), first, latency


@contextlib.contextmanager
def _started(order: Order, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start an engine; kill it, and what it started, when its time is over."""
    try:
        process = subprocess.Popen(
            order.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(f"it cannot be started: {error.strerror}") from error
    timer = threading.Timer(TIMEOUT_SECONDS, kill_group, (process,))
    timer.daemon = True
    timer.start()
    try:
        with process:
            yield process
    finally:
        timer.cancel()
        kill_group(process)
