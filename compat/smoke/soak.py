"""Many sentences, one after the other: what they leave in memory."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.domain.soak import Slope, SoakReport
from xcompat.smoke.child import run_stages
from xcompat.smoke.request import check_request
from xcompat.smoke.smoke import child_request
from xcompat.smoke.voice import MODEL, make_voice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xcompat.smoke.request import SmokeRequest

FEWEST = 20
"""Sentences that a slope is asked of: ten groups of the second half, and one each."""
_GROUPS = 10


def soak(
    request: SmokeRequest, sentences: int, on_begin: Callable[[str], None] = lambda _: None
) -> SoakReport:
    """Let the target speak that many sentences of different lengths, in one process.

    Raises:
        CannotLook: The interpreter cannot be started or an input is missing (XC301, XC302).
        Refusal: The model folder is not converted (XC303).
    """
    check_request(request)
    with tempfile.TemporaryDirectory(prefix="xcompat-soak-") as name:
        scratch = Path(name)
        outcome = run_stages(
            request.python,
            ("import", "device", "load", "condition", *["soak"] * sentences),
            child_request(request, scratch),
            after={} if request.model else {"import": lambda: make_voice(scratch)},
            on_begin=on_begin,
        )
    works = {stage.name: stage.details for stage in outcome.stages if stage.status == "works"}
    spoken = [s.details for s in outcome.stages if s.name == "soak" and s.status == "works"]
    host = tuple(int(each["host_bytes"]) for each in spoken)
    on_device = tuple(int(each["device_bytes"]) for each in spoken if "device_bytes" in each)
    failed = [f"{s.name}: {s.error}" for s in outcome.stages if s.status == "fails"]
    return SoakReport(
        model=str(request.model or MODEL),
        runtime=str(works.get("load", {}).get("runtime", request.runtime)),
        device=str(works.get("device", {}).get("device", request.device)),
        sentences=len(spoken),
        speech_seconds=sum(float(each["speech_seconds"]) for each in spoken),
        host_bytes=host,
        device_bytes=on_device,
        host=slope_of(host),
        on_device=slope_of(on_device) if on_device else None,
        error="; ".join(failed),
    )


def slope_of(held: Sequence[int]) -> Slope:
    """Return how memory goes on in the second half of what was measured, by least squares.

    What one sentence leaves, the next one often takes: neighbours are not independent. So means of
    ten groups of neighbours are taken for the points, and the error is that of their line.
    """
    later = held[len(held) // 2 :]
    size = len(later) // _GROUPS
    if size == 0:
        return Slope(0.0, float("inf"), statistics.fmean(held) if held else 0.0)
    later = later[len(later) - size * _GROUPS :]
    points = [statistics.fmean(later[i * size : (i + 1) * size]) for i in range(_GROUPS)]
    middles = [(i - (_GROUPS - 1) / 2) * size for i in range(_GROUPS)]
    spread = sum(x * x for x in middles)
    mean = statistics.fmean(points)
    slope = sum(x * y for x, y in zip(middles, points, strict=True)) / spread
    left = sum((y - mean - slope * x) ** 2 for x, y in zip(middles, points, strict=True))
    return Slope(slope, (left / (_GROUPS - 2) / spread) ** 0.5, mean)
