"""Reads the files of the matrix that people write. Reports every error at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from xcompat.domain import KnownIssue, Matrix, Row, Run
from xcompat.errors import CannotLook
from xcompat.matrix.calibration import trials_of
from xcompat.matrix.forms import issue_of, read_runs, row_of
from xcompat.matrix.tables import BadTable, Table, table_of_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from xcompat.domain import Trials

T = TypeVar("T")


class Reader:
    """Reads a folder as `matrices` is one.

    Args:
        folder: Of what is recorded.
        thorough: Whether symptoms are compiled, which takes as long as all the rest.
        by_words: With the known issues that only the words of an error tell.
    """

    def __init__(self, folder: Path, *, thorough: bool, by_words: bool) -> None:
        self.folder = folder
        self.errors: list[str] = []
        self.thorough = thorough
        self.by_words = by_words

    def complain(self) -> None:
        """Raise what is wrong with what was read, all of it at once.

        Raises:
            CannotLook: `XC206`, with every error of every file as `file:line: what`.
        """
        if self.errors:
            listed = "\n  ".join(self.errors)
            raise CannotLook(
                "XC206",
                f"the matrix has {len(self.errors)} error(s):\n  {listed}",
                hint="the formats are described in CONTRIBUTING.md",
            )

    def issues(self) -> tuple[KnownIssue, ...]:
        """Return the known issues."""
        found = self._tables("issues", issue_of, passed_over=self._passed_over)
        if self.thorough:
            for issue, path in found:
                self._check_symptoms(issue, path)
        return tuple(issue for issue, _ in found)

    def read(self) -> Matrix:
        """Return all of it."""
        issues = self.issues()
        rows = self._tables("rows", row_of)
        runs = self._runs()
        self._check_cited(rows, {run.id for run in runs})
        return Matrix(
            runs=tuple(runs),
            rows=tuple(row for row, _ in rows),
            issues=issues,
            calibration=self._calibration(),
        )

    def _calibration(self) -> Mapping[tuple[str, str, str, str], Trials]:
        path = self.folder / "calibration.json"
        try:
            return trials_of(self._text(path)) if path.exists() else {}
        except BadTable as error:
            self.errors.append(f"{self._name(path)}:1: {error.what}")
            return {}

    def _runs(self) -> list[Run]:
        runs: list[Run] = []
        seen: dict[str, str] = {}
        for path in sorted(self.folder.glob("runs/*.jsonl")):
            text = self._text(path)
            found, errors = read_runs(text, self._name(path), seen)
            runs += found
            self.errors += errors
        return runs

    def _check_cited(self, rows: list[tuple[Row, Path]], known: set[str]) -> None:
        for row, path in rows:
            for cited in row.runs:
                if cited not in known:
                    line_number = _line_of(self._text(path), cited)
                    self.errors.append(
                        f"{self._name(path)}:{line_number}: there is no run `{cited}`"
                    )

    def _check_symptoms(self, issue: KnownIssue, path: Path) -> None:
        for symptom in issue.symptoms:
            if what := _wrong_with(symptom):
                place = f"{self._name(path)}:{_line_of(self._text(path), 'symptoms')}"
                self.errors.append(f"{place}: `{symptom}` {what}")

    def _passed_over(self, text: str) -> bool:
        # What is damaged has neither, and is told.
        return not self.by_words and "\nsymptoms = [" in text and "\n[[conditions]]" not in text

    def _tables(
        self,
        kind: str,
        build: Callable[[str, Table], T],
        passed_over: Callable[[str], bool] = lambda _: False,
    ) -> list[tuple[T, Path]]:
        built = []
        for path in sorted(self.folder.glob(f"{kind}/*.toml")):
            text = self._text(path)
            if passed_over(text):
                continue
            try:
                built.append((build(path.stem, table_of_toml(text)), path))
            except BadTable as error:
                line = error.line or _line_of(text, error.key)
                self.errors.append(f"{self._name(path)}:{line}: {error.what}")
        return built

    def _text(self, path: Path) -> str:
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.errors.append(f"{self._name(path)}:1: cannot be read: {error}")
            return ""

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder.parent).as_posix()


def _wrong_with(symptom: str) -> str:
    """Return why a symptom cannot be looked for, as the end of a sentence; "" where it can."""
    # What comes with xcompat is not looked at.
    from xcompat.matrix.symptoms import LEAST_REQUIRED, required_text  # noqa: PLC0415

    try:
        re.compile(symptom)
    except re.error as error:
        return f"is not a regular expression: {error}"
    if len(required_text(symptom)) < LEAST_REQUIRED:
        return (
            f"has no {LEAST_REQUIRED} characters that all of its matches contain, so that looking"
            " for it in a log is slow: write what it chooses between as symptoms of their own"
        )
    return ""


def _line_of(text: str, key: str) -> int:
    """Return the first line that mentions `key`, or 1."""
    return next((n for n, line in enumerate(text.splitlines(), start=1) if key in line), 1)
