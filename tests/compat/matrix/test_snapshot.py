from __future__ import annotations

import json

import pytest

from builders.known import READ_ONCE
from builders.matrices import write_matrix
from xcompat.errors import CannotLook
from xcompat.matrix import gpu, load, snapshot
from xcompat.matrix.load import SHIPPED, load_issues, load_matrix

GPU = (SHIPPED / "gpu.toml").read_text("utf-8")


@pytest.fixture
def built(tmp_path, monkeypatch):
    """As a wheel has it: files that differ tell which of them are read."""
    folder = tmp_path / "matrices"
    write_matrix(folder, [], {})
    snapshot.write_snapshot(READ_ONCE(), GPU, folder / snapshot.FOLDER)
    (folder / "gpu.toml").write_text("[broken", "utf-8")
    monkeypatch.setattr(load, "SHIPPED", folder)
    monkeypatch.setattr(gpu, "SHIPPED", folder / "gpu.toml")
    return folder


@pytest.mark.usefixtures("built")
def test_a_snapshot_tells_what_was_written():
    assert load_matrix() == READ_ONCE()
    assert load_issues() == READ_ONCE().issues
    assert gpu.load_gpu() == gpu.load_gpu(SHIPPED / "gpu.toml")


@pytest.mark.usefixtures("built")
def test_what_only_words_tell_is_left_out_where_nobody_asks_for_it():
    told = load_matrix(by_words=False)
    assert told.runs == READ_ONCE().runs
    assert told.issues == tuple(issue for issue in READ_ONCE().issues if issue.conditions)


def test_a_folder_that_is_named_is_read_as_it_was_written(built):
    assert load_matrix(built).issues == ()


@pytest.mark.parametrize("damage", [None, "", '[{"code": '])
def test_a_damaged_snapshot_is_told(built, damage):
    file = built / snapshot.FOLDER / "issues.json"
    if damage is None:
        file.unlink()
    else:
        file.write_text(damage, "utf-8")
    with pytest.raises(CannotLook, match="issues") as told:
        load_matrix()
    assert told.value.code == "XC206"


def test_a_snapshot_is_less_than_half_of_what_was_written(built):
    written = sum(
        file.stat().st_size for kind in ("runs", "issues") for file in (SHIPPED / kind).iterdir()
    )
    compact = sum(file.stat().st_size for file in (built / snapshot.FOLDER).iterdir())
    assert compact < written / 2
    runs = json.loads((built / snapshot.FOLDER / "runs.json").read_text("utf-8"))
    assert len(runs["outcomes"]) < len(runs["runs"])
