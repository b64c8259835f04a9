"""The scheduled workflow measures what was released and never run."""

import json
import os
import shlex

import pytest
from packaging.version import Version

import new_cells


def released(**newer):
    return lambda name: Version(newer.get(name.replace("-", "_"), "0.1"))


def test_nothing_new_is_nothing_to_do():
    assert new_cells.cells(released()) == []
    assert new_cells.cells(new_cells.newest_run) == []


def test_a_new_release_stands_beside_versions_that_work():
    (cell,) = new_cells.cells(released(transformers="99.0"))
    assert cell["name"] == "transformers-99.0"
    words = shlex.split(cell["arguments"])
    assert words[words.index("--transformers") + 1] == "99.0"
    assert words[words.index("--torch") + 1] == new_cells._row("extra-xtts")["torch"]
    assert "--torchcodec" not in words


def test_a_new_torch_comes_with_the_newest_torchcodec():
    (cell,) = new_cells.cells(released(torch="9.9"))
    words = shlex.split(cell["arguments"])
    assert words[words.index("--torch") + 1] == "9.9"
    assert words[words.index("--torchcodec") + 1] == new_cells._row("coqui-newest")["torchcodec"]


def test_several_at_once_are_measured_together_too_and_as_a_newcomer_gets_them():
    found = new_cells.cells(released(transformers="99.0", coqui_tts="9.0"))
    assert [cell["name"] for cell in found] == [
        "coqui-tts-9.0", "transformers-99.0", "newest-of-all", "newcomer",
    ]  # fmt: skip
    assert found[-1]["arguments"] == "--tts coqui-tts==9.0"
    json.dumps(found)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for uv is a script")
def test_the_newest_release_is_what_uv_would_install(tmp_path, monkeypatch):
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nread name\necho $name==9.1.2\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert new_cells.newest_release("torch") == Version("9.1.2")
