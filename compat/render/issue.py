"""Known issues for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.diagnosis.fixes import fixes_for
from xcompat.render.diagnosis import MEANING, show_commands
from xcompat.render.findings import page_of
from xcompat.render.text import Page

if TYPE_CHECKING:
    from xcompat.diagnosis.explain import Explained, Explanation
    from xcompat.domain import Condition, Environment, KnownIssue


_MORE = (
    (
        "Paste more: from the first line `Traceback (most recent call last):` to the last line of "
        "the error, what stands just above it, and the versions that `pip list` shows."
    ),
    (
        "What is wrong in an environment shows without a log too: `xcompat doctor --python "
        "FOLDER`, with the folder of the app's virtual environment."
    ),
)
"""What helps where nothing is found for certain."""

_WHOSE = {
    "app": (
        "the app's own code, not TTS or PyTorch. Look for the error where the app is at home, and "
        "try its newest release."
    ),
    "package": (
        "the package `{package}`, which is no part of TTS. Its release may be another than the one "
        "that the app asks for: see its requirements."
    ),
    "stack": (
        "`{package}`. Whether its release fits the others, `xcompat doctor` tells; what it was "
        "called with, the lines above it do."
    ),
}
"""What it means that an error arose there."""

_SIGNS = {
    "weights-only-off": "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is set",
    "weights-only-forced": "TORCH_FORCE_WEIGHTS_ONLY_LOAD is set",
    "patched-load": "code that opens checkpoints was changed",
    "missing-files": "files of a package are missing",
    "missing-xtts-files": "files that XTTS imports are missing",
    "changed-files": "files of a package were changed",
    "rosetta": "an Intel Python runs on Apple silicon",
    "ffmpeg-unsupported": "the FFmpeg that was found is of an unknown release",
    "checkpoint-incomplete": "a model in the known places is incomplete",
    "checkpoint-no-model": "a file in the known places is no model",
    "checkpoint-mixed": "a model and its vocabulary do not fit together",
    "checkpoint-pickled": "a model holds pickled objects",
    "gpu-cpu-torch": "there is a graphics card, and torch is built for the CPU alone",
    "gpu-other-torch": "torch is built for the graphics cards of another maker",
    "gpu-no-kernels": "torch has no code for the graphics card",
    "gpu-old-driver": "the driver of the graphics card is too old for torch",
    "gpu-no-driver": "the graphics card has no driver that works",
    "gpu-small": "the graphics card has too little memory",
    "gpu-two": "there are two graphics, of the processor and of a card",
}


def explained_as_json(explained: Explained) -> dict[str, Any]:
    """Return the stable form of `xcompat explain --json`."""
    environment = explained.environment
    return {
        "schema": 1,
        "environment": {
            "python": environment.python,
            "platform": environment.platform,
            "packages": dict(environment.packages),
        },
        "issues": [
            {
                **issue_as_json(issue),
                "fix": list(fixes_for(issue, environment)),
                "certainty": certainty,
                "why": why,
            }
            for issue, certainty, why in explained.explanations
        ],
        "origin": explained.origin._asdict() if explained.origin else None,
        "advice": [each for each in (_whence(explained), *_advice(explained)) if each],
    }


def issue_as_json(issue: KnownIssue) -> dict[str, Any]:
    """Return the stable form of a known issue, in `explain` and `matrix`."""
    return {
        "code": issue.code,
        "severity": issue.severity,
        "title": issue.title,
        "capabilities": list(issue.capabilities),
        "cause": issue.cause,
        "fix": list(issue.fixes),
        "applies": [condition_text(each) for each in issue.conditions],
        "sources": list(issue.sources),
        "url": page_of(issue.code),
    }


def show_explained(explained: Explained) -> None:
    """Write known issues to stdout: what happens, what to type, why, and when."""
    page = Page()
    whence = _whence(explained)
    if not explained.explanations:
        page.prose("No known issue has these symptoms.")
    elif whence and explained.explanations[0].issue.aside:
        page.prose(whence)
        page.gap()
        whence = ""
    for number, explanation in enumerate(explained.explanations):
        if number:
            page.gap()
        _show(page, explanation, explained.environment)
    for advice in (whence, *_advice(explained)):
        if advice:
            page.gap()
            page.prose(advice)


def _advice(explained: Explained) -> list[str]:
    """Return what helps where nothing is certain."""
    return list(_MORE) if explained.is_doubtful() else []


def _whence(explained: Explained) -> str:
    """Return whose error it is, and where to ask; empty where an issue tells for certain."""
    origin = explained.origin
    if origin is None or not explained.is_doubtful() or explained.knows_the_error():
        return ""
    place = f"`{origin.error}` arose in {origin.file}, line {origin.line}"
    return f"{place}: {_WHOSE[origin.whose].format(package=origin.package)}"


def _show(page: Page, explanation: Explanation, environment: Environment) -> None:
    issue = explanation.issue
    style = "bold red" if issue.severity == "error" else "bold yellow"
    page.prose((issue.code, style), " ", (issue.title, "bold"))
    if explanation.certainty == "possible":
        page.prose(("Possible", "bold"), f": {explanation.why}.", indent=2)
    page.gap()
    page.line(("  What to do", "bold"))
    show_commands(page, fixes_for(issue, environment), None)
    page.gap()
    page.prose(issue.cause, indent=2)
    if issue.capabilities or issue.conditions:
        page.gap()
    if issue.capabilities:
        verb = "Fails" if issue.severity == "error" else "Concerns"
        told = ", ".join(f"{c} ({MEANING[c]})" for c in issue.capabilities)
        page.prose(f"{verb}: {told}", indent=2, hang=2)
    for word, condition in zip(["When", *["or"] * 30], issue.conditions, strict=False):
        page.prose(f"{word}: {condition_text(condition)}", indent=2, hang=2)
    page.gap()
    for source in (page_of(issue.code), *issue.sources):
        if source:
            page.line(f"  {source}")


def condition_text(condition: Condition) -> str:
    """Return a condition as one line: `TTS <=0.22.0 and torch >=2.6`."""
    parts = [_wanted(*each) for each in condition.packages.items()]
    if condition.python:
        parts.append(f"Python {condition.python}")
    if condition.minor_mismatch:
        parts.append("{} and {} of different minor versions".format(*condition.minor_mismatch))
    if condition.cuda_mismatch:
        parts.append("{} and {} built for different CUDA versions".format(*condition.cuda_mismatch))
    if condition.cuda_major_mismatch:
        told = "{} and {} built for different major versions of CUDA"
        parts.append(told.format(*condition.cuda_major_mismatch))
    if condition.duplicates:
        parts.append(f"one of {', '.join(condition.duplicates)} installed more than once")
    if condition.damaged:
        parts.append(f"files of {' or '.join(condition.damaged)} are missing or changed")
    parts += [_wanted(*each) for each in condition.system.items()]
    parts += [_SIGNS[sign] for sign in condition.signs]
    if condition.platforms:
        parts.append(f"on {' or '.join(condition.platforms)}")
    if condition.languages:
        parts.append(f"speaking {' or '.join(condition.languages)}")
    return " and ".join(parts)


def _wanted(name: str, specifier: str) -> str:
    if specifier == "*":
        return f"any {name}"
    return f"no {name}" if specifier == "absent" else f"{name} {specifier}"
