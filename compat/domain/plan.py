"""What `resolve` is asked, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.domain import Capability, Diagnosis, Environment, KnownIssue, Run


ConstraintKind = Literal["keep", "need", "python", "platform"]
Evidence = Literal["row", "run", "elsewhere", "bracketed", "expected", "none"]


class Constraint(NamedTuple):
    """One thing that a plan must hold."""

    kind: ConstraintKind
    name: str
    """A distribution, a capability, a Python version or a platform."""
    specifier: str = ""
    """Of a distribution: the versions that it may have."""


class Change(NamedTuple):
    """What a proposal does to one distribution."""

    name: str
    now: str | None
    """Installed version; None where it is not installed."""
    then: str | None
    """Version afterwards: None where it is uninstalled, empty where the installer chooses."""
    why: str
    uninstall: bool = False
    """It is taken out before anything is installed, even where it comes back."""


class Proposal(NamedTuple):
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
    build: str = ""
    """The build of torch that it asks for, which an index of PyTorch has and not the default one;
    empty where the default index serves."""
    selector: tuple[str, ...] = ()
    """What to keep (`torch==2.9.1`) so that this proposal comes first; empty for the first."""


class Conflict(NamedTuple):
    """Why there is no proposal."""

    constraints: tuple[Constraint, ...]
    """They cannot hold together; without any one of them the others can."""
    issues: tuple[KnownIssue, ...]
    """What is known to stand in the way."""
    ways_out: tuple[tuple[Constraint, Proposal], ...]
    """What to drop, and what is proposed then; the best first."""
    runtime: Run | None = None
    """A run on this platform and Python that holds everything, in which the model did all that is
    needed once xcompat loaded it."""


class Plan(NamedTuple):
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


class Applied(NamedTuple):
    """What `resolve --apply` did."""

    installer: str
    """`uv` or `pip`."""
    changed: Mapping[str, tuple[str | None, str | None]]
    """Distribution to its version before and after; None where it was or is not there."""
    restore_file: str
    restore_commands: tuple[str, ...]
    """What to type to have the versions again that were there before."""
    after: Diagnosis
