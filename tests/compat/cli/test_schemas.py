"""What `--json` writes is what the published schemas say, and nothing else."""

import json
from pathlib import Path

import jsonschema
import pytest

from builders import checkpoints, smoked
from builders.environments import TTS_22, make_venv
from builders.known import READ_ONCE
from builders.options import OPTIONS
from builders.schemas import SCHEMAS, check, closed
from xcompat.converters import write_tiny_release
from xcompat.domain.gpu import Card, Graphics, Outlook
from xcompat.render.gpu import outlook_as_json
from xcompat.render.smoke import report_as_json

PINS = "TTS==0.22.0\ntorch==2.9.1\ntransformers==4.57.1\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("xcompat.matrix.load.load_matrix", READ_ONCE)
    Path("pins.txt").write_text(PINS)
    Path("works.txt").write_text("coqui-tts==0.27.2\ntorch==2.8.0\n")
    Path("log.txt").write_text("ImportError: cannot import name 'BeamSearchScorer' from 'TTS'")
    make_venv(tmp_path / "venv", TTS_22)
    (tmp_path / "model").mkdir()
    checkpoints.write(tmp_path / "model", checkpoints.checkpoint())
    write_tiny_release(tmp_path / "release")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("doctor", ("doctor", "-r", "pins.txt", "--ignore", "XC001")),
        ("doctor", ("doctor", "-r", "works.txt", "--platform", "macosx-arm64")),
        ("doctor", ("doctor", "--python", "venv", "--language", "ja")),
        ("doctor-fleet", ("doctor", "pins.txt", "missing.txt")),
        ("doctor-checks", ("doctor", "--list-checks")),
        ("resolve", ("resolve", "-r", "pins.txt")),
        ("resolve", ("resolve", "-r", "pins.txt", "--keep", "transformers==4.57.1")),
        ("explain", ("explain", "XC001")),
        ("explain", ("explain", "XC101")),
        ("explain", ("explain", "--error", "log.txt")),
        ("convert", ("convert", "model", "--dry-run")),
        ("convert", ("convert", "model", "-o", "out", "--dtype", "float16", "--verify")),
        ("convert-fleet", ("convert", "model", "release", "missing")),
        ("convert-fleet", ("convert", ".", "--dry-run")),
        ("convert-find", ("convert", "--find")),
        ("preflight", ("preflight", "--tts", "TTS==0.22.0", "--torch", "2.2.0", "--macos", "14.5")),
        ("matrix", ("matrix",)),
        ("voices", ("voices", "release")),
        ("voices", ("voices", "release", "--export-all", "-o", "voices.pth")),
    ],
)
def test_a_command_writes_what_its_schema_says(run, name, words):
    done = run(*words, "--json")
    check(name, json.loads(done.stdout))


def test_a_model_in_a_cache(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TTS_HOME", str(tmp_path / "home"))
    cached = tmp_path / "home/tts/tts_models--multilingual--multi-dataset--xtts_v2"
    cached.mkdir(parents=True)
    checkpoints.write(cached, checkpoints.checkpoint())
    told = json.loads(run("convert", "--find", "--json").stdout)
    assert told["found"]
    check("convert-find", told)


def test_runs_that_are_sent_in(run):
    shipped = Path(__file__).parents[3] / "matrices/runs/linux-x86_64.jsonl"
    lines = [json.loads(line) for line in shipped.read_text("utf-8").splitlines()]
    newest = {**next(each for each in lines if each["schema"] == 2), "id": "sent-in"}
    check("smoke-record", newest)
    Path("sent.jsonl").write_text(json.dumps(newest) + "\n")
    done = run("matrix", "--check", "sent.jsonl", "--json")
    check("matrix-check", json.loads(done.stdout))


def test_a_smoke(tmp_path):
    check("smoke", json.loads(json.dumps(report_as_json(smoked.speak(tmp_path)))))


def test_every_command_that_writes_json_has_a_schema():
    names = {file.name.removesuffix(".json").partition("-")[0] for file in SCHEMAS.iterdir()}
    assert names >= {name for name, options in OPTIONS.items() if "--json" in options}


def test_every_schema_is_of_a_command_and_says_which():
    for file in SCHEMAS.iterdir():
        schema = json.loads(file.read_text("utf-8"))
        command = file.name.removesuffix(".json").partition("-")[0]
        assert schema["title"].startswith(f"xcompat {command} ")
        assert "--json" in schema["title"]


def test_a_graphics_card():
    card = Card("nvidia", "NVIDIA H100", "sm_90", 81559)
    seen = Graphics((card, Card("intel", integrated=True)), {"nvidia": "580.65.06"}, {}, "late")
    outlook = Outlook(seen, card, uses=False, why="no", signs={"gpu-no-kernels": ("sm_90",)})
    defined = json.loads((SCHEMAS / "doctor.json").read_text("utf-8"))["$defs"]
    schema = closed({**defined["graphics"], "$defs": defined})
    jsonschema.Draft202012Validator(schema).validate(outlook_as_json(outlook))
    jsonschema.Draft202012Validator(schema).validate(outlook_as_json(Outlook(Graphics())))
