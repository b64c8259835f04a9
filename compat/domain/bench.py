"""What a bench measured, and the machine without which no figure means anything."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Machine(NamedTuple):
    """On what something was measured."""

    processor: str
    cores: int
    """Logical processors that the process may use."""
    threads: int
    """That torch computes with on the CPU; 0 where it came to nothing."""
    platform: str
    device: str
    """`cpu`, `cuda` or `mps`."""
    gpu: str
    """Name of the card; empty where the device is the CPU."""
    driver: str
    """Version of the card's driver, or of macOS for Apple's; empty where it is not known."""
    python: str
    packages: Mapping[str, str]
    """Distributions that decide how fast it is, to their versions."""
    load_before: float
    """Processes that wanted to run in the minute before the bench began; NaN where the system
    does not count them."""
    load_after: float
    """The same, when it ended: the bench itself is among them."""


class Measured(NamedTuple):
    """One figure, of several rounds."""

    median: float
    all: tuple[float, ...]

    @classmethod
    def of(cls, values: tuple[float, ...]) -> Measured:
        """Return the median of at least one value."""
        return cls(statistics.median(values), values)


class Contestant(NamedTuple):
    """One way to decode."""

    name: str
    """`xcompat`, `stock`, or a shorter type of the runtime's weights."""
    error: str = ""
    """Why there are no figures; empty where there are."""
    issue: str = ""
    """Code of the known issue whose symptom the error shows."""
    kernel: str = ""
    """What multiplies a single row; empty for stock."""
    loaded_by: str = ""
    """`load_checkpoint` of TTS, or `load_xtts`."""
    same_tokens: bool | None = None
    """Whether it says the audio tokens of the first contestant; None for the first."""
    figures: Mapping[str, Measured] = {}
    """By name: `load_seconds`, `first_token_seconds`, `token_seconds`, `sentence_seconds`,
    `real_time_factor`, `first_audio_seconds`, `batch_seconds`, `batch_real_time_factor`,
    `peak_host_bytes`, `peak_device_bytes`, `bytes_per_token`, `share_of_memory_speed`."""
    times: Mapping[str, float] = {}
    """Name of a figure to how many times as much it is as that of the first contestant, the median
    of the rounds; empty for the first."""


class BenchReport(NamedTuple):
    """What a bench measured."""

    date: str
    model: str
    """The name of its folder, or the voice that ships."""
    parameters: int
    text: str
    speech_seconds: float
    tokens: int
    """Audio tokens of the text, as the first contestant said it."""
    chunk_tokens: int
    """Audio tokens of the first chunk of the stream."""
    together: int
    """Sentences of the batch."""
    rounds: int
    machine: Machine
    memory_speed: Measured | None
    """Bytes a second: the faster of what a copy reads and writes, and of what a sum reads."""
    contestants: tuple[Contestant, ...]

    @property
    def measured(self) -> bool:
        """Whether the first contestant has figures."""
        return not self.contestants[0].error
