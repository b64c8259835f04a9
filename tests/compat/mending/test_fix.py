"""`xcompat fix` with real conversions, real installers and environments of empty wheels.

Only the interpreter that speaks is a stand-in: `nox -s fix` has the real TTS.
"""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from builders import smoked
from builders.command import snapshot
from builders.installed import COQUI_ENV, REPORT, TTS_ENV, imported, installed, needs_installers
from builders.installed import stub_uv as stubbed_uv
from builders.schemas import check
from xcompat.converters import repair, write_tiny_release
from xcompat.mending import carry_out
from xcompat.smoke.smoke import run_smoke

pytestmark = needs_installers

EXACT = {"config.json", "model.pth", "speakers_xtts.pth", "vocab.json"}


@pytest.fixture
def speaks(monkeypatch, tmp_path):
    """Let a stand-in speak in place of the environment's interpreter."""

    def told(**changed):
        folder = tmp_path / "player"
        folder.mkdir(exist_ok=True)
        python = smoked.make_player(folder, **changed)
        monkeypatch.setattr(
            carry_out, "run_smoke",
            lambda request, *rest: run_smoke(replace(request, python=python), *rest),
        )  # fmt: skip

    told(tokens={"sha256": "65716ddbbd7fddf7fe990f90163734e11af758f7fd4325e45624e02f9f07bbe3"})
    return told


@pytest.fixture
def fix(type_, speaks, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *words: type_("fix", *map(str, words))


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "XTTS-v2"
    write_tiny_release(folder)
    return folder


@pytest.mark.parametrize("owner", ["uv", "pip"])
def test_one_command_there_and_one_back(fix, make, model, tmp_path, owner):
    python = make(tmp_path / "env", REPORT, owner)
    before = snapshot(model)
    code, out, err = fix(model, "--python", python, "--yes", "--json")
    assert code == 0, err
    told = json.loads(out)
    check("fix", told)
    assert told["state"] == "done"
    assert told["smoke"]["verdict"] == "speaks"
    assert told["model"]["way"] == "in place"
    assert installed(python) != REPORT
    assert installed(python) in (TTS_ENV, COQUI_ENV)
    after = snapshot(model)
    assert after["model.pth.original"] == before["model.pth"] != after["model.pth"]
    check("fix-undo", json.loads(fix("--undo", "--dry-run", "--json")[1]))
    code, out, err = fix("--undo")
    assert code == 0, err
    assert "packages changed, model converted" in out
    assert (snapshot(model), installed(python)) == (before, REPORT)
    assert imported(python, "TTS") == "TTS"
    code, _, err = fix("--undo")
    assert (code, "error[XC245]" in err) == (2, True)


def test_one_screen_says_what_changes_and_the_last_line_whether_it_works(
    fix, make, model, tmp_path
):
    python = make(tmp_path / "env", REPORT)
    _, out, _ = fix(model, "--python", python, "--yes")
    before, _, last = out.rstrip().rpartition("\n")
    assert "transformers  4.57.2 → 4.40.2" in out
    assert "model.pth     gets the same" in out
    assert "the original stays beside it" in " ".join(out.split())
    assert "What does not" in before
    assert max(map(len, out.splitlines())) <= 80
    assert "It works: XTTS speaks with" in " ".join(out.split())
    assert "xcompat fix --undo" in last


def test_a_dry_run_and_nobody_to_ask_change_nothing(fix, make, model, tmp_path):
    python = make(tmp_path / "env", REPORT)
    before = snapshot(model)
    code, out, _ = fix(model, "--python", python, "--dry-run", "--json")
    check("fix", json.loads(out))
    assert (code, json.loads(out)["state"]) == (0, "planned")
    code, _, err = fix(model, "--python", python)
    assert (code, "error[XC217]" in err, "--yes" in err) == (2, True, True)
    assert (snapshot(model), installed(python)) == (before, REPORT)
    assert not list((tmp_path / "state").glob("*/*.json"))


def test_what_works_is_heard_and_left_alone(fix, make, model, tmp_path):
    python = make(tmp_path / "env", TTS_ENV)
    repair(model, keep_original=False)
    before = snapshot(model)
    code, out, _ = fix(model, "--python", python)
    assert code == 0
    assert "Nothing has to change." in out
    assert "It works" in out
    assert "--undo" not in out
    assert (snapshot(model), installed(python)) == (before, TTS_ENV)
    assert fix("--undo")[0] == 2


def test_a_model_in_this_folder_goes_before_one_in_a_cache(fix, make, tmp_path, home, monkeypatch):
    python = make(tmp_path / "env", TTS_ENV)
    cached = home / ".local" / "share" / "tts" / "tts_models--multilingual--xtts_v2"
    write_tiny_release(cached)
    told = json.loads(fix("--python", python, "--dry-run", "--json")[1])
    assert told["model"]["path"] == str(cached)
    write_tiny_release(tmp_path / "here" / "voice")
    told = json.loads(fix("--python", python, "--dry-run", "--json")[1])
    assert told["model"]["path"] == str(tmp_path / "here" / "voice")
    write_tiny_release(tmp_path / "here" / "other")
    code, _, err = fix("--python", python, "--dry-run")
    assert (code, "error[XC240]" in err) == (2, True)
    assert f"xcompat fix {tmp_path / 'here' / 'other'}" in err
    for name in "abcdefgh":
        write_tiny_release(tmp_path / "here" / name)
    _, _, err = fix("--python", python, "--dry-run")
    assert err.count("xcompat fix") == 9
    assert "and 1 more" in err


def test_without_a_model_the_environment_alone_is_looked_at(fix, make, tmp_path):
    python = make(tmp_path / "env", REPORT)
    code, out, _ = fix("--python", python, "--dry-run")
    assert (code, "none found" in out) == (0, True)
    assert "transformers  4.57.2 → 4.40.2" in out


def test_a_broken_download_is_told_by_the_converter(fix, make, model, tmp_path):
    python = make(tmp_path / "env", REPORT)
    content = (model / "model.pth").read_bytes()
    (model / "model.pth").write_bytes(content[: len(content) // 2])
    code, _, err = fix(model, "--python", python, "--yes")
    assert (code, "error[XC102]" in err) == (4, True)
    assert installed(python) == REPORT


def test_a_disk_that_is_too_small_is_found_before_anything_changes(
    fix, make, model, tmp_path, monkeypatch
):
    python = make(tmp_path / "env", REPORT)
    full = SimpleNamespace(free=10)
    monkeypatch.setattr("xcompat.mending.models.shutil.disk_usage", lambda _: full)
    code, _, err = fix(model, "--python", python, "--yes")
    assert (code, "error[XC244]" in err) == (4, True)
    assert "xcompat convert --in-place" in err
    assert installed(python) == REPORT


def test_what_does_not_speak_is_a_no_and_tells_the_way_back(fix, make, model, tmp_path, speaks):
    python = make(tmp_path / "env", REPORT)
    loud = {**smoked.SPEECH, "clipped": 0.5}
    speaks(speak={"sound": loud})
    code, out, _ = fix(model, "--python", python, "--yes")
    assert code == 1
    assert "not clipped" in out
    assert out.rstrip().endswith("It does not work yet. To go back: xcompat fix --undo")


class TestEnded:
    """A fix that did not come to its end."""

    @pytest.fixture
    def half(self, fix, make, model, tmp_path, monkeypatch):
        """An environment in which one thing was taken out, and nothing put in."""
        python = make(tmp_path / "env", REPORT)
        path = os.environ["PATH"]
        stubbed_uv(
            tmp_path, monkeypatch,
            'case "$*" in *--target*|*--dry-run*) ;; *"pip install"*) rm -rf '
            f"{tmp_path}/env/lib/*/site-packages/transformers*; exit 7;; esac",
        )  # fmt: skip
        code, _, err = fix(model, "--python", python, "--yes")
        assert (code, "error[XC220]" in err) == (4, True)
        monkeypatch.setenv("PATH", path)
        return python

    def test_the_next_one_says_so_and_goes_on(self, fix, half, model):
        before = snapshot(model)
        code, _, err = fix(model, "--python", half, "--yes")
        assert "was ended before it was done: packages half changed" in " ".join(err.split())
        assert code == 0, err
        assert installed(half) == TTS_ENV
        assert fix("--undo")[0] == 0
        assert (snapshot(model), installed(half)) == (before, REPORT)

    def test_undo_says_where_it_stood(self, fix, half, model):
        before = snapshot(model)
        code, out, _ = fix("--undo", "--dry-run")
        assert (code, "transformers  4.57.2" in out) == (0, True)
        code, out, err = fix("--undo")
        assert code == 0, err
        assert "packages half changed" in out
        assert (snapshot(model), installed(half)) == (before, REPORT)

    def test_another_environment_has_to_wait(self, fix, half, make, model, tmp_path):
        other = make(tmp_path / "other", REPORT)
        code, _, err = fix(model, "--python", other, "--yes")
        assert (code, "error[XC249]" in err) == (1, True)
        assert installed(other) == REPORT


class TestModel:
    @pytest.fixture
    def python(self, make, tmp_path):
        return make(tmp_path / "env", TTS_ENV)

    def test_a_link_in_a_cache_comes_back_as_a_link(self, fix, python, model):
        blob = model / "blob"
        (model / "model.pth").rename(blob)
        (model / "model.pth").symlink_to("blob")
        content = blob.read_bytes()
        assert fix(model, "--python", python, "--yes")[0] == 0
        assert not (model / "model.pth").is_symlink()
        assert fix("--undo")[0] == 0
        assert (model / "model.pth").is_symlink()
        assert (blob.read_bytes(), (model / "model.pth").read_bytes()) == (content, content)

    def test_where_an_original_is_kept_already_it_goes_beside(self, fix, python, model):
        (model / "model.pth.original").write_bytes(b"of somebody")
        before = snapshot(model.parent)
        told = json.loads(fix(model, "--python", python, "--yes", "--json")[1])
        assert told["model"]["way"] == "beside"
        beside = model.with_name("XTTS-v2-converted")
        assert (beside / "model.pth").is_file()
        assert fix("--undo")[0] == 0
        after = snapshot(model.parent)
        assert {name: after[name] for name in before if name.startswith("XTTS")} == {
            name: before[name] for name in before if name.startswith("XTTS")
        }
        assert not beside.exists()

    def test_what_somebody_changed_since_stays(self, fix, python, model):
        assert fix(model, "--python", python, "--yes")[0] == 0
        (model / "model.pth").write_bytes(b"a new model")
        code, _, err = fix("--undo")
        assert (code, "error[XC247]" in err) == (1, True)
        assert "mv " in err
        assert (model / "model.pth").read_bytes() == b"a new model"

    def test_a_file_that_is_replaced_comes_back(self, fix, python, model):
        (model / "xcompat.json").write_text("{}\n")
        assert fix(model, "--python", python, "--yes")[0] == 0
        assert (model / "xcompat.json").read_text() != "{}\n"
        assert fix("--undo")[0] == 0
        assert (model / "xcompat.json").read_text() == "{}\n"


class TestExactly:
    @pytest.fixture
    def python(self, make, tmp_path):
        return make(tmp_path / "env", REPORT)

    def test_four_files_stay_and_the_way_back_brings_all_home(self, fix, python, model):
        before = snapshot(model)
        code, out, err = fix(model, "--python", python, "--exact", "--yes")
        assert code == 0, err
        assert "go there too: LICENSE.txt, xcompat.json" in " ".join(out.split())
        assert {each.name for each in model.iterdir()} == EXACT
        beside = model.with_name("XTTS-v2.original")
        assert (beside / "model.pth").read_bytes() == before["model.pth"]
        code, _, err = fix("--undo")
        assert code == 0, err
        assert (snapshot(model), beside.exists()) == (before, False)

    def test_a_fix_that_ended_within_the_moves_goes_on_and_back(self, fix, python, model, tmp_path):
        before = snapshot(model)
        beside = model.with_name("XTTS-v2.original")
        assert fix(model, "--python", python, "--exact", "--yes")[0] == 0
        (beside / "LICENSE.txt").rename(model / "LICENSE.txt")
        (journal,) = (tmp_path / "state" / "xcompat").glob("fix-*.json")
        journal.write_text(json.dumps({**json.loads(journal.read_text()), "state": "begun"}))
        code, _, err = fix(model, "--python", python, "--exact", "--yes")
        assert code == 0, err
        assert "model converted" in " ".join(err.split())
        assert {each.name for each in model.iterdir()} == EXACT
        assert fix("--undo")[0] == 0
        assert (snapshot(model), beside.exists()) == (before, False)

    def test_something_of_somebody_else_is_named_before_anything_changes(self, fix, python, model):
        (model / "notes.txt").write_text("mine")
        before = snapshot(model)
        code, _, err = fix(model, "--python", python, "--exact", "--yes")
        assert (code, "error[XC115]" in err, "notes.txt" in err) == (4, True, True)
        assert snapshot(model) == before

    def test_without_a_model_there_is_nothing_to_be_exact_about(self, fix, python):
        code, _, err = fix("--python", python, "--exact", "--yes")
        assert (code, "error[XC115]" in err) == (2, True)


class TestWhere:
    def test_the_environment_of_this_folder_is_found(self, fix, make, tmp_path):
        make(tmp_path / "here" / "venv", REPORT)
        code, out, _ = fix("--dry-run")
        assert (code, "./venv: Python" in out) == (0, True)
        make(tmp_path / "here" / "old", TTS_ENV)
        code, _, err = fix("--dry-run")
        assert (code, "error[XC241]" in err) == (2, True)
        assert f"xcompat fix --python {tmp_path / 'here' / 'venv'}" in err

    def test_a_tool_is_not_installed_into_its_own_environment(self, fix):
        code, _, err = fix("--yes")
        assert (code, "error[XC241]" in err) == (2, True)
        assert "-m venv" in err


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("y", 2)])
def test_whoever_types_nothing_is_offered_it(tmp_path, answer, code):
    ours, theirs = pytest.importorskip("pty").openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "xcompat"],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
        # In an active environment it would ask an index what to install there.
        env={**os.environ, "VIRTUAL_ENV": "", "HOME": str(tmp_path), "COLUMNS": "80"},
    )  # fmt: skip
    os.close(theirs)
    too_long = threading.Timer(60, process.kill)
    too_long.start()
    os.write(ours, f"{answer}\n".encode())
    told = b""
    try:
        while part := os.read(ours, 4096):
            told += part
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    too_long.cancel()
    assert process.wait() == code
    assert b"(xcompat fix)" in told
    assert (b"XC241" in told) == (answer == "y")
