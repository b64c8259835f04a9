"""`doctor --format`, `--ignore` and `--list-checks`: what other programs read of a diagnosis."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from builders.environments import TTS_22, make_venv
from builders.known import READ_ONCE
from builders.terminal import type_command
from xcompat import version

PINS = "TTS==0.22.0\n# why not newer\ntorch==2.9.1\ntransformers==4.57.1  # for another model\n"
SARIF = json.loads((Path(__file__).parents[2] / "schemas/sarif-2.1.0.json").read_text("utf-8"))


@pytest.fixture(autouse=True)
def pins(tmp_path, monkeypatch):
    """Lists in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("xcompat.matrix.load.load_matrix", READ_ONCE)
    Path("pins.txt").write_text(PINS)
    Path("works.txt").write_text("coqui-tts==0.27.2\ntorch==2.8.0\ntransformers==4.55.4\n")


def doctor(run, *words):
    return run("doctor", "--platform", "linux-x86_64", *words)


class TestGithub:
    def test_each_finding_is_on_the_line_that_decides_it(self, run):
        done = doctor(run, "-r", "pins.txt", "--format", "github")
        assert done.exit_code == 1
        first, *findings = done.stdout.splitlines()
        assert first.startswith("::error title=xcompat doctor::Cannot start with these pins: ")
        assert "%0Ainstall: pip install " in first
        places = {re.search(r"title=(XC\d+)", x)[1]: x.partition(",title=")[0] for x in findings}
        assert places["XC002"] == "::error file=pins.txt,line=4"
        assert places["XC001"] == "::warning file=pins.txt,line=3"
        assert all(re.fullmatch(r"::(error|warning|notice) [^\n]+::[^\n]+", x) for x in findings)

    def test_what_is_needed_decides_how_grave_it_is(self, run):
        done = doctor(run, "-r", "pins.txt", "--format", "github", "--need", "load")
        assert "::error file=pins.txt,line=3,title=XC001" in done.stdout
        assert "::warning file=pins.txt,line=4,title=XC006" in done.stdout

    def test_a_title_cannot_end_its_property(self, run):
        done = doctor(run, "-r", "pins.txt", "--format", "github")
        assert "title=XC002 This TTS needs BeamSearchScorer%2C which" in done.stdout

    def test_a_line_of_an_included_file(self, run):
        Path("sub").mkdir()
        Path("sub/more.txt").write_text("\n\ntransformers==4.57.1\n")
        Path("pins.txt").write_text("TTS==0.22.0\ntorch==2.9.1\n-r sub/more.txt\n")
        done = doctor(run, "-r", "pins.txt", "--format", "github")
        assert "file=sub/more.txt,line=3,title=XC002" in done.stdout

    def test_what_is_piped_in_has_no_file(self, run, monkeypatch, capsys):
        words = ("doctor", "-r", "-", "--format", "github")
        _, out, _ = type_command(monkeypatch, capsys, *words, stdin=PINS)
        assert "title=XC002" in out
        assert "file=" not in out


class TestSarif:
    @pytest.mark.parametrize("words", [(), ("--ignore", "XC006"), ("--need", "load")])
    def test_it_is_what_the_schema_asks_for(self, run, words):
        told = json.loads(doctor(run, "-r", "pins.txt", "--format", "sarif", *words).stdout)
        jsonschema.Draft4Validator(SARIF).validate(told)
        (log,) = told["runs"]
        rules = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
        assert [result["ruleId"] for result in log["results"]] == rules
        assert log["properties"]["verdict"] == "incompatible"

    def test_places_levels_and_suppressions(self, run):
        done = doctor(run, "-r", "pins.txt", "--format", "sarif", "--ignore", "XC006")
        results = {x["ruleId"]: x for x in json.loads(done.stdout)["runs"][0]["results"]}
        (place,) = results["XC002"]["locations"]
        assert place["physicalLocation"] == {
            "artifactLocation": {"uri": "pins.txt"},
            "region": {"startLine": 4},
        }
        assert results["XC002"]["level"] == "error"
        assert results["XC001"]["level"] == "warning"
        assert "suppressions" not in results["XC001"]
        assert results["XC006"]["suppressions"][0]["kind"] == "external"

    def test_an_installation_has_no_lines(self, run, tmp_path):
        make_venv(tmp_path / "venv", {"TTS": "0.22.0", "torch": "2.9.1", "transformers": "4.57.1"})
        done = doctor(run, "--python", "venv", "--format", "sarif")
        told = json.loads(done.stdout)
        jsonschema.Draft4Validator(SARIF).validate(told)
        results = {x["ruleId"]: x["locations"] for x in told["runs"][0]["results"]}
        (names,) = results["XC002"]
        assert [x["name"] for x in names["logicalLocations"]] == ["TTS", "transformers"]


class TestMarkdown:
    def test_the_answer_the_table_and_what_to_type(self, run):
        done = doctor(run, "-r", "pins.txt", "--format", "markdown")
        assert done.exit_code == 1
        assert done.stdout.startswith("**❌ Cannot start with these pins: ")
        assert "| ❌ | **import** | XC002" in done.stdout
        assert "\n```text\npip install " in done.stdout
        assert "(`pins.txt`, line 4)" in done.stdout

    def test_what_stands_in_a_file_is_not_markdown(self, run):
        Path("<b>[x](y).txt").write_text("TTS==0.22.0\ntransformers==4.57.1\n")
        done = doctor(run, "-r", "<b>[x](y).txt", "--format", "markdown")
        assert "`<b>[x](y).txt`" in done.stdout
        assert done.stdout.count("<b>") == done.stdout.count("`<b>")


class TestJson:
    def test_the_option_and_its_old_name_say_the_same(self, run):
        assert (
            doctor(run, "-r", "pins.txt", "--format", "json").stdout
            == doctor(run, "-r", "pins.txt", "--json").stdout
        )

    def test_a_page_is_named_once_there_is_a_site(self, run, monkeypatch):
        def urls(words):
            told = json.loads(run(*words, "--json").stdout)
            return {x["code"]: x["url"] for x in told.get("findings") or told["issues"]}

        doctor_, explain = ("doctor", "-r", "pins.txt"), ("explain", "XC002")
        assert urls(doctor_)["XC002"] is urls(explain)["XC002"] is None
        monkeypatch.setattr(version, "SITE", "https://example.org/docs/")
        page = "https://example.org/docs/issues/XC002/"
        assert urls(doctor_)["XC002"] == urls(explain)["XC002"] == page
        assert page in run(*doctor_).stdout
        assert page in run(*explain).stdout
        assert page in doctor(run, "-r", "pins.txt", "--format", "github").stdout
        assert f"[XC002]({page})" in doctor(run, "-r", "pins.txt", "--format", "markdown").stdout
        sarif = json.loads(doctor(run, "-r", "pins.txt", "--format", "sarif").stdout)
        jsonschema.Draft4Validator(SARIF).validate(sarif)
        assert page in [x["helpUri"] for x in sarif["runs"][0]["tool"]["driver"]["rules"]]


class TestIgnore:
    def test_what_is_not_needed_is_only_not_told(self, run):
        done = doctor(run, "-r", "works.txt", "--ignore", "XC033", "--json")
        told = json.loads(done.stdout)
        assert done.exit_code == 0
        assert "XC033" not in [x["code"] for x in told["findings"]]
        assert [x["code"] for x in told["ignored"]] == ["XC033"]
        assert "Ignored: XC033" in doctor(run, "-r", "works.txt", "--ignore", "XC033").stdout

    def test_what_fails_for_nothing_else_is_not_counted(self, run):
        words = ("-r", "works.txt", "--need", "speak", "--need", "api-path")
        assert doctor(run, *words).exit_code == 1
        done = doctor(run, *words, "--ignore", "xc-33", "--json")
        told = json.loads(done.stdout)
        assert done.exit_code == 0
        assert told["needed"] == ["speak"]
        assert told["capabilities"]["api-path"]["status"] == "fails"

    def test_what_fails_for_something_else_too_is(self, run):
        assert doctor(run, "-r", "pins.txt", "--ignore", "XC006,XC001").exit_code == 1

    def test_where_nothing_is_left_nobody_knows(self, run):
        done = doctor(run, "-r", "pins.txt", "--need", "load", "--ignore", "XC001,XC002")
        assert done.exit_code == 3
        assert done.stdout.startswith("Nobody knows: all that was asked for fails for nothing but")

    def test_no_such_issue(self, run):
        done = doctor(run, "-r", "pins.txt", "--ignore", "XC999")
        assert done.exit_code == 2
        assert "error[XC208]" in done.stderr


class TestListChecks:
    def test_every_known_issue_is_listed(self, run):
        told = json.loads(run("doctor", "--list-checks", "--json").stdout)["checks"]
        shipped = Path(__file__).parents[3] / "matrices/issues"
        assert [x["code"] for x in told] == sorted(x.stem for x in shipped.glob("*.toml"))
        text = run("doctor", "--list-checks").stdout
        table = run("doctor", "--list-checks", "--format", "markdown").stdout
        for each in told:
            assert f"{each['code']} {each['severity']}" in text
            assert f"| {each['code']} | {each['severity']} | " in table

    def test_it_has_no_lines_to_annotate(self, run):
        assert run("doctor", "--list-checks", "--format", "sarif").exit_code == 2


@pytest.mark.parametrize(
    "words", [("--json", "--format", "text"), ("--report", "--json"), ("--format", "yaml")]
)
def test_one_form_at_a_time(run, words):
    assert doctor(run, "-r", "pins.txt", *words).exit_code == 2


class TestManyTargets:
    @pytest.fixture(autouse=True)
    def targets(self, tmp_path):
        make_venv(tmp_path / "venv", TTS_22)

    def test_one_target_is_told_in_full(self, run):
        assert run("doctor", "pins.txt").stdout == run("doctor", "-r", "pins.txt").stdout
        assert run("doctor", "venv").stdout == run("doctor", "--python", "venv").stdout

    def test_one_summary_and_the_worst_exit_code(self, run):
        done = doctor(run, "works.txt", "venv", "pins.txt")
        assert done.exit_code == 1
        signs = "".join(x[0] for x in done.stdout.splitlines() if x.startswith(("✓", "✗")))
        assert signs == "✓✓✗"
        assert "2 compatible, 1 incompatible." in done.stdout
        assert doctor(run, "works.txt", "venv").exit_code == 0

    def test_what_cannot_be_looked_at_keeps_nothing_from_the_others(self, run):
        done = doctor(run, "missing.txt", "works.txt", "--format", "json")
        first, second = json.loads(done.stdout)["targets"]
        assert done.exit_code == 4
        assert first["error"]["code"] == "XC204"
        assert first["diagnosis"] is None
        assert second["diagnosis"]["verdict"] == "compatible"
        text = doctor(run, "missing.txt", "works.txt").stdout
        assert "1 compatible, 1 not looked at." in text

    def test_the_other_forms(self, run):
        both = ("pins.txt", "works.txt")
        sarif = json.loads(doctor(run, *both, "--format", "sarif").stdout)
        jsonschema.Draft4Validator(SARIF).validate(sarif)
        assert len(sarif["runs"]) == 2
        github = doctor(run, *both, "missing.txt", "--format", "github").stdout
        assert "::error file=pins.txt,line=4,title=XC002" in github
        assert "::error title=xcompat doctor missing.txt::" in github
        markdown = doctor(run, *both, "--format", "markdown").stdout
        assert "| ❌ | pins.txt | Cannot start" in markdown
        assert "\n## works.txt\n" in markdown

    def test_targets_and_options_exclude_each_other(self, run):
        assert run("doctor", "venv", "-r", "pins.txt").exit_code == 2
        assert run("doctor", "venv", "works.txt", "--report").exit_code == 2
