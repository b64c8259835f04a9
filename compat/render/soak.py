"""A soak: what many sentences left in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.render.text import Page

if TYPE_CHECKING:
    from xcompat.domain.soak import Slope, SoakReport

_MEBIBYTE = 1 << 20
_LABEL_WIDTH = 22


def soak_as_json(report: SoakReport) -> dict[str, Any]:
    """Return the report as JSON data."""
    slopes = {"host": report.host, "on_device": report.on_device}
    as_data = {name: slope and slope._asdict() for name, slope in slopes.items()}
    return {"schema": 1, "flat": report.flat, **report._asdict(), **as_data}


def show_soak(report: SoakReport) -> None:
    """Write whether memory stays flat, then the slopes and what was held on the way."""
    page = Page()
    page.prose(answer(report))
    page.gap()
    page.entry((("model", "bold"),), report.model, _LABEL_WIDTH)
    page.entry((("runtime", "bold"),), f"{report.runtime}, on {report.device}", _LABEL_WIDTH)
    spoken = f"{report.sentences} sentences, {report.speech_seconds:.0f} s of speech"
    page.entry((("spoken", "bold"),), spoken, _LABEL_WIDTH)
    for label, held, slope in (
        ("host memory", report.host_bytes, report.host),
        ("GPU memory", report.device_bytes, report.on_device),
    ):
        if slope is not None and held:
            page.entry((("slope, " + label, "bold"),), _told(slope), _LABEL_WIDTH)
            page.entry((("", ""),), _on_the_way(held), _LABEL_WIDTH)


def answer(report: SoakReport) -> tuple[str, str]:
    """Return whether memory stays flat, in one sentence, and its style."""
    if report.error:
        return f"XTTS ended after {report.sentences} sentences: {report.error}", "bold red"
    growing = [
        name
        for name, slope in (("host", report.host), ("GPU", report.on_device))
        if slope is not None and slope.grows
    ]
    if growing:
        return f"Memory grows with each sentence: {' and '.join(growing)}.", "bold red"
    return "Memory stays flat.", "bold green"


def _told(slope: Slope) -> str:
    kib = 1024
    return (
        f"{slope.bytes_per_sentence / kib:+.1f} KiB a sentence (standard error "
        f"{slope.standard_error / kib:.1f}) in the second half, at "
        f"{slope.held_bytes / _MEBIBYTE:.0f} MiB"
    )


def _on_the_way(held: tuple[int, ...]) -> str:
    marks = sorted({0, len(held) // 8, len(held) // 4, len(held) // 2, len(held) - 1})
    return ", ".join(f"{held[mark] / _MEBIBYTE:.0f} MiB after {mark + 1}" for mark in marks)
