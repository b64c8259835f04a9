"""Small matrices: as values for the doctor, as files for the reader and the command line."""

import json

from xcompat.domain import (
    DECIDING,
    CapabilityOutcome,
    Condition,
    Environment,
    KnownIssue,
    Matrix,
    Row,
    Run,
)

BASE = {"TTS": "0.22.0", "torch": "2.9.1", "torchaudio": "2.9.1", "transformers": "4.40.2"}
ALL_WORK = dict.fromkeys(("import", "load-converted", "speak"), "works")


def environment(packages=None, **fields):
    """An environment of `BASE`, with some packages changed; None takes one away."""
    merged = {**BASE, **(packages or {})}
    return Environment(
        **{
            "python": "3.11.7",
            "platform": "linux-x86_64",
            "packages": {name: v for name, v in merged.items() if v is not None},
            "source": "here",
            **fields,
        }
    )


def run(id_, packages=None, capabilities=ALL_WORK, runtime=None, **fields):
    """A run in such an environment, with the statuses of both columns."""
    return Run(
        id=id_,
        date="2026-11-22",
        tool="xcompat 0.1.0",
        command="nox -s matrix",
        cell=id_,
        device="cpu",
        environment=environment(packages, **fields),
        capabilities=_outcomes(capabilities),
        runtime_capabilities=_outcomes(runtime or {}),
    )


def _outcomes(statuses):
    return {
        name: CapabilityOutcome(status=status, error="E" if status == "fails" else "")
        for name, status in statuses.items()
    }


def issue(code, capabilities, *conditions, severity="error", symptoms=()):
    """A known issue; each condition is a Condition or the packages of one."""
    return KnownIssue(
        code=code,
        title=f"Title of {code}",
        severity=severity,
        capabilities=tuple(capabilities),
        conditions=tuple(
            c if isinstance(c, Condition) else Condition(packages=c) for c in conditions
        ),
        symptoms=tuple(symptoms),
        cause="Cause.",
        fixes=("pip install x",),
        sources=("https://example.org",),
    )


def row(id_, of, capabilities=tuple(ALL_WORK)):
    """A row that cites one run."""
    return Row(
        id=id_,
        title=f"Title of {id_}",
        python="==3.11.*",
        packages={n: v for n, v in of.environment.packages.items() if n in DECIDING},
        platforms=(of.environment.platform,),
        capabilities=tuple(capabilities),
        runs=(of.id,),
    )


def matrix(runs=(), issues=(), rows=()):
    return Matrix(runs=tuple(runs), rows=tuple(rows), issues=tuple(issues))


RUN_LINE = {
    "schema": 2,
    "id": "r1",
    "date": "2026-11-22",
    "tool": "xcompat 0.1.0",
    "command": "nox -s matrix -- --tts TTS==0.22.0",
    "cell": "t22",
    "python": "3.11.7",
    "platform": "linux-x86_64",
    "device": "cpu",
    "packages": BASE,
    "system": {"ffmpeg": None},
    "capabilities": {name: {"status": "works"} for name in ALL_WORK},
    "tokens": None,
}

ISSUE_TEXT = """\
title = "A title"
severity = "error"
capabilities = ["import"]
cause = "Because."
fixes = ["pip install six"]
symptoms = ["No module named 'six'"]
sources = ["https://example.org"]

[[conditions]]
packages = { coqui-tts = "*", six = "absent" }
"""

ROW_TEXT = """\
title = "A row"
python = ">=3.9,<3.12"
packages = { TTS = "0.22.0", torch = "2.9.1", torchcodec = "absent" }
platforms = ["linux-x86_64"]
capabilities = ["import"]
runs = ["r1"]
"""


def write_matrix(folder, runs=(), issues=None, rows=None):
    """Write a matrix as files: runs as dicts or text, issues and rows as name to TOML."""
    for kind, texts in (("issues", issues or {}), ("rows", rows or {})):
        (folder / kind).mkdir(parents=True)
        for name, text in texts.items():
            (folder / kind / f"{name}.toml").write_text(text)
    (folder / "runs").mkdir()
    lines = [each if isinstance(each, str) else json.dumps(each) for each in runs]
    if lines:
        (folder / "runs" / "all.jsonl").write_text("\n".join(lines) + "\n")
    return folder
