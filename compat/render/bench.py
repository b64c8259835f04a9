"""The bench: what was measured, and on what."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from xcompat.render.smoke import WORDS
from xcompat.render.text import Page, size
from xcompat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xcompat.domain.bench import BenchReport, Contestant, Machine, Measured

_WORDS = {
    "contestant": "load",
    "sentence": "say the sentence",
    "first-audio": "stream until the first chunk",
    "batch": "say several sentences at once",
    "peak": "read how much memory was held",
    "memory-speed": "measure the speed of memory",
}
_NAMES = {"float32": "xcompat"}
_LABEL_WIDTH = 22
_MEBIBYTE = 1 << 20
_GAP = 3
"""Columns between two columns of the table."""


def doing(stage: str) -> str:
    """Return what a stage of the bench does, in words."""
    name, _, way = stage.partition(" ")
    words = _WORDS.get(name) or WORDS.get(name, name)
    return f"{words} ({_NAMES.get(way, way)})" if way else words


def bench_as_json(report: BenchReport) -> dict[str, Any]:
    """Return the report as JSON data, in which no path and no name of a person is."""
    machine = report.machine._asdict()
    for name in ("load_before", "load_after"):
        machine[name] = None if math.isnan(machine[name]) else machine[name]
    speed = report.memory_speed
    return {
        "schema": 1,
        "tool": f"xcompat {__version__}",
        **report._asdict(),
        "machine": {**machine, "packages": dict(machine["packages"])},
        "memory_speed": speed and _measured(speed),
        "contestants": [_contestant(each) for each in report.contestants],
    }


def _contestant(contestant: Contestant) -> dict[str, Any]:
    figures = {name: _measured(each) for name, each in contestant.figures.items()}
    token = contestant.figures.get("token_seconds")
    return {
        **contestant._asdict(),
        "figures": figures,
        "times": dict(contestant.times),
        "tokens_per_second": 1 / token.median if token else None,
    }


def _measured(figure: Measured) -> dict[str, Any]:
    return {"median": figure.median, "all": list(figure.all)}


def show_bench(report: BenchReport) -> None:
    """Write the answer, the machine, the table, and why something is not in it."""
    page = Page()
    page.prose(answer(report))
    page.gap()
    _show_machine(page, report.machine)
    page.entry((("model", "bold"),), _model(report), _LABEL_WIDTH)
    measured = [each for each in report.contestants if not each.error]
    if measured:
        page.gap()
        _show_table(page, report, measured)
    for each in report.contestants:
        if each.error:
            known = f" (known issue: xcompat explain {each.issue})" if each.issue else ""
            page.entry((("✗ ", "red"), (each.name, "")), each.error + known, _LABEL_WIDTH)
    if measured:
        page.gap()
        page.prose(_reading(report, measured))


def answer(report: BenchReport) -> tuple[str, str]:
    """Return in one sentence how fast it is here, and its style."""
    first, *others = report.contestants
    if first.error:
        return f"The xcompat runtime was not measured here: {first.error}", "bold red"
    seconds = first.figures["sentence_seconds"].median
    factor = first.figures["real_time_factor"].median
    told = (
        f"A sentence of {report.speech_seconds:.1f} s takes {_seconds(seconds)} here, "
        f"{factor:.2f} of its length"
    )
    for each in others:
        if "sentence_seconds" in each.times:
            told += f"; {each.name} takes {each.times['sentence_seconds']:.2f} times as long"
    return told + ".", "bold"


def _show_machine(page: Page, machine: Machine) -> None:
    cores = f"{machine.cores} core{'s' * (machine.cores != 1)}"
    threads = f", {machine.threads} of torch's threads" if machine.threads else ""
    told = f"{machine.processor}, {cores}{threads}; {machine.platform}"
    page.entry((("processor", "bold"),), told, _LABEL_WIDTH)
    if machine.gpu:
        driver = f", driver {machine.driver}" if machine.driver else ""
        if machine.device == "mps" and machine.driver:
            driver = f", macOS {machine.driver}"
        page.entry((("GPU", "bold"),), f"{machine.gpu}{driver}", _LABEL_WIDTH)
    page.entry((("device", "bold"),), machine.device, _LABEL_WIDTH)
    packages = [f"{name} {version}" for name, version in machine.packages.items()]
    software = ", ".join([*packages, f"Python {machine.python}", f"xcompat {__version__}"])
    page.entry((("software", "bold"),), software, _LABEL_WIDTH)
    if not math.isnan(machine.load_before):
        load = f"{machine.load_before:.1f} before, {machine.load_after:.1f} at the end"
        page.entry((("load average", "bold"),), load, _LABEL_WIDTH)


def _model(report: BenchReport) -> str:
    if not report.parameters:
        return report.model
    millions = f"{report.parameters / 1e6:.0f} million parameters"
    return f"{report.model}, {millions}"


def _seconds(seconds: float) -> str:
    if seconds < 0.01:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _mebibytes(count: float) -> str:
    return f"{count / _MEBIBYTE:,.0f} MiB"


def _rows(report: BenchReport) -> list[tuple[str, str, Callable[[float], str]]]:
    """Return the rows of the table: what it is called, its figure, and how that is written."""
    return [
        ("load", "load_seconds", _seconds),
        ("first token", "first_token_seconds", _seconds),
        ("each token after it", "token_seconds", _seconds),
        ("tokens a second", "token_seconds", lambda seconds: f"{1 / seconds:.1f}"),
        (f"sentence, {report.tokens} tokens", "sentence_seconds", _seconds),
        ("real-time factor", "real_time_factor", "{:.2f}".format),
        (f"first audio, {report.chunk_tokens} tokens", "first_audio_seconds", _seconds),
        (f"{report.together} sentences at once", "batch_seconds", _seconds),
        ("real-time factor", "batch_real_time_factor", "{:.2f}".format),
        ("peak memory", "peak_host_bytes", _mebibytes),
        ("peak on GPU", "peak_device_bytes", _mebibytes),
        ("weights of a token", "bytes_per_token", lambda count: size(int(count))),
        ("of memory's speed", "share_of_memory_speed", "{:.0%}".format),
    ]


def _show_table(page: Page, report: BenchReport, measured: Sequence[Contestant]) -> None:
    """Write one column for each contestant, or one table for each where the terminal is narrow."""
    table = [
        (label, [_cell(each, name, write, label) for each in measured])
        for label, name, write in _rows(report)
        if any(name in each.figures for each in measured)
    ]
    labels = max(len(label) for label, _ in table) + _GAP
    widths = [
        max(len(each.name), *(len(cells[place]) for _, cells in table)) + _GAP
        for place, each in enumerate(measured)
    ]
    if labels + sum(widths) - _GAP <= page.width:
        heads = zip(measured, widths, strict=True)
        page.line(" " * labels, *((each.name.ljust(width), "bold") for each, width in heads))
        for label, cells in table:
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            page.line(label.ljust(labels), *padded)
        return
    for place, each in enumerate(measured):
        page.line((each.name, "bold"))
        for label, cells in table:
            page.entry(((label, ""),), cells[place], labels)


def _cell(contestant: Contestant, name: str, write: Callable[[float], str], label: str) -> str:
    if name not in contestant.figures:
        return "-"
    told = write(contestant.figures[name].median)
    times = contestant.times.get(name)
    return told if times is None or label == "tokens a second" else f"{told}, {times:.2f} times"


def _reading(report: BenchReport, measured: Sequence[Contestant]) -> str:
    """Return in words what the table does not say of itself."""
    told = f"Medians of {report.rounds} rounds"
    if len(measured) > 1:
        told += " by turns in one process; `times`: as much as xcompat, round by round"
    told += "."
    if report.memory_speed is not None:
        speed = size(int(report.memory_speed.median))
        told += f" Memory's speed is that of a copy or a sum, {speed} a second."
    for each in measured:
        if each.same_tokens is not None:
            same = "the same" if each.same_tokens else "other"
            told += f" {each.name} says {same} audio tokens."
        if each.kernel:
            told += f" One row is multiplied by {each.kernel} ({each.name})."
    return told
