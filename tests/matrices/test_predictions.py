"""What the doctor says of each recorded set, once without having seen it, and once with."""

from dataclasses import replace

import pytest

from xcompat.doctor import diagnose
from xcompat.domain import CAPABILITIES, DECIDING
from xcompat.matrix import load

MATRIX = load()
RUNS = [pytest.param(run, id=run.id) for run in MATRIX.runs]


def versions(run):
    packages = run.environment.packages
    return [run.environment.python.split(".")[:2], *(packages.get(name) for name in DECIDING)]


def as_pins(environment):
    return replace(environment, complete=False, system={}, builds={})


@pytest.mark.parametrize("run", RUNS)
def test_a_set_that_was_not_run_is_unknown_or_rightly_predicted(run):
    others = tuple(other for other in MATRIX.runs if versions(other) != versions(run))
    without = replace(MATRIX, runs=others)
    for environment in (run.environment, as_pins(run.environment)):
        predicted = diagnose(environment, without, CAPABILITIES).capabilities
        wrong = {
            name: predicted[name]
            for name, outcome in run.capabilities.items()
            if {outcome.status, predicted[name].status} == {"works", "fails"}
        }
        assert wrong == {}


@pytest.mark.parametrize("run", RUNS)
def test_a_set_that_was_run_is_told_as_it_was(run):
    told = diagnose(run.environment, MATRIX, CAPABILITIES).capabilities
    measured = {name: o.status for name, o in run.capabilities.items() if o.status != "unknown"}
    assert {name: told[name].status for name in measured} == measured
