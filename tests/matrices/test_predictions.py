"""What the doctor says of each recorded set, once without having seen it, and once with."""

import shlex

import pytest
from packaging.requirements import Requirement

from xcompat.diagnosis.doctor import diagnose
from xcompat.domain import CAPABILITIES, DECIDING
from xcompat.matrix.load import load_matrix

MATRIX = load_matrix()
RUNS = [pytest.param(run, id=run.id) for run in MATRIX.runs]


def versions(run):
    packages = run.environment.packages
    return [run.environment.python.split(".")[:2], *(packages.get(name) for name in DECIDING)]


def as_pins(environment):
    return environment._replace(complete=False, system={}, builds={})


def was_forced(run):
    return "--then" in run.command


@pytest.mark.parametrize("run", RUNS)
def test_a_set_that_was_not_run_is_unknown_or_rightly_predicted(run):
    others = tuple(other for other in MATRIX.runs if versions(other) != versions(run))
    without = MATRIX._replace(runs=others)
    for environment in (run.environment, as_pins(run.environment)):
        predicted = diagnose(environment, without, CAPABILITIES).capabilities
        if was_forced(run) and predicted["install"].status == "fails":
            continue  # An installer refuses such pins, whatever works once they are there.
        wrong = {
            name: predicted[name]
            for name, outcome in run.capabilities.items()
            if {outcome.status, predicted[name].status} == {"works", "fails"}
        }
        assert wrong == {}


RESOLVED = [
    pytest.param(run, id=run.id)
    for run in MATRIX.runs
    if not was_forced(run) and run.cell != "contributed"
]


def asked_for(run):
    """The pins that the run was asked for, as somebody writes them before an installer ran."""
    words = shlex.split(run.command.removeprefix("nox -s matrix -- "))
    said = dict(zip(words[::2], words[1::2], strict=True))
    pins = {name.removeprefix("--"): version for name, version in said.items()}
    python = pins.pop("python", "3.11")
    family, _, version = pins.pop("tts").partition("==")
    for requirement in (w for o, w in zip(words[::2], words[1::2], strict=True) if o == "--with"):
        name = Requirement(requirement).name
        pins[name] = run.environment.packages.get(name, "")
    pins.pop("with", None)
    if version:
        pins[Requirement(family).name] = version
    return as_pins(run.environment)._replace(packages=pins, python=python)


@pytest.mark.parametrize("run", RESOLVED)
def test_what_was_asked_for_is_never_wrongly_said_to_work(run):
    others = tuple(other for other in MATRIX.runs if versions(other) != versions(run))
    told = diagnose(asked_for(run), MATRIX._replace(runs=others), CAPABILITIES).capabilities
    wrong = {
        name: told[name]
        for name, outcome in run.capabilities.items()
        if outcome.status == "fails" and told[name].status == "works"
    }
    assert wrong == {}


@pytest.mark.parametrize("run", RUNS)
def test_a_set_that_was_run_is_told_as_it_was(run):
    told = diagnose(run.environment, MATRIX, CAPABILITIES).capabilities
    measured = {name: o.status for name, o in run.capabilities.items() if o.status != "unknown"}
    if run.environment.damaged:  # Which files lie on top is chance: nobody says that it works.
        doubted = {name for name in measured if "more than versions" in told[name].note}
        measured = {
            name: "unknown" if status == "works" or name in doubted else status
            for name, status in measured.items()
        }
    assert {name: told[name].status for name in measured} == measured
