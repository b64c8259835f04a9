"""docs/apps.md says what was recorded, and the records name programs that are there."""

from __future__ import annotations

import runpy
from pathlib import Path

APPS = Path(__file__).parent / "apps"
PAGE = runpy.run_path(str(APPS / "page.py"))
SESSION = (APPS / "session.py").read_text("utf-8")
RECORDS = PAGE["read"](PAGE["RECORDS"])


def test_the_page_is_made_of_the_records() -> None:
    assert PAGE["PAGE"].read_text("utf-8") == PAGE["page_of"](RECORDS)


def test_each_program_was_run_each_way_in_each_environment() -> None:
    programs = {file.stem for file in APPS.glob("*.py")} - {"page", "record", "session", "ways"}
    without_loader = {"alltalk_2", "mac_assistant"}
    for environment in {each["environment"] for each in RECORDS}:
        told = {(e["app"], e["way"]) for e in RECORDS if e["environment"] == environment}
        wanted = {(app, way) for app in programs for way in PAGE["WAYS"]}
        assert told == wanted - {(app, "load_xtts") for app in without_loader}
