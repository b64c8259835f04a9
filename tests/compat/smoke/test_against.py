"""Other engines beside XTTS. Those that cannot be run here are programs that stand in for them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builders.smoked import speak
from xcompat.errors import Misuse
from xcompat.render import smoke as render
from xcompat.render.report_html import html_report
from xcompat.smoke import against
from xcompat.smoke.against import Rival, compare, rivals_asked_for
from xcompat.smoke.engines import mp3_seconds, wav_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeEngine = Callable[[str, str], None]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

PYTHON = Path(sys.executable)
MP3_FRAME = bytes.fromhex("fff344c4") + bytes(188)
"""MPEG 2, layer III, 64 kbit/s, 24 kHz, as Google and Edge send it: 576 samples in 192 bytes."""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeEngine:
    """Make a program, in Python, that stands in for an engine; nothing else is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, body: str) -> None:
        script = folder / f"{name}.py"
        script.write_text(f"import sys, time\nout = sys.stdout.buffer\n{body}")
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        program.chmod(0o755)

    return make


def one(word: str) -> Rival:
    (rival,) = rivals_asked_for([word], Path("/nowhere/python"))
    return rival


def test_a_network_engine_streams_mp3(engine: MakeEngine) -> None:
    engine(
        "gtts-cli",
        f"assert sys.argv[1:] == ['--lang', 'zh-CN', '--file', '-'], sys.argv\n"
        f"assert sys.stdin.read() == 'Hello.'\n"
        f"frame = {MP3_FRAME!r}\n"
        "out.write(frame); out.flush(); time.sleep(0.4); out.write(frame * 124)\n",
    )
    told = compare(one("gtts"), "Hello.", "zh-cn")
    assert told.error == ""
    assert told.needs_network
    assert told.speech_seconds == pytest.approx(125 * 576 / 24_000)
    assert told.latency_seconds - told.first_audio_seconds > 0.3
    assert told.real_time_factor == pytest.approx(told.latency_seconds / told.speech_seconds)


def test_edge_speaks_other_languages_with_a_voice_that_is_named(engine: MakeEngine) -> None:
    engine("edge-tts", f"print(sys.argv, file=sys.stderr); out.write({MP3_FRAME!r} * 50)\n")
    assert "name one, edge-tts=VOICE" in compare(one("edge-tts"), "Hallo.", "de").error
    assert compare(one("edge-tts"), "Hello.", "en").error == ""
    told = compare(one("edge-tts=de-DE-KatjaNeural"), "Hallo.", "de")
    assert (told.name, told.error) == ("edge-tts (de-DE-KatjaNeural)", "")


def test_piper_writes_raw_sound_at_the_rate_of_its_voice(
    engine: MakeEngine, tmp_path: Path
) -> None:
    voice = tmp_path / "amy.onnx"
    engine(
        "piper",
        f"assert sys.argv[1:] == ['--model', {str(voice)!r}, '--output-raw']\n"
        "assert sys.stdin.read() == 'Hello.\\n'\nout.write(bytes(32_000))\n",
    )
    assert "does not tell the sample rate" in compare(one(f"piper={voice}"), "Hello.", "en").error
    Path(f"{voice}.json").write_text(json.dumps({"audio": {"sample_rate": 16_000}}))
    told = compare(one(f"piper={voice}"), "Hello.", "en")
    assert (told.name, told.error, told.speech_seconds) == ("piper (amy.onnx)", "", 1.0)


def test_say_writes_a_file(engine: MakeEngine) -> None:
    engine(
        "say",
        "import wave\nassert sys.stdin.read() == 'Hello.'\n"
        "file = wave.open(sys.argv[sys.argv.index('-o') + 1], 'wb')\n"
        "file.setparams((1, 2, 22_050, 0, 'NONE', '')); file.writeframes(bytes(44_100))\n",
    )
    told = compare(one("say"), "Hello.", "en")
    assert (told.error, told.speech_seconds) == ("", 1.0)
    assert told.first_audio_seconds == told.latency_seconds


def test_an_engine_that_fails_says_why(engine: MakeEngine) -> None:
    engine("gtts-cli", "print('no route to host\\n', file=sys.stderr); sys.exit(1)\n")
    told = compare(one("gtts"), "Hello.", "en")
    assert (told.error, told.latency_seconds) == ("no route to host", 0.0)
    engine("gtts-cli", "")
    assert compare(one("gtts"), "Hello.", "en").error == "it wrote no sound"
    engine("gtts-cli", "out.write(b'<html>' * 99)\n")
    assert "not an MP3" in compare(one("gtts"), "Hello.", "en").error
    engine("espeak-ng", "out.write(b'RIFF' * 99)\n")
    assert "not a WAV" in compare(one("espeak-ng"), "Hello.", "en").error


def test_an_engine_that_hangs_is_killed(
    engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(against, "TIMEOUT_SECONDS", 1.0)
    engine("espeak-ng", "out.write(bytes(99)); out.flush(); time.sleep(60)\n")
    started = time.monotonic()
    assert compare(one("espeak-ng"), "Hello.", "en").error == "it ended with status -9"
    assert time.monotonic() - started < 30


def test_what_is_not_installed_is_told(engine: MakeEngine) -> None:
    told = compare(one("espeak-ng"), "Hello.", "en")
    assert told.error == "not installed: there is no program `espeak-ng`"


def test_installed_is_what_is_here_offline_and_has_a_voice(engine: MakeEngine) -> None:
    for name in ("espeak-ng", "gtts-cli", "edge-tts", "piper"):
        engine(name, "")
    asked = rivals_asked_for(["installed", "espeak-ng"], PYTHON)
    assert [rival.name for rival in asked] == ["espeak-ng"]


def test_an_engine_beside_the_interpreter_is_found(tmp_path: Path, engine: MakeEngine) -> None:
    engine("gtts-cli", "")
    (rival,) = rivals_asked_for(["gtts"], tmp_path / "bin" / "python")
    assert rival.program == str(tmp_path / "bin" / "gtts-cli")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("festival", "`festival` is neither an engine nor a folder"),
        ("piper", "piper has no voice of its own"),
    ],
)
def test_what_makes_no_sense_is_refused(word: str, message: str) -> None:
    with pytest.raises(Misuse, match=message) as caught:
        rivals_asked_for([word], PYTHON)
    assert caught.value.code == "XC307"


def test_an_mp3_may_begin_with_a_tag() -> None:
    assert mp3_seconds(b"ID3\x04" + bytes(40) + MP3_FRAME * 10) == pytest.approx(0.24)


def test_a_wav_from_a_file_is_as_long_as_it_says(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(64_000))
    assert wav_seconds((tmp_path / "a.wav").read_bytes() + b"LIST") == 1.0


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("language", ["en", "zh-cn", "de"])
def test_espeak_ng_really_speaks(language: str) -> None:
    told = compare(one("espeak-ng"), "It rains in the mountains.", language)
    assert told.error == ""
    assert 0.5 < told.speech_seconds < 20
    assert 0 < told.first_audio_seconds <= told.latency_seconds
    assert not told.needs_network


def test_the_table_is_in_the_report(
    tmp_path: Path, engine: MakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine("gtts-cli", f"out.write({MP3_FRAME!r} * 500)\n")
    (tmp_path / "model").mkdir()
    asked = rivals_asked_for(["gtts", "espeak-ng", str(tmp_path / "model")], PYTHON)
    report = speak(tmp_path, against=asked)
    assert [each.name for each in report.against] == [
        *("XTTS (model)", "gtts", "espeak-ng", "XTTS (model)")
    ]
    mine, gtts, _, other = report.against
    assert (mine.latency_seconds, mine.first_audio_seconds) == (1.0, 0.4)
    assert (other.latency_seconds, other.real_time_factor) == (1.0, 0.5)
    assert gtts.speech_seconds == pytest.approx(12.0)
    render.show_report(report)
    told = " ".join(capsys.readouterr().out.split())
    assert "latency first audio real-time factor network GPU" in told
    assert "XTTS (model) 1.00 s 0.40 s 0.50 no no" in told
    assert "espeak-ng not installed" in told
    page = html_report(report)
    assert "real-time factor</th>" in page
    assert "<td>needed</td>" in page
    assert render.report_as_json(report)["against"][1]["needs_network"] is True
