"""Prove that XTTS speaks in a target environment: start the child, time it, judge the sound."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcompat.child import run_stages
from xcompat.converters import convert
from xcompat.domain import Judgement, KnownIssue, SmokeReport, StageResult
from xcompat.errors import CannotLook, Refusal
from xcompat.judge import judge_sound, judge_tokens
from xcompat.symptoms import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BUILT_IN = "built-in untrained model"
DEFAULT_TEXT = (
    "It took me quite a long time to develop a voice, and now I am not going to be silent."
)
STAGES = ("import", "device", "load", "condition", "tokens", "speak", "stream", "clone", "picture")
OPTIONAL = ("clone", "picture")
"""Stages whose failure is told but does not decide, unless their result was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeRequest:
    """What to speak, with what, and where."""

    python: Path
    """Interpreter of the target environment."""
    model: Path | None = None
    """Converted folder; None builds the tiny untrained model with the target's own classes."""
    device: str = "auto"
    text: str = DEFAULT_TEXT
    language: str = "en"
    speaker: str | None = None
    speaker_wav: Path | None = None
    wav: Path
    """Where the sound goes; the picture goes beside it, as `.png`."""


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
    _check_inputs(request)
    with tempfile.TemporaryDirectory(prefix="xcompat-smoke-") as name:
        scratch = Path(name)
        outcome = run_stages(
            request.python,
            STAGES if request.model else ("import", "make-checkpoint", *STAGES[1:]),
            _child_request(request, scratch),
            optional=_optional(request),
            after={"make-checkpoint": lambda: convert_built_in(scratch)},
            on_begin=on_begin,
        )
    named = tuple(name_issue(stage, issues) for stage in outcome.stages)
    return _report(request, named, outcome.memory)


def convert_built_in(scratch: Path) -> None:
    """Convert the release checkpoint that the stage `make-checkpoint` wrote into `scratch`."""
    convert(scratch / "original", scratch / "converted", format="both")


def name_issue(stage: StageResult, issues: Sequence[KnownIssue]) -> StageResult:
    """Add the code of the known issue whose symptom a failed stage shows."""
    known = explain(f"{stage.traceback}\n{stage.error}", issues) if stage.error else ()
    return replace(stage, issue=known[-1].code) if known else stage


def _check_inputs(request: SmokeRequest) -> None:
    if request.speaker_wav and not request.speaker_wav.is_file():
        raise CannotLook("XC302", f"{request.speaker_wav} is not a file", hint="Give a WAV file.")
    if not request.wav.parent.is_dir():
        raise CannotLook(
            "XC302",
            f"the folder {request.wav.parent} does not exist",
            hint="Make it, or write elsewhere with -o.",
        )
    model = request.model
    if model is None or (model / "model.safetensors").is_file():
        return
    if not model.is_dir():
        raise CannotLook("XC302", f"{model} is not a folder", hint="Give a converted model folder.")
    raise Refusal(
        "XC303",
        f"{model} holds no model.safetensors: it is not converted",
        hint=f'Run: xcompat convert "{model}"',
    )


def _child_request(request: SmokeRequest, scratch: Path) -> dict[str, Any]:
    wav = request.wav.resolve()
    return {
        "device": request.device,
        "original": str(scratch / "original"),
        "model": str(request.model.resolve() if request.model else scratch / "converted"),
        "text": request.text,
        "language": request.language,
        "speaker": request.speaker,
        "speaker_wav": str(request.speaker_wav.resolve()) if request.speaker_wav else None,
        "wav": str(wav),
        "reference_wav": str(scratch / "reference.wav"),
        "speak_cloned": True,
        "picture": str(wav.with_suffix(".png")),
    }


def _optional(request: SmokeRequest) -> tuple[str, ...]:
    return tuple(s for s in OPTIONAL if not (s == "clone" and request.speaker_wav))


def _broken(stages: Sequence[StageResult], optional: Sequence[str] = ()) -> bool:
    return any(stage.status == "fails" and stage.name not in optional for stage in stages)


def _report(
    request: SmokeRequest, stages: tuple[StageResult, ...], memory: Mapping[str, int]
) -> SmokeReport:
    details = {stage.name: stage.details for stage in stages if stage.status == "works"}
    judgements = _judgements(request, details)
    broken = _broken(stages, _optional(request))
    speaks = "stream" in details and not broken and all(j.passed for j in judgements)
    outputs = {}
    if "speak" in details:
        outputs["wav"] = str(details["speak"]["wav"])
    if "picture" in details:
        outputs["picture"] = str(details["picture"]["picture"])
    device = details.get("device", {})
    return SmokeReport(
        verdict="speaks" if speaks else "fails",
        python=str(request.python),
        model=str(request.model) if request.model else BUILT_IN,
        device=str(device.get("device", request.device)),
        stages=stages,
        judgements=judgements,
        figures=_figures(stages, details, memory),
        outputs=outputs,
        notes=(str(device["reason"]),) if device else (),
    )


def _judgements(
    request: SmokeRequest, details: Mapping[str, Mapping[str, Any]]
) -> tuple[Judgement, ...]:
    judgements: list[Judgement] = []
    if "tokens" in details:
        judgements += judge_tokens(details["tokens"], built_in=request.model is None)
    trained = bool(details.get("load", {}).get("trained"))
    for stage in ("speak", "stream", "clone"):
        if stage in details:
            heard = details[stage]
            judged = judge_sound(
                heard["sound"],
                audio_tokens=heard["audio_tokens"],
                text=request.text if trained and stage == "speak" else "",
                speech=trained,
            )
            judgements += (replace(j, name=f"{stage}: {j.name}") for j in judged)
    return tuple(judgements)


def _figures(
    stages: Sequence[StageResult],
    details: Mapping[str, Mapping[str, Any]],
    memory: Mapping[str, int],
) -> dict[str, float]:
    figures = {f"{s.name}_seconds": s.seconds for s in stages if s.name in {"import", "load"}}
    if "speak" in details:
        speak = details["speak"]
        figures["speech_seconds"] = speak["sound"]["seconds"]
        figures["real_time_factor"] = speak["synthesis_seconds"] / speak["sound"]["seconds"]
    if "stream" in details:
        figures["first_audio_seconds"] = details["stream"]["first_audio_seconds"]
    return {**figures, **{f"peak_{name}": float(value) for name, value in memory.items()}}
