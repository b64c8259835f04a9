"""docs/apps.md says what was recorded, and the records name programs that are there."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

APPS = Path(__file__).parent / "apps"
PAGE = runpy.run_path(str(APPS / "page.py"))
SESSION = (APPS / "session.py").read_text("utf-8")
RECORDS = PAGE["read"](PAGE["RECORDS"])


def test_the_page_is_made_of_the_records() -> None:
    assert PAGE["PAGE"].read_text("utf-8") == PAGE["page_of"](RECORDS)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch):
    """What CI does again, as it is written in check.py."""
    monkeypatch.syspath_prepend(str(APPS))
    return runpy.run_path(str(APPS / "check.py"))


def test_each_program_was_run_each_way_in_each_environment(check) -> None:
    others = {"check", "page", "record", "session", "ways"}
    programs = {file.stem for file in APPS.glob("*.py")} - others
    without_loader = {"alltalk_2", "mac_assistant"}
    for environment in {each["environment"] for each in RECORDS}:
        told = {(e["app"], e["way"]) for e in RECORDS if e["environment"] == environment}
        if told == {*check["PROGRAMS"]}:  # A cell of CI.
            continue
        wanted = {(app, way) for app in programs for way in PAGE["WAYS"]}
        assert told == wanted - {(app, "load_xtts") for app in without_loader}


RECORDED = [
    {"environment": "E", "app": "a", "way": "in-place", "works": True},
    {"environment": "E", "app": "a", "way": "attach", "works": False, "error": "OSError: no"},
]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"way": "in-place", "works": True}, []),
        ({"way": "attach", "works": False, "error": "ValueError: other words"}, []),
        ({"way": "attach", "works": True}, ["a, attach, in E: works; recorded: OSError: no"]),
        (
            {"way": "in-place", "works": False, "error": "ValueError: no"},
            ["a, in-place, in E: ValueError: no; recorded: works"],
        ),
        ({"way": "both", "works": True}, ["a, both, in E: never recorded; works"]),
        (
            {"way": "attach", "works": False, "error": "MemoryError"},
            [
                "a, attach, in E: not compared: this machine has too little memory: MemoryError"
            ],
        ),
    ],
)  # fmt: skip
def test_an_app_that_does_other_than_recorded_is_told(check, told, said) -> None:
    differences = check["differences"]
    assert differences("E", [{"app": "a", **told}], RECORDED) == said
    assert len(differences("another", [{"app": "a", **told}], RECORDED)) == 1
