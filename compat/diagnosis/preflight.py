"""Tells what Apple's GPU will do with XTTS, from tables that were made ahead. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from xcompat.domain.mps import MpsHit, Preflight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.domain.mps import MpsData, MpsRule, MpsState, MpsTrace

SOUND_RATE = 24000
"""Samples in a second of speech: the vocoder's last convolutions have one element for each."""

FAMILIES = {"TTS": ">=0.20,<=0.22.0", "coqui-tts": ">=0.24,<=0.28.0"}
"""The releases that a trace of their family stands for."""

_STATES: dict[str, MpsState] = {
    "K": "kernel",
    "C": "composite",
    "F": "cpu",
    "-": "fallback",
    "E": "raises",
    " ": "absent",
}


def predict(tts: tuple[str, str], torch: str, macos: str, data: MpsData) -> Preflight:
    """Return what is to be expected of a TTS release on a torch release and a macOS version.

    Args:
        tts: Distribution and version, such as ("TTS", "0.22.0").
        torch: Version of torch; what follows a `+` does not matter.
        macos: Version of macOS, such as `14.5`; empty where it is not said.
        data: What comes with xcompat.
    """
    family, version = tts
    torch = torch.partition("+")[0]
    trace = next((each for each in data.traces if each.family == family), None)
    doubt = _doubt(family, version, torch, trace, data)
    operators: dict[str, dict[str, MpsState]] = {}
    hits: tuple[MpsHit, ...] = ()
    if not doubt and trace is not None:
        column = data.releases.index(torch)
        operators = {
            phase: {name: _state(name, column, data) for name in called}
            for phase, called in trace.phases.items()
        }
        hits = tuple(hit for rule in data.rules if (hit := _hit(rule, torch, macos, trace)))
    stops = any(
        state in ("fallback", "raises")
        for called in operators.values()
        for state in called.values()
    )
    harmful = [hit for hit in hits if hit.rule.effect != "warns"]
    if not doubt and not stops and harmful and not any(hit.certain for hit in harmful):
        doubt = "it depends on the version of macOS, which was not said"
    return Preflight(
        verdict="unknown" if doubt else "obstacles" if stops or harmful else "clear",
        tts=f"{family}=={version}" if version else family,
        torch=torch,
        macos=macos,
        traced=trace.packages if trace else {},
        operators=operators,
        hits=hits,
        doubt=doubt,
    )


def _doubt(family: str, version: str, torch: str, trace: MpsTrace | None, data: MpsData) -> str:
    if not family:
        return "no TTS is installed here or was named"
    if not torch:
        return "no torch is installed here or was named"
    if trace is None:
        return f"what {family} calls on the device was not traced"
    if not SpecifierSet(FAMILIES[family]).contains(version, prereleases=True):
        return f"{family} {version} was not traced; known are {family} {FAMILIES[family]}"
    if torch not in data.releases:
        return (
            f"the macOS wheel of torch {torch} was not read; read were {data.releases[0]} to "
            f"{data.releases[-1]}"
        )
    return ""


def _state(operator: str, column: int, data: MpsData) -> MpsState:
    history = data.operators.get(operator)
    return _STATES[history[column]] if history else "absent"


def _hit(rule: MpsRule, torch: str, macos: str, trace: MpsTrace) -> MpsHit | None:
    if not SpecifierSet(rule.torch).contains(torch, prereleases=True):
        return None
    if macos and not SpecifierSet(rule.macos).contains(macos, prereleases=True):
        return None
    concerned: Mapping[str, Mapping[str, int]] = {
        phase: called
        for phase, called in trace.phases.items()
        if not rule.operators or called.keys() & set(rule.operators)
    }
    seconds = {}
    if rule.limit:
        for phase, called in concerned.items():
            largest = max(called.get(operator, 0) for operator in rule.operators)
            if phase == "clone":
                seconds[phase] = rule.limit * trace.reference_seconds / largest
            elif phase in ("speak", "stream"):
                seconds[phase] = rule.limit / SOUND_RATE
    if rule.operators and not concerned:
        return None
    return MpsHit(
        rule=rule,
        certain=bool(macos) or not rule.macos,
        phases=tuple(concerned),
        seconds=seconds,
    )
