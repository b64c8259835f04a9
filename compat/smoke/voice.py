"""The voice that ships with xcompat: where it lies, and how a smoke comes to a model of it."""

from __future__ import annotations

import json
from pathlib import Path

from xcompat import matrices
from xcompat.converters import convert, write_voice

FOLDER = Path(matrices.__file__).with_name("voice")
RECORDING = FOLDER / "speech.mp3"
"""What the voice said to the smoke's sentence when it was packed."""
MODEL = "voice"
"""How a recorded run names it; older runs were of the `untrained` model."""
LANGUAGE = "en"
"""All that it was taught."""
SPEAKERS = ("Rowan", "Slate", "Aubrey", "Calder")
"""Its built-in speakers, in their order."""


def make_voice(scratch: Path) -> None:
    """Unpack the voice into `original`, convert it to `converted`, both formats.

    `checksums.json` beside them holds the CRC-32 of each tensor.
    """
    checksums = write_voice(FOLDER, scratch / "original")
    convert(scratch / "original", scratch / "converted", format="both")
    (scratch / "checksums.json").write_text(json.dumps(checksums), encoding="ascii")
