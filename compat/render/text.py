"""What all texts for people share: where they go, how they wrap, and what an error looks like."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import IO, TYPE_CHECKING, Any, cast

from xcompat.errors import CannotLook, ExitCode
from xcompat.render.layout import stripped, width_of, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from xcompat.errors import XcompatError
    from xcompat.render.layout import Line

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


def _may_be_coloured(stream: IO[str]) -> bool:
    """Whether rich must be asked: it knows all that turns colour on and off."""
    return stream.isatty() or any(map(os.environ.get, ("FORCE_COLOR", "TTY_COMPATIBLE")))


def _console(stream: _Stream) -> Console:
    from rich.console import Console  # noqa: PLC0415 - only what may be coloured needs it

    return Console(file=cast("IO[str]", stream), highlight=False, markup=False, emoji=False)


def _columns() -> int:
    """Return the columns of the terminal that any stream is, 0 where that is not known."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal():
        return int(told)
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            return os.get_terminal_size(descriptor).columns
    return 0


class Page:
    """Writes plain or coloured text for people to a stream.

    Colour follows the stream, `NO_COLOR`, `FORCE_COLOR` and `TERM`; it repeats what the words say.
    What the stream's encoding lacks is written in ASCII.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        output = stream or sys.stdout
        self._stream = _Stream(output)
        self._console = _console(self._stream) if _may_be_coloured(output) else None
        self._encoding = getattr(output, "encoding", None) or "utf-8"
        self.width = (self._console.width if self._console else _columns()) or _USUAL_WIDTH
        """Columns of the terminal."""
        self._width = min(self.width, _MAX_WIDTH)

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Write one line, unwrapped; a part is a text or a (text, style)."""
        self._print(stripped(self._line(parts)))

    def prose(self, *parts: str | tuple[str, str], indent: int = 0, hang: int = 0) -> None:
        """Write a paragraph, wrapped: the first line at `indent`, the others `hang` further in."""
        lines = wrapped(self._line(parts), max(self._width - indent - hang, 20))
        for number, line in enumerate(lines):
            margin = " " * (indent if number == 0 else indent + hang)
            self._print([(margin, ""), *line])

    def entry(self, label: tuple[tuple[str, str], ...], text: str, width: int) -> None:
        """Write a label of `width` columns, and a text that wraps in a column of its own.

        Where the terminal is too narrow for two columns, the text follows the label.
        """
        if self._width - width < _LEAST_COLUMN:
            self.prose(*label, ": ", text, hang=4)
            return
        head = self._line(label)
        head.append((" " * max(width - width_of(head), 1), ""))
        for number, line in enumerate(wrapped(self._line((text,)), self._width - width)):
            margin = head if number == 0 else [(" " * width, "")]
            self._print(stripped([*margin, *line]))

    def gap(self) -> None:
        """Write an empty line."""
        self._print([])

    def _print(self, line: Line) -> None:
        if self._console is None:
            self._stream.write("".join(text for text, _ in line) + "\n")
            self._stream.flush()
            return
        from rich.text import Text  # noqa: PLC0415 - only what may be coloured needs it

        self._console.print(Text.assemble(*line), soft_wrap=True)

    def _line(self, parts: tuple[str | tuple[str, str], ...]) -> Line:
        styled = (part if isinstance(part, tuple) else (part, "") for part in parts)
        return [(self._encodable(printable(text)), style) for text, style in styled]

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
    """Write a document to stdout as it is, in UTF-8 where the stream lacks some of its signs."""
    with telling_lost_output():
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:  # nothing of it was written
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode())
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
