"""`docs/matrix.md` shows what is recorded now."""

from pathlib import Path

from xcompat.matrix.load import load_matrix
from xcompat.render.matrix_page import matrix_as_markdown

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"


def test_the_page_is_fresh():
    assert PAGE.read_text("utf-8") == matrix_as_markdown(load_matrix()), (
        "make it again: xcompat matrix --markdown > docs/matrix.md"
    )


def test_no_two_runs_of_the_page_look_alike():
    rows = [row for row in PAGE.read_text("utf-8").splitlines() if row.startswith("| ")]
    sections: dict[str, list[str]] = {}
    title = ""
    for line in PAGE.read_text("utf-8").splitlines():
        title = line if line.startswith("## ") else title
        if line.startswith(("| TTS ", "| coqui-tts ", "| TTS+")) and "torchaudio" not in line:
            sections.setdefault(title, []).append(line)
    assert rows
    for lines in sections.values():
        versions = [tuple(line.split("|")[1:7]) for line in lines]
        assert len(set(versions)) == len(versions)
