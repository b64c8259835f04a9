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
    from xcompat.smoke.demo import Recording

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #ddd; --soft: #f4f4f6;
        --good: #146c2e; --bad: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #161616; --line: #444; --soft: #222; --good: #6dd58c;
          --bad: #f2b8b5 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: var(--ink); background: var(--paper) }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { font-size: 1.1rem; margin-top: 2rem }
.good { color: var(--good) } .bad { color: var(--bad) }
audio { width: 100% }
img { width: 100%; height: auto; border-radius: .5rem; margin-top: .5rem }
blockquote { margin: 1rem 0; padding-left: 1rem; border-left: .25rem solid var(--line);
             font-size: 1.15rem }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem;
           margin: 1rem 0; padding: 0 }
.figures div { background: var(--soft); border-radius: .5rem; padding: .75rem 1rem }
.figures dt { font-size: .85rem; opacity: .75 } .figures dd { margin: 0; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0;
         border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
th { font-weight: 600; width: 16rem }
.wide { overflow-x: auto }
.wide th, .wide td { width: auto; white-space: nowrap; overflow-wrap: normal }
summary { cursor: pointer; font-weight: 600; margin-top: 2rem }
footer { margin-top: 3rem; font-size: .85rem }
@media (max-width: 40rem) {
  .pairs tr { display: block; padding: .4rem 0; border-bottom: 1px solid var(--line) }
  .pairs th, .pairs td { display: block; width: auto; border: 0; padding: 0 } }
"""


def write_html(report: SmokeReport, path: Path) -> None:
    """Write the report to a file, sound and picture inside.

    Raises:
        CannotLook: The file cannot be written, or the sound cannot be read (XC304).
    """
    write_page(html_report(report), path)


def write_page(html: str, path: Path) -> None:
    """Write a page to a file.

    Raises:
        CannotLook: As `write_html`.
    """
    try:
        path.write_text(html, encoding="utf-8")
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
    passed = [(j.name, j.detail, True) for j in report.judgements if j.passed]
    failed = [(s.name, smoke.told(s), False) for s in report.stages if s.status == "fails"]
    failed += [(j.name, j.detail, False) for j in report.judgements if not j.passed]
    parts = [
        f'<h1 class="{good}">{escape(answer)}</h1>',
        _section("What is wrong", _table(failed)),
        _sound(report),
        _figures(smoke.figures(report.figures)),
        _table(about),
        _section("Against", _comparisons(report.against) if report.against else ""),
        _folded(f"The sound passed {len(passed)} checks", _table(passed)),
        _folded(
            "Stages", _table((s.name, smoke.told(s), s.status == "works") for s in report.stages)
        ),
        _folded(
            "Text front ends",
            _table((name, lack or "works", not lack) for name, lack in report.languages.items()),
        ),
    ]
    return _page(answer, "\n".join(part for part in parts if part))


def recording_as_html(recording: Recording) -> str:
    """Return a page that plays what the voice said elsewhere."""
    title = "What the voice of xcompat says: a recording"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<blockquote>{escape(recording.text)}</blockquote>",
        _player("audio/mpeg", str(recording.file)),
        "<p>This environment has no torch and no TTS, so nothing was spoken here.</p>",
    ]
    return _page(title, "\n".join(part for part in parts if part))


def _page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n{body}\n</main>\n"
        f"<footer>Made by xcompat {escape(__version__)}.</footer>\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{content}" if content else ""


def _folded(title: str, content: str) -> str:
    """Lay out what few want to see, to be opened."""
    if not content:
        return ""
    return f"<details>\n<summary>{escape(title)}</summary>\n{content}\n</details>"


def _figures(told: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>" for label, text in told
    )
    return f'<dl class="figures">{cells}</dl>' if cells else ""


def _sound(report: SmokeReport) -> str:
    parts = []
    if "wav" in report.outputs:
        parts.append(f"<blockquote>{escape(report.text)}</blockquote>")
        parts.append(_player("audio/wav", report.outputs["wav"]))
    if report.transcript:
        parts.append(f"<p>{escape(smoke.written_down(report.transcript))}</p>")
    if "picture" in report.outputs:
        source = _data("image/png", report.outputs["picture"])
        length = f" of {seconds:.1f} s" if (seconds := report.figures.get("speech_seconds")) else ""
        alt = f"Waveform and mel spectrogram{length} of speech, made by {report.model}"
        parts.append(f'<img alt="{escape(alt)}" src="{source}">')
    return "\n".join(parts)


def _player(kind: str, path: str) -> str:
    return f'<audio controls aria-label="The speech" src="{_data(kind, path)}"></audio>'


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    columns = smoke.COMPARISON_COLUMNS
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in columns)
    lines = [f"<tr><td></td>{titles}</tr>"]
    for each in comparisons:
        cells = smoke.compared(each)
        span = f' colspan="{len(columns)}"' if each.error else ""
        row = "".join(f"<td{span}>{escape(cell)}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{escape(each.name)}</th>{row}</tr>')
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _data(kind: str, path: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(Path(path).read_bytes()).decode('ascii')}"


def _table(rows: Iterable[tuple[str, str] | tuple[str, str, bool]]) -> str:
    """Lay out rows of a name and a text; a third value says whether it is good."""
    lines = []
    for name, text, *good in rows:
        mark = ""
        if good:
            sign, style, word = ("✓", "good", "good") if good[0] else ("✗", "bad", "wrong")
            mark = f'<span class="{style}" role="img" aria-label="{word}">{sign}</span> '
        row = f'<th scope="row">{mark}{escape(name)}</th><td>{escape(text)}</td>'
        lines.append(f"<tr>{row}</tr>")
    return '<table class="pairs">\n' + "\n".join(lines) + "\n</table>" if lines else ""
