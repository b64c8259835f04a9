"""Let `torchaudio.save` write through soundfile, where torchaudio itself needs torchcodec."""

from __future__ import annotations

from typing import Any, Callable, Optional

_SUBTYPES = {"PCM_U": "PCM_U8", "ULAW": "ULAW", "ALAW": "ALAW"}


class Saving:
    """`torchaudio.save` in soundfile's hands. A context manager that gives it back."""

    def __init__(self, torchaudio: Any, before: Optional[Callable[..., None]]) -> None:
        self._torchaudio = torchaudio
        self._before = before

    def undo(self) -> None:
        """Give torchaudio its own function back. Does nothing the second time."""
        if self._before is not None:
            self._torchaudio.save = self._before
        self._before = None

    def __enter__(self) -> Saving:  # noqa: PYI034 - typing.Self is younger than Python 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


def saving_with_soundfile() -> Saving:
    """Let `torchaudio.save` write through soundfile from now on, in this whole process.

    torchaudio 2.9 and newer write through torchcodec, which needs FFmpeg; soundfile comes with TTS
    and needs neither. An older torchaudio is left as it is, and so are names that were imported
    from it before (`from torchaudio import save`).

    Returns:
        What was done: `undo()` it, or use it in a `with` statement.
    """
    import torchaudio

    writes_by_torchcodec = hasattr(torchaudio, "save_with_torchcodec")
    if not writes_by_torchcodec or torchaudio.save is write_audio:
        return Saving(torchaudio, None)
    before, torchaudio.save = torchaudio.save, write_audio
    return Saving(torchaudio, before)


def write_audio(  # noqa: PLR0917 - the signature of torchaudio
    uri: Any,
    src: Any,
    sample_rate: int,
    channels_first: bool = True,  # noqa: FBT001, FBT002
    format: Optional[str] = None,  # noqa: A002
    encoding: Optional[str] = None,
    bits_per_sample: Optional[int] = None,
    buffer_size: int = 4096,
    backend: Optional[str] = None,
    compression: Any = None,
) -> None:
    """Stand in for `torchaudio.save`: WAV, FLAC, OGG and MP3, by the suffix or by `format`.

    Args:
        uri: Path or file.
        src: Tensor or array of samples within [-1, 1], of shape (n,), or (channels, n), or (n,
            channels) where `channels_first` is false. What is beyond is clipped.
        sample_rate: In Hz.
        channels_first: See `src`.
        format: Of the file, where the suffix does not tell.
        encoding: PCM_S, PCM_U, PCM_F, ULAW or ALAW; else 16-bit integers in WAV.
        bits_per_sample: Of an encoding.
        buffer_size: Changes nothing, as in torchaudio 2.9.
        backend: The same.
        compression: The same.

    Raises:
        ValueError: The format does not hold such samples.
        OSError: The file cannot be written (of soundfile, a RuntimeError too).
    """
    del buffer_size, backend, compression
    import numpy as np
    import soundfile

    tensor = src.detach().cpu().float().numpy() if hasattr(src, "detach") else src
    samples = np.asarray(tensor, np.float32)
    if samples.ndim not in (1, 2):
        raise ValueError(f"expected samples of 1 or 2 dimensions, not {samples.ndim}")
    columns = samples.T if channels_first else samples
    subtype = _subtype(encoding, bits_per_sample)
    soundfile.write(uri, columns, sample_rate, subtype=subtype, format=format)


def _subtype(encoding: Optional[str], bits: Optional[int]) -> Optional[str]:
    """Return soundfile's name of an encoding; None where nothing is asked for."""
    if encoding is None and bits is None:
        return None
    if encoding == "PCM_F":
        return "DOUBLE" if bits == 64 else "FLOAT"
    if encoding in (None, "PCM_S"):
        return f"PCM_{bits or 16}"
    return _SUBTYPES.get(encoding, encoding)
