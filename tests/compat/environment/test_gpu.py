"""The look at graphics cards: recorded answers of drivers, and trees as kernels show them."""

import os
import subprocess
import sys
import time

import pytest

from builders.graphics import (
    ANSWERS,
    add_kfd,
    add_pci,
    add_proc,
    make_nvidia_smi,
    saying,
    write,
)
from xcompat.domain.gpu import Card, Graphics
from xcompat.environment.gpu import GraphicsProbe

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the drivers here are shell scripts")


def is_alive(pid):
    """Return whether a process runs: one that nobody has asked for its status yet does not."""
    told = subprocess.run(
        ["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False
    )
    return told.stdout.strip()[:1] not in ("", "Z")


def look(root, *folders, environ=None, platform="linux", limit=10.0, machine=""):
    path = os.pathsep.join(map(str, folders))
    shell = {"PATH": f"{path}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    return GraphicsProbe(
        {**shell, **(environ or {})}, platform, root, machine=machine, time_limit=limit
    ).found()


@pytest.fixture
def machine(tmp_path):
    return tmp_path / "machine"


@pytest.mark.parametrize(
    ("name", "architecture", "memory"),
    [
        ("H100", "sm_90", 81559),
        ("H200", "sm_90", 143771),
        ("RTX 5080 Laptop", "sm_120", 16303),
        ("GTX 1060", "sm_61", 6144),
        ("Tesla T4", "sm_75", 15360),
        ("GB10", "sm_121", 0),
    ],
)
def test_what_nvidia_smi_says(machine, tmp_path, name, architecture, memory):
    answer = ANSWERS[name]
    make_nvidia_smi(tmp_path / "bin", saying(answer))
    called, driver, *_ = answer.split(", ")
    assert look(machine, tmp_path / "bin") == Graphics(
        (Card("nvidia", called, architecture, memory),), {"nvidia": driver}
    )


def test_several_cards_come_with_the_largest_first(machine, tmp_path):
    make_nvidia_smi(tmp_path / "bin", saying(ANSWERS["GTX 1060"], ANSWERS["Tesla T4"]))
    found = look(machine, tmp_path / "bin")
    assert [card.name for card in found.cards] == ["Tesla T4", "NVIDIA GeForce GTX 1060 6GB"]


def test_a_laptop_has_the_graphics_of_its_processor_as_well(machine, tmp_path):
    make_nvidia_smi(tmp_path / "bin", saying(ANSWERS["RTX 5080 Laptop"]))
    add_pci(machine, "0000:00:02.0", "0x8086", "i915")
    add_pci(machine, "0000:01:00.0", "0x10de", "nvidia")
    found = look(machine, tmp_path / "bin")
    assert [(card.vendor, card.integrated) for card in found.cards] == [
        ("nvidia", False),
        ("intel", True),
    ]


def test_an_old_driver_knows_no_compute_capability(machine, tmp_path):
    script = (
        'case "$*" in *compute_cap*) echo \'Field "compute_cap" is not a valid field to query.\';'
        " exit 2;; esac\necho 'GeForce GTX 1060 6GB, 418.226.00, 6078'"
    )
    make_nvidia_smi(tmp_path / "bin", script)
    found = look(machine, tmp_path / "bin")
    assert found.cards == (Card("nvidia", "GeForce GTX 1060 6GB", "", 6078),)
    assert found.drivers == {"nvidia": "418.226.00"}


def test_a_driver_that_hangs_is_ended_and_the_kernel_tells_the_rest(machine, tmp_path):
    trace = tmp_path / "pid"
    make_nvidia_smi(tmp_path / "bin", f"sleep 600 & echo $$ $! > {trace}\nwait")
    add_proc(machine, "NVIDIA GeForce GTX 1060 6GB")
    begun = time.monotonic()
    found = look(machine, tmp_path / "bin", limit=0.5)
    assert time.monotonic() - begun < 5
    assert found == Graphics(
        (Card("nvidia", "NVIDIA GeForce GTX 1060 6GB"),),
        {"nvidia": "535.183.01"},
        trouble="nvidia-smi does not answer",
    )
    assert not any(is_alive(pid) for pid in trace.read_text().split())


def test_the_driver_answers_while_something_else_is_done(machine, tmp_path):
    make_nvidia_smi(tmp_path / "bin", f"sleep 0.5\n{saying(ANSWERS['H100'])}")
    probe = GraphicsProbe({"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, "linux", machine)
    time.sleep(1.5)
    begun = time.monotonic()
    assert probe.found().cards[0].architecture == "sm_90"
    assert time.monotonic() - begun < 0.4


def test_a_driver_that_fails_says_so_in_its_own_words(machine, tmp_path):
    words = "Failed to initialize NVML: Driver/library version mismatch"
    make_nvidia_smi(tmp_path / "bin", f"echo '{words}'; echo 'NVML library version: 580'; exit 18")
    add_pci(machine, "0000:01:00.0", "0x10de", "nvidia")
    assert look(machine, tmp_path / "bin") == Graphics(
        (Card("nvidia", ready=False),), {}, trouble=f"nvidia-smi: {words}"
    )
    add_proc(machine, "NVIDIA GeForce GTX 1060 6GB")
    (card,) = look(machine, tmp_path / "bin").cards
    assert card == Card("nvidia", "NVIDIA GeForce GTX 1060 6GB", ready=False)


@pytest.mark.parametrize("script", ["exit 0", "echo 'No devices were found'; exit 6", "exit 127"])
def test_a_driver_without_a_card(machine, tmp_path, script):
    make_nvidia_smi(tmp_path / "bin", script)
    found = look(machine, tmp_path / "bin")
    assert found.cards == ()
    assert found.trouble.startswith("nvidia-smi")


def test_a_program_that_cannot_be_run_is_no_driver(machine, tmp_path):
    make_nvidia_smi(tmp_path / "bin", "").write_bytes(b"\x7fELF no program")
    assert look(machine, tmp_path / "bin") == Graphics()


def test_nothing_of_an_environment_is_run(machine, tmp_path):
    trace = tmp_path / "ran"
    for name, mark in (("venv", "pyvenv.cfg"), ("conda", "conda-meta")):
        make_nvidia_smi(tmp_path / name / "bin", f"touch {trace}")
        (tmp_path / name / mark).touch()
    assert look(machine, tmp_path / "venv" / "bin", tmp_path / "conda" / "bin") == Graphics()
    assert not trace.exists()


def test_nothing_of_the_current_folder_is_run(machine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_nvidia_smi(tmp_path, f"touch {tmp_path / 'ran'}")
    assert look(machine, "", ".") == Graphics()
    assert not (tmp_path / "ran").exists()


def test_on_windows_and_under_wsl_it_lies_elsewhere(machine, tmp_path):
    make_nvidia_smi(tmp_path / "System32", saying(ANSWERS["Tesla T4"]), "nvidia-smi.exe")
    environ = {"SystemRoot": str(tmp_path)}
    assert look(machine, platform="win32", environ=environ).cards[0].name == "Tesla T4"
    make_nvidia_smi(machine / "usr" / "lib" / "wsl" / "lib", saying(ANSWERS["Tesla T4"]))
    assert look(machine).cards[0].name == "Tesla T4"


def test_an_amd_7900_xtx_beside_the_graphics_of_a_ryzen(machine):
    add_kfd(machine, 0, 0, cores=16)
    add_kfd(machine, 1, 100306, 536870912)
    add_kfd(machine, 2, 110000, 25753026560)
    add_pci(machine, "0000:03:00.0", "0x1002", "amdgpu")
    write(machine, {"sys/module/amdgpu/version": "6.12.12\n"})
    assert look(machine) == Graphics(
        (
            Card("amd", architecture="gfx1100", memory=24560),
            Card("amd", architecture="gfx1036", memory=512, integrated=True),
        ),
        {"amd": "6.12.12"},
    )


@pytest.mark.parametrize(
    ("target", "name"), [(90010, "gfx90a"), (90402, "gfx942"), (110501, "gfx1151")]
)
def test_the_names_of_amds_architectures(machine, target, name):
    add_kfd(machine, 1, target, 64 << 30)
    assert look(machine).cards[0].architecture == name


def test_an_amd_card_whose_driver_does_not_compute(machine):
    add_pci(machine, "0000:03:00.0", "0x1002", "amdgpu")
    assert look(machine).cards == (Card("amd", ready=False),)


def test_an_intel_arc_beside_the_graphics_of_a_core(machine):
    add_pci(machine, "0000:00:02.0", "0x8086", "i915")
    add_pci(machine, "0000:03:00.0", "0x8086", "xe")
    assert look(machine).cards == (Card("intel"), Card("intel", integrated=True))


def test_no_card(machine):
    add_pci(machine, "0000:03:00.0", "0x1a03", "ast")
    add_pci(machine, "0000:04:00.0", "0x10de", of="0x040300")
    assert look(machine) == Graphics()


def test_a_variable_that_hides_cards_is_told(machine):
    variables = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": ""}
    assert look(machine, environ=variables).variables == variables


def test_a_mac_has_the_graphics_of_its_chip(machine):
    (card,) = look(machine, platform="darwin", machine="arm64").cards
    assert card.vendor == "apple"
    assert card.integrated
    assert look(machine, platform="darwin", machine="x86_64") == Graphics()


@pytest.mark.skipif(sys.platform != "linux", reason="the tree of this machine is Linux's")
def test_a_look_at_this_machine_ends():
    assert isinstance(GraphicsProbe().found(), Graphics)
