"""What the doctor says of runs that it has not seen is never wrong, seldom nothing."""

from collections import Counter

import pytest

from calibration import judged
from xcompat.domain import Trials
from xcompat.matrix.load import load_matrix

MATRIX = load_matrix()


@pytest.fixture(scope="module")
def trials():
    """What is measured today, of all runs of the same versions left out."""
    counted = Counter(
        told
        for run in MATRIX.runs
        if not run.environment.damaged
        for told in judged(MATRIX, "versions", run)
    )
    return {
        key: Trials(*(counted[key, each] for each in Trials._fields))
        for key in {key for key, _ in counted}
    }


def test_no_answer_is_wrong(trials):
    assert {key: each for key, each in trials.items() if each.wrong} == {}
    assert {key: each for key, each in MATRIX.calibration.items() if each.wrong} == {}


@pytest.mark.parametrize("column", ["stock", "runtime"])
def test_few_have_no_answer(trials, column):
    of_column = [each for key, each in trials.items() if key[1] == column]
    unknown = sum(each.unknown for each in of_column)
    assert unknown <= 0.05 * sum(map(sum, of_column))


def test_the_figures_that_are_told_are_fresh(trials):
    recorded = {key: each for key, each in MATRIX.calibration.items() if key[0] == "versions"}
    assert recorded == trials, "measure them again: nox -s calibration"
