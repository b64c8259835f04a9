"""Where a model's files are: what is read from the source, and where the output goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from xcompat.converters.values.printable import printable
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from pathlib import Path

MODEL: Final = "model.pth"
MODEL_SAFETENSORS: Final = "model.safetensors"
SPEAKERS: Final = "speakers_xtts.pth"
SPEAKERS_SAFETENSORS: Final = "speakers_xtts.safetensors"
CONFIG: Final = "config.json"
VOCABULARY: Final = "vocab.json"
MANIFEST: Final = "xcompat.json"
"""The record of a conversion."""
ORIGINAL_SUFFIX: Final = ".original"
"""Of a checkpoint that was replaced, and of the folder where all goes that shall not stay."""
TRAINING_FILES: Final = {
    "dvae.pth": "makes training targets",
    "mel_stats.pth": "normalises training targets",
}
_KNOWN: Final = {
    *(MODEL, MODEL_SAFETENSORS, SPEAKERS, SPEAKERS_SAFETENSORS, CONFIG, VOCABULARY),
    *TRAINING_FILES,
}


class ModelFiles(NamedTuple):
    """The files of a model as they lie in one folder; None where there is none."""

    checkpoint: Path
    config: Path | None
    vocabulary: Path | None
    speakers: Path | None
    licences: tuple[Path, ...]
    training: tuple[Path, ...]
    """Files that only training uses."""

    def alone(self) -> ModelFiles:
        """Return the checkpoint without its companions."""
        return ModelFiles(self.checkpoint, None, None, None, (), ())

    def all(self) -> list[Path]:
        """Return every file that a conversion reads."""
        companions = (self.config, self.vocabulary, self.speakers)
        return [self.checkpoint, *(path for path in companions if path), *self.licences]


def find_model_files(source: Path) -> ModelFiles:
    """Find the files of a model.

    Args:
        source: A checkpoint (`.pth` or `.safetensors`), whose companions lie beside it, or a folder
            with a `model.pth`, or else a `model.safetensors`.

    Raises:
        CannotLook: XC112, there is nothing at `source`, or the folder holds no model.
    """
    shown = printable(str(source), 4096)
    try:
        is_folder = source.is_dir()
        folder = source if is_folder else source.parent
        names = {path.name: path for path in folder.iterdir()}
        # Where the system does not tell `Model.pth` from `model.pth`, nor does TTS.
        others = _KNOWN - names.keys()
        names |= {name: folder / name for name in others if (folder / name).exists()}
    except OSError as error:
        raise CannotLook(
            "XC112", f"cannot read {shown}: {error.strerror or error}", hint="Check the path."
        ) from error
    if is_folder and not {MODEL, MODEL_SAFETENSORS} & names.keys():
        found = ", ".join(printable(name, 40) for name in sorted(names) if name.endswith(".pth"))
        raise CannotLook(
            "XC112",
            f"{shown} holds no {MODEL}" + (f", only {found}" if found else ""),
            hint="Give the checkpoint itself." if found else "Give the folder of an XTTS model.",
        )
    checkpoint = (names.get(MODEL) or names[MODEL_SAFETENSORS]) if is_folder else source
    speakers = (SPEAKERS, SPEAKERS_SAFETENSORS)
    if checkpoint.suffix == ".safetensors":
        speakers = (SPEAKERS_SAFETENSORS, SPEAKERS)
    return ModelFiles(
        checkpoint=checkpoint,
        config=names.get(CONFIG),
        vocabulary=names.get(VOCABULARY),
        speakers=next((names[name] for name in speakers if name in names), None),
        licences=tuple(
            path for name, path in sorted(names.items()) if is_licence(name) and path.is_file()
        ),
        training=tuple(names[name] for name in TRAINING_FILES if name in names) * is_folder,
    )


def is_licence(name: str) -> bool:
    """Return whether a file is called as licences are."""
    return name.upper().split(".")[0] in {"LICENSE", "LICENCE"}


def is_one_model(path: Path) -> bool:
    """Return whether a path is not that of a folder which holds no model but may hold folders."""
    return not path.is_dir() or any((path / name).exists() for name in (MODEL, MODEL_SAFETENSORS))


def default_output(source: Path) -> Path:
    """Return where the output goes: beside a file; for a folder `<folder>-converted` beside it."""
    if not source.is_dir():
        return source.parent
    named = source.resolve() if source.name in {"", ".."} else source
    return named.parent / f"{named.name}-converted"
