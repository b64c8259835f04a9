"""Prove that XTTS speaks in a target environment: start the child, time it, judge the sound."""

from __future__ import annotations

import difflib
import importlib.util
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcompat.converters import convert
from xcompat.domain.smoke import (
    Comparison,
    Judgement,
    MpsTrial,
    SmokeReport,
    StageResult,
)
from xcompat.errors import CannotLook, Misuse, Refusal
from xcompat.matrix.symptoms import explain
from xcompat.smoke import mps_trial
from xcompat.smoke.against import compare
from xcompat.smoke.child import run_stages
from xcompat.smoke.judge import judge_heard, judge_intermediates, judge_sound, judge_tokens
from xcompat.target import listening
from xcompat.target.checkpoint import SPEAKERS
from xcompat.target.languages import SENTENCES
from xcompat.target.loader import MODEL_FILE, SPEAKERS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xcompat.domain import KnownIssue
    from xcompat.smoke.against import Rival

BUILT_IN = "built-in untrained model"
DEFAULT_TEXT = (
    "It took me quite a long time to develop a voice, and now I am not going to be silent."
)
STAGES = (
    *("import", "device", "load", "languages", "condition", "tokens", "intermediates"),
    *("speak", "stream", "clone", "picture"),
)
_SPEAKING = ("import", "device", "load", "condition", "speak", "stream")
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
    runtime: str = "auto"
    """Who decodes: `stock` TTS and transformers, `xcompat`, or `auto`: stock where it works."""
    text: str = DEFAULT_TEXT
    language: str = "en"
    speaker: str | None = None
    speaker_wav: Path | None = None
    wav: Path
    """Where the sound goes; the picture goes beside it, as `.png`."""
    against: tuple[Rival, ...] = ()
    """What else is to speak the text, for comparison."""
    foretold: tuple[str, ...] = ()
    """What is known ahead of the device; the report repeats it."""


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
            variables=mps_trial.variables(fallback=mps_trial.fallback_allowed()),
        )
        mps = _on_mps(request, scratch, outcome.stages, on_begin)
    named = tuple(name_issue(stage, issues) for stage in outcome.stages)
    report = _report(request, named, outcome.memory, issues)
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
        _child_request(again, scratch),
        optional=("clone",),
        variables=mps_trial.variables(fallback=not first.fallback),
    )
    return first, mps_trial.trial_of(second.stages, fallback=not first.fallback)


def _compared(
    request: SmokeRequest, report: SmokeReport, on_begin: Callable[[str], None]
) -> tuple[Comparison, ...]:
    """Let everything else that was asked for speak the same text, one after the other."""
    told = [_as_comparison(f"XTTS ({Path(report.model).name})", report.figures)]
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
    _check_model(folder)
    with tempfile.TemporaryDirectory(prefix="xcompat-smoke-") as scratch:
        other = replace(request, model=folder, wav=Path(scratch) / "speech.wav")
        outcome = run_stages(request.python, _SPEAKING, _child_request(other, Path(scratch)))
    details = {s.name: s.details for s in outcome.stages if s.status == "works"}
    errors = [f"{s.name}: {s.error}" for s in outcome.stages if s.status == "fails"]
    return _as_comparison(
        f"XTTS ({name})", _figures(outcome.stages, details, {}), error="; ".join(errors)
    )


def _as_comparison(name: str, figures: Mapping[str, float], error: str = "") -> Comparison:
    measured = {} if error else figures
    return Comparison(
        name=name,
        error=error,
        latency_seconds=measured.get("speak_seconds", 0.0),
        first_audio_seconds=measured.get("first_audio_seconds", 0.0),
        speech_seconds=measured.get("speech_seconds", 0.0),
        real_time_factor=measured.get("real_time_factor", 0.0),
        needs_network=False,
        needs_gpu=False,
    )


def default_text(language: str) -> str:
    """Return a sentence in a language that XTTS speaks."""
    return DEFAULT_TEXT if language == listening.LANGUAGE else SENTENCES[language]


def speakers_of(model: Path | None) -> tuple[str, ...]:
    """Return the names of the built-in speakers of a converted folder, in their order.

    Args:
        model: Converted folder; None for the built-in model.

    Raises:
        CannotLook: The folder is missing, or its speakers cannot be read (XC302).
        Refusal: The folder is not converted (XC303).
    """
    if model is None:
        return SPEAKERS
    _check_model(model)
    path = model / SPEAKERS_FILE
    if not path.is_file():
        return ()
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return tuple(json.loads(header["__metadata__"]["speakers"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise CannotLook(
            "XC302",
            f"{path} does not name its speakers",
            hint=f'Convert again: xcompat convert "{model}"',
        ) from error


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
    check_place(request.wav, "-o")
    if not request.text.strip():
        raise Misuse(
            "XC308", "there is nothing to say", hint="Leave out --text for a sentence of ours."
        )
    if request.model:
        _check_model(request.model)
    for rival in request.against:
        if rival.folder:
            _check_model(rival.folder)
    if request.speaker and not request.speaker_wav:
        _check_speaker(request.speaker, request.model)


def check_place(path: Path, option: str) -> None:
    """See to it before the run that a file can go where `option` says.

    Raises:
        CannotLook: Its folder does not exist, or it is a folder itself (XC302).
    """
    if not path.parent.is_dir():
        raise CannotLook(
            "XC302",
            f"the folder {path.parent} does not exist",
            hint=f"Make it, or write elsewhere with {option}.",
        )
    if path.is_dir():
        raise CannotLook("XC302", f"{path} is a folder", hint=f"Name a file in it with {option}.")


def _check_model(model: Path) -> None:
    if (model / MODEL_FILE).is_file():
        return
    if not model.is_dir():
        raise CannotLook("XC302", f"{model} is not a folder", hint="Give a converted model folder.")
    raise Refusal(
        "XC303",
        f"{model} holds no model.safetensors: it is not converted",
        hint=f'Run: xcompat convert "{model}"',
    )


def _check_speaker(speaker: str, model: Path | None) -> None:
    known = speakers_of(model)
    if speaker in known:
        return
    by_fold = {name.casefold(): name for name in known}
    close = [name for name in known if speaker.casefold() in name.casefold().split()]
    close += difflib.get_close_matches(speaker.casefold(), by_fold, n=3, cutoff=0.5)
    named = dict.fromkeys(by_fold.get(name, name) for name in close)
    raise Misuse(
        "XC306",
        f"this model has no speaker `{speaker}`",
        hint=f"Close: {', '.join(named)}. `--list-speakers` lists all {len(known)}."
        if named
        else "`--list-speakers` lists them."
        if known
        else "It has no built-in speakers; give a reference with `--speaker-wav FILE`.",
    )


def _child_request(request: SmokeRequest, scratch: Path) -> dict[str, Any]:
    wav = request.wav.resolve()
    return {
        "device": request.device,
        "runtime": request.runtime,
        "original": str(scratch / "original"),
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


def _optional(request: SmokeRequest) -> tuple[str, ...]:
    return tuple(s for s in OPTIONAL if not (s == "clone" and request.speaker_wav))


def _broken(stages: Sequence[StageResult], optional: Sequence[str] = ()) -> bool:
    return any(stage.status == "fails" and stage.name not in optional for stage in stages)


def _report(
    request: SmokeRequest,
    stages: tuple[StageResult, ...],
    memory: Mapping[str, int],
    issues: Sequence[KnownIssue],
) -> SmokeReport:
    details = {stage.name: stage.details for stage in stages if stage.status == "works"}
    judgements = _judgements(request, details)
    notes = request.foretold + _notes(request, details)
    if "speak" in details:
        judged, told = _listened(request, trained=bool(details["load"]["trained"]))
        judgements += judged
        notes += told
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
        text=request.text,
        stages=stages,
        judgements=judgements,
        figures=_figures(stages, details, memory),
        languages=_languages(details.get("languages", {}), issues),
        outputs=outputs,
        notes=notes,
    )


def _notes(request: SmokeRequest, details: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    notes = []
    if "device" in details:
        notes.append(str(details["device"]["reason"]))
    loaded = details.get("load", {})
    if loaded.get("runtime") == "xcompat":
        notes.append(f"spoke through the xcompat runtime: {loaded['reason']}")
    voice = details.get("condition", {})
    if "reference" in voice:
        notes.append(str(voice["reference"]))
    elif voice and not request.speaker and voice["speakers"] > 1:
        notes.append(
            f"no speaker was asked for: {voice['voice']} speaks, the first of "
            f"{voice['speakers']} (--list-speakers)"
        )
    limit = details.get("languages", {}).get("characters", len(request.text))
    if len(request.text) > limit:
        notes.append(
            f"the text has {len(request.text)} characters; beyond {limit} XTTS may cut it off"
        )
    return tuple(notes)


def _listened(
    request: SmokeRequest, *, trained: bool
) -> tuple[tuple[Judgement, ...], tuple[str, ...]]:
    """Have the WAV listened to where that can tell something; else say why not."""
    if not trained:
        return (), ("not listened to: this model is untrained and says no words",)
    if request.language != listening.LANGUAGE:
        return (), ("not listened to: the recogniser knows English only",)
    here = importlib.util.find_spec("pocketsphinx") is not None
    (stage,) = run_stages(
        Path(sys.executable) if here else request.python,
        ("listen",),
        {"wav": str(request.wav.resolve()), "text": request.text},
    ).stages
    if stage.status == "fails":
        missing = "No module named 'pocketsphinx'" in stage.error
        why = "no recogniser; pip install 'xcompat[asr]'" if missing else stage.error
        return (), (f"not listened to: {why}",)
    if stage.details["understood"] is None:
        unknown = ", ".join(stage.details["unknown"])
        return (), (f"not listened to: the recogniser does not know {unknown}",)
    return (judge_heard(stage.details),), ()


def _languages(fronts: Mapping[str, Any], issues: Sequence[KnownIssue]) -> dict[str, str]:
    """Tell for each language what its text front end lacks; empty where it works."""
    told = dict.fromkeys(fronts.get("tokens", ()), "")
    for language, error in fronts.get("errors", {}).items():
        known = explain(error, issues)
        told[language] = f"{error} ({known[-1].code}: {known[-1].fixes[0]})" if known else error
    return dict(sorted(told.items()))


def _judgements(
    request: SmokeRequest, details: Mapping[str, Mapping[str, Any]]
) -> tuple[Judgement, ...]:
    judgements: list[Judgement] = []
    if "tokens" in details:
        judgements += judge_tokens(details["tokens"], built_in=request.model is None)
    judgements += judge_intermediates(details.get("intermediates", {}).get("steps", {}))
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
        figures["speak_seconds_first_run"] = speak["synthesis_seconds"]
        figures["speak_seconds"] = speak["later_synthesis_seconds"]
        figures["real_time_factor_first_run"] = (
            speak["synthesis_seconds"] / speak["sound"]["seconds"]
        )
        figures["real_time_factor"] = speak["later_synthesis_seconds"] / speak["later_seconds"]
    if "stream" in details:
        figures["first_audio_seconds_first_run"] = details["stream"]["first_audio_seconds"]
        figures["first_audio_seconds"] = details["stream"]["later_first_audio_seconds"]
    return {**figures, **{f"peak_{name}": float(value) for name, value in memory.items()}}
