"""The demo on the terminal, and the summary that it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.converters.report import Conversion
from xcompat.domain import Diagnosis
from xcompat.domain.smoke import SmokeReport, StageResult
from xcompat.render.conversion import show_conversion
from xcompat.render.diagnosis import show_diagnosis
from xcompat.render.smoke import show_report, written_down
from xcompat.render.text import Page
from xcompat.smoke.demo import Recording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.smoke.demo import Result, Step


def show_title(number: int, total: int, step: Step) -> None:
    """Announce a step."""
    page = Page()
    page.line((f"[{number}/{total}] {step.title}", "bold magenta"))
    page.prose(step.why)
    page.gap()


def show_result(result: Result) -> None:
    """Show what a step gave."""
    match result:
        case Diagnosis():
            show_diagnosis(result)
        case Conversion():
            show_conversion(result)
        case SmokeReport():
            show_report(result)
        case StageResult() | Recording() | str():
            Page().prose(_in_words(result))
    Page().gap()


def write_summary(file: Path, steps: Sequence[tuple[Step, Result]]) -> None:
    """Write the story as Markdown, for somebody who was not there."""
    lines = ["# xcompat demo", ""]
    for number, (step, result) in enumerate(steps, start=1):
        lines += [f"## {number}. {step.title}", "", step.why, "", _in_words(result), ""]
        if isinstance(result, Recording):
            lines += [f"[{result.file.name}]({result.file.name})", ""]
        if isinstance(result, SmokeReport) and "picture" in result.outputs:
            wav, picture = (Path(result.outputs[name]).name for name in ("wav", "picture"))
            lines += [f"[{wav}]({wav})", "", f"![waveform and spectrogram]({picture})", ""]
    file.write_text("\n".join(lines), encoding="utf-8")


def _in_words(result: Result) -> str:
    match result:
        case Diagnosis():
            found = ", ".join(f"{f.issue.code} ({f.issue.title})" for f in result.findings)
            return f"Verdict: **{result.verdict}**." + (f" Found: {found}." if found else "")
        case Conversion():
            files = ", ".join(f"{file.path} ({file.size:,} bytes)" for file in result.files)
            return f"Recognised as {result.kind}; {result.tensors} tensors. Wrote {files}."
        case SmokeReport():
            passed = sum(j.passed for j in result.judgements)
            return (
                f"Verdict: **{result.verdict}**, on {result.device}; {passed} of "
                f"{len(result.judgements)} checks of the sound passed. The text: {result.text} "
                f"{written_down(result.transcript)}"
            ).strip()
        case Recording():
            return f"A recording, {result.file.name}: {result.text}"
        case StageResult():
            return f"torch {result.details['torch']} refuses it: {result.details['refusal']}"
        case str():
            return result
