"""Records what the apps do in one environment: `record.py PYTHON FOLDERS ...`.

The interpreter has TTS and xcompat; FOLDERS has the model folders `original`, `in-place`, `both`.
What follows goes to session.py. What
matrices/apps.jsonl had of the same versions, app and way goes.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping

from page import PAGE, RECORDS, page_of, read
from session import APPS

from ways import WAYS
from xcompat.diagnosis.explain import explain
from xcompat.environment.probe import environment_of
from xcompat.matrix.load import load_issues

NAMED = ("TTS", "coqui-tts", "torch", "torchaudio", "torchcodec", "transformers")


def main() -> None:
    python, folders, *words = sys.argv[1:]
    environment = environment_named(environment_of(python).packages)
    session = Path(__file__).with_name("session.py")
    ran = subprocess.run(
        [python, "-I", str(session), folders, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    add(environment, [json.loads(line) for line in ran.stdout.splitlines()])


def add(environment: str, told: list[dict[str, Any]]) -> None:
    """Put what programs told in the place of what was recorded of them, and make the page."""
    issues = load_issues()
    now = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    new = [
        {
            "environment": environment,
            "date": now,
            "title": APPS[each["app"]],
            **each,
            "issues": codes_of(each, issues),
        }
        for each in told
    ]
    done = {(each["environment"], each["app"], each["way"]) for each in new}
    known = read(RECORDS) if RECORDS.exists() else []
    kept = [e for e in known if (e["environment"], e["app"], e["way"]) not in done]
    every = sorted((*kept, *new), key=_place)
    lines = [json.dumps(each, ensure_ascii=False) for each in every]
    RECORDS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    PAGE.write_text(page_of(every), encoding="utf-8")


def environment_named(packages: Mapping[str, str]) -> str:
    """Return how the records name an environment: its versions that decide."""
    named = [f"{name} {packages[name].partition('+')[0]}" for name in NAMED if name in packages]
    return ", ".join(named)


def _place(record: dict[str, Any]) -> tuple[str, int, int]:
    """Sort by environment, and then as the programs and ways are listed."""
    return record["environment"], list(APPS).index(record["app"]), WAYS.index(record["way"])


def codes_of(told: dict[str, Any], issues: Any) -> list[str]:
    """Return what `explain` says first of an error."""
    if told["works"]:
        return []
    return [each.issue.code for each in explain([told["error"]], issues).explanations[:1]]


if __name__ == "__main__":
    main()
