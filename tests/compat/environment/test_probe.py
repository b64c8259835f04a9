import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders.environments import (
    TTS_22,
    add_distribution,
    answer_of,
    make_interpreter,
    make_venv,
)
from xcompat.environment import distributions, layout, platforms, probe, system
from xcompat.errors import CannotLook


@pytest.fixture(autouse=True)
def _no_active_environment(monkeypatch):
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("PYTHONNOUSERSITE", raising=False)


def refused(code, python):
    with pytest.raises(CannotLook) as caught:
        probe.environment_of(str(python))
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value.message


class TestVenv:
    def test_versions_come_from_metadata_and_nothing_is_run(self, tmp_path):
        site = make_venv(tmp_path / "v", TTS_22)
        marker = tmp_path / "was-run"
        (site / "evil.pth").write_text(f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n")
        (site / "sitecustomize.py").write_text("raise SystemExit(9)\n")
        found = probe.environment_of(str(tmp_path / "v"))
        assert found.packages == TTS_22
        assert found.python == "3.11.7"
        assert found.interpreter == str(tmp_path / "v/bin/python")
        assert found.complete
        assert not marker.exists()

    @pytest.mark.parametrize("name", ["v", "v/bin/python", "v/bin/../bin/python"])
    def test_a_folder_or_its_interpreter(self, tmp_path, name):
        make_venv(tmp_path / "v", TTS_22)
        assert probe.environment_of(str(tmp_path / name)).packages == TTS_22

    def test_a_command_on_the_path(self, tmp_path, monkeypatch):
        make_venv(tmp_path / "v", TTS_22)
        (tmp_path / "v/bin/python").rename(tmp_path / "v/bin/my-python")
        (tmp_path / "v/bin/python").symlink_to("my-python")
        monkeypatch.setenv("PATH", str(tmp_path / "v/bin"))
        assert probe.environment_of("my-python").packages == TTS_22

    def test_the_interpreter_is_a_link_to_another_installation(self, tmp_path):
        make_venv(tmp_path / "v", TTS_22, interpreter=False)
        (tmp_path / "v/bin").mkdir()
        (tmp_path / "v/bin/python").symlink_to(sys.executable)
        assert probe.environment_of(str(tmp_path / "v/bin/python")).packages == TTS_22

    def test_the_activated_one_is_here(self, tmp_path, monkeypatch):
        make_venv(tmp_path / "v", TTS_22)
        monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "v"))
        assert probe.environment_of().packages == TTS_22

    def test_here_without_one_is_this_python(self):
        found = probe.environment_of()
        assert found.python == ".".join(map(str, sys.version_info[:3]))
        assert found.interpreter == sys.executable
        assert "pytest" in found.packages

    def test_windows(self, tmp_path):
        make_venv(tmp_path / "v", TTS_22, windows=True)
        assert probe.environment_of(str(tmp_path / "v")).packages == TTS_22
        assert probe.environment_of(str(tmp_path / "v/Scripts/python.exe")).packages == TTS_22

    def test_uv_writes_another_key(self, tmp_path):
        make_venv(tmp_path / "v", TTS_22, version="3.12.4")
        (tmp_path / "v/pyvenv.cfg").write_text("home = /x\nversion_info = 3.12.4.final.0\n")
        assert probe.environment_of(str(tmp_path / "v")).python == "3.12.4"

    def test_the_folder_of_an_older_python_is_left_alone(self, tmp_path):
        make_venv(tmp_path / "v", {"torch": "2.9.1"}, version="3.12.0")
        add_distribution(tmp_path / "v/lib/python3.9/site-packages", "torch", "1.0")
        assert probe.environment_of(str(tmp_path / "v")).packages == {"torch": "2.9.1"}

    def test_lib64_is_the_same_folder(self, tmp_path):
        make_venv(tmp_path / "v", TTS_22)
        (tmp_path / "v/lib64").symlink_to("lib")
        assert probe.environment_of(str(tmp_path / "v")).duplicates == {}

    def test_its_python_was_removed(self, tmp_path):
        make_venv(tmp_path / "v", TTS_22, interpreter=False)
        (tmp_path / "v/bin").mkdir()
        (tmp_path / "v/bin/python").symlink_to(tmp_path / "gone")
        assert "leads nowhere" in refused("XC203", tmp_path / "v")
        assert "leads nowhere" in refused("XC203", tmp_path / "v/bin/python")

    def test_it_never_had_one(self, tmp_path):
        make_venv(tmp_path / "v", interpreter=False)
        assert "no interpreter" in refused("XC203", tmp_path / "v")

    def test_a_copy_whose_interpreter_is_that_of_another_one(self, tmp_path):
        make_venv(tmp_path / "v", TTS_22, interpreter=False)
        (tmp_path / "v/pyvenv.cfg").unlink()
        (tmp_path / "v/bin").mkdir()
        (tmp_path / "v/bin/python").symlink_to(Path(sys.executable).resolve())
        assert "its interpreter belongs to" in refused("XC203", tmp_path / "v")

    def test_it_sees_the_packages_of_its_base(self, tmp_path):
        base = tmp_path / "base"
        site = base / "site-packages"
        add_distribution(site, "torch", "2.1.0")
        add_distribution(site, "transformers", "4.40.2")
        make_interpreter(base / "python3.11", answer_of(site))
        make_venv(
            tmp_path / "v",
            {"torch": "2.9.1"},
            settings=f"include-system-site-packages = true\nhome = {base}\n",
        )
        (tmp_path / "v/pyvenv.cfg").write_text(
            f"home = {base}\nversion = 3.11.7\ninclude-system-site-packages = true\n"
        )
        found = probe.environment_of(str(tmp_path / "v"))
        assert found.packages == {"torch": "2.9.1", "transformers": "4.40.2"}
        assert found.duplicates == {}


class TestAsked:
    def test_a_base_interpreter_says_where_its_packages_are(self, tmp_path):
        dist = tmp_path / "dist-packages"
        add_distribution(dist, "torch", "2.9.1")
        user = tmp_path / "user"
        add_distribution(user, "torch", "2.8.0")
        make_interpreter(tmp_path / "bin/python3", answer_of(dist, dist, user=user))
        found = probe.environment_of(str(tmp_path / "bin/python3"))
        assert (found.python, found.platform) == ("3.11.2", "linux-x86_64")
        assert found.packages == {"torch": "2.8.0"}
        assert found.interpreter == "/usr/bin/python3"

    def test_the_user_site_can_be_off(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PYTHONNOUSERSITE", "1")
        user = tmp_path / "user"
        add_distribution(user, "torch", "2.8.0")
        make_interpreter(tmp_path / "bin/python3", answer_of(user=user))
        assert probe.environment_of(str(tmp_path / "bin/python3")).packages == {}

    def test_a_prefix_without_pyvenv_cfg(self, tmp_path):
        conda = tmp_path / "conda"
        make_interpreter(conda / "bin/python", answer_of(prefix=str(conda)))
        assert probe.environment_of(str(conda)).python == "3.11.2"

    def test_a_real_one_answers(self):
        found = probe.environment_of(os.path.realpath(sys.executable))
        assert found.python == ".".join(map(str, sys.version_info[:3]))
        assert found.platform == platforms.this_platform()

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            ("Python 3.11", "not a Python that xcompat understands"),
            ("[]", "not a Python that xcompat understands"),
            (answer_of(site=None), "not a Python that xcompat understands"),
        ],
    )
    def test_something_else_answers(self, tmp_path, answer, why):
        path = make_interpreter(tmp_path / "bin/python", answer)
        assert why in refused("XC202", path)

    def test_it_fails(self, tmp_path):
        path = make_interpreter(tmp_path / "bin/python", "")
        path.write_text("#!/bin/sh\necho loading >&2; echo no libpython >&2; exit 127\n")
        assert refused("XC202", path).endswith("no libpython")
        path.write_text("#!/bin/sh\nexit 3\n")
        assert refused("XC202", path).endswith("it ended with status 3")

    def test_it_hangs(self, tmp_path, monkeypatch):
        monkeypatch.setattr(layout, "ASK_TIMEOUT", 0.1)
        path = make_interpreter(tmp_path / "bin/python", "")
        path.write_text("#!/bin/sh\nexec sleep 30\n")
        assert "no answer within" in refused("XC202", path)

    def test_it_is_no_program(self, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("hello")
        refused("XC202", path)

    def test_there_is_none(self, tmp_path):
        refused("XC201", tmp_path / "gone")
        refused("XC201", "no-such-python-anywhere")
        assert "not a virtual environment" in refused("XC201", tmp_path)


class TestDistributions:
    @pytest.fixture
    def site(self, tmp_path):
        return make_venv(tmp_path / "v")

    @pytest.fixture
    def packages(self, tmp_path):
        return lambda: probe.environment_of(str(tmp_path / "v")).packages

    def test_names_are_normalised(self, site, packages):
        for name in ("Coqui_TTS", "tts", "jaraco.functools"):
            add_distribution(site, name, "1.0")
        assert packages() == {"coqui-tts": "1.0", "TTS": "1.0", "jaraco-functools": "1.0"}

    def test_unreadable_metadata_leaves_the_name_of_the_folder(self, site, packages):
        add_distribution(site, "torch", "2.9.1", metadata=False)
        add_distribution(site, "TTS", "0.22.0", metadata=False)
        (site / "TTS-0.22.0.dist-info/METADATA").write_bytes(b"\xff\xfe nonsense")
        assert packages() == {"torch": "2.9.1", "TTS": "0.22.0"}

    def test_metadata_decides_as_it_does_for_python(self, site, packages):
        info = add_distribution(site, "torch", "2.9.1")
        (info / "METADATA").write_text("Name: torch\nVersion: 2.9.1+cu128\n")
        assert packages() == {"torch": "2.9.1+cu128"}

    def test_broken_links_and_leftovers_of_pip_are_passed_over(self, site, packages):
        (site / "torch-2.9.1.dist-info").symlink_to(site / "gone")
        (site / "~orchaudio-2.9.1.dist-info").mkdir()
        (site / "notes.txt").touch()
        assert packages() == {"torch": "2.9.1"}

    def test_eggs(self, site, packages):
        add_distribution(site, "torch", "2.9.1-py3.11", kind="egg-info", metadata=False)
        (site / "numpy-1.26.4.egg-info").write_text("Name: numpy\nVersion: 1.26.4\n")
        info = add_distribution(site, "x", "1", kind="egg-info").rename(site / "six.egg-info")
        (info / "PKG-INFO").write_text("Name: six\nVersion: 1.17.0\n")
        assert packages() == {"torch": "2.9.1", "numpy": "1.26.4", "six": "1.17.0"}

    def test_a_develop_install_is_followed(self, site, packages, tmp_path):
        source = tmp_path / "source"
        add_distribution(source, "TTS", "0.22.0", kind="egg-info").rename(source / "TTS.egg-info")
        (site / "TTS.egg-link").write_text(f"{source}\n.")
        (site / "gone.egg-link").write_text("/nowhere\n.")
        (site / "empty.egg-link").write_text("")
        assert packages() == {"TTS": "0.22.0"}

    def test_one_that_is_described_in_both_formats(self, site, tmp_path):
        add_distribution(site, "torch", "2.8.0")
        add_distribution(site, "torch", "2.8.0", kind="egg-info")
        assert probe.environment_of(str(tmp_path / "v")).duplicates == {}

    def test_two_in_one_folder(self, site, tmp_path):
        add_distribution(site, "torch", "2.8.0")
        add_distribution(site, "torch", "2.9.1")
        found = probe.environment_of(str(tmp_path / "v"))
        assert found.duplicates == {"torch": ("2.8.0", "2.9.1")}

    @pytest.mark.parametrize(
        ("version", "text", "build"),
        [
            ("2.9.1", "__version__ = '2.9.1+cu128'\ncuda = '12.8'\n", "cu128"),
            ("2.9.1", "raise SystemExit(9)\n__version__ = '2.9.1+cpu'\n", "cpu"),
            ("2.9.1+cu126", None, "cu126"),
            ("2.9.1", "__version__ = '2.9.1'\n", None),
            ("2.9.1", None, None),
        ],
    )
    def test_builds_are_read_as_text(self, site, tmp_path, version, text, build):
        add_distribution(site, "torch", version)
        if text:
            (site / "torch").mkdir()
            (site / "torch/version.py").write_text(text)
        assert probe.environment_of(str(tmp_path / "v")).builds.get("torch") == build

    def test_an_unreadable_folder_holds_nothing(self, tmp_path):
        assert distributions.distributions_in((tmp_path / "gone",)) == {}


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("linux-x86_64", "linux-x86_64"),
        ("manylinux_2_28_x86_64", "linux-x86_64"),
        ("manylinux2014_aarch64", "linux-aarch64"),
        ("musllinux_1_2_x86_64", "linux-x86_64"),
        ("macosx-14.0-arm64", "macosx-arm64"),
        ("macosx_11_0_arm64", "macosx-arm64"),
        ("macosx-10.9-x86_64", "macosx-x86_64"),
        ("macosx-arm64", "macosx-arm64"),
        ("win-amd64", "win-amd64"),
        ("win_amd64", "win-amd64"),
    ],
)
def test_platform_names(tag, name):
    assert platforms.platform_name(tag) == name


@pytest.mark.parametrize(
    ("tag", "platform"),
    [
        ("cp311-none-macosx_11_0_arm64", "macosx-arm64"),
        ("cp311-none-macosx_10_9_x86_64", "macosx-x86_64"),
        ("cp311-none-macosx_10_9_universal2", "macosx-arm64"),
    ],
)
def test_on_a_mac_the_wheels_tell_the_platform(tmp_path, monkeypatch, tag, platform):
    site = make_venv(tmp_path / "v", {"torch": "2.2.2"})
    (site / "torch-2.2.2.dist-info/WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(layout, "this_platform", lambda: "macosx-arm64")
    monkeypatch.setattr("platform.mac_ver", lambda: ("15.2", ("", "", ""), "arm64"))
    found = probe.environment_of(str(tmp_path / "v"))
    assert found.platform == platform
    assert found.system == {"macos": "15.2"}


def test_a_path_that_begins_at_home(tmp_path, monkeypatch):
    make_venv(tmp_path / "v", TTS_22)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert probe.environment_of("~/v").packages == TTS_22
    assert Path("~").expanduser() == tmp_path


@pytest.mark.parametrize(
    ("machine", "version", "platform", "expected"),
    [
        ("x86_64", "root:xnu-10002.41.9~6/RELEASE_ARM64_T6000", "macosx-x86_64", True),
        ("arm64", "root:xnu-10002.41.9~6/RELEASE_ARM64_T6000", "macosx-x86_64", True),
        ("x86_64", "root:xnu-10002.41.9~6/RELEASE_X86_64", "macosx-x86_64", False),
        ("arm64", "root:xnu-10002.41.9~6/RELEASE_ARM64_T6000", "macosx-arm64", False),
    ],
)
def test_an_intel_python_on_apple_silicon(monkeypatch, machine, version, platform, expected):
    monkeypatch.setattr(sys, "platform", "darwin")
    host = SimpleNamespace(machine=machine, version=version)
    monkeypatch.setattr(os, "uname", lambda: host)
    signs = {"rosetta": ("/venv/bin/python",)} if expected else {}
    assert system.rosetta_sign(platform, "/venv/bin/python") == signs
