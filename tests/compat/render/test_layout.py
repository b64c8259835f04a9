"""Texts break where rich breaks them: it colours the same lines on a terminal."""

from __future__ import annotations

import io

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from xcompat.render.layout import columns, stripped, width_of, wrapped

PIECES = st.lists(
    st.tuples(
        st.text(st.sampled_from("abc  -\n漢字é"), max_size=30), st.sampled_from(["", "bold"])
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # what the first text loads takes long
@given(PIECES, st.integers(4, 40))
def test_lines_break_where_rich_breaks_them(pieces: list[tuple[str, str]], width: int) -> None:
    console = Console(file=io.StringIO())
    expected = [line.plain.rstrip() for line in Text.assemble(*pieces).wrap(console, width)]
    lines = wrapped(pieces, width)
    assert ["".join(text for text, _ in line) for line in lines] == expected
    assert all(width_of(line) <= width for line in lines)


def test_a_style_stays_with_its_text() -> None:
    line = [("Note", "bold"), (": one two ", ""), ("three", "red")]
    assert wrapped(line, 10) == [
        [("Note", "bold"), (": one", "")],
        [("two ", ""), ("three", "red")],
    ]
    assert stripped([("a ", "bold"), ("  ", "")]) == [("a", "bold")]


def test_columns_are_those_of_a_terminal() -> None:
    assert [columns(text) for text in ("abc", "漢字", "é", "e\u0301")] == [3, 4, 1, 1]
