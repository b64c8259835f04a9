"""A diagnosis as Markdown to paste into an issue: all that a maintainer needs, nothing private."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xcompat.diagnosis.answer import answer_of
from xcompat.render.diagnosis_markdown import capability_table, fenced, plain, versions_in_short
from xcompat.render.findings import level_of
from xcompat.render.privacy import scrubbed, shared_build, shared_version
from xcompat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from xcompat.domain import Diagnosis, Environment
    from xcompat.domain.gpu import Outlook
    from xcompat.render.privacy import Private


class Teller(NamedTuple):
    """Who tells: the xcompat that looked, and the machine that it runs on."""

    python: str
    """Version of the Python that runs xcompat."""
    system: str
    """Name and release of the operating system, and the processor."""
    variables: Mapping[str, str]
    """Environment variables that may be shown."""


def report_of(
    diagnosis: Diagnosis, teller: Teller, public: AbstractSet[str], private: Private
) -> str:
    """Return the report.

    Args:
        diagnosis: What is known.
        teller: Who tells.
        public: Distributions that may be named; of others the number is told.
        private: What must not be in it.
    """
    everything = diagnosis.environment
    shared = everything._replace(
        packages={
            name: shared_version(version)
            for name, version in everything.packages.items()
            if name in public
        },
        builds={name: shared_build(build) for name, build in everything.builds.items()},
    )
    others = len(everything.packages) - len(shared.packages)
    lines = _lines(diagnosis._replace(environment=shared), teller, others)
    return scrubbed("\n".join(lines) + "\n", private)


def _lines(diagnosis: Diagnosis, teller: Teller, others: int) -> Iterator[str]:
    environment = diagnosis.environment
    yield f"**{plain(answer_of(diagnosis).text)}.**"
    yield ""
    yield f"- xcompat {__version__} on Python {teller.python}, {plain(teller.system)}"
    yield f"- {versions_in_short(environment)}"
    kind = "an environment" if environment.interpreter else "a list of distributions"
    yield f"- {kind}, read from `{environment.source}`"
    yield f"- asked for: {', '.join(diagnosis.needed)}"
    if environment.language:
        yield f"- language: {environment.language}"
    if diagnosis.ignored:
        yield f"- ignored: {', '.join(each.issue.code for each in diagnosis.ignored)}"
    yield from ("", "### What works", "")
    yield from capability_table(diagnosis)
    if diagnosis.findings:
        yield from ("", "### What was found", "")
    for finding in diagnosis.findings:
        level = level_of(finding, diagnosis)
        yield f"- {finding.issue.code} ({level}): {plain(finding.issue.title)}"
        for seen in finding.seen:
            yield f"    - {plain(seen)}"
    yield from ("", "### What is there", "")
    yield from fenced("\n".join(_inventory(environment, diagnosis.outlook, teller, others)))


def _inventory(
    environment: Environment, outlook: Outlook | None, teller: Teller, others: int
) -> Iterator[str]:
    for name, version in sorted(environment.packages.items(), key=lambda each: each[0].lower()):
        build = environment.builds.get(name, "")
        yield f"{name} {version or '(no version)'}{f' built for {build}' if build else ''}"
    if others:
        yield f"and {others} others that no run and no known issue is about"
    for name, found in environment.system.items():
        yield f"{name}: {found or 'not there'}"
    for name, versions in environment.duplicates.items():
        yield f"{name} more than once: {', '.join(map(shared_version, versions))}"
    for sign, seen in environment.signs.items():
        yield from (f"{sign}: {each}" for each in seen)
    if outlook:
        yield from _graphics(outlook)
    yield from (f"{name}={value}" for name, value in teller.variables.items())


def _graphics(outlook: Outlook) -> Iterator[str]:
    for card in outlook.graphics.cards:
        memory = f", {card.memory} MiB" if card.memory else ""
        yield f"graphics: {card.vendor} {card.called} {card.architecture}{memory}"
    for vendor, driver in outlook.graphics.drivers.items():
        yield f"driver of {vendor}: {driver}"
    if outlook.why:
        yield f"torch and the card: {outlook.why}"
    if outlook.graphics.trouble:
        yield f"the driver says: {outlook.graphics.trouble}"
