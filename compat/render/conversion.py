"""A Conversion for people and for programs, and the progress of one that runs."""

from __future__ import annotations

import contextlib
import shlex
import sys
from typing import TYPE_CHECKING, Any

from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xcompat.converters.report import Conversion


def conversion_as_json(conversion: Conversion) -> dict[str, Any]:
    """Return the stable form of `xcompat convert --json`; fields may be added."""
    return {
        "schema": 1,
        "dry_run": conversion.dry_run,
        "source": conversion.source,
        "source_size": conversion.source_size,
        "output": conversion.output,
        "kind": conversion.kind,
        "tensors": conversion.tensors,
        "parameters": conversion.parameters,
        "files": [
            {
                "path": file.path,
                "size": file.size,
                "tensors": file.tensors,
                "checksum": file.checksum,
            }
            for file in conversion.files
        ],
        "kept": list(conversion.kept),
        "renamed": dict(conversion.renamed),
        "dropped": [
            {"what": item.what, "tensors": item.tensors, "reason": item.reason}
            for item in conversion.dropped
        ],
        "license": conversion.licence,
        "notes": list(conversion.notes),
    }


def show_conversion(conversion: Conversion) -> None:
    """Write what was recognised, written, kept, renamed and dropped, and what to do next."""
    page = Page()
    page.line((conversion.source, "bold"), f": {conversion.kind}")
    page.line(f"{conversion.tensors:,} tensors, {conversion.parameters:,} elements")
    page.gap()
    page.line(("Would write" if conversion.dry_run else "Wrote", "bold"), f" {conversion.output}")
    width = max((len(file.path) for file in conversion.files), default=0) + 4
    for file in conversion.files:
        tensors = f", {file.tensors:,} tensors" if file.tensors else ""
        page.entry(((f"  {file.path}", ""),), f"{_size(file.size)}{tensors}", width)
    for name in conversion.kept:
        page.line(f"  {name} is there and says the same: kept")
    _show_changes(page, conversion)
    if not conversion.dry_run:
        page.gap()
        page.line(("Next", "bold"), f": {_next(conversion)}")


def _next(conversion: Conversion) -> str:
    if any(file.path == "model.safetensors" for file in conversion.files):
        return f"xcompat smoke {shlex.quote(conversion.output)}"
    folder = conversion.output
    return f'TTS(model_path="{folder}", config_path="{folder}/config.json") in your app'


def _show_changes(page: Page, conversion: Conversion) -> None:
    if conversion.renamed or conversion.dropped:
        page.gap()
    for rule, count in conversion.renamed.items():
        page.line(("Renamed", "bold"), f" {rule} ({count:,} tensors)")
    for item in conversion.dropped:
        tensors = f" ({item.tensors:,} tensors)" if item.tensors else ""
        page.prose(("Left out", "bold"), f" {item.what}{tensors}: {item.reason}", hang=2)
    if conversion.notes:
        page.gap()
    for note in conversion.notes:
        page.prose(("Note", "bold yellow"), f": {note}", hang=2)


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """Show bytes and the time left on stderr where that is a terminal; otherwise nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("convert", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _size(size: int) -> str:
    """Return a size in the decimal units that file managers and model pages use."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"
