"""Records what the apps do in one environment: `python tests/apps/record.py PYTHON FOLDERS`.

The interpreter has TTS and xcompat; FOLDERS has the model folders `original`, `in-place`, `both`.
What was recorded of the same versions in matrices/apps.jsonl goes.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from page import PAGE, RECORDS, page_of, read
from session import APPS

from xcompat.diagnosis.explain import explain
from xcompat.environment.probe import environment_of
from xcompat.matrix.load import load_issues

NAMED = ("TTS", "coqui-tts", "torch", "torchaudio", "torchcodec", "transformers")


def main() -> None:
    python, folders = sys.argv[1:]
    packages = environment_of(python).packages
    named = [f"{name} {packages[name].partition('+')[0]}" for name in NAMED if name in packages]
    environment = ", ".join(named)
    session = Path(__file__).with_name("session.py")
    ran = subprocess.run(
        [python, "-I", str(session), folders], stdout=subprocess.PIPE, text=True, check=True
    )
    told = [json.loads(line) for line in ran.stdout.splitlines()]
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
    kept = [e for e in read(RECORDS) if e["environment"] != environment] if RECORDS.exists() else []
    lines = [json.dumps(each, ensure_ascii=False) for each in (*kept, *new)]
    RECORDS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    PAGE.write_text(page_of([*kept, *new]), encoding="utf-8")


def codes_of(told: dict[str, Any], issues: Any) -> list[str]:
    """Return what `explain` says for certain of an error."""
    if told["works"]:
        return []
    found = explain([told["error"]], issues).explanations
    return [each.issue.code for each in found if each.certainty == "certain"][:1]


if __name__ == "__main__":
    main()
