"""Reads the operator tables, the traces and the rules of `matrices/mps`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from xcompat import matrices
from xcompat.domain.mps import MpsData, MpsRule, MpsTrace
from xcompat.errors import CannotLook

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

SHIPPED = Path(matrices.__file__).resolve().parent / "mps"


def load_mps(folder: Path | None = None) -> MpsData:
    """Return what is known of MPS, from `folder` or from what comes with xcompat.

    Raises:
        CannotLook: `XC222` where a file is missing or is not what it should be.
    """
    folder = folder or SHIPPED
    try:
        table = json.loads((folder / "operators.json").read_text("utf-8"))
        rules = tomllib.loads((folder / "rules.toml").read_text("utf-8"))
        return MpsData(
            releases=tuple(release["torch"] for release in table["releases"]),
            operators={
                name: history
                for history, names in table["operators"].items()
                for name in names.split()
            },
            traces=tuple(_trace(path) for path in sorted(folder.glob("traces/*.json"))),
            rules=tuple(_rule(rule) for rule in rules["rule"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotLook(
            "XC222",
            f"the tables of MPS cannot be read: {type(error).__name__}: {error}",
            hint="install xcompat again",
        ) from error


def _trace(path: Path) -> MpsTrace:
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return MpsTrace(
        family="TTS" if "TTS" in told["packages"] else "coqui-tts",
        packages=told["packages"],
        reference_seconds=told["reference_seconds"],
        phases={
            phase: {name: entry["largest"] for name, entry in seen["operators"].items()}
            for phase, seen in told["phases"].items()
        },
    )


def _rule(told: dict[str, Any]) -> MpsRule:
    if told["effect"] not in ("refuses", "raises", "wrong", "warns"):
        raise ValueError(f"`{told['effect']}` of rule `{told['name']}` is no effect")
    return MpsRule(
        name=told["name"],
        title=told["title"],
        effect=told["effect"],
        torch=told["torch"],
        macos=told.get("macos", ""),
        operators=tuple(told.get("operators", ())),
        limit=told.get("limit", 0),
        cause=told["cause"],
        fixes=tuple(told["fixes"]),
        confidence=told["confidence"],
        sources=tuple(told["sources"]),
    )
