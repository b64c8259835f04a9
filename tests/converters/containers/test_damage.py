"""Every byte of a checkpoint is damaged in turn: the same tensors come out, or a typed error."""

from __future__ import annotations

import os
import zlib
from array import array
from functools import cache
from typing import TYPE_CHECKING

import pytest

from builders import checkpoints
from xcompat.converters.containers.packing import Written, write_tensors
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.model.recognition import read_model
from xcompat.converters.values import limits
from xcompat.errors import XcompatError

if TYPE_CHECKING:
    from pathlib import Path

    from xcompat.converters.files.copying import Ranges
    from xcompat.converters.files.source import SourceFile


class Memory:
    """An output that stays in memory."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data: bytes | memoryview) -> None:
        self.content += bytes(data)

    def copy(self, source: SourceFile, ranges: Ranges) -> array[int]:
        parts = [source.read_at(offset, size) for offset, size in ranges]
        self.write(b"".join(parts))
        return array("I", map(zlib.crc32, parts))


def tensors_of(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    found = {}
    with TorchSource(path) as checkpoint:
        model = read_model(checkpoint.value)
        checkpoint.check_tensors(model.tensors)
        for name, tensor in model.tensors.items():
            memory = Memory()
            write_tensors(memory, checkpoint, [tensor], Written())  # type: ignore[arg-type]
            found[name] = (tensor.storage.dtype.name, tensor.shape, memory.content)
    return found


@pytest.fixture(autouse=True)
def small_memo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reading clears its tables of the memo: at the real size that takes most of its time."""
    monkeypatch.setattr(limits, "MEMO", 1 << 10)


@cache
def genuine() -> bytes:
    return checkpoints.checkpoint()


def survives(path: Path, expected: dict[str, tuple[str, tuple[int, ...], bytes]]) -> bool:
    try:
        return tensors_of(path) == expected
    except XcompatError as error:
        return error.code in {"XC101", "XC102", "XC103", "XC104", "XC105", "XC106", "XC107"}


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_never_changes_a_tensor(mask: int, tmp_path: Path) -> None:
    path = checkpoints.write(tmp_path, genuine())
    expected = tensors_of(path)
    wrong = []
    # Within one file: ext4 brings a file to the disk that was emptied and written again.
    with path.open("r+b", buffering=0) as file:
        for position, byte in enumerate(genuine()):
            for content in (byte ^ mask, byte):
                file.seek(position)
                file.write(bytes([content]))
                if content != byte and not survives(path, expected):
                    wrong.append(position)
    assert wrong == []
    assert path.read_bytes() == genuine()


def test_a_truncated_file_is_never_taken(tmp_path: Path) -> None:
    path = checkpoints.write(tmp_path, genuine())
    for size in reversed(range(len(genuine()))):
        os.truncate(path, size)
        with pytest.raises(XcompatError) as caught:
            tensors_of(path)
        assert caught.value.code in {"XC102", "XC103"}, size
