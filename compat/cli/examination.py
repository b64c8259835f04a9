"""What `doctor` does with each environment, however many it is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.cli.graphics import graphics_seen_by, mended_by, outlook_for, with_signs_of
from xcompat.diagnosis.doctor import Doctor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xcompat.domain import Capability, Diagnosis, Environment, Matrix
    from xcompat.domain.gpu import Graphics
    from xcompat.environment.gpu import GraphicsProbe
    from xcompat.render.diagnosis import Todo


class Examination:
    """Diagnoses environments by the same knowledge, for the same needs, on the same machine.

    Args:
        known: What is recorded.
        needed: What the verdicts are about.
        ignored: Codes that are not told, nor counted.
        probe: A look at the graphics of this machine that has begun; None where none is wanted.
        strict: Whether only what was run is taken for an answer.
    """

    def __init__(
        self,
        known: Matrix,
        needed: tuple[Capability, ...],
        ignored: frozenset[str],
        probe: GraphicsProbe | None,
        *,
        strict: bool,
    ) -> None:
        self.known = known
        self._needed = needed
        self._ignored = ignored
        self._probe = probe
        self._strict = strict
        self._doctor = Doctor(known)

    def of(
        self, environment: Environment, *, advise: bool = True
    ) -> tuple[Diagnosis, Sequence[Todo]]:
        """Return what is known of an environment, and what to do where something is needed.

        Args:
            environment: Installed, or pins.
            advise: Whether advice is wanted; a plan takes as long as all the rest.
        """
        graphics = graphics_seen_by(self._probe, environment)
        outlook = outlook_for(graphics, environment)
        seen = with_signs_of(outlook, environment)
        found = self._doctor.diagnose(seen, self._needed, strict=self._strict)
        findings = mended_by(outlook, found.findings)
        found = found._replace(outlook=outlook, findings=findings)
        if self._ignored:
            from xcompat.diagnosis.ignoring import without

            found = without(found, self._ignored)
        if not advise or found.verdict != "incompatible":
            return found, ()
        return found, self._todo(environment, found.needed, graphics)

    def _todo(
        self,
        environment: Environment,
        needed: tuple[Capability, ...],
        graphics: Graphics | None,
    ) -> Sequence[Todo]:
        """Return what `resolve` proposes first: the doctor has no other advice."""
        from xcompat.cli.demanded import demands_of
        from xcompat.cli.graphics import for_graphics
        from xcompat.domain.plan import Constraint
        from xcompat.render.plan import first_commands
        from xcompat.resolution.resolve import plan

        wanted = [Constraint(kind="need", name=name) for name in needed]
        planned = plan(environment, self.known, (*demands_of(environment), *wanted), self._doctor)
        return first_commands(for_graphics(graphics, planned))
