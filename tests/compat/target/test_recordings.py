"""What is read of a reference recording, and which ones hold no voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from xcompat.target.recordings import ReferenceUnfit, tell_reference
from xcompat.target.sound import hum

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = (30, 6, 22050)
"""The defaults of `Xtts.get_conditioning_latents`."""


@pytest.mark.parametrize("format_", ["wav", "flac", "ogg", "mp3"])
def test_common_formats_are_read(tmp_path: Path, format_: str) -> None:
    path = tmp_path / f"voice.{format_}"
    soundfile.write(path, hum(3.0), 22050)
    told, known = tell_reference(path, *LIMITS)
    assert told.startswith(f"voice.{format_}: 3.")
    assert known


def test_what_is_changed_and_cut_is_told(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    stereo = np.stack([hum(40.0)] * 2, axis=1)
    soundfile.write(path, stereo, 44100, subtype="PCM_24")
    assert tell_reference(path, *LIMITS) == (
        (
            "voice.wav: 20.0 s at 44100 Hz; 2 channels are averaged; resampled to 22050 Hz; "
            "the way of speaking is taken from the first 6 s"
        ),
        True,
    )
    soundfile.write(path, hum(40.0), 22050)
    assert "cut after 30 s" in tell_reference(path, *LIMITS)[0]
    assert "resampled" not in tell_reference(path, *LIMITS)[0]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (hum(0.3), "lasts 0.30 s; XTTS needs 0.33 s"),
        (np.zeros(22050), "is silent"),
        (np.full(22050, np.nan), "holds NaN"),
        (np.zeros(0), "lasts 0.00 s"),
    ],
)
def test_a_recording_without_a_voice_is_refused(
    tmp_path: Path, samples: np.ndarray, message: str
) -> None:
    path = tmp_path / "voice.wav"
    soundfile.write(path, samples, 22050, subtype="FLOAT")
    with pytest.raises(ReferenceUnfit, match=message):
        tell_reference(path, *LIMITS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\0 ftypM4A ", "M4A or MP4 is read where torchaudio finds FFmpeg"),
        (b"\xff\xf1\x50\x80", "AAC is read where torchaudio finds FFmpeg"),
        (b"fLaC\0\0", "it is damaged"),
        (b"RIFF\x24\0\0\0WAVE", "it is damaged"),
        (b"\xfe\xed\xbe\xef", "libsndfile does not know this format"),
    ],
)
def test_what_libsndfile_does_not_read_is_named_and_left_to_torchaudio(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(content)
    told = tell_reference(path, *LIMITS)
    assert told == (f"voice.wav: {message}, so its length is not known", False)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), ("Guten Tag, \u4f60\u597d\n".encode()[:-2], "is a text, not a recording")],
)
def test_what_is_no_recording_at_all_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(content)
    with pytest.raises(ReferenceUnfit, match=message):
        tell_reference(path, *LIMITS)
