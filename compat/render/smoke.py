"""The smoke: progress while it runs, and what it did and heard."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from xcompat.domain.smoke import Comparison, SmokeReport, StageResult

WORDS = {
    "import": "import TTS",
    "device": "choose the device",
    "load": "load the converted model",
    "languages": "run the text front ends",
    "listen": "ask a speech recogniser",
    "load-stock": "load the original with stock TTS",
    "load-converted": "load the converted model, stock and with load_xtts()",
    "condition": "take the voice",
    "tokens": "compare greedy tokens with an independent decode",
    "intermediates": "compare each step with the CPU",
    "speak": "speak",
    "soak": "speak one more sentence",
    "stream": "stream",
    "clone": "clone a voice from a WAV",
    "api": "TTS(NAME).tts_to_file(...)",
    "api-path": "TTS(model_path=...).tts_to_file(...)",
    "picture": "draw waveform and spectrogram",
    "inventory": "read what is installed",
}
_FIGURES = {
    "import_seconds": ("import", "{:.1f} s"),
    "load_seconds": ("load", "{:.2f} s"),
    "first_audio_seconds": ("first audio", "{:.2f} s after the call, streaming"),
    "speech_seconds": ("speech", "{:.2f} s"),
    "speak_seconds": ("time to speak it", "{:.2f} s"),
    "real_time_factor": ("real-time factor", "{:.2f} (below 1 is faster than speech)"),
}
_QUOTED = {
    "load_seconds": " (people quote 15 to 20 s)",
    "speak_seconds": " (people quote 0.05 to 0.08 s a sentence)",
}
"""What is said of XTTS elsewhere, to hold beside what was measured."""
_LABEL_WIDTH = 22
_MEBIBYTE = 1 << 20


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show on stderr, where it is a terminal, which stage is running."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status("starting") as status:
        yield lambda stage: status.update(WORDS.get(stage, stage))


def report_as_json(report: SmokeReport) -> dict[str, Any]:
    """Return the report as JSON data."""
    return {"schema": 1, **asdict(report)}


def show_report(report: SmokeReport) -> None:
    """Write the answer, then stages, judgements, figures and outputs."""
    page = Page()
    page.prose(answer(report))
    page.gap()
    page.entry((("model", "bold"),), report.model, _LABEL_WIDTH)
    page.entry((("python", "bold"),), report.python, _LABEL_WIDTH)
    page.entry((("device", "bold"),), report.device, _LABEL_WIDTH)
    for note in report.notes:
        page.entry((("", ""),), note, _LABEL_WIDTH)
    page.gap()
    for stage in report.stages:
        page.entry(_mark(stage.name, good=stage.status == "works"), told(stage), _LABEL_WIDTH)
    _show_judgements(page, report)
    if report.transcript:
        page.gap()
        page.entry((("text", "bold"),), report.text, _LABEL_WIDTH)
        page.entry((("written down", "bold"),), report.transcript, _LABEL_WIDTH)
    _show_languages(page, report.languages)
    if report.figures:
        page.gap()
        for label, value in figures(report.figures):
            page.entry(((label, ""),), value, _LABEL_WIDTH)
    if report.against:
        page.gap()
        _show_comparisons(page, report.against)
    if report.outputs:
        page.gap()
        for name, path in report.outputs.items():
            page.entry(((name, "bold"),), path, _LABEL_WIDTH)


def show_run(run: Mapping[str, Any], file: str) -> None:
    """Write which capabilities a recorded run found, and where it was appended."""
    page = Page()
    _show_capabilities(page, run["capabilities"])
    page.gap()
    page.line("with the xcompat runtime:")
    _show_capabilities(page, run["runtime_capabilities"])
    page.line(f"recorded in {file}")


def _show_capabilities(page: Page, capabilities: Mapping[str, Any]) -> None:
    for name, outcome in capabilities.items():
        works = outcome["status"] == "works"
        page.entry(_mark(name, good=works), outcome.get("error", "works"), _LABEL_WIDTH)


def answer(report: SmokeReport) -> tuple[str, str]:
    """Return whether XTTS speaks, in one sentence, and its style."""
    if report.verdict == "speaks":
        return f"XTTS speaks here, on {report.device}.", "bold green"
    failed = next((s for s in report.stages if s.status == "fails"), None)
    if failed is None:
        return "XTTS speaks here, but the sound is wrong.", "bold red"
    return (
        f"XTTS does not speak here: it fails to {WORDS.get(failed.name, failed.name)}.",
        "bold red",
    )


def _mark(name: str, *, good: bool) -> tuple[tuple[str, str], ...]:
    return ((("✓ ", "green") if good else ("✗ ", "red")), (name, ""))


def told(stage: StageResult) -> str:
    """Return how a stage went."""
    if stage.status == "works":
        return f"{WORDS.get(stage.name, stage.name)}, {stage.seconds:.1f} s"
    known = f" (known issue: xcompat explain {stage.issue})" if stage.issue else ""
    return f"{stage.error}{known}"


def _show_judgements(page: Page, report: SmokeReport) -> None:
    """Write the failed judgements in full, the passed ones as a count and the voice in words."""
    if not report.judgements:
        return
    page.gap()
    passed = [j for j in report.judgements if j.passed]
    for judgement in report.judgements:
        if not judgement.passed or judgement.name == "right voice":
            page.entry(_mark(judgement.name, good=judgement.passed), judgement.detail, _LABEL_WIDTH)
    page.prose(
        f"The sound passed {len(passed)} of {len(report.judgements)} checks (--json has all)."
    )


def written_down(transcript: str) -> str:
    """Return what a recogniser wrote down as a sentence; empty where none listened."""
    return f"A recogniser that did not know the text wrote down: {transcript}" if transcript else ""


def _show_languages(page: Page, languages: Mapping[str, str]) -> None:
    """Write which text front ends work as a list, and what each of the others lacks."""
    if not languages:
        return
    works = [language for language, lack in languages.items() if not lack]
    page.gap()
    page.entry(
        (("text front ends", ""),),
        f"{len(works)} of {len(languages)} work: {', '.join(works)}",
        _LABEL_WIDTH,
    )
    for language, lack in languages.items():
        if lack:
            page.entry(_mark(language, good=False), lack, _LABEL_WIDTH)


COMPARISON_COLUMNS = ("latency", "first audio", "real-time factor", "network", "GPU")
_COLUMN_WIDTH = 6


def compared(comparison: Comparison) -> tuple[str, ...]:
    """Return what `COMPARISON_COLUMNS` are for one engine; its error alone where it has one."""
    if comparison.error:
        return (comparison.error,)
    return (
        f"{comparison.latency_seconds:.2f} s",
        f"{comparison.first_audio_seconds:.2f} s",
        f"{comparison.real_time_factor:.2f}",
        "needed" if comparison.needs_network else "no",
        "needed" if comparison.needs_gpu else "no",
    )


def _show_comparisons(page: Page, comparisons: Sequence[Comparison]) -> None:
    """Write one line for each engine, or a few where the terminal is narrow."""
    width = max(len(each.name) for each in comparisons) + 2
    columns = [max(len(title), _COLUMN_WIDTH) + 2 for title in COMPARISON_COLUMNS]
    wide = page.width >= width + sum(columns)
    if wide:
        page.line(
            " " * width,
            *((t.ljust(w), "bold") for t, w in zip(COMPARISON_COLUMNS, columns, strict=True)),
        )
    for each in comparisons:
        cells = compared(each)
        if each.error:
            page.entry((("✗ ", "red"), (each.name, "")), each.error, max(width, _LABEL_WIDTH))
        elif wide:
            padded = (cell.ljust(w) for cell, w in zip(cells, columns, strict=True))
            page.line(each.name.ljust(width), *padded)
        else:
            told = zip(COMPARISON_COLUMNS, cells, strict=True)
            page.entry(((each.name, ""),), ", ".join(f"{t} {c}" for t, c in told), _LABEL_WIDTH)


def figures(measured: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return labels and texts of what was measured."""
    shown = []
    for name, (label, text) in _FIGURES.items():
        if name in measured:
            told = text.format(measured[name])
            if (first := measured.get(f"{name}_first_run")) is not None:
                told += f"; the first run {first:.2f}"
            shown.append((label, told + _QUOTED.get(name, "")))
    for name, label in (("peak_host_bytes", "peak memory"), ("peak_device_bytes", "peak on GPU")):
        if name in measured:
            shown.append((label, f"{measured[name] / _MEBIBYTE:.0f} MiB"))
    return shown
