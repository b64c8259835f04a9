"""Reads the matrix: the runs, the rows and the known issues. Reports every error at once."""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from packaging.version import InvalidVersion, Version

from xcompat import matrices
from xcompat.domain import (
    CAPABILITIES,
    DECIDING,
    LANGUAGES,
    SIGNS,
    Capability,
    CapabilityOutcome,
    Condition,
    Environment,
    KnownIssue,
    Matrix,
    Row,
    Run,
    Severity,
    Status,
    distribution_name,
    minor_of,
)
from xcompat.errors import CannotLook
from xcompat.matrix.specifier import clauses

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

SHIPPED = Path(matrices.__file__).resolve().parent
"""The data that comes with xcompat."""


def load_matrix(folder: Path | None = None, *, near: Environment | None = None) -> Matrix:
    """Return everything that is recorded in `folder`, or in what comes with xcompat.

    Args:
        folder: A folder as `matrices` is one.
        near: Leave out the runs that say nothing of this environment, because their Python or two
            or more of the deciding distributions have other versions: most of them, and most of
            the work.

    Symptoms are compiled, which takes as long as all the rest, only where they are from elsewhere:
    what comes with xcompat is compiled by its tests.

    Raises:
        CannotLook: `XC206`, with every error of every file as `file:line: what`.
    """
    reader = _Reader(folder or SHIPPED)
    reader.thorough = folder is not None
    reader.near = near
    matrix = reader.read()
    if reader.errors:
        listed = "\n  ".join(reader.errors)
        raise CannotLook(
            "XC206",
            f"the matrix has {len(reader.errors)} error(s):\n  {listed}",
            hint="the formats are described in CONTRIBUTING.md",
        )
    return matrix


def read_runs(text: str, name: str, seen: dict[str, str]) -> tuple[list[Run], list[str]]:
    """Return the runs in the lines of a text, and the errors in them as `name:line: what`.

    Args:
        text: One run in each line; empty lines are passed over.
        name: Of the file, for the errors.
        seen: Runs that are known, by id, and where they are; those that are found are added.
    """
    runs, errors = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{name}:{number}"
        if not line.strip():
            continue
        try:
            run = _run(_Table(in_todays_words(_json(line))))
        except _Bad as error:
            errors.append(f"{place}: {error.what}")
            continue
        if run.id in seen:
            errors.append(f"{place}: the run `{run.id}` is already at {seen[run.id]}")
        seen.setdefault(run.id, place)
        runs.append(run)
    return runs, errors


def in_todays_words(line: object) -> object:
    """Return what a run's line says in the newest schema.

    Up to schema 1 what is `api-path` now, a model that is given by its path, was called `api`. The
    lines stay as they were written.
    """
    if not isinstance(line, dict) or line.get("schema") != 1:
        return line
    told = {**line, "schema": 2}
    for column in ("capabilities", "runtime_capabilities"):
        if isinstance(outcomes := line.get(column), dict) and "api" in outcomes:
            told[column] = {("api-path" if n == "api" else n): o for n, o in outcomes.items()}
    return told


class _Bad(Exception):  # noqa: N818 - never leaves this module
    """One error in the data, and the key that it concerns."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key
        self.what = what


class _Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: list[str] = []
        self.thorough = True
        self.near: Environment | None = None

    def read(self) -> Matrix:
        issues = self._tables("issues", _issue)
        rows = self._tables("rows", _row)
        runs = self._runs()
        if self.thorough:
            for issue, path in issues:
                self._compile(issue, path)
        if self.near is None:
            self._check_cited(rows, {run.id for run in runs})
        return Matrix(
            runs=tuple(runs),
            rows=tuple(row for row, _ in rows),
            issues=tuple(issue for issue, _ in issues),
        )

    def _runs(self) -> list[Run]:
        runs: list[Run] = []
        seen: dict[str, str] = {}
        for path in sorted(self.folder.glob("runs/*.jsonl")):
            text = self._text(path)
            if self.near:
                # An empty line keeps the place of what is left out.
                text = "\n".join(
                    "" if _is_far(line, self.near) else line for line in text.splitlines()
                )
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

    def _compile(self, issue: KnownIssue, path: Path) -> None:
        for symptom in issue.symptoms:
            try:
                re.compile(symptom)
            except re.error as error:
                place = f"{self._name(path)}:{_line_of(self._text(path), 'symptoms')}"
                what = f"`{symptom}` is not a regular expression: {error}"
                self.errors.append(f"{place}: {what}")

    def _tables(self, kind: str, build: Callable[[str, _Table], T]) -> list[tuple[T, Path]]:
        built = []
        for path in sorted(self.folder.glob(f"{kind}/*.toml")):
            text = self._text(path)
            try:
                built.append((build(path.stem, _Table(tomllib.loads(text))), path))
            except tomllib.TOMLDecodeError as error:
                match = re.search(r"at line (\d+)", str(error))
                line = match[1] if match else len(text.splitlines())
                self.errors.append(f"{self._name(path)}:{line}: {error}")
            except _Bad as error:
                line = _line_of(text, error.key)
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


def _is_far(line: str, near: Environment) -> bool:
    """Return whether a run's line is of another Python, or of two or more other versions.

    The line is not parsed for that. One that is written otherwise than by `json` is not far.
    """
    if (
        near.python
        and (python := _told(line, "python"))
        and minor_of(python) != minor_of(near.python)
    ):
        return True
    start = line.find('"packages": {')
    if start < 0:
        return False
    packages = line[start : line.find("}", start)]
    differing = 0
    for name in DECIDING:
        ours = near.packages.get(name)
        if ours is None and not near.complete:
            continue
        version = _told(packages, name)
        differing += (version and version.partition("+")[0]) != (ours and ours.partition("+")[0])
    return differing > 1


def _told(line: str, key: str) -> str | None:
    """Return the text of a key as `json` writes it, or None where there is none."""
    start = line.find(f'"{key}": "')
    if start < 0:
        return None
    start += len(key) + 5
    return line[start : line.find('"', start)]


def _line_of(text: str, key: str) -> int:
    """Return the first line that mentions `key`, or 1."""
    return next((n for n, line in enumerate(text.splitlines(), start=1) if key in line), 1)


class _Table:
    """A mapping from outside, whose values are taken out by name and type."""

    def __init__(self, values: object, key: str = "") -> None:
        if not isinstance(values, dict):
            raise _Bad(key, f"{key or 'this'} must be a table, not {_kind(values)}")
        self._values: dict[str, Any] = dict(values)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._values.pop(key, default)
        if not isinstance(value, str):
            raise _Bad(key, self._wrong(key, value, "text"))
        return value.strip()

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self._values.pop(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise _Bad(key, self._wrong(key, value, "a list of texts"))
        return tuple(value)

    def mapping(self, key: str) -> dict[str, str]:
        value = self._values.pop(key, {})
        if not isinstance(value, dict) or not {*map(type, value.values())} <= {str}:
            raise _Bad(key, self._wrong(key, value, "a table of texts"))
        return value

    def flag(self, key: str) -> bool:
        value = self._values.pop(key, False)
        if not isinstance(value, bool):
            raise _Bad(key, f"`{key}` is true or false, not {_kind(value)}")
        return value

    def take(self, key: str, default: object = None) -> Any:
        return self._values.pop(key, default)

    def no_more(self) -> None:
        for key in self._values:
            raise _Bad(key, f"`{key}` means nothing here")

    @staticmethod
    def _wrong(key: str, value: object, wanted: str) -> str:
        if value is None:
            return f"`{key}` is missing"
        return f"`{key}` must be {wanted}, not {_kind(value)}"


def _kind(value: object) -> str:
    return {dict: "a table", list: "a list", str: "text", type(None): "nothing"}.get(
        type(value), type(value).__name__
    )


def _issue(code: str, table: _Table) -> KnownIssue:
    if not re.fullmatch(r"XC0\d\d", code):
        raise _Bad("", "a known issue's file is named XC0nn.toml")
    severity = table.text("severity")
    if severity not in ("error", "warning"):
        raise _Bad("severity", f"`severity` is `error` or `warning`, not `{severity}`")
    symptoms = table.texts("symptoms")
    sources = table.texts("sources")
    if not sources:
        raise _Bad("sources", "a known issue names at least one source")
    conditions = table.take("conditions", [])
    if not isinstance(conditions, list):
        raise _Bad("conditions", "`conditions` must be written as [[conditions]]")
    issue = KnownIssue(
        code=code,
        title=table.text("title"),
        severity=cast("Severity", severity),
        capabilities=_capabilities(table.texts("capabilities")),
        conditions=tuple(_condition(_Table(each, "conditions")) for each in conditions),
        symptoms=symptoms,
        generic=table.flag("generic"),
        cause=" ".join(table.text("cause").split()),
        fixes=table.texts("fixes"),
        sources=sources,
    )
    if not issue.conditions and not issue.symptoms:
        raise _Bad("conditions", "an issue without conditions needs symptoms to be known by")
    table.no_more()
    return issue


def _condition(table: _Table) -> Condition:
    packages = {distribution_name(n): s for n, s in table.mapping("packages").items()}
    system = table.mapping("system")
    for name, specifier in (packages | system).items():
        if specifier not in ("*", "absent"):
            _specifier(specifier, name)
    condition = Condition(
        packages=packages,
        python=_specifier(table.text("python", ""), "python"),
        platforms=table.texts("platforms", ()),
        minor_mismatch=_pair(table, "minor_mismatch"),
        cuda_mismatch=_pair(table, "cuda_mismatch"),
        system=system,
        duplicates=tuple(distribution_name(n) for n in table.texts("duplicates", ())),
        damaged=tuple(distribution_name(n) for n in table.texts("damaged", ())),
        signs=_known(table.texts("signs", ()), SIGNS, "signs"),
        languages=_known(table.texts("languages", ()), LANGUAGES, "languages"),
    )
    if condition == Condition():
        raise _Bad("conditions", "a condition that says nothing applies everywhere")
    table.no_more()
    return condition


def _known(names: tuple[str, ...], known: tuple[str, ...], key: str) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise _Bad(key, f"`{name}` is none of the known {key}: {', '.join(known)}")
    return names


def _pair(table: _Table, key: str) -> tuple[str, str] | None:
    names = table.texts(key, ())
    if not names:
        return None
    if len(names) != 2:
        raise _Bad(key, f"`{key}` names two distributions")
    return distribution_name(names[0]), distribution_name(names[1])


def _row(name: str, table: _Table) -> Row:
    row = Row(
        id=name,
        title=table.text("title"),
        python=_specifier(table.text("python"), "python"),
        packages={
            distribution_name(n): v if v == "absent" else _version(v, n)
            for n, v in table.mapping("packages").items()
        },
        platforms=table.texts("platforms"),
        capabilities=_capabilities(table.texts("capabilities")),
        runs=table.texts("runs"),
    )
    if not row.packages:
        raise _Bad("packages", "`packages` is missing")
    table.no_more()
    return row


def _json(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError as error:
        raise _Bad("", f"not JSON: {error}") from error


def _run(table: _Table) -> Run:
    if (schema := table.take("schema")) != 2:
        raise _Bad("schema", f"`schema` must be 1 or 2, not {schema!r}")
    date = table.text("date")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        raise _Bad("date", f"`date` must be YYYY-MM-DD, not `{date}`")
    packages = {distribution_name(n): v for n, v in table.mapping("packages").items()}
    for name in DECIDING:
        if name in packages:
            _version(packages[name], name)
    system = table.take("system", {})
    if not isinstance(system, dict) or not all(
        value is None or isinstance(value, str) for value in system.values()
    ):
        raise _Bad("system", "`system` must be a table of texts or null")
    builds = {
        name: version.partition("+")[2]
        for name, version in packages.items()
        if name in ("torch", "torchaudio") and "+" in version
    }
    run = Run(
        id=table.text("id"),
        date=date,
        tool=table.text("tool"),
        command=table.text("command"),
        cell=table.text("cell"),
        device=table.text("device"),
        environment=Environment(
            python=_version(table.text("python"), "python"),
            platform=table.text("platform"),
            packages=packages,
            source="",
            builds=builds | table.mapping("builds"),
            signs=_signs(table.take("signs", {})),
            system=system,
        ),
        capabilities=_outcomes(_Table(table.take("capabilities"), "capabilities")),
        tokens=table.take("tokens") or "",
        runtime_capabilities=_outcomes(_Table(measured, "runtime_capabilities"))
        if (measured := table.take("runtime_capabilities"))
        else {},
        runtime_tokens=table.take("runtime_tokens") or "",
    )
    table.no_more()
    return run


def _signs(told: object) -> dict[str, tuple[str, ...]]:
    if told == {}:
        return {}
    table = _Table(told, "signs")
    signs = {sign: seen for sign in SIGNS if (seen := table.texts(sign, ()))}
    table.no_more()
    return signs


def _outcomes(table: _Table) -> dict[Capability, CapabilityOutcome]:
    outcomes: dict[Capability, CapabilityOutcome] = {}
    for capability in CAPABILITIES:
        given = table.take(capability)
        if given is None:
            continue
        told = _Table(given, capability)
        status = told.text("status")
        if status not in ("works", "fails", "unknown"):
            raise _Bad(capability, f"`{capability}` is works, fails or unknown, not `{status}`")
        outcomes[capability] = CapabilityOutcome(
            status=cast("Status", status), error=told.text("error", "")
        )
        told.no_more()
        if status == "fails" and not outcomes[capability].error:
            raise _Bad(capability, f"`{capability}` fails: its `error` is missing")
    if not outcomes:
        raise _Bad("capabilities", "`capabilities` is empty")
    table.no_more()
    return outcomes


def _capabilities(names: Iterable[str]) -> tuple[Capability, ...]:
    for name in names:
        if name not in CAPABILITIES:
            raise _Bad("capabilities", f"there is no capability `{name}`")
    return cast("tuple[Capability, ...]", tuple(names))


def _specifier(text: str, key: str) -> str:
    try:
        clauses(text)
    except ValueError as error:
        raise _Bad(key, f"`{text}` of `{key}` is not a version specifier") from error
    return text


def _version(text: str, key: str) -> str:
    if not _is_version(text):
        raise _Bad(key, f"`{text}` of `{key}` is not a version")
    return text


@cache
def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
