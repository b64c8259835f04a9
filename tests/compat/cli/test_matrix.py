"""`xcompat matrix` as a user sees it: filters, narrow terminals, runs that are sent in."""

import json

import pytest

from builders.matrices import BASE, RUN_LINE, write_matrix
from xcompat.matrix.load import SHIPPED, load_matrix
from xcompat.matrix.selection import Selection

C28 = {"coqui-tts": "0.28.0", "torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.57.6"}
FAILS = {"status": "fails", "error": "ImportError: cannot import name 'X' from 'y'"}


def line(id_, packages, **fields):
    return {**RUN_LINE, "id": id_, "packages": packages, **fields}


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Four runs, of which two look alike but for a package that the table does not show."""
    broken = {"import": FAILS}
    lines = [
        line("a-linux", BASE),
        line("b-linux", {**C28, "six": "1.17.0"}),
        line("c-linux", C28, capabilities=broken),
        line("d-mac", {**C28, "torch": "2.10.0"}, platform="macosx-arm64"),
    ]
    issues = {"XC024": (SHIPPED / "issues/XC024.toml").read_text("utf-8")}
    write_matrix(tmp_path / "matrices", lines, issues)
    monkeypatch.setattr("xcompat.matrix.load.SHIPPED", tmp_path / "matrices")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def ids(done):
    return [run["id"] for run in json.loads(done.stdout)["runs"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ["a-linux", "b-linux", "c-linux", "d-mac"]),
        (("--tts", "TTS"), ["a-linux"]),
        (("--tts", "tts==0.22.0"), ["a-linux"]),
        (("--tts", "coqui-tts"), ["b-linux", "c-linux", "d-mac"]),
        (("--tts", "0.22"), ["a-linux"]),
        (("--tts", "coqui-tts>=0.28,<0.29"), ["b-linux", "c-linux", "d-mac"]),
        (("--tts", "coqui-tts<0.28"), []),
        (("--torch", "2.8"), ["b-linux", "c-linux"]),
        (("--torch", ">=2.9"), ["a-linux", "d-mac"]),
        (("--torch", "2.1"), []),
        (("--transformers", "4.57.6", "--platform", "macosx-arm64"), ["d-mac"]),
        (("--capability", "speak"), ["a-linux", "b-linux", "d-mac"]),
    ],
)
def test_filters(shipped, run, words, expected):
    done = run("matrix", "--json", *words)
    assert done.exit_code == 0
    assert ids(done) == expected


@pytest.mark.parametrize("words", [("--torch", "new"), ("--tts", "piper"), ("--tts", "TTS=0.22")])
def test_filters_that_make_no_sense(shipped, run, words):
    done = run("matrix", *words)
    assert done.exit_code == 2
    assert done.stderr.startswith("error[XC233]: ")
    assert "\nhint: " in done.stderr


def test_runs_that_differ_in_one_package_do_not_look_alike(shipped, run):
    told = run("matrix", "--tts", "coqui-tts", "--platform", "linux-x86_64").stdout.splitlines()
    assert [row.strip() for row in told if "six" in row] == ["six 1.17.0", "no six"]


def test_one_capability_comes_with_its_errors(shipped, run):
    told = run("matrix", "--capability", "import", "--torch", "2.8").stdout
    assert "conv" not in told
    assert FAILS["error"] in told


@pytest.mark.parametrize("columns", [20, 40, 60])
def test_a_narrow_terminal_gets_lines_that_fit(shipped, run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    told = run("matrix").stdout
    assert "✗import" in told
    assert max(map(len, told.splitlines())) <= max(columns, 30)


def test_json_tells_packages_that_can_matter(shipped, run):
    runs = json.loads(run("matrix", "--json").stdout)["runs"]
    assert [each["packages"].get("six") for each in runs] == [None, "1.17.0", None, None]
    assert runs[0]["system"] == {"ffmpeg": None}


def test_markdown(shipped, run):
    told = run("matrix", "--markdown").stdout
    assert "\n## macosx-arm64, Python 3.11\n" in told
    assert "| coqui-tts 0.28.0 | 2.8.0 | 2.8.0 | - | 4.57.6 | no six |  | ✗ |" in told
    assert "xcompat matrix --check run.jsonl" in told


REFUSALS = {
    "error: No solution found when resolving dependencies cause: Because coqui-tts==0.26.2 depends "
    "on transformers>=4.47.0,<4.52 and you require coqui-tts==0.26.2, we can conclude that you "
    "require transformers>=4.47.0,<4.52.": (
        "coqui-tts==0.26.2 depends on transformers>=4.47.0,<4.52"
    ),
    "error: Failed to build `pandas==1.5.3` cause: The build backend": (
        "Failed to build `pandas==1.5.3`"
    ),
    "Package 'TTS' requires a different Python: 3.12.1 not in '<3.12'": (
        "Package 'TTS' requires a different Python: 3.12.1 not in '<3.12'"
    ),
}


@pytest.mark.parametrize(("error", "why"), REFUSALS.items())
def test_what_an_installer_refuses_is_told_apart_with_the_reason(
    tmp_path, run, monkeypatch, error, why
):
    refusal = {"install": {"status": "fails", "error": error}}
    lines = [line("a-linux", BASE), line("b-linux", {"TTS": "0.22.0"}, capabilities=refusal)]
    write_matrix(tmp_path / "matrices", lines, {})
    monkeypatch.setattr("xcompat.matrix.load.SHIPPED", tmp_path / "matrices")
    told = " ".join(run("matrix").stdout.split())
    assert "1 executed, 1 that an installer refused" in told
    assert f"TTS 0.22.0: {why} (linux-x86_64, Python 3.11)" in told
    assert told.count("TTS 0.22.0") == 2
    page = run("matrix", "--markdown").stdout
    assert f"| linux-x86_64 | 3.11 | TTS 0.22.0 | {why} |" in page


class TestCheck:
    @pytest.fixture
    def check(self, shipped, run):
        def check(*lines, words=()):
            file = shipped / "sent.jsonl"
            file.write_text("".join(f"{each}\n" for each in lines), "utf-8")
            return run("matrix", "--check", str(file), *words)

        return check

    def test_a_run_that_can_be_merged(self, check):
        done = check(json.dumps(line("new-mac", BASE, platform="macosx-arm64")))
        assert done.exit_code == 0
        assert done.stdout.startswith("new-mac: TTS 0.22.0, torch 2.9.1,")
        assert "can be merged" in done.stdout
        assert "look at this" not in done.stdout

    def test_a_failure_that_nothing_explains(self, check):
        new = line("new", BASE, capabilities={"import": FAILS})
        done = check(json.dumps(new), words=("--json",))
        (told,) = json.loads(done.stdout)["runs"]
        assert done.exit_code == 0
        assert told["notes"] == [f"import fails, and no known issue says why: {FAILS['error']}"]

    def test_a_run_that_works_where_a_failure_is_known(self, check):
        done = check(json.dumps(line("new", C28)))
        assert "look at this: import works, where fails is known (XC024)" in done.stdout

    @pytest.mark.parametrize(
        ("sent", "told"),
        [
            ("", "sent.jsonl:1: there is no run in it"),
            ("{", "sent.jsonl:1: not JSON"),
            (json.dumps({**RUN_LINE, "date": "today"}), "`date` must be YYYY-MM-DD"),
            (json.dumps(line("a-linux", BASE)), "the run `a-linux` is already at matrices/runs"),
            (
                json.dumps(
                    line("new", BASE, capabilities={
                        "import": {"status": "fails", "error": "in /home/me/x.py"}})
                ),
                "sent.jsonl:1: it names a folder of somebody's machine",
            ),
        ],
    )  # fmt: skip
    def test_a_line_that_cannot(self, check, sent, told):
        done = check(sent)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("error[XC232]: ")
        assert told in done.stderr

    def test_no_file(self, run, tmp_path):
        done = run("matrix", "--check", str(tmp_path / "none"))
        assert done.exit_code == 4
        assert done.stderr.startswith("error[XC209]: ")


def test_an_odd_version_matches_nothing():
    assert Selection(versions={"torch": "2.9"}).of(load_matrix()).runs
    assert not Selection(versions={"torch": "0.1"}).of(load_matrix()).runs
