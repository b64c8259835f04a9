"""Read reference audio through soundfile, which needs no FFmpeg, inside TTS's own function."""

from __future__ import annotations

import functools
import types
from typing import Any, Callable

from . import products


def reading_with_soundfile(model: Any) -> Callable[..., Any]:
    """Return the model's own `get_conditioning_latents`, reading its files through soundfile.

    The function of TTS is run as it is, over a copy of its module's names in which `load_audio`
    is TTS's own too, over names in which `torchaudio.load` is `read_audio`. So mixing down,
    resampling, clipping and everything after stay what they are.

    Raises:
        CannotAttach: This TTS reads its audio in another way.
    """
    method = type(model).get_conditioning_latents
    function = getattr(method, "__wrapped__", method)
    if "load_audio" in function.__code__.co_names:
        load_audio = function.__globals__.get("load_audio")
        rebound = _with_names(function, load_audio=_with_reader(load_audio))
    else:  # TTS 0.20.0
        rebound = _with_reader(function)
    import torch

    @functools.wraps(function)
    def get_conditioning_latents(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode():
            return rebound(model, *args, **kwargs)

    return get_conditioning_latents


def _with_reader(function: Any) -> Any:
    """Copy a function that calls `torchaudio.load` so that it reads through soundfile.

    Raises:
        CannotAttach: It does not.
    """
    code = getattr(function, "__code__", None)
    if code is None or not {"torchaudio", "load"} <= set(code.co_names):
        raise products.CannotAttach("get_conditioning_latents does not read by torchaudio.load")
    return _with_names(function, torchaudio=_Reader(function.__globals__["torchaudio"]))


def _with_names(function: Any, **names: Any) -> Any:
    """Copy a function so that it sees `names` in place of its module's."""
    copy = types.FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class _Reader:
    """torchaudio as `load_audio` sees it: `load` is ours, all the rest is torchaudio's."""

    def __init__(self, torchaudio: Any) -> None:
        self._torchaudio = torchaudio

    def load(self, path: Any) -> tuple[Any, int]:
        return read_audio(path, self._torchaudio.load)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torchaudio, name)


def read_audio(path: Any, otherwise: Callable[[Any], tuple[Any, int]]) -> tuple[Any, int]:
    """Return the samples of a file, float32 of shape (channels, n), and its rate (Hz).

    soundfile reads WAV, FLAC, OGG, MP3, AIFF and more without FFmpeg. What it does not know is
    given to `otherwise`, stock `torchaudio.load`.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: Neither can read it; the message holds what both said.
    """
    import os

    import soundfile
    import torch

    if isinstance(path, (str, os.PathLike)) and not os.path.exists(path):  # noqa: PTH110
        raise FileNotFoundError(f"the reference audio {os.fspath(path)} does not exist")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as refusal:
        if hasattr(path, "seek"):
            path.seek(0)
        try:
            return otherwise(path)
        except Exception as error:
            raise OSError(
                f"{path} cannot be read as audio: soundfile says {refusal}; torchaudio says "
                f"{type(error).__name__}: {error}. Convert it to WAV or FLAC"
            ) from error
    return torch.from_numpy(samples.T.copy()), int(rate)
