"""What lies in the caches is told by content, from the first and last bytes, and nothing is run."""

import json
import os
from pathlib import Path, PurePosixPath

import pytest

from builders import checkpoints
from builders import pickle_asm as asm
from xcompat.converters import convert, write_tiny_release
from xcompat.converters.model.caches import cache_places, find_checkpoints

HUB = "models--coqui--XTTS-v2"
TTS_FOLDER = "tts_models--multilingual--multi-dataset--xtts_v2"


def found(place: Path):
    return {
        str(PurePosixPath(item.path.relative_to(place))): item for item in find_checkpoints([place])
    }


@pytest.fixture
def model(tmp_path) -> Path:
    """A released model where TTS downloads it to."""
    folder = tmp_path / "tts" / TTS_FOLDER
    write_tiny_release(folder)
    return folder


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({}, "linux", ["~/.local/share/tts", "~/.cache/huggingface/hub"]),
        ({}, "darwin", ["~/Library/Application Support/tts", "~/.cache/huggingface/hub"]),
        ({"LOCALAPPDATA": "/local"}, "win32", ["/local/tts", "~/.cache/huggingface/hub"]),
        ({}, "win32", ["~/AppData/Local/tts", "~/.cache/huggingface/hub"]),
        (
            {"XDG_DATA_HOME": "/data", "XDG_CACHE_HOME": "/cache"},
            "linux",
            ["/data/tts", "~/.local/share/tts", "/cache/huggingface/hub"],
        ),
        (
            {"TTS_HOME": "~/models", "XDG_DATA_HOME": "/data", "HF_HOME": "/hf"},
            "darwin",
            ["~/models/tts", "~/Library/Application Support/tts", "/hf/hub"],
        ),
        (
            {"HF_HOME": "/hf", "HF_HUB_CACHE": "/hub", "TTS_HOME": ""},
            "linux",
            ["~/.local/share/tts", "/hub"],
        ),
    ],
)
def test_the_places_of_each_platform(environ, platform, expected):
    home = Path("/home/me")
    places = [str(home / item[2:]) if item[0] == "~" else item for item in expected]
    assert [str(place) for place in cache_places(environ, platform, home)] == [
        str(Path(place)) for place in places
    ]


def test_a_released_model_is_pickled(model, tmp_path):
    (item,) = find_checkpoints([tmp_path / "tts"])
    assert item.path == model / "model.pth"
    assert (item.kind, item.target) == ("pickled", None)
    assert item.size == (model / "model.pth").stat().st_size
    assert {"config.json", "vocab.json", "speakers_xtts.pth"} <= set(item.companions)
    assert item.text_tokens == item.vocabulary_tokens > 0
    assert not item.is_mixed
    assert not item.is_converted


@pytest.mark.parametrize(("format_", "kind"), [("safetensors", "safetensors"), ("pth", "tensors")])
def test_a_converted_folder(model, format_, kind):
    converted = model.parent / "converted"
    convert(model, converted, format=format_)
    (item,) = find_checkpoints([converted])
    assert item.kind == kind
    assert item.is_converted
    assert item.text_tokens == item.vocabulary_tokens > 0


def test_a_training_checkpoint_that_names_another_class_is_pickled(tmp_path):
    extra = asm.name("collections", "defaultdict")
    checkpoints.write(tmp_path, checkpoints.checkpoint(optimizer=extra), "best_model_12.pth")
    assert found(tmp_path)["best_model_12.pth"].kind == "pickled"


def test_tensors_alone_are_not_pickled(tmp_path):
    checkpoints.write(tmp_path, checkpoints.checkpoint())
    item = found(tmp_path)["model.pth"]
    assert item.kind == "tensors"
    assert item.text_tokens == checkpoints.SHAPES["gpt.text_embedding.weight"][0]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:98f7\nsize 186\n", "lfs-pointer"),
        (b"\n<!DOCTYPE html><title>502 Bad Gateway</title>", "html"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "html"),
        (b"", "empty"),
        (bytes(5000), "empty"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.rest", "legacy"),
        (b"PK\x03\x04 and nothing else", "truncated"),
        (b"Not Found", "foreign"),
    ],
)
def test_what_a_download_left_instead_of_a_model(model, tmp_path, content, kind):
    (model / "model.pth").write_bytes(content)
    items = found(tmp_path / "tts")
    if kind == "legacy":
        # Nothing in its first bytes says XTTS, so it is left out like any other model.
        assert items == {}
    else:
        assert items[f"{TTS_FOLDER}/model.pth"].kind == kind


@pytest.mark.parametrize("missing", [1, 23, 5000])
def test_a_cut_archive_is_truncated(model, tmp_path, missing):
    whole = (model / "model.pth").read_bytes()
    (model / "model.pth").write_bytes(whole[:-missing])
    assert found(tmp_path / "tts")[f"{TTS_FOLDER}/model.pth"].kind == "truncated"


def test_a_cut_safetensors_file_is_truncated(model):
    converted = model.parent / "converted"
    convert(model, converted)
    whole = (converted / "model.safetensors").read_bytes()
    for kept in (len(whole) - 1, 4000):
        (converted / "model.safetensors").write_bytes(whole[:kept])
        assert found(converted)["model.safetensors"].kind == "truncated"


def test_the_files_beside_a_model_are_told_where_they_are_broken(model, tmp_path):
    (model / "config.json").write_bytes(b"<html>gateway</html>")
    (model / "speakers_xtts.pth").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    kinds = {name.rpartition("/")[2]: item.kind for name, item in found(tmp_path / "tts").items()}
    assert kinds == {
        "model.pth": "pickled",
        "config.json": "html",
        "speakers_xtts.pth": "lfs-pointer",
    }


def test_a_vocabulary_of_another_version(model, tmp_path):
    vocabulary = json.loads((model / "vocab.json").read_text())
    vocabulary["model"]["vocab"]["new"] = 9999
    (model / "vocab.json").write_text(json.dumps(vocabulary))
    (item,) = find_checkpoints([tmp_path / "tts"])
    assert item.is_mixed
    assert item.vocabulary_tokens == item.text_tokens + 1


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"model": 3}', '{"model": {"vocab": [1]}}', "\x00"]
)
def test_a_vocabulary_that_cannot_be_read_is_not_held_against_the_model(model, tmp_path, content):
    (model / "vocab.json").write_text(content)
    item = found(tmp_path / "tts")[f"{TTS_FOLDER}/model.pth"]
    assert item.vocabulary_tokens is None
    assert not item.is_mixed


def hub_repository(hub: Path, model: Path) -> Path:
    """Lay a model out as Hugging Face does: blobs, and a snapshot of links to them."""
    snapshot = hub / HUB / "snapshots" / "6c2b0d75"
    blobs = hub / HUB / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for index, file in enumerate(sorted(model.iterdir())):
        file.rename(blobs / f"{index:064x}")
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", f"{index:064x}"))
    return snapshot


def test_a_model_of_hugging_face_is_reached_through_its_links(model, tmp_path):
    hub = tmp_path / "hub"
    snapshot = hub_repository(hub, model)
    (item,) = find_checkpoints([hub])
    assert item.path == snapshot / "model.pth"
    assert item.kind == "pickled"
    assert item.target is not None
    assert item.target.parent == (hub / HUB / "blobs").resolve()
    item.target.unlink()
    (item,) = find_checkpoints([hub])
    assert (item.kind, item.size) == ("dangling", 0)


def test_an_interrupted_download_is_told(tmp_path):
    blobs = tmp_path / HUB / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "98f7.incomplete").write_bytes(b"PK\x03\x04")
    assert found(tmp_path)[f"{HUB}/blobs/98f7.incomplete"].kind == "truncated"


def test_other_models_are_left_out(tmp_path):
    other = tmp_path / "models--other--voice" / "snapshots" / "1"
    other.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (other / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    (other / "model.pth").write_bytes(b"<html>")
    assert found(tmp_path) == {}


def test_places_that_are_missing_unreadable_or_given_twice(model, tmp_path):
    tts = tmp_path / "tts"
    file = tmp_path / "file"
    file.touch()
    assert len(list(find_checkpoints([tmp_path / "none", file, tts, tts, model]))) == 1


def test_links_between_folders_do_not_lead_round_in_circles(model, tmp_path):
    (model / "again").symlink_to(tmp_path / "tts")
    assert len(list(find_checkpoints([tmp_path / "tts"]))) == 1


@pytest.mark.skipif(os.name == "nt", reason="no such thing on Windows")
def test_a_fifo_is_not_waited_for(model, tmp_path):
    (model / "model.pth").unlink()
    os.mkfifo(model / "model.pth")
    assert found(tmp_path / "tts")[f"{TTS_FOLDER}/model.pth"].kind == "foreign"


def test_little_is_read_of_a_large_file(model, tmp_path):
    with (model / "model.pth").open("r+b") as file:
        file.truncate(40 << 30)
    assert found(tmp_path / "tts")[f"{TTS_FOLDER}/model.pth"].kind == "truncated"
