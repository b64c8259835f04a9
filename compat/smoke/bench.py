"""Measure how fast a model speaks in a target environment, and in which other ways it could."""

from __future__ import annotations

import datetime
import math
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xcompat.domain.bench import BenchReport, Contestant, Machine, Measured
from xcompat.smoke.child import ChildOutcome, run_stages
from xcompat.smoke.report import BUILT_IN, name_issue
from xcompat.smoke.request import (
    DEFAULT_TEXT,
    check_model,
    check_recording,
    loads_in_stock,
)
from xcompat.smoke.run_line import without_machine_paths
from xcompat.smoke.voice import LANGUAGE, make_voice
from xcompat.target.machine import cores, processor_name
from xcompat.target.stages import STREAM_CHUNK_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from xcompat.domain import Environment, KnownIssue
    from xcompat.domain.gpu import Graphics
    from xcompat.domain.smoke import StageResult

FIRST = "xcompat"
"""The contestant that is always there."""
RIVALS = ("stock", "bfloat16", "float16", "int8")
"""What it can be held against."""
_WAYS = {FIRST: "float32"}
"""How the target calls a contestant, where it calls it otherwise."""
_LOADS = 3
_TOGETHER = {"cpu": 4}
"""Sentences of a batch by device, where nobody asked for a number."""
_TOGETHER_ELSEWHERE = 32
_NEEDED = ("import", "device", "condition")
"""Stages without which those by turns are none."""
_TOLD = ("TTS", "coqui-tts", "torch", "transformers", "numba", "triton")
_DRIVERS = {"cuda": ("nvidia", "amd")}


class BenchRequest(NamedTuple):
    """What to measure."""

    python: Path
    """Interpreter of the target environment."""
    model: Path | None = None
    """Converted folder; None for the voice that ships."""
    device: str = "auto"
    against: tuple[str, ...] = ()
    """Some of `RIVALS`."""
    speaker_wav: Path | None = None
    rounds: int = 3
    together: int | None = None
    """Sentences of the batch; None for what suits the device."""


class _Trial(NamedTuple):
    """How a contestant fared alone in a process."""

    name: str
    stages: tuple[StageResult, ...]

    @property
    def way(self) -> str:
        """How the target calls it."""
        return _WAYS.get(self.name, self.name)

    @property
    def failed(self) -> StageResult | None:
        return next((stage for stage in self.stages if stage.status == "fails"), None)

    def told(self, stage: str) -> list[Mapping[str, Any]]:
        """Return the details of each time that a stage worked."""
        return [s.details for s in self.stages if s.name == stage and s.status == "works"]


def bench(
    request: BenchRequest,
    environment: Environment,
    issues: Sequence[KnownIssue],
    look: Callable[[], Graphics | None] = lambda: None,
    on_begin: Callable[[str], None] = lambda _: None,
) -> BenchReport:
    """Let each contestant speak alone in a process, then all in one, by turns.

    Args:
        request: What to measure.
        environment: What the target is made of.
        issues: Known issues, to explain why a contestant has no figures.
        look: Tells of the graphics card of this machine, after all has been measured.
        on_begin: Called with the name of each stage.

    Raises:
        CannotLook: The interpreter cannot be started or an input is missing (XC301, XC302).
        Refusal: The model folder is not converted (XC303).
    """
    if request.model:
        check_model(request.model)
    check_recording(request.speaker_wav)
    load_before = _load_average()
    with tempfile.TemporaryDirectory(prefix="xcompat-bench-") as name:
        scratch = Path(name)
        asked = _child_request(request, scratch)

        def make() -> None:
            if not request.model and not (scratch / "checksums.json").is_file():
                make_voice(scratch)

        def run(
            stages: Sequence[str], optional: Sequence[str] = (), runtime: str = "xcompat"
        ) -> ChildOutcome:
            told = {**asked, "runtime": runtime}
            after = {"import": make}
            return run_stages(
                request.python, stages, told, optional=optional, after=after, on_begin=on_begin
            )

        trials = [_alone(contestant, run) for contestant in (FIRST, *request.against)]
        fit = [trial for trial in trials if trial.failed is None]
        lead = next(iter(fit), trials[0])
        device = str(lead.told("device")[0]["device"]) if lead.told("device") else request.device
        together = request.together or _TOGETHER.get(device, _TOGETHER_ELSEWHERE)
        asked["together"] = together
        stages = tuple(_by_turns([trial.way for trial in fit], request.rounds))
        optional = [stage for stage in stages if stage not in _NEEDED]
        turns = _Turns(run(stages, optional).stages if fit else ())
    return BenchReport(
        date=f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}",
        model=request.model.resolve().name if request.model else BUILT_IN,
        text=DEFAULT_TEXT,
        chunk_tokens=STREAM_CHUNK_TOKENS,
        together=together,
        machine=_machine(lead, device, environment, look(), load_before),
        contestants=tuple(_contestant(trial, turns, trials[0], issues) for trial in trials),
        **_spoken(lead, turns),
    )


def _child_request(request: BenchRequest, scratch: Path) -> dict[str, Any]:
    model = request.model.resolve() if request.model else scratch / "converted"
    stock_folder = not request.model or loads_in_stock(model)
    return {
        "device": request.device,
        "model": str(model),
        "stock_folder": str(model) if stock_folder else "",
        "text": DEFAULT_TEXT,
        "language": LANGUAGE,
        "speaker_wav": str(request.speaker_wav.resolve()) if request.speaker_wav else None,
        "together": 1,
    }


def _alone(contestant: str, run: Callable[..., ChildOutcome]) -> _Trial:
    """Let one contestant load, speak and stream in a fresh process, then load again."""
    way = _WAYS.get(contestant, contestant)
    load = f"contestant {way}"
    speak = ("condition", f"sentence {way}", f"first-audio {way}", "peak")
    stages = ("import", "device", load, *speak, *[load] * (_LOADS - 1))
    # Stock is to meet what it would meet without us: no stand-in for what TTS does not find.
    outcome = run(stages, runtime="stock" if contestant == "stock" else "xcompat")
    return _Trial(contestant, outcome.stages)


def _by_turns(ways: Sequence[str], rounds: int) -> Iterator[str]:
    """Yield the stages of a process in which all contestants do the same by turns.

    Who begins, changes with each round. The first round warms up.
    """
    yield from ("import", "device", *(f"contestant {way}" for way in ways), "condition")
    for index in range(rounds + 1):
        order = ways if index % 2 else ways[::-1]
        for act in ("sentence", "first-audio"):
            yield from (f"{act} {way}" for way in order)
        yield from (f"batch {way}" for way in order if way != "stock")
        yield "memory-speed"


class _Turns:
    """What was measured by turns, the first round left out."""

    def __init__(self, stages: Sequence[StageResult]) -> None:
        self.stages = stages

    def rounds(self, act: str, way: str = "") -> list[Mapping[str, Any]]:
        """Return what each round told of an act."""
        name = f"{act} {way}".strip()
        return [s.details for s in self.stages if s.name == name and s.status == "works"][1:]

    def failed(self, way: str) -> StageResult | None:
        """Return where a contestant failed."""
        return next(
            (s for s in self.stages if s.status == "fails" and s.name.endswith(f" {way}")), None
        )

    def memory_speeds(self) -> list[float]:
        """Return bytes a second, of each round."""
        return [float(max(told["copy"], told["sum"])) for told in self.rounds("memory-speed")]


def _contestant(
    trial: _Trial, turns: _Turns, first: _Trial, issues: Sequence[KnownIssue]
) -> Contestant:
    failed = trial.failed or turns.failed(trial.way)
    sentences = turns.rounds("sentence", trial.way)
    if failed is None and not sentences:
        # Whoever died in the process of all of them has taken this one along.
        failed = next(stage for stage in turns.stages if stage.status == "fails")
    if failed is not None:
        named = name_issue(failed, issues)
        return Contestant(trial.name, error=without_machine_paths(named.error), issue=named.issue)
    figures = _figures(trial, turns)
    loaded = trial.told(f"contestant {trial.way}")[0]
    its = turns.rounds("sentence", first.way)
    compared = trial is not first and first.failed is None and bool(its)
    return Contestant(
        name=trial.name,
        kernel=str(loaded["kernel"]),
        loaded_by=str(loaded["by"]),
        same_tokens=len({t["checksum"] for t in (*sentences, *its)}) == 1 if compared else None,
        figures=figures,
        times=_times(figures, _figures(first, turns)) if compared else {},
    )


def _figures(trial: _Trial, turns: _Turns) -> dict[str, Measured]:
    way = trial.way
    loads = trial.told(f"contestant {way}")
    sentences = turns.rounds("sentence", way)
    token_seconds = [
        (each["decode_seconds"] - each["first_token_seconds"]) / max(each["tokens"] - 1, 1)
        for each in sentences
    ]
    if any(seconds <= 0 for seconds in token_seconds):  # too few tokens for a busy machine
        token_seconds = []
    weights = float(loads[0]["bytes_per_token"])
    speeds = turns.memory_speeds()
    batch = turns.rounds("batch", way)
    (peak,) = trial.told("peak")
    # Where xcompat had to load for stock, the time is not stock's.
    own_load = trial.name != "stock" or loads[0]["by"] == "load_checkpoint"
    found: dict[str, Sequence[float]] = {
        "load_seconds": [each["load_seconds"] for each in loads] if own_load else [],
        "first_token_seconds": [each["first_token_seconds"] for each in sentences],
        "token_seconds": token_seconds,
        "sentence_seconds": [each["seconds"] for each in sentences],
        "real_time_factor": [each["seconds"] / each["speech_seconds"] for each in sentences],
        "first_audio_seconds": [each["seconds"] for each in turns.rounds("first-audio", way)],
        "batch_seconds": [each["seconds"] for each in batch],
        "batch_real_time_factor": [each["seconds"] / each["speech_seconds"] for each in batch],
        "bytes_per_token": [weights],
        "share_of_memory_speed": [
            weights / seconds / speed for seconds, speed in zip(token_seconds, speeds, strict=False)
        ],
        **{f"peak_{name}": [float(held)] for name, held in peak.items()},
    }
    return {name: Measured.of(tuple(values)) for name, values in found.items() if values}


_COMPARED = (
    *("load_seconds", "first_token_seconds", "token_seconds", "sentence_seconds"),
    *("first_audio_seconds", "batch_seconds", "peak_host_bytes", "peak_device_bytes"),
)


def _times(mine: Mapping[str, Measured], firsts: Mapping[str, Measured]) -> dict[str, float]:
    """Return for each figure the median of how many times as much it is, round by round."""
    pairs = {
        name: [a / b for a, b in zip(mine[name].all, firsts[name].all, strict=False) if b > 0]
        for name in _COMPARED
        if name in mine and name in firsts
    }
    return {name: statistics.median(ratios) for name, ratios in pairs.items() if ratios}


def _spoken(lead: _Trial, turns: _Turns) -> dict[str, Any]:
    """Return what the report tells of the model and of what it said."""
    loaded = next(iter(lead.told(f"contestant {lead.way}")), {})
    rounds = turns.rounds("sentence", lead.way)
    spoken = next(iter(rounds), {})
    speeds = tuple(turns.memory_speeds())
    return {
        "parameters": int(loaded.get("parameters", 0)),
        "speech_seconds": float(spoken.get("speech_seconds", 0.0)),
        "tokens": int(spoken.get("tokens", 0)),
        "rounds": len(rounds),
        "memory_speed": Measured.of(speeds) if speeds else None,
    }


def _machine(
    lead: _Trial,
    device: str,
    environment: Environment,
    graphics: Graphics | None,
    load_before: float,
) -> Machine:
    chosen = next(iter(lead.told("device")), {})
    loaded = next(iter(lead.told(f"contestant {lead.way}")), {})
    imported = next(iter(lead.told("import")), {})
    drivers = graphics.drivers if graphics else {}
    driver = next((drivers[v] for v in _DRIVERS.get(device, ()) if v in drivers), "")
    if device == "mps":
        driver = environment.system.get("macos") or ""
    packages = {name: environment.packages[name] for name in _TOLD if name in environment.packages}
    if "torch" in imported:  # with the build behind it
        packages["torch"] = str(imported["torch"])
    return Machine(
        processor=processor_name(),
        cores=cores(),
        threads=int(loaded.get("threads", 0)),
        platform=environment.platform,
        device=device,
        gpu="" if device in {"cpu", "auto"} else str(chosen.get("name", "")),
        driver=driver,
        python=environment.python,
        packages=packages,
        load_before=load_before,
        load_after=_load_average(),
    )


def _load_average() -> float:
    """Return how many processes wanted to run in the last minute; NaN where nobody counts them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
