"""What the worst inputs cost, at the real limits: time and memory of the whole process."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builders import checkpoints, zip_forge
from builders import pickle_asm as asm
from builders.attacks import doubling, in_config, in_pickle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEMORY_MIB = 256
"""The most that the process may ever have had in memory, the interpreter included."""
SECONDS = 2.0
"""Of processor time, from the start of the interpreter to its end."""

CHILD = """
import gc, sys, time
from pathlib import Path
gc.disable()  # as the command line does
import xcompat.converters
from xcompat.errors import XcompatError
try:
    xcompat.converters.convert(Path(sys.argv[1]), Path(sys.argv[2]), format=sys.argv[3])
    code = "converted"
except XcompatError as error:
    code = error.code
# ru_maxrss would tell what the parent had when this process was started.
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
print(code, time.process_time(), peak)
"""


def cost(source: Path, folder: Path, kind: str = "safetensors") -> tuple[str, float, float]:
    """Return the outcome, the seconds of processor time, and the most MiB."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(source), str(folder / "out"), kind],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    code, seconds, memory = done.stdout.split()
    return code, float(seconds), float(memory)


def headers(count: int) -> bytes:
    """An archive of so many empty records, each of which the directory and a header tell."""
    names = [f"archive/data/{index}" for index in range(count)]
    local, central, position = [], [], 0
    for name in names:
        raw = name.encode()
        local.append(struct.pack("<4s5H3I2H", b"PK\3\4", 0, 0, 0, 0, 0, 0, 0, 0, len(raw), 0) + raw)
        central.append(struct.pack("<4s6H3I5H2I", b"PK\1\2", 0, 0, 0, 0, 0, 0, 0, 0, 0, len(raw),
            0, 0, 0, 0, 0, position) + raw)  # fmt: skip
        position += len(local[-1])
    size = sum(map(len, central))
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, position)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, position + size, 1)
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, size, position, 0)
    return b"".join([*local, *central, end])


def safetensors_header(count: int) -> bytes:
    entries = ",".join(
        f'"{index}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for index in range(count)
    )
    header = f"{{{entries}}}".encode()
    return struct.pack("<Q", len(header)) + header


def broadcast(count: int) -> bytes:
    """Views of one element, each as large as a view may be."""
    one = asm.storage("9", 1)
    tensors = {f"gpt.{i}": asm.tensor(one, (1 << 18,), (0,)) for i in range(count)}
    return checkpoints.checkpoint(tensors, {"data/9": bytes(4)})


BOMBS: dict[str, Callable[[], bytes]] = {
    "a million nested lists": lambda: in_pickle(
        asm.EMPTY_LIST * 1_000_000 + asm.APPEND * 999_999),
    "two million nested tuples": lambda: in_pickle(
        asm.EMPTY_TUPLE + asm.TUPLE1 * 2_000_000),
    "two million dicts": lambda: in_pickle(
        asm.EMPTY_LIST + (asm.MARK + asm.EMPTY_DICT * 1000 + asm.APPENDS) * 2000),
    "ordered dicts": lambda: in_pickle(
        asm.EMPTY_LIST + asm.name("collections", "OrderedDict") + asm.put(1) + asm.APPEND
        + (asm.MARK + (b"h\1" + asm.EMPTY_TUPLE + asm.REDUCE) * 500 + asm.APPENDS) * 3000),
    "texts of a mebibyte": lambda: in_pickle(
        asm.EMPTY_LIST + (b"X" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + asm.APPEND) * 31),
    "ten million opcodes": lambda: in_pickle(
        asm.EMPTY_LIST + (asm.MARK + b"J\1\2\3\4" * 1000 + asm.APPENDS) * 6000),
    "opcodes that make nothing": lambda: in_pickle(
        (b"X" + struct.pack("<I", 5) + b"12345" + asm.MARK + asm.TUPLE) * 2_000_000),
    "memo entries": lambda: in_pickle(
        asm.EMPTY_LIST + b"".join(asm.put(index) for index in range(400_000))),
    "a name far ahead": lambda: in_pickle(
        b"\x82\1" + asm.name("torch", "FloatStorage") * 200_000),
    "text that looks like reads of the memo": lambda: in_pickle(
        asm.text("j\1\2\3\0" * 100_000) * 40),
    "duplicates by DUP": lambda: in_pickle(asm.NONE + asm.DUP * 10_000_000),
    "doubling by the memo": lambda: doubling(30),
    "integers of many bytes": lambda: in_pickle(
        asm.EMPTY_LIST + (b"\x8a\xff" + b"\x7f" * 255 + asm.APPEND) * 100_000),
    "keys that are tensors": lambda: in_pickle(asm.EMPTY_DICT + asm.MARK + b"".join(
        asm.tensor(asm.storage("0", 6), (index,)) + asm.NONE for index in range(10_000))
        + asm.SETITEMS),
    "values of a configuration": lambda: in_config(
        asm.MARK + asm.text("x" * 40) * 400_000 + asm.TUPLE),
    "105,000 records": lambda: headers(105_000),
    "more records than may be": lambda: headers(200_000),
    "a record of zeros that deflates": lambda: zip_forge.archive(zip_forge.change(
        zip_forge.records("archive", {"data.pkl": bytes(31 << 20)}), "data.pkl", method=8)),
    "a pickle of zeros": lambda: in_pickle(bytes(31 << 20)),
    "views of one element": lambda: broadcast(1000),
    "a bare pickle": lambda: asm.pickle(
        asm.EMPTY_LIST + (asm.MARK + asm.EMPTY_DICT * 1000 + asm.APPENDS) * 2000),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_little(bomb: str, tmp_path: Path) -> None:
    source = checkpoints.write(tmp_path, BOMBS[bomb]())
    code, seconds, memory = cost(source, tmp_path)
    assert code in {"XC102", "XC103", "XC105", "XC106", "XC109"}
    assert seconds <= SECONDS
    assert memory < MEMORY_MIB
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


COMPANIONS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "configuration of arrays": (
        "config.json", lambda: b'{"a": [' + b"[]," * 2_000_000 + b"0]}"),
    "configuration of numbers": (
        "config.json", lambda: b'{"a": [' + b"0," * 4_000_000 + b"0]}"),
    "vocabulary of a million words": (
        "vocab.json", lambda: json.dumps({"model": {"vocab": {
            f"{index:x}": index for index in range(450_000)}}}).encode()),
    "deep configuration": (
        "config.json", lambda: b'{"a": ' + b"[" * 4_000_000),
    "speakers": ("speakers_xtts.pth", lambda: in_pickle(asm.EMPTY_DICT + asm.MARK + b"".join(
        asm.text(f"{index}") + asm.EMPTY_DICT for index in range(300_000)) + asm.SETITEMS)),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("bomb", COMPANIONS)
def test_a_bomb_beside_a_checkpoint_costs_little(bomb: str, tmp_path: Path) -> None:
    name, content = COMPANIONS[bomb]
    source = checkpoints.write(tmp_path, checkpoints.checkpoint())
    (tmp_path / name).write_bytes(content())
    code, seconds, memory = cost(source, tmp_path)
    assert code in {"XC102", "XC106", "XC109"}
    assert seconds <= SECONDS
    assert memory < MEMORY_MIB
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("count", [60_000, 150_000])
def test_a_safetensors_header_costs_little(count: int, tmp_path: Path) -> None:
    source = checkpoints.write(tmp_path, safetensors_header(count), "model.safetensors")
    code, seconds, memory = cost(source, tmp_path)
    assert code in {"XC106", "XC109"}
    assert seconds <= SECONDS
    assert memory < MEMORY_MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_memory_grows_by_a_third_of_a_kilobyte_for_a_tensor(kind: str, tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 16_000):
        names = [f"gpt.more.{index}.weight" for index in range(count)]
        tensors = {
            name: asm.tensor(asm.storage(str(index), 2), (2,))
            for index, name in enumerate(names, len(checkpoints.SHAPES))
        }
        content = {f"data/{len(checkpoints.SHAPES) + index}": bytes(8) for index in range(count)}
        folder = tmp_path / str(count)
        folder.mkdir()
        source = checkpoints.write(folder, checkpoints.checkpoint(tensors, content))
        code, _, memory = cost(source, folder, kind)
        assert code == "converted"
        peaks.append(memory)
    # A peak is known to half a MiB: 35 bytes a tensor.
    assert (peaks[1] - peaks[0]) * 2**20 / 15_000 < 350 + 35
