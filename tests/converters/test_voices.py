"""`xcompat voices`: what is listed, exported and imported, and what is refused."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from builders import pickle_asm as asm
from builders.checkpoints import entries, floats
from builders.command import snapshot
from builders.schemas import check
from builders.zip_forge import archive
from xcompat.converters import convert, write_tiny_release
from xcompat.converters.conversion import open_tensors
from xcompat.converters.voices import voices_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Done

    Run = Callable[..., Done]

NAMES = ["Claribel Dervla", "Torcull Diarmuid", "Nova Hogarth"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_tiny_release(folder)
    return folder


def server_json(width: int = 8, *, value: Any = 0.25) -> dict[str, Any]:
    return {
        "gpt_cond_latent": [[value] * width for _ in range(32)],
        "speaker_embedding": [0.5] * 512,
    }


def width_of(model: Path) -> int:
    return voices_of(model)[0].latents.shape[-1]


@pytest.mark.parametrize("kind", ["original", "safetensors", "pth"])
def test_the_built_in_speakers_are_listed_in_their_order(
    run: Run, model: Path, tmp_path: Path, kind: str
) -> None:
    if kind != "original":
        convert(model, tmp_path / "converted", format=kind)  # type: ignore[arg-type]
        model = tmp_path / "converted"
    done = run("voices", str(model))
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == NAMES
    whole = json.loads(run("voices", str(model), "--json").stdout)
    check("voices", whole)
    told = whole["voices"]
    assert [each["name"] for each in told] == NAMES
    assert told[0]["speaker_embedding"] == [1, 512, 1]
    assert voices_of(model) == voices_of(tmp_path / "model")


def test_json_goes_out_and_comes_back_with_every_bit(run: Run, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "voice.json"
    done = run("voices", str(model), "--export", NAMES[1], "-o", str(file))
    assert done.stdout == f"Wrote {NAMES[1]} to {file}\n"
    told = json.loads(file.read_text())
    assert set(told) == {"gpt_cond_latent", "speaker_embedding"}
    assert (len(told["speaker_embedding"]), len(told["gpt_cond_latent"])) == (512, 32)
    done = run("voices", str(model), "--import", str(file), "--name", "Mine")
    assert (done.exit_code, "speakers_xtts.pth" in done.stdout) == (0, True)
    there = voices_of(model)
    assert [voice.name for voice in there] == [*NAMES, "Mine"]
    assert there[1]._replace(name="Mine") == there[3]


def test_an_exported_pth_is_the_same_nested_dictionary_in_the_same_order(
    run: Run, model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "voices.pth"
    assert run("voices", str(model), "--export-all", "-o", str(file)).exit_code == 0
    assert voices_of(file) == voices_of(model)
    with open_tensors(file) as ours, open_tensors(model / "speakers_xtts.pth") as theirs:
        assert list(ours.value) == list(theirs.value) == NAMES
        assert [list(parts) for parts in ours.value.values()] == [
            list(parts) for parts in theirs.value.values()
        ]
        assert ours.names_only_tensors
    again = run("voices", str(model), "--export", NAMES[2], "--export", NAMES[0], "-o", str(file))
    assert (again.exit_code, "error[XC110]" in again.stderr) == (4, True)
    words = ("--export", NAMES[2], "--export", NAMES[0], "-o", str(file), "--force")
    assert run("voices", str(model), *words).exit_code == 0
    assert [voice.name for voice in voices_of(file)] == [NAMES[0], NAMES[2]]


def test_a_flat_voice_is_one_of_coqui_tts(run: Run, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "nova.pth"
    done = run("voices", str(model), "--export", NAMES[2], "--flat", "-o", str(file))
    assert done.exit_code == 0
    with open_tensors(file) as source:
        assert list(source.value) == ["gpt_conditioning_latents", "speaker_embedding"]
    (voice,) = voices_of(file)
    assert voice == voices_of(model)[2]._replace(name="nova")


def test_what_is_imported_reaches_both_kinds_of_files(
    run: Run, model: Path, tmp_path: Path
) -> None:
    convert(model, tmp_path / "both", format="both")
    model = tmp_path / "both"
    before = snapshot(model)
    (tmp_path / "Mine.json").write_text(json.dumps(server_json(width_of(model))))
    assert run("voices", str(model), "--import", str(tmp_path / "Mine.json")).exit_code == 0
    after = snapshot(model)
    for name in ("speakers_xtts.pth", "speakers_xtts.safetensors"):
        assert voices_of(model / name)[-1].name == "Mine"
        assert after[f"{name}.original"] == before[name]
        assert after.pop(f"{name}.original")
        assert after.pop(name) != before.pop(name)
    assert after == before
    assert run("smoke", str(model), "--list-speakers").stdout.splitlines() == [*NAMES, "Mine"]


def test_a_name_that_is_there_is_replaced_only_when_asked(
    run: Run, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(server_json(width_of(model))))
    words = ("voices", str(model), "--import", str(tmp_path / "mine.json"), "--name", NAMES[0])
    done = run(*words)
    assert (done.exit_code, "error[XC114]" in done.stderr) == (2, True)
    assert run(*words, "--force").exit_code == 0
    there = voices_of(model)
    assert [voice.name for voice in there] == NAMES
    assert set(there[0].latents.numbers()) == {0.25}


def test_half_precision_goes_into_json_as_numbers(run: Run, tmp_path: Path) -> None:
    half = asm.tensor(asm.storage("0", 64, "HalfStorage"), (1, 8, 8))
    embedding = asm.tensor(asm.storage("1", 512), (1, 512, 1))
    value = asm.dict_({"speaker_embedding": embedding, "gpt_cond_latent": half})
    content = {"data/0": struct.pack("<64e", *[1.5] * 64), "data/1": floats(512)}
    (tmp_path / "half.pth").write_bytes(archive(entries(asm.pickle(value), content)))
    done = run(
        "voices", str(tmp_path / "half.pth"), "--export", "half", "-o", str(tmp_path / "h.json")
    )
    assert done.exit_code == 0, done.stderr
    told = json.loads((tmp_path / "h.json").read_text())
    assert told["gpt_cond_latent"] == [[1.5] * 8] * 8
    assert told["speaker_embedding"][:2] == [0.5, 1.5]


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"speaker_embedding": [1.0]}, "XC109"),
        ({"speaker_embedding": [1.0], "gpt_cond_latent": [[1.0], [1.0, 2.0]]}, "XC109"),
        ({"speaker_embedding": ["a"], "gpt_cond_latent": [[1.0]]}, "XC109"),
        ({"speaker_embedding": [1e300], "gpt_cond_latent": [[1.0]]}, "XC109"),
        ({"speaker_embedding": [], "gpt_cond_latent": []}, "XC109"),
        ({"anything": 1}, "XC109"),
        ([], "XC102"),
    ],
)
def test_json_that_is_no_voice_is_refused(
    run: Run, model: Path, tmp_path: Path, told: Any, code: str
) -> None:
    (tmp_path / "v.json").write_text(json.dumps(told))
    before = snapshot(model)
    done = run("voices", str(model), "--import", str(tmp_path / "v.json"))
    assert f"error[{code}]" in done.stderr
    assert done.exit_code in {1, 4}
    assert snapshot(model) == before


def test_a_voice_of_another_model_is_refused(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(server_json(width_of(model) * 2)))
    done = run("voices", str(model), "--import", str(tmp_path / "v.json"))
    assert (done.exit_code, "error[XC109]" in done.stderr) == (1, True)


def test_nothing_of_a_file_is_run(run: Run, tmp_path: Path) -> None:
    value = asm.call(asm.name("os", "system"), asm.text("true"))
    (tmp_path / "evil.pth").write_bytes(archive(entries(asm.pickle(value), {})))
    done = run("voices", str(tmp_path / "evil.pth"))
    assert done.exit_code == 1
    assert "error[XC10" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--export", "Nobody", "-o", "x.pth"),
        ("--export-all", "-o", "x.json"),
        ("--export-all", "-o", "x.wav"),
        ("--export-all",),
        ("-o", "x.pth"),
        ("--flat",),
        ("--name", "x"),
        ("--export-all", "-o", "x.pth", "--import", "y.json"),
    ],
)
def test_what_makes_no_sense_is_told(run: Run, model: Path, words: tuple[str, ...]) -> None:
    done = run("voices", str(model), *words)
    assert (done.exit_code, "error[XC114]" in done.stderr) == (2, True)
