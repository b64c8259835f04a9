"""`convert --in-place`: the folder of an installed app, repaired without a changed line."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from builders import checkpoints
from builders.command import run, snapshot
from xcompat.converters import repair, write_tiny_release
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.errors import CannotLook, Corruption


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "tts_models--xtts v2"
    write_tiny_release(folder)
    return folder


def tensors(path: Path) -> dict[str, bytes]:
    found = {}
    with TorchSource(path) as checkpoint:
        assert checkpoint.names_only_tensors
        for name, tensor in checkpoint.value["model"].items():
            record = checkpoint.record(tensor.storage)
            found[name] = checkpoint.file.read_at(record.offset, record.size)
    return found


def test_the_app_finds_a_checkpoint_that_names_no_class(model: Path) -> None:
    before = snapshot(model)
    done = run("--in-place", model, "--verify")
    assert (done.returncode, done.stderr) == (0, "")
    after = snapshot(model)
    assert after.pop("model.pth.original") == before["model.pth"]
    assert json.loads(after.pop("xcompat.json"))["verified"] is True
    assert after.pop("model.pth") != before.pop("model.pth")
    assert after == before
    with TorchSource(model / "model.pth") as checkpoint:
        assert checkpoint.names_only_tensors
        assert checkpoint.value["config"]["model"] == "xtts"
    assert "Original: kept as" in done.stdout
    assert "start the app again" in done.stdout


def test_the_weights_are_the_same_and_every_other_byte_of_the_old_pickle_is_gone(
    model: Path,
) -> None:
    repair(model)
    with TorchSource(model / "model.pth.original") as original:
        names = original.value["model"]
        expected = {
            name: original.file.read_at(
                original.record(tensor.storage).offset, original.record(tensor.storage).size
            )
            for name, tensor in names.items()
        }
    assert tensors(model / "model.pth") == expected
    content = (model / "model.pth").read_bytes()
    for trace in (b"XttsConfig", b"TTS.tts", b"model_loss", b"November"):
        assert trace not in content


def test_what_needs_nothing_is_left_alone(model: Path) -> None:
    repair(model, keep_original=False)
    before = snapshot(model)
    done = run("--in-place", model)
    assert done.returncode == 0
    assert "Nothing to do" in done.stdout
    assert snapshot(model) == before
    assert "model.pth.original" not in before


def test_a_link_of_a_cache_is_replaced_and_its_blob_untouched(model: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / "c7ea"
    blob.parent.mkdir()
    (model / "model.pth").rename(blob)
    (model / "model.pth").symlink_to(Path("..") / "blobs" / "c7ea")
    before = blob.read_bytes()
    done = run("--in-place", model)
    assert done.returncode == 0
    assert blob.read_bytes() == before
    assert not (model / "model.pth").is_symlink()
    assert (model / "model.pth.original").readlink() == Path("..") / "blobs" / "c7ea"
    assert tensors(model / "model.pth")


def test_a_linked_folder_is_repaired_where_it_is(model: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(model, target_is_directory=True)
    assert run("--in-place", link).returncode == 0
    assert link.is_symlink()
    assert tensors(model / "model.pth")


def test_an_original_that_is_kept_is_never_replaced(model: Path) -> None:
    (model / "model.pth.original").write_bytes(b"mine")
    before = snapshot(model)
    with pytest.raises(CannotLook, match="an original is kept there already") as caught:
        repair(model)
    assert caught.value.code == "XC110"
    assert snapshot(model) == before


def test_a_folder_that_cannot_be_written_is_told_before_anything(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(model)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(CannotLook, match="Permission denied") as caught:
        repair(model, dry_run=True)
    assert caught.value.code == "XC111"
    assert snapshot(model) == before


def test_a_dry_run_changes_nothing(model: Path) -> None:
    before = snapshot(model)
    done = run("--in-place", "--dry-run", model, "--json")
    told = json.loads(done.stdout)
    assert told["in_place"] is True
    assert [file["path"] for file in told["files"]] == ["model.pth"]
    assert snapshot(model) == before


def test_damage_leaves_the_folder_as_it_was(model: Path) -> None:
    checkpoints.damage_weights(model / "model.pth")
    before = snapshot(model)
    with pytest.raises(Corruption):
        repair(model)
    assert snapshot(model) == before


def test_a_trainer_file_under_its_own_name_shrinks(tmp_path: Path) -> None:
    path = checkpoints.write(tmp_path, checkpoints.trainer_checkpoint(), "best_model.pth")
    done = repair(path)
    assert done.renamed
    assert path.stat().st_size < (tmp_path / "best_model.pth.original").stat().st_size
    assert tensors(path)


def test_the_mode_of_the_folder_is_kept(model: Path) -> None:
    mode = stat.S_IMODE(model.stat().st_mode)
    repair(model)
    assert stat.S_IMODE(model.stat().st_mode) == mode


@pytest.mark.parametrize(
    "options", [("-o", "x"), ("--format", "pth"), ("--force",)], ids=lambda given: given[0]
)
def test_options_that_contradict_it_are_refused(model: Path, options: tuple[str, ...]) -> None:
    done = run("--in-place", model, *options)
    assert done.returncode == 2
    assert "error[XC113]" in done.stderr


EXACT = {"config.json", "model.pth", "speakers_xtts.pth", "vocab.json"}


def test_exactly_four_files_stay_and_the_printed_command_brings_all_back(model: Path) -> None:
    (model / "dvae.pth").write_bytes(b"only for training")
    (model / ".cache").mkdir()
    (model / ".cache" / "lock").touch()
    before = snapshot(model.parent)
    done = run("--in-place", "--exact", model)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in model.iterdir()} == EXACT
    assert tensors(model / "model.pth")
    beside = model.with_name(f"{model.name}.original")
    assert (beside / "model.pth").read_bytes() == before[f"{model.name}/model.pth"]
    assert (beside / ".cache" / "lock").is_file()
    back = done.stdout.partition("To go back: ")[2].partition("\n")[0]
    assert subprocess.run(back, shell=True, check=False).returncode == 0
    beside.rmdir()
    assert snapshot(model.parent) == before


def test_a_dry_run_of_it_says_the_same_and_moves_nothing(model: Path) -> None:
    before = snapshot(model.parent)
    told = repair(model, exact=True, dry_run=True)
    assert snapshot(model.parent) == before
    done = repair(model, exact=True)
    assert (told.aside, told.set_aside, told.original) == (
        done.aside, done.set_aside, done.original,
    )  # fmt: skip
    assert "xcompat.json" in done.set_aside


def test_what_needs_no_conversion_is_set_aside_all_the_same(model: Path) -> None:
    repair(model)
    done = repair(model, exact=True)
    assert done.files == ()
    assert {path.name for path in model.iterdir()} == EXACT
    assert Path(done.original).read_bytes() != (model / "model.pth").read_bytes()
    assert repair(model, exact=True).aside == ""


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda model: (model / "notes.txt").write_text("mine"), "also holds notes.txt"),
        (lambda model: (model / "vocab.json").unlink(), "holds no vocab.json"),
        (
            lambda model: (
                model.with_name(f"{model.name}.original").mkdir(),
                (model.with_name(f"{model.name}.original") / "model.pth").touch(),
            ),
            "is there for already",
        ),
    ],
)
def test_what_cannot_be_exact_is_refused_before_anything(model: Path, spoil, said: str) -> None:
    spoil(model)
    before = snapshot(model.parent)
    with pytest.raises(CannotLook, match=said) as caught:
        repair(model, exact=True)
    assert caught.value.code == "XC115"
    assert snapshot(model.parent) == before


def test_where_one_file_cannot_be_moved_none_is(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def stubborn(path: Path, target: Path) -> Path:
        if path.name == "xcompat.json":
            raise OSError(16, "Device or resource busy")
        return rename(path, target)

    names = {path.name for path in model.iterdir()}
    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(CannotLook, match="cannot move the other files") as caught:
        repair(model, exact=True)
    assert caught.value.code == "XC111"
    assert {p.name for p in model.iterdir()} == names | {"model.pth.original", "xcompat.json"}
    assert not model.with_name(f"{model.name}.original").exists()
    monkeypatch.undo()
    assert repair(model, exact=True).aside
    assert {path.name for path in model.iterdir()} == EXACT


def test_a_link_of_a_cache_leads_to_its_blob_from_beside_too(model: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / "c7ea"
    blob.parent.mkdir()
    (model / "model.pth").rename(blob)
    (model / "model.pth").symlink_to(Path("..") / "blobs" / "c7ea")
    done = repair(model, exact=True)
    assert Path(done.original).readlink() == Path("..") / "blobs" / "c7ea"
    assert Path(done.original).read_bytes() == blob.read_bytes()


def test_exact_goes_with_in_place_only(model: Path) -> None:
    done = run("--exact", model)
    assert (done.returncode, "`--exact` goes with `--in-place` only" in done.stderr) == (2, True)
