"""A Diagnosis for people and for programs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcompat.diagnosis.answer import answer_of
from xcompat.diagnosis.fixes import fixes_for
from xcompat.diagnosis.patched import of_no_issue, told_of
from xcompat.domain import DECIDING
from xcompat.domain.gpu import INDEX
from xcompat.render.findings import page_of, place_of, sections_of
from xcompat.render.gpu import outlook_as_json, show_outlook
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xcompat.domain import Capability, CapabilityStatus, Diagnosis, Environment, Finding

MEANING: dict[Capability, str] = {
    "install": "these versions install",
    "import": "the TTS code starts",
    "load": "the original model.pth opens",
    "load-converted": "a converted model opens",
    "speak": "a built-in voice speaks",
    "stream": "speech comes piece by piece",
    "clone": "a sound file lends its voice",
    "save": "torchaudio.save writes a file",
    "api": "TTS(NAME) writes a WAV file",
    "api-path": "TTS(model_path=...) does so",
}

Todo = tuple[str, str]
"""What for, and what to type."""

_WIDE = 72
"""Columns from which on there is room for what a capability means."""
_SEEN = 5
"""Places of one sign that are shown; JSON has all."""
_BASIS = {"recorded": "run", "bracketed": "run just below and above", "expected": "expected"}
"""What a status rests on, in the table."""
_SIGN = {
    "works": ("✓", "green"),
    "fails": ("✗", "red"),
    "unknown": ("?", "yellow"),
}


def diagnosis_as_json(
    diagnosis: Diagnosis, todo: Sequence[Todo] = (), mps: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the stable form of `xcompat doctor --json`; fields may be added.

    Args:
        diagnosis: What is known.
        todo: What `resolve` proposes first, where something fails that was asked for.
        mps: What is known of Apple's GPU, in sentences.
    """
    environment = diagnosis.environment
    return {
        "schema": 1,
        "verdict": diagnosis.verdict,
        "answer": answer_of(diagnosis).text,
        "needed": list(diagnosis.needed),
        "environment": {
            "python": environment.python,
            "platform": environment.platform,
            "packages": dict(environment.packages),
            "builds": dict(environment.builds),
            "duplicates": {name: list(v) for name, v in environment.duplicates.items()},
            "system": dict(environment.system),
            "signs": {name: list(seen) for name, seen in environment.signs.items()},
            "language": environment.language,
            "source": environment.source,
            "complete": environment.complete,
            "notes": list(environment.notes),
            "patches": [{"name": p.name, "place": p.place} for p in environment.patches],
        },
        "assumed": dict(diagnosis.assumed)
        | ({"python": diagnosis.assumed_python} if diagnosis.assumed_python else {}),
        "capabilities": _statuses_as_json(diagnosis.capabilities),
        "runtime": _statuses_as_json(diagnosis.runtime),
        "change_nothing": list(diagnosis.change_nothing),
        "findings": [_finding_as_json(each, environment) for each in diagnosis.findings],
        "ignored": [_finding_as_json(each, environment) for each in diagnosis.ignored],
        "next": [command for _, command in todo],
        "mps": list(mps),
        "patched": {
            code: {"name": patch.name, "place": patch.place}
            for code, patch in diagnosis.patched.items()
        },
        "unpatched": _statuses_as_json(diagnosis.unpatched.capabilities)
        if diagnosis.unpatched
        else None,
        "row": diagnosis.row,
        "gpu": diagnosis.outlook and outlook_as_json(diagnosis.outlook),
    }


def _finding_as_json(finding: Finding, environment: Environment) -> dict[str, Any]:
    issue = finding.issue
    place = place_of(finding, environment)
    return {
        "code": issue.code,
        "severity": issue.severity,
        "capabilities": list(issue.capabilities),
        "title": issue.title,
        "cause": issue.cause,
        "packages": list(finding.packages),
        "seen": list(finding.seen),
        "fix": list(fixes_for(issue, environment)),
        "sources": list(issue.sources),
        "url": page_of(issue.code),
        "place": place and {"file": place.file, "line": place.line},
    }


def _statuses_as_json(statuses: Mapping[Capability, CapabilityStatus]) -> dict[str, Any]:
    return {
        capability: {
            "status": told.status,
            "basis": told.basis,
            "issues": list(told.issues),
            "note": told.note,
            "support": list(told.support),
            "trials": told.trials and told.trials._asdict(),
        }
        for capability, told in statuses.items()
    }


def show_diagnosis(
    diagnosis: Diagnosis, todo: Sequence[Todo] = (), mps: Sequence[str] = ()
) -> None:
    """Write the answer, what it rests on, and what to type next to stdout.

    Args:
        diagnosis: What is known.
        todo: What `resolve` proposes first, where something fails that was asked for.
        mps: What is known of Apple's GPU, in sentences.
    """
    page = Page()
    answer = answer_of(diagnosis)
    style = {"compatible": "green", "incompatible": "red", "unknown": "yellow"}[diagnosis.verdict]
    page.prose((f"{answer.text}.", f"bold {style}"))
    if answer.convert:
        page.line(("  xcompat convert FOLDER", "bold"))
    _show_confidence(page, diagnosis)
    page.gap()
    _show_environment(page, diagnosis)
    if diagnosis.outlook:
        show_outlook(page, diagnosis.outlook)
    page.gap()
    for capability, told in diagnosis.capabilities.items():
        # What is installed has been installed: the question matters for pins only.
        if capability != "install" or not diagnosis.environment.complete:
            _show_capability(page, capability, told, answer.text)
    _show_evidence(page, diagnosis)
    for sentence in mps:
        page.prose(sentence, indent=2, hang=2)
    stopping, *others = sections_of(diagnosis)
    # What resolve proposes fits together; the ways out of single issues stand in for it.
    advised = bool(todo or diagnosis.change_nothing)
    _show_section(page, *stopping, diagnosis, fixes=not advised)
    if diagnosis.change_nothing:
        page.gap()
        show_change_nothing(page, "Change nothing", diagnosis)
    _show_todo(page, todo, "Or change the least" if diagnosis.change_nothing else "What to type")
    for section in others:
        _show_section(page, *section, diagnosis)
    if diagnosis.ignored:
        page.gap()
        ignored = "; ".join(f"{each.issue.code} {each.issue.title}" for each in diagnosis.ignored)
        page.prose(("Ignored", "bold"), f": {ignored}", hang=2)
    page.gap()
    _show_next(page, diagnosis)


def _show_todo(page: Page, todo: Sequence[Todo], title: str) -> None:
    """Write what `resolve` proposes first, so that it can be copied."""
    if not todo:
        return
    page.gap()
    page.line((title, "bold"))
    for why, command in todo:
        page.prose((f"{why}:", "dim"), indent=5)
        page.line("       ", (command, "bold"))


def _show_confidence(page: Page, diagnosis: Diagnosis) -> None:
    """Write how far an answer can be relied on that no run of these versions gave."""
    needed = [diagnosis.capabilities[capability] for capability in diagnosis.needed]
    if any(told.status != "works" for told in needed):
        return
    tried = [told.trials for told in needed if told.basis == "expected" and told.trials]
    if tried:
        right, total = (
            sum(each.right for each in tried),
            sum(each.right + each.wrong for each in tried),
        )
        page.prose(
            "Expected, not run: answers of this kind were right in "
            f"{right:,} of {total:,} trials (`--strict` takes runs only)."
        )
    elif any(told.basis == "expected" for told in needed):
        page.prose("Expected, not run (`--strict` takes runs only).")


def _show_evidence(page: Page, diagnosis: Diagnosis) -> None:
    """Write once what several capabilities rest on."""
    by_note: dict[str, list[str]] = {}
    for capability, told in diagnosis.capabilities.items():
        if told.status != "unknown" and told.note and not told.note.startswith("needs "):
            by_note.setdefault(told.note, []).append(capability)
    if by_note:
        page.gap()
    for note, capabilities in by_note.items():
        page.prose((f"{', '.join(capabilities)}: {note}", "dim"), indent=2, hang=2)


def _show_section(
    page: Page,
    title: str,
    findings: Sequence[Finding],
    diagnosis: Diagnosis,
    *,
    fixes: bool = True,
) -> None:
    if findings:
        page.gap()
        page.line((title, "bold"))
    for number, finding in enumerate(findings, start=1):
        _show_finding(page, number, finding, diagnosis, fixes=fixes)


def show_change_nothing(page: Page, title: str, diagnosis: Diagnosis) -> None:
    """Write what the runtime mends in the environment as it is, and how it is used."""
    mended = ", ".join(diagnosis.change_nothing)
    first = diagnosis.runtime[diagnosis.change_nothing[0]]
    known = "expected to mend" if first.basis == "expected" else "run with these versions, it mends"
    page.prose((title, "bold"), ": load the model with xcompat")
    page.prose(f"{known} {mended} ({first.note})", indent=2)
    show_runtime_use(page, saves="save" in diagnosis.change_nothing)


def show_runtime_use(page: Page, *, saves: bool = False) -> None:
    """Write how a program lets xcompat load the model, and `torchaudio.save` do without a codec."""
    page.prose(("in the program that speaks, with a converted model:", "dim"), indent=5)
    page.line(("       from xcompat import load_xtts", "bold"))
    page.line(('       model = load_xtts(FOLDER, runtime="xcompat")', "bold"))
    if saves:
        page.prose(("and before it writes with torchaudio.save:", "dim"), indent=5)
        page.line(("       import xcompat; xcompat.saving_with_soundfile()", "bold"))
    page.prose(("what it substitutes, and its limits: docs/runtime.md", "dim"), indent=5)


def show_commands(page: Page, fixes: tuple[str, ...], environment: Environment | None) -> None:
    """Write commands so that they can be copied, each with its remark above it; and sentences."""
    for fix in fixes:
        if fix.endswith("."):
            page.prose(fix, indent=5)
            continue
        command, _, remark = fix.partition("  # ")
        if remark:
            page.prose((f"{remark}:", "dim"), indent=5)
        page.line("       ", (command_in(command, environment), "bold"))


def command_in(command: str, environment: Environment | None) -> str:
    """Return a `pip` command such that it works on `environment`, whatever is activated."""
    if environment is None or not environment.interpreter or not command.startswith("pip "):
        return command
    python = _quoted(short(environment.interpreter))
    if "pip" in environment.packages:
        return f"{python} -m {command}"
    _, subcommand, rest = command.split(" ", 2)
    # uv takes all of a package from the first index that has it; this option is for torch alone.
    rest = rest.replace(f"--extra-index-url {INDEX}", "--torch-backend ")
    return f"uv pip {subcommand} --python {python} {rest.removeprefix('-y ')}"


def _show_environment(page: Page, diagnosis: Diagnosis) -> None:
    environment = diagnosis.environment
    python = f"Python {environment.python}" if environment.python else "Python not said"
    page.prose(
        f"{python} on {environment.platform}, read from {short(environment.source)}", indent=2
    )
    told = []
    missing = []
    for name in DECIDING:
        version = environment.packages.get(name)
        build = environment.builds.get(name, "")
        if version is not None:
            shown = version if not build or "+" in version else f"{version} ({build})"
            told.append(f"{name} {shown}".strip())
        elif name not in ("TTS", "coqui-tts"):
            missing.append(name)
    if not {"TTS", "coqui-tts"} & environment.packages.keys():
        missing.insert(0, "TTS or coqui-tts")
    if told:
        page.prose(", ".join(told), indent=2)
    assumed = _assumed(diagnosis)
    if assumed:
        page.prose(f"not said, assumed: {assumed}", indent=2)
    elif missing:
        absent = "not installed" if environment.complete else "not said"
        page.prose(f"{absent}: {', '.join(missing)}", indent=2)
    if unread := of_no_issue(environment, diagnosis.patched):
        page.prose(f"also patched, and what that does was not read: {told_of(unread)}", indent=2)
    for name, versions in environment.duplicates.items():
        page.prose(f"{name} is there more than once: {', '.join(versions)}", indent=2)


def _assumed(diagnosis: Diagnosis) -> str:
    """Return what was assumed of pins, in one phrase."""
    added = diagnosis.assumed
    told = [f"Python {diagnosis.assumed_python}"] if diagnosis.assumed_python else []
    told += [f"{name} {version}" for name, version in added.items() if version]
    told += [f"no {name}" for name, version in added.items() if not version]
    return ", ".join(told)


def _show_capability(
    page: Page, capability: Capability, told: CapabilityStatus, answer: str
) -> None:
    """Write one status; what the first line says already is not said again."""
    sign, style = _SIGN[told.status]
    details = [*told.issues, *([told.note] if told.note.startswith("needs ") else [])]
    if not details:
        note = "" if told.note and answer.endswith(told.note) else told.note
        details = [note if told.status == "unknown" else _BASIS.get(told.basis, "")]
    status = ": ".join(filter(None, (told.status, ", ".join(filter(None, details)))))
    if page.width < _WIDE:
        page.prose(
            (f"{sign} ", f"bold {style}"), (capability, "bold"), f" {status}", indent=2, hang=2
        )
        return
    label = ((f"  {sign} ", f"bold {style}"), (f"{capability:<15} ", "bold"))
    page.entry((*label, (MEANING[capability], "")), status, width=50)


def _show_finding(
    page: Page, number: int, finding: Finding, diagnosis: Diagnosis, *, fixes: bool
) -> None:
    issue = finding.issue
    style = "bold red" if issue.severity == "error" else "bold yellow"
    page.prose(f"{number}. ", (issue.code, style), f" {issue.title}", indent=2, hang=3)
    if finding.packages:
        page.prose((_installed(finding, diagnosis), "dim"), indent=5)
    for seen in finding.seen[:_SEEN]:
        page.line("     ", (seen, "dim"))
    if len(finding.seen) > _SEEN:
        page.line("     ", (f"and {len(finding.seen) - _SEEN} more", "dim"))
    page.prose(issue.cause, indent=5)
    if fixes:
        show_commands(page, fixes_for(issue, diagnosis.environment), diagnosis.environment)
    if address := page_of(issue.code):
        page.line("     ", (address, "dim"))


def _installed(finding: Finding, diagnosis: Diagnosis) -> str:
    """Return the versions that a finding is about, those that were assumed of pins among them."""
    environment = diagnosis.environment
    assumed = {name: version or "not installed" for name, version in diagnosis.assumed.items()}
    absent = "not installed" if environment.complete else "not said"
    told = {name: version for name, version in environment.packages.items() if version}
    versions = {**assumed, **told}
    return ", ".join(f"{name} {versions.get(name, absent)}" for name in finding.packages)


def _show_next(page: Page, diagnosis: Diagnosis) -> None:
    environment = diagnosis.environment
    if diagnosis.verdict == "incompatible":
        page.prose("After that, run `xcompat doctor` again: one problem can hide another.")
        return
    if not environment.interpreter:
        page.prose("When it is installed, look again: `xcompat doctor --python FOLDER`")
        return
    page.line(("Next", "bold"))
    model = ""
    if diagnosis.capabilities["load"].status == "fails":
        page.prose(("convert the model, which does not open here as it is:", "dim"), indent=5)
        page.line(("       xcompat convert FOLDER", "bold"))
        model = " FOLDER-converted"
    why = "hear it:" if diagnosis.verdict == "compatible" else "find out by letting it speak:"
    page.prose((why, "dim"), indent=5)
    python = _quoted(short(environment.interpreter))
    page.line((f"       xcompat smoke{model} --python {python}", "bold"))


def short(path: str) -> str:
    """Return a path as a person in this folder would type it."""
    try:
        relative = Path(path).relative_to(Path.cwd())
    except (ValueError, OSError):
        return path
    return f".{os.sep}{relative}" if str(relative) != "." else path


def _quoted(path: str) -> str:
    if os.name == "nt":
        return f'"{path}"' if " " in path else path
    return shlex.quote(path)
