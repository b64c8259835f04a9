"""`torchaudio.save` through soundfile: what is written, and that it is given back."""

from __future__ import annotations

import io
import sys
import types
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from xcompat.target.saving import saving_with_soundfile, write_audio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATE = 24_000
SOUND = np.sin(np.arange(2400) / 20, dtype=np.float32)


def stock(*_: object) -> None:
    raise ImportError("TorchCodec is required for save_with_torchcodec.")


@pytest.fixture
def torchaudio(monkeypatch: pytest.MonkeyPatch) -> Callable[..., types.ModuleType]:
    """Put a module in torchaudio's place: torch is no part of this suite."""

    def made(**names: object) -> types.ModuleType:
        module = types.ModuleType("torchaudio")
        vars(module).update(save=stock, **names)
        monkeypatch.setitem(sys.modules, "torchaudio", module)
        return module

    return made


def test_it_writes_where_torchaudio_needs_torchcodec(tmp_path: Path, torchaudio) -> None:
    module = torchaudio(save_with_torchcodec=stock)
    target = tmp_path / "a b.wav"
    saving = saving_with_soundfile()
    module.save(str(target), SOUND[None], RATE)
    saving.undo()
    told = soundfile.info(target)
    assert (told.samplerate, told.channels, told.subtype) == (RATE, 1, "PCM_16")
    assert np.allclose(soundfile.read(target)[0], SOUND, atol=2**-14)
    assert module.save is stock


def test_it_is_given_back_by_with_and_done_once(torchaudio) -> None:
    module = torchaudio(save_with_torchcodec=stock)
    with saving_with_soundfile():
        with saving_with_soundfile():
            assert module.save is write_audio
        assert module.save is write_audio
    assert module.save is stock


def test_an_older_torchaudio_is_left_as_it_is(torchaudio) -> None:
    module = torchaudio()
    with saving_with_soundfile():
        assert module.save is stock


@pytest.mark.parametrize(
    ("asked", "subtype"),
    [
        ({}, "PCM_16"),
        ({"encoding": "PCM_S"}, "PCM_16"),
        ({"bits_per_sample": 24}, "PCM_24"),
        ({"encoding": "PCM_S", "bits_per_sample": 32}, "PCM_32"),
        ({"encoding": "PCM_F"}, "FLOAT"),
        ({"encoding": "PCM_F", "bits_per_sample": 64}, "DOUBLE"),
        ({"encoding": "PCM_U", "bits_per_sample": 8}, "PCM_U8"),
        ({"encoding": "ULAW"}, "ULAW"),
    ],
)
def test_encodings(tmp_path: Path, asked: dict[str, object], subtype: str) -> None:
    write_audio(tmp_path / "x.wav", SOUND[None], RATE, **asked)
    assert soundfile.info(tmp_path / "x.wav").subtype == subtype


def test_shapes(tmp_path: Path) -> None:
    stereo = np.stack([SOUND, -SOUND])
    for samples, first in ((stereo, True), (stereo.T, False)):
        write_audio(tmp_path / "x.flac", samples, RATE, channels_first=first)
        assert soundfile.read(tmp_path / "x.flac")[0].shape == (2400, 2)
    write_audio(tmp_path / "x.wav", SOUND, RATE)
    assert soundfile.info(tmp_path / "x.wav").channels == 1
    with pytest.raises(ValueError, match="1 or 2 dimensions, not 3"):
        write_audio(tmp_path / "x.wav", SOUND[None, None], RATE)


def test_a_file_in_memory_and_a_format_that_no_suffix_tells() -> None:
    file = io.BytesIO()
    write_audio(file, SOUND[None], RATE, format="wav")
    assert file.getvalue().startswith(b"RIFF")


def test_what_is_too_loud_is_clipped(tmp_path: Path) -> None:
    write_audio(tmp_path / "x.wav", 3 * SOUND, RATE)
    assert np.abs(soundfile.read(tmp_path / "x.wav")[0]).max() <= 1


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="AMR_NB"):
        write_audio(tmp_path / "x.wav", SOUND, RATE, encoding="AMR_NB")
