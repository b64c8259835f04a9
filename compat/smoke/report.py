"""The report of a smoke: what is concluded from its stages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xcompat.domain.smoke import Comparison, Judgement, SmokeReport, StageResult
from xcompat.matrix.symptoms import matches
from xcompat.smoke import voice
from xcompat.smoke.judge import judge_heard, judge_intermediates, judge_spoken, judge_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xcompat.domain import KnownIssue
    from xcompat.smoke.request import SmokeRequest

BUILT_IN = "the voice that ships with xcompat"
_OPTIONAL = ("clone", "picture")


def name_issue(stage: StageResult, issues: Sequence[KnownIssue]) -> StageResult:
    """Add the code of the known issue whose symptom a failed stage shows."""
    known = matches(f"{stage.traceback}\n{stage.error}", issues) if stage.error else ()
    return replace(stage, issue=known[0].issue.code) if known else stage


def optional_stages(request: SmokeRequest) -> tuple[str, ...]:
    """Return the stages that nobody asked for: their failure is told, and decides nothing."""
    return tuple(s for s in _OPTIONAL if not (s == "clone" and request.speaker_wav))


def report_of(
    request: SmokeRequest,
    stages: tuple[StageResult, ...],
    memory: Mapping[str, int],
    issues: Sequence[KnownIssue],
    listened: Mapping[str, Any] | str = "",
) -> SmokeReport:
    """Return what the stages of a request come to.

    Args:
        request: What was asked for.
        stages: What was done.
        memory: What was used at most, by name.
        issues: Known issues, to explain what a language lacks.
        listened: What a recogniser heard, as `target.listening.listen` returns it, or why none was
            asked.
    """
    details = _details(stages)
    judgements = _judgements(request, details)
    notes = request.foretold + _notes(request, details)
    transcript = ""
    if isinstance(listened, str):
        notes += (listened,) if listened else ()
    else:
        transcript = str(listened["transcript"])
        if listened["understood"] is None:
            unknown = ", ".join(listened["unknown"])
            notes += (f"not listened to: the recogniser does not know {unknown}",)
        else:
            judgements += judge_heard(listened, model=known_model(request))
    optional = optional_stages(request)
    broken = any(s.status == "fails" and s.name not in optional for s in stages)
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
        figures=figures_of(stages, memory),
        languages=_languages(details.get("languages", {}), issues),
        outputs=outputs,
        notes=notes,
        transcript=transcript,
    )


def known_model(request: SmokeRequest) -> str:
    """Return by which name it is known what the model says; empty where it is not."""
    return voice.MODEL if request.shipped or request.model is None else ""


def speaks_words(request: SmokeRequest, loaded: Mapping[str, Any]) -> bool:
    """Tell whether the model was taught to say what it is asked for, as far as that is known.

    Args:
        request: What was asked for.
        loaded: The details of the stage `load`.
    """
    taught = not known_model(request) or request.language == voice.LANGUAGE
    return taught and bool(loaded.get("trained"))


def _details(stages: Sequence[StageResult]) -> dict[str, Mapping[str, Any]]:
    return {stage.name: stage.details for stage in stages if stage.status == "works"}


def _notes(request: SmokeRequest, details: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    notes = []
    if "device" in details:
        notes.append(str(details["device"]["reason"]))
    loaded = details.get("load", {})
    if loaded.get("runtime") == "xcompat":
        notes.append(f"spoke through the xcompat runtime: {loaded['reason']}")
    condition = details.get("condition", {})
    if "reference" in condition:
        notes.append(str(condition["reference"]))
    elif condition and not request.speaker and condition["speakers"] > 1:
        notes.append(
            f"no speaker was asked for: {condition['voice']} speaks, the first of "
            f"{condition['speakers']} (--list-speakers)"
        )
    if known_model(request) and request.language != voice.LANGUAGE:
        notes.append("the voice that ships knows English only: its words are not judged")
    limit = details.get("languages", {}).get("characters", len(request.text))
    if len(request.text) > limit:
        notes.append(
            f"the text has {len(request.text)} characters; beyond {limit} XTTS may cut it off"
        )
    return tuple(notes)


def _languages(fronts: Mapping[str, Any], issues: Sequence[KnownIssue]) -> dict[str, str]:
    """Tell for each language what its text front end lacks; empty where it works."""
    told = dict.fromkeys(fronts.get("tokens", ()), "")
    for language, error in fronts.get("errors", {}).items():
        known = [match.issue for match in matches(error, issues)]
        told[language] = f"{error} ({known[0].code}: {known[0].fixes[0]})" if known else error
    return dict(sorted(told.items()))


def _judgements(
    request: SmokeRequest, details: Mapping[str, Mapping[str, Any]]
) -> tuple[Judgement, ...]:
    judgements: list[Judgement] = []
    if "tokens" in details:
        judgements += judge_tokens(details["tokens"], model=known_model(request))
    judgements += judge_intermediates(details.get("intermediates", {}).get("steps", {}))
    trained = speaks_words(request, details.get("load", {}))
    for stage in ("speak", "stream", "clone"):
        if stage in details:
            judged = judge_spoken(
                stage,
                details[stage],
                text=request.text if trained and stage == "speak" else "",
                speech=trained,
            )
            judgements += (replace(j, name=f"{stage}: {j.name}") for j in judged)
    return tuple(judgements)


def figures_of(stages: Sequence[StageResult], memory: Mapping[str, int]) -> dict[str, float]:
    """Return what was measured, by the names that `SmokeReport.figures` tells."""
    details = _details(stages)
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


def comparison_of(name: str, figures: Mapping[str, float], error: str = "") -> Comparison:
    """Return how long an XTTS took to speak; one that did not has no figures."""
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
