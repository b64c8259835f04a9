"""The values that flow through xcompat. Frozen, without I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

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

DECIDING: tuple[str, ...] = (
    "TTS",
    "coqui-tts",
    "torch",
    "torchaudio",
    "torchcodec",
    "transformers",
)
"""The distributions whose versions decide whether a run speaks for an environment."""

LANGUAGES: tuple[str, ...] = (
    *("ar", "cs", "de", "en", "es", "fr", "hi", "hu", "it"),
    *("ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh-cn"),
)
"""What XTTS v2 speaks, in its own spelling."""

SIGNS: tuple[str, ...] = (
    "weights-only-off",
    "weights-only-forced",
    "patched-load",
    "missing-files",
    "missing-xtts-files",
    "changed-files",
    "rosetta",
    "ffmpeg-unsupported",
    "checkpoint-incomplete",
    "checkpoint-no-model",
    "checkpoint-mixed",
    "checkpoint-pickled",
)
"""What can be seen of an environment beside versions; known issues name them."""

Status = Literal["works", "fails", "unknown"]
Basis = Literal["recorded", "bracketed", "issue", "none"]
Verdict = Literal["compatible", "incompatible", "unknown"]
Severity = Literal["error", "warning"]


@cache
def distribution_name(name: str) -> str:
    """Return the one spelling of a distribution's name that xcompat uses.

    That is the normalised name of PEP 503, except for `TTS`, which nobody writes in lower case.
    """
    normalised = re.sub(r"[-_.]+", "-", name).lower()
    return "TTS" if normalised == "tts" else normalised


SAME_FILES: tuple[tuple[str, str], ...] = (
    ("TTS", "coqui-tts"),
    ("trainer", "coqui-tts-trainer"),
    ("coqpit", "coqpit-config"),
)
"""Distributions that install the same import package: `TTS`, `trainer`, `coqpit`. Where both are
installed, uninstalling one takes files of the other along, so both go before one comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Python, platform and distributions of a target environment."""

    python: str
    """Full version, for example `3.11.9`; empty where it is not known."""
    platform: str
    """One of `linux-x86_64`, `linux-aarch64`, `macosx-arm64`, `macosx-x86_64`, `win-amd64`, ..."""
    packages: Mapping[str, str]
    """Distribution name (as the known issues write it: `torch`, `TTS`, `coqui-tts`) to version;
    empty where it is there in a version that nobody says."""
    source: str
    """Where this was read: an interpreter's path or a pins file."""
    complete: bool = True
    """True for a probed environment, where an absent distribution is not installed; False for
    pins, where an absent distribution is simply not said."""
    interpreter: str = ""
    """Path of the target's Python, for the commands that a person is told; empty for pins."""
    builds: Mapping[str, str] = field(default_factory=dict)
    """What `torch` and `torchaudio` were built for (`cpu`, `cu128`), where that is known."""
    system: Mapping[str, str | None] = field(default_factory=dict)
    """Version of what is not a distribution (`ffmpeg`, `macos`); None where it is known to be
    absent, no entry where nobody looked."""
    duplicates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Distributions that one folder holds more than once, with all their versions."""
    signs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was seen beside versions (`missing-files`, `checkpoint-html`), and where."""
    language: str = ""
    """Language that shall be spoken, as XTTS names it (`zh-cn`); empty where nobody asked."""


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
    cell: str
    """Name of the combination that was run."""
    device: str
    environment: Environment
    capabilities: Mapping[Capability, CapabilityOutcome]
    tokens: str = ""
    """SHA-256 of the greedy token codes, empty where the run did not speak."""
    runtime_capabilities: Mapping[Capability, CapabilityOutcome] = field(default_factory=dict)
    """The same with the xcompat runtime; empty where that was not measured."""
    runtime_tokens: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One alternative of a known issue: it applies where all that is said here holds."""

    packages: Mapping[str, str] = field(default_factory=dict)
    """Distribution to specifier: `>=4.52`, `*` for any version, `absent` for none."""
    python: str = ""
    """Specifier of the Python version; empty for any."""
    platforms: tuple[str, ...] = ()
    """Platforms, empty for any."""
    minor_mismatch: tuple[str, str] | None = None
    """Two distributions whose major.minor must differ for this to apply."""
    cuda_mismatch: tuple[str, str] | None = None
    """Two distributions of which the second is a CUDA build and the first is of another build."""
    system: Mapping[str, str] = field(default_factory=dict)
    """Name to specifier, as for packages, of what is not a distribution (`ffmpeg`: `absent`)."""
    duplicates: tuple[str, ...] = ()
    """Distributions of which at least one must be installed more than once."""
    signs: tuple[str, ...] = ()
    """Signs of which at least one must have been seen."""
    languages: tuple[str, ...] = ()
    """Languages of which one must have been asked for; empty for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssue:
    """A theory: what breaks which capability at which versions, why, and the way out.

    An `error` claims that its capabilities fail. A `warning` claims nothing: it tells what the
    versions cannot show, and applies as well where a `system` condition cannot be checked.
    """

    code: str
    title: str
    severity: Severity
    capabilities: tuple[Capability, ...]
    conditions: tuple[Condition, ...]
    """Any one suffices; an issue without conditions is known by its symptoms only."""
    symptoms: tuple[str, ...]
    """Regular expressions that match the real error text."""
    generic: bool = False
    """True where other programs show the same symptoms: a traceback must then speak of TTS."""
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
    """The distributions that make it apply, installed or missing."""
    seen: tuple[str, ...] = ()
    """Where its signs were seen: files, folders, environment variables."""


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
    runtime: Mapping[Capability, CapabilityStatus] = field(default_factory=dict)
    """The same where xcompat loads the model (`runtime="xcompat"`); only what was run so."""
    change_nothing: tuple[Capability, ...] = ()
    """What fails, and was run with the runtime in these versions and worked; empty where the
    runtime is not known to deliver all that is needed."""


ConstraintKind = Literal["keep", "need", "python", "platform"]
Evidence = Literal["row", "run", "elsewhere", "bracketed", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One thing that a plan must hold."""

    kind: ConstraintKind
    name: str
    """A distribution, a capability, a Python version or a platform."""
    specifier: str = ""
    """Of a distribution: the versions that it may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a proposal does to one distribution."""

    name: str
    now: str | None
    """Installed version; None where it is not installed."""
    then: str | None
    """Version afterwards: None where it is uninstalled, empty where the installer chooses."""
    why: str
    uninstall: bool = False
    """It is taken out before anything is installed, even where it comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One way to make an environment work."""

    evidence: Evidence
    """What says that it will work: a row or another run of this platform and Python, runs
    elsewhere, runs on both sides, or nothing at all."""
    row: str | None
    """The row that is proposed, wherever it was run."""
    runs: tuple[str, ...]
    """Runs in which all that is needed worked with these versions."""
    changes: tuple[Change, ...]
    """In the order in which they are made: what goes first, goes first."""
    requirements: tuple[str, ...]
    """What the installer is asked for, so that it leaves alone what need not change."""
    result: Diagnosis
    """What is known of the environment afterwards."""
    convert: bool
    """The original model.pth does not load there as it is: it must be converted."""
    notes: tuple[str, ...] = ()
    selector: tuple[str, ...] = ()
    """What to keep (`torch==2.9.1`) so that this proposal comes first; empty for the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Why there is no proposal."""

    constraints: tuple[Constraint, ...]
    """They cannot hold together; without any one of them the others can."""
    issues: tuple[KnownIssue, ...]
    """What is known to stand in the way."""
    ways_out: tuple[tuple[Constraint, Proposal], ...]
    """What to drop, and what is proposed then; the best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer of `resolve`."""

    environment: Environment
    constraints: tuple[Constraint, ...]
    needed: tuple[Capability, ...]
    now: Diagnosis
    proposals: tuple[Proposal, ...]
    """The best first; empty where nothing holds all constraints."""
    change_nothing: tuple[Capability, ...] = ()
    """What the xcompat runtime mends in the environment as it is: the cheapest way out. Empty
    where that does not deliver what is needed, or the environment is not what must be kept."""
    conflict: Conflict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What `resolve --apply` did."""

    installer: str
    """`uv` or `pip`."""
    changed: Mapping[str, tuple[str | None, str | None]]
    """Distribution to its version before and after; None where it was or is not there."""
    restore_file: str
    restore_commands: tuple[str, ...]
    """What to type to have the versions again that were there before."""
    after: Diagnosis


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
