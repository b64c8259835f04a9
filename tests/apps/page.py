"""Writes docs/apps.md from what was recorded: `python tests/apps/page.py [RECORDS PAGE]`.

RECORDS is JSON as `nox -s apps` writes it: one line per app, way and environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "matrices" / "apps.jsonl"
PAGE = ROOT / "docs" / "apps.md"
WAYS = {
    "original": "as downloaded",
    "in-place": "`convert --in-place`",
    "both": "`convert --format both`",
    "attach": "`attach`",
    "load_xtts": "`load_xtts`",
}
_HEAD = """\
# Does it work with my app?

What twelve apps do with XTTS was written again as small programs of ours (`tests/apps/`): the same
calls and arguments in the same order, the same files asked for. Each was run with a tiny model and
without a network: with the folder as it was downloaded, with that folder repaired, and with one
line of the app changed. `nox -s apps` does it again.

- `convert --in-place`, `convert --format both`: the app stays; it loads the repaired folder.
- `attach`: two lines after the app's own load; `load_xtts`: one in its place
  ([the runtime](runtime.md)). An app that writes by `torchaudio.save` beside torchaudio 2.9 gets a
  third, `saving_with_soundfile()`, unless torchcodec is there.
- ✓ it speaks, ✗ it does not, for the reason below the table, - it was not run in this way.
"""


def page_of(records: list[dict[str, Any]]) -> str:
    """Return the page: a table for each environment, and the reasons below it."""
    parts = [_HEAD]
    for environment in dict.fromkeys(each["environment"] for each in records):
        told = [each for each in records if each["environment"] == environment]
        parts.append(f"\n## {environment}\n\n{_table(told)}\n{_reasons(told)}")
    return "".join(parts)


def _table(records: list[dict[str, Any]]) -> str:
    lines = [f"| app | {' | '.join(WAYS.values())} |", "|---" * (len(WAYS) + 1) + "|"]
    for app in dict.fromkeys(each["title"] for each in records):
        row = {each["way"]: each for each in records if each["title"] == app}
        lines.append(f"| {app} | {' | '.join(_cell(row.get(way)) for way in WAYS)} |")
    return "\n".join(lines) + "\n"


def _cell(record: dict[str, Any] | None) -> str:
    if record is None:
        return "-"
    return "✓" if record["works"] else f"✗ {_codes(record)}".rstrip()


def _codes(record: dict[str, Any]) -> str:
    return " ".join(f"[{c}](../matrices/issues/{c}.toml)" for c in record["issues"])


def _reasons(records: list[dict[str, Any]]) -> str:
    """Return each error once, with the code that `xcompat explain` gives for it."""
    errors = {each["error"]: _codes(each) for each in records if not each["works"]}
    lines = [
        f"- {codes}: `{_short(error)}`".replace("- : ", "- ") for error, codes in errors.items()
    ]
    return "\n" + "\n".join(dict.fromkeys(lines)) + "\n" if lines else ""


def _short(error: str) -> str:
    line = error.partition("\n")[0].replace("`", "'")
    return line if len(line) < 120 else f"{line[:117]}..."


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    records, page = map(Path, sys.argv[1:]) if len(sys.argv) > 1 else (RECORDS, PAGE)
    page.write_text(page_of(read(records)), encoding="utf-8")
