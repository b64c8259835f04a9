"""Measure, write and draw sound. Judging what was measured is the parent's part."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CLIP_LEVEL = 0.999
"""Absolute sample value from which a sample counts as clipped (full scale is 1)."""

TOKEN_SECONDS = 1024 / 22050
"""One audio token is 1024 samples at the rate at which the GPT works (XTTS v2 configuration)."""

_TOKEN_FRAMES, _FRAME = 4, 256
"""Frames of the vocoder in a token, and samples in a frame, at the GPT's rate of 22,050 Hz."""
_WINDOW, _MELS, _FAINTEST_DB = 1024, 80, -80.0
_FEWEST_FRAMES = 8
_FEWEST_STEPS = 60
_PAUSE_DB = -35.0
_STEP_SECONDS = 0.0025
_STEPS_IN_FRAME = 4
_STEPS_APART = 2
_OVERTONES = 3


def spoken_samples(tokens: int, sample_rate: int) -> int:
    """Return how many samples TTS's vocoder makes of so many audio tokens."""
    return int(_TOKEN_FRAMES * tokens * (sample_rate / 22050)) * _FRAME


HUM_RATE = 22050
"""Sample rate (Hz) of `hum`."""


def hum(seconds: float = 3.0) -> Any:
    """Return a humming voice of 120 Hz with its overtones and a little noise, mono in [-1, 1]."""
    import numpy as np

    from . import weights

    time = np.arange(int(HUM_RATE * seconds)) / HUM_RATE
    overtones = sum(np.sin(2 * np.pi * 120 * n * time) / n for n in range(1, 20))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
    return 0.25 * swell * overtones + 0.01 * weights.uniform("hum", time.size)


def measure(samples: Any, sample_rate: int) -> dict[str, Any]:
    """Describe mono float samples: duration (s), finiteness, level, clipping, tonality.

    `rms` and `peak` are relative to full scale. A constant offset is not sound: everything but
    `peak` and `clipped` leaves it out. `loudest_bin` is the share of the spectral energy in the
    strongest bin of the whole sound: near 1 for a constant tone, small for speech and noise. What
    `_flow` measures comes with it.
    """
    import numpy as np

    samples = np.asarray(samples, np.float64).reshape(-1)
    finite = np.isfinite(samples)
    numbers = np.where(finite, samples, 0.0)
    centred = numbers - numbers.mean() if samples.size else numbers
    energy = np.abs(np.fft.rfft(centred)) ** 2 if samples.size else np.zeros(1)
    total = float(energy.sum())
    return {
        "samples": int(samples.size),
        "sample_rate": sample_rate,
        "seconds": samples.size / sample_rate,
        "finite": bool(finite.all()),
        "peak": float(np.abs(numbers).max(initial=0.0)),
        "rms": float(np.sqrt(np.mean(centred**2))) if samples.size else 0.0,
        "clipped": float(np.mean(np.abs(numbers) >= CLIP_LEVEL)) if samples.size else 0.0,
        "loudest_bin": float(energy.max() / total) if total else 0.0,
        **_flow(centred, sample_rate),
    }


def _flow(samples: Any, sample_rate: int) -> dict[str, float]:
    """Describe how a sound goes on from one frame of 20 ms to the next.

    Returns:
        `level_range_db`: between the quiet and the loud tenth of the frames.
        `flatness`: median spectral flatness of the frames that are not pauses, 0 to 1; 0.56 is
        white noise.
        `change`: mean distance of the log spectra of neighbours, relative to that of frames in
        any order; 1 where neighbours have nothing to do with each other.
        `ending_db`: level of the last frame relative to the loud frames.
        `rhythm`: see `_rhythm`.
    """
    import numpy as np

    size = max(sample_rate // 50, 2)
    frames = samples[samples.size % size :].reshape(-1, size)
    levels = np.sqrt(np.mean(frames**2, axis=1)) if len(frames) else np.zeros(1)
    loud = float(np.percentile(levels, 95))
    if len(frames) < _FEWEST_FRAMES or not loud:
        return {
            "level_range_db": 0.0,
            "flatness": 1.0,
            "change": 1.0,
            "ending_db": 0.0,
            "rhythm": 0.0,
        }
    decibels = 20 * np.log10(np.maximum(levels / loud, 1e-3))
    quiet_tenth, loud_tenth = np.percentile(decibels, [10, 90])
    power = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2
    voiced = power[decibels > _PAUSE_DB] + power.max() * 1e-12
    flatness = np.exp(np.log(voiced).mean(axis=1)) / voiced.mean(axis=1)
    bands = np.log(power + power.max() * 1e-8)
    bands = np.stack([part.mean(axis=1) for part in np.array_split(bands, 24, axis=1)], axis=1)

    order = np.random.RandomState(0).permutation(len(bands))
    near = np.linalg.norm(np.diff(bands, axis=0), axis=1).mean()
    far = np.linalg.norm(np.diff(bands[order], axis=0), axis=1).mean()
    return {
        "level_range_db": float(loud_tenth - quiet_tenth),
        "flatness": float(np.median(flatness)),
        "change": float(near / far) if far else 1.0,
        "ending_db": float(decibels[-1]),
        "rhythm": _rhythm(samples, sample_rate),
    }


def _rhythm(samples: Any, sample_rate: int) -> float:
    """Tell whether a sound changes in the rhythm of the audio tokens.

    Tokens that do not belong together jump where they meet. The distances of the log spectra of
    overlapping frames, as a series in time, are held against a token's length and its first
    overtones: about 1 is what chance gives in a sound without that rhythm, whatever its length.
    """
    import numpy as np

    hop = max(round(sample_rate * _STEP_SECONDS), 1)
    size = hop * _STEPS_IN_FRAME
    if samples.size < size * _FEWEST_STEPS:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = np.log(power + power.max() * 1e-8)
    bands = np.stack([part.mean(axis=1) for part in np.array_split(bands, 16, axis=1)], axis=1)
    energy = np.square(frames).mean(axis=1)
    loud = energy > np.percentile(energy, 95) * 10 ** (_PAUSE_DB / 10)
    heard = loud[_STEPS_APART:] | loud[:-_STEPS_APART]
    change = np.linalg.norm(bands[_STEPS_APART:] - bands[:-_STEPS_APART], axis=1)[heard]
    change = np.log(change + 1e-3)
    if change.size < _FEWEST_STEPS or not change.std():
        return 0.0
    change = (change - change.mean()) / change.std()
    tokens = np.flatnonzero(heard) * hop / sample_rate / TOKEN_SECONDS
    waves = [np.exp(2j * np.pi * n * tokens) for n in range(1, _OVERTONES + 1)]
    share = np.linalg.norm([np.mean(change * wave) for wave in waves])
    return float(share * np.sqrt(change.size / _STEPS_IN_FRAME))


def write_wav(path: Path, samples: Any, sample_rate: int) -> None:
    """Write mono float samples as 16-bit PCM; values outside [-1, 1] are clipped."""
    import numpy as np

    numbers = np.nan_to_num(np.asarray(samples, np.float32).reshape(-1))
    pcm = (np.clip(numbers, -1.0, 1.0) * 32767.0).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())


def read_wav_header(path: Path) -> tuple[int, int]:
    """Return the sample rate (Hz) and the number of samples that a WAV header states."""
    with wave.open(str(path), "rb") as file:
        return file.getframerate(), file.getnframes()


def mel_spectrogram(samples: Any, sample_rate: int) -> Any:
    """Return the level (dB below the loudest) of 80 mel bands over time, shape (bands, frames)."""
    import numpy as np

    from . import weights

    samples = np.pad(np.asarray(samples, np.float64), _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[:: _WINDOW // 4]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))) ** 2
    bands = power @ weights.mel_filter_bank(_WINDOW // 2 + 1, _MELS, sample_rate)
    loudest = bands.max(initial=0.0) or 1.0
    return 10 * np.log10(np.maximum(bands / loudest, 10 ** (_FAINTEST_DB / 10))).T


def draw(wav: Path, picture: Path) -> None:
    """Draw the waveform and the mel spectrogram of a 16-bit mono WAV into a PNG (1200 x 700)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    with wave.open(str(wav), "rb") as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0
    seconds = samples.size / rate
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(12, 7), dpi=100, sharex=True, height_ratios=(2, 3), layout="constrained"
    )
    top.plot(np.arange(samples.size) / rate, samples, linewidth=0.4, color="#3b528b")
    top.set(ylabel="amplitude", ylim=(-1, 1), title=f"{wav.name}: {seconds:.2f} s")
    levels = mel_spectrogram(samples, rate)
    highest = 2595 * np.log10(1 + rate / 2 / 700)
    shown = bottom.imshow(
        levels, aspect="auto", origin="lower", cmap="magma", extent=(0, seconds, 0, highest)
    )
    marks = [hertz for hertz in (250, 500, 1000, 2000, 4000, 8000, 16000) if hertz < rate / 2]
    bottom.set_yticks([2595 * np.log10(1 + hertz / 700) for hertz in marks], marks)
    bottom.set(xlabel="time (s)", ylabel="frequency (Hz, mel scale)")
    figure.colorbar(shown, ax=[top, bottom], label="level (dB)", pad=0.01)
    figure.savefig(str(picture))
    plt.close(figure)
