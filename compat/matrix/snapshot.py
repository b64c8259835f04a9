"""What is recorded, as it was read when the wheel was built: in a sixth of the time.

People write TOML, and runs as they are measured. To read all that, and to look for mistakes in it,
takes longer than the rest of a diagnosis; so a wheel brings along what came of it (`setup.py`).
A checkout has no snapshot: what was written counts at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from xcompat.domain import (
    CapabilityOutcome,
    Condition,
    Environment,
    KnownIssue,
    Matrix,
    Row,
    Run,
    Trials,
)
from xcompat.errors import CannotLook
from xcompat.matrix.tables import toml_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

FOLDER: Final = "snapshot"
"""Name of the folder, beside what it was made of."""


def write_snapshot(matrix: Matrix, gpu: str, folder: Path) -> None:
    """Write what is recorded into a new folder.

    Args:
        matrix: All but what follows.
        gpu: The tables of graphics cards, as TOML.
        folder: That does not exist.

    Raises:
        OSError: It cannot be written.
    """
    parts = {
        "issues": [_told(issue) for issue in matrix.issues if issue.conditions],
        "by_words": [_told(issue) for issue in matrix.issues if not issue.conditions],
        "rows": [_told(row) for row in matrix.rows],
        "runs": _told_runs(matrix.runs),
        "gpu": toml_of(gpu),
        "calibration": [[*key, trials] for key, trials in matrix.calibration.items()],
    }
    folder.mkdir()
    for name, values in parts.items():
        text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
        (folder / f"{name}.json").write_text(text, "utf-8")


def matrix_of(folder: Path, *, by_words: bool) -> Matrix:
    """Return what `write_snapshot` wrote into a folder.

    Args:
        folder: The snapshot.
        by_words: With the known issues that only the words of an error tell.

    Raises:
        CannotLook: `XC206`, a file is missing or damaged.
    """
    return Matrix(
        runs=tuple(_runs(_part(folder, "runs"))),
        rows=tuple(_made(Row, row) for row in _part(folder, "rows")),
        issues=issues_of(folder, by_words=by_words),
        calibration={
            (left, column, capability, basis): Trials(*trials)
            for left, column, capability, basis, trials in _part(folder, "calibration")
        },
    )


def issues_of(folder: Path, *, by_words: bool) -> tuple[KnownIssue, ...]:
    """Return the known issues of a snapshot by their codes; the arguments are as of `matrix_of`."""
    parts = ("issues", "by_words") if by_words else ("issues",)
    told = sorted((issue for part in parts for issue in _part(folder, part)), key=_code)
    for issue in told:
        issue["conditions"] = [_made(Condition, each) for each in issue.get("conditions", ())]
    return tuple(_made(KnownIssue, issue) for issue in told)


def _code(issue: Mapping[str, str]) -> str:
    return issue["code"]


def _part(folder: Path, name: str) -> Any:
    file = folder / f"{name}.json"
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CannotLook(
            "XC206", f"{file} cannot be read: {error}", hint="install xcompat again"
        ) from error


def _made(kind: type[T], told: Mapping[str, Any]) -> T:
    return kind(**{name: tuple(v) if type(v) is list else v for name, v in told.items()})


def _told(value: NamedTuple) -> dict[str, Any]:
    """Return those fields of a value that are not as they are by default."""
    told = value._asdict()
    for name, usual in value._field_defaults.items():
        if told[name] == usual:
            del told[name]
    if "conditions" in told:
        told["conditions"] = [_told(condition) for condition in told["conditions"]]
    return told


class _Nearest:
    """Tells distributions by how they differ from those of an earlier run, the nearest."""

    def __init__(self) -> None:
        self._earlier: list[frozenset[tuple[str, str]]] = [frozenset()]

    def told(self, packages: Mapping[str, str]) -> tuple[int, list[str], dict[str, str]]:
        """Return the earlier one, what is gone since, and what is there in its version since."""
        pairs = frozenset(packages.items())
        base = min(range(len(self._earlier)), key=lambda n: len(self._earlier[n] ^ pairs))
        self._earlier.append(pairs)
        gone = [name for name, _ in self._earlier[base] if name not in packages]
        return base, sorted(gone), dict(sorted(pairs - self._earlier[base]))


def _told_runs(runs: Iterable[Run]) -> dict[str, Any]:
    """Return runs, their outcomes as numbers of those that are listed: most are alike."""
    listed: list[dict[str, Any]] = []
    nearest = _Nearest()
    told_runs = []
    for run in runs:
        told, environment = _told(run), _told(run.environment)
        environment["packages"] = nearest.told(run.environment.packages)
        told["environment"] = environment
        for column in _COLUMNS:
            outcomes = {name: _told(outcome) for name, outcome in getattr(run, column).items()}
            if outcomes not in listed:
                listed.append(outcomes)
            told[column] = listed.index(outcomes)
        told_runs.append(told)
    return {"outcomes": listed, "runs": told_runs}


_COLUMNS: Final = ("capabilities", "runtime_capabilities")


def _runs(told: Mapping[str, Any]) -> Iterator[Run]:
    listed = [
        {name: _made(CapabilityOutcome, outcome) for name, outcome in outcomes.items()}
        for outcomes in told["outcomes"]
    ]
    earlier: list[dict[str, str]] = [{}]
    for run in told["runs"]:
        environment = run["environment"]
        base, gone, since = environment["packages"]
        packages = earlier[base] | since
        for name in gone:
            del packages[name]
        earlier.append(packages)
        environment["packages"] = packages
        if signs := environment.get("signs"):
            environment["signs"] = {name: tuple(seen) for name, seen in signs.items()}
        run["environment"] = Environment(**environment)
        for column in _COLUMNS:
            run[column] = listed[run[column]]
        yield Run(**run)
