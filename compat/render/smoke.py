"""The smoke: progress while it runs, and what it did and heard."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from xcompat.domain import SmokeReport, StageResult

WORDS = {
    "import": "import TTS",
    "make-checkpoint": "make a tiny untrained model with the classes of this environment",
    "device": "choose the device",
    "load": "load the converted model",
    "load-stock": "load the original with stock TTS",
    "load-converted": "load the converted model, stock and with load_xtts()",
    "condition": "take the voice",
    "tokens": "compare greedy tokens with an independent decode",
    "speak": "speak",
    "stream": "stream",
    "clone": "clone a voice from a WAV",
    "api": "TTS(...).tts_to_file(...)",
    "picture": "draw waveform and spectrogram",
    "inventory": "read what is installed",
}
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
    page.prose(_answer(report))
    page.gap()
    page.entry((("model", "bold"),), report.model, _LABEL_WIDTH)
    page.entry((("python", "bold"),), report.python, _LABEL_WIDTH)
    device = f"{report.device} ({'; '.join(report.notes)})" if report.notes else report.device
    page.entry((("device", "bold"),), device, _LABEL_WIDTH)
    page.gap()
    for stage in report.stages:
        page.entry(_mark(stage.name, good=stage.status == "works"), _told(stage), _LABEL_WIDTH)
    _show_judgements(page, report)
    if report.figures:
        page.gap()
        for label, value in _figures(report.figures):
            page.entry(((label, ""),), value, _LABEL_WIDTH)
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


def _answer(report: SmokeReport) -> tuple[str, str]:
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


def _told(stage: StageResult) -> str:
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


def _figures(figures: Mapping[str, float]) -> list[tuple[str, str]]:
    formats = {
        "import_seconds": ("import", "{:.1f} s"),
        "load_seconds": ("load", "{:.2f} s"),
        "first_audio_seconds": ("first audio", "{:.2f} s after the call, streaming"),
        "speech_seconds": ("speech", "{:.2f} s"),
        "real_time_factor": ("real-time factor", "{:.2f} (below 1 is faster than speech)"),
    }
    shown = [
        (label, text.format(figures[name]))
        for name, (label, text) in formats.items()
        if name in figures
    ]
    for name, label in (("peak_host_bytes", "peak memory"), ("peak_device_bytes", "peak on GPU")):
        if name in figures:
            shown.append((label, f"{figures[name] / _MEBIBYTE:.0f} MiB"))
    return shown
