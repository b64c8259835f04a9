"""Reads from a pasted text where its error arose: in the app, in TTS, or in another package.

Pure. It knows no causes: it tells whose code it was, and with that where to ask.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from xcompat.matrix.symptoms import cleaned, undecorated

_FRAME = re.compile(r"""File ["']([^"'\n]+)["'], line (\d+)""")
_RAISED = re.compile(
    r"^[\s|+]*(?:[A-Za-z_]\w*\.)*([A-Z]\w*(?:Error|Exception|Iteration|Interrupt|Exit|Timeout))"
    r"(?::\s*(.*?))?\s*$"
)
_LINKED = re.compile(r"During handling of the above|direct cause of the following")
_PACKAGE = re.compile(r"(?:site|dist)-packages/([\w-]+)")
_OURS = re.compile(r"(?:^|/)TTS/(?:tts|utils|api|bin|config|server|vc|vocoder|encoder|__init__)\b")
_PYTHON_ITSELF = re.compile(
    r"^<[\w .]+>$|/lib(?:64)?/python3[\d.]*/(?!(?:site|dist)-packages)"
    r"|/Lib/(?!site-packages)[\w/]+\.py$|/uv/python/[^/]+/lib/"
)
_STACK = frozenset(
    ("TTS", "torch", "torchaudio", "torchcodec", "transformers", "tokenizers", "trainer", "coqpit")
)
_TAIL = 1 << 17
"""Characters of the end of a log that are kept: a program ends with its error."""
_LONGEST = 200
"""Characters of an error that are told."""


class Origin(NamedTuple):
    """Where an error arose."""

    error: str
    """Its name and what it says, cut where that is long."""
    file: str
    line: int
    whose: Literal["app", "stack", "package"]
    """`stack` is TTS and what XTTS runs on."""
    package: str
    """The installed package; empty where it is the app itself."""


class Tail(NamedTuple):
    """The end of a text that comes in pieces."""

    held: list[str]

    def listen(self, piece: str) -> None:
        """Add a piece, and forget what is too far from the end."""
        self.held[:] = ["".join((*self.held, piece))[-_TAIL:]]

    def origin(self) -> Origin | None:
        """Return where the last error arose; of several that led to each other, the first one."""
        chain: list[Origin] = []
        frames: list[tuple[str, int]] = []
        linked = False
        for line in undecorated(cleaned("".join(self.held))).splitlines():
            if frame := _FRAME.search(line):
                frames.append((re.sub(r"[\\/]+", "/", frame[1]), int(frame[2])))
            elif _LINKED.search(line):
                linked = True
            elif frames and (raised := _RAISED.match(line)):
                origin = _origin(raised, frames)
                chain = [*chain, origin] if linked else [origin]
                frames, linked = [], False
        return chain[0] if chain else None


def _origin(raised: re.Match[str], frames: list[tuple[str, int]]) -> Origin:
    """Return the last place that is not in Python itself, which does as it is told."""
    told = f"{raised[1]}: {raised[2]}" if raised[2] else raised[1]
    own = [frame for frame in frames if not _PYTHON_ITSELF.search(frame[0])]
    file, line = (own or frames)[-1]
    found = _PACKAGE.search(file)
    package = "TTS" if _OURS.search(file) else found[1] if found else ""
    whose: Literal["app", "stack", "package"] = (
        "stack" if package in _STACK else "package" if package else "app"
    )
    return Origin(
        told if len(told) <= _LONGEST else f"{told[:_LONGEST]}...", file, line, whose, package
    )
