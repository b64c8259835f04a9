"""The matrix for people and for programs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from xcompat.domain import CAPABILITIES, DECIDING
from xcompat.render.issue import issues_as_json
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.domain import Capability, CapabilityOutcome, Matrix, Run

_COLUMNS = {
    "import": "imp",
    "load": "load",
    "load-converted": "conv",
    "speak": "say",
    "stream": "strm",
    "clone": "clon",
    "api": "api",
}
_SIGN = {"works": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}


def matrix_as_json(matrix: Matrix) -> dict[str, Any]:
    """Return the stable form of `xcompat matrix --json`."""
    return {
        "schema": 1,
        "runs": [
            {
                "id": run.id,
                "date": run.date,
                "tool": run.tool,
                "command": run.command,
                "cell": run.cell,
                "device": run.device,
                "python": run.environment.python,
                "platform": run.environment.platform,
                "packages": {
                    name: run.environment.packages[name]
                    for name in DECIDING
                    if name in run.environment.packages
                },
                "capabilities": _outcomes(run.capabilities),
                "runtime_capabilities": _outcomes(run.runtime_capabilities),
            }
            for run in matrix.runs
        ],
        "rows": [
            {
                "id": row.id,
                "title": row.title,
                "python": row.python,
                "packages": dict(row.packages),
                "platforms": list(row.platforms),
                "capabilities": list(row.capabilities),
                "runs": list(row.runs),
            }
            for row in matrix.rows
        ],
        "issues": issues_as_json(matrix.issues)["issues"],
    }


def _outcomes(
    capabilities: Mapping[Capability, CapabilityOutcome],
) -> dict[str, dict[str, str]]:
    return {
        capability: {"status": outcome.status, "error": outcome.error}
        for capability, outcome in capabilities.items()
    }


def show_matrix(matrix: Matrix) -> None:
    """Write what was run, on which platform, and how it went to stdout."""
    page = Page()
    page.line(
        f"{len(matrix.runs)} recorded runs, {len(matrix.rows)} rows, "
        f"{len(matrix.issues)} known issues."
    )
    for (platform, python), runs in groupby(sorted(matrix.runs, key=_order), key=_group):
        page.gap()
        page.line((f"{platform}, Python {python}", "bold"))
        head = f"  {'':<16} {'torch':<7}{'audio':<7}{'codec':<7}{'transf.':<8}"
        page.line((head + " ".join(_COLUMNS.values()), "dim"))
        for run in runs:
            page.line(*_line(run))
    if matrix.runs:
        page.gap()
        page.prose("✓ works  ✗ fails  ? not reached. `xcompat matrix --json` tells the errors.")
    if matrix.rows:
        page.gap()
    for row in matrix.rows:
        page.prose((row.id, "bold"), f" {row.title}", indent=2, hang=2)
        packages = ", ".join(f"{name} {version}" for name, version in row.packages.items())
        page.prose(f"Python {row.python}, {packages}", indent=4)


def _group(run: Run) -> tuple[str, str]:
    return run.environment.platform, ".".join(run.environment.python.split(".")[:2])


def _order(run: Run) -> tuple[object, ...]:
    packages = run.environment.packages
    numbers = [
        tuple(
            int(part) for part in packages.get(name, "").split("+")[0].split(".") if part.isdigit()
        )
        for name in DECIDING
    ]
    return *_group(run), "coqui-tts" in packages, *numbers, run.date, run.id


def _line(run: Run) -> list[str | tuple[str, str]]:
    packages = run.environment.packages
    family = next((n for n in ("TTS", "coqui-tts") if n in packages), "")
    torch, audio, codec, transformers = (
        packages.get(name, "-").split("+")[0]
        for name in ("torch", "torchaudio", "torchcodec", "transformers")
    )
    tts = f"{family} {packages.get(family, '')}"
    line: list[str | tuple[str, str]] = [
        f"  {tts:<16} {torch:<7}{audio:<7}{codec:<7}{transformers:<8}"
    ]
    for capability in CAPABILITIES:
        if capability in _COLUMNS:
            outcome = run.capabilities.get(capability)
            sign, style = _SIGN[outcome.status] if outcome else (" ", "")
            line.append((sign.ljust(len(_COLUMNS[capability]) + 1), style))
    return line
