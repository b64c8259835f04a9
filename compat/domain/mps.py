"""What is known of Apple's GPU, and what a preflight tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


MpsState = Literal["kernel", "composite", "cpu", "fallback", "raises", "absent"]
"""What MPS does with an operator: its own kernel; through other operators; always on the CPU; an
error that becomes the CPU with `PYTORCH_ENABLE_MPS_FALLBACK=1`; an error; there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsRule:
    """What no operator table shows: a limit or a wrong result inside a kernel."""

    name: str
    title: str
    effect: Literal["refuses", "raises", "wrong", "warns"]
    torch: str
    """Specifier of the torch releases."""
    macos: str
    """Specifier of the macOS versions; empty for any."""
    operators: tuple[str, ...]
    """It concerns phases that call one of these; empty for every phase."""
    limit: int
    """Elements in one dimension beyond which it applies; 0 for always."""
    cause: str
    fixes: tuple[str, ...]
    confidence: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsTrace:
    """What the real XTTS of one family calls on the device."""

    family: str
    packages: Mapping[str, str]
    reference_seconds: float
    """Length of the reference recording in the phase `clone`."""
    phases: Mapping[str, Mapping[str, int]]
    """Phase to operator to the largest dimension of any of its tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsData:
    """Operator tables, traces and rules."""

    releases: tuple[str, ...]
    """The torch releases whose wheels were read, in order."""
    operators: Mapping[str, str]
    """Operator to its state in each release, one letter for each."""
    traces: tuple[MpsTrace, ...]
    rules: tuple[MpsRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsHit:
    """A rule that applies, or may apply where macOS is not said."""

    rule: MpsRule
    certain: bool
    phases: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Length from which it applies, by phase: of the reference, or of a sentence's sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is to be expected of XTTS on MPS."""

    verdict: Literal["clear", "obstacles", "unknown"]
    tts: str
    torch: str
    macos: str
    """Empty where it is not said."""
    traced: Mapping[str, str]
    """The packages of the trace; empty where there is none."""
    operators: Mapping[str, Mapping[str, MpsState]]
    """Phase to operator to what MPS does with it."""
    hits: tuple[MpsHit, ...]
    doubt: str = ""
    """Why it is unknown."""
