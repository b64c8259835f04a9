"""The names that apps may hold on to: they say what the commands say, and docs/api.md runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xcompat
from builders import checkpoints
from builders.environments import TTS_22, make_venv
from xcompat.target.sound import write_wav

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """What the page's examples name."""
    monkeypatch.chdir(tmp_path)
    make_venv(tmp_path / "path/to/venv", {**TTS_22, "transformers": "4.57.1"})
    Path("requirements.txt").write_text("TTS==0.22.0\ntorch==2.9.1\ntransformers==4.57.1\n")
    model = tmp_path / "path/to/XTTS-v2"
    model.mkdir()
    checkpoints.write(model, checkpoints.checkpoint())
    write_wav(Path("out.wav"), np.zeros(24_000), 24_000)


def test_diagnose_says_what_the_doctor_says(run):
    told = xcompat.diagnose("path/to/venv", need=["speak"])
    doctor = json.loads(
        run("doctor", "--python", "path/to/venv", "--need", "speak", "--no-gpu", "--json").stdout
    )
    assert (told.verdict, told.answer) == (doctor["verdict"], doctor["answer"])
    assert list(told.next) == doctor["next"]
    assert [x.code for x in told.findings] == [x["code"] for x in doctor["findings"]]
    assert told.capabilities == {k: v["status"] for k, v in doctor["capabilities"].items()}


def test_diagnose_takes_a_list_and_what_is_ignored():
    words = {"requirements": Path("requirements.txt"), "platform": "linux-x86_64"}
    assert xcompat.diagnose(**words, need=["load"]).verdict == "incompatible"
    told = xcompat.diagnose(**words, need=["load"], ignore=["XC001", "XC002"])
    assert told.verdict == "unknown"
    assert "XC001" not in {each.code for each in told.findings}


def test_codes_to_ignore_are_those_that_the_command_takes(run):
    words = {"requirements": "requirements.txt", "platform": "linux-x86_64"}
    assert xcompat.diagnose(**words, ignore=["xc-1, XC002"]) == xcompat.diagnose(
        **words, ignore=["XC001", "2"]
    )
    with pytest.raises(xcompat.XcompatError) as caught:
        xcompat.diagnose(**words, ignore=["XC001", "XC999"])
    refused = run("doctor", "-r", "requirements.txt", "--ignore", "XC999")
    assert caught.value.code == "XC208"
    assert refused.stderr.startswith(f"error[XC208]: {caught.value.message}\n")


def test_plan_proposes_what_resolve_proposes(run):
    told = xcompat.plan(requirements="requirements.txt", keep=["torch"])
    words = ("resolve", "-r", "requirements.txt", "--keep", "torch", "--no-gpu", "--json")
    resolve = json.loads(run(*words).stdout)
    assert [list(x.requirements) for x in told.proposals] == [
        x["requirements"] for x in resolve["proposals"]
    ]
    assert told.proposals[0].changes["transformers"] == ("4.57.1", "4.40.2")


def test_what_cannot_hold_is_told():
    keep = ["TTS==0.22.0", "transformers==4.57.1"]
    told = xcompat.plan(requirements="requirements.txt", keep=keep, platform="linux-x86_64")
    assert not told.proposals
    assert set(told.conflict) >= {"transformers==4.57.1"}


def test_what_goes_wrong_has_a_code():
    with pytest.raises(xcompat.XcompatError) as caught:
        xcompat.diagnose("nowhere")
    assert caught.value.code == "XC201"


def test_every_name_is_on_the_page():
    for name in xcompat.__all__:
        if name != "__version__":
            assert name in PAGE
            assert getattr(xcompat, name)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_run(example, capsys):
    exec(compile(example, "docs/api.md", "exec"), {})
    told = capsys.readouterr().out
    assert bool(told) is ("print(" in example)


def test_a_loader_does_not_wait_for_the_doctor():
    program = "import xcompat, sys; xcompat.load_xtts; print('typer' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout == "False\n"
