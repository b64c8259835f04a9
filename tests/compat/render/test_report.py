"""What a whole smoke tells, and the page that it is told on."""

from __future__ import annotations

import base64
import os
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from builders.smoked import SPEECH, speak
from xcompat.errors import CannotLook
from xcompat.render import smoke as render
from xcompat.render.report_html import html_report, write_html
from xcompat.smoke.request import default_text

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")


def test_everything_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = speak(tmp_path)
    assert report.verdict == "speaks"
    assert report.figures["real_time_factor"] == 0.5
    assert report.figures["real_time_factor_first_run"] == pytest.approx(1.504, abs=1e-3)
    assert report.figures["first_audio_seconds"] == 0.4
    render.show_report(report)
    told = " ".join(capsys.readouterr().out.split())
    assert "auto chose cpu (no CUDA device is visible to torch)" in told
    assert "no speaker was asked for: Ana speaks, the first of 58 (--list-speakers)" in told
    assert "real-time factor 0.50 (below 1 is faster than speech); the first run 1.50" in told
    assert "load 0.50 s (people quote 15 to 20 s)" in told
    assert "text front ends 2 of 3 work: de, en" in told
    assert "✗ ja ModuleNotFoundError: No module named 'cutlet' (XC060: pip install cutlet" in told
    assert "peak memory 1 MiB" in told


def test_an_untrained_model_is_not_held_to_speech(tmp_path: Path) -> None:
    hiss = {"sound": {**SPEECH, "flatness": 0.6}}
    report = speak(tmp_path, speak=hiss, stream=hiss)
    assert report.verdict == "speaks"
    assert "not listened to: this model is untrained and says no words" in report.notes


def test_a_trained_model_is(tmp_path: Path) -> None:
    hiss = {"sound": {**SPEECH, "flatness": 0.6}}
    report = speak(tmp_path, load={"trained": True}, speak=hiss, stream=hiss)
    failed = {j.name for j in report.judgements if not j.passed}
    assert report.verdict == "fails"
    assert {"speak: not noise", "stream: not noise"} <= failed
    assert "clone: not noise" not in failed


def test_a_text_over_the_limit_is_told(tmp_path: Path) -> None:
    notes = speak(tmp_path, text="x" * 251).notes
    assert "the text has 251 characters; beyond 250 XTTS may cut it off" in notes


def test_every_language_has_a_sentence() -> None:
    assert default_text("ja") != default_text("en")


class Page(HTMLParser):
    """What a browser would fetch and show of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: dict[str, list[str]] = {}
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name in {"src", "href", "data", "srcset", "action"}:
                self.links.setdefault(tag, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_plays_the_sound_and_refers_to_nothing(tmp_path: Path) -> None:
    written = html_report(speak(tmp_path))
    assert "url(" not in written
    assert "@import" not in written
    page = Page(written)
    assert set(page.links) == {"audio", "img"}
    for tag, kind, name in (
        ("audio", "audio/wav", "speech.wav"),
        ("img", "image/png", "speech.png"),
    ):
        (link,) = page.links[tag]
        head, _, data = link.partition(",")
        assert head == f"data:{kind};base64"
        assert base64.b64decode(data, validate=True) == (tmp_path / name).read_bytes()
    told = " ".join(page.text.split())
    for part in ("XTTS speaks here, on cpu.", "Hello.", "not silent", "real-time factor", "cutlet"):
        assert part in told


def test_what_a_user_or_a_file_says_stays_text(tmp_path: Path) -> None:
    hostile = "</title><script>alert(1)</script>\"'&<img src=x onerror=y>"
    page = Page(
        html_report(
            speak(
                tmp_path,
                text=hostile,
                condition={"voice": hostile},
                device={"device": hostile, "reason": hostile},
                languages={"errors": {hostile: hostile}},
            )
        )
    )
    assert "script" not in page.tags
    assert page.tags.count("img") == 1
    assert hostile in page.text


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CannotLook) as caught:
        write_html(speak(tmp_path), tmp_path / "nowhere" / "page.html")
    assert caught.value.code == "XC304"
