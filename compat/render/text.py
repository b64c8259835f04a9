"""What all texts for people share: where they go, how they wrap, and what an error looks like."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import IO, TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.text import Text

from xcompat.errors import CannotLook, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.errors import XcompatError

_USUAL_WIDTH = 80
"""Columns where the terminal does not tell."""
_LEAST_COLUMN = 25
"""Columns below which a column of text is not worth having."""
_MAX_WIDTH = 100
"""Columns beyond which prose is hard to read."""

_ASCII = {"✓": "+", "✗": "x", "—": "-", "…": "..."}


def printable(text: str) -> str:
    """Return `text`, often from a file, without anything that a terminal would obey."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


@contextlib.contextmanager
def telling_lost_output(stream: IO[str] | None = None) -> Iterator[None]:
    """End quietly where nobody reads on (`| head -1`), and with an error where a disk is full.

    Args:
        stream: What is written to; stdout for None.

    Raises:
        CannotLook: XC234, the output cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        _discard(stream or sys.stdout)
        raise SystemExit(ExitCode.PIPE_CLOSED) from None
    except OSError as error:
        _discard(stream or sys.stdout)
        raise CannotLook(
            "XC234",
            f"the output cannot be written: {error.strerror}",
            hint="Free some space, or send it to another place.",
        ) from error


def _discard(stream: IO[str]) -> None:
    """Send what a stream still holds nowhere: the end of the process would fail on it again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Stream:
    """A stream as rich uses it, whose failures are told as what they are."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with telling_lost_output(self._stream):
            return self._stream.write(text)

    def flush(self) -> None:
        with telling_lost_output(self._stream):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Page:
    """Writes plain or coloured text for people to a stream.

    Colour follows the stream, `NO_COLOR`, `FORCE_COLOR` and `TERM`; it repeats what the words say.
    What the stream's encoding lacks is written in ASCII.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        output = stream or sys.stdout
        self._console = Console(
            file=cast("IO[str]", _Stream(output)), highlight=False, markup=False, emoji=False
        )
        self._encoding = getattr(output, "encoding", None) or "utf-8"
        if not self._console.width:
            self._console.width = _USUAL_WIDTH
        self._width = min(self._console.width, _MAX_WIDTH)

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self._console.width

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Write one line, unwrapped; a part is a text or a (text, style)."""
        text = self._text(parts)
        text.rstrip()
        self._console.print(text, soft_wrap=True)

    def prose(self, *parts: str | tuple[str, str], indent: int = 0, hang: int = 0) -> None:
        """Write a paragraph, wrapped: the first line at `indent`, the others `hang` further in."""
        lines = self._text(parts).wrap(self._console, max(self._width - indent - hang, 20))
        for number, line in enumerate(lines):
            line.rstrip()
            margin = " " * (indent if number == 0 else indent + hang)
            self._console.print(Text(margin) + line, soft_wrap=True)

    def entry(self, label: tuple[tuple[str, str], ...], text: str, width: int) -> None:
        """Write a label of `width` columns, and a text that wraps in a column of its own.

        Where the terminal is too narrow for two columns, the text follows the label.
        """
        if self._width - width < _LEAST_COLUMN:
            self.prose(*label, ": ", text, hang=4)
            return
        lines = self._text((text,)).wrap(self._console, self._width - width)
        head = self._text(label)
        head.pad_right(max(width - head.cell_len, 1))
        for number, line in enumerate(lines or [Text()]):
            line.rstrip()
            row = (head if number == 0 else Text(" " * width)) + line
            row.rstrip()
            self._console.print(row, soft_wrap=True)

    def gap(self) -> None:
        """Write an empty line."""
        self._console.print()

    def _text(self, parts: tuple[str | tuple[str, str], ...]) -> Text:
        text = Text()
        for part in parts:
            content, style = part if isinstance(part, tuple) else (part, "")
            text.append(self._encodable(printable(content)), style or None)
        return text

    def _encodable(self, content: str) -> str:
        try:
            content.encode(self._encoding)
        except UnicodeEncodeError:
            content = "".join(_ASCII.get(char, char) for char in content)
            return content.encode(self._encoding, "backslashreplace").decode(self._encoding)
        return content


def show_json(values: dict[str, Any]) -> None:
    """Write one JSON object to stdout: sorted keys, ASCII, so that no encoding can spoil it."""
    write(json.dumps(values, indent=2, sort_keys=True) + "\n")


def write(text: str) -> None:
    """Write text to stdout as it is."""
    with telling_lost_output():
        sys.stdout.write(text)
        sys.stdout.flush()


def show_note(text: str) -> None:
    """Write a paragraph to stdout."""
    Page().prose(text)


def show_warning(text: str) -> None:
    """Write what a person should know before it happens to stderr."""
    Page(sys.stderr).prose(("note", "bold cyan"), f": {text}", hang=2)


def show_error(error: XcompatError) -> None:
    """Write an error that the user can do something about to stderr."""
    page = Page(sys.stderr)
    page.line((f"error[{error.code}]", "bold red"), f": {error.message}")
    if error.hint:
        page.line(("hint", "bold cyan"), f": {error.hint}")


def show_bug(error: Exception) -> None:
    """Write to stderr that xcompat itself went wrong."""
    page = Page(sys.stderr)
    page.line(("error[XC000]", "bold red"), f": this is a bug in xcompat: {_named(error)}")
    page.line(
        ("hint", "bold cyan"),
        ": run the same command with XCOMPAT_DEBUG=1 in the environment, and report what it prints",
    )


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def size(count: int) -> str:
    """Return a number of bytes in the decimal units that file managers and model pages use."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"
