"""Writes the notes of a release: what the changelog says of the version of a wheel."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def notes_of(changelog: str, version: str) -> str:
    """Return the part of a changelog about a version, or what is not released yet."""
    parts = re.split(r"^## \[([^\]]+)\].*$", changelog, flags=re.MULTILINE)
    told = dict(zip(parts[1::2], parts[2::2], strict=True))
    notes = told.get(version) or told.get("Unreleased", "")
    links = re.compile(r"^\[[^\]]+\]: .*$\n?", re.MULTILINE)
    return links.sub("", notes).strip() + "\n"


if __name__ == "__main__":
    print(notes_of(CHANGELOG.read_text("utf-8"), Path(sys.argv[1]).name.split("-")[1]), end="")
