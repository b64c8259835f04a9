"""A `.pth` that shares its blocks with the source: the same file as one that was copied."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders import checkpoints
from builders import pickle_asm as asm
from xcompat.converters import convert, repair, write_tiny_release
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.files import output_file
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand in for a file system that shares blocks; record how many bytes it shares."""
    if not output_file.HAS_LOCKS:
        pytest.skip("blocks are shared by ioctl")
    sizes: list[int] = []

    def ioctl(target: int, request: int, argument: bytes) -> int:
        source, start, size, where = struct.unpack("=qQQQ", argument)
        assert request == 0x4020940D
        assert (start % 4096, size % 4096, where % 4096) == (0, 0, 0)
        before = os.lseek(target, 0, os.SEEK_CUR)
        os.lseek(target, where, os.SEEK_SET)
        os.write(target, os.pread(source, size, start))
        os.lseek(target, before, os.SEEK_SET)
        sizes.append(size)
        return 0

    monkeypatch.setattr(output_file.fcntl, "ioctl", ioctl)
    return sizes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_tiny_release(folder)
    return folder


def test_what_is_shared_is_what_would_have_been_copied(
    model: Path, tmp_path: Path, shared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = convert(model, tmp_path / "shared", format="pth", verify=True)
    assert done.shared > sum(shared) > 4096
    monkeypatch.undo()
    copied = convert(model, tmp_path / "copied", format="pth", verify=True)
    assert copied.shared == 0
    name = "model.pth"
    assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "copied" / name).read_bytes()
    assert done.files == copied.files, "the checksum of the file is known without reading it"


def test_what_lies_between_kept_storages_is_left_out(tmp_path: Path, shared: list[int]) -> None:
    """The storages of an optimizer lie behind those of the model, the autoencoder's between."""
    big = checkpoints.floats(8000)
    tensors, content = {}, {}
    for index in range(6):
        name = f"{'dvae' if index % 2 else 'xtts.gpt.more'}.{index}"
        tensors[name] = asm.tensor(asm.storage(f"big{index}", 8000), (8000,))
        content[f"data/big{index}"] = bytes([index]) + big[1:]
    path = checkpoints.write(tmp_path, checkpoints.checkpoint(tensors, content))
    repair(path, verify=True)
    assert len(shared) == 3
    assert path.stat().st_size < (tmp_path / "model.pth.original").stat().st_size * 0.6
    with TorchSource(path) as checkpoint:
        for index in (0, 2, 4):
            record = checkpoint.record(checkpoint.value["model"][f"gpt.more.{index}"].storage)
            assert checkpoint.file.read_at(record.offset, 1) == bytes([index])
            assert record.offset % 64 == 0


def test_without_checksums_in_the_source_all_is_copied(tmp_path: Path, shared: list[int]) -> None:
    known, content = checkpoints.state_dict()
    value = asm.dict_({"model": asm.ordered_dict(known)})
    entries = [replace(e, crc32=0) for e in checkpoints.entries(asm.pickle(value), content)]
    data = checkpoints.zip_forge.archive(entries)
    path = checkpoints.write(tmp_path, data)
    convert(path, tmp_path / "out", format="pth", verify=True)
    assert shared == []
    with TorchSource(tmp_path / "out" / "model.pth") as checkpoint:
        assert not checkpoint.checksummed


# With a real file system: nox -s filesystems.


@pytest.fixture(params=["xfs", "btrfs"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    image, folder = tmp_path / "image", tmp_path / "mounted"
    if not shutil.which(f"mkfs.{request.param}") or os.geteuid() != 0:
        pytest.skip(f"needs mkfs.{request.param} and root")
    with image.open("wb") as file:
        file.truncate(512 << 20)
    folder.mkdir()
    subprocess.run([f"mkfs.{request.param}", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.filesystems
def test_a_repair_takes_no_space_where_blocks_are_shared(mounted: Path) -> None:
    big = 64 << 20
    tensors = {"gpt.big": asm.tensor(asm.storage("big", big // 4), (big // 4,))}
    data = checkpoints.checkpoint(
        tensors, {"data/big": os.urandom(big)}, step=asm.tensor(asm.storage("0", 6), (6,))
    )
    checkpoints.write(mounted, data)
    os.sync()
    before = shutil.disk_usage(mounted).free
    done = repair(mounted / "model.pth", verify=True)
    os.sync()
    assert done.shared > big
    assert before - shutil.disk_usage(mounted).free < 2 << 20


@pytest.mark.filesystems
@pytest.mark.parametrize("kind", ["safetensors", "pth", "both"])
def test_a_full_disk_is_told_and_nothing_stays(tmp_path: Path, kind: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    size = 3 << 20
    tensors = {"gpt.big": asm.tensor(asm.storage("big", size // 4), (size // 4,))}
    data = checkpoints.checkpoint(tensors, {"data/big": os.urandom(size)})
    source = checkpoints.write(tmp_path, data)
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        with pytest.raises(CannotLook) as caught:
            convert(source, folder, format=kind)  # type: ignore[arg-type]
        assert caught.value.code == "XC111"
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", folder], check=True)
    assert source.read_bytes() == data


@pytest.mark.filesystems
def test_a_read_only_disk_is_told_and_nothing_changes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    write_tiny_release(folder / "model")
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    try:
        for act in (lambda: repair(folder / "model"), lambda: convert(folder / "model")):
            with pytest.raises(CannotLook) as caught:
                act()
            assert caught.value.code == "XC111"
    finally:
        subprocess.run(["umount", folder], check=True)
    assert {path.name for path in (folder / "model").iterdir()} == {
        "LICENSE.txt", "config.json", "model.pth", "speakers_xtts.pth", "vocab.json",
    }  # fmt: skip


@pytest.mark.filesystems
@pytest.mark.parametrize("way", ["safetensors", "pth", "both", "in place"])
def test_a_quota_that_is_used_up_is_told_and_nothing_stays(tmp_path: Path, way: str) -> None:
    if not shutil.which("btrfs") or os.geteuid() != 0:
        pytest.skip("needs btrfs and root")
    image, disk = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    disk.mkdir()
    limited = disk / "limited"
    size = 6 << 20
    # Out of reach of reflinks: every other storage is dropped.
    tensors = {
        f"{'dvae' if index % 2 else 'gpt'}.{index}": asm.tensor(
            asm.storage(f"big{index}", size // 4), (size // 4,)
        )
        for index in range(2)
    }
    content = {f"data/big{index}": os.urandom(size) for index in range(2)}
    data = checkpoints.checkpoint(tensors, content, step=asm.number(1))
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    try:
        for words in (
            ["quota", "enable", disk],
            ["subvolume", "create", limited],
            ["qgroup", "limit", "14M" if way == "in place" else "2M", limited],
        ):
            subprocess.run(["btrfs", *words], check=True, capture_output=True)
        source = checkpoints.write(limited if way == "in place" else tmp_path, data)
        os.sync()
        act = {
            "in place": lambda: repair(source, dtype="float16"),
        }.get(way, lambda: convert(source, limited / "out", format=way))  # type: ignore[arg-type]
        with pytest.raises(CannotLook) as caught:
            act()
        assert caught.value.code == "XC111"
        left = {path.name for path in limited.iterdir()}
        assert left == ({"model.pth"} if way == "in place" else set())
        assert source.read_bytes() == data
    finally:
        subprocess.run(["umount", disk], check=True)
