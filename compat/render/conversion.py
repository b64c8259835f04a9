"""A Conversion for people and for programs, and the progress of one that runs."""

from __future__ import annotations

import contextlib
import shlex
import sys
from typing import TYPE_CHECKING, Any

from xcompat.converters.model.model_files import MANIFEST, ORIGINAL_SUFFIX
from xcompat.converters.report import record_of
from xcompat.render.text import Page, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xcompat.converters.report import CastReport, Conversion


def conversion_as_json(conversion: Conversion) -> dict[str, Any]:
    """Return the stable form of `xcompat convert --json`; fields may be added."""
    return {
        "schema": 1,
        "dry_run": conversion.dry_run,
        "source": conversion.source,
        "source_size": conversion.source_size,
        "output": conversion.output,
        "kind": conversion.kind,
        "files": [file._asdict() for file in conversion.files],
        "original": conversion.original,
        "set_aside": {"folder": conversion.aside, "names": list(conversion.set_aside)}
        if conversion.aside
        else None,
        "shared": conversion.shared,
        "sha256": conversion.sha256,
        "release": conversion.release,
        **record_of(conversion),
    }


def show_conversion(conversion: Conversion) -> None:
    """Write what was recognised, written, kept, renamed and dropped, and what to do next."""
    page = Page()
    page.line((conversion.source, "bold"), f": {conversion.kind}")
    page.line(f"{conversion.tensors:,} tensors, {conversion.parameters:,} elements")
    page.gap()
    if not conversion.files:
        page.line(("Nothing to do", "bold"), f" in {conversion.output}")
    else:
        said = "Would write" if conversion.dry_run else "Wrote"
        page.line((said, "bold"), f" {conversion.output}")
    width = max((len(file.path) for file in conversion.files), default=0) + 4
    for file in conversion.files:
        tensors = f", {file.tensors:,} tensors" if file.tensors else ""
        page.entry(((f"  {file.path}", ""),), f"{size(file.size)}{tensors}", width)
    for name in conversion.kept:
        page.line(f"  {name} is there and says the same: kept")
    _show_proof(page, conversion)
    _show_changes(page, conversion)
    if conversion.files and not conversion.dry_run and (told := _next(conversion)):
        page.gap()
        page.line(("Next", "bold"), f": {told}")


def _show_proof(page: Page, conversion: Conversion) -> None:
    if conversion.original:
        page.prose(("Original", "bold"), f": kept as {conversion.original}", hang=2)
    if conversion.aside:
        page.prose(
            ("Would set aside" if conversion.dry_run else "Set aside", "bold"),
            f": {', '.join(conversion.set_aside) or 'the original'}, to {conversion.aside}, so that"
            " exactly config.json, model.pth, speakers_xtts.pth and vocab.json stay",
            hang=2,
        )
        page.line(("To go back", "bold"), f": {_way_back(conversion)}")
    if conversion.shared:
        page.prose(
            ("Shared", "bold"),
            f": {size(conversion.shared)} are stored once for both files, and were not read:"
            " their checksums were carried over",
            hang=2,
        )
    if conversion.verified:
        page.prose(("Verified", "bold"), ": read back, and every tensor is the source's", hang=2)
    if conversion.sha256:
        release = conversion.release or "no published release that xcompat knows"
        page.prose(("SHA-256", "bold"), f" {conversion.sha256}: {release}", hang=2)


def _way_back(conversion: Conversion) -> str:
    """Return the command that brings back what was set aside."""
    folder = shlex.quote(conversion.aside.removesuffix(ORIGINAL_SUFFIX))
    there = shlex.quote(conversion.aside)
    # The star of a shell leaves these out.
    hidden = "".join(f" {there}/{name}" for name in conversion.set_aside if name.startswith("."))
    written = conversion.files and MANIFEST in conversion.set_aside
    return f"mv {there}/*{hidden} {folder}" + f" && rm {folder}/{MANIFEST}" * bool(written)


def _next(conversion: Conversion) -> str:
    if conversion.in_place:
        return "start the app again: it loads this folder as it loaded the original"
    if any(file.path == "model.safetensors" for file in conversion.files):
        return f"xcompat smoke {shlex.quote(conversion.output)}"
    if not any(file.path == "model.pth" for file in conversion.files):
        return ""
    return f"in your app, load {shlex.quote(conversion.output)} in place of the original folder"


def _show_changes(page: Page, conversion: Conversion) -> None:
    if conversion.renamed or conversion.dropped:
        page.gap()
    for rule, count in conversion.renamed.items():
        page.line(("Renamed", "bold"), f" {rule} ({count:,} tensors)")
    for item in conversion.dropped:
        tensors = f" ({item.tensors:,} tensors)" if item.tensors else ""
        page.prose(("Left out", "bold"), f" {item.what}{tensors}: {item.reason}", hang=2)
    if conversion.cast:
        page.gap()
        _show_cast(page, conversion.cast)
    if conversion.notes:
        page.gap()
    for note in conversion.notes:
        page.prose(("Note", "bold yellow"), f": {note}", hang=2)


def _show_cast(page: Page, cast: CastReport) -> None:
    told = f" {cast.tensors:,} tensors to {cast.dtype}; {cast.kept:,} stay as they are"
    page.prose(("Cast", "bold"), told, hang=2)
    if cast.error is not None:
        page.prose(
            f"  relative error {cast.error:.1e}; the most, {cast.worst_error:.1e}, in {cast.worst}",
            hang=2,
        )


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
