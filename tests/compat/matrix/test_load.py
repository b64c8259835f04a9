import pytest

from builders.matrices import ISSUE_TEXT, ROW_TEXT, RUN_LINE, write_matrix
from xcompat.domain import Condition
from xcompat.errors import CannotLook
from xcompat.matrix.load import load_issues, load_matrix


def errors_of(folder):
    with pytest.raises(CannotLook) as caught:
        load_matrix(folder)
    assert caught.value.code == "XC206"
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


def test_everything_is_read(tmp_path):
    line = {**RUN_LINE, "packages": {**RUN_LINE["packages"], "Torch": "2.9.1+cu128"}}
    line["packages"].pop("torch")
    line["capabilities"] = {
        "import": {"status": "works"},
        "speak": {"status": "fails", "error": "KeyError: 1"},
    }
    folder = write_matrix(
        tmp_path / "m", [line, "", {**line, "id": "r2", "tokens": "ab"}],
        {"XC024": ISSUE_TEXT}, {"row": ROW_TEXT},
    )  # fmt: skip
    matrix = load_matrix(folder)
    first, second = matrix.runs
    assert first.environment.packages["torch"] == "2.9.1+cu128"
    assert first.environment.builds == {"torch": "cu128"}
    assert first.environment.system == {"ffmpeg": None}
    assert first.capabilities["speak"].error == "KeyError: 1"
    assert (first.tokens, second.tokens, first.cell) == ("", "ab", "t22")
    assert matrix.issues[0].conditions == (Condition(packages={"coqui-tts": "*", "six": "absent"}),)
    assert matrix.rows[0].packages["torchcodec"] == "absent"


def test_the_column_of_the_runtime_may_be_missing_or_empty(tmp_path):
    works = {"speak": {"status": "works"}}
    lines = [
        RUN_LINE,
        {**RUN_LINE, "id": "r2", "runtime_capabilities": {}, "runtime_tokens": None},
        {**RUN_LINE, "id": "r3", "runtime_capabilities": works, "runtime_tokens": "ab"},
        {**RUN_LINE, "id": "r4", "runtime_capabilities": {"speak": {"status": "fails"}}},
    ]
    runs = load_matrix(write_matrix(tmp_path / "m", lines[:3])).runs
    assert [set(run.runtime_capabilities) for run in runs] == [set(), set(), {"speak"}]
    assert runs[2].runtime_tokens == "ab"
    (told,) = errors_of(write_matrix(tmp_path / "n", lines))
    assert "`speak` fails: its `error` is missing" in told


def test_the_api_of_old_lines_was_a_model_given_by_its_path(tmp_path):
    works, fails = {"status": "works"}, {"status": "fails", "error": "E"}
    old = {
        **RUN_LINE,
        "schema": 1,
        "capabilities": {"api": fails},
        "runtime_capabilities": {"api": works},
    }
    new = {**old, "schema": 2, "id": "r2"}
    before, after = load_matrix(write_matrix(tmp_path / "m", [old, new])).runs
    for run, name in ((before, "api-path"), (after, "api")):
        assert {n: o.status for n, o in run.capabilities.items()} == {name: "fails"}
        assert {n: o.status for n, o in run.runtime_capabilities.items()} == {name: "works"}
    (told,) = errors_of(write_matrix(tmp_path / "n", [{**old, "capabilities": ["api"]}]))
    assert "capabilities must be a table" in told


def test_without_the_issues_that_only_words_tell():
    everything = load_matrix()
    environments = load_matrix(by_words=False)
    assert environments.issues == tuple(each for each in everything.issues if each.conditions)
    assert len(environments.issues) < len(everything.issues)
    assert (environments.runs, environments.rows) == (everything.runs, everything.rows)


def test_the_issues_alone_are_the_same_without_the_runs(monkeypatch):
    everything = load_matrix().issues
    monkeypatch.setattr(
        "xcompat.matrix.written.read_runs", lambda *_: pytest.fail("runs were read")
    )
    assert load_issues() == everything


def test_an_empty_matrix_is_one(tmp_path):
    assert load_matrix(tmp_path).runs == ()


def test_every_error_of_every_file_is_told_at_once(tmp_path):
    folder = write_matrix(
        tmp_path / "m",
        [RUN_LINE, "{", {**RUN_LINE, "schema": 3}, RUN_LINE],
        {"XC001": "title = ", "XC002": ISSUE_TEXT.replace("error", "fatal")},
        {"row": ROW_TEXT.replace('"r1"', '"r9"')},
    )
    told = errors_of(folder)
    assert [line.partition(": ")[0] for line in told] == [
        "m/issues/XC001.toml:1",
        "m/issues/XC002.toml:2",
        "m/runs/all.jsonl:2",
        "m/runs/all.jsonl:3",
        "m/runs/all.jsonl:4",
        "m/rows/row.toml:6",
    ]
    assert "there is no run `r9`" in told[-1]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('title = "A title"', "", ":1: `title` is missing"),
        ('title = "A title"', "title = 3", ":1: `title` must be text, not int"),
        ('["import"]', '["imports"]', ":3: there is no capability `imports`"),
        ('["import"]', '"import"', ":3: `capabilities` must be a list of texts, not text"),
        ('cause = "Because."', 'cause = "B"\nwhy = "x"', ":5: `why` means nothing here"),
        ("No module", "No (module", "is not a regular expression"),
        ("No module named 'six'", "(?:No module|no package)", "has no 6 characters that all"),
        ("No module named 'six'", "No module|no package", "has no 6 characters that all"),
        ('["https://example.org"]', "[]", ":7: a known issue names at least one source"),
        ('coqui-tts = "*"', 'coqui-tts = "2.9"', ":10: `2.9` of `coqui-tts` is not a version spec"),
        ("packages = {", 'python = "new"\npackages = {', ":10: `new` of `python` is not"),
        ("packages = {", 'minor_mismatch = ["torch"]\npackages = {', "names two distributions"),
        ("packages = {", "system = 3\npackages = {", "`system` must be a table of texts, not int"),
        ("packages = {", "pack = {", "a condition that says nothing applies everywhere"),
        ("[[conditions]]", "[conditions]", "must be written as [[conditions]]"),
        ("[[conditions]]", "[[condition]]", "`condition` means nothing here"),
    ],
)
def test_issues(tmp_path, old, new, told):
    text = ISSUE_TEXT.replace(old, new)
    assert text != ISSUE_TEXT
    (line,) = errors_of(write_matrix(tmp_path / "m", [], {"XC001": text}))
    assert line.startswith("m/issues/XC001.toml:")
    assert told in line


def test_an_issue_that_nothing_could_reveal(tmp_path):
    text = ISSUE_TEXT.partition("[[")[0].replace("No module named 'six'", "").replace('""', "")
    (line,) = errors_of(write_matrix(tmp_path / "m", [], {"XC001": text}))
    assert "needs symptoms" in line


def test_the_name_of_an_issue(tmp_path):
    (line,) = errors_of(write_matrix(tmp_path / "m", [], {"XC1": ISSUE_TEXT}))
    assert "is named XC0nn.toml" in line


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("id", None, "`id` is missing"),
        ("date", "22.11.2026", "`date` must be YYYY-MM-DD"),
        ("python", "three", "`three` of `python` is not a version"),
        ("packages", [], "`packages` must be a table of texts, not a list"),
        ("packages", {"torch": "new"}, "`new` of `torch` is not a version"),
        ("system", {"ffmpeg": 5}, "`system` must be a table of texts or null"),
        ("capabilities", {}, "`capabilities` is empty"),
        ("capabilities", None, "capabilities must be a table, not nothing"),
        ("capabilities", {"sing": {"status": "works"}}, "`capabilities` is empty"),
        ("capabilities", {"import": "works"}, "import must be a table, not text"),
        ("capabilities", {"import": {"status": "ok"}}, "is works, fails or unknown, not `ok`"),
        ("capabilities", {"import": {"status": "fails"}}, "its `error` is missing"),
        ("extra", 1, "`extra` means nothing here"),
    ],
)
def test_runs(tmp_path, key, value, told):
    (line,) = errors_of(write_matrix(tmp_path / "m", [{**RUN_LINE, key: value}]))
    assert line.startswith("m/runs/all.jsonl:1: ")
    assert told in line


def test_a_row_without_packages(tmp_path):
    text = "\n".join(line for line in ROW_TEXT.splitlines() if "packages" not in line)
    (line,) = errors_of(write_matrix(tmp_path / "m", [RUN_LINE], {}, {"row": text}))
    assert "`packages` is missing" in line


def test_a_file_that_is_not_text(tmp_path):
    folder = write_matrix(tmp_path / "m")
    (folder / "runs/x.jsonl").write_bytes(b"\xff")
    (line,) = errors_of(folder)
    assert "runs/x.jsonl:1: cannot be read" in line
