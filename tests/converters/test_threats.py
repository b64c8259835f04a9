"""Every attack ends with its code and its exit, in one line, and leaves nothing behind.

Meanwhile an audit hook watches: nothing is imported, executed, started or connected to.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders import checkpoints, zip_forge
from builders.attacks import ATTACKS, DAMAGED, NO, Attack, genuine
from fuzz.target import WATCH
from xcompat.converters import convert
from xcompat.converters.values import limits
from xcompat.errors import Corruption, Refusal, XcompatError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(attack, id=f"{group}: {attack.name}")
        for group, attacks in ATTACKS.items()
        for attack in attacks
    ],
)
def test_refused_with_its_code_and_nothing_left(
    attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_OPCODES", "MEMORY"):
        # A twentieth: the same path in a twentieth of the time.
        monkeypatch.setattr(limits, name, getattr(limits, name) // 20)
    source = checkpoints.write(tmp_path, attack.bytes())
    target = tmp_path / "new" / "target"
    with pytest.raises(XcompatError) as caught, WATCH:
        convert(source, target)
    error = caught.value
    assert (error.code, error.exit_code) == (attack.code, attack.exit), error.message
    assert attack.says in error.message
    assert str(source) in error.message
    assert "\n" not in error.message
    assert error.message.isprintable()
    assert len(error.message) < 1000
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    assert isinstance(error, Refusal if attack.exit is NO else Corruption)


def test_the_checkpoint_that_the_attacks_start_from_is_converted(tmp_path: Path) -> None:
    source = checkpoints.write(tmp_path, zip_forge.archive(genuine()))
    assert convert(source, tmp_path / "out").tensors == len(checkpoints.SHAPES)


def test_a_fifo_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.pth")
    with pytest.raises(XcompatError) as caught:
        convert(tmp_path / "model.pth", tmp_path / "out")
    assert caught.value.code == "XC112"


def test_a_missing_source_is_said(tmp_path: Path) -> None:
    with pytest.raises(XcompatError) as caught:
        convert(tmp_path / "model.pth", tmp_path / "out")
    assert (caught.value.code, caught.value.exit_code) == ("XC112", DAMAGED)


@pytest.mark.parametrize("zip64", [False, True])
def test_both_ends_of_an_archive_are_read(tmp_path: Path, *, zip64: bool) -> None:
    source = checkpoints.write(tmp_path, zip_forge.archive(genuine(), zip64=zip64))
    convert(source, tmp_path / "out")


def test_checksums_that_were_not_recorded_are_noted(tmp_path: Path) -> None:
    entries = [replace(entry, crc32=0) for entry in genuine()]
    source = checkpoints.write(tmp_path, zip_forge.archive(entries))
    notes = convert(source, tmp_path / "out").notes
    assert any("records no checksums" in note for note in notes)
