"""Lets a plan install the build of torch that the graphics card of the machine needs: pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xcompat.diagnosis.gpu import build_for
from xcompat.domain.plan import Change

if TYPE_CHECKING:
    from xcompat.domain.gpu import GpuData, Outlook
    from xcompat.domain.plan import Plan, Proposal


def with_builds(plan: Plan, outlook: Outlook, data: GpuData) -> Plan:
    """Return the plan for the machine with that outlook.

    A torch that is installed anew is of the build that its card needs, where the default index
    gives another. One that stays and does not use the card stays, and what to type is noted.
    """
    return plan._replace(
        proposals=tuple(_with_build(each, plan, outlook, data) for each in plan.proposals),
    )


def _with_build(proposal: Proposal, plan: Plan, outlook: Outlook, data: GpuData) -> Proposal:
    change = next((each for each in proposal.changes if each.name == "torch"), None)
    if change is None:
        if not outlook.command:
            return proposal
        note = f"the graphics card is not used: {outlook.why}; {outlook.command}"
        return proposal._replace(notes=(*proposal.notes, note))
    torch = change.then or ""
    if not torch or "+" in torch:
        return proposal
    audio = (proposal.result.environment.packages.get("torchaudio") or "").partition("+")[0]
    build = build_for(torch, audio, plan.environment.platform, outlook.graphics, data)
    if not build or outlook.card is None:
        return proposal
    built = {"torch": f"{torch}+{build}"} | ({"torchaudio": f"{audio}+{build}"} if audio else {})
    requirements = [
        f"{name}=={built[name]}" if (name := _name(each)) in built else each
        for each in proposal.requirements
    ]
    changes = [c._replace(then=built.get(c.name, c.then)) for c in proposal.changes]
    if audio and not any(each.name == "torchaudio" for each in changes):
        requirements.append(f"torchaudio=={built['torchaudio']}")
        changes.append(
            Change(
                name="torchaudio",
                now=plan.environment.packages.get("torchaudio"),
                then=built["torchaudio"],
                why="torch and torchaudio must be of one build",
            )
        )
    return proposal._replace(
        build=build,
        requirements=tuple(requirements),
        changes=tuple(changes),
        notes=(*proposal.notes, f"{build} is the build for {outlook.card.called}"),
    )


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~ \[]", requirement, maxsplit=1)[0]
