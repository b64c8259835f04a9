"""A diagnosis as SARIF 2.1.0, which code scanning services read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from xcompat import version
from xcompat.diagnosis.answer import answer_of
from xcompat.diagnosis.fixes import fixes_for
from xcompat.render.findings import level_of, page_of, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xcompat.domain import Diagnosis, Environment, Finding, KnownIssue

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def diagnoses_as_sarif(diagnoses: Iterable[Diagnosis]) -> dict[str, Any]:
    """Return a SARIF log with a run for each diagnosis, and in it a result for each finding.

    What is ignored is suppressed.
    """
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(each) for each in diagnoses]}


def _run(diagnosis: Diagnosis) -> dict[str, Any]:
    findings = [*diagnosis.findings, *diagnosis.ignored]
    rules = [_rule(each.issue, diagnosis.environment) for each in findings]
    driver: dict[str, Any] = {
        "name": "xcompat",
        "semanticVersion": version.__version__,
        "rules": rules,
    }
    if version.SITE:
        driver["informationUri"] = version.SITE
    return {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True}],
        "automationDetails": {"id": f"xcompat/{quote(diagnosis.environment.source)}/"},
        "properties": {
            "verdict": diagnosis.verdict,
            "answer": answer_of(diagnosis).text,
            "needed": list(diagnosis.needed),
        },
        "results": [_result(number, each, diagnosis) for number, each in enumerate(findings)],
    }


def _rule(issue: KnownIssue, environment: Environment) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": issue.code,
        "shortDescription": {"text": issue.title},
        "fullDescription": {"text": " ".join(issue.cause.split())},
        "help": {"text": "\n".join((*fixes_for(issue, environment), *issue.sources))},
        "defaultConfiguration": {"level": issue.severity},
    }
    if address := page_of(issue.code):
        rule["helpUri"] = address
    return rule


def _result(number: int, finding: Finding, diagnosis: Diagnosis) -> dict[str, Any]:
    issue, environment = finding.issue, diagnosis.environment
    told = (f"{issue.title}.", " ".join(issue.cause.split()), *finding.seen)
    message = "\n".join((*told, *fixes_for(issue, environment)))
    is_ignored = finding in diagnosis.ignored
    result: dict[str, Any] = {
        "ruleId": issue.code,
        "ruleIndex": number,
        "level": "note" if is_ignored else level_of(finding, diagnosis),
        "message": {"text": message},
        "locations": [_location(finding, environment)],
        "partialFingerprints": {"finding/v1": f"{issue.code}:{','.join(finding.packages)}"},
    }
    if is_ignored:
        result["suppressions"] = [{"kind": "external", "justification": "--ignore"}]
    return result


def _location(finding: Finding, environment: Environment) -> dict[str, Any]:
    """Return the line of a list, or else the distributions of an environment."""
    place = place_of(finding, environment)
    if place:
        return {
            "physicalLocation": {
                "artifactLocation": {"uri": quote(place.file)},
                "region": {"startLine": place.line},
            }
        }
    return {
        "logicalLocations": [
            {"name": name, "kind": "package"} for name in finding.packages or ("environment",)
        ]
    }
