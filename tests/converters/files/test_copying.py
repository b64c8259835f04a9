"""Two threads that copy windows: the same file as one thread writes, or an error and no trace."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from builders import checkpoints
from xcompat.converters import convert, write_tiny_release
from xcompat.converters.files import copying, output_file
from xcompat.errors import CannotLook, Corruption

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (hasattr(os, "preadv") and hasattr(os, "pwrite")):
        pytest.skip("threads would share the one position of a file: there is one only")
    monkeypatch.setattr(copying, "_threads", lambda: 2)
    monkeypatch.setattr(copying, "WINDOW_BYTES", 1000)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("window", [1, 1000, 1 << 16])
def test_windows_of_any_size_give_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    source = tmp_path / "source"
    write_tiny_release(source)
    monkeypatch.setattr(copying, "WINDOW_BYTES", window)
    monkeypatch.setattr(output_file, "RESERVED_BYTES", 1)
    told: list[int] = []
    done = convert(
        source, tmp_path / "two", format="both", verify=True,
        progress=lambda bytes_, _: told.append(bytes_),
    )  # fmt: skip
    monkeypatch.undo()
    monkeypatch.setattr(copying, "_threads", lambda: 1)
    assert convert(source, tmp_path / "one", format="both", verify=True).files == done.files
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    assert told == sorted(told)
    assert threading.active_count() == 1


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("fails_in", ["the helper", "the caller"])
def test_a_write_that_fails_in_one_thread_ends_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_in: str
) -> None:
    source = tmp_path / "source"
    write_tiny_release(source)
    real = os.pwrite
    helped = threading.Event()

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        helper = threading.current_thread() is not threading.main_thread()
        if helper:
            helped.set()
        elif threading.active_count() > 1:
            assert helped.wait(10)
        if helper is (fails_in == "the helper") and helped.is_set():
            raise OSError(28, "No space left on device")
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(CannotLook, match="No space left") as caught:
        convert(source, tmp_path / "out", fsync=False)
    assert caught.value.code == "XC111"
    assert not (tmp_path / "out").exists()
    assert threading.active_count() == 1


@pytest.mark.usefixtures("two_threads")
def test_damage_in_any_window_is_found(tmp_path: Path) -> None:
    damaged = bytearray(checkpoints.checkpoint())
    damaged[damaged.index(checkpoints.floats(1, 100))] ^= 1
    with pytest.raises(Corruption, match="is damaged"):
        convert(checkpoints.write(tmp_path, bytes(damaged)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert threading.active_count() == 1
