"""What the graphics of this machine mean to an environment, for the commands that ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.domain.gpu import Outlook
from xcompat.environment.platforms import this_platform

if TYPE_CHECKING:
    from xcompat.domain import Environment, Finding
    from xcompat.domain.gpu import Graphics
    from xcompat.domain.plan import Plan
    from xcompat.environment.gpu import GraphicsProbe


def begin_to_look(platform: str | None = None) -> GraphicsProbe | None:
    """Begin to look at the graphics of this machine, or do not, where another platform is meant."""
    if platform is not None and not _is_here(platform):
        return None
    from xcompat.environment.gpu import GraphicsProbe

    return GraphicsProbe()


def graphics_seen_by(probe: GraphicsProbe | None, environment: Environment) -> Graphics | None:
    """Return what a look found, or None where nobody looked or `environment` is of elsewhere."""
    return probe.found() if probe and _is_here(environment.platform) else None


def outlook_for(graphics: Graphics | None, environment: Environment) -> Outlook | None:
    """Return what the graphics mean to `environment`; None where nobody looked."""
    if graphics is None:
        return None
    if not graphics.cards:
        return Outlook(graphics, why="no graphics card was seen", build="cpu")
    from xcompat.diagnosis.gpu import outlook_of
    from xcompat.matrix.gpu import load_gpu

    return outlook_of(environment, graphics, load_gpu())


def with_signs_of(outlook: Outlook | None, environment: Environment) -> Environment:
    """Return the environment with what known issues of graphics cards go by."""
    if outlook is None or not outlook.signs:
        return environment
    return environment._replace(signs={**environment.signs, **outlook.signs})


def for_graphics(graphics: Graphics | None, plan: Plan) -> Plan:
    """Return the plan with the build of torch that the graphics of this machine need."""
    if graphics is None or not graphics.cards:
        return plan
    from xcompat.diagnosis.gpu import outlook_of
    from xcompat.matrix.gpu import load_gpu
    from xcompat.resolution.builds import with_builds

    data = load_gpu()
    return with_builds(plan, outlook_of(plan.environment, graphics, data), data)


def mended_by(outlook: Outlook | None, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return findings with what to type on this machine, in place of what is general."""
    if outlook is None:
        return findings
    return tuple(_mended_by(outlook, each) for each in findings)


def _mended_by(outlook: Outlook, finding: Finding) -> Finding:
    issue = finding.issue
    signs = {sign for condition in issue.conditions for sign in condition.signs}
    if signs.isdisjoint(outlook.signs):
        return finding
    if outlook.command and outlook.sign in signs:
        return finding._replace(issue=issue._replace(fixes=(outlook.command,)))
    # The doctor has looked: that it be asked is advice for who reads of the issue elsewhere.
    fixes = tuple(fix for fix in issue.fixes if not fix.startswith("xcompat doctor"))
    return finding._replace(issue=issue._replace(fixes=fixes))


def foretell(environment: Environment, device: str) -> tuple[str, ...]:
    """Tell on stderr what is known of a graphics card that may be used, before it is tried.

    Args:
        environment: The target.
        device: What was asked for: `auto`, `mps`, `cuda` or `cpu`.

    Returns:
        The sentences that were told.
    """
    from xcompat.render.text import show_warning

    if environment.platform.startswith("macosx"):
        foretold = mps_in_short(environment) if device in {"auto", "mps"} else ()
    else:
        foretold = _of_card(environment) if device in {"auto", "cuda"} else ()
    for sentence in foretold:
        show_warning(sentence)
    return foretold


def _of_card(environment: Environment) -> tuple[str, ...]:
    """Return why the graphics card of this machine will not be taken, where that is known."""
    from xcompat.render.diagnosis import command_in
    from xcompat.render.gpu import in_short

    graphics = graphics_seen_by(begin_to_look(), environment)
    outlook = outlook_for(graphics, environment)
    return in_short(outlook, command_in(outlook.command, environment)) if outlook else ()


def mps_in_short(environment: Environment) -> tuple[str, ...]:
    """Return what is known of Apple's GPU with an environment, in sentences."""
    from xcompat.cli.asked import releases_of
    from xcompat.diagnosis.preflight import predict
    from xcompat.matrix.mps import load_mps
    from xcompat.render.preflight import in_short

    return in_short(predict(*releases_of(environment), load_mps()))


def _is_here(platform: str) -> bool:
    """Return whether a platform is of the system that xcompat runs on, whatever its processor."""
    return platform.partition("-")[0] == this_platform().partition("-")[0]
