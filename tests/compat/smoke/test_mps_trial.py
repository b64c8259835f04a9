"""On Apple's GPU: two children, what the CPU did for it, aborts survived; with stand-ins."""

from __future__ import annotations

import json
import sys
import types
import warnings
from typing import TYPE_CHECKING

import pytest

from builders.smoked import ANSWERS
from xcompat.cli import asked
from xcompat.environment import probe
from xcompat.matrix.load import load_matrix
from xcompat.smoke.mps_trial import FALLBACK
from xcompat.smoke.request import SmokeRequest
from xcompat.smoke.smoke import run_smoke
from xcompat.target import fallback

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Done
    from xcompat.domain.smoke import SmokeReport

WARNING = (
    "UserWarning: The operator 'aten::_fft_r2c' is not currently supported on the MPS backend and "
    "will fall back to run on the CPU. This may have performance implications."
)
GPU = """
import json, os, sys, wave
request, answers = json.loads(sys.argv[-1]), json.load(open({answers!r}))
behaviour, fallback = {behaviour!r}, os.environ[{variable!r}] == "1"
fell_back = []
for stage in map(str.strip, sys.stdin):
    print(json.dumps({{"event": "begin", "stage": stage}}), flush=True)
    error = ""
    if stage == "speak":
        if behaviour == "aborts":
            print({warning!r}, file=sys.stderr)
            print("failed assertion `Error: MLIR pass manager failed'", file=sys.stderr, flush=True)
            os.abort()
        if behaviour == "lacks" and not fallback:
            error = ("NotImplementedError: The operator 'aten::_fft_r2c' is not currently "
                     "implemented for the MPS device.")
        elif behaviour == "lacks":
            fell_back.append("aten::_fft_r2c")
        with wave.open(request["wav"], "wb") as file:
            file.setparams((1, 2, 24_000, 0, "NONE", ""))
            file.writeframes(bytes(2000))
        answers[stage]["wav"] = request["wav"]
    if stage == "picture":
        open(request["picture"], "wb").write(b"picture")
        answers[stage]["picture"] = request["picture"]
    end = {{"event": "end", "stage": stage, "seconds": 0.5, "fell_back": fell_back}}
    end.update({{"status": "fails", "error": error}} if error
               else {{"status": "works", "details": answers[stage]}})
    print(json.dumps(end), flush=True)
print(json.dumps({{"event": "memory"}}), flush=True)
"""


def speak(folder: Path, behaviour: str, device: str = "mps") -> SmokeReport:
    """Smoke on a GPU that `works`, `lacks` a kernel that the CPU has, or `aborts`."""
    told = {**ANSWERS, "device": {"device": device, "reason": f"auto chose {device}"}}
    answers, player, python = (folder / name for name in ("answers.json", "player.py", "python"))
    answers.write_text(json.dumps(told))
    player.write_text(
        GPU.format(answers=str(answers), behaviour=behaviour, variable=FALLBACK, warning=WARNING)
    )
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{player}" "$@"\n')
    python.chmod(0o755)
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").touch()
    request = SmokeRequest(python=python, model=folder / "model", wav=folder / "speech.wav")
    return run_smoke(request, load_matrix().issues)


def test_what_needs_no_fallback_is_run_once(tmp_path: Path) -> None:
    (trial,) = speak(tmp_path, "works").mps
    assert (trial.fallback, trial.error, trial.fell_back) == (False, "", ())


def test_a_missing_kernel_fails_and_a_second_child_shows_what_the_cpu_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FALLBACK, raising=False)
    report = speak(tmp_path, "lacks")
    assert report.verdict == "fails"
    without, beside = report.mps
    assert (without.fallback, without.fell_back) == (False, ())
    assert without.error.startswith("speak: NotImplementedError")
    assert (beside.fallback, beside.error, beside.fell_back) == (True, "", ("aten::_fft_r2c",))
    assert report.notes[-1] == (
        "on Apple's GPU with PYTORCH_ENABLE_MPS_FALLBACK=1 it speaks; the CPU did aten::_fft_r2c"
    )


def test_who_allows_the_fallback_is_told_what_fell_back_and_what_fails_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FALLBACK, "1")
    report = speak(tmp_path, "lacks")
    beside, without = report.mps
    assert (beside.fallback, beside.fell_back) == (True, ("aten::_fft_r2c",))
    assert without.error.startswith("speak: NotImplementedError")
    # The sound is that of the run that was asked for: the second child writes elsewhere.
    assert report.outputs["wav"] == str(tmp_path / "speech.wav")


def test_an_abort_is_survived_and_what_fell_back_before_it_is_told(tmp_path: Path) -> None:
    report = speak(tmp_path, "aborts")
    assert report.verdict == "fails"
    assert [trial.error for trial in report.mps] == [
        "speak: the interpreter was killed by SIGABRT"
    ] * 2
    assert report.mps[0].fell_back == ("aten::_fft_r2c",)


def test_elsewhere_than_on_apples_gpu_there_are_no_trials(tmp_path: Path) -> None:
    assert speak(tmp_path, "works", device="cpu").mps == ()


def test_the_child_hears_each_operator_once_and_lets_other_warnings_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    always: list[bool] = []
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(set_warn_always=always.append))
    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monkeypatch.setattr(
            warnings, "showwarning", lambda message, *_args, **_kwargs: shown.append(str(message))
        )
        operators = fallback.listen()
        for name in ("aten::_fft_r2c", "aten::isin.Tensor_Tensor_out", "aten::_fft_r2c"):
            warnings.warn(WARNING.partition(": ")[2].replace("aten::_fft_r2c", name), stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    assert always == [True]
    assert operators == ["aten::_fft_r2c", "aten::isin.Tensor_Tensor_out"]
    assert len(shown) == 2


@pytest.mark.parametrize(
    ("device", "platform", "limits"),
    [
        ("mps", "macosx-arm64", True),
        ("auto", "macosx-arm64", True),
        ("cpu", "macosx-arm64", False),
        ("auto", "linux-x86_64", False),
    ],
)
def test_on_a_mac_macos_and_the_limits_are_told_before_the_run(
    run: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    device: str,
    platform: str,
    *,
    limits: bool,
) -> None:
    mac = probe.environment_of()._replace(
        platform=platform,
        packages={"TTS": "0.22.0", "torch": "2.9.1"},
        system={"macos": "14.5"},
    )
    for module in (probe, asked):
        monkeypatch.setattr(module, "environment_of", lambda _: mac)
    done = run("smoke", "--device", device, "--json", "-o", str(tmp_path / "speech.wav"))
    told = " ".join(done.stderr.split())
    assert (
        "note: foretold for Apple's GPU, torch 2.9.1 and macOS 14.5: there are obstacles" in told
    ) is limits
    assert ("a convolution refuses more than 65,536 samples" in told) is limits
    assert ("a reference recording longer than 4.1 s" in told) is limits
    notes = json.loads(done.stdout)["notes"]
    assert any("65,536" in note for note in notes) is limits
