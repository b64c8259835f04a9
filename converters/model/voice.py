"""Unpack a voice, a small file of 8-bit integers, into a checkpoint laid out like a release.

`voice.safetensors.gz` holds matrices as integers (`NAME`, I8) with a scale for each output channel
(`NAME.scale`, F16), the rest as halves or floats, and the latents of its speakers
(`speaker/NAME`). Its header tells under `checkpoint` every tensor of the checkpoint: name, type,
shape, and what fills it where the file holds nothing of it: a number, or the offset and the half
width of noise. What the file holds of a tensor is its corner: the vocoder is narrower than the one
that the classes of TTS fix, and zero beyond.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import sys
import tempfile
import zlib
from array import array
from itertools import repeat
from math import prod
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xcompat.converters.containers.safetensors_source import SafetensorsSource
from xcompat.converters.containers.torch_file import ArchiveLayout
from xcompat.converters.files import checksum
from xcompat.converters.files.json_documents import parse_object
from xcompat.converters.files.output_folder import OutputFolder, output_errors
from xcompat.converters.files.source import read_small
from xcompat.converters.model.model_files import CONFIG, MODEL, SPEAKERS, VOCABULARY
from xcompat.converters.pickles.allowlist import (
    DATASET_CONFIG,
    XTTS_ARGS,
    XTTS_AUDIO_CONFIG,
    XTTS_CONFIG,
)
from xcompat.converters.pickles.pickle_writer import Pickled
from xcompat.converters.values import limits
from xcompat.converters.values.objects import Record, StateDict
from xcompat.converters.values.tensors import F32, I64, Storage, packed
from xcompat.errors import CannotLook, Corruption

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from xcompat.converters.files.output_file import OutputFile
    from xcompat.converters.values.tensors import Tensor

PACKED: Final = "voice.safetensors.gz"
LICENCE: Final = "LICENSE.txt"
_FORMAT: Final = "xcompat-voice-1"
_SCALE: Final = ".scale"
_SPEAKER_EMBEDDING: Final = (1, 512, 1)
_UNPACKED_BYTES: Final = 64 << 20
_PIECE_BYTES: Final = 1 << 20
_PIECE_NUMBERS: Final = _PIECE_BYTES // 4


class _Entry(NamedTuple):
    """A tensor of the checkpoint."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    fill: int | tuple[float, float]


def write_voice(voice: Path, folder: Path) -> dict[str, int]:
    """Write `model.pth`, `config.json`, `vocab.json`, `speakers_xtts.pth` and the licence.

    The content is the same on every machine. Nothing but the standard library is needed, and no
    more than one tensor is held in memory.

    Args:
        voice: Folder with `voice.safetensors.gz` and its companions.
        folder: Where to; it is created where it is missing, and files in it are replaced.

    Returns:
        The CRC-32 of each tensor of the model, by name.

    Raises:
        Corruption: XC102, the voice is damaged.
        CannotLook: XC111, the folder cannot be written to; XC112, the voice cannot be read.
    """
    config = read_small(voice / CONFIG)
    with (
        tempfile.TemporaryDirectory(prefix="xcompat-voice-") as scratch,
        SafetensorsSource(_unpacked(voice / PACKED, Path(scratch))) as source,
        output_errors(folder),
        OutputFolder(folder, lambda _: None) as output,
    ):
        packed_voice = _Voice(source)
        output.create(CONFIG).write(config)
        for name in (VOCABULARY, LICENCE):
            output.create(name).write(read_small(voice / name))
        packed_voice.write_speakers(output.create(SPEAKERS))
        checksums = packed_voice.write_model(output.create(MODEL), _as_records(config))
        output.commit(last=(MODEL,), replace=True)
    return checksums


def _unpacked(path: Path, scratch: Path) -> Path:
    """Decompress a file into a folder."""
    target = scratch / "voice.safetensors"
    left = _UNPACKED_BYTES
    try:
        with gzip.open(path) as file, target.open("wb") as output:
            while piece := file.read(_PIECE_BYTES):
                left -= len(piece)
                limits.check("bytes of the unpacked voice", _UNPACKED_BYTES - left, _UNPACKED_BYTES)
                output.write(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Corruption("XC102", f"{path} is damaged: {error}", hint="Install anew.") from error
    except OSError as error:
        raise CannotLook(
            "XC112", f"cannot unpack {path}: {error.strerror or error}", hint="Install anew."
        ) from error
    return target


def _as_records(config: bytes) -> Record:
    """Return a configuration as the object that a release has in its checkpoint."""
    state = parse_object(config, CONFIG)
    return Record(
        XTTS_CONFIG,
        {
            **state,
            "datasets": [Record(DATASET_CONFIG, dataset) for dataset in state["datasets"]],
            "model_args": Record(XTTS_ARGS, state["model_args"]),
            "audio": Record(XTTS_AUDIO_CONFIG, state["audio"]),
        },
    )


class _Voice:
    """The tensors of a voice, and what they are unpacked to."""

    def __init__(self, source: SafetensorsSource) -> None:
        if source.metadata.get("format") != _FORMAT:
            raise Corruption("XC102", f"{source.file.name} is not a voice", hint="Install anew.")
        self._source = source
        self._entries = [
            _Entry(name, dtype, tuple(shape), tuple(fill) if isinstance(fill, list) else fill)
            for name, dtype, shape, fill in json.loads(source.metadata["checkpoint"])
        ]
        self._speakers: list[str] = json.loads(source.metadata["speakers"])

    def write_model(self, output: OutputFile, config: Record) -> dict[str, int]:
        """Write the model; return the checksums of its tensors."""
        dtypes = {"F32": F32, "I64": I64}
        tensors = StateDict(
            (entry.name, packed(Storage(row, dtypes[entry.dtype], prod(entry.shape)), entry.shape))
            for row, entry in enumerate(self._entries)
        )
        sums = _write(
            output,
            {"config": config, "model": tensors},
            list(tensors.values()),
            (self._content(entry) for entry in self._entries),
        )
        return dict(zip(tensors, sums, strict=True))

    def write_speakers(self, output: OutputFile) -> None:
        """Write the built-in speakers."""
        value: dict[str, dict[str, Tensor]] = {}
        contents: list[Iterable[bytes]] = []
        rows: list[Tensor] = []
        for name in self._speakers:
            latents = f"speaker/{name}"
            embedding = _Entry(f"{name}/speaker_embedding", "F32", _SPEAKER_EMBEDDING, (0.0, 1.0))
            shapes = (self._source.value[latents].shape, embedding.shape)
            rows += [
                packed(Storage(len(rows) + row, F32, prod(shape)), shape)
                for row, shape in enumerate(shapes)
            ]
            parts = ("gpt_cond_latent", "speaker_embedding")
            value[name] = dict(zip(parts, rows[-2:], strict=True))
            contents += [[_as_floats(self._numbers(latents))], _noise(embedding)]
        _write(output, value, rows, contents)

    def _content(self, entry: _Entry) -> Iterator[bytes]:
        """Yield the bytes of a tensor of the checkpoint."""
        if entry.name in self._source.value:
            yield from self._stored(entry)
        elif isinstance(entry.fill, tuple):
            yield from _noise(entry)
        elif entry.dtype == "I64":
            yield struct.pack(f"<{prod(entry.shape)}q", *repeat(entry.fill, prod(entry.shape)))
        else:
            yield from _constant(entry.fill, prod(entry.shape))

    def _stored(self, entry: _Entry) -> Iterator[bytes]:
        """Yield a tensor of which the voice holds the corner, or all."""
        assert isinstance(entry.fill, int)
        live = self._source.value[entry.name].shape
        if live == entry.shape:
            yield from map(_as_floats, self._rows(entry.name, live))
            return
        width = prod(entry.shape[1:])
        for row in self._rows(entry.name, live):
            yield _as_floats(row)
            if len(live) > 1:
                yield bytes(4 * (width - len(row)))
        yield from _constant(entry.fill, width * (entry.shape[0] - live[0]))

    def _rows(self, name: str, shape: tuple[int, ...]) -> Iterator[Sequence[float]]:
        """Yield the numbers of a tensor in rows of its first dimension."""
        numbers = self._numbers(name)
        width = prod(shape[1:])
        scale_name = name + _SCALE
        if scale_name not in self._source.value:
            yield numbers
            return
        scales = self._numbers(scale_name)
        by_column = self._source.value[scale_name].shape[0] == 1 != shape[0]
        for row in range(shape[0]):
            part = numbers[row * width : (row + 1) * width]
            # Seven bits times eleven: each product is a float of 32 bits, whoever computes it.
            yield array("f", map(mul, part, scales if by_column else repeat(scales[row])))

    def _numbers(self, name: str) -> Sequence[float]:
        """Return the numbers of a tensor that the file holds."""
        tensor = self._source.value[name]
        record = self._source.find(tensor.storage)
        assert record is not None
        content = self._source.file.read_at(record.offset, record.size)
        code = {"I8": "b", "F16": "e", "F32": "f"}[tensor.dtype.name]
        return struct.unpack(f"<{tensor.numel}{code}", content)


def _write(
    output: OutputFile,
    value: Any,
    tensors: Sequence[Tensor],
    contents: Iterable[Iterable[bytes]],
) -> list[int]:
    """Write a checkpoint as torch.save does; return the checksums of its storages."""
    sums: list[int] = []
    remaining = iter(contents)

    def write_storage(_: int) -> int:
        crc = 0
        for piece in _gathered(next(remaining)):
            output.write(piece)
            crc = checksum.crc32(piece, crc)
        sums.append(crc)
        return crc

    sizes = array("Q", (tensor.storage.nbytes for tensor in tensors))
    ArchiveLayout(Pickled(value), sizes).write(output, write_storage)
    return sums


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces to some that are worth a call of the system."""
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= _PIECE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _noise(entry: _Entry) -> Iterator[bytes]:
    """Yield noise of 256 levels that depends on the name alone."""
    assert isinstance(entry.fill, tuple)
    offset, half_width = entry.fill
    levels = struct.pack("<256f", *(offset + half_width * (n - 128) / 128 for n in range(256)))
    digest = hashlib.shake_128(entry.name.encode()).digest(prod(entry.shape))
    floats = bytearray(4 * len(digest))
    for place in range(4):
        floats[place::4] = digest.translate(levels[place::4])
    yield bytes(floats)


def _constant(value: int, count: int) -> Iterator[bytes]:
    piece = struct.pack("<f", value) * min(count, _PIECE_NUMBERS)
    for left in range(count, 0, -_PIECE_NUMBERS):
        yield piece[: 4 * left]


def _as_floats(numbers: Sequence[float]) -> bytes:
    """Return numbers as the little-endian floats of a checkpoint."""
    floats = numbers if isinstance(numbers, array) else array("f", numbers)
    if sys.byteorder == "big":
        floats = array("f", floats)
        floats.byteswap()
    return floats.tobytes()
