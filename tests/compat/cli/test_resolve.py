"""`resolve` as a user sees it. Golden texts: `GOLDEN=write pytest`."""

import json
import os
from pathlib import Path

import pytest

from builders.environments import TTS_22, make_venv
from builders.matrices import ISSUE_TEXT, RUN_LINE, write_matrix
from builders.terminal import type_command
from xcompat.domain import CAPABILITIES

GOLDEN = Path(__file__).parent / "golden"
FAMILY = {"trainer": "0.0.36", "coqpit": "0.0.17", "tokenizers": "0.19.1", "numpy": "1.26.4"}
TTS = {**TTS_22, **FAMILY, "torchcodec": "0.9.1"}
COQUI = {
    "coqui-tts": "0.28.0", "coqui-tts-trainer": "0.4.0", "coqpit-config": "0.2.5",
    "torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.57.6", "tokenizers": "0.22.2",
    "numpy": "2.4.6", "six": "1.17.0",
}  # fmt: skip
REPORT = {**TTS_22, **FAMILY, "transformers": "4.57.2", "tokenizers": "0.22.2"}
ISSUE = """\
title = "{title}"
severity = "{severity}"
capabilities = {capabilities}
cause = "Because."
fixes = ["{fix}"]
symptoms = []
sources = ["https://example.org"]

[[conditions]]
{condition}
"""
ROW = """\
title = "A row"
python = "==3.11.*"
platforms = ["linux-x86_64"]
capabilities = ["import", "load-converted", "speak"]
runs = ["r-{name}"]

[packages]
{packages}
"""


@pytest.fixture
def type_(monkeypatch, capsys, tmp_path):
    """Type a command in an empty folder, with a small matrix in place of the shipped one."""
    works = {name: {"status": "works"} for name in CAPABILITIES}
    fails = {"status": "fails", "error": "E"}
    partly = {**works, "load": fails, "api": fails}
    lines = [
        {**RUN_LINE, "id": "r-tts", "packages": TTS, "capabilities": partly},
        {**RUN_LINE, "id": "r-coqui", "packages": COQUI, "capabilities": works},
    ]
    decide = ("TTS", "coqui-tts", "torch", "torchaudio", "torchcodec", "transformers")
    rows = {
        name: ROW.format(
            name=name, packages="\n".join(f'{n} = "{packages.get(n, "absent")}"' for n in decide)
        )
        for name, packages in (("tts", TTS), ("coqui", COQUI))
    }
    issues = {
        "XC001": ("PyTorch 2.6 and newer refuse what is inside model.pth", "error", ["load"],
                  "xcompat convert FOLDER", 'packages = { TTS = "*", torch = ">=2.6" }'),
        "XC002": ("This TTS needs BeamSearchScorer, which transformers 4.57 removed", "error",
                  ["import"], "pip install transformers==4.40.2",
                  'packages = { TTS = "*", transformers = ">=4.57" }'),
        "XC015": ("Cloning a voice needs FFmpeg", "warning", ["clone"], "ffmpeg -version",
                  'packages = { torchcodec = "*" }\nsystem = { ffmpeg = "absent" }'),
        "XC022": ("TTS 0.22.0 cannot be installed on this Python", "error", ["install"],
                  "pip install coqui-tts", 'packages = { TTS = "*" }\npython = ">=3.12"'),
        "XC033": ("TTS.api writes the wrong sample rate", "error", ["api"],
                  "pip install coqui-tts", 'packages = { TTS = "*" }'),
    }  # fmt: skip
    texts = {
        code: ISSUE.format(
            title=title, severity=severity, capabilities=json.dumps(claims), fix=fix, condition=when
        )
        for code, (title, severity, claims, fix, when) in issues.items()
    }
    write_matrix(tmp_path / "matrices", lines, {**texts, "XC024": ISSUE_TEXT}, rows)
    monkeypatch.setattr("xcompat.matrix.load.SHIPPED", tmp_path / "matrices")
    # Nobody looks for the FFmpeg of the machine that runs the tests.
    monkeypatch.setattr("xcompat.environment.probe.system_of", lambda *_: ({}, {}))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("VIRTUAL_ENV", "FORCE_COLOR", "NO_COLOR", "XCOMPAT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words, stdin="": type_command(monkeypatch, capsys, *words, stdin=stdin)


def resolve(type_, *words, stdin=""):
    return type_("resolve", "--platform", "linux-x86_64", *words, stdin=stdin)


def assert_golden(name, answer):
    code, out, err = answer
    here = str(Path.cwd())
    text = (out + (f"--- stderr\n{err}" if err else "")).replace(here, "/here")
    text += f"--- exit {code}\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


def test_two_ways_out(type_):
    make_venv(Path("env"), REPORT)
    assert_golden("resolve-two-ways", resolve(type_, "--python", "env"))


def test_change_nothing(type_, tmp_path):
    line = {**RUN_LINE, "id": "r9", "packages": REPORT}
    line["capabilities"] = {"import": {"status": "fails", "error": "E"}}
    line["runtime_capabilities"] = {c: {"status": "works"} for c in RUN_LINE["capabilities"]}
    (tmp_path / "matrices/runs/more.jsonl").write_text(json.dumps(line))
    make_venv(Path("env"), REPORT)
    words = ("resolve", "--python", "env", "--platform", "linux-x86_64")
    words += ("--keep", "TTS", "--keep", "transformers")
    assert_golden("resolve-change-nothing", type_(*words))
    code, out, _ = type_(*words, "--json")
    told = json.loads(out)
    assert (code, told["proposals"]) == (0, [])
    assert told["change_nothing"] == ["import", "load-converted", "speak"]


def test_another_machine_has_nothing_installed(type_):
    answer = type_("resolve", "--platform", "macosx-arm64", "--python-version", "3.11",
                   "--keep", "TTS==0.22.0")  # fmt: skip
    assert_golden("resolve-elsewhere", answer)


def test_nothing_to_install(type_):
    make_venv(Path("env"), TTS)
    assert_golden("resolve-nothing", resolve(type_, "--python", "env"))


def test_no_plan(type_):
    answer = resolve(
        type_, "--python-version", "3.12", "--keep", "TTS==0.22.0", "--keep", "numpy<2"
    )
    assert_golden("resolve-no-plan", answer)


def test_never_run(type_):
    make_venv(Path("env"), {**REPORT, "torch": "2.7.1+cu126", "torchaudio": "2.7.1+cu126"})
    assert_golden("resolve-never-run", resolve(type_, "--python", "env", "--keep", "torch"))


def test_pins_from_standard_input(type_):
    pins = "TTS==0.22.0\ntorch==2.9.1\ntorchaudio==2.9.1\ntransformers==4.57.2\n"
    code, out, err = resolve(type_, "-r", "-", "--keep", "torch", stdin=pins)
    assert (code, err) == (0, "")
    assert 'pip install "TTS==0.22.0" "torch==2.9.1"' in out


def test_json_says_all_of_it(type_):
    make_venv(Path("env"), REPORT)
    code, out, err = resolve(
        type_, "--python", "env", "--keep", "torch", "--need", "speak", "--json"
    )
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["constraints"] == [
        {"kind": "keep", "name": "torch", "specifier": "==2.9.1"},
        {"kind": "need", "name": "speak", "specifier": ""},
    ]
    (proposal,) = told["proposals"]
    assert proposal["row"] == "tts"
    assert proposal["convert"] is True
    assert proposal["changes"][0] == {
        "package": "torchcodec", "now": None, "plan": "0.9.1", "uninstall_first": False,
        "why": "as it was run",
    }  # fmt: skip
    assert proposal["capabilities"]["api"]["status"] == "fails"
    assert proposal["commands"][-1] == "xcompat convert FOLDER --format pth"
    assert told["conflict"] is None


def test_json_of_a_conflict(type_):
    words = ("--python-version", "3.11", "--keep", "TTS==0.22.0", "--need", "api", "--json")
    code, out, _ = resolve(type_, *words)
    conflict = json.loads(out)["conflict"]
    assert code == 1
    assert conflict["issues"] == ["XC033"]
    assert [each["drop"]["name"] for each in conflict["ways_out"]] == ["TTS", "api"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--keep", "torch=2.9.1"), "write it like"),
        (("--keep", "torch[x]==2.9.1"), "write it like torch==2.9.1"),
        (("--keep", "jax"), "--keep jax==VERSION"),
    ],
)
def test_what_cannot_be_kept(type_, words, hint):
    make_venv(Path("env"), REPORT)
    code, out, err = resolve(type_, "--python", "env", *words)
    assert (code, out) == (2, "")
    assert err.startswith("error[XC211]")
    assert hint in err


def test_the_same_python_and_platform_are_this_environment(type_):
    make_venv(Path("env"), TTS)
    code, out, _ = resolve(type_, "--python", "env", "--python-version", "3.11")
    assert code == 0
    assert "Nothing to install" in out


def test_another_python_for_what_is_installed_names_no_interpreter(type_):
    make_venv(Path("env"), REPORT)
    code, out, _ = resolve(type_, "--python", "env", "--python-version", "3.12")
    assert code == 0
    assert "swap TTS for coqui-tts" in out
    assert "env/bin/python" not in out


def test_loose_requirements_are_what_must_hold(type_):
    loose = "TTS\ntransformers>=4.57,<5\nrequests>=2\ntorch==2.8.0\n"
    code, out, err = resolve(type_, "-r", "-", "--json", stdin=loose)
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["constraints"] == [
        {"kind": "keep", "name": "transformers", "specifier": "<5,>=4.57"},
        {"kind": "keep", "name": "requests", "specifier": ">=2"},
    ]
    (only,) = told["proposals"]
    assert only["row"] == "coqui"
    assert only["changes"][0] == {
        "package": "TTS", "now": "", "plan": None, "uninstall_first": True,
        "why": "XC002 This TTS needs BeamSearchScorer, which transformers 4.57 removed",
    }  # fmt: skip


def test_a_file_that_names_only_tts(type_):
    Path("app requirements.txt").write_text("TTS\n")
    answer = resolve(type_, "-r", "app requirements.txt", "--python-version", "3.11")
    assert_golden("resolve-only-tts", answer)


@pytest.mark.parametrize(
    "line",
    [
        "TTS @ git+https://example.org/TTS",
        "-e git+https://example.org/TTS#egg=TTS",
        "torch @ file:///srv/torch",
        "coqui-tts @ https://example.org/archive/main.zip",
    ],
)
def test_an_address_pins_nothing(type_, line):
    code, out, err = resolve(type_, "-r", "-", stdin=f"{line}\n")
    assert (code, out) == (2, "")
    assert "<stdin>:1" in err
    assert "does not say which version" in err


@pytest.mark.parametrize(
    ("line", "packages"),
    [
        ("https://example.org/TTS-0.22.0-cp311-cp311-linux_x86_64.whl", {"TTS": "0.22.0"}),
        ("./wheels/coqui_tts-0.28.0.tar.gz", {"coqui-tts": "0.28.0"}),
    ],
)
def test_the_name_of_a_file_pins_its_version(type_, line, packages):
    _, out, err = resolve(type_, "-r", "-", "--json", stdin=f"{line}\n")
    assert err == ""
    assert json.loads(out)["environment"]["packages"] == packages


def test_a_constraint_must_hold(type_):
    Path("constraints.txt").write_text("transformers>=4.57,<5\nfoo<1\n")
    stdin = "TTS==0.22.0\n-c constraints.txt\n"
    told = json.loads(resolve(type_, "-r", "-", "--json", stdin=stdin)[1])
    assert told["constraints"] == [
        {"kind": "keep", "name": "transformers", "specifier": "<5,>=4.57"}
    ]


def test_what_else_a_file_installs_is_passed_over(type_):
    others = "-e .\n./parts/one\n-e git+https://x.org/a#egg=a\nb @ git+https://x.org/b\n"
    code, out, err = resolve(type_, "-r", "-", "--json", stdin=f"TTS==0.22.0\n{others}")
    assert (code, err) == (0, "")
    assert json.loads(out)["environment"]["packages"] == {"TTS": "0.22.0"}


def test_the_same_wish_twice_is_one(type_):
    words = ("--keep", "torch==2.9.1")
    told = json.loads(resolve(type_, "-r", "-", *words, *words, "--json", stdin="TTS\n")[1])
    assert len(told["constraints"]) == 1


def test_a_language_must_be_one_that_xtts_speaks(type_):
    code, _, err = resolve(type_, "--language", "tlh")
    assert code == 2
    assert err.startswith("error[XC231]")


def test_what_goes_together_only_with_the_runtime(type_, tmp_path):
    make_venv(Path("env"), TTS)
    line = {
        **RUN_LINE,
        "id": "r-runtime",
        "packages": {**TTS, "transformers": "5.23.0"},
        "capabilities": {
            "install": {"status": "works"},
            "import": {"status": "fails", "error": "E"},
        },
        "runtime_capabilities": {name: {"status": "works"} for name in CAPABILITIES[1:]},
    }
    (tmp_path / "matrices" / "runs" / "more.jsonl").write_text(json.dumps(line))
    words = ("--python", "env", "--keep", "TTS", "--keep", "transformers==5.23.0")
    code, out, err = resolve(type_, *words)
    assert (code, err) == (1, "")
    assert "Or drop nothing: TTS 0.22.0, torch 2.9.1, transformers 5.23.0" in out
    assert '"transformers==5.23.0"' in out
    assert 'model = load_xtts(FOLDER, runtime="xcompat")' in out
    told = json.loads(resolve(type_, *words, "--json")[1])["conflict"]["runtime"]
    assert (told["run"], told["packages"]["transformers"]) == ("r-runtime", "5.23.0")


def test_kept_versions_that_cannot_be(type_):
    make_venv(Path("env"), TTS)
    words = ("--python", "env", "--keep", "numpy>=2", "--keep", "numpy<1.27", "--lock", "lock.txt")
    code, out, err = resolve(type_, *words)
    assert (code, err) == (1, "")
    assert '--keep "numpy>=2"\n  --keep "numpy<1.27"\n\nDrop' in out
    assert not Path("lock.txt").exists()
