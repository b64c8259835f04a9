"""The laws that the shipped matrix obeys: runs are evidence, issues are theory."""

import re
from datetime import date

import pytest

from xcompat.diagnosis.conditions import applies
from xcompat.diagnosis.doctor import diagnose
from xcompat.domain import CAPABILITIES
from xcompat.matrix.load import load_matrix
from xcompat.matrix.symptoms import matches

MATRIX = load_matrix()
RUNS = [pytest.param(run, id=run.id) for run in MATRIX.runs]
ROWS = [pytest.param(row, id=row.id) for row in MATRIX.rows]
ISSUES = [pytest.param(issue, id=issue.code) for issue in MATRIX.issues]


@pytest.mark.parametrize("run", RUNS)
def test_law_1_every_failure_is_explained(run):
    diagnosis = diagnose(run.environment, MATRIX, CAPABILITIES)
    unexplained = [
        f"{capability}: {outcome.error}"
        for capability, outcome in run.capabilities.items()
        if outcome.status == "fails" and not diagnosis.capabilities[capability].issues
    ]
    assert unexplained == []


@pytest.mark.parametrize("run", RUNS)
def test_law_2_no_issue_claims_what_works(run):
    wrong = [
        f"{issue.code} claims {capability}"
        for issue in MATRIX.issues
        if issue.severity == "error" and applies(issue, run.environment)
        for capability in issue.capabilities
        if capability in run.capabilities and run.capabilities[capability].status == "works"
    ]
    assert wrong == []


@pytest.mark.parametrize("row", ROWS)
def test_law_3_rows_are_backed_by_runs(row):
    cited = [run for run in MATRIX.runs if run.id in row.runs]
    run_on = {run.environment.platform for run in cited}
    assert run_on == set(row.platforms)
    for run in cited:
        diagnosis = diagnose(run.environment, MATRIX, row.capabilities)
        assert (diagnosis.verdict, diagnosis.row) == ("compatible", row.id)


@pytest.mark.parametrize("run", RUNS)
def test_law_5_a_run_can_be_repeated_and_says_who_wrote_it(run):
    assert run.command.startswith("nox -s ")
    assert re.fullmatch(r"xcompat \d+\.\d+\.\d+\S*", run.tool)
    assert date.fromisoformat(run.date)
    assert run.cell
    assert run.device
    assert run.environment.platform
    assert {"TTS", "coqui-tts"} & run.environment.packages.keys()
    if run.capabilities.get("speak") and run.capabilities["speak"].status == "works":
        assert re.fullmatch(r"[0-9a-f]{64}", run.tokens)


@pytest.mark.parametrize("run", RUNS)
def test_errors_that_were_met_are_found_by_their_text(run):
    """A failure whose issue has symptoms must be found by `explain` from its error text."""
    for capability, outcome in run.capabilities.items():
        claimed = [
            issue
            for issue in MATRIX.issues
            if issue.symptoms
            and issue.severity == "error"
            and capability in issue.capabilities
            and applies(issue, run.environment)
        ]
        if outcome.status == "fails" and claimed:
            assert matches(outcome.error, claimed), outcome.error


@pytest.mark.parametrize("issue", ISSUES)
def test_issues_are_written_for_people(issue):
    assert len(issue.title) <= 80
    assert not issue.title.endswith(".")
    assert issue.cause.endswith(".")
    assert issue.fixes
    assert all(source.startswith("https://") for source in issue.sources)
    if issue.severity == "error":
        assert issue.capabilities
