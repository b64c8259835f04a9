"""What `xcompat fix` is about to do, and what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from xcompat.converters.report import Conversion
    from xcompat.domain.plan import Applied, Plan, Proposal
    from xcompat.domain.smoke import SmokeReport
    from xcompat.resolution.prepare import Prepared

Way = Literal["in place", "beside", "as it is"]


class ModelPlan(NamedTuple):
    """What happens to a model."""

    path: Path
    """The folder or the checkpoint that was given or found."""
    checkpoint: Path
    way: Way
    why: str
    """Why it goes this way, in one phrase."""
    folder: Path
    """Where the model is afterwards, for an app to load."""
    conversion: Conversion | None
    """What a dry run told; None where nothing is converted."""
    copied: bool = False
    """Whether it is heard from a converted copy that is thrown away: it stays pickled."""


class Intention(NamedTuple):
    """All that can be known before the first change."""

    plan: Plan
    proposal: Proposal | None
    """None where the packages stay and xcompat must load the model."""
    prepared: Prepared | None
    """What the installer will do; None where no package changes."""
    model: ModelPlan | None
    """None where there is no model: a tiny built-in one is heard."""
    wav: Path
    """Where the sound goes."""

    @property
    def changes_something(self) -> bool:
        """Whether anything is changed at all."""
        return self.prepared is not None or bool(self.model and self.model.conversion)


class Mended(NamedTuple):
    """What was done."""

    applied: Applied | None
    conversion: Conversion | None
    report: SmokeReport


class Standing(NamedTuple):
    """How far what a journal tells of has come."""

    packages: Literal["not to be changed", "as before", "half changed", "changed"]
    model: Literal["not to be converted", "as before", "converted"]
