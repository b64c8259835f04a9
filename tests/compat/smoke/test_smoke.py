"""The smoke as a user without torch meets it; that it speaks is proved by `nox -s cells`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders.smoked import SPEECH
from conftest import Done
from xcompat import load_xtts
from xcompat.domain.smoke import StageResult
from xcompat.matrix.load import load_matrix
from xcompat.smoke.report import name_issue, report_of
from xcompat.smoke.request import SmokeRequest
from xcompat.smoke.run_line import capabilities_of, without_machine_paths
from xcompat.smoke.smoke import child_request
from xcompat.smoke.voice import SPEAKERS

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Done]
PARTS = ("gpt_cond_latent", "speaker_embedding")


def test_an_environment_without_tts_does_not_speak(run: Run, tmp_path: Path) -> None:
    done = run("smoke", "--json", "-o", str(tmp_path / "speech.wav"))
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report["verdict"] == "fails"
    assert report["stages"][0]["error"] == "ModuleNotFoundError: No module named 'TTS'"
    assert report["stages"][0]["issue"] == "XC028"
    assert list(tmp_path.iterdir()) == []


def test_people_are_told_what_failed_and_where_to_read_on(run: Run, tmp_path: Path) -> None:
    done = run("smoke", "-o", str(tmp_path / "speech.wav"))
    assert done.stdout.startswith("XTTS does not speak here: it fails to import TTS.\n")
    assert "xcompat explain XC028" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr


def test_an_unconverted_folder_is_refused_with_the_command_to_type(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    (folder / "model.pth").touch()
    done = run("smoke", str(folder), "-o", str(tmp_path / "speech.wav"))
    assert done.exit_code == 1
    assert done.stderr == (
        f"error[XC303]: {folder} holds no model.safetensors: it is not converted\n"
        f'hint: Run: xcompat convert "{folder}"\n'
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{0}/nowhere"], "{0}/nowhere is not a folder"),
        (["--speaker-wav", "{0}/no.wav"], "{0}/no.wav is not a file"),
        (["-o", "{0}/nowhere/out.wav"], "the folder {0}/nowhere does not exist"),
        (["-o", "{0}"], "{0} is a folder"),
        (["--report", "{0}/nowhere/out.html"], "the folder {0}/nowhere does not exist"),
        (["--report", "{0}"], "{0} is a folder"),
    ],
)
def test_a_missing_input_is_named(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run("smoke", *(argument.format(tmp_path) for argument in arguments))
    assert done.exit_code == 4
    assert done.stderr.startswith(f"error[XC302]: {message.format(tmp_path)}\n")


def test_an_empty_text_is_a_usage_error(run: Run) -> None:
    done = run("smoke", "--text", " ")
    assert (done.exit_code, done.stderr[:38]) == (2, "error[XC308]: there is nothing to say\n")


def test_an_unknown_runtime_is_a_usage_error(run: Run) -> None:
    assert run("smoke", "--runtime", "mine").exit_code == 2


@pytest.mark.parametrize("runtime", ["auto", "xcompat", "stock"])
def test_the_child_is_told_who_decodes(runtime: str, tmp_path: Path) -> None:
    request = SmokeRequest(python=tmp_path, runtime=runtime, wav=tmp_path / "speech.wav")
    assert child_request(request, tmp_path)["runtime"] == runtime


def test_a_report_says_that_it_spoke_through_the_runtime(tmp_path: Path) -> None:
    request = SmokeRequest(python=tmp_path, wav=tmp_path / "speech.wav")
    details = {"parameters": 1, "runtime": "xcompat", "reason": "TypeError: no beams"}
    stage = StageResult(name="load", status="works", seconds=1, details=details)
    assert report_of(request, (stage,), {}, ()).notes == (
        "spoke through the xcompat runtime: TypeError: no beams",
    )


def test_an_engine_that_nobody_knows_is_a_usage_error(run: Run) -> None:
    done = run("smoke", "--against", "festival")
    assert done.exit_code == 2
    assert done.stderr.startswith("error[XC307]: `festival` is neither an engine nor a folder\n")


def test_an_unconverted_folder_to_compare_with_is_refused_at_once(run: Run, tmp_path: Path) -> None:
    done = run("smoke", "--against", str(tmp_path), "-o", str(tmp_path / "speech.wav"))
    assert (done.exit_code, done.stderr[:13]) == (1, "error[XC303]:")


def test_an_unknown_device_is_a_usage_error(run: Run) -> None:
    assert run("smoke", "--device", "tpu").exit_code == 2


def test_a_recorded_run_says_what_failed(run: Run, tmp_path: Path) -> None:
    lines = tmp_path / "runs.jsonl"
    assert run("smoke", "--record", str(lines)).exit_code == 0
    recorded = json.loads(lines.read_text(encoding="utf-8"))
    assert recorded["capabilities"] == {
        "import": {"status": "fails", "error": "ModuleNotFoundError: No module named 'TTS'"}
    }
    assert recorded["tokens"] is None
    # The runtime was tried too, and TTS is as absent to it.
    assert recorded["runtime_capabilities"] == recorded["capabilities"]
    # What was recorded is what the matrix reads.
    folder = tmp_path / "matrices"
    (folder / "runs").mkdir(parents=True)
    lines.rename(folder / "runs" / "mine.jsonl")
    (read,) = load_matrix(folder).runs
    assert read.environment.python == recorded["python"]
    assert read.runtime_capabilities["import"].status == "fails"


def test_a_run_that_cannot_be_written_is_an_error(run: Run, tmp_path: Path) -> None:
    done = run("smoke", "--record", str(tmp_path / "nowhere" / "runs.jsonl"))
    assert done.exit_code == 4
    assert done.stderr.startswith("error[XC304]: ")


def test_a_capability_fails_if_one_of_its_stages_does() -> None:
    tokens = StageResult(name="tokens", status="fails", seconds=1, error="wrong voice: token 0")
    speak = StageResult(name="speak", status="works", seconds=1)
    for order in ([tokens, speak], [speak, tokens]):
        assert capabilities_of(order) == {
            "speak": {"status": "fails", "error": "wrong voice: token 0"}
        }


def test_a_silent_voice_is_recorded_as_wrong() -> None:
    sound = {**SPEECH, "rms": 0.0}
    stage = StageResult(name="speak", status="works", seconds=1, details={"sound": sound})
    assert capabilities_of([stage])["speak"]["error"].startswith("wrong sound: not silent: RMS")


def test_what_has_not_the_shape_of_speech_is_recorded_as_wrong() -> None:
    spoken = StageResult(name="speak", status="works", seconds=1, details={"sound": SPEECH})
    assert capabilities_of([spoken])["speak"] == {"status": "works"}
    hiss = StageResult(
        name="stream", status="works", seconds=1, details={"sound": {**SPEECH, "flatness": 0.5}}
    )
    assert capabilities_of([hiss])["stream"]["error"].startswith("wrong sound: not noise: ")


def test_a_language_that_the_voice_was_not_taught_is_not_judged(tmp_path: Path) -> None:
    load = StageResult(name="load", status="works", seconds=1, details={"trained": True})
    heard = {"sound": {**SPEECH, "flatness": 0.5}, "audio_tokens": 43, "wav": "speech.wav"}
    figures = {"synthesis_seconds": 1.0, "later_synthesis_seconds": 1.0, "later_seconds": 1.0}
    speak = StageResult(name="speak", status="works", seconds=1, details=heard | figures)
    request = SmokeRequest(python=tmp_path, wav=tmp_path / "speech.wav", language="de")
    report = report_of(request, (load, speak), {}, ())
    assert "speak: not noise" not in {j.name for j in report.judgements}
    assert "the voice that ships knows English only: its words are not judged" in report.notes
    english = report_of(replace(request, language="en"), (load, speak), {}, ())
    assert "speak: not noise" in {j.name for j in english.judgements if not j.passed}


def test_a_published_error_names_no_folder_of_the_machine() -> None:
    error = (
        "ImportError: x (/home/me/my venv/lib/python3.11/site-packages/transformers/__init__.py)"
    )
    assert "/home/me" not in without_machine_paths(error).replace("/home/me/my", "")
    error = "OSError: /srv/app/lib/python3.11/site-packages/torchaudio/lib/x.so: undefined symbol"
    assert (
        without_machine_paths(error)
        == "OSError: site-packages/torchaudio/lib/x.so: undefined symbol"
    )


def test_of_a_long_error_beginning_and_end_are_published() -> None:
    error = "RuntimeError: Missing key(s) in state_dict: " + '"gpt.weight", ' * 1200
    stage = StageResult(name="load-stock", status="fails", seconds=1, error=error)
    told = capabilities_of([stage])["load"]["error"]
    assert told == f"{error[:1000]} [...] {error[-5000:]}"


def test_an_error_is_mapped_to_its_known_issue() -> None:
    stage = StageResult(
        name="import",
        status="fails",
        seconds=1,
        error="ImportError: cannot import name 'BeamSearchScorer' from 'transformers' (x.py)",
    )
    assert name_issue(stage, load_matrix().issues).issue == "XC002"
    unknown = StageResult(name="speak", status="fails", seconds=1, error="KeyError: 'x'")
    assert name_issue(unknown, load_matrix().issues).issue == ""


def test_load_xtts_says_how_to_convert(tmp_path: Path) -> None:
    (tmp_path / "model.pth").touch()
    with pytest.raises(FileNotFoundError, match="xcompat convert"):
        load_xtts(tmp_path)


def converted(folder: Path, speakers: tuple[str, ...]) -> Path:
    """Make what the smoke looks at of a converted folder before it starts anything."""
    folder.mkdir()
    (folder / "model.safetensors").touch()
    parts = [f"{name}/{part}" for name in speakers for part in PARTS]
    tensors = {
        part: {"dtype": "F32", "shape": [1], "data_offsets": [4 * place, 4 * place + 4]}
        for place, part in enumerate(parts)
    }
    header = json.dumps({"__metadata__": {"speakers": json.dumps(speakers)}, **tensors}).encode()
    (folder / "speakers_xtts.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + bytes(4 * len(parts))
    )
    return folder


def test_the_speakers_are_listed_without_torch(run: Run, tmp_path: Path) -> None:
    names = ("Zoë", "Ana Florence")
    folder = converted(tmp_path / "model", names)
    assert run("smoke", str(folder), "--list-speakers").stdout == "Zoë\nAna Florence\n"
    told = json.loads(run("smoke", str(folder), "--list-speakers", "--json").stdout)
    assert told["speakers"] == list(names)
    assert tuple(run("smoke", "--list-speakers").stdout.splitlines()) == SPEAKERS


@pytest.mark.parametrize("spelled", ["aubry", "calder aubrey", "Aubreye"])
def test_an_unknown_speaker_gets_close_matches(run: Run, tmp_path: Path, spelled: str) -> None:
    done = run("smoke", "--speaker", spelled, "-o", str(tmp_path / "speech.wav"))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error[XC306]: this model has no speaker `{spelled}`\n")
    assert "Aubrey" in done.stderr
    assert "--list-speakers" in done.stderr


def test_a_model_without_speakers_asks_for_a_reference(run: Run, tmp_path: Path) -> None:
    folder = converted(tmp_path / "model", ())
    (folder / "speakers_xtts.safetensors").unlink()
    assert "--speaker-wav" in run("smoke", str(folder), "--list-speakers").stdout
    done = run("smoke", str(folder), "--speaker", "Ana", "-o", str(tmp_path / "speech.wav"))
    assert (done.exit_code, "--speaker-wav FILE" in done.stderr) == (2, True)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02" + bytes(7) + b"{}", b"\x10no"])
def test_speakers_that_cannot_be_read_are_told(run: Run, tmp_path: Path, content: bytes) -> None:
    folder = converted(tmp_path / "model", ("Ana",))
    (folder / "speakers_xtts.safetensors").write_bytes(content)
    done = run("smoke", str(folder), "--list-speakers")
    assert done.exit_code == 4
    assert done.stderr.startswith("error[XC302]: ")


def test_a_language_that_xtts_does_not_speak_is_a_usage_error(run: Run) -> None:
    done = run("smoke", "--language", "tlh")
    assert (done.exit_code, "zh-cn" in done.stderr) == (2, True)
