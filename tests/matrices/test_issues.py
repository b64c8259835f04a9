"""What the shipped issues say of environments and of errors that people met."""

import re

import pytest

from xcompat.diagnosis.doctor import diagnose
from xcompat.diagnosis.explain import explain, of_code
from xcompat.domain import SIGNS, Environment
from xcompat.matrix.load import load_matrix
from xcompat.render.issue import _SIGNS, condition_text, show_explained

MATRIX = load_matrix()
T22 = {"TTS": "0.22.0", "torch": "2.5.1", "torchaudio": "2.5.1", "transformers": "4.40.2",
       "six": "1.17.0", "trainer": "0.0.36", "coqpit": "0.0.17", "pandas": "1.5.3"}  # fmt: skip
C28 = {"coqui-tts": "0.28.0", "torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.57.6",
       "six": "1.17.0", "coqui-tts-trainer": "0.4.0", "coqpit-config": "0.2.5"}  # fmt: skip


def errors(base, packages=None, **fields):
    merged = {k: v for k, v in {**base, **(packages or {})}.items() if v is not None}
    here = Environment(
        **{
            "python": "3.11.7",
            "platform": "linux-x86_64",
            "packages": merged,
            "source": "",
            **fields,
        }
    )
    return {
        finding.issue.code
        for finding in diagnose(here, MATRIX).findings
        if finding.issue.severity == "error"
    }


@pytest.mark.parametrize(
    ("base", "packages", "fields", "expected"),
    [
        (T22, {}, {}, {"XC033"}),
        (C28, {}, {}, set()),
        (T22, {"torch": "2.6.0", "torchaudio": "2.6.0"}, {}, {"XC001", "XC033"}),
        (T22, {"transformers": "4.51.3"}, {}, {"XC006", "XC033"}),
        (T22, {"transformers": "4.52.1"}, {}, {"XC003", "XC006", "XC033"}),
        (T22, {"transformers": "4.57.0"}, {}, {"XC002", "XC003", "XC006", "XC033"}),
        (T22, {}, {"python": "3.12.0"}, {"XC022", "XC033"}),
        (T22, {"numpy": "2.1.0", "pandas": "1.5.3"}, {}, {"XC031", "XC033"}),
        (C28, {"six": None}, {}, {"XC024"}),
        (C28, {"torch": None}, {}, {"XC026"}),
        (C28, {"torchaudio": None}, {}, {"XC025"}),
        (C28, {"transformers": None}, {}, {"XC027"}),
        (C28, {"transformers": "4.51.3"}, {}, {"XC007", "XC008", "XC050"}),
        (C28, {"transformers": "4.56.2"}, {}, {"XC007", "XC050"}),
        (C28, {"torch": "2.9.1", "torchaudio": "2.9.1"}, {}, {"XC012", "XC013", "XC570"}),
        (C28, {"torch": "2.9.1", "torchaudio": "2.9.1", "torchcodec": "0.9.1"}, {}, set()),
        (C28, {"torch": "2.9.1", "torchaudio": "2.9.1", "torchcodec": "0.10.0"}, {}, {"XC016"}),
        (
            C28,
            {"torch": "2.9.1", "torchaudio": "2.9.1", "torchcodec": "0.9.1"},
            {"system": {"ffmpeg": None}},
            {"XC014"},
        ),
        (C28, {"torch": "2.15.0", "torchaudio": "2.11.0", "torchcodec": "0.17.0"}, {}, set()),
        (C28, {"torch": "2.7.1"}, {}, {"XC017", "XC052"}),
        (C28, {}, {"builds": {"torch": "cpu", "torchaudio": "cu128"}}, {"XC018"}),
        (
            C28,
            {"torch": "2.11.0", "torchaudio": "2.11.0", "torchcodec": "0.11.0"},
            {"builds": {"torch": "cpu", "torchaudio": "cpu", "torchcodec": "cu130"}},
            {"XC608"},
        ),
        (
            C28,
            {"torch": "2.15.0", "torchcodec": "0.17.0", "torchaudio": "2.11.0"},
            {"builds": {"torch": "cu132", "torchaudio": "cu132", "torchcodec": "cu130"}},
            set(),
        ),
        (C28, {"coqpit": "0.0.17"}, {}, {"XC020"}),
        (C28, {"coqui-tts": "0.27.4", "transformers": "5.0.0"}, {}, {"XC011", "XC033"}),
        (C28, {"coqui-tts": "0.27.5", "transformers": "5.1.0"}, {}, {"XC010", "XC033"}),
        (C28, {"coqui-tts": "0.26.1", "transformers": "4.52.4"}, {}, {"XC005", "XC033"}),
        (C28, {"coqui-tts": "0.25.3", "transformers": "4.49.0"}, {}, {"XC004", "XC033", "XC050"}),
        ({}, {}, {}, {"XC028"}),
        ({}, {"torch": "2.9.1"}, {}, {"XC028"}),
        ({}, {"torch": "2.9.1"}, {"complete": False}, set()),
        # Nothing brings six: pins that leave it out are without it.
        (C28, {"six": None, "torch": None}, {"complete": False}, {"XC024"}),
        (C28, {}, {"platform": "macosx-x86_64", "complete": False}, {"XC038"}),
        (
            C28,
            {"torch": "2.9.1", "torchaudio": "2.9.1", "torchcodec": "0.9.1"},
            {"platform": "linux-aarch64", "complete": False},
            {"XC059"},
        ),
        (
            C28,
            {"torch": "2.11.0", "torchaudio": "2.11.0", "torchcodec": "0.11.1"},
            {"platform": "linux-aarch64", "complete": False},
            set(),
        ),
    ],
)
def test_environments(base, packages, fields, expected):
    assert errors(base, packages, **fields) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            (
                "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded\n"
                "\tWeightsUnpickler error: Unsupported global: GLOBAL "
                "TTS.tts.configs.xtts_config.XttsConfig was not an allowed global by default."
            ),
            ["XC001"],
        ),
        (
            "WeightsUnpickler error: Unsupported class TTS.tts.configs.xtts_config.XttsConfig",
            ["XC490"],
        ),
        (
            "ImportError: cannot import name 'BeamSearchScorer' from 'transformers' (/x/y.py)",
            ["XC002"],
        ),
        ("AttributeError: 'GPT2InferenceModel' object has no attribute 'generate'", ["XC003"]),
        (
            (
                "\nFrom Pytorch 2.9, the torchcodec library is required for audio IO, but it "
                "was not\nfound in your environment."
            ),
            ["XC013"],
        ),
        (
            (
                "From Pytorch 2.9, the torchcodec library is required for audio IO, but it was "
                "not found in your environment."
            ),
            ["XC013"],
        ),
        ("ModuleNotFoundError: No module named 'six'", ["XC024"]),
        ("ModuleNotFoundError: No module named 'TTS'", ["XC028"]),
        ("ModuleNotFoundError: No module named 'TTS.tts.models.xtts'", ["XC019"]),
        (
            "RuntimeError: Could not load libtorchcodec. Likely causes:\n  1. FFmpeg is not",
            ["XC014"],
        ),
        (
            (
                "RuntimeError: Detected that PyTorch and TorchAudio were compiled with different "
                "CUDA versions. PyTorch has CUDA version 13.2"
            ),
            ["XC018"],
        ),
        (
            "OSError: /x/torchaudio/lib/libtorchaudio.so: undefined symbol: _ZNK5torch8autograd",
            ["XC017"],
        ),
        (
            "ImportError: \nCoqui TTS requires the PyTorch and Torchaudio libraries but they",
            ["XC026"],
        ),
        ("Traceback (most recent call last):\nKeyError: 'speaker'", []),
        (
            (
                "Weights only load failed. WeightsUnpickler error: Unsupported global: GLOBAL "
                "numpy.core.multiarray.scalar was not an allowed global"
            ),
            ["XC495"],
        ),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory.", ["XC402"]),
        ("ModuleNotFoundError: No module named 'sixteen'", ["XC507"]),
    ],
)
def test_symptoms(text, expected):
    assert [each.issue.code for each in explain((text,), MATRIX.issues).explanations] == expected


@pytest.mark.parametrize("issue", MATRIX.issues, ids=lambda issue: issue.code)
def test_every_issue_can_be_shown_on_80_columns(issue, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    show_explained(of_code(issue))
    told = capsys.readouterr().out
    assert told.startswith(f"{issue.code} ")
    commands = {fix.partition("  # ")[0] for fix in issue.fixes}
    too_wide = [line.strip() for line in told.splitlines() if len(line) > 80]
    assert set(too_wide) <= commands | set(issue.sources)


def test_no_condition_is_told_as_nothing():
    """As that of XC068 was: `When:` and no more."""
    for issue in MATRIX.issues:
        assert all(condition_text(each) for each in issue.conditions), issue.code


def test_every_sign_can_be_told():
    assert _SIGNS.keys() == set(SIGNS)


def test_every_kind_of_condition_can_be_told():
    told = "; ".join(condition_text(each) for issue in MATRIX.issues for each in issue.conditions)
    for part in (
        "TTS <=0.22.0 and torch >=2.6",
        "coqui-tts >=0.27.4 and no six",
        "TTS <=0.22.0 and Python >=3.12",
        "torch and torchaudio of different minor versions",
        "torch and torchaudio built for different CUDA versions",
        "one of TTS, coqui-tts,",
        "no ffmpeg",
        "macos <15.1 and on macosx-arm64",
        "files that XTTS imports are missing",
        "files of coqpit-config are missing or changed",
        "speaking ja",
    ):
        assert part in told


def test_commands_use_no_shell_of_one_kind():
    """Single quotes mean nothing to cmd.exe, and zsh reads `#` and `[` its own way."""
    for issue in MATRIX.issues:
        for fix in issue.fixes:
            command = fix.partition("  # ")[0]
            assert not re.search(r"['#\[<>](?![^\"]*\")", command), command
