"""Measure what people use instead of XTTS on the same sentence."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.domain.smoke import Comparison
from xcompat.errors import Misuse
from xcompat.smoke.engines import ENGINES, Engine, EngineError, Order
from xcompat.smoke.processes import kill_group

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INSTALLED = "installed"
"""Asks for every engine that is installed here, works offline and needs no voice to be named."""
TIMEOUT_SECONDS = 120.0
_BLOCK = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """An engine, or a folder with another XTTS, that was asked for."""

    name: str
    voice: str = ""
    folder: Path | None = None
    program: str = ""
    """Path of the engine's program; empty where it is not installed."""


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
