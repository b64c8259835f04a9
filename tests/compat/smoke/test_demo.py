"""`xcompat demo` where there is no torch: everything but speaking here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from conftest import Done
from xcompat.smoke.demo import MARKER
from xcompat.smoke.voice import RECORDING

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Done]


def test_the_story_is_told_and_left_behind(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "a demo"
    folder.mkdir()
    (folder / MARKER).touch()
    (folder / "summary.md").write_text("An older demo")
    done = run("demo", str(folder))
    assert done.exit_code == 0, done.stderr
    assert "[6/6] What is missing" in done.stdout
    assert 'pip install ".[xtts]"' in " ".join(done.stdout.split())
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith("# xcompat demo")
    assert "Verdict: **incompatible**. Found: XC002" in summary
    assert "A recording, speech.mp3: It took me quite a long time" in summary
    assert (folder / "converted" / "model.safetensors").is_file()
    assert (folder / "speech.mp3").read_bytes() == RECORDING.read_bytes()
    page = (folder / "speech.html").read_text(encoding="utf-8")
    assert '<audio controls aria-label="The speech" src="data:audio/mpeg;base64,' in page
    assert "a recording" in page


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_the_demo_did_not_make_is_left_alone(run: Run, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / "mine"
    if kind == "file":
        mine.write_text("precious")
    else:
        mine.mkdir()
        (mine / "thesis.txt").write_text("precious")
    done = run("demo", str(mine))
    assert done.exit_code == 4
    assert done.stderr.startswith("error[XC304]: ")
    kept = mine if kind == "file" else mine / "thesis.txt"
    assert kept.read_text() == "precious"
