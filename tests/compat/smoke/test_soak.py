"""The soak: slopes with their error, and what is said of them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builders.schemas import check
from xcompat.domain.smoke import StageResult
from xcompat.domain.soak import Slope, SoakReport
from xcompat.render.soak import answer, show_soak, soak_as_json
from xcompat.smoke import soak as soaking
from xcompat.smoke.child import ChildOutcome
from xcompat.smoke.request import SmokeRequest

if TYPE_CHECKING:
    from typing import Any

MEBIBYTE = 1 << 20


def held(sentences: int, *, leak: float, warm_up: float = 0.0) -> list[int]:
    """Memory that rises by `warm_up` in the first quarter, and by `leak` a sentence, in MiB."""
    noise = random.Random(1)
    return [
        int(MEBIBYTE * (600 + min(i * 4 / sentences, 1) * warm_up + i * leak + noise.gauss(0, 8)))
        for i in range(sentences)
    ]


@pytest.mark.parametrize("sentences", [40, 120, 500])
def test_what_rises_in_the_warm_up_alone_is_flat(sentences: int) -> None:
    slope = soaking.slope_of(held(sentences, leak=0.0, warm_up=300))
    assert not slope.grows
    assert abs(slope.bytes_per_sentence) < 4 * slope.standard_error
    assert 890 < slope.held_bytes / MEBIBYTE < 910


@pytest.mark.parametrize("leak", [1.0, 4.0])
def test_a_leak_is_told_with_its_size(leak: float) -> None:
    slope = soaking.slope_of(held(500, leak=leak))
    assert slope.grows
    assert abs(slope.bytes_per_sentence / MEBIBYTE - leak) < 4 * slope.standard_error / MEBIBYTE
    assert slope.standard_error < leak * MEBIBYTE / 20


def test_of_too_few_sentences_nothing_is_told() -> None:
    assert not soaking.slope_of(held(18, leak=50)).grows
    assert soaking.slope_of([]).held_bytes == 0.0
    assert soaking.slope_of(held(soaking.FEWEST, leak=50)).grows


def spoken(error: str = "", *, leak: float = 0.0) -> ChildOutcome:
    stages = [
        StageResult(name="device", status="works", seconds=0, details={"device": "mps"}),
        StageResult(name="load", status="works", seconds=0, details={"runtime": "xcompat"}),
    ]
    for bytes_held in held(200, leak=leak):
        told: dict[str, Any] = {
            "speech_seconds": 2.0,
            "host_bytes": 700 * MEBIBYTE,
            "device_bytes": bytes_held,
        }
        stages.append(StageResult(name="soak", status="works", seconds=1, details=told))
    if error:
        stages.append(StageResult(name="soak", status="fails", seconds=0, error=error))
    return ChildOutcome(tuple(stages), {}, died=bool(error))


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (spoken(), "Memory stays flat."),
        (spoken(leak=2.0), "Memory grows with each sentence: GPU."),
        (spoken("out of memory"), "XTTS ended after 200 sentences: soak: out of memory"),
    ],
)
def test_the_verdict_is_of_host_and_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: ChildOutcome, sentence: str
) -> None:
    asked: list[tuple[str, ...]] = []

    def run_stages(_: Path, stages: Any, *__: Any, **___: Any) -> ChildOutcome:
        asked.append(tuple(stages))
        return outcome

    monkeypatch.setattr(soaking, "run_stages", run_stages)
    report = soaking.soak(SmokeRequest(python=Path("python"), wav=tmp_path / "out.wav"), 200)
    assert asked[0].count("soak") == 200
    assert asked[0][:5] == ("import", "device", "load", "condition", "soak")
    flat = sentence == "Memory stays flat."
    assert (answer(report)[0], report.flat) == (sentence, flat)
    assert report.speech_seconds == 400
    assert (report.runtime, report.device) == ("xcompat", "mps")
    assert soak_as_json(report)["flat"] is flat
    check("smoke-soak", json.loads(json.dumps(soak_as_json(report))))


def test_it_is_shown_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    show_soak(
        SoakReport(
            model="voice",
            runtime="xcompat",
            device="cpu",
            sentences=3,
            speech_seconds=6.0,
            host_bytes=(600 * MEBIBYTE, 640 * MEBIBYTE, 640 * MEBIBYTE),
            device_bytes=(),
            host=Slope(1024.0, 2048.0, 640 * MEBIBYTE),
            on_device=None,
        )
    )
    shown = " ".join(capsys.readouterr().out.split())
    assert "Memory stays flat." in shown
    assert "+1.0 KiB a sentence (standard error 2.0) in the second half, at 640 MiB" in shown
    assert "GPU" not in shown
