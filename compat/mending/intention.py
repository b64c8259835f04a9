"""Decides what `xcompat fix` will do, after everything was looked at that can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcompat.errors import Misuse, Refusal
from xcompat.mending.models import plan_model
from xcompat.mending.values import Intention
from xcompat.resolution.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from xcompat.domain import Environment
    from xcompat.domain.plan import Plan
    from xcompat.mending.journal import Journal


def intend(plan: Plan, model: Path | None, wav: Path, *, exact: bool = False) -> Intention:
    """Return what is to be done: what `resolve` proposes first, solved; and the model read.

    With `exact`, the model's folder is to hold four files and no other.

    Raises:
        Refusal: `XC242`, nothing is known that makes this environment work.
        Misuse: `XC115`, `exact` was asked for and there is no model.
        Refusal, Corruption, CannotLook: as `prepare` and `plan_model`.
    """
    if exact and model is None:
        raise Misuse(
            "XC115", "`--exact` is about a model, and none was found", hint="name its folder"
        )
    proposal = plan.proposals[0] if plan.proposals else None
    if proposal is None and not plan.change_nothing:
        raise Refusal(
            "XC242",
            "nothing that was run makes this environment work; nothing was changed",
            hint="the constraints that cannot hold together are above: drop one with fewer --need,"
            " or make an environment with another Python",
        )
    told = None
    if model is not None:
        needed = proposal is None or proposal.convert
        xcompat_loads = proposal is None
        told = plan_model(model, needed=needed, loads_safetensors=xcompat_loads, exact=exact)
    prepared = prepare(plan, proposal) if proposal and proposal.changes else None
    return Intention(plan, proposal, prepared, told, wav)


def environment_with_tts(folder: Path, found: Iterable[tuple[Path, Environment]]) -> Environment:
    """Return the one environment of a folder that has a TTS.

    Args:
        folder: Where it was looked for.
        found: Environments in it, and where each is.

    Raises:
        Misuse: `XC241`, there is none, or more than one.
    """
    with_tts = [(path, each) for path, each in found if {"TTS", "coqui-tts"} & {*each.packages}]
    if len(with_tts) == 1:
        return with_tts[0][1]
    if with_tts:
        told = "".join(f"\n  xcompat fix --python {path}" for path, _ in with_tts)
        raise Misuse(
            "XC241", f"there are {len(with_tts)} environments with TTS in {folder}",
            hint=f"say which one to mend:{told}",
        )  # fmt: skip
    raise Misuse(
        "XC241",
        f"there is no TTS in the active environment, and none in {folder}",
        hint="say where the app's Python is (xcompat fix --python FOLDER); to put a TTS where there"
        " is none: python -m venv FOLDER, then the same",
    )


def environments_in(folder: Path) -> list[Path]:
    """Return the virtual environments that are folders of a folder."""
    return sorted(path.parent for path in folder.glob("*/pyvenv.cfg"))


def continued(journal: Journal, python: str, checkpoint: Path | None = None) -> Journal:
    """Return the journal of a fix that was ended, to go on with.

    Raises:
        Refusal: `XC249`, it was of another environment or model.
    """
    packages, model = journal.packages, journal.model
    other = (packages and packages.python != python) or (
        model and checkpoint and model.checkpoint != str(checkpoint.absolute())
    )
    if other:
        of = [packages.python] if packages else []
        of += [model.checkpoint] if model else []
        raise Refusal(
            "XC249",
            f"an earlier fix, of {' and '.join(of)}, was ended before it was done",
            hint="go back first: xcompat fix --undo",
        )
    return journal
