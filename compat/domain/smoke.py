"""What a smoke did and heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """Outcome of one smoke stage in the target interpreter."""

    name: str
    status: Literal["works", "fails"]
    seconds: float
    error: str = ""
    traceback: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    issue: str = ""
    """Code of the known issue whose symptom the error shows."""
    fell_back: tuple[str, ...] = ()
    """Operators that MPS had handed to the CPU by the end of the stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One thing that was checked about the sound."""

    name: str
    passed: bool
    detail: str
    """What was measured, with the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How long one engine took to speak the text of a smoke."""

    name: str
    error: str = ""
    """Why it did not speak; every figure is 0 then."""
    latency_seconds: float
    """From the order to the whole sound. A program is started anew for each sentence, and that
    counts; a model that was loaded before speaks at once."""
    first_audio_seconds: float
    """From the order to the first sound."""
    speech_seconds: float
    real_time_factor: float
    """Latency by length of the sound."""
    needs_network: bool
    needs_gpu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeReport:
    """What the smoke did and heard."""

    verdict: Literal["speaks", "fails"]
    python: str
    model: str
    device: str
    text: str
    stages: tuple[StageResult, ...]
    judgements: tuple[Judgement, ...]
    figures: Mapping[str, float]
    """Seconds, bytes and ratios by name: `load_seconds`, `first_audio_seconds`,
    `real_time_factor`, `peak_host_bytes`, `peak_device_bytes`. What ends in
    `_first_run` is of the first of two equal runs, which also warms up."""
    languages: Mapping[str, str]
    """Language to what its text front end lacks; empty where it works."""
    outputs: Mapping[str, str]
    notes: tuple[str, ...] = ()
    transcript: str = ""
    """What a recogniser wrote down without knowing the text; empty where none listened."""
    against: tuple[Comparison, ...] = ()
    """XTTS itself first, then what it was to be compared with."""
    mps: tuple[MpsTrial, ...] = ()
    """On Apple's GPU: the run that this report tells of, then one with the CPU fallback the other
    way round, where that one can differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsTrial:
    """How one child fared on Apple's GPU."""

    fallback: bool
    """Whether the CPU was let do what has no kernel there."""
    error: str
    """Stage and error at which it ended; empty where it spoke."""
    fell_back: tuple[str, ...]
    """Operators that the CPU did."""
