"""The smoke as one HTML file that plays the sound: for people who rather look and listen."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.errors import CannotLook
from xcompat.render import smoke
from xcompat.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xcompat.domain.smoke import Comparison, SmokeReport

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.good { color: #146c2e } .bad { color: #b3261e }
audio, img { width: 100% } blockquote { margin-left: 0; font-style: italic }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
         border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
th { font-weight: 600; white-space: nowrap }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #161616 } th, td { border-color: #444 }
  .good { color: #6dd58c } .bad { color: #f2b8b5 }
}
"""


def write_html(report: SmokeReport, path: Path) -> None:
    """Write the report to a file, sound and picture inside.

    Raises:
        CannotLook: The file cannot be written, or the sound cannot be read (XC304).
    """
    try:
        path.write_text(html_report(report), encoding="utf-8")
    except OSError as error:
        raise CannotLook(
            "XC304",
            f"{error.filename or path}: {error.strerror}",
            hint="Give another file with --report.",
        ) from error


def html_report(report: SmokeReport) -> str:
    """Return the report as one HTML document that refers to nothing outside itself."""
    answer, style = smoke.answer(report)
    good = "good" if "green" in style else "bad"
    about = [("model", report.model), ("python", report.python), ("device", report.device)]
    about += [("note", note) for note in report.notes]
    parts = [
        f'<h1 class="{good}">{escape(answer)}</h1>',
        _sound(report),
        _table(about),
        "<h2>Findings</h2>",
        _table((j.name, j.detail, j.passed) for j in report.judgements),
        "<h2>Stages</h2>",
        _table((s.name, smoke.told(s), s.status == "works") for s in report.stages),
        "<h2>Figures</h2>",
        _table(smoke.figures(report.figures)),
    ]
    if report.against:
        parts.append("<h2>Against</h2>")
        parts.append(_comparisons(report.against))
    if report.languages:
        parts.append("<h2>Text front ends</h2>")
        parts.append(
            _table((name, lack or "works", not lack) for name, lack in report.languages.items())
        )
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(answer)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        f"<p>Made by xcompat {escape(__version__)}.</p>\n</body>\n</html>\n"
    )


def _sound(report: SmokeReport) -> str:
    parts = []
    if "wav" in report.outputs:
        parts.append(f"<blockquote>{escape(report.text)}</blockquote>")
        source = _data("audio/wav", report.outputs["wav"])
        parts.append(f'<audio controls src="{source}"></audio>')
    if "picture" in report.outputs:
        source = _data("image/png", report.outputs["picture"])
        parts.append(f'<img alt="Waveform and spectrogram of the speech" src="{source}">')
    return "\n".join(parts)


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    columns = smoke.COMPARISON_COLUMNS
    lines = ["<tr><th></th>" + "".join(f"<th>{escape(title)}</th>" for title in columns) + "</tr>"]
    for each in comparisons:
        cells = smoke.compared(each)
        span = f' colspan="{len(columns)}"' if each.error else ""
        row = "".join(f"<td{span}>{escape(cell)}</td>" for cell in cells)
        lines.append(f"<tr><th>{escape(each.name)}</th>{row}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _data(kind: str, path: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(Path(path).read_bytes()).decode('ascii')}"


def _table(rows: Iterable[tuple[str, str] | tuple[str, str, bool]]) -> str:
    """Lay out rows of a name and a text; a third value says whether it is good."""
    lines = []
    for name, text, *good in rows:
        mark = ""
        if good:
            mark = '<span class="good">✓</span> ' if good[0] else '<span class="bad">✗</span> '
        lines.append(f"<tr><th>{mark}{escape(name)}</th><td>{escape(text)}</td></tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>" if lines else ""
