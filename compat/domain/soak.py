"""What many sentences, one after the other, left in memory."""

from __future__ import annotations

from typing import NamedTuple


class Slope(NamedTuple):
    """How memory went on after the warm-up."""

    bytes_per_sentence: float
    standard_error: float
    held_bytes: float
    """Mean of what was held."""

    @property
    def grows(self) -> bool:
        """Whether it grows by more than chance, and by more than a hundredth in 100 sentences."""
        certain = self.bytes_per_sentence > 3.0 * self.standard_error
        return certain and self.bytes_per_sentence > self.held_bytes / 10_000


class SoakReport(NamedTuple):
    """What was held after each of many sentences of different lengths."""

    model: str
    runtime: str
    device: str
    sentences: int
    speech_seconds: float
    host_bytes: tuple[int, ...]
    device_bytes: tuple[int, ...]
    """Empty where the device is the CPU."""
    host: Slope
    on_device: Slope | None
    error: str = ""
    """Why it ended early."""

    @property
    def flat(self) -> bool:
        """Whether all sentences were spoken and nothing grows."""
        return not (self.error or self.host.grows or (self.on_device and self.on_device.grows))
