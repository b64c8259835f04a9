"""The values that flow through xcompat. Frozen, without I/O.

Here are those that a diagnosis needs; the others are in the modules beside this one. They are named
tuples, because a frozen dataclass takes seven times as long to make, half a millisecond, at every
start.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.domain.gpu import Outlook

Capability = Literal[
    "install",
    "import",
    "load",
    "load-converted",
    "speak",
    "stream",
    "clone",
    "save",
    "api",
    "api-path",
]
"""What a user meets, in this order; the same words in runs, issues, doctor and smoke."""

CAPABILITIES: tuple[Capability, ...] = get_args(Capability)

NEEDED: tuple[Capability, ...] = ("import", "load-converted", "speak")
"""What a verdict is about where the user asks for nothing else."""

NEEDS: dict[Capability, tuple[Capability, ...]] = {
    "load": ("import",),
    "load-converted": ("import",),
    "speak": ("load-converted",),
    "stream": ("load-converted",),
    "clone": ("load-converted",),
    "save": ("import",),
    "api": ("load-converted",),
    "api-path": ("load-converted",),
}
"""What must work before a capability can. Nothing needs `load`: the others use what
`xcompat convert` wrote."""

FAMILY: frozenset[str] = frozenset({"TTS", "coqui-tts"})
"""The distributions that bring the import package `TTS`."""

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
    "gpu-cpu-torch",
    "gpu-other-torch",
    "gpu-no-kernels",
    "gpu-old-driver",
    "gpu-no-driver",
    "gpu-small",
    "gpu-two",
)
"""What can be seen of an environment beside versions; known issues name them."""

DAMAGE: frozenset[str] = frozenset(
    {"missing-files", "missing-xtts-files", "changed-files", "patched-load"}
)
"""Signs that code will run which no run has measured. What was seen begins with the distribution
that is concerned: `TTS: TTS/api.py`."""

Status = Literal["works", "fails", "unknown"]
Basis = Literal["recorded", "bracketed", "expected", "issue", "none"]
"""On what a status rests: runs of these versions; runs on both sides that agree; runs between the
same boundaries; a known issue; nothing."""
Verdict = Literal["compatible", "incompatible", "unknown"]
Severity = Literal["error", "warning"]


@cache
def with_needs(capability: Capability) -> frozenset[Capability]:
    """Return a capability and all that must work before it."""
    path: frozenset[Capability] = frozenset({capability})
    return path.union(*(with_needs(need) for need in NEEDS.get(capability, ())))


@cache
def distribution_name(name: str) -> str:
    """Return the one spelling of a distribution's name that xcompat uses.

    That is the normalised name of PEP 503, except for `TTS`, which nobody writes in lower case.
    """
    normalised = re.sub(r"[-_.]+", "-", name).lower()
    return "TTS" if normalised == "tts" else normalised


@cache
def minor_of(version: str) -> str:
    """Return major and minor of a version: `3.11` of `3.11.9`."""
    return ".".join(version.split(".")[:2])


SAME_FILES: tuple[tuple[str, str], ...] = (
    ("TTS", "coqui-tts"),
    ("trainer", "coqui-tts-trainer"),
    ("coqpit", "coqpit-config"),
)
"""Distributions that install the same import package: `TTS`, `trainer`, `coqpit`. Where both are
installed, uninstalling one takes files of the other along, so both go before one comes back."""


def distribution_of(seen: str) -> str:
    """Return the distribution that a sign of damage tells of."""
    return seen.partition(":")[0]


class Patch(NamedTuple):
    """Something that an app puts in the place of a library's, before anything else runs."""

    name: str
    """What is replaced (`torchaudio.load`), or an environment variable that is set."""
    place: str
    """File and line; empty for a variable of the shell."""


class Environment(NamedTuple):
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
    """True for a probed environment and a list of all that is installed, where an absent
    distribution is not installed; False for pins, where it is simply not said."""
    interpreter: str = ""
    """Path of the target's Python, for the commands that a person is told; empty for pins."""
    builds: Mapping[str, str] = {}
    """What `torch` and its companions were built for (`cpu`, `cu128`), where that is known."""
    system: Mapping[str, str | None] = {}
    """Version of what is not a distribution (`ffmpeg`, `macos`); None where it is known to be
    absent, no entry where nobody looked."""
    duplicates: Mapping[str, tuple[str, ...]] = {}
    """Distributions that one folder holds more than once, with all their versions."""
    signs: Mapping[str, tuple[str, ...]] = {}
    """What was seen beside versions (`missing-files`, `checkpoint-html`), and where."""
    language: str = ""
    """Language that shall be spoken, as XTTS names it (`zh-cn`); empty where nobody asked."""
    ranges: Mapping[str, str] = {}
    """Specifier of the versions that a list allows, of distributions whose version it does not say;
    a constraint allows versions of what may not be there."""
    unlisted: frozenset[str] = frozenset()
    """Distributions that a complete list leaves out even where they are installed."""
    notes: tuple[str, ...] = ()
    """What was read in part only, in a sentence of one line each."""
    patches: tuple[Patch, ...] = ()
    """What an app replaces when Python starts there."""
    places: Mapping[str, str] = {}
    """File and line (`requirements.txt:3`) that name each distribution; empty where it is not a
    list that was read."""

    def lacks(self, name: str) -> bool:
        """Return whether a distribution is known not to be installed."""
        return self.complete and name not in self.packages and name not in self.unlisted

    @property
    def damaged(self) -> frozenset[str]:
        """Distributions of whose files some are missing or changed."""
        seen = (each for sign in DAMAGE for each in self.signs.get(sign, ()))
        return frozenset(map(distribution_of, seen)) & self.packages.keys()


class CapabilityOutcome(NamedTuple):
    """What one run measured for one capability."""

    status: Status
    """`unknown` where the capability was not reached or does not apply."""
    error: str = ""
    """Last line of the error, empty where it worked."""


class Run(NamedTuple):
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
    model: str = "untrained"
    """What spoke: the `untrained` model that TTS's classes were filled with, or the `voice`."""
    tokens: str = ""
    """SHA-256 of the greedy token codes, empty where the run did not speak."""
    runtime_capabilities: Mapping[Capability, CapabilityOutcome] = {}
    """The same with the xcompat runtime; empty where that was not measured."""
    runtime_tokens: str = ""


class Condition(NamedTuple):
    """One alternative of a known issue: it applies where all that is said here holds."""

    packages: Mapping[str, str] = {}
    """Distribution to specifier: `>=4.52`, `*` for any version, `absent` for none."""
    python: str = ""
    """Specifier of the Python version; empty for any."""
    platforms: tuple[str, ...] = ()
    """Platforms, empty for any."""
    minor_mismatch: tuple[str, str] | None = None
    """Two distributions whose major.minor must differ for this to apply."""
    cuda_mismatch: tuple[str, str] | None = None
    """Two distributions of which the second is a CUDA build and the first is of another build."""
    cuda_major_mismatch: tuple[str, str] | None = None
    """The same, where builds for one major version of CUDA go together."""
    system: Mapping[str, str] = {}
    """Name to specifier, as for packages, of what is not a distribution (`ffmpeg`: `absent`)."""
    duplicates: tuple[str, ...] = ()
    """Distributions of which at least one must be installed more than once."""
    damaged: tuple[str, ...] = ()
    """Distributions of which at least one must have files that are missing or changed."""
    signs: tuple[str, ...] = ()
    """Signs of which at least one must have been seen."""
    languages: tuple[str, ...] = ()
    """Languages of which one must have been asked for; empty for any."""


class KnownIssue(NamedTuple):
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
    cause: str
    fixes: tuple[str, ...]
    sources: tuple[str, ...]
    generic: bool = False
    """True where other programs show the same symptoms: what is around them must speak of TTS."""
    aside: bool = False
    """True for a message that ends nothing, or that follows from another error: it is told last."""
    runtime: tuple[Capability, ...] = ()
    """Capabilities that fail as well where xcompat loads the model."""
    patches: tuple[str, ...] = ()
    """What an app replaces, or which variable it sets, to do without the failure: any one does."""


class Row(NamedTuple):
    """A blessed combination, the target of `resolve`, backed by runs."""

    id: str
    title: str
    python: str
    """Specifier of the Python versions."""
    packages: Mapping[str, str]
    platforms: tuple[str, ...]
    capabilities: tuple[Capability, ...]
    runs: tuple[str, ...]


class Trials(NamedTuple):
    """How answers of one kind, about runs that were left out, compare with what was measured."""

    right: int
    wrong: int
    unknown: int
    """There was no answer."""


class Matrix(NamedTuple):
    """Everything that is recorded."""

    runs: tuple[Run, ...]
    rows: tuple[Row, ...]
    issues: tuple[KnownIssue, ...]
    calibration: Mapping[tuple[str, str, str, str], Trials] = {}
    """By what was left out (`versions`), column (`stock`), capability and basis."""


class Finding(NamedTuple):
    """A known issue that applies to an environment."""

    issue: KnownIssue
    packages: tuple[str, ...]
    """The distributions that make it apply, installed or missing."""
    seen: tuple[str, ...] = ()
    """Where its signs were seen: files, folders, environment variables."""


class CapabilityStatus(NamedTuple):
    """What is known of one capability in one environment, and on what basis."""

    status: Status
    basis: Basis
    issues: tuple[str, ...] = ()
    note: str = ""
    """The evidence in one phrase: a run, two brackets, or what is missing."""
    support: tuple[str, ...] = ()
    """Runs that it rests on."""
    trials: Trials | None = None
    """How often such an answer was right; None where that was not tried."""


class Diagnosis(NamedTuple):
    """The doctor's answer."""

    environment: Environment
    needed: tuple[Capability, ...]
    verdict: Verdict
    capabilities: Mapping[Capability, CapabilityStatus]
    findings: tuple[Finding, ...]
    row: str | None = None
    runtime: Mapping[Capability, CapabilityStatus] = {}
    """The same where xcompat loads the model (`runtime="xcompat"`); only what was run so."""
    change_nothing: tuple[Capability, ...] = ()
    """What fails, and works where xcompat loads the model; empty where that is not known to deliver
    all that is needed."""
    assumed: Mapping[str, str | None] = {}
    """Deciding distributions that pins leave out: the version that was assumed, or None."""
    assumed_python: str = ""
    """Python version that was assumed, empty where one is said."""
    patched: Mapping[str, Patch] = {}
    """Known issues that concern the versions and do no harm here, because the app patches them."""
    unpatched: Diagnosis | None = None
    """The answer without these patches; None where there are none."""
    beyond: tuple[str, ...] = ()
    """Deciding distributions in a version beyond all that were run, or a pre-release."""
    outlook: Outlook | None = None
    """What XTTS has of the graphics of this machine; None where nobody looked."""
    ignored: tuple[Finding, ...] = ()
    """Findings that the user does not want to be told; `needed` is without what fails for nothing
    but these."""
