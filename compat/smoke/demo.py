"""The whole story on the voice that ships: the wall, the diagnosis, the conversion, words."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xcompat.converters import Conversion, convert, write_voice
from xcompat.diagnosis.doctor import diagnose
from xcompat.domain import NEEDED, Diagnosis, Environment, Matrix
from xcompat.domain.smoke import SmokeReport, StageResult
from xcompat.errors import CannotLook
from xcompat.smoke.child import run_stages
from xcompat.smoke.request import DEFAULT_TEXT, SmokeRequest
from xcompat.smoke.smoke import run_smoke
from xcompat.smoke.voice import FOLDER, RECORDING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REST = (
    "For the rest of the story, in a checkout of xcompat: nox -s demo, which makes an environment "
    'of its own; or pip install ".[xtts]" here, then xcompat demo'
)
MARKER = "made-by-xcompat-demo"
REPORTED = {"TTS": "0.22.0", "torch": "2.9.1", "torchaudio": "2.9.1", "transformers": "4.57.2"}
"""The environment that people report most: what `pip install TTS` gave in late 2025."""


class Recording(NamedTuple):
    """What the voice said elsewhere, where it cannot speak."""

    file: Path
    """MP3."""
    text: str


Result = Diagnosis | Conversion | SmokeReport | StageResult | Recording | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the story: what it shows, and how."""

    title: str
    why: str
    act: Callable[[], Result]


def can_speak(environment: Environment) -> bool:
    """Tell whether the environment holds torch and a TTS, so that the demo can run all of it."""
    installed = environment.packages
    return "torch" in installed and ("TTS" in installed or "coqui-tts" in installed)


def prepare_folder(folder: Path) -> None:
    """Make the demo's folder anew; one that the demo did not make is left alone.

    Raises:
        CannotLook: The folder holds something else, or cannot be written (XC304).
    """
    foreign = folder.exists() and not (folder / MARKER).is_file()
    if foreign and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotLook(
            "XC304",
            f"{folder} exists and was not made by the demo",
            hint="Name another folder: xcompat demo FOLDER",
        )
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / MARKER).touch()
    except OSError as error:
        raise CannotLook(
            "XC304", f"{folder} cannot be written: {error.strerror}", hint="Name another folder."
        ) from error


def full_story(folder: Path, environment: Environment, matrix: Matrix) -> Sequence[Step]:
    """Return the steps with the real TTS classes of `environment`, sound included."""
    original, converted = folder / "original", folder / "converted"
    python = Path(environment.interpreter)

    def child(stage: str) -> StageResult:
        (result,) = run_stages(python, (stage,), {"original": str(original.resolve())}).stages
        if result.status == "fails":
            raise CannotLook("XC305", f"the demo cannot go on: {result.error}")
        return result

    def speak() -> Result:
        request = SmokeRequest(
            python=python, model=converted, shipped=True, wav=folder / "speech.wav"
        )
        return run_smoke(request, matrix.issues)

    return (
        _checkpoint(original),
        Step(
            title="What today's torch says to it",
            why="torch.load(..., weights_only=True), the default since torch 2.6.",
            act=lambda: child("refusal"),
        ),
        *_diagnoses(environment, matrix),
        _conversion(original, converted),
        Step(
            title="And it says words",
            why="The converted model, loaded with load_xtts() in this environment; the page that "
            "plays it is speech.html.",
            act=speak,
        ),
    )


def forged_story(folder: Path, environment: Environment, matrix: Matrix) -> Sequence[Step]:
    """Return the steps that need neither torch nor TTS: all but speaking."""
    original, converted = folder / "original", folder / "converted"

    def play() -> Result:
        return Recording(Path(shutil.copy(RECORDING, folder)), DEFAULT_TEXT)

    return (
        _checkpoint(original),
        *_diagnoses(environment, matrix),
        _conversion(original, converted),
        Step(
            title="What it says, from a file",
            why="To speak, the model needs torch and TTS, which are not here. This is a recording "
            "that comes with xcompat: the same voice, the same sentence, said elsewhere.",
            act=play,
        ),
        Step(
            title="What is missing",
            why="To hear it speak here:",
            act=lambda: REST,
        ),
    )


def _checkpoint(original: Path) -> Step:
    def unpack() -> Result:
        write_voice(FOLDER, original)
        return f"Wrote {original} ({(original / 'model.pth').stat().st_size:,} bytes)"

    return Step(
        title="A checkpoint as published",
        why="The voice that ships with xcompat, a small XTTS v2 that speaks English, unpacked into "
        "the layout of the release, with its pickled XttsConfig.",
        act=unpack,
    )


def _diagnoses(environment: Environment, matrix: Matrix) -> tuple[Step, ...]:
    reported = Environment(
        python="3.11",
        platform=environment.platform,
        packages=REPORTED,
        source="the versions that people report",
        complete=False,
    )
    pins = ", ".join(f"{name} {version}" for name, version in REPORTED.items())
    return (
        Step(
            title="What the doctor says of the environment that people report",
            why=f"{pins}: judged from the matrix of recorded runs, without installing it.",
            act=lambda: diagnose(reported, matrix, NEEDED),
        ),
        Step(
            title="What the doctor says of this environment",
            why="Read from the metadata of what is installed; nothing is imported.",
            act=lambda: diagnose(environment, matrix, NEEDED),
        ),
    )


def _conversion(original: Path, converted: Path) -> Step:
    return Step(
        title="The conversion",
        why="Reads the checkpoint as data: nothing that it names is imported or called.",
        act=lambda: convert(original, converted, format="both"),
    )
