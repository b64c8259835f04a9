"""The graphics card in `doctor`, `resolve` and `smoke`, on machines made of files."""

import json
import os
from functools import partial

import pytest

from builders.environments import make_venv
from builders.graphics import ANSWERS, add_kfd, add_pci, make_nvidia_smi, saying
from builders.terminal import type_command
from xcompat.environment import gpu

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the drivers here are shell scripts")

PROBE = gpu.GraphicsProbe
"""The real one: the conftest of this folder takes its place."""
COQUI = {
    "coqui-tts": "0.28.0", "coqui-tts-trainer": "0.4.0", "coqpit-config": "0.2.5",
    "torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.57.6", "tokenizers": "0.22.2",
    "numpy": "2.4.6", "six": "1.17.0",
}  # fmt: skip


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine whose files lie in a folder, and whose PATH has no driver yet."""
    root = tmp_path / "machine"
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    probe = partial(PROBE, environ, "linux", root, time_limit=10.0)
    monkeypatch.setattr("xcompat.environment.gpu.GraphicsProbe", probe)
    monkeypatch.setattr("xcompat.cli.graphics.this_platform", lambda: "linux-x86_64")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture
def type_(monkeypatch, capsys, machine):
    return lambda *words: type_command(monkeypatch, capsys, *words)


def installed(tmp_path, build="", **changes):
    """Make an environment with a torch of that build."""
    packages = {**COQUI, **changes}
    site = make_venv(tmp_path / "venv", {n: v for n, v in packages.items() if v})
    for name in ("torch", "torchaudio"):
        if build and packages[name]:
            (site / name).mkdir()
            text = f"__version__ = '{packages[name]}+{build}'\n"
            (site / name / "version.py").write_text(text)
    return "--python", str(tmp_path / "venv"), "--platform", "linux-x86_64"


def test_a_torch_for_the_cpu_beside_a_card(type_, tmp_path):
    make_nvidia_smi(tmp_path / "bin", saying(ANSWERS["H100"]))
    where = installed(tmp_path, "cpu")
    status, out, _ = type_("doctor", *where)
    assert status == 0
    assert (
        "  NVIDIA H100 80GB HBM3, sm_90, 79.6 GiB, driver 580.65.06: not used, torch 2.8.0 is built"
        " for the\n    CPU alone\n"
    ) in out
    line = (
        "uv pip install --python ./venv/bin/python torch==2.8.0+cu128 torchaudio==2.8.0+cu128"
        " --index-url https://download.pytorch.org/whl/cu128"
    )
    assert f"       {line}\n" in out
    status, out, _ = type_("doctor", *where, "--json")
    told = json.loads(out)
    assert status == 0
    assert told["gpu"]["uses"] is False
    assert told["gpu"]["build"] == "cu128"
    assert told["gpu"]["card"]["memory_mib"] == 81559
    (finding,) = [each for each in told["findings"] if each["code"] == "XC601"]
    assert finding["severity"] == "warning"
    assert finding["fix"] == [told["gpu"]["command"]]


def test_the_doctor_does_not_send_to_the_doctor(type_, tmp_path, machine):
    add_pci(machine, "0000:01:00.0", "0x10de")
    _, out, _ = type_("doctor", *installed(tmp_path, "cu128"), "--json")
    (finding,) = [each for each in json.loads(out)["findings"] if each["code"] == "XC605"]
    assert finding["fix"][0].startswith("nvidia-smi  # ")
    assert not any("xcompat doctor" in fix for fix in finding["fix"])


def test_a_card_that_is_used_takes_one_line(type_, tmp_path):
    make_nvidia_smi(tmp_path / "bin", saying(ANSWERS["Tesla T4"], ANSWERS["Tesla T4"]))
    status, out, _ = type_("doctor", *installed(tmp_path, "cu128"))
    assert status == 0
    assert "Tesla T4 (2 times), sm_75, 15.0 GiB, driver 550.90.07: used, torch 2.8.0" in out
    assert "XC6" not in out


def test_nobody_looks_where_that_is_not_wanted(type_, tmp_path):
    trace = tmp_path / "ran"
    make_nvidia_smi(tmp_path / "bin", f"touch {trace}")
    where = installed(tmp_path, "cpu")
    _, out, _ = type_("doctor", *where, "--no-gpu", "--json")
    assert json.loads(out)["gpu"] is None
    _, out, _ = type_("doctor", *where[:2], "--platform", "win-amd64", "--json")
    assert json.loads(out)["gpu"] is None
    type_("resolve", *where, "--no-gpu")
    assert not trace.exists()


def test_a_machine_without_a_card(type_, tmp_path):
    where = installed(tmp_path, "cu128")
    _, out, _ = type_("doctor", *where, "--json")
    told = json.loads(out)["gpu"]
    assert told["cards"] == []
    assert told["why"] == "no graphics card was seen"
    assert told["build"] == "cpu"


def test_a_driver_that_hangs_does_not_hold_the_doctor(type_, monkeypatch, machine, tmp_path):
    make_nvidia_smi(tmp_path / "bin", "sleep 600")
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    probe = partial(PROBE, environ, "linux", machine, time_limit=0.2)
    monkeypatch.setattr("xcompat.environment.gpu.GraphicsProbe", probe)
    status, out, _ = type_("doctor", *installed(tmp_path, "cu128"), "--json")
    assert status == 0
    assert json.loads(out)["gpu"]["trouble"] == "nvidia-smi does not answer"


def test_a_plan_takes_the_build_for_the_card(type_, tmp_path):
    make_nvidia_smi(tmp_path / "bin", saying(ANSWERS["GTX 1060"]))
    where = installed(tmp_path, torch="", torchaudio="")
    status, out, _ = type_("resolve", *where, "--keep", "torch==2.8.0", "--json")
    plan = json.loads(out)["proposals"][0]
    assert status == 0
    assert plan["build"] == "cu126"
    assert {"torch==2.8.0+cu126", "torchaudio==2.8.0+cu126"} <= {*plan["requirements"]}
    (command,) = [each for each in plan["commands"] if "install" in each]
    assert command.endswith(" --torch-backend cu126")


def test_with_pip_a_plan_names_the_index(type_, tmp_path, machine):
    add_kfd(machine, 1, 110000, 25753026560)
    where = installed(tmp_path, torch="", torchaudio="", pip="25.0")
    _, out, _ = type_("resolve", *where, "--keep", "torch==2.8.0", "--json")
    plan = json.loads(out)["proposals"][0]
    (command,) = [each for each in plan["commands"] if "install" in each]
    assert " -m pip install " in command
    assert '"torch==2.8.0+rocm6.4"' in command
    assert command.endswith(" --extra-index-url https://download.pytorch.org/whl/rocm6.4")


def test_where_the_default_index_serves_nothing_is_named(type_, tmp_path):
    make_nvidia_smi(tmp_path / "bin", saying(ANSWERS["H100"]))
    where = installed(tmp_path, torch="", torchaudio="")
    _, out, _ = type_("resolve", *where, "--keep", "torch==2.8.0", "--json")
    plan = json.loads(out)["proposals"][0]
    assert plan["build"] == ""
    assert "torch==2.8.0" in plan["requirements"]


def test_a_plan_that_leaves_torch_says_what_the_card_needs(type_, tmp_path):
    make_nvidia_smi(tmp_path / "bin", saying(ANSWERS["RTX 5080 Laptop"]))
    _, out, _ = type_("resolve", *installed(tmp_path, "cpu"), "--json")
    plan = json.loads(out)["proposals"][0]
    (note,) = [each for each in plan["notes"] if "graphics card" in each]
    assert note.startswith("the graphics card is not used: torch 2.8.0 is built for the CPU alone;")
    assert note.endswith("--index-url https://download.pytorch.org/whl/cu128")


def test_the_smoke_says_why_the_card_is_not_taken(type_, tmp_path, machine):
    make_nvidia_smi(tmp_path / "bin", saying(ANSWERS["GTX 1060"]))
    installed(tmp_path, "cu128")
    _, _, err = type_("smoke", "--python", str(tmp_path / "venv"), "--device", "auto")
    told = " ".join(err.split())
    assert "note: NVIDIA GeForce GTX 1060 6GB is not taken: torch 2.8.0 (cu128) has no code" in told
    assert "torch==2.8.0+cu126 torchaudio==2.8.0+cu126" in told
    _, _, err = type_("smoke", "--python", str(tmp_path / "venv"), "--device", "cpu")
    assert "is not taken" not in err
