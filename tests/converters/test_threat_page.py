"""docs/threats.md names tests that exist, and every group of attacks."""

from __future__ import annotations

import re
from pathlib import Path

from builders.attacks import ATTACKS
from builders.published import NAMES

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "threats.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`((?:compat|converters|differential|kill)/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 30
    missing = [
        f"{file}::{function}"
        for file, function in named
        if not (TESTS / file).is_file()
        or (function and f"def {function}(" not in (TESTS / file).read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_every_class_is_there() -> None:
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(row) for row in range(1, 17)]
    told = set(re.findall(r"test_threats\.py` \(([a-z, ]+?)[:)]", PAGE))
    groups = {group for text in told for group in text.split(", ")}
    assert groups >= set(ATTACKS) - {"bombs", "other models"}
    assert f"{len(NAMES)} names in 9 spellings" in PAGE
