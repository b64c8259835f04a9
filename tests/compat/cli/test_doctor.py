"""`doctor`, `explain` and `matrix` as a user sees them. Golden texts: `GOLDEN=write pytest`."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from builders.environments import TTS_22, add_distribution, make_venv
from builders.matrices import BASE, ISSUE_TEXT, ROW_TEXT, RUN_LINE, write_matrix
from builders.terminal import type_command
from xcompat.domain import CAPABILITIES
from xcompat.render.text import Page

GOLDEN = Path(__file__).parent / "golden"


class Asked(NamedTuple):
    """What a doctor answered."""

    exit_code: int
    stdout: str
    stderr: str


PICKLED = """\
title = "PyTorch 2.6 and newer refuse the pickled configuration inside model.pth"
severity = "error"
capabilities = ["load"]
cause = "The released model.pth holds a pickled object."
fixes = ["xcompat convert path/to/the/model/folder"]
symptoms = ["Unsupported global"]
sources = ["https://example.org/1"]

[[conditions]]
packages = { TTS = "<=0.22.0", torch = ">=2.6" }
"""
ABSENT = """\
title = "No Coqui TTS is installed here"
severity = "error"
capabilities = ["import"]
cause = "Neither TTS nor coqui-tts is in this environment."
fixes = ['pip install "coqui-tts==0.28.0" "torch==2.8.0" "torchaudio==2.8.0" six']
symptoms = ["No module named 'TTS'"]
sources = ["https://example.org/28"]

[[conditions]]
packages = { TTS = "absent", coqui-tts = "absent" }
"""
REWRITES = """\
title = "coqui-tts 0.28.0 rewrites model.pth when it loads it"
severity = "warning"
capabilities = ["load"]
cause = "It replaces the file in place."
fixes = ["xcompat convert path/to/the/model/folder  # is not rewritten"]
symptoms = []
sources = ["https://example.org/32"]

[[conditions]]
packages = { coqui-tts = ">=0.28.0" }
"""
C28 = {"coqui-tts": "0.28.0", "torch": "2.8.0+cu128", "torchaudio": "2.8.0"}


@pytest.fixture
def type_(monkeypatch, capsys, tmp_path):
    """Type a command in an empty folder, with a small matrix in place of the shipped one."""
    fails = {"status": "fails", "error": "UnpicklingError: Unsupported global: GLOBAL TTS"}
    line = {**RUN_LINE, "id": "t22-torch291"}
    line["capabilities"] = {**RUN_LINE["capabilities"], "load": fails}
    write_matrix(
        tmp_path / "matrices",
        [line, {**line, "id": "t22-torch251", "packages": {**BASE, "torch": "2.5.1"}}],
        {"XC001": PICKLED, "XC024": ISSUE_TEXT, "XC028": ABSENT, "XC032": REWRITES},
    )
    monkeypatch.setattr("xcompat.matrix.load.SHIPPED", tmp_path / "matrices")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("VIRTUAL_ENV", "FORCE_COLOR", "NO_COLOR", "XCOMPAT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words, stdin="": type_command(monkeypatch, capsys, *words, stdin=stdin)


def doctor(type_, *words, stdin=""):
    return type_("doctor", "--platform", "linux-x86_64", *words, stdin=stdin)


def assert_golden(name, answer):
    code, out, err = answer
    text = out + (f"--- stderr\n{err}" if err else "") + f"--- exit {code}\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")
    assert all(len(line) <= 80 for line in text.splitlines() if "pip install" not in line)


class TestDoctor:
    def test_it_works(self, type_):
        make_venv(Path("venv"), TTS_22)
        assert_golden("works", doctor(type_, "--python", "venv"))

    def test_it_cannot_work(self, type_):
        make_venv(Path("venv"), C28)
        assert_golden("six-missing", doctor(type_, "--python", "venv"))

    def test_nothing_is_installed(self, type_):
        make_venv(Path("venv"), {"pip": "25.0"})
        assert_golden("nothing-installed", doctor(type_, "--python", "venv"))

    def test_nobody_knows(self, type_):
        make_venv(Path("venv"), {**TTS_22, "transformers": "4.39.0"})
        assert_golden("unknown", doctor(type_, "--python", "venv"))

    def test_it_works_elsewhere(self, type_):
        make_venv(Path("venv"), TTS_22)
        assert_golden(
            "elsewhere", type_("doctor", "--python", "venv", "--platform", "macosx-14.0-arm64")
        )

    def test_pins(self, type_):
        pins = "".join(f"{name}=={version}\n" for name, version in BASE.items())
        assert_golden("pins", doctor(type_, "-r", "-", stdin=pins))

    def test_what_pins_do_not_say_is_told(self, type_):
        pins = "TTS==0.22.0\ntorch>=2.1\n-e .\n"
        code, _, err = doctor(type_, "-r", "-", stdin=pins)
        assert code in (1, 3)
        assert err.split("note: ") == [
            "",
            "no version is said by torch>=2.1\n",
            "what they bring is not said by -e .\n",
        ]
        _, out, err = doctor(type_, "-r", "-", "--json", stdin=pins)
        environment = json.loads(out)["environment"]
        assert (err, environment["complete"]) == ("", False)
        assert environment["notes"] == [
            "no version is said by torch>=2.1",
            "what they bring is not said by -e .",
        ]

    def test_what_a_probe_leaves_unread_is_told(self, type_):
        site = make_venv(Path("venv"), TTS_22)
        (site / "overlay.pth").write_text("import site; site.addsitedir('/elsewhere')\n")
        _, _, err = doctor(type_, "--python", "venv")
        assert "overlay.pth runs code at start" in " ".join(err.split())

    @pytest.mark.parametrize(("option", "complete"), [("--complete", True), ("--partial", False)])
    def test_a_person_says_whether_a_list_is_complete(self, type_, option, complete):
        words = ("-r", "-", option, "--json", "--python-version", "3.11")
        told = json.loads(doctor(type_, *words, stdin="coqui-tts==0.28.0\ntorch==2.9.1\n")[1])
        assert told["environment"]["complete"] is complete
        codes = [finding["code"] for finding in told["findings"]]
        assert ("XC024" in codes) is complete

    def test_a_package_is_there_twice(self, type_):
        site = make_venv(Path("venv"), TTS_22)
        add_distribution(site, "torch", "2.8.0")
        assert_golden("twice", doctor(type_, "--python", "venv"))

    def test_neighbours_were_run(self, type_, tmp_path):
        line = {**RUN_LINE, "id": "r9", "packages": {**BASE, "torch": "2.11.0"}}
        (tmp_path / "matrices/runs/more.jsonl").write_text(json.dumps(line))
        make_venv(Path("venv"), {**TTS_22, "torch": "2.10.0"})
        code, out, _ = doctor(type_, "--python", "venv", "--need", "speak")
        assert code == 0
        assert out.startswith("Speaks here, once the model is converted.\n")
        assert "works: run just below and above" in " ".join(out.split())
        assert "works with torch 2.9.1 and 2.11.0 (r9 and 1 more)" in " ".join(out.split())

    def test_a_runtime_that_was_run_needs_no_change(self, type_, tmp_path):
        fails = {"import": {"status": "fails", "error": "ImportError: BeamSearchScorer"}}
        works = {name: {"status": "works"} for name in ("import", "load-converted", "speak")}
        packages = {**BASE, "transformers": "4.57.2"}
        line = {**RUN_LINE, "id": "r9", "packages": packages, "capabilities": fails}
        line |= {"runtime_capabilities": works, "runtime_tokens": "0" * 64}
        (tmp_path / "matrices/runs/more.jsonl").write_text(json.dumps(line))
        make_venv(Path("venv"), {**TTS_22, "transformers": "4.57.2"})
        assert_golden("change-nothing", doctor(type_, "--python", "venv"))
        code, out, _ = doctor(type_, "--python", "venv", "--json")
        told = json.loads(out)
        assert (code, told["verdict"], told["change_nothing"]) == (
            1, "incompatible", ["import", "load-converted", "speak"],
        )  # fmt: skip
        assert told["runtime"]["speak"] == {
            "status": "works", "basis": "recorded", "issues": [], "note": "run r9",
            "support": ["r9"], "trials": None,
        }  # fmt: skip
        code, out, _ = doctor(type_, "--python", "venv", "--need", "stream")
        assert "change nothing" not in out

    def test_it_was_run_and_failed(self, type_, tmp_path):
        fails = {"import": {"status": "fails", "error": "KeyError: 1"}}
        line = {**RUN_LINE, "id": "r9", "packages": {"TTS": "0.20.0"}, "capabilities": fails}
        (tmp_path / "matrices/runs/more.jsonl").write_text(json.dumps(line))
        make_venv(Path("venv"), {"TTS": "0.20.0"})
        code, out, _ = doctor(type_, "--python", "venv")
        assert code == 1
        assert out.startswith("Cannot start here: it was run with these versions, and it failed.\n")

    def test_other_needs(self, type_):
        make_venv(Path("venv"), TTS_22)
        code, out, _ = doctor(type_, "--python", "venv", "--need", "speak", "--need", "load")
        assert code == 1
        assert out.startswith("Speaks here, but cannot open the original model.pth: PyTorch 2.6 ")
        assert doctor(type_, "--python", "venv", "--need", "speak,import")[0] == 0
        assert doctor(type_, "--python", "venv", "--need", "clone")[0] == 3

    @pytest.mark.parametrize(
        ("words", "code", "error"),
        [
            (["--python", "gone"], 4, "error[XC201]: there is no Python at `gone`"),
            (["--python", "v", "-r", "x"], 2, "error[XC210]: `--python` and `-r` exclude"),
            (["--complete"], 2, "error[XC210]: `--complete` and `--partial` are about a list"),
            (["-r", "gone.txt"], 4, "error[XC204]: cannot read `gone.txt`: No such file"),
            (["--need", "sing"], 2, "error[XC207]: there is no capability `sing`"),
            (["--python-version", "2.7"], 2, "error[XC210]: `2.7` is not a Python version"),
            (["--platform", "my mac"], 2, "error[XC210]: `my mac` is not a platform"),
        ],
    )
    def test_errors(self, type_, words, code, error):
        got, out, err = type_("doctor", *words)
        assert (got, out) == (code, "")
        assert err.startswith(error)
        assert err.count("\n") == 2
        assert "\nhint: " in err

    def test_a_damaged_matrix(self, type_, tmp_path):
        (tmp_path / "matrices/issues/XC024.toml").write_text("title")
        code, out, err = type_("doctor")
        assert (code, out) == (4, "")
        assert "error[XC206]: the matrix has 1 error(s):\n  matrices/issues/XC024.toml:1: " in err

    def test_json(self, type_):
        make_venv(Path("venv"), {**C28, "secret-project": "1.0"})
        code, out, err = doctor(type_, "--python", "venv", "--json", "--python-version", "3.12")
        told = json.loads(out)
        assert (code, err) == (1, "")
        assert out == json.dumps(told, indent=2, sort_keys=True) + "\n"
        assert told["schema"] == 1
        assert told["verdict"] == "incompatible"
        assert told["environment"]["python"] == "3.12"
        assert told["environment"]["packages"] == C28
        assert told["environment"]["builds"] == {"torch": "cu128"}
        assert set(told["capabilities"]) == set(CAPABILITIES)
        assert told["capabilities"]["speak"] == {
            "status": "fails", "basis": "issue", "issues": ["XC024"], "note": "needs import",
            "support": [], "trials": None,
        }  # fmt: skip
        first, second = told["findings"]
        assert (first["code"], first["severity"], first["fix"]) == (
            "XC024", "error", ["pip install six"],
        )  # fmt: skip
        assert first["packages"] == ["coqui-tts", "six"]
        assert second["severity"] == "warning"
        assert told["row"] is None

    def test_names_from_files_give_no_orders(self, type_):
        site = make_venv(Path("ve[red]nv"), TTS_22)
        (site / "torch-2.9.1.dist-info/METADATA").write_text(
            "Version: 2.9.1[bold]\x1b[31m\x07\u202e\n", "utf-8"
        )
        _, out, _ = doctor(type_, "--python", "ve[red]nv")
        assert "torch 2.9.1[bold]\\x1b[31m\\x07\\u202e" in out
        assert "./ve[red]nv" in out


REPORTED = "torch==2.9.1 torchaudio==2.9.1 transformers==4.38.0 TTS==0.22.0"
"""The environment of the report that this project began with."""
NO_CODEC = (
    "Speaks and streams with these pins, once the model is converted; cannot clone a voice: "
    "torchaudio 2.9 and newer cannot read a reference voice without torchcodec"
)
OLD = "TTS==0.22.0 torch==2.3.1 torchaudio==2.3.1 transformers==4.36.2"


class TestShipped:
    """What people type, against the matrix that is shipped."""

    @pytest.fixture
    def ask(self, monkeypatch, capsys):
        def ask(pins, *words):
            stdin = "\n".join(pins.split())
            where = () if "--platform" in words else ("--platform", "linux-x86_64")
            words = ("doctor", "-r", "-", "--no-gpu", *where, *words)
            return Asked(*type_command(monkeypatch, capsys, *words, stdin=stdin))

        return ask

    @pytest.mark.parametrize(
        ("typed", "code", "first_line"),
        [
            (f"{REPORTED} --python-version 3.11 --platform linux-x86_64", 0, NO_CODEC),
            (f"{REPORTED} --python-version 3.11 --platform macosx-arm64", 0, NO_CODEC),
            (
                "TTS==0.22.0 torch==2.6.0 torchaudio==2.6.0 transformers==4.40.2",
                0,
                "Speaks, streams and clones voices with these pins, once the model is converted",
            ),
            (
                f"{OLD} --python-version 3.10",
                1,
                (
                    "Cannot start with these pins: pkg_resources is no longer part of setuptools, "
                    "and an old package needs it"
                ),
            ),
            (
                f"{OLD} setuptools==80.0 --python-version 3.10",
                0,
                "Speaks, streams and clones voices with these pins",
            ),
            (
                "TTS==0.22.0 transformers==4.41.0 --need stream",
                1,
                (
                    "Speaks and clones voices with these pins, but cannot stream: Streaming in "
                    "this TTS does not fit this transformers"
                ),
            ),
            (
                "TTS==0.21.3 torch==2.1.0 --python-version 3.8",
                1,
                "Cannot be installed: TTS cannot be installed on this Python",
            ),
            (
                "TTS==0.17.4 torch==2.1.0 torchaudio==2.1.0 transformers==4.35.2",
                1,
                "Cannot open a converted model with these pins: This TTS is older than XTTS v2",
            ),
            (
                # What speaking alone would meet comes after what does not even start.
                "TTS==0.22.0 torch==2.9.1 torchaudio==2.9.1 transformers==4.57.2 --need speak",
                1,
                (
                    "Cannot start with these pins: This TTS needs BeamSearchScorer, which "
                    "transformers 4.57 removed"
                ),
            ),
            (
                # Nothing else is said: what is assumed beside it does not start either.
                "TTS==0.17.4",
                1,
                "Cannot open a converted model with these pins: This TTS is older than XTTS v2",
            ),
            (
                "TTS==0.21.1 torch==2.1.1 torchaudio==2.0.1",
                1,
                "Cannot be installed: torchaudio declares that it needs another torch",
            ),
        ],
    )
    def test_the_first_line(self, ask, typed, code, first_line):
        pins, *words = typed.split(" --")
        words = [word for each in words for word in f"--{each}".split()]
        done = ask(pins, *words, "--json")
        told = json.loads(done.stdout)
        assert done.exit_code == code
        assert told["answer"] == first_line

    @pytest.mark.parametrize(
        ("pins", "words", "installed"),
        [
            (
                "TTS==0.22.0 torch==2.3.1 torchaudio==2.3.1 transformers==4.36.2",
                ("--python-version", "3.10"),
                ("TTS==0.22.0", "torch==2.3.1", "transformers==4.36.2", "tokenizers==0.15."),
            ),
            (
                "TTS==0.22.0 transformers==4.41.0",
                ("--need", "stream"),
                ("TTS==0.22.0", "transformers==4.40.2"),
            ),
            (
                "TTS==0.21.1 torch==2.1.1 torchaudio==2.0.1",
                (),
                ("TTS==0.21.1", "torch==2.1.1", "torchaudio==2.1.1"),
            ),
        ],
    )
    def test_what_to_type_is_the_smallest_change(self, ask, pins, words, installed):
        words = (*words, "--platform", "linux-x86_64", "--json")
        done = ask(pins, *words)
        (command,) = [c for c in json.loads(done.stdout)["next"] if c.startswith("pip install ")]
        for each in installed:
            assert f'"{each}' in command

    def test_strict_takes_runs_only(self, ask):
        words = ("--python-version", "3.11", "--platform", "macosx-arm64")
        done = ask(REPORTED, *words)
        assert done.exit_code == 0
        assert "Expected, not run: answers of this kind were right in" in done.stdout
        strict = ask(REPORTED, *words, "--strict")
        assert strict.exit_code == 3
        assert strict.stdout.startswith("Nobody knows whether it can run XTTS v2 with these pins")
        for mode, basis in (((), "expected"), (("--strict",), "none")):
            done = ask(REPORTED, *words, "--json", *mode)
            told = json.loads(done.stdout)["capabilities"]["speak"]
            assert told["basis"] == basis
            assert bool(told["support"]) == bool(told["trials"]) == (basis == "expected")

    def test_what_was_assumed_is_told_once_and_shown_with_its_version(self, ask):
        words = ("--python-version", "3.11", "--platform", "linux-x86_64")
        done = ask("TTS==0.22.0", *words)
        told = " ".join(done.stdout.split())
        assert done.exit_code == 1
        assert "not said, assumed: torch 2." in told
        assert "transformers not installed" not in told
        assert told.count("not said, assumed: ") == 1

    def test_a_range_of_the_list_holds_in_what_to_type(self, ask):
        pins = "TTS==0.22.0 torch==2.9.1 torchaudio==2.9.1 transformers<4.39,>4.0 six<1.17"
        words = ("--python-version", "3.11", "--platform", "linux-x86_64", "--need", "clone")
        done = ask(pins, *words, "--json")
        (command,) = [c for c in json.loads(done.stdout)["next"] if c.startswith("pip install ")]
        assert '"transformers==4.3' in command
        assert '"torchcodec==' in command


JAPANESE = """\
title = "Japanese needs cutlet"
severity = "error"
capabilities = ["speak"]
cause = "Nothing installs it."
fixes = ["pip install cutlet"]
symptoms = ["No module named 'cutlet'"]
sources = ["https://example.org/60"]

[[conditions]]
packages = { TTS = "*", cutlet = "absent" }
languages = ["ja"]
"""


class TestLanguage:
    @pytest.fixture(autouse=True)
    def venv(self, type_, tmp_path):
        (tmp_path / "matrices/issues/XC060.toml").write_text(JAPANESE)
        return make_venv(Path("venv"), TTS_22)

    def test_what_a_language_needs_is_told_beforehand(self, type_, venv):
        assert doctor(type_, "--python", "venv")[0] == 0
        code, out, _ = doctor(type_, "--python", "venv", "--language", "ja", "--json")
        assert code == 1
        told = json.loads(out)
        assert ["pip install cutlet"] in [finding["fix"] for finding in told["findings"]]
        assert told["environment"]["language"] == "ja"
        add_distribution(venv, "cutlet", "0.5.2")
        assert doctor(type_, "--python", "venv", "--language", "ja")[0] == 0

    @pytest.mark.parametrize("spelled", ["JA", "ja-jp", "ja_JP"])
    def test_any_spelling(self, type_, spelled):
        assert doctor(type_, "--python", "venv", "--language", spelled)[0] == 1

    @pytest.mark.parametrize("spelled", ["jp", "", "klingon"])
    def test_what_xtts_does_not_speak(self, type_, spelled):
        code, out, err = doctor(type_, "--python", "venv", "--language", spelled)
        assert (code, out) == (2, "")
        assert err.startswith(f"error[XC231]: XTTS v2 does not speak `{spelled}`")
        assert "zh-cn" in err


class TestExplain:
    def test_a_code(self, type_):
        assert_golden("explain", type_("explain", "XC001"))

    @pytest.mark.parametrize("spelling", ["xc001", "1", "001", "XC1", " xc-1", "Xc 001"])
    def test_any_spelling(self, type_, spelling):
        assert type_("explain", spelling)[1].startswith("XC001 PyTorch 2.6")

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (["XC999"], "error[XC208]: there is no known issue `XC999`"),
            (["six"], "error[XC208]: there is no known issue `six`"),
            (["XC404"], "error[XC208]: there is no known issue `XC404`"),
            (["word"], "error[XC208]: there is no known issue `word`"),
            (["XC1049"], "error[XC208]: there is no known issue `XC1049`"),
            (["gone.txt"], "error[XC208]: there is no known issue `gone.txt`"),
            ([], "error[XC208]: say what to explain: "),
            (["-"], "error[XC208]: say what to explain: "),
            (["XC001", "--error", "-"], "error[XC208]: say what to explain once: "),
        ],
    )
    def test_no_such_code(self, type_, words, error):
        code, out, err = type_("explain", *words)
        assert (code, out) == (2, "")
        assert err.startswith(error)
        assert "\nhint: " in err

    @pytest.mark.parametrize("spelling", ["XC203", "xc203", "203"])
    def test_an_error_of_xcompat_itself(self, type_, spelling):
        code, out, _ = type_("explain", spelling)
        assert code == 0
        assert out.startswith("XC203 is an error of xcompat itself, not a known issue. It concerns")
        code, out, _ = type_("explain", spelling, "--json")
        assert code == 0
        assert json.loads(out)["issues"] == []

    def test_a_pasted_traceback(self, type_):
        pasted = "Traceback:\n  \x1b[31m...\nModuleNotFoundError: No module named 'six'\n"
        code, out, _ = type_("explain", "--error", "-", stdin=pasted)
        assert code == 0
        assert out.startswith("XC024 ")

    @pytest.mark.parametrize(
        "words", [("-",), (), ("my log.txt",), ("ModuleNotFoundError: No module named 'six'",),
                  ("ModuleNotFoundError:", "No", "module", "named", "'six'")],
    )  # fmt: skip
    def test_however_it_is_given(self, type_, words):
        pasted = "coqui-tts 0.28.0\nModuleNotFoundError: No module named 'six'\n"
        Path("my log.txt").write_text(pasted)
        code, out, _ = type_("explain", *words, stdin=pasted)
        assert code == 0
        assert out.startswith("XC024 ")

    def test_a_file(self, type_):
        Path("error.txt").write_bytes(b"\xff\xfe Unsupported global: GLOBAL TTS.x")
        code, out, _ = type_("explain", "--error", "error.txt", "--json")
        assert code == 0
        (issue,) = json.loads(out)["issues"]
        assert issue["code"] == "XC001"
        assert issue["applies"] == ["TTS <=0.22.0 and torch >=2.6"]

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
    def test_a_log_in_any_encoding(self, type_, encoding):
        text = "22.11. Überraschung\r\nModuleNotFoundError: No module named 'six'\r\n" * 3
        Path("log.txt").write_bytes(text.encode(encoding))
        code, out, _ = type_("explain", "--error", "log.txt")
        assert code == 0
        assert out.startswith("XC024 ")

    def test_a_folder_is_no_log(self, type_):
        Path("folder").mkdir()
        code, _, err = type_("explain", "--error", "folder")
        assert code == 4
        assert err.startswith("error[XC209]: cannot read `folder`")

    def test_another_error(self, type_):
        code, out, _ = type_("explain", "--error", "-", stdin="KeyError: 'speed'")
        assert code == 3
        assert out.startswith("No known issue has these symptoms.\n")
        assert "Traceback (most recent call last):" in out
        assert "xcompat doctor --python" in " ".join(out.split())

    def test_what_only_half_fits(self, type_):
        pasted = (
            "  File \"shop.py\", line 1, in <module>\nModuleNotFoundError: No module named 'six'\n"
        )
        ours = f"coqui-tts 0.28.0\n{pasted}"
        assert "Possible" not in type_("explain", "--error", "-", stdin=ours)[1]
        code, out, _ = type_("explain", "--error", "-", stdin=pasted)
        assert code == 0
        assert "Possible: other programs show the same" in " ".join(out.split())
        told = json.loads(type_("explain", "--error", "-", "--json", stdin=pasted)[1])
        assert told["issues"][0]["certainty"] == "possible"
        assert told["advice"]

    def test_whose_error_it_is(self, type_):
        frame = '  File "{}", line 7, in f\nZeroDivisionError: division by zero\n'
        for file, words in (
            ("/app/main.py", "the app's own code, not TTS or PyTorch"),
            ("/venv/lib/python3.11/site-packages/gradio/a.py", "which is no part of TTS"),
            ("/venv/lib/python3.11/site-packages/TTS/api.py", "`xcompat doctor` tells"),
        ):
            pasted = frame.format(file)
            code, out, _ = type_("explain", "--error", "-", stdin=pasted)
            assert code == 3
            assert words in " ".join(out.split())
            told = json.loads(type_("explain", "--error", "-", "--json", stdin=pasted)[1])
            assert told["origin"]["file"] == file

    def test_versions_in_the_text(self, type_):
        pasted = "Python 3.11.9, torch 2.2.1\nUnsupported class TTS.tts.configs.xtts_config.X"
        told = json.loads(type_("explain", "--error", "-", "--json", stdin=pasted)[1])
        assert told["environment"] == {
            "packages": {"torch": "2.2.1"},
            "platform": "",
            "python": "3.11.9",
        }

    def test_a_file_that_is_not_there(self, type_):
        code, _, err = type_("explain", "--error", "gone.txt")
        assert code == 4
        assert err.startswith("error[XC209]: cannot read `gone.txt`")


class TestMatrix:
    def test_text(self, type_):
        assert_golden("matrix", type_("matrix"))

    def test_rows(self, type_, tmp_path):
        text = ROW_TEXT.replace('"r1"', '"t22-torch291"')
        (tmp_path / "matrices/rows/tts22.toml").write_text(text)
        assert (
            "  tts22 A row\n    Python >=3.9,<3.12, TTS 0.22.0, torch 2.9.1, torchcodec absent\n"
        ) in type_("matrix")[1]
        (row,) = json.loads(type_("matrix", "--json")[1])["rows"]
        assert (row["id"], row["runs"]) == ("tts22", ["t22-torch291"])

    def test_json(self, type_):
        code, out, _ = type_("matrix", "--json")
        told = json.loads(out)
        assert code == 0
        assert [run["id"] for run in told["runs"]] == ["t22-torch291", "t22-torch251"]
        assert told["runs"][0]["capabilities"]["load"]["status"] == "fails"
        assert len(told["issues"]) == 4
        assert told["rows"] == []


class TestTerminals:
    @pytest.fixture
    def answer(self, type_):
        make_venv(Path("venv"), TTS_22)
        return lambda: doctor(type_, "--python", "venv")[1]

    def test_a_pipe_gets_no_colour(self, answer):
        assert "\x1b" not in answer()

    def test_colour_can_be_forced(self, answer, monkeypatch):
        plain = answer()
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
        coloured = answer()
        assert "\x1b[1;32m" in coloured
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[1;32m" not in answer()
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setenv("TERM", "dumb")
        assert answer() == plain

    @pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
    def test_signs_fall_back_to_ascii(self, encoding):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        Page(stream).line("✓ ✗ ? … ", "文")
        stream.flush()
        told = stream.buffer.getvalue().decode(encoding).rstrip()
        assert told in ("+ x ? ... \\u6587", "+ x ? \x85 \\u6587")

    @pytest.mark.parametrize("columns", ["20", "40", "200"])
    def test_any_width(self, answer, monkeypatch, columns):
        monkeypatch.setenv("COLUMNS", columns)
        wide = max(map(len, answer().splitlines()))
        assert wide <= 100


def test_a_bug_is_told_as_one(type_, monkeypatch):
    def broken(_=None):
        raise KeyError("x\ny")

    monkeypatch.setattr("xcompat.matrix.load.load_matrix", broken)
    code, out, err = type_("matrix")
    assert (code, out) == (70, "")
    assert err.startswith("error[XC000]: this is a bug in xcompat: KeyError: 'x\\ny'\nhint: ")


def test_help_is_fast():
    """Help and diagnosis import nothing that is slow; the budget itself is measured by hand."""
    code = (
        "import sys; sys.argv = ['xcompat', 'doctor', '--json']\n"
        "from xcompat.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'numpy', 'TTS', 'transformers', 'asyncio', 'rich.table'}\n"
        "print(sorted(slow & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_terminal_of_no_width_is_no_reason_for_silence(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "0")
    assert run("explain", "XC001").stdout
