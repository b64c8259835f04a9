"""The cells of the version matrix: what each installs, and how `matrices/cells.toml` names them."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PINNED = ("torch", "torchaudio", "torchcodec", "transformers")
"""What a cell pins beside its TTS."""
DEFAULT_PYTHON = "3.11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination to measure: what is installed, how, and on which Python."""

    tts: str
    name: str = "one-off"
    torch: str = ""
    torchaudio: str = ""
    torchcodec: str = ""
    transformers: str = ""
    also: tuple[str, ...] = ()
    """Further requirements, resolved together with the others."""
    then: tuple[str, ...] = ()
    """Arguments of `uv pip`, run in this order when everything is installed."""
    python: str = DEFAULT_PYTHON
    ci: bool = False

    @property
    def requirements(self) -> tuple[str, ...]:
        pins = ((name, getattr(self, name)) for name in PINNED)
        return (self.tts, *(f"{name}=={version}" for name, version in pins if version), *self.also)

    @property
    def heavy(self) -> tuple[str, ...]:
        """What an environment must have in common with this cell to serve it as well."""
        family = Requirement(self.tts).name
        return (self.python, family, self.torch, self.torchaudio, self.torchcodec)

    @property
    def arguments(self) -> str:
        """What follows `nox -s matrix --` to measure this cell again."""
        words = [f"--tts {self.tts}"]
        words += [f"--{name} {getattr(self, name)}" for name in PINNED if getattr(self, name)]
        words += [f"--with '{requirement}'" for requirement in self.also]
        words += [f"--then '{step}'" for step in self.then]
        if self.python != DEFAULT_PYTHON:
            words.append(f"--python {self.python}")
        return " ".join(words)

    @property
    def command(self) -> str:
        return f"nox -s matrix -- {self.arguments}"


def read_cells(file: Path) -> tuple[Cell, ...]:
    """Return the cells of `file`: those that have a name of their own, then those of the sweeps.

    A sweep has a `base` and `vary`, a list of axes; its cells are all combinations of one value
    of each axis. An axis is a list of tables, or a table that gives one key a list of values.
    """
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    named = [_cell(table) for table in tables.get("cell", [])]
    swept = [
        _cell({"name": sweep["name"], **sweep.get("base", {}), **_merged(values)})
        for sweep in tables.get("sweep", [])
        for values in itertools.product(*map(_axis, sweep["vary"]))
    ]
    return (*named, *swept)


def _cell(table: Mapping[str, Any]) -> Cell:
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return Cell(**{**table, **lists})


def _axis(axis: list[dict[str, Any]] | dict[str, list[Any]]) -> list[dict[str, Any]]:
    if isinstance(axis, list):
        return axis
    ((key, values),) = axis.items()
    return [{key: value} for value in values]


def _merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for table in tables for key, value in table.items()}
