"""Reads the operator tables, the traces and the rules of `matrices/mps`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from xcompat import matrices
from xcompat.domain.mps import MpsData, MpsRule, MpsTrace
from xcompat.errors import CannotLook
from xcompat.matrix.tables import BadTable, Table, json_of, table_of_toml

SHIPPED = Path(matrices.__file__).resolve().parent / "mps"


def load_mps(folder: Path | None = None) -> MpsData:
    """Return what is known of MPS, from `folder` or from what comes with xcompat.

    Raises:
        CannotLook: `XC222` where a file is missing or is not what it should be.
    """
    folder = folder or SHIPPED
    try:
        table = Table(json_of((folder / "operators.json").read_text("utf-8")))
        rules = table_of_toml((folder / "rules.toml").read_text("utf-8"))
        return MpsData(
            releases=tuple(release.text("torch") for release in table.tables("releases")),
            operators={
                name: history
                for history, names in table.mapping("operators").items()
                for name in names.split()
            },
            traces=tuple(_trace(path) for path in sorted(folder.glob("traces/*.json"))),
            rules=tuple(map(_rule, rules.tables("rule"))),
        )
    except (OSError, UnicodeDecodeError, BadTable) as error:
        raise CannotLook(
            "XC222",
            f"the tables of MPS cannot be read: {error}",
            hint="install xcompat again",
        ) from error


def _trace(path: Path) -> MpsTrace:
    table = Table(json_of(path.read_text("utf-8")))
    packages = table.mapping("packages")
    return MpsTrace(
        family="TTS" if "TTS" in packages else "coqui-tts",
        packages=packages,
        reference_seconds=table.number("reference_seconds"),
        phases={
            phase: {
                name: int(entry.number("largest"))
                for name, entry in seen.table("operators").parts().items()
            }
            for phase, seen in table.table("phases").parts().items()
        },
    )


def _rule(table: Table) -> MpsRule:
    name = table.text("name")
    effect = table.text("effect")
    if effect not in ("refuses", "raises", "wrong", "warns"):
        raise BadTable("effect", f"`{effect}` of rule `{name}` is no effect")
    rule = MpsRule(
        name=name,
        title=table.text("title"),
        effect=cast("Literal['refuses', 'raises', 'wrong', 'warns']", effect),
        torch=table.text("torch"),
        macos=table.text("macos", ""),
        operators=table.texts("operators", ()),
        limit=int(table.number("limit", 0)),
        cause=table.text("cause"),
        fixes=table.texts("fixes"),
        confidence=table.text("confidence"),
        sources=table.texts("sources"),
    )
    table.take("message")  # The tests hold it against the wheels.
    table.no_more()
    return rule
