"""Text from a file, as a terminal may show it."""

from __future__ import annotations


def printable(text: str, limit: int = 120) -> str:
    """Return text from a file as one that a terminal shows and does not obey.

    Control and format characters (ANSI sequences, direction marks) become escapes; what is longer
    than `limit` characters is cut.
    """
    if len(text) <= limit and text.isprintable():
        return text
    escaped = "".join(
        char if char.isprintable() else ascii(char)[1:-1] for char in text[: limit + 1]
    )
    return escaped if len(escaped) <= limit else f"{escaped[:limit]}..."
