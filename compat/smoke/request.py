"""What a smoke is asked for, and what is checked of it before anything starts."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.conversion import open_tensors
from xcompat.converters.model.model_files import find_model_files
from xcompat.converters.model.speakers import read_voices
from xcompat.errors import CannotLook, Misuse, Refusal, XcompatError
from xcompat.smoke import voice
from xcompat.target import listening
from xcompat.target.languages import SENTENCES
from xcompat.target.loader import MODEL_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from xcompat.smoke.against import Rival

DEFAULT_TEXT = (
    "It took me quite a long time to develop a voice, and now I am not going to be silent."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeRequest:
    """What to speak, with what, and where."""

    python: Path
    """Interpreter of the target environment."""
    model: Path | None = None
    """Converted folder; None for the voice that ships with xcompat."""
    shipped: bool = False
    """Whether the folder holds that voice, so that it is known what it says."""
    device: str = "auto"
    runtime: str = "auto"
    """Who decodes: `stock` TTS and transformers, `xcompat`, or `auto`: stock where it works."""
    text: str = DEFAULT_TEXT
    language: str = "en"
    speaker: str | None = None
    speaker_wav: Path | None = None
    wav: Path
    """Where the sound goes; the picture goes beside it, as `.png`."""
    against: tuple[Rival, ...] = ()
    """What else is to speak the text, for comparison."""
    foretold: tuple[str, ...] = ()
    """What is known ahead of the device; the report repeats it."""


def default_text(language: str) -> str:
    """Return a sentence in a language that XTTS speaks."""
    return DEFAULT_TEXT if language == listening.LANGUAGE else SENTENCES[language]


def speakers_of(model: Path | None) -> tuple[str, ...]:
    """Return the names of the built-in speakers of a converted folder, in their order.

    Args:
        model: Converted folder; None for the voice that ships.

    Raises:
        CannotLook: The folder is missing, or its speakers cannot be read (XC302).
        Refusal: The folder is not converted (XC303).
    """
    if model is None:
        return voice.SPEAKERS
    check_model(model)
    path = find_model_files(model).speakers
    if path is None:
        return ()
    try:
        with open_tensors(path) as source:
            return tuple(read_voices(source))
    except XcompatError as error:
        raise CannotLook(
            "XC302",
            f"{path} does not name its speakers",
            hint=f'Convert again: xcompat convert "{model}"',
        ) from error


def check_request(request: SmokeRequest) -> None:
    """See to it that everything is there that a request names.

    Raises:
        CannotLook: An input is missing, or the sound cannot go where it shall (XC302).
        Misuse: There is nothing to say (XC308), or no such speaker (XC306).
        Refusal: A model folder is not converted (XC303).
    """
    check_recording(request.speaker_wav)
    check_place(request.wav, "-o")
    if not request.text.strip():
        raise Misuse(
            "XC308", "there is nothing to say", hint="Leave out --text for a sentence of ours."
        )
    if request.model:
        check_model(request.model)
    for rival in request.against:
        if rival.folder:
            check_model(rival.folder)
    if request.speaker and not request.speaker_wav:
        _check_speaker(request.speaker, request.model)


def check_recording(path: Path | None) -> None:
    """See to it that the recording of a voice is there, where one was named.

    Raises:
        CannotLook: It is not (XC302).
    """
    if path and not path.is_file():
        raise CannotLook("XC302", f"{path} is not a file", hint="Give a WAV file.")


def check_place(path: Path, option: str) -> None:
    """See to it before the run that a file can go where `option` says.

    Raises:
        CannotLook: Its folder does not exist, or it is a folder itself (XC302).
    """
    if not path.parent.is_dir():
        raise CannotLook(
            "XC302",
            f"the folder {path.parent} does not exist",
            hint=f"Make it, or write elsewhere with {option}.",
        )
    if path.is_dir():
        raise CannotLook("XC302", f"{path} is a folder", hint=f"Name a file in it with {option}.")


def check_model(model: Path) -> None:
    """See to it that a folder holds a converted model, or one that was repaired in place.

    Raises:
        CannotLook: It does not exist (XC302).
        Refusal: It is not converted (XC303).
    """
    if (model / MODEL_FILE).is_file() or _is_repaired(model):
        return
    if not model.is_dir():
        raise CannotLook("XC302", f"{model} is not a folder", hint="Give a converted model folder.")
    raise Refusal(
        "XC303",
        f"{model} holds no model.safetensors: it is not converted",
        hint=f'Run: xcompat convert "{model}"',
    )


def loads_in_stock(model: Path) -> bool:
    """Return whether a folder has a `model.pth` that holds tensors, and nothing to run."""
    return (model / "model.pth").is_file() and _is_repaired(model)


def _is_repaired(model: Path) -> bool:
    """Return whether what an app loads of a folder holds tensors, and nothing to run."""
    try:
        files = find_model_files(model)
        for path in filter(None, (files.checkpoint, files.speakers)):
            with open_tensors(path) as source:
                if isinstance(source, TorchSource) and not source.names_only_tensors:
                    return False
    except XcompatError:
        return False
    return True


def _check_speaker(speaker: str, model: Path | None) -> None:
    known = speakers_of(model)
    if speaker in known:
        return
    by_fold = {name.casefold(): name for name in known}
    close = [name for name in known if speaker.casefold() in name.casefold().split()]
    close += difflib.get_close_matches(speaker.casefold(), by_fold, n=3, cutoff=0.5)
    named = dict.fromkeys(by_fold.get(name, name) for name in close)
    raise Misuse(
        "XC306",
        f"this model has no speaker `{speaker}`",
        hint=f"Close: {', '.join(named)}. `--list-speakers` lists all {len(known)}."
        if named
        else "`--list-speakers` lists them."
        if known
        else "It has no built-in speakers; give a reference with `--speaker-wav FILE`.",
    )
