"""What a stage that fails says, in one line."""

from __future__ import annotations

import re

from . import languages, recordings

_TERMINAL_STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""torch prints its weights_only refusal partly in bold."""


class StageError(Exception):
    """A stage ran and what it produced is wrong; the message says what."""


def one_paragraph(text: str) -> str:
    """Return a text without line breaks, runs of blanks and colours."""
    return " ".join(_TERMINAL_STYLE.sub("", text).split())


def one_line(error: BaseException) -> str:
    """Name an error and what it says; one of ours says all by itself."""
    text = one_paragraph(str(error))
    if isinstance(error, (StageError, recordings.ReferenceUnfit, languages.FrontEndError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
