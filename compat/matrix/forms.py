"""The forms of what is recorded: a run, a row, a known issue, and what is wrong with one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

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
    Row,
    Run,
    Severity,
    Status,
    distribution_name,
)
from xcompat.domain.versions import parsed
from xcompat.matrix.specifier import clauses
from xcompat.matrix.tables import BadTable, Table, json_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Names(dict[str, str]):
    """Distribution names in the one spelling of xcompat: each of thousands is made out once."""

    def __missing__(self, name: str) -> str:
        self[name] = distribution_name(name)
        return self[name]


_NAMES: Final = _Names()


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
            run = _run(Table(in_todays_words(json_of(line))))
        except BadTable as error:
            errors.append(f"{place}: {error.what}")
            continue
        if run.id in seen:
            errors.append(f"{place}: the run `{run.id}` is already at {seen[run.id]}")
        seen.setdefault(run.id, place)
        runs.append(run)
    return runs, errors


def in_todays_words(line: Any) -> Any:
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


def issue_of(code: str, table: Table) -> KnownIssue:
    """Return the known issue of that code.

    Raises:
        BadTable: It is not written as one.
    """
    if not re.fullmatch(r"XC[04-9]\d\d", code):
        raise BadTable("", "a known issue's file is named XC0nn.toml, or XC4nn.toml to XC9nn.toml")
    severity = table.text("severity")
    if severity not in ("error", "warning"):
        raise BadTable("severity", f"`severity` is `error` or `warning`, not `{severity}`")
    symptoms = table.texts("symptoms")
    sources = table.texts("sources")
    if not sources:
        raise BadTable("sources", "a known issue names at least one source")
    conditions = table.tables("conditions")
    issue = KnownIssue(
        code=code,
        title=table.text("title"),
        severity=cast("Severity", severity),
        capabilities=_capabilities(table.texts("capabilities")),
        conditions=tuple(map(_condition, conditions)),
        symptoms=symptoms,
        generic=table.flag("generic"),
        aside=table.flag("aside"),
        cause=" ".join(table.text("cause").split()),
        fixes=table.texts("fixes"),
        sources=sources,
        runtime=_capabilities(table.texts("runtime", ())),
        patches=table.texts("patches", ()),
    )
    if not issue.conditions and not issue.symptoms:
        raise BadTable("conditions", "an issue without conditions needs symptoms to be known by")
    table.no_more()
    return issue


def _condition(table: Table) -> Condition:
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
        cuda_major_mismatch=_pair(table, "cuda_major_mismatch"),
        system=system,
        duplicates=tuple(distribution_name(n) for n in table.texts("duplicates", ())),
        damaged=tuple(distribution_name(n) for n in table.texts("damaged", ())),
        signs=_known(table.texts("signs", ()), SIGNS, "signs"),
        languages=_known(table.texts("languages", ()), LANGUAGES, "languages"),
    )
    if condition == Condition():
        raise BadTable("conditions", "a condition that says nothing applies everywhere")
    table.no_more()
    return condition


def _known(names: tuple[str, ...], known: tuple[str, ...], key: str) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise BadTable(key, f"`{name}` is none of the known {key}: {', '.join(known)}")
    return names


def _pair(table: Table, key: str) -> tuple[str, str] | None:
    names = table.texts(key, ())
    if not names:
        return None
    if len(names) != 2:
        raise BadTable(key, f"`{key}` names two distributions")
    return distribution_name(names[0]), distribution_name(names[1])


def row_of(name: str, table: Table) -> Row:
    """Return the row of that name.

    Raises:
        BadTable: It is not written as one.
    """
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
        raise BadTable("packages", "`packages` is missing")
    table.no_more()
    return row


def _run(table: Table) -> Run:
    if (schema := table.take("schema")) != 2:
        raise BadTable("schema", f"`schema` must be 1 or 2, not {schema!r}")
    date = table.text("date")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        raise BadTable("date", f"`date` must be YYYY-MM-DD, not `{date}`")
    packages = {_NAMES[name]: version for name, version in table.mapping("packages").items()}
    for name in DECIDING:
        if name in packages:
            _version(packages[name], name)
    system = table.take("system", {})
    if not isinstance(system, dict) or not all(
        value is None or isinstance(value, str) for value in system.values()
    ):
        raise BadTable("system", "`system` must be a table of texts or null")
    locals_ = {n: packages.get(n, "").partition("+")[2] for n in ("torch", "torchaudio")}
    builds = {name: build for name, build in locals_.items() if build}
    run = Run(
        id=table.text("id"),
        date=date,
        tool=table.text("tool"),
        command=table.text("command"),
        cell=table.text("cell"),
        device=table.text("device"),
        model=table.text("model", "untrained"),
        environment=Environment(
            python=_version(table.text("python"), "python"),
            platform=table.text("platform"),
            packages=packages,
            source="",
            builds=builds | table.mapping("builds"),
            signs=_signs(table.take("signs", {})),
            system=system,
        ),
        capabilities=_outcomes(table.table("capabilities")),
        tokens=table.take("tokens") or "",
        runtime_capabilities=_outcomes(Table(measured, "runtime_capabilities"))
        if (measured := table.take("runtime_capabilities"))
        else {},
        runtime_tokens=table.take("runtime_tokens") or "",
    )
    table.no_more()
    return run


def _signs(told: object) -> dict[str, tuple[str, ...]]:
    if told == {}:
        return {}
    table = Table(told, "signs")
    signs = {sign: seen for sign in SIGNS if (seen := table.texts(sign, ()))}
    table.no_more()
    return signs


_GIVEN: Final = {"status": "works"}
_WORKS: Final = CapabilityOutcome(status="works")
"""What most outcomes are: made once."""


def _outcomes(table: Table) -> dict[Capability, CapabilityOutcome]:
    outcomes: dict[Capability, CapabilityOutcome] = {}
    for capability in CAPABILITIES:
        given = table.take(capability)
        if given is None:
            continue
        if given == _GIVEN:
            outcomes[capability] = _WORKS
            continue
        told = Table(given, capability)
        status = told.text("status")
        if status not in ("works", "fails", "unknown"):
            raise BadTable(capability, f"`{capability}` is works, fails or unknown, not `{status}`")
        outcomes[capability] = CapabilityOutcome(
            status=cast("Status", status), error=told.text("error", "")
        )
        told.no_more()
        if status == "fails" and not outcomes[capability].error:
            raise BadTable(capability, f"`{capability}` fails: its `error` is missing")
    if not outcomes:
        raise BadTable("capabilities", "`capabilities` is empty")
    table.no_more()
    return outcomes


def _capabilities(names: Iterable[str]) -> tuple[Capability, ...]:
    for name in names:
        if name not in CAPABILITIES:
            raise BadTable("capabilities", f"there is no capability `{name}`")
    return cast("tuple[Capability, ...]", tuple(names))


def _specifier(text: str, key: str) -> str:
    try:
        clauses(text)
    except ValueError as error:
        raise BadTable(key, f"`{text}` of `{key}` is not a version specifier") from error
    return text


def _version(text: str, key: str) -> str:
    if parsed(text) is None:
        raise BadTable(key, f"`{text}` of `{key}` is not a version")
    return text
