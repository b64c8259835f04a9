"""A Plan for people and for programs."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from xcompat.diagnosis.fixes import fixes_for
from xcompat.domain import DECIDING, SAME_FILES, minor_of
from xcompat.domain.gpu import INDEX
from xcompat.render.diagnosis import (
    command_in,
    diagnosis_as_json,
    short,
    show_change_nothing,
    show_runtime_use,
)
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.domain import Diagnosis, Environment, Run
    from xcompat.domain.plan import Applied, Change, Conflict, Constraint, Plan, Proposal

_EVIDENCE = {
    "row": "run with these versions on this platform and Python, and blessed",
    "run": "run with these versions on this platform and Python",
    "elsewhere": "run with these versions, but never on this platform and Python",
    "bracketed": "versions just below and just above were run on this platform and Python",
    "expected": "expected, not run: what lies between the same boundaries worked",
    "none": "never run; no known problem stands in the way, and that is all that is known",
}

_SIGN = {"works": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}

_NAMED = ("torch", "transformers")
"""What a proposal in one line names beside TTS."""

_WHY_CONVERT = (
    "convert the model, whose model.pth does not open there; your code then loads FOLDER-converted"
)


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Return the stable form of `xcompat resolve --json`; fields may be added."""
    told = diagnosis_as_json(plan.now)
    conflict = plan.conflict
    return {
        "schema": 1,
        "environment": told["environment"],
        "needed": list(plan.needed),
        "constraints": [_constraint_as_json(each) for each in plan.constraints],
        "now": {
            "verdict": plan.now.verdict,
            "issues": [finding.issue.code for finding in plan.now.findings],
        },
        "change_nothing": list(plan.change_nothing),
        "proposals": [_proposal_as_json(each, plan.environment) for each in plan.proposals],
        "conflict": conflict
        and {
            "constraints": [_constraint_as_json(each) for each in conflict.constraints],
            "issues": [issue.code for issue in conflict.issues],
            "ways_out": [
                {
                    "drop": _constraint_as_json(each),
                    "proposal": _proposal_as_json(proposal, plan.environment),
                }
                for each, proposal in conflict.ways_out
            ],
            "runtime": conflict.runtime
            and {"run": conflict.runtime.id, "packages": _deciding(conflict.runtime)},
        },
    }


def applied_as_json(applied: Applied) -> dict[str, Any]:
    """Return what `--apply` adds to the JSON of the plan that it carried out."""
    return {
        "installer": applied.installer,
        "changed": [
            {"package": name, "before": before, "after": after}
            for name, (before, after) in sorted(applied.changed.items())
        ],
        "restore": {"file": applied.restore_file, "commands": list(applied.restore_commands)},
        "after": diagnosis_as_json(applied.after),
    }


def show_plan(plan: Plan, *, listed: bool = False) -> None:
    """Write the plan, the other ways out, or what cannot hold together, to stdout.

    Args:
        plan: What to show.
        listed: Whether it was made for a list, and not for an installation.
    """
    page = Page()
    environment = plan.environment
    python = f"Python {environment.python}" if environment.python else "Python not said"
    if plan.now.assumed_python:
        python = f"Python {plan.now.assumed_python}, which is assumed,"
    where = f", read from {short(environment.source)}" if environment.source else ""
    page.line(f"For {python} on {environment.platform}{where}")
    if environment.language:
        page.line("  ", f"--language {environment.language}")
    for each in plan.constraints:
        page.line("  ", _option(each))
    page.gap()
    if plan.change_nothing:
        show_change_nothing(page, "Change nothing", plan.now)
        page.gap()
    if plan.conflict:
        _show_conflict(page, plan.conflict, plan)
        return
    best, *others = plan.proposals
    _show_proposal(page, "Plan" if best.changes else "Nothing to install", best, environment)
    for number, other in enumerate(others):
        page.gap()
        title = "The other way out" if number == 0 else "And another"
        _show_proposal(page, title, other, environment)
        if other.selector:
            page.prose(("to take this way, keep what it keeps:", "dim"), indent=5)
            page.line("       ", (_command_that_selects(plan, other, listed=listed), "bold"))


def show_prepared(uninstalls: Sequence[str], installs: Sequence[str]) -> None:
    """Write to stderr what exactly the installer is about to do."""
    page = Page(sys.stderr)
    page.gap()
    if uninstalls:
        page.prose(f"Uninstalls {', '.join(uninstalls)}", hang=2)
    page.prose(f"Installs {', '.join(installs)}", hang=2)


def show_progress(text: str) -> None:
    """Write to stderr what is being done."""
    Page(sys.stderr).line(("xcompat", "bold cyan"), f": {text}")


def show_applied(applied: Applied) -> None:
    """Write what was changed, and how to go back, to stdout."""
    page = Page()
    page.gap()
    page.line((f"Done with {applied.installer}", "bold green"), ": what changed")
    for name, (before, after) in sorted(applied.changed.items()):
        page.line(f"  {name} {before or '-'} → {after or 'uninstalled'}")
    page.gap()
    page.prose(("to go back to what was there:", "dim"), indent=5)
    for command in applied.restore_commands:
        page.line("       ", (command, "bold"))
    page.gap()


def show_lock(file: str, packages: int, proposal: Proposal, environment: Environment) -> None:
    """Write to stderr what a lock is for and how it is used."""
    page = Page(sys.stderr)
    python = minor_of(environment.python)
    page.prose(
        f"Wrote {file}: {packages} packages with their hashes, for Python {python} on"
        f" {environment.platform}."
    )
    if proposal.convert:
        page.prose("The model.pth must be converted as well: xcompat convert FOLDER --format pth")


def commands(proposal: Proposal, environment: Environment) -> list[tuple[str, str]]:
    """Return what to type, in order: (what for, command)."""
    told = []
    out = [change.name for change in proposal.changes if change.uninstall]
    if out:
        told.append(("take out first", f"pip uninstall -y {' '.join(out)}"))
    if any(change.then is not None for change in proposal.changes):
        wanted = " ".join(map(_quoted, proposal.requirements))
        index = f" --extra-index-url {INDEX}{proposal.build}" if proposal.build else ""
        told.append(("install", f"pip install {wanted}{index}"))
    if proposal.convert:
        told.append((_WHY_CONVERT, "xcompat convert FOLDER --format pth"))
    return [(why, command_in(command, environment)) for why, command in told]


def first_commands(plan: Plan) -> list[tuple[str, str]]:
    """Return what to type for the first proposal of a plan, if it has one."""
    return commands(plan.proposals[0], plan.environment) if plan.proposals else []


def _proposal_as_json(proposal: Proposal, environment: Environment) -> dict[str, Any]:
    result = diagnosis_as_json(proposal.result)
    return {
        "evidence": proposal.evidence,
        "row": proposal.row,
        "runs": list(proposal.runs),
        "changes": [
            {
                "package": change.name,
                "now": change.now,
                "plan": change.then,
                "uninstall_first": change.uninstall,
                "why": change.why,
            }
            for change in proposal.changes
        ],
        "requirements": list(proposal.requirements),
        "build": proposal.build,
        "convert": proposal.convert,
        "commands": [command for _, command in commands(proposal, environment)],
        "verdict": result["verdict"],
        "capabilities": result["capabilities"],
        "issues": [finding["code"] for finding in result["findings"]],
        "notes": list(proposal.notes),
        "keep": list(proposal.selector),
    }


def _constraint_as_json(constraint: Constraint) -> dict[str, str]:
    return {
        "kind": constraint.kind,
        "name": constraint.name,
        "specifier": constraint.specifier,
    }


def _show_proposal(page: Page, title: str, proposal: Proposal, environment: Environment) -> None:
    page.prose((title, "bold green"), f": {summary(proposal)}")
    row = f" (row {proposal.row})" if proposal.row else ""
    page.prose(f"{_EVIDENCE[proposal.evidence]}{row}", indent=2)
    for note in proposal.notes:
        page.prose(note, indent=2)
    if proposal.changes:
        page.gap()
        _show_changes(page, proposal)
    page.gap()
    _show_capabilities(page, proposal.result)
    _show_warnings(page, proposal.result)
    for why, command in commands(proposal, environment):
        page.prose((f"{why}:", "dim"), indent=5)
        page.line("       ", (command, "bold"))


def summary(proposal: Proposal) -> str:
    """Return a proposal in one line."""
    changed = {change.name: change for change in proposal.changes}
    after = proposal.result.environment.packages
    family = "TTS" if "TTS" in after else "coqui-tts"
    told = []
    swapped = next((n for n in ("TTS", "coqui-tts") if n != family and n in changed), None)
    if swapped:
        told.append(f"swap {swapped} for {family} {after[family]}")
    elif family not in changed:
        told.append(f"keep {family} {after.get(family, '')}".rstrip())
    elif changed[family].now and changed[family].now == changed[family].then:
        told.append(f"install {family} {after[family]} anew")
    else:
        told.append(f"install {family} {after[family]}")
    told += [
        f"{name} {changed[name].then}" for name in _NAMED if name in changed and changed[name].then
    ]
    if proposal.convert:
        told.append("convert the checkpoint")
    return ", ".join(told)


def _show_changes(page: Page, proposal: Proposal) -> None:
    asked = proposal.requirements
    rows = [(c.name, _now(c), _then(c, asked), c.why) for c in proposal.changes]
    widths = [max(len(row[i]) for row in [*rows, ("package", "now", "plan", "")]) for i in range(3)]
    wide = sum(widths) + 8
    head = "  ".join(t.ljust(w) for t, w in zip(("package", "now", "plan"), widths, strict=True))
    page.line((f"  {head}  why", "dim"))
    for row in rows:
        name, now, then = (text.ljust(width) for text, width in zip(row, widths, strict=False))
        page.entry(((f"  {name}  ", "bold"), (f"{now}  ", ""), (then, "bold")), row[3], wide)


def _now(change: Change) -> str:
    return "-" if change.now is None else change.now or "any"


def _then(change: Change, requirements: Sequence[str]) -> str:
    if change.then is None:
        return "uninstall"
    if change.uninstall and change.now == change.then:
        return f"{change.then} anew"
    asked = next((r for r in requirements if re.split("[<>=!~]", r)[0] == change.name), "")
    return change.then or asked.removeprefix(change.name) or "any"


def _show_capabilities(page: Page, result: Diagnosis) -> None:
    for status, (sign, style) in _SIGN.items():
        told = [
            f"{name} ({', '.join(known.issues)})" if known.issues else name
            for name, known in result.capabilities.items()
            if known.status == status
        ]
        if told:
            label = ((f"  {sign} ", f"bold {style}"), (f"{status:<9}", "bold"))
            page.entry(label, f"{', '.join(told)}", width=13)


def _show_warnings(page: Page, result: Diagnosis) -> None:
    for finding in result.findings:
        if finding.issue.severity == "warning":
            way_out = fixes_for(finding.issue, result.environment)[0]
            page.entry(
                (("  ! ", "bold yellow"), (f"{finding.issue.code:<9}", "bold")),
                f"{finding.issue.title}: {way_out.partition('  # ')[0]}",
                width=13,
            )


def _show_conflict(page: Page, conflict: Conflict, plan: Plan) -> None:
    page.line(("No plan", "bold red"), ": these cannot hold together")
    for each in conflict.constraints:
        page.line("  ", (_option(each), "bold"))
    for issue in conflict.issues:
        page.prose((issue.code, "bold red"), f" {issue.title}", indent=2, hang=6)
    page.gap()
    if not conflict.ways_out:
        page.prose("Dropping one of them is not enough: drop two.")
    for number, (each, proposal) in enumerate(conflict.ways_out):
        title = "Drop" if number == 0 else "Or drop"
        instead = (
            f" for Python {proposal.result.environment.python}" if each.kind == "python" else ""
        )
        if each.kind == "platform":
            title = f"{title} the platform"
        page.prose(
            (title, "bold"), f" {_option(each)}{instead}: {summary(proposal)}", indent=0, hang=2
        )
        page.prose(_EVIDENCE[proposal.evidence], indent=2)
    if conflict.runtime and not plan.change_nothing:
        _show_runtime(page, conflict.runtime, plan.environment)


def _show_runtime(page: Page, run: Run, environment: Environment) -> None:
    """Write what to install where everything is kept and xcompat loads the model."""
    packages = _deciding(run)
    named = ", ".join(f"{n} {v}" for n, v in packages.items() if n in (*SAME_FILES[0], *_NAMED))
    page.prose(("Or drop nothing", "bold"), f": {named}, the model loaded with xcompat", hang=2)
    page.prose(f"run with these versions on this platform and Python (run {run.id})", indent=2)
    pins = " ".join(_quoted(f"{name}=={version}") for name, version in packages.items())
    page.prose(("install:", "dim"), indent=5)
    page.line("       ", (command_in(f"pip install {pins}", environment), "bold"))
    show_runtime_use(page)


def _deciding(run: Run) -> dict[str, str]:
    packages = run.environment.packages
    return {name: packages[name] for name in DECIDING if name in packages}


def _option(constraint: Constraint) -> str:
    if constraint.kind == "keep":
        return f"--keep {_quoted(constraint.name + constraint.specifier)}"
    if constraint.kind == "need":
        return f"--need {constraint.name}"
    return f"Python {constraint.name}" if constraint.kind == "python" else constraint.name


def _command_that_selects(plan: Plan, proposal: Proposal, *, listed: bool) -> str:
    environment = plan.environment
    words = []
    if environment.source:
        option = "-r" if listed else "--python"
        where = environment.interpreter or environment.source
        words.append(f"{option} {shlex.quote('-' if where == '<stdin>' else short(where))}")
    if not environment.interpreter:
        if environment.python:
            words.append(f"--python-version {environment.python}")
        words.append(f"--platform {environment.platform}")
    if environment.language:
        words.append(f"--language {environment.language}")
    words += [_option(each) for each in plan.constraints]
    words += [f"--keep {_quoted(each)}" for each in proposal.selector]
    return " ".join(["xcompat resolve", *words])


def _quoted(requirement: str) -> str:
    return f'"{requirement}"' if set(requirement) & set("<>=!~, ") else requirement
