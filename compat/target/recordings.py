"""Reference recordings: what XTTS reads of one, and why it could take no voice from another."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Optional, Tuple

if TYPE_CHECKING:
    from pathlib import Path

SHORTEST_REFERENCE = 0.33
"""Seconds; `Xtts.get_gpt_cond_latents` ignores what is shorter."""
QUIETEST_REFERENCE = 1e-4
"""-80 dBFS at its peak."""
_CONTAINERS = (
    (4, b"ftyp", "M4A or MP4"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (0, b"\x30\x26\xb2\x75", "WMA"),
)
"""Place, first bytes and name of what FFmpeg reads and libsndfile does not."""
_KNOWN_TO_LIBSNDFILE = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3")


class ReferenceUnfit(Exception):  # noqa: N818 - it is about a file, not about a program
    """A reference recording that holds no voice that XTTS could take; the message says why."""


def tell_reference(
    path: Path, longest: float, conditioning: float, rate: Optional[int]
) -> Tuple[str, bool]:
    """Say what XTTS reads of a reference recording, what it resamples and what it cuts.

    Args:
        path: Any format that libsndfile reads; of another one nothing is known here.
        longest: Seconds that `get_conditioning_latents` reads.
        conditioning: Seconds from which the GPT takes the voice.
        rate: Sample rate (Hz) to which the recording is brought; None where it keeps its own.

    Returns:
        A sentence, and whether the recording could be looked into.

    Raises:
        ReferenceUnfit: It is no recording, too short, silent, or holds NaN or infinity.
    """
    try:
        import soundfile
    except ImportError:
        return f"{path.name}: soundfile is not installed, so its length is not known", False
    try:
        samples, found = soundfile.read(str(path), dtype="float32", always_2d=True)
    except Exception:
        # Another decoder of torchaudio may still read it, and tells itself if it cannot.
        return f"{path.name}: {_tell_unreadable(path)}, so its length is not known", False
    import numpy as np

    seconds = len(samples) / found
    if seconds < SHORTEST_REFERENCE:
        raise ReferenceUnfit(
            f"the reference {path} lasts {seconds:.2f} s; XTTS needs {SHORTEST_REFERENCE} s, and "
            f"takes the voice from the first {conditioning:.0f} s"
        )
    if not np.isfinite(samples).all():
        raise ReferenceUnfit(f"the reference {path} holds NaN or infinity")
    if float(np.abs(samples).max()) < QUIETEST_REFERENCE:
        raise ReferenceUnfit(f"the reference {path} is silent")
    parts = [f"{path.name}: {seconds:.1f} s at {found} Hz"]
    if samples.shape[1] > 1:
        parts.append(f"{samples.shape[1]} channels are averaged")
    if rate and found != rate:
        parts.append(f"resampled to {rate} Hz")
    if seconds > longest:
        parts.append(f"cut after {longest:.0f} s")
    if seconds > conditioning:
        parts.append(f"the way of speaking is taken from the first {conditioning:.0f} s")
    return "; ".join(parts), True


def _tell_unreadable(path: Path) -> str:
    """Say what a file is that libsndfile does not read.

    Raises:
        ReferenceUnfit: It is empty, or a text.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise ReferenceUnfit(f"the reference {path} is empty")
    for place, magic, name in _CONTAINERS:
        if head[place:].startswith(magic):
            return f"{name} is read where torchaudio finds FFmpeg"
    if head.startswith(_KNOWN_TO_LIBSNDFILE):
        return "it is damaged"
    if _is_text(head):
        raise ReferenceUnfit(f"the reference {path} is a text, not a recording")
    return "libsndfile does not know this format"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # may end within a character
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\t\r\n" for char in text)
