"""Prove that XTTS speaks in a target environment: start the child, time it, judge the sound."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcompat.smoke import mps_trial
from xcompat.smoke.against import compare
from xcompat.smoke.child import run_stages
from xcompat.smoke.report import (
    comparison_of,
    figures_of,
    name_issue,
    optional_stages,
    report_of,
    speaks_words,
)
from xcompat.smoke.request import check_model, check_request
from xcompat.smoke.voice import make_voice
from xcompat.target import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xcompat.domain import KnownIssue
    from xcompat.domain.smoke import (
        Comparison,
        MpsTrial,
        SmokeReport,
        StageResult,
    )
    from xcompat.smoke.request import SmokeRequest

STAGES = (
    *("import", "device", "load", "languages", "condition", "tokens", "intermediates"),
    *("speak", "stream", "clone", "picture"),
)
_SPEAKING = ("import", "device", "load", "condition", "speak", "stream")


def run_smoke(
    request: SmokeRequest,
    issues: Sequence[KnownIssue],
    on_begin: Callable[[str], None] = lambda _: None,
) -> SmokeReport:
    """Run every stage in the target interpreter and judge what was heard.

    Raises:
        CannotLook: The interpreter cannot be started or an input is missing (XC301, XC302).
        Refusal: The model folder is not converted (XC303).
    """
    check_request(request)
    with tempfile.TemporaryDirectory(prefix="xcompat-smoke-") as name:
        scratch = Path(name)
        outcome = run_stages(
            request.python,
            STAGES,
            child_request(request, scratch),
            optional=optional_stages(request),
            after={} if request.model else {"import": lambda: make_voice(scratch)},
            on_begin=on_begin,
            variables=mps_trial.variables(fallback=mps_trial.fallback_allowed()),
        )
        mps = _on_mps(request, scratch, outcome.stages, on_begin)
    named = tuple(name_issue(stage, issues) for stage in outcome.stages)
    report = report_of(request, named, outcome.memory, issues, _listened(request, named))
    report = replace(report, mps=mps, notes=report.notes + tuple(map(mps_trial.describe, mps)))
    if request.against and "first_audio_seconds" in report.figures:
        return replace(report, against=_compared(request, report, on_begin))
    return report


def _on_mps(
    request: SmokeRequest,
    scratch: Path,
    stages: Sequence[StageResult],
    on_begin: Callable[[str], None],
) -> tuple[MpsTrial, ...]:
    """Sum up a run on Apple's GPU, and try the other way round where that can differ."""
    chosen = next((s.details for s in stages if s.name == "device" and s.status == "works"), {})
    if chosen.get("device") != "mps":
        return ()
    first = mps_trial.trial_of(stages, fallback=mps_trial.fallback_allowed())
    if not mps_trial.other_way_can_differ(first):
        return (first,)
    on_begin(f"try again {'without' if first.fallback else 'with'} the CPU fallback")
    again = replace(request, device="mps", wav=scratch / "again.wav")
    second = run_stages(
        request.python,
        mps_trial.TRIED,
        child_request(again, scratch),
        optional=("clone",),
        variables=mps_trial.variables(fallback=not first.fallback),
    )
    return first, mps_trial.trial_of(second.stages, fallback=not first.fallback)


def _compared(
    request: SmokeRequest, report: SmokeReport, on_begin: Callable[[str], None]
) -> tuple[Comparison, ...]:
    """Let everything else that was asked for speak the same text, one after the other."""
    told = [comparison_of(f"XTTS ({Path(report.model).name})", report.figures)]
    for rival in request.against:
        on_begin(f"let {rival.name} speak")
        told.append(
            _other_model(request, rival.name, rival.folder)
            if rival.folder
            else compare(rival, request.text, request.language)
        )
    return tuple(told)


def _other_model(request: SmokeRequest, name: str, folder: Path) -> Comparison:
    """Speak the same with the XTTS in another folder, in the same interpreter."""
    check_model(folder)
    with tempfile.TemporaryDirectory(prefix="xcompat-smoke-") as scratch:
        other = replace(request, model=folder, wav=Path(scratch) / "speech.wav")
        outcome = run_stages(request.python, _SPEAKING, child_request(other, Path(scratch)))
    errors = [f"{s.name}: {s.error}" for s in outcome.stages if s.status == "fails"]
    return comparison_of(f"XTTS ({name})", figures_of(outcome.stages, {}), error="; ".join(errors))


def child_request(request: SmokeRequest, scratch: Path) -> dict[str, Any]:
    """Return what the stages in the target are to know; what they write goes to `scratch`."""
    wav = request.wav.resolve()
    return {
        "device": request.device,
        "runtime": request.runtime,
        "model": str(request.model.resolve() if request.model else scratch / "converted"),
        "text": request.text,
        "language": request.language,
        "speaker": request.speaker,
        "speaker_wav": str(request.speaker_wav.resolve()) if request.speaker_wav else None,
        "wav": str(wav),
        "reference_wav": str(scratch / "reference.wav"),
        "speak_cloned": True,
        "repeat": True,
        "picture": str(wav.with_suffix(".png")),
    }


def _listened(request: SmokeRequest, stages: Sequence[StageResult]) -> Mapping[str, Any] | str:
    """Have the WAV listened to where that can tell something; else say why not."""
    details = {s.name: s.details for s in stages if s.status == "works"}
    if "speak" not in details:
        return ""
    if not details["load"]["trained"]:
        return "not listened to: this model is untrained and says no words"
    if request.language != listening.LANGUAGE or not speaks_words(request, details["load"]):
        return "not listened to: the recogniser knows English only"
    here = importlib.util.find_spec("pocketsphinx") is not None
    (stage,) = run_stages(
        Path(sys.executable) if here else request.python,
        ("listen",),
        {"wav": str(request.wav.resolve()), "text": request.text},
    ).stages
    if stage.status == "fails":
        missing = "No module named 'pocketsphinx'" in stage.error
        why = "no recogniser; pip install 'xcompat[asr]'" if missing else stage.error
        return f"not listened to: {why}"
    return stage.details
