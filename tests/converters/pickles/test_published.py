"""The recipes that scanners publish for their bypasses: each name in each spelling, refused."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from builders import checkpoints, zip_forge
from builders import pickle_asm as asm
from builders.attacks import genuine, in_pickle, stream
from builders.published import NAMES
from builders.recipes import FILES, FRAMED, PICKLES
from fuzz.target import WATCH
from xcompat.converters import convert
from xcompat.converters.pickles.machine import Machine
from xcompat.errors import ExitCode, XcompatError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def by_stack(module: str, name: str) -> bytes:
    return short(module) + asm.MEMOIZE + short(name) + asm.MEMOIZE + asm.STACK_GLOBAL


SPELLINGS: dict[str, Callable[[str, str], bytes]] = {
    "called in a checkpoint": lambda module, name: checkpoints.checkpoint(
        extra=asm.call(asm.name(module, name), asm.text("id"))),
    "by the stack, protocol 4": lambda module, name: in_pickle(
        by_stack(module, name) + asm.text("id") + asm.TUPLE1 + asm.REDUCE, 4),
    "OBJ, and its result dropped": lambda module, name: in_pickle(
        asm.MARK + by_stack(module, name) + asm.text("id") + asm.OBJ + asm.POP + asm.NONE, 4),
    "INST": lambda module, name: in_pickle(asm.inst(module, name, asm.text("id"))),
    "before a broken tail": lambda module, name: stream(
        asm.proto() + asm.call(asm.name(module, name), asm.text("id")) + b"X\xff\xff"),
    "a bare pickle of protocol 0": lambda module, name: (
        f"c{module}\n{name}\n(S'id'\ntR.".encode()),
    "as the magic number of a legacy file": lambda module, name: asm.pickle(
        asm.call(asm.name(module, name), asm.text("0x1950A86A20F9469CFC6C"))),
    "as a factory": lambda module, name: checkpoints.checkpoint(extra=asm.call(
        asm.name("collections", "defaultdict"), asm.name(module, name))),
    "as the state of a configuration": lambda module, name: checkpoints.checkpoint(
        config=asm.config("XttsConfig", {"model": asm.name(module, name)})),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_published_name_is_refused_in_each_spelling(spelling: str, tmp_path: Path) -> None:
    for (module, name), advisory in NAMES.items():
        assert advisory.startswith("https://")
        source = checkpoints.write(tmp_path, SPELLINGS[spelling](module, name))
        error = refusal_of(source)
        assert (error.code, error.exit_code) == ("XC104", ExitCode.NO), f"{module}.{name}"
        assert f"{module}.{name}" in error.message


def refusal_of(source: Path) -> XcompatError:
    """Return how a file is refused: in one line, with nothing left behind."""
    with pytest.raises(XcompatError) as caught, WATCH:
        convert(source, source.parent / "out")
    assert "\n" not in caught.value.message
    assert caught.value.message.isprintable()
    assert [path.name for path in source.parent.iterdir()] == [source.name]
    return caught.value


@pytest.mark.parametrize("recipe", {**PICKLES, **FILES})
def test_what_scanners_test_themselves_with_is_refused(recipe: str, tmp_path: Path) -> None:
    data, code = {**PICKLES, **FILES}[recipe]
    source = checkpoints.write(tmp_path, data if isinstance(data, bytes) else data())
    error = refusal_of(source)
    assert error.code == code, error.message


@pytest.mark.parametrize("stream", FRAMED)
@pytest.mark.parametrize("piece", [7, 1 << 20])
def test_genuine_frames_are_read(stream: str, piece: int) -> None:
    data = FRAMED[stream]
    pieces = [data[begin : begin + piece] for begin in range(0, len(data), piece)]
    assert Machine().run(lambda: pieces) == (pickle.loads(data), len(data))


def test_a_pickle_in_another_record_is_refused(tmp_path: Path) -> None:
    evil = asm.pickle(asm.call(asm.name("os", "system"), asm.text("id")))
    for name in ("evil.pkl", "x/data.pkl", "data/0.pkl", "DATA.PKL"):
        entries = [*genuine(), zip_forge.Entry(f"archive/{name}", evil)]
        source = checkpoints.write(tmp_path, zip_forge.archive(entries))
        with pytest.raises(XcompatError) as caught:
            convert(source, tmp_path / "out")
        assert caught.value.code == "XC103", name
