"""Where a model must lie for TTS to find it by its name, and how no host is asked for it."""

from __future__ import annotations

import json
import socket
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from xcompat.target import downloaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PUBLISHED = {"hf_url": ["https://example.org/config.json"], "model_hash": "10f92b55"}


@pytest.fixture
def tts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Stand for a TTS that lists what is given."""

    def lists(models: dict[str, Any]) -> None:
        package = ModuleType("TTS")
        package.__file__ = str(tmp_path / "TTS" / "__init__.py")
        (tmp_path / "TTS").mkdir()
        listed = {"tts_models": {"multilingual": {"multi-dataset": models}}}
        (tmp_path / "TTS" / ".models.json").write_text(json.dumps(listed), encoding="utf-8")
        monkeypatch.setitem(sys.modules, "TTS", package)

    return lists


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.pth", "model.safetensors", "config.json"):
        (folder / name).write_text(name, encoding="utf-8")
    return folder


def files_in(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in found}


def test_most_releases_look_in_a_folder_of_their_own_and_compare_a_checksum(
    tmp_path: Path, model: Path, tts: Callable[[dict[str, Any]], None]
) -> None:
    tts({"xtts_v2": PUBLISHED})
    place = downloaded.put_into_cache(model, tmp_path / "caches")
    home = "tts/tts_models--multilingual--multi-dataset--xtts_v2"
    assert place == tmp_path / "caches" / home
    assert files_in(tmp_path / "caches") == {
        f"{home}/tos_agreed.txt": "",
        f"{home}/model.pth": "model.pth",
        f"{home}/config.json": "config.json",
        f"{home}/hash.md5": "10f92b55",
    }


def test_coqui_tts_0_28_looks_in_the_cache_of_the_hub(
    tmp_path: Path, model: Path, tts: Callable[[dict[str, Any]], None]
) -> None:
    tts({"xtts_v2": {"repo_id": "tts-hub/XTTS-v2"}})
    caches = tmp_path / "caches"
    place = downloaded.put_into_cache(model, caches)
    repository = caches / "hub" / "models--tts-hub--XTTS-v2"
    assert place.parent == repository / "snapshots"
    assert (repository / "refs" / "main").read_text("ascii") == place.name
    assert set(files_in(place)) == {"model.pth", "config.json"}
    told = downloaded.cache_variables(caches)
    assert told == {"TTS_HOME": str(caches), "HF_HUB_CACHE": str(caches / "hub")}


def test_a_tts_that_does_not_know_the_model_is_told_by_its_name(
    tmp_path: Path, model: Path, tts: Callable[[dict[str, Any]], None]
) -> None:
    tts({"xtts_v1": PUBLISHED})
    with pytest.raises(KeyError, match="xtts_v2"):
        downloaded.put_into_cache(model, tmp_path / "caches")


def test_no_host_is_found_offline_and_every_one_again_after() -> None:
    before = socket.getaddrinfo
    with downloaded.offline(), pytest.raises(OSError, match=r"example\.org is not asked for"):
        socket.create_connection(("example.org", 443))
    assert socket.getaddrinfo is before
