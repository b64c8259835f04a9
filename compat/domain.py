"""The values that flow through xcompat. Frozen, without I/O, without behaviour beyond themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Capability = Literal[
    "install", "import", "load", "load-converted", "speak", "stream", "clone", "api"
]
"""What a user meets, in this order; the same words in runs, issues, doctor and smoke."""

CAPABILITIES: tuple[Capability, ...] = (
    "install",
    "import",
    "load",
    "load-converted",
    "speak",
    "stream",
    "clone",
    "api",
)

Status = Literal["works", "fails", "unknown"]
Basis = Literal["recorded", "bracketed", "issue", "none"]
Verdict = Literal["compatible", "incompatible", "unknown"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Python, platform and distributions of a target environment."""

    python: str
    """Full version, for example `3.11.9`; empty where it is not known."""
    platform: str
    """One of `linux-x86_64`, `linux-aarch64`, `macosx-arm64`, `macosx-x86_64`, `win-amd64`, ..."""
    packages: Mapping[str, str]
    """Distribution name (as the known issues write it: `torch`, `TTS`, `coqui-tts`) to version."""
    source: str
    """Where this was read: an interpreter's path or a pins file."""
    complete: bool = True
    """True for a probed environment, where an absent distribution is not installed; False for
    pins, where an absent distribution is simply not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityOutcome:
    """What one run measured for one capability."""

    status: Status
    """`unknown` where the capability was not reached or does not apply."""
    error: str = ""
    """Last line of the error, empty where it worked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured execution, as a line of `matrices/runs/*.jsonl` records it."""

    id: str
    date: str
    tool: str
    command: str
    """The nox command that repeats it."""
    device: str
    environment: Environment
    capabilities: Mapping[Capability, CapabilityOutcome]
    tokens: str = ""
    """SHA-256 of the greedy token codes, empty where the run did not speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One alternative of a known issue: it applies where all that is said here holds."""

    packages: Mapping[str, str] = field(default_factory=dict)
    """Distribution to specifier (`transformers`: `>=4.50`; `*` is any version, `absent` is none)."""
    python: str = ""
    """Specifier of the Python version; empty for any."""
    platforms: tuple[str, ...] = ()
    """Platforms, empty for any."""
    minor_mismatch: tuple[str, str] | None = None
    """Two distributions whose major.minor must differ for this to apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssue:
    """A theory: what breaks which capability at which versions, why, and the way out."""

    code: str
    title: str
    severity: Severity
    capabilities: tuple[Capability, ...]
    conditions: tuple[Condition, ...]
    symptoms: tuple[str, ...]
    """Regular expressions that match the real error text."""
    cause: str
    fixes: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A blessed combination, the target of `resolve`, backed by runs."""

    id: str
    title: str
    python: str
    """Specifier of the Python versions."""
    packages: Mapping[str, str]
    platforms: tuple[str, ...]
    capabilities: tuple[Capability, ...]
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Everything that is recorded."""

    runs: tuple[Run, ...]
    rows: tuple[Row, ...]
    issues: tuple[KnownIssue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A known issue that applies to an environment."""

    issue: KnownIssue
    packages: tuple[str, ...]
    """The installed distributions that make it apply, as `name version`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityStatus:
    """What is known of one capability in one environment, and on what basis."""

    status: Status
    basis: Basis
    issues: tuple[str, ...] = ()
    note: str = ""
    """The evidence in one phrase: a run, two brackets, or what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The doctor's answer."""

    environment: Environment
    needed: tuple[Capability, ...]
    verdict: Verdict
    capabilities: Mapping[Capability, CapabilityStatus]
    findings: tuple[Finding, ...]
    row: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A file of a conversion's output."""

    path: str
    size: int
    """Bytes."""
    tensors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a conversion did, or, as a dry run, would do."""

    source: str
    output: str
    kind: str
    """What the checkpoint was recognised as, for example `XTTS v2 (release)`."""
    tensors: int
    parameters: int
    files: tuple[WrittenFile, ...]
    kept: tuple[str, ...]
    """Existing files that already say the same and were left alone."""
    renamed: Mapping[str, int]
    """Rule to number of tensors, for example `xtts.* -> *`: 963."""
    dropped: Mapping[str, int]
    """What was left out and how many tensors of it, for example `dvae.*`: 58."""
    notes: tuple[str, ...] = ()
    """What a person should know: no checksums in the source, a licence to obey."""
    dry_run: bool = False
