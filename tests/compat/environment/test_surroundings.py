"""Variables of the shell and models in caches, as `doctor` tells them."""

import json
import sys
from pathlib import Path

import pytest

from builders.environments import TTS_22, make_venv
from builders.matrices import write_matrix
from xcompat.converters import convert, write_tiny_release
from xcompat.environment.surroundings import signs_around
from xcompat.matrix.load import SHIPPED


@pytest.fixture
def model(home):
    folder = home / ".local/share/tts/tts_models--multilingual--multi-dataset--xtts_v2"
    write_tiny_release(folder)
    return folder


def around(home, **environ):
    return signs_around(environ, "linux", home)


def test_nothing_around(home):
    assert around(home) == {}


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("True", True), ("yes", True), ("0", False), ("", False)]
)
def test_variables(home, value, expected):
    found = around(home, TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=value)
    assert (
        found == {"weights-only-off": (f"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD={value}",)}
    ) is expected
    assert bool(found) is expected


def test_a_released_model_runs_code(home, model):
    (told,) = around(home)["checkpoint-pickled"]
    assert told.startswith(f"{model / 'model.pth'}: ")


@pytest.mark.parametrize("where", ["beside", "inside"])
def test_a_converted_copy_is_enough(home, model, where):
    convert(model, model if where == "inside" else None)
    assert around(home) == {}


@pytest.mark.parametrize(
    ("content", "sign", "words"),
    [
        (b"<html>", "checkpoint-no-model", "a web page, 6 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "checkpoint-no-model", "LFS pointer"),
        (b"", "checkpoint-incomplete", "empty, 0 bytes"),
        (b"PK\x03\x04....", "checkpoint-incomplete", "cut off, 8 bytes"),
    ],
)
def test_downloads_that_failed(home, model, content, sign, words):
    (model / "model.pth").write_bytes(content)
    found = around(home)
    assert list(found) == [sign]
    assert words in found[sign][0]


def test_mixed_versions(home, model):
    vocabulary = json.loads((model / "vocab.json").read_text())
    del vocabulary["model"]["vocab"]["a"]
    (model / "vocab.json").write_text(json.dumps(vocabulary))
    (told,) = around(home)["checkpoint-mixed"]
    assert told.endswith("36 tokens in the model, 35 in vocab.json")


@pytest.mark.skipif(sys.platform != "linux", reason="the cache of another platform")
class TestDoctor:
    @pytest.fixture(autouse=True)
    def venv(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "80")
        make_venv(Path("venv"), TTS_22)
        issues = {
            code: (SHIPPED / f"issues/{code}.toml").read_text("utf-8")
            for code in ("XC001", "XC065", "XC077")
        }
        write_matrix(tmp_path / "matrices", [], issues)
        monkeypatch.setattr("xcompat.matrix.load.SHIPPED", tmp_path / "matrices")

    def test_a_finding_tells_where(self, run, model):
        done = run("doctor", "--python", "venv", "--platform", "linux-x86_64")
        assert "XC077" in done.stdout
        assert str(model / "model.pth") in done.stdout

    def test_json_has_it_too(self, run, model, monkeypatch):
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        told = json.loads(run("doctor", "--python", "venv", "--json").stdout)
        seen = {finding["code"]: finding["seen"] for finding in told["findings"]}
        assert seen["XC065"] == ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1"]
        assert seen["XC077"][0].startswith(str(model))
        assert told["environment"]["signs"]["checkpoint-pickled"] == seen["XC077"]
        # What torch would do with the original is open: the variable decides it.
        assert told["capabilities"]["load"]["status"] == "unknown"
        assert told["capabilities"]["load"]["issues"] == ["XC065"]

    def test_pins_have_no_surroundings(self, run, model, monkeypatch):
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        Path("pins.txt").write_text("TTS==0.22.0\ntorch==2.9.1\ntransformers==4.40.2\n")
        told = json.loads(run("doctor", "-r", "pins.txt", "--json").stdout)
        assert told["environment"]["signs"] == {}
