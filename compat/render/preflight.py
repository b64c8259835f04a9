"""A Preflight for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.render.text import Page

if TYPE_CHECKING:
    from xcompat.domain.mps import MpsHit, Preflight

FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK=1"

_PHASES = {
    "load": "loading the model",
    "clone": "taking the voice of a recording",
    "speak": "speaking",
    "stream": "speaking piece by piece",
}
_EFFECTS = {
    "refuses": ("✗", "bold red", "MPS cannot be used"),
    "raises": ("✗", "bold red", "an error"),
    "wrong": ("✗", "bold red", "wrong sound is possible, without an error"),
    "warns": ("!", "bold yellow", "good to know"),
}
_NOT_RUN = "None of this was run on a Mac: it is read from torch's wheels, traces and reports."


def preflight_as_json(told: Preflight) -> dict[str, Any]:
    """Return the stable form of `xcompat preflight --json`; fields may be added."""
    return {
        "schema": 1,
        "verdict": told.verdict,
        "doubt": told.doubt,
        "tts": told.tts,
        "torch": told.torch,
        "macos": told.macos,
        "traced": dict(told.traced),
        "fallback_needed": _with_state(told, "fallback"),
        "always_on_cpu": _with_state(told, "cpu"),
        "raises": _with_state(told, "raises"),
        "limits": [
            {
                "name": hit.rule.name,
                "title": hit.rule.title,
                "effect": hit.rule.effect,
                "certain": hit.certain,
                "phases": list(hit.phases),
                "seconds": {phase: round(value, 2) for phase, value in hit.seconds.items()},
                "cause": hit.rule.cause,
                "fix": list(hit.rule.fixes),
                "torch": hit.rule.torch,
                "macos": hit.rule.macos,
                "confidence": hit.rule.confidence,
                "sources": list(hit.rule.sources),
            }
            for hit in told.hits
        ],
        "operators": {phase: dict(called) for phase, called in told.operators.items()},
    }


def show_preflight(told: Preflight) -> None:
    """Write what will happen, what to do, and below it what it rests on, to stdout."""
    page = Page()
    page.prose(*_answer(told))
    page.gap()
    page.line(f"  {told.tts or 'no TTS'}, torch {told.torch or 'not said'}, macOS ", _macos(told))
    if told.operators:
        page.gap()
        _show_phases(page, told)
    missing = _with_state(told, "fallback")
    if missing:
        page.gap()
        page.line(("  ✗ no kernel on Apple's GPU", "bold red"), f": {', '.join(missing)}")
        page.prose("This stops with a NotImplementedError. To let the CPU do it:", indent=5)
        page.line(("       export " + FALLBACK, "bold"))
        page.prose("It must be set before Python starts, and costs copies to and fro.", indent=5)
    for hit in sorted(told.hits, key=lambda each: each.rule.effect == "warns"):
        page.gap()
        _show_hit(page, hit)
    page.gap()
    if told.operators:
        _show_ground(page, told)
    page.prose((_NOT_RUN, "dim"))
    if told.verdict != "unknown" or told.operators:
        page.prose(("On the Mac, hear it: `xcompat smoke --device mps`", "dim"))


def in_short(told: Preflight) -> tuple[str, ...]:
    """Return what to expect in one sentence each, for those who are about to try."""
    where = f"Apple's GPU, torch {told.torch} and macOS {told.macos or 'of an unknown version'}"
    answer = {
        "clear": "no obstacle is known",
        "obstacles": "there are obstacles",
        "unknown": f"that is not known: {told.doubt}",
    }[told.verdict]
    obstacles = [
        f"{hit.rule.title}{'' if hit.certain else f' (only on macOS {hit.rule.macos})'}"
        f"{f': {_lengths(hit)}' if hit.seconds else ''}"
        for hit in told.hits
        if hit.rule.effect != "warns"
    ]
    if missing := _with_state(told, "fallback"):
        obstacles.insert(0, f"without {FALLBACK} there is no {', no '.join(missing)}")
    return (f"foretold for {where}: {answer}", *obstacles)


def _answer(told: Preflight) -> tuple[str | tuple[str, str], ...]:
    if told.verdict == "clear":
        return (
            ("No obstacle is known", "bold green"),
            ": nothing that XTTS calls lacks a kernel on Apple's GPU, and no known limit applies.",
        )
    if told.verdict == "unknown":
        return ("That is not known", "bold yellow"), f": {told.doubt}."
    refused = [hit for hit in told.hits if hit.rule.effect == "refuses" and hit.certain]
    if refused:
        return ("Apple's GPU cannot be used", "bold red"), f": {refused[0].rule.title}."
    if _with_state(told, "fallback") or _with_state(told, "raises"):
        return (
            ("XTTS stops with an error on Apple's GPU", "bold red"),
            f", unless {FALLBACK} lets the CPU do a part of the work.",
        )
    limited = [hit for hit in told.hits if hit.seconds]
    if limited and all(hit in limited for hit in told.hits if hit.rule.effect != "warns"):
        return (
            ("Only short sounds get through on Apple's GPU", "bold red"),
            f": {_lengths(limited[0])}.",
        )
    return ("Something goes wrong on Apple's GPU", "bold red"), ": see below."


def _macos(told: Preflight) -> tuple[str, str]:
    return (told.macos, "") if told.macos else ("not said (give --macos 15.1)", "yellow")


def _lengths(hit: MpsHit) -> str:
    told = []
    if "clone" in hit.seconds:
        told.append(f"a reference recording longer than {hit.seconds['clone']:.1f} s")
    speech = hit.seconds.get("speak") or hit.seconds.get("stream")
    if speech:
        told.append(f"a sentence that takes longer than {speech:.1f} s to say")
    what = "may give wrong sound" if hit.rule.effect == "wrong" else "stops with an error"
    return f"{' or '.join(told)} {what}"


def _show_phases(page: Page, told: Preflight) -> None:
    for phase, called in told.operators.items():
        states: list[str] = list(called.values())
        missing = sum(state in ("fallback", "raises") for state in states)
        hit = any(phase in hit.phases and hit.rule.effect != "warns" for hit in told.hits)
        sign, style = ("✗", "red") if missing else ("!", "yellow") if hit else ("✓", "green")
        words = [f"{len(states)} operators"]
        for state, what in (
            ("kernel", "with a kernel on MPS"),
            ("composite", "made of others"),
            ("cpu", "always on the CPU"),
            ("fallback", "without a kernel"),
            ("raises", "that raise"),
            ("absent", "not in this release"),
        ):
            if count := states.count(state):
                words.append(f"{count} {what}")
        if hit:
            words.append("limits below")
        label = ((f"  {sign} ", f"bold {style}"), (_PHASES.get(phase, phase), "bold"))
        page.entry(label, ", ".join(words), width=38)


def _show_hit(page: Page, hit: MpsHit) -> None:
    sign, style, effect = _EFFECTS[hit.rule.effect]
    page.prose((f"{sign} {hit.rule.title}", style), f" ({effect})", indent=2, hang=2)
    if not hit.certain:
        page.prose(f"only on macOS {hit.rule.macos}", indent=5)
    if hit.seconds:
        page.prose(f"{_lengths(hit)}.".capitalize(), indent=5)
    page.prose(hit.rule.cause, indent=5)
    for fix in hit.rule.fixes:
        page.prose((f"- {fix}", "bold"), indent=7, hang=2)
    page.prose((f"known from: {hit.rule.confidence}", "dim"), indent=5)
    for source in hit.rule.sources:
        page.line((f"     {source}", "dim"))


def _show_ground(page: Page, told: Preflight) -> None:
    traced = ", ".join(f"{name} {version}" for name, version in told.traced.items())
    page.prose((f"Traced with {traced}; kernels as in the wheel of torch {told.torch}.", "dim"))


def _with_state(told: Preflight, state: str) -> list[str]:
    return sorted(
        {name for called in told.operators.values() for name, s in called.items() if s == state}
    )
