"""What is on the disk when a conversion returns: everything, unless told not to wait for it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from builders import checkpoints
from xcompat.converters import convert, repair, write_tiny_release
from xcompat.converters.files import output_file, writeback
from xcompat.converters.files.output_file import OutputFile
from xcompat.errors import Corruption

SYNCED = 6
"""Five files (model, speakers, config, vocabulary, licence) and the manifest; then the folder."""


@pytest.fixture
def synced(monkeypatch):
    """Record what is brought to the disk by the main thread, by inode."""
    inodes = []
    real = os.fsync

    def fsync(descriptor):
        if threading.current_thread() is threading.main_thread():
            inodes.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return inodes


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "original"
    write_tiny_release(folder)
    return folder


def test_nothing_waits_for_the_disk_where_that_is_not_wanted(source, tmp_path, synced):
    synced.clear()
    convert(source, tmp_path / "out", fsync=False)
    assert synced == []


def test_the_default_brings_every_file_and_the_folder_to_the_disk(source, tmp_path, synced):
    synced.clear()
    convert(source, tmp_path / "out")
    written = {path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    assert len(written) == SYNCED
    assert set(synced) == written | {(tmp_path / "out").stat().st_ino}
    assert synced[-1] == (tmp_path / "out").stat().st_ino


def test_what_replaces_another_file_is_on_the_disk_first(source, tmp_path, synced):
    convert(source, tmp_path / "out")
    synced.clear()
    convert(source, tmp_path / "out", force=True, fsync=False)
    assert (tmp_path / "out" / "model.safetensors").stat().st_ino in synced


def test_a_repair_that_keeps_the_original_waits_only_where_that_is_wanted(source, synced):
    synced.clear()
    repair(source, fsync=False)
    assert synced == []
    assert (source / "model.pth.original").exists()


def test_a_repair_that_keeps_nothing_is_on_the_disk_first(source, synced):
    synced.clear()
    repair(source, fsync=False, keep_original=False)
    assert (source / "model.pth").stat().st_ino in synced


def test_early_writeback_changes_nothing_and_ends_its_thread(source, tmp_path, monkeypatch):
    convert(source, tmp_path / "plain", fsync=False)
    monkeypatch.setattr(writeback, "WRITEBACK_BYTES", 1000)
    convert(source, tmp_path / "durable")
    for name in ("model.safetensors", "speakers_xtts.safetensors"):
        assert (tmp_path / "durable" / name).read_bytes() == (
            tmp_path / "plain" / name
        ).read_bytes()
    assert threading.active_count() == 1


def test_a_failed_conversion_ends_the_writeback_too(tmp_path, monkeypatch):
    monkeypatch.setattr(writeback, "WRITEBACK_BYTES", 1)
    damaged = bytearray(checkpoints.checkpoint())
    damaged[damaged.index(checkpoints.floats(1, 100))] ^= 1
    file = checkpoints.write(tmp_path, bytes(damaged))
    with pytest.raises(Corruption, match="is damaged") as caught:
        convert(file, tmp_path / "out")
    assert caught.value.code == "XC102"
    assert not (tmp_path / "out").exists()
    assert threading.active_count() == 1


INTERRUPTED = """
import random, signal, sys, threading
from xcompat.converters.files.writeback import Writeback

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
moments = random.Random(1)
with open(sys.argv[1], "wb") as file:
    for _ in range(200):
        writeback = Writeback(file.fileno())
        try:
            writeback.follow(writeback._next)
            signal.setitimer(signal.ITIMER_REAL, moments.uniform(2e-5, 2e-4))
            while True:
                writeback.follow(writeback._next)
        except KeyboardInterrupt:
            writeback.stop()
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
def test_an_interrupt_at_any_moment_leaves_a_writeback_that_ends(tmp_path):
    # In a process of its own, since what measures coverage has locks that an interrupt breaks.
    words = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "file")]
    subprocess.run(words, check=True, timeout=60)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("force", [False, True])
def test_an_interrupt_while_files_get_their_names_waits_until_all_have(
    source, tmp_path, monkeypatch, force
):
    target = tmp_path / "out"
    whole = {path.name for path in convert_into(source, tmp_path / "whole")}
    if force:
        convert_into(source, target)
    real = OutputFile.place

    def place(self, *, replace):
        real(self, replace=replace)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(OutputFile, "place", place)
    with pytest.raises(KeyboardInterrupt):
        convert(source, target, force=force)
    assert {path.name for path in target.iterdir()} == whole
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("made", [1, 3])
def test_an_interrupt_while_a_file_is_made_leaves_nothing(source, tmp_path, monkeypatch, made):
    real = output_file._create_locked
    count = 0

    def create(path):
        nonlocal count
        count += 1
        found = real(path)
        if count == made:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(output_file, "_create_locked", create)
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def convert_into(source, target):
    convert(source, target)
    return list(target.iterdir())
