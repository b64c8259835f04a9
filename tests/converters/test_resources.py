"""What the worst inputs cost, at the real limits: processor time and resident memory."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builders import checkpoints
from builders import pickle_asm as asm
from builders.attacks import in_pickle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEMORY_MIB = 64
"""More than the interpreter needs with the converter imported."""
SECONDS = 6
"""Of processor time, twice what a slow machine that is shared needs for the worst of them."""

CHILD = """
import gc, resource, sys, time
from pathlib import Path
gc.disable()  # as the command line does
import xcompat.converters
from xcompat.errors import XcompatError
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
before, started = peak(), time.process_time()
try:
    xcompat.converters.convert(Path(sys.argv[1]), Path(sys.argv[2]), dry_run=True)
    code = "converted"
except XcompatError as error:
    code = error.code
print(code, time.process_time() - started, peak() - before)
"""


def cost(data: bytes, folder: Path) -> tuple[str, float, float]:
    """Return the outcome, the seconds of processor time, and the MiB that came on top."""
    source = checkpoints.write(folder, data)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(source), str(folder / "out")],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    code, seconds, memory = done.stdout.split()
    return code, float(seconds), float(memory)


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
    "numbers": lambda: in_pickle(
        asm.EMPTY_LIST + (asm.MARK + b"J\1\2\3\4" * 1000 + asm.APPENDS) * 1500),
    "memo entries": lambda: in_pickle(
        asm.EMPTY_LIST + b"".join(asm.put(index) for index in range(400_000))),
    "a name far ahead": lambda: in_pickle(
        b"\x82\1" + asm.name("torch", "FloatStorage") * 200_000),
    "text that looks like reads of the memo": lambda: in_pickle(
        asm.text("j\1\2\3\0" * 100_000) * 40),
}  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="no rusage")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_little(bomb: str, tmp_path: Path) -> None:
    code, seconds, memory = cost(BOMBS[bomb](), tmp_path)
    assert code in {"XC105", "XC106", "XC109"}
    assert seconds < SECONDS
    assert memory < MEMORY_MIB
