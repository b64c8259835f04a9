"""How XTTS fares on Apple's GPU, with and without the CPU beside it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from xcompat.domain.smoke import MpsTrial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xcompat.domain.smoke import StageResult

FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"
"""torch reads it once, when it is loaded: each setting needs a process of its own."""
TRIED = ("import", "device", "load", "condition", "tokens", "speak", "stream", "clone")
"""Stages of the second child, which is there to show what the first one's setting changed."""

_WARNED = re.compile(r"The operator '([\w:.]+)' is not currently supported on the MPS backend")


def variables(*, fallback: bool) -> Mapping[str, str]:
    """Return what lets the CPU do, or forbids it to do, what has no kernel on the GPU."""
    return {FALLBACK: "1" if fallback else "0"}


def fallback_allowed() -> bool:
    """Tell whether the surroundings let the CPU do what has no kernel on the GPU."""
    return os.environ.get(FALLBACK, "0") not in {"", "0"}


def trial_of(stages: Sequence[StageResult], *, fallback: bool) -> MpsTrial:
    """Sum up what one child told, also where it was the last thing that it told."""
    failed = next((stage for stage in stages if stage.status == "fails"), None)
    heard = [name for stage in stages for name in stage.fell_back]
    if failed:  # A process that aborts leaves its warnings on stderr alone.
        heard += _WARNED.findall(failed.traceback)
    return MpsTrial(
        fallback=fallback,
        error=f"{failed.name}: {failed.error}" if failed else "",
        fell_back=tuple(dict.fromkeys(heard)),
    )


def other_way_can_differ(trial: MpsTrial) -> bool:
    """Tell whether a second child, with the other setting, can say something new."""
    return bool(trial.fell_back if trial.fallback else trial.error)


def describe(trial: MpsTrial) -> str:
    """Return the outcome of a trial as one sentence."""
    setting = f"{'with' if trial.fallback else 'without'} {FALLBACK}=1"
    outcome = f"it fails at {trial.error}" if trial.error else "it speaks"
    did = f"; the CPU did {', '.join(trial.fell_back)}" if trial.fell_back else ""
    return f"on Apple's GPU {setting} {outcome}{did}"
