"""Says in one sentence what a diagnosis comes to: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xcompat.diagnosis.patched import told_of
from xcompat.domain import with_needs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xcompat.domain import Capability, Diagnosis

_DOES: dict[Capability, str] = {
    "speak": "speaks",
    "stream": "streams",
    "clone": "clones voices",
}
"""What a user hears, in the order in which it matters."""
_CAN: dict[Capability, str] = {
    "install": "be installed",
    "import": "start",
    "load": "open the original model.pth",
    "load-converted": "open a converted model",
    "speak": "speak",
    "stream": "stream",
    "clone": "clone a voice",
    "save": "write sound with torchaudio.save",
    "api": "speak through TTS(NAME)",
    "api-path": "speak through TTS(model_path=...)",
}


_ALL_IGNORED = "Nobody knows: all that was asked for fails for nothing but what is ignored"


class Answer(NamedTuple):
    """The first line of a doctor."""

    text: str
    convert: bool
    """Whether the model must be converted before it opens here."""


def answer_of(diagnosis: Diagnosis) -> Answer:
    """Return the answer to "can this run XTTS v2?", which says nothing else than the table."""
    told = _answer(diagnosis)
    if diagnosis.unpatched is None:
        return told
    patches = f"because the app patches it: {told_of(diagnosis.patched.values())}"
    without = _answer(diagnosis.unpatched)
    if without == told:
        mended = (
            name
            for name, before in diagnosis.unpatched.capabilities.items()
            if before.status != _status(diagnosis, name)
        )
        return told._replace(text=f"{told.text}; can {_CAN[next(mended)]} {patches}")
    plain = f"{without.text[0].lower()}{without.text[1:]}"
    return told._replace(text=f"{told.text}; that works {patches}; without the patches: {plain}")


def _answer(diagnosis: Diagnosis) -> Answer:
    here = "here" if diagnosis.environment.complete else "with these pins"
    if not diagnosis.needed:
        return Answer(_ALL_IGNORED, convert=False)
    failing = [c for c in diagnosis.needed if _status(diagnosis, c) == "fails"]
    if failing:
        return Answer(_refusal(diagnosis, failing[0], here), convert=False)
    unknown = [c for c in diagnosis.needed if _status(diagnosis, c) == "unknown"]
    if unknown:
        why = diagnosis.capabilities[unknown[0]].note
        cannot = _CAN[unknown[0]] if unknown[0] != "import" else "run XTTS v2"
        return Answer(f"Nobody knows whether it can {cannot} {here}: {why}", convert=False)
    return _consent(diagnosis, here)


def _consent(diagnosis: Diagnosis, here: str) -> Answer:
    does = [text for name, text in _DOES.items() if _status(diagnosis, name) == "works"]
    others = [_CAN[name] for name in diagnosis.needed if name not in _DOES]
    text = _listed(does) or f"can {_listed(others)}"
    text = f"{text[0].upper()}{text[1:]} {here}"
    convert = _status(diagnosis, "load") == "fails" and any(
        "load-converted" in with_needs(name) for name in diagnosis.needed
    )
    if convert:
        text += ", once the model is converted"
    lost = [name for name in _DOES if _status(diagnosis, name) == "fails"]
    if lost:
        text += f"; cannot {_listed(_CAN[name] for name in lost)}: {_why(diagnosis, lost[0])}"
    return Answer(text, convert=convert)


def _refusal(diagnosis: Diagnosis, failing: Capability, here: str) -> str:
    why = _why(diagnosis, failing)
    if _status(diagnosis, "install") == "fails" and not diagnosis.environment.complete:
        return f"Cannot be installed: {_why(diagnosis, 'install')}"
    if _status(diagnosis, "import") == "fails":
        starts = f"Cannot start {here}: {_why(diagnosis, 'import')}"
        return _by_what_is_said(diagnosis, here) or starts
    does = [text for name, text in _DOES.items() if _status(diagnosis, name) == "works"]
    if not does and _status(diagnosis, "import") != "works":
        return f"Cannot {_CAN[failing]} {here}: {why}"
    begins = _listed(does) if does else "starts"
    return f"{begins[0].upper()}{begins[1:]} {here}, but cannot {_CAN[failing]}: {why}"


def _why(diagnosis: Diagnosis, capability: Capability) -> str:
    """Return the title of the issue that a capability fails for, with the versions it is about."""
    codes = diagnosis.capabilities[capability].issues
    for finding in diagnosis.findings:
        if finding.issue.code in codes:
            return finding.issue.title
    return "it was run with these versions, and it failed"


def _by_what_is_said(diagnosis: Diagnosis, here: str) -> str:
    """Return what the pins themselves prevent, if only what is assumed beside them does not start.

    That might be chosen otherwise.
    """
    said = [
        each.issue
        for each in diagnosis.findings
        if each.issue.severity == "error" and diagnosis.assumed.keys().isdisjoint(each.packages)
    ]
    if any("import" in issue.capabilities for issue in said):
        return ""
    told = ((c, issue) for c in diagnosis.needed for issue in said if c in issue.capabilities)
    return next((f"Cannot {_CAN[name]} {here}: {issue.title}" for name, issue in told), "")


def _status(diagnosis: Diagnosis, capability: Capability) -> str:
    return diagnosis.capabilities[capability].status


def _listed(words: Iterable[str]) -> str:
    *first, last = list(words) or [""]
    return f"{', '.join(first)} and {last}" if first else last
