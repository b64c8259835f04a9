"""`doctor --report`: all that a maintainer needs, and nothing of what was planted to be found."""

import getpass
import re
import socket
from pathlib import Path

import pytest

from builders.environments import TTS_22, make_venv
from builders.known import READ_ONCE
from xcompat.render.privacy import Private, scrubbed, shared_variables, shared_version

SECRETS = (
    "hunter2",
    "hf_abcdefghijklmnop",
    "anna.schmidt",
    "anna-laptop",
    "secret-merger",
    "acme",
    "token-of-mine",
)


@pytest.fixture(autouse=True)
def _read_once(monkeypatch):
    monkeypatch.setattr("xcompat.matrix.load.load_matrix", READ_ONCE)


@pytest.fixture
def planted(tmp_path, monkeypatch, home):
    """A person with a name, a host with a name, and secrets wherever one can have them."""
    person = home / "anna.schmidt"
    person.mkdir()
    monkeypatch.setenv("HOME", str(person))
    monkeypatch.setenv("USERPROFILE", str(person))
    monkeypatch.setattr(getpass, "getuser", lambda: "anna.schmidt")
    monkeypatch.setattr(socket, "gethostname", lambda: "anna-laptop.acme.example")
    monkeypatch.setenv("API_KEY", "hunter2")
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "a; echo hunter2")
    monkeypatch.setenv("TTS_HOME", str(person / "voices"))
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    packages = {**TTS_22, "torch": "2.9.1+acme.build7", "secret-merger": "1.0"}
    make_venv(person / "venv", packages)
    model = person / "voices/tts/tts_models--multilingual--multi-dataset--xtts_v2/model.pth"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"<html>hunter2</html>")
    monkeypatch.chdir(tmp_path)
    return person


def test_nothing_private_is_in_it(run, planted):
    told = run("doctor", "--python", str(planted / "venv"), "--report").stdout
    for secret in SECRETS:
        assert secret not in told
    assert str(planted) not in told
    assert str(planted.parent) not in told


def test_all_that_is_needed_is_in_it(run, planted):
    told = run("doctor", "--python", str(planted / "venv"), "--report").stdout
    for needed in (
        *("xcompat ", "on Python 3.", "linux", "read from `~/venv`", "TTS 0.22.0"),
        *("torch 2.9.1+…", "transformers 4.40.2", "**speak**", "others that no run"),
        *("TORCH_FORCE_WEIGHTS_ONLY_LOAD=1", "TTS_HOME=~/voices", "PYTORCH_CUDA_ALLOC_CONF=set"),
        "checkpoint-no-model: ~/voices/tts/",
    ):
        assert needed in told, needed


def test_a_list_is_told_by_its_versions_alone(run, planted):
    lines = (
        "TTS==0.22.0",
        "torch==2.9.1",
        "acme-voice @ https://anna.schmidt:hunter2@acme.example/x.zip",
        "--extra-index-url https://acme.example/?key=token-of-mine",
    )
    Path("pins.txt").write_text("\n".join(lines))
    told = run("doctor", "-r", "pins.txt", "--report").stdout
    assert "a list of distributions, read from `pins.txt`" in told
    for secret in SECRETS:
        assert secret not in told


def test_the_verdict_is_the_exit_code(run, planted):
    Path("pins.txt").write_text("TTS==0.22.0\ntransformers==4.57.1\n")
    done = run("doctor", "-r", "pins.txt", "--report")
    assert done.exit_code == 1
    assert re.search(r"^- XC002 \(error\): ", done.stdout, re.MULTILINE)


PRIVATE = Private(homes=("/home/anna", r"C:\Users\anna"), users=("anna",), hosts=("box.example",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/anna/venv", "~/venv"),
        ("/home/annabel/venv", "/home/annabel/venv"),
        (r"C:\Users\anna\venv", r"~\venv"),
        ("/mnt/Anna/models", "/mnt/<user>/models"),
        ("annals of anna", "annals of <user>"),
        ("on box.example: gone", "on <host>: gone"),
        ("https://u:p@h.org/a?token=abc&x=1", "https://<secret>@h.org/a?token=<secret>&x=<secret>"),
        ("ghp_0123456789abcdef", "<secret>"),
        ("mail a.b@c.example now", "mail <address> now"),
    ],
)
def test_what_tells_of_a_person_is_taken_out(text, expected):
    assert scrubbed(text, PRIVATE) == expected


def test_names_that_everybody_has_stay():
    everybody = Private(homes=("/", "/root"), users=("root", "a"), hosts=("localhost",))
    assert scrubbed("a root at localhost in /root/x", everybody) == "a root at localhost in ~/x"


def test_only_known_variables_are_shown():
    environ = {"HF_HOME": "/home/anna/hf", "AWS_SECRET": "x", "LANG": "de_DE.UTF-8; rm"}
    assert shared_variables(environ, PRIVATE) == {"HF_HOME": "~/hf", "LANG": "set"}


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("2.9.1", "2.9.1"),
        ("2.9.1+cu128", "2.9.1+cu128"),
        ("2.9.1+rocm6.4", "2.9.1+rocm6.4"),
        ("2.9.1+acme", "2.9.1+…"),
        ("2.9.1+cpu.acme", "2.9.1+…"),
    ],
)
def test_a_builder_is_not_named(version, shown):
    assert shared_version(version) == shown
