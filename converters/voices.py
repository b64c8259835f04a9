"""Voices of XTTS: built-in speakers and computed latents, from one kind of file to another.

They are read as data, as a conversion reads a checkpoint, and written such that
`torch.load(weights_only=True)` opens them: the same nested dictionary in the same order.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import sys
import tempfile
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xcompat.converters.containers.packing import elements_of
from xcompat.converters.containers.torch_file import ArchiveLayout
from xcompat.converters.conversion import convert, open_tensors
from xcompat.converters.files import checksum
from xcompat.converters.files.json_documents import load_object
from xcompat.converters.files.output_folder import OutputFolder, output_errors
from xcompat.converters.files.source import read_small
from xcompat.converters.model.model_files import (
    SPEAKERS,
    SPEAKERS_SAFETENSORS,
    find_model_files,
)
from xcompat.converters.model.speakers import read_voices
from xcompat.converters.pickles.pickle_writer import Pickled
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import BF16, F16, F32, Dtype, Storage, Tensor, packed
from xcompat.errors import CannotLook, Misuse, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xcompat.converters.containers.safetensors_source import SafetensorsSource
    from xcompat.converters.containers.torch_source import TorchSource
    from xcompat.converters.plan import Format

LATENTS: Final = ("gpt_cond_latent", "gpt_conditioning_latents")
"""What built-in speakers and the streaming server call the one part, and what coqui-tts does."""
EMBEDDING: Final = "speaker_embedding"
_ORIGINAL: Final = ".original"


class Part(NamedTuple):
    """One of the two tensors of a voice, in memory."""

    dtype: Dtype
    shape: tuple[int, ...]
    data: bytes

    def numbers(self) -> list[float]:
        """Return the elements as numbers."""
        if self.dtype is F16:
            return list(struct.unpack(f"<{len(self.data) // 2}e", self.data))
        data = self.data
        if self.dtype is BF16:
            data = b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2))
        values = array("f", data)
        if sys.byteorder == "big":
            values.byteswap()
        return list(values)


class Voice(NamedTuple):
    """A voice that XTTS can speak with."""

    name: str
    latents: Part
    """How it speaks: shape (1, positions, width)."""
    embedding: Part
    """What it sounds like: shape (1, 512, 1)."""


def voices_of(path: Path) -> list[Voice]:
    """Return the voices in a model folder or a file, in their order.

    Args:
        path: A model folder; a `speakers_xtts.pth` or `.safetensors`; a `.pth` with the two
            tensors of one voice, as coqui-tts writes to its `voice_dir`; or JSON of the streaming
            server, of one voice or of several by name. A file of one voice names it.

    Raises:
        Refusal: XC109, it holds something else; XC101 to XC108, as `convert`.
        Corruption: XC102.
        CannotLook: XC112, it cannot be read.
    """
    if path.is_dir():
        speakers = find_model_files(path).speakers
        return voices_of(speakers) if speakers else []
    if path.suffix.lower() == ".json":
        return _of_json(load_object(read_small(path), printable(str(path), 4096)), path.stem)
    with open_tensors(path) as source, source.naming():
        return [
            Voice(name, *_read(source, *parts))
            for name, parts in _parts_of(source, path.stem).items()
        ]


def chosen(voices: Sequence[Voice], names: Sequence[str]) -> list[Voice]:
    """Return the voices of these names, in the order of the file; all where none is named.

    Raises:
        Misuse: XC114, there is no voice of that name.
    """
    known = {voice.name: voice for voice in voices}
    for name in names:
        if name not in known:
            raise Misuse(
                "XC114",
                f"there is no voice `{printable(name)}`",
                hint=f"there are {', '.join(map(printable, known))}" if known else "there is none",
            )
    return [voice for voice in voices if not names or voice.name in names]


def export(voices: Sequence[Voice], file: Path, *, flat: bool = False, force: bool = False) -> None:
    """Write voices to a file of the kind that its name says.

    Args:
        voices: What to write.
        file: `.pth`: by name, as `speakers_xtts.pth` has them. `.json`: one voice, as the streaming
            server answers.
        flat: Write a `.pth` of one voice as coqui-tts does, without its name.
        force: Replace a file that exists.

    Raises:
        Misuse: XC114, one file cannot hold that.
        CannotLook: XC110, the file exists; XC111, it cannot be written.
    """
    single = flat or file.suffix.lower() == ".json"
    if not voices or (single and len(voices) != 1):
        raise Misuse(
            "XC114",
            f"{file.name} holds one voice, and there are {len(voices)}",
            hint="name one with --export NAME",
        )
    if file.suffix.lower() == ".json":
        _write(file, force, _as_json(voices[0]))
    elif file.suffix.lower() == ".pth":
        value = _flat(voices[0]) if flat else {v.name: _nested(v) for v in voices}
        _write(file, force, _Archive(value))
    else:
        raise Misuse("XC114", f"{file.name} is no name for voices", hint="write a .pth or a .json")


def add_to(folder: Path, voices: Sequence[Voice], *, force: bool = False) -> list[Path]:
    """Add voices to the built-in speakers of a model folder, behind those that are there.

    The files that are there are replaced in one step each; what they were before the first time
    stays beside them as `.original`.

    Args:
        folder: Of a model, original or converted.
        voices: What to add.
        force: Replace voices of the same name, which keep their places.

    Returns:
        The files that were written.

    Raises:
        Misuse: XC114, a voice of that name is there.
        Refusal: XC109, their sizes are not those of the voices that are there.
        Refusal, Corruption, CannotLook: as `voices_of` and `convert`.
    """
    there = {voice.name: voice for voice in voices_of(folder)}
    for voice in voices:
        if voice.name in there and not force:
            raise Misuse(
                "XC114",
                f"there is a voice `{printable(voice.name)}` already",
                hint="give the new one another name with --name, or replace it with --force",
            )
        _check_like(voice, there.values())
    all_of_them = {**there, **{voice.name: voice for voice in voices}}
    names = [name for name in (SPEAKERS, SPEAKERS_SAFETENSORS) if (folder / name).is_file()]
    if not names:
        loads = (folder / "model.safetensors").is_file()
        names = [SPEAKERS_SAFETENSORS if loads else SPEAKERS]
    with tempfile.TemporaryDirectory(prefix="xcompat-") as scratch, output_errors(folder):
        made = Path(scratch, SPEAKERS)
        export(list(all_of_them.values()), made)
        for name in names:
            _keep_original(folder / name)
        kind: Format = "both" if len(names) > 1 else "pth"
        convert(made, folder, format=kind if SPEAKERS in names else "safetensors", force=True)
    return [folder / name for name in names]


def _keep_original(file: Path) -> None:
    kept = file.with_name(file.name + _ORIGINAL)
    if file.is_file() and not kept.exists():
        # What is copied and then cut off would look like the original: it gets its name last.
        part = kept.with_name(f".{kept.name}.part")
        try:
            shutil.copy2(file, part)
            part.replace(kept)
        finally:
            part.unlink(missing_ok=True)


def _check_like(voice: Voice, others: Iterable[Voice]) -> None:
    for other in others:
        width, known = voice.latents.shape[-1], other.latents.shape[-1]
        if (width, voice.embedding.shape) != (known, other.embedding.shape):
            raise Refusal(
                "XC109",
                f"voice `{printable(voice.name)}` is of another model: its latents are {width}"
                f" wide, those of this one {known}",
                hint="Compute it with this model.",
            )
        return


def _parts_of(
    source: TorchSource | SafetensorsSource, stem: str
) -> Mapping[str, tuple[Tensor, Tensor]]:
    """Return the tensors of each voice by its name.

    Raises:
        Refusal: XC109, the file holds something else.
    """
    value = source.value
    if isinstance(value, dict):
        latents = next((value[key] for key in LATENTS if key in value), None)
        embedding = value.get(EMBEDDING)
        if isinstance(latents, Tensor) and isinstance(embedding, Tensor):
            return {stem: (latents, embedding)}
    voices = read_voices(source)
    return {name: (parts[LATENTS[0]], parts[EMBEDDING]) for name, parts in voices.items()}


def _read(
    source: TorchSource | SafetensorsSource, latents: Tensor, embedding: Tensor
) -> tuple[Part, Part]:
    source.check_tensors({LATENTS[0]: latents, EMBEDDING: embedding})
    for tensor in (latents, embedding):
        if tensor.dtype not in {F32, F16, BF16}:
            raise _no_voice(f"its elements are {tensor.dtype.name}")
    if len(latents.shape) not in {2, 3} or not latents.numel or not embedding.numel:
        raise _no_voice(f"its latents have the shape {list(latents.shape)}")
    return (
        Part(latents.dtype, (1, *latents.shape[-2:]), elements_of(source, latents)),
        Part(embedding.dtype, (1, embedding.numel, 1), elements_of(source, embedding)),
    )


def _of_json(told: Mapping[str, Any], stem: str) -> list[Voice]:
    named = {stem: told} if EMBEDDING in told else told
    voices = []
    for name, parts in named.items():
        latents = (
            next((parts[key] for key in LATENTS if key in parts), None)
            if isinstance(parts, dict)
            else None
        )
        if not isinstance(latents, list) or not isinstance(parts.get(EMBEDDING), list):
            raise _no_voice(f"`{printable(name)}` has no {LATENTS[0]} and {EMBEDDING}")
        rows = latents[0] if latents and _depth(latents) == 3 else latents
        if not rows or len({len(row) if isinstance(row, list) else -1 for row in rows}) != 1:
            raise _no_voice(f"the latents of `{printable(name)}` are no rows of one length")
        numbers = _numbers(rows, name)
        embedding = _numbers(parts[EMBEDDING], name)
        width = len(rows[0])
        if not numbers or not embedding:
            raise _no_voice(f"`{printable(name)}` is empty")
        shape = (1, len(numbers) // width, width)
        voices.append(Voice(name, _part(numbers, shape), _part(embedding, (1, len(embedding), 1))))
    return voices


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and value:
        depth, value = depth + 1, value[0]
    return depth


def _numbers(value: Any, name: str) -> list[float]:
    """Return the numbers in nested lists, one after the other."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [float(value)]
    if not isinstance(value, list):
        raise _no_voice(f"`{printable(name)}` holds something that is no number")
    found: list[float] = []
    for item in value:
        found += _numbers(item, name)
    return found


def _part(numbers: Sequence[float], shape: tuple[int, ...]) -> Part:
    try:
        return Part(F32, shape, struct.pack(f"<{len(numbers)}f", *numbers))
    except OverflowError as error:
        raise _no_voice("a number is too large") from error


def _as_json(voice: Voice) -> bytes:
    width = voice.latents.shape[-1]
    numbers = voice.latents.numbers()
    rows = [numbers[at : at + width] for at in range(0, len(numbers), width)]
    return json.dumps({LATENTS[0]: rows, EMBEDDING: voice.embedding.numbers()}).encode()


def _nested(voice: Voice) -> dict[str, Part]:
    return {LATENTS[0]: voice.latents, EMBEDDING: voice.embedding}


def _flat(voice: Voice) -> dict[str, Part]:
    return {LATENTS[1]: voice.latents, EMBEDDING: voice.embedding}


class _Archive:
    """A `.pth` of parts that are in memory, each in a storage of its own."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._parts: list[Part] = []
        pickled = Pickled(self._stored(value))
        sizes = array("Q", (len(part.data) for part in self._parts))
        self._layout = ArchiveLayout(pickled, sizes)

    def _stored(self, value: Mapping[str, Any]) -> dict[str, Any]:
        stored: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(item, Part):
                stored[key] = self._stored(item)
                continue
            numel = len(item.data) // item.dtype.itemsize
            stored[key] = packed(Storage(len(self._parts), item.dtype, numel), item.shape)
            self._parts.append(item)
        return stored

    def write(self, output: Any) -> None:
        """Write all of it."""

        def write_storage(number: int) -> int:
            output.write(self._parts[number].data)
            return checksum.crc32(self._parts[number].data)

        self._layout.write(output, write_storage)


def _write(file: Path, force: bool, content: bytes | _Archive) -> None:  # noqa: FBT001
    if file.exists() and not force:
        raise CannotLook(
            "XC110",
            f"{printable(str(file), 4096)} exists",
            hint="Choose another name with -o, or overwrite it with --force.",
        )
    with contextlib.ExitStack() as stack:
        stack.enter_context(output_errors(file.parent))
        folder = stack.enter_context(OutputFolder(file.parent, lambda _: None, durable=True))
        output = folder.create(file.name)
        output.write(content) if isinstance(content, bytes) else content.write(output)
        folder.commit(last=(), replace=force)


def _no_voice(reason: str) -> Refusal:
    return Refusal(
        "XC109",
        f"this is no voice of XTTS: {reason}",
        hint="Give a speakers_xtts.pth, a voice of coqui-tts, or JSON of the streaming server.",
    )
