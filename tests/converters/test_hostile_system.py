"""Disks that are full, sources that move, two at once: a whole result is left, or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders import checkpoints, zip_forge
from builders import pickle_asm as asm
from xcompat.converters import convert, repair, write_tiny_release
from xcompat.errors import CannotLook, XcompatError

LIMITED = """
import resource, signal, sys
sys.dont_write_bytecode = True  # Python does not notice when the limit cuts that off
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = ["xcompat", "convert", *sys.argv[2:]]
from xcompat.cli import main
main()
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    write_tiny_release(folder)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
@pytest.mark.parametrize("limit", [0, 700, 20_000])
@pytest.mark.parametrize("way", ["safetensors", "both", "in place", "over another"])
def test_a_write_that_fails_at_any_place_leaves_what_was_there(
    release: Path, tmp_path: Path, limit: int, way: str
) -> None:
    target = release if way == "in place" else tmp_path / "out"
    words = [str(release), "-o", str(target), "--format", "both"]
    if way == "in place":
        words = [str(release), "--in-place"]
    elif way == "safetensors":
        words[-1] = "safetensors"
    elif way == "over another":
        convert(release, target, format="both")
        words.append("--force")
    before = contents(target) if target.exists() else None
    source = contents(release)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "error[XC111]" in done.stderr) == (4, True), done.stderr
    assert "Traceback" not in done.stderr
    assert (contents(target) if target.exists() else None) == before
    assert contents(release) == source


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_said(release: Path) -> None:
    with pytest.raises(CannotLook) as caught:
        convert(release, Path("/proc/xcompat"))
    assert caught.value.code == "XC111"


NOT_FILES = {
    "a FIFO": os.mkfifo,
    "a folder": os.mkdir,
    "a device that never ends": lambda path: path.symlink_to("/dev/zero"),
    "a device that is empty": lambda path: path.symlink_to("/dev/null"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no such things")
@pytest.mark.parametrize("kind", NOT_FILES)
@pytest.mark.parametrize(
    "name", ["model.pth", "config.json", "vocab.json", "speakers_xtts.pth", "LICENSE.txt"]
)
def test_only_regular_files_are_opened(release: Path, name: str, kind: str) -> None:
    (release / name).unlink()
    NOT_FILES[kind](release / name)
    if name == "LICENSE.txt":  # what is no file is no licence
        convert(release)
        return
    for act in (lambda: convert(release), lambda: repair(release)):
        with pytest.raises(CannotLook, match=r"not a regular file|Is a directory") as caught:
            act()
        assert caught.value.code == "XC112"
    assert not release.with_name("release-converted").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFO")
def test_a_fifo_that_takes_the_place_of_the_file_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = checkpoints.write(tmp_path, checkpoints.checkpoint())
    real = os.open

    def swapped(path: str | Path, flags: int, *args: int) -> int:
        if path == source:
            source.unlink()
            os.mkfifo(source)
        return real(path, flags, *args)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(CannotLook, match="not a regular file"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def large(folder: Path) -> Path:
    """A checkpoint of which some is still unread when the first progress is told."""
    tensors = {
        f"gpt.{key}": asm.tensor(asm.storage(f"big{key}", 1 << 18), (1 << 18,)) for key in range(3)
    }
    content = {f"data/big{key}": bytes([key]) * (1 << 20) for key in range(3)}
    return checkpoints.write(folder, checkpoints.checkpoint(tensors, content))


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 << 19)
        file.write(b"x" * 4096)


CHANGES = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "grown": grow,
    "overwritten": overwrite,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("model_format", ["safetensors", "pth"])
def test_a_source_that_changes_meanwhile_gives_no_result(
    tmp_path: Path, change: str, model_format: str
) -> None:
    source = large(tmp_path)
    changed = []

    def progress(done: int, total: int) -> None:
        if done and not changed:
            changed.append(done)
            CHANGES[change](source)

    with pytest.raises(XcompatError) as caught:
        convert(source, tmp_path / "out", format=model_format, progress=progress)  # type: ignore[arg-type]
    assert caught.value.code in {"XC102", "XC112"}
    assert caught.value.exit_code == 4
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_replaced_meanwhile_is_read_to_its_end(tmp_path: Path) -> None:
    source = large(tmp_path)
    convert(source, tmp_path / "expected")
    other = tmp_path / "other"
    other.write_bytes(checkpoints.checkpoint())

    def progress(done: int, total: int) -> None:
        if done and other.exists():
            other.replace(source)

    convert(source, tmp_path / "out", progress=progress)
    assert not other.exists()
    model = "model.safetensors"
    assert (tmp_path / "out" / model).read_bytes() == (tmp_path / "expected" / model).read_bytes()


def test_of_two_conversions_at_once_one_is_told(release: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    within: list[str] = []

    def progress(done: int, total: int) -> None:
        if not within:
            within.append("second")
            convert(release, target)

    with pytest.raises(CannotLook) as caught:
        convert(release, target, progress=progress)
    assert caught.value.code == "XC110"
    convert(release, tmp_path / "alone")
    assert sorted(contents(target)) == sorted(contents(tmp_path / "alone"))
    model = "model.safetensors"
    assert (target / model).read_bytes() == (tmp_path / "alone" / model).read_bytes()


def test_no_text_embedding_is_empty(tmp_path: Path) -> None:
    tensors, content = checkpoints.state_dict()
    tensors["gpt.text_embedding.weight"] = asm.tensor(asm.storage("0", 6), (0, 2))
    pickle = asm.pickle(asm.dict_({"model": asm.ordered_dict(tensors)}))
    data = zip_forge.archive(checkpoints.entries(pickle, content))
    with pytest.raises(XcompatError) as caught:
        convert(checkpoints.write(tmp_path, data), tmp_path / "out")
    assert caught.value.code == "XC109"
