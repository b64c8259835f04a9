"""`resolve --apply` and `--lock`, with real installers, real environments and empty wheels."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from builders.environments import make_interpreter
from builders.installed import (
    BOTH,
    COQUI_ENV,
    REPORT,
    TTS_ENV,
    UV,
    imported,
    installed,
    needs_installers,
    stub_uv,
)
from builders.wheels import make_wheel
from xcompat.resolution import lock

FORK = ("--keep", "coqui-tts==0.28.0")


def answering_index(monkeypatch, folder):
    """Let uv ask an index that answers, and has nothing."""
    monkeypatch.delenv("UV_OFFLINE")
    monkeypatch.setenv("UV_DEFAULT_INDEX", folder.as_uri())


def apply(type_, python, *words):
    return type_("resolve", "--python", str(python), "--apply", "--yes", *words)


pytestmark = needs_installers


class TestApply:
    @pytest.mark.parametrize("owner", ["uv", "pip"])
    def test_two_families_become_one_whose_files_are_all_there(self, type_, make, tmp_path, owner):
        python = make(tmp_path / "env", BOTH, owner)
        code, out, err = apply(type_, python)
        assert (code, installed(python)) == (0, COQUI_ENV), err
        assert [imported(python, each) for each in ("TTS", "trainer", "coqpit")] == [
            "coqui-tts", "coqui-tts-trainer", "coqpit-config",
        ]  # fmt: skip
        assert f"Done with {owner}" in out
        assert "\nSpeaks here.\n" in out
        assert (
            json.loads(type_("resolve", "--python", str(python), "--json")[1])["proposals"][0][
                "changes"
            ]
            == []
        )

    @pytest.mark.parametrize("owner", ["uv", "pip"])
    def test_what_must_stay_stays_and_the_way_back_leads_back(self, type_, make, tmp_path, owner):
        python = make(tmp_path / "env", REPORT, owner)
        code, out, _ = apply(type_, python, "--keep", "TTS", "--keep", "torch", "--json")
        told = json.loads(out)["applied"]
        assert (code, installed(python)) == (0, TTS_ENV)
        assert told["installer"] == owner
        assert told["changed"] == [
            {"package": "tokenizers", "before": "0.22.2", "after": "0.19.1"},
            {"package": "transformers", "before": "4.57.2", "after": "4.40.2"},
        ]
        restore = Path(told["restore"]["file"]).read_text()
        assert "\ntransformers==4.57.2\n" in restore
        assert "\n# torch==2.9.1\n" in restore
        for command in told["restore"]["commands"]:
            assert f"#   {command}\n" in restore
            subprocess.run(shlex.split(command), check=True, capture_output=True)
        assert installed(python) == REPORT

    def test_a_swap_leaves_nothing_of_the_other_family(self, type_, make, tmp_path):
        python = make(tmp_path / "env", REPORT)
        code, _, _ = apply(type_, python, *FORK)
        assert (code, installed(python)) == (0, COQUI_ENV)
        for command in _way_back(tmp_path / "env"):
            subprocess.run(shlex.split(command), check=True, capture_output=True)
        assert installed(python) == REPORT
        assert imported(python, "TTS") == "TTS"

    @pytest.mark.parametrize("owner", ["uv", "pip"])
    def test_what_cannot_be_solved_is_not_begun(self, type_, make, tmp_path, owner, monkeypatch):
        python = make(tmp_path / "env", REPORT, owner)
        (tmp_path / "poor").mkdir()
        make_wheel(tmp_path / "poor", "torch", "2.9.1")
        for tool in ("UV", "PIP"):
            monkeypatch.setenv(f"{tool}_FIND_LINKS", str(tmp_path / "poor"))
        answering_index(monkeypatch, tmp_path / "poor")
        code, out, err = apply(type_, python, *FORK)
        assert code == 1
        assert "error[XC214]" in err
        assert "nothing was changed" in err
        assert "Plan: swap TTS" in out
        assert installed(python) == REPORT
        assert not list((tmp_path / "env").glob("xcompat-restore*"))

    @pytest.mark.parametrize("owner", ["uv", "pip"])
    def test_an_index_that_does_not_answer_is_not_blamed_on_what_is_kept(
        self, type_, make, tmp_path, owner, monkeypatch
    ):
        python = make(tmp_path / "env", REPORT, owner)
        for variable in ("FIND_LINKS", "NO_INDEX"):
            for tool in ("UV", "PIP"):
                monkeypatch.delenv(f"{tool}_{variable}", raising=False)
        for name, value in (
            *(
                ("UV_DEFAULT_INDEX", "http://127.0.0.1:9/"),
                ("PIP_INDEX_URL", "http://127.0.0.1:9/"),
            ),
            *(("UV_OFFLINE", "1"), ("PIP_RETRIES", "1"), ("PIP_CONFIG_FILE", os.devnull)),
        ):
            monkeypatch.setenv(name, value)
        code, _, err = apply(type_, python, "--keep", "TTS")
        assert code == 4
        assert "error[XC216]: the package index cannot be reached; nothing was changed" in err
        assert "--keep" not in err
        assert installed(python) == REPORT


def _way_back(environment):
    (file,) = environment.glob("xcompat-restore-*.txt")
    told = file.read_text().splitlines()
    return [line.removeprefix("#   ") for line in told if line.startswith("#   ")]


class TestTrouble:
    def test_what_cannot_be_fetched_is_not_begun(self, type_, make, tmp_path, monkeypatch):
        python = make(tmp_path / "env", REPORT)
        stub_uv(tmp_path, monkeypatch, 'case "$*" in *--target*) exit 7;; esac')
        code, _, err = apply(type_, python)
        assert (code, installed(python)) == (4, REPORT)
        assert "error[XC216]" in err
        assert not list((tmp_path / "env").glob("*xcompat*"))

    def test_a_failure_halfway_tells_the_way_back(self, type_, make, tmp_path, monkeypatch):
        python = make(tmp_path / "env", REPORT)
        stub_uv(
            tmp_path, monkeypatch,
            'case "$*" in *--target*|*--dry-run*|*" -r "*) ;; *"pip install"*) exit 7;; esac',
        )  # fmt: skip
        code, _, err = apply(type_, python, *FORK)
        assert code == 4
        assert "error[XC220]" in err
        assert "TTS" not in installed(python)
        commands = _way_back(tmp_path / "env")
        assert all(f"  {command}\n" in err for command in commands)
        for command in commands:
            subprocess.run(shlex.split(command), check=True, capture_output=True)
        assert installed(python) == REPORT

    @pytest.mark.usefixtures("interruptible")
    def test_ctrl_c_halfway_tells_the_way_back(self, type_, make, tmp_path, monkeypatch):
        python = make(tmp_path / "env", REPORT)
        monkeypatch.setattr("xcompat.resolution.commands.PATIENCE", 0.5)
        stub_uv(
            tmp_path, monkeypatch,
            'case "$*" in *--target*|*--dry-run*|*" -r "*) ;;'
            ' *"pip install"*) kill -INT $PPID; sleep 60;; esac',
        )  # fmt: skip
        code, _, err = apply(type_, python)
        assert code == 130
        assert "interrupted, half changed; to go back:" in err
        assert all(f"  {command}\n" in err for command in _way_back(tmp_path / "env"))

    @pytest.mark.usefixtures("interruptible")
    def test_ctrl_c_before_anything_is_changed_says_so(self, type_, make, tmp_path, monkeypatch):
        python = make(tmp_path / "env", REPORT)
        monkeypatch.setattr("xcompat.resolution.commands.PATIENCE", 0.5)
        stub_uv(tmp_path, monkeypatch, 'case "$*" in *--target*) kill -INT $PPID; sleep 60;; esac')
        code, _, err = apply(type_, python)
        assert (code, installed(python)) == (130, REPORT)
        assert "nothing was changed" in err

    def test_nobody_to_ask(self, type_, make, tmp_path):
        python = make(tmp_path / "env", REPORT)
        code, _, err = type_("resolve", "--python", str(python), "--apply")
        assert (code, installed(python)) == (2, REPORT)
        assert "error[XC217]" in err
        assert "--yes" in err

    def test_pins_are_no_environment(self, type_, tmp_path):
        (tmp_path / "pins.txt").write_text("TTS==0.22.0\ntransformers==5.0.0\n")
        code, out, err = type_("resolve", "-r", "pins.txt", "--apply", "--yes")
        assert code == 2
        assert "error[XC217]" in err
        assert "Plan" in out

    @pytest.mark.parametrize(
        ("field", "words"),
        [({"managed": True}, "PEP 668"), ({"writable": False}, "cannot be written")],
    )
    def test_the_environment_of_somebody_else(self, type_, tmp_path, field, words):
        answer = {
            "version": "3.11.7", "platform": "linux-x86_64", "executable": str(tmp_path / "python"),
            "prefix": str(tmp_path), "user": "", "site": [], "distributions": [],
            "managed": False, "writable": True, "purelib": str(tmp_path), **field,
        }  # fmt: skip
        make_interpreter(tmp_path / "python", json.dumps(answer))
        code, _, err = apply(type_, tmp_path / "python")
        assert code == 1
        assert "error[XC218]" in err
        assert words in err
        assert "-m venv FOLDER" in err

    def test_no_installer_at_all(self, type_, make, tmp_path, monkeypatch):
        python = make(tmp_path / "env", REPORT)
        monkeypatch.setattr("xcompat.resolution.installation.find_uv", lambda: None)
        code, _, err = apply(type_, python)
        assert (code, installed(python)) == (4, REPORT)
        assert "error[XC219]" in err

    def test_what_conda_installed_is_not_touched(self, type_, make, tmp_path):
        python = make(tmp_path / "env", REPORT)
        (installer,) = (tmp_path / "env").glob("lib/*/site-packages/transformers-*/INSTALLER")
        installer.write_text("conda\n")
        code, _, err = apply(type_, python)
        assert code == 1
        assert "conda installed transformers" in err


class TestLock:
    def lock(self, type_, *words):
        # The index here has what was run with this Python, whichever runs the tests.
        return type_("resolve", "--python-version", "3.11", "--platform", *words)

    @pytest.mark.parametrize("platform", ["linux-x86_64", "macosx-arm64", "win-amd64"])
    def test_requirements_with_hashes(self, type_, tmp_path, platform):
        code, _, err = self.lock(type_, platform, "--lock", "lock.txt")
        assert code == 0, err
        text = (tmp_path / "lock.txt").read_text()
        assert set(lock.pins_of(tmp_path / "lock.txt")) == {
            f"{n}=={v}" for n, v in COQUI_ENV.items()
        }
        assert text.count("--hash=sha256:") == len(COQUI_ENV)
        assert str(tmp_path) not in text
        assert f"{len(COQUI_ENV)} packages" in err

    def test_a_pylock_by_its_name(self, type_, tmp_path):
        code, _, err = self.lock(
            type_, "macosx-arm64", "--keep", "TTS==0.22.0", "--lock", "pylock.mac.toml"
        )
        assert code == 0, err
        text = (tmp_path / "pylock.mac.toml").read_text()
        assert 'lock-version = "1.0"' in text
        assert set(lock.pins_of(tmp_path / "pylock.mac.toml")) == {
            f"{n.lower()}=={v}" for n, v in TTS_ENV.items()
        }

    def test_it_installs_without_any_network_from_a_folder_of_wheels(self, type_, make, tmp_path):
        self.lock(type_, "linux-x86_64", "--lock", "lock.txt")
        python = make(tmp_path / "env", {})
        subprocess.run(
            [UV, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", "lock.txt"],
            check=True,
        )
        assert installed(python) == COQUI_ENV

    def test_what_is_locked_is_what_is_applied(self, type_, make, tmp_path):
        python = make(tmp_path / "env", {**REPORT, "tokenizers": "0.23.0"})
        code, _, err = apply(type_, python, *FORK, "--lock", "lock.txt")
        assert code == 0, err
        locked = dict(each.split("==") for each in lock.pins_of(tmp_path / "lock.txt"))
        assert installed(python) == locked
        assert locked["tokenizers"] == "0.22.2"

    def test_a_lock_is_replaced_and_a_file_by_hand_is_not(self, type_, tmp_path):
        (tmp_path / "requirements.txt").write_text("flask\n")
        code, _, err = self.lock(type_, "linux-x86_64", "--lock", "requirements.txt")
        assert code == 1
        assert "error[XC213]" in err
        assert (tmp_path / "requirements.txt").read_text() == "flask\n"
        for _ in range(2):
            assert self.lock(type_, "linux-x86_64", "--lock", "lock.txt")[0] == 0

    def test_a_lock_goes_to_a_file(self, type_):
        code, _, err = self.lock(type_, "linux-x86_64", "--lock", "/dev/zero")
        assert code == 2
        assert "error[XC212]: `/dev/zero` is not a file" in err

    def test_a_lock_that_does_not_resolve_leaves_nothing(self, type_, tmp_path, monkeypatch):
        answering_index(monkeypatch, tmp_path / "matrices")
        code, out, err = self.lock(
            type_, "linux-x86_64", "--keep", "torch==2.8.7", "--lock", "lock.txt"
        )
        assert code == 1
        assert "error[XC214]" in err
        assert "torch==2.8.7" in err
        assert "Plan" in out
        assert {each.name for each in tmp_path.iterdir()} == {"matrices", "cache"}

    def test_without_uv_there_is_still_a_plan(self, type_, tmp_path, monkeypatch):
        monkeypatch.setattr("xcompat.resolution.lock.find_uv", lambda: None)
        code, out, err = self.lock(type_, "linux-x86_64", "--lock", "lock.txt", "--json")
        assert code == 4
        assert "error[XC215]" in err
        assert "xcompat[lock]" in err
        assert json.loads(out)["proposals"][0]["row"] == "coqui"

    @pytest.mark.parametrize(
        "words",
        [
            ("linux-x86_64", "--lock", "my.toml"),
            ("plan9-68000", "--lock", "lock.txt"),
        ],
    )
    def test_what_there_are_no_locks_for(self, type_, words):
        code, _, err = self.lock(type_, *words)
        assert code == 2
        assert "error[XC212]" in err

    def test_pins_without_a_python(self, type_, tmp_path):
        (tmp_path / "pins.txt").write_text("TTS==0.22.0\ntransformers==5.0.0\n")
        code, _, err = type_("resolve", "-r", "pins.txt", "--lock", "lock.txt")
        assert code == 2
        assert "--python-version" in err


def test_uv_of_the_extra_is_found_where_path_has_none(monkeypatch):
    pytest.importorskip("uv")
    monkeypatch.setenv("PATH", "")
    assert shutil.which("uv") is None
    assert Path(lock.find_uv()).name.startswith("uv")
