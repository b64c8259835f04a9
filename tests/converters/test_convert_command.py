"""`xcompat convert` as a user meets it: what it writes, keeps, refuses and says."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import safetensors

from builders import checkpoints, zip_forge
from builders import pickle_asm as asm
from builders.command import run, snapshot
from xcompat.converters import convert, write_tiny_release, writing
from xcompat.converters.files.output_file import OutputFile
from xcompat.errors import CannotLook, XcompatError

FOLDER = "my model é" if sys.getfilesystemencoding() != "ascii" else "my model"
"""As people name them, where the system can."""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    write_tiny_release(folder)
    return folder


def test_a_release_folder_becomes_a_folder_beside_it(release: Path) -> None:
    before = snapshot(release)
    done = run(release)
    assert (done.returncode, done.stderr) == (0, "")
    target = release.with_name(f"{FOLDER}-converted")
    assert sorted(snapshot(target)) == [
        "LICENSE.txt", "config.json", "model.safetensors", "speakers_xtts.safetensors",
        "vocab.json", "xcompat.json",
    ]  # fmt: skip
    assert snapshot(release) == before
    assert "XTTS v2 (custom vocabulary of 36 tokens), release checkpoint" in done.stdout
    assert "28 tensors" in done.stdout
    assert "Left out step, epoch, date, model_loss" in done.stdout
    assert "Next: xcompat smoke" in done.stdout
    for name in ("config.json", "vocab.json", "LICENSE.txt"):
        assert (target / name).read_bytes() == before[name]


def test_the_safetensors_file_is_read_by_its_own_library_and_is_aligned(release: Path) -> None:
    conversion = convert(release)
    content = (Path(conversion.output) / "model.safetensors").read_bytes()
    tensors = dict(safetensors.deserialize(content))
    assert len(tensors) == 28
    counter = tensors["hifigan_decoder.speaker_encoder.bn1.num_batches_tracked"]
    assert (counter["dtype"], counter["shape"], bytes(counter["data"])) == (
        "I64", [], (1).to_bytes(8, "little"),
    )  # fmt: skip
    window = tensors["hifigan_decoder.speaker_encoder.torch_spec.1.spectrogram.window"]
    assert len(window["data"]) == 1600
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    assert (8 + size) % 64 == 0
    assert header.pop("__metadata__")["format"] == "pt"
    places = sorted(
        (item["data_offsets"], name.endswith("num_batches_tracked"))
        for name, item in header.items()
    )
    aligned = [(end - start) % 64 == 0 for (start, end), _ in places]
    assert aligned == sorted(aligned, reverse=True)
    assert all(start % 8 == 0 for (start, _), is_integer in places if is_integer)


def test_speakers_keep_their_order(release: Path) -> None:
    output = Path(convert(release).output)
    content = (output / "speakers_xtts.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    names = ["Claribel Dervla", "Torcull Diarmuid", "Nova Hogarth"]
    assert json.loads(header["__metadata__"]["speakers"]) == names
    assert set(header) - {"__metadata__"} == {
        f"{name}/{part}" for name in names for part in ("gpt_cond_latent", "speaker_embedding")
    }


def test_the_tensors_only_checkpoint_converts_to_the_same_bytes(
    release: Path, tmp_path: Path
) -> None:
    convert(release, tmp_path / "first", format="both")
    again = convert(tmp_path / "first" / "model.pth", tmp_path / "second")
    assert again.kind.endswith("checkpoint with a plain configuration")
    tensors = [
        dict(safetensors.deserialize((tmp_path / folder / "model.safetensors").read_bytes()))
        for folder in ("first", "second")
    ]
    assert tensors[0] == tensors[1]


def test_the_manifest_tells_what_was_done(release: Path) -> None:
    output = Path(convert(release).output)
    manifest = json.loads((output / "xcompat.json").read_text())
    assert manifest["license"] is None  # of another size than what was published
    assert manifest["source"]["size"] == (release / "model.pth").stat().st_size
    for name, told in manifest["files"].items():
        content = (output / name).read_bytes()
        kind, digest = told["checksum"].split(":")
        assert told["size"] == len(content)
        assert digest == (
            f"{zlib.crc32(content):08x}" if kind == "crc32" else hashlib.sha256(content).hexdigest()
        )


def test_a_file_is_converted_beside_itself_and_says_what_it_kept(release: Path) -> None:
    before = snapshot(release)
    done = run(release / "model.pth")
    assert done.returncode == 0
    after = snapshot(release)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        "model.safetensors", "speakers_xtts.safetensors", "xcompat.json",
    }  # fmt: skip
    assert "config.json is there and says the same: kept" in done.stdout


@pytest.mark.parametrize("extra", [[], ["--force"]])
def test_the_source_is_never_overwritten(release: Path, extra: list[str]) -> None:
    before = snapshot(release)
    done = run(release / "model.pth", "--format", "pth", *extra)
    assert (done.returncode, snapshot(release)) == (4, before)
    assert "error[XC110]" in done.stderr
    assert "the source itself" in done.stderr
    assert "-o" in done.stderr


def test_what_exists_is_overwritten_only_by_force(release: Path) -> None:
    target = release.with_name("out")
    assert run(release, "-o", target).returncode == 0
    before = snapshot(target)
    again = run(release, "-o", target)
    assert (again.returncode, snapshot(target)) == (4, before)
    assert "error[XC110]" in again.stderr
    assert "--force" in again.stderr
    assert run(release, "-o", target, "--force").returncode == 0
    assert set(snapshot(target)) == set(before)


def test_another_config_in_the_target_is_shown_as_a_difference(release: Path) -> None:
    target = release.with_name("out")
    target.mkdir()
    config = json.loads((release / "config.json").read_text())
    config["model_args"]["gpt_layers"] = 30
    (target / "config.json").write_text(json.dumps(config))
    done = run(release, "-o", target)
    assert done.returncode == 4
    assert "model_args.gpt_layers is 2, there 30" in done.stderr
    assert [path.name for path in target.iterdir()] == ["config.json"]


def test_a_dry_run_writes_nothing(release: Path) -> None:
    done = run(release, "--dry-run", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["dry_run"], told["tensors"]) == (0, True, 28)
    assert [path.name for path in release.parent.iterdir()] == [release.name]
    sizes = {file["path"]: file["size"] for file in told["files"]}
    output = Path(convert(release).output)
    assert all((output / name).stat().st_size == size for name, size in sizes.items())


def test_json_is_one_object_with_sorted_keys(release: Path) -> None:
    done = run(release, "--json")
    told = json.loads(done.stdout)
    assert done.stderr == ""
    assert list(told) == sorted(told)
    assert told["kept"] == []


def test_a_file_in_place_of_the_output_folder_is_an_error(release: Path) -> None:
    target = release.with_name("file")
    target.write_text("x")
    done = run(release, "-o", target / "below")
    assert (done.returncode, "error[XC111]" in done.stderr) == (4, True)
    assert target.read_text() == "x"


def test_a_full_disk_leaves_nothing(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = OutputFile.write

    def fail(self: OutputFile, data: bytes) -> None:
        if self.path.name == "model.safetensors":
            raise OSError(28, "No space left on device")
        written(self, data)

    monkeypatch.setattr(OutputFile, "write", fail)
    with pytest.raises(CannotLook, match="No space left") as caught:
        convert(release, release.with_name("a") / "b")
    assert caught.value.code == "XC111"
    assert [path.name for path in release.parent.iterdir()] == [release.name]


def test_too_little_room_is_told_before_writing(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CannotLook, match="are needed and 10 are free"):
        convert(release)
    assert [path.name for path in release.parent.iterdir()] == [release.name]


def test_a_file_that_changes_while_it_is_read_is_an_error(release: Path) -> None:
    def touch(done: int, total: int) -> None:
        os.utime(release / "model.pth", ns=(1, 1))

    with pytest.raises(CannotLook, match="was changed while") as caught:
        convert(release, progress=touch)
    assert caught.value.code == "XC112"
    assert [path.name for path in release.parent.iterdir()] == [release.name]


def test_progress_goes_up_to_the_total(release: Path) -> None:
    seen: list[tuple[int, int]] = []
    convert(release, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_names_from_the_file_are_escaped(tmp_path: Path) -> None:
    name = "gpt.\x1b[31mred[/red]\u202e"
    tensor = asm.tensor(asm.storage("9", 6), (7,))
    data = checkpoints.checkpoint({name: tensor}, {"data/9": bytes(24)})
    done = run(checkpoints.write(tmp_path, data))
    assert done.returncode == 1
    assert r"gpt.\x1b[31mred[/red]\u202e" in done.stderr
    assert done.stderr.count("\n") == 2


def test_a_trainer_checkpoint_loses_what_only_training_needs(tmp_path: Path) -> None:
    tensors, content = checkpoints.state_dict("xtts.")
    moments = asm.dict_({"exp_avg": asm.tensor(asm.storage("9", 6), (6,))})
    more = {
        "dvae.codebook": asm.tensor(asm.storage("9", 6), (6,)),
        "torch_mel_spectrogram_dvae.window": asm.tensor(asm.storage("9", 6), (6,)),
        "xtts.gpt.gpt_inference.x": asm.tensor(asm.storage("9", 6), (6,)),
        "xtts.gpt.gpt.wte.weight": asm.tensor(asm.storage("9", 6), (6,)),
    }
    value = asm.dict_({
        "model": asm.ordered_dict({**tensors, **more}),
        "optimizer": asm.call(asm.name("collections", "defaultdict"), asm.name("builtins", "dict"))
        + asm.number(0) + moments + asm.SETITEM,
        "scaler": asm.NONE,
        "step": asm.number(7),
    })  # fmt: skip
    data = zip_forge.archive(
        checkpoints.entries(asm.pickle(value), {**content, "data/9": bytes(24)})
    )
    conversion = convert(checkpoints.write(tmp_path, data, "best_model.pth"))
    assert conversion.kind.endswith("checkpoint of the trainer")
    assert conversion.renamed == {"xtts.* -> *": len(tensors)}
    assert {item.what: item.tensors for item in conversion.dropped} == {
        "dvae.*": 1, "torch_mel_spectrogram_dvae.*": 1, "gpt.gpt_inference.*": 1,
        "gpt.gpt.wte.*": 1, "optimizer": 1, "step": 0,
    }  # fmt: skip
    found = dict(safetensors.deserialize((tmp_path / "model.safetensors").read_bytes()))
    assert set(found) == set(checkpoints.SHAPES)


@pytest.mark.parametrize("module", ["TTS.tts.models.xtts", "TTS.tts.configs.xtts_config"])
def test_both_homes_of_the_argument_classes_are_known(tmp_path: Path, module: str) -> None:
    args = asm.config("XttsArgs", {
        "gpt_layers": asm.number(0), "gpt_n_model_channels": asm.number(2),
        "gpt_max_audio_tokens": asm.number(2), "gpt_max_text_tokens": asm.number(2),
        "gpt_num_audio_tokens": asm.number(4),
    }, module)  # fmt: skip
    config = asm.config("XttsConfig", {"model": asm.text("xtts"), "model_args": args,
                                       "max_audio_len": asm.real(float("inf"))})  # fmt: skip
    source = checkpoints.write(tmp_path, checkpoints.checkpoint(config=config))
    conversion = convert(source)
    assert "config.json was taken from the checkpoint" in conversion.notes
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_args"]["gpt_layers"] == 0
    assert written["max_audio_len"] == float("inf")


def test_a_checkpoint_without_configuration_gets_one_from_its_tensors(tmp_path: Path) -> None:
    conversion = convert(checkpoints.write(tmp_path, checkpoints.checkpoint()))
    assert conversion.kind == "XTTS v1, tensors only"
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_args"]["gpt_number_text_tokens"] == 3
    assert written["model_args"]["gpt_use_perceiver_resampler"] is False


def test_the_first_version_is_named_and_loses_only_its_aliases(tmp_path: Path) -> None:
    source = checkpoints.write(tmp_path, checkpoints.first_version())
    done = convert(source, tmp_path / "out", format="both")
    assert done.kind == "XTTS v1.0, tensors only"
    assert {item.what: item.tensors for item in done.dropped} == {
        "gpt.gpt.wte.*": 1, "gpt.gpt_inference.*": 2,
    }  # fmt: skip
    assert any("TTS 0.17.9 to 0.20.0" in note for note in done.notes)
    content = (tmp_path / "out" / "model.safetensors").read_bytes()
    found = dict(safetensors.deserialize(content))
    assert {"diffusion_decoder.code_norm.bias", "vocoder.res_stack.0.bias"} <= set(found)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_args"]["use_hifigan"] is False


def test_the_first_version_with_a_hifigan_becomes_what_newer_versions_load(tmp_path: Path) -> None:
    done = convert(checkpoints.write(tmp_path, checkpoints.first_version(hifigan=True)))
    assert done.kind == "XTTS v1, tensors only"
    assert {item.what for item in done.dropped} >= {"diffusion_decoder.*", "vocoder.*"}
    assert "use_hifigan" not in (tmp_path / "config.json").read_text()


def test_a_configuration_of_v1_beside_v2_is_an_error_with_both_numbers(release: Path) -> None:
    config = json.loads((release / "config.json").read_text())
    config["model_args"] |= {"gpt_num_audio_tokens": 8194, "gpt_use_perceiver_resampler": False}
    (release / "config.json").write_text(json.dumps(config))
    with pytest.raises(XcompatError, match="is 8194, but the checkpoint has 34") as caught:
        convert(release)
    assert (caught.value.code, caught.value.exit_code) == ("XC109", 1)


@pytest.mark.parametrize(("there", "wanted"), [("pth", "safetensors"), ("safetensors", "pth")])
def test_weights_of_another_model_never_stay_beside_new_ones(
    release: Path, tmp_path: Path, there: str, wanted: str
) -> None:
    target = tmp_path / "out"
    convert(checkpoints.write(tmp_path, checkpoints.checkpoint()), target, format=there)  # type: ignore[arg-type]
    before = snapshot(target)
    with pytest.raises(CannotLook, match=rf"model\.{there} would stay beside") as caught:
        convert(release, target, format=wanted, force=True)  # type: ignore[arg-type]
    assert caught.value.code == "XC110"
    assert snapshot(target) == before
    convert(release, target, format="both", force=True)
    assert {f"model.{there}", f"model.{wanted}", "speakers_xtts.pth"} <= set(snapshot(target))


def test_a_vocabulary_of_another_model_is_an_error_with_both_numbers(release: Path) -> None:
    vocabulary = json.loads((release / "vocab.json").read_text())
    vocabulary["model"]["vocab"]["extra"] = 36
    (release / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(XcompatError, match=r"has 37 tokens, .* an embedding for 36") as caught:
        convert(release)
    assert (caught.value.code, caught.value.exit_code) == ("XC109", 1)


def test_a_config_that_contradicts_the_tensors_is_an_error_with_both_numbers(
    release: Path,
) -> None:
    config = json.loads((release / "config.json").read_text())
    config["model_args"]["gpt_layers"] = 30
    (release / "config.json").write_text(json.dumps(config))
    with pytest.raises(XcompatError, match="gpt_layers is 30, but the checkpoint has 2"):
        convert(release)


SLOW = """
import signal, sys, time
from pathlib import Path
from xcompat.converters.files.output_folder import OutputFile
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it
copy = OutputFile.copy
mark = Path(sys.argv[1])
def slowly(self, *args):
    if not mark.exists():
        mark.touch()
        time.sleep(20)  # until the signal comes
    return copy(self, *args)
OutputFile.copy = slowly
sys.argv = ["xcompat", "convert", *sys.argv[2:]]
from xcompat.cli import main
main()
"""


@pytest.mark.parametrize(
    ("number", "code", "leaves"),
    [(signal.SIGINT, 130, False), (signal.SIGTERM, 130, False), (signal.SIGKILL, -9, True)],
)
def test_an_ended_conversion_leaves_no_model(
    release: Path, tmp_path: Path, number: signal.Signals, code: int, *, leaves: bool
) -> None:
    mark, target = tmp_path / "mark", tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(mark), str(release), "-o", str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        while not mark.exists():
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        _, errors = child.communicate(timeout=30)
    assert child.returncode == code, errors
    assert b"Traceback" not in errors
    assert target.exists() is leaves
    assert not (target / "model.safetensors").exists()


def test_a_pth_folder_is_for_the_app(release: Path, tmp_path: Path) -> None:
    done = run(release, "-o", tmp_path / "out", "--format", "pth")
    assert f"Next: in your app, load {tmp_path / 'out'} in place of the original" in done.stdout


COMPANIONS = {
    "deep": ('{"a": ' + "[" * 200 + "]" * 200 + "}", "XC106"),
    "deeper than Python": ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "XC102"),
    "wide integer": ('{"a": ' + "9" * 1000 + "}", "XC106"),
    "lone surrogate": ('{"a": "\\ud800"}', "XC108"),
    "lone surrogate in a key": ('{"\\ud800": 1}', "XC108"),
    "NaN": ('{"a": NaN}', "XC108"),
    "key twice": (f'{{"{"k" * 2000}": 1, "{"k" * 2000}": 2}}', "XC102"),
    "many values": ('{"a": [' + "0," * 300_000 + "0]}", "XC106"),
}


@pytest.mark.parametrize("name", ["config.json", "vocab.json"])
@pytest.mark.parametrize("attack", COMPANIONS)
def test_a_hostile_companion_is_refused_in_one_line(release: Path, name: str, attack: str) -> None:
    content, code = COMPANIONS[attack]
    (release / name).write_text(content, encoding="utf-8")
    with pytest.raises(XcompatError) as caught:
        convert(release, format="both")
    assert caught.value.code == code
    assert name in caught.value.message
    assert len(caught.value.message) < 1000
    assert not release.with_name(f"{FOLDER}-converted").exists()


def test_the_parent_folder_is_converted_beside_itself(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = release / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    convert(Path(".."))
    assert (release.with_name(f"{FOLDER}-converted") / "model.safetensors").exists()
    assert list(inner.iterdir()) == []


def test_a_name_that_is_not_unicode_is_recorded(release: Path, tmp_path: Path) -> None:
    source = release.rename(tmp_path / os.fsdecode(b"model-\xff"))
    manifest = json.loads((Path(convert(source).output) / "xcompat.json").read_bytes())
    assert os.fsencode(manifest["source"]["name"]) == b"model-\xff"


def test_an_output_that_the_system_cannot_name_is_said(release: Path) -> None:
    with pytest.raises(CannotLook) as caught:
        convert(release, release / ("x" * 300))
    assert caught.value.code == "XC111"


def test_streams_that_the_caller_closed_are_done_without(release: Path, tmp_path: Path) -> None:
    words = f"{sys.executable} -m xcompat convert '{release}' -o '{tmp_path / 'out'}'"
    done = subprocess.run(["sh", "-c", f"{words} <&- >&- 2>&-"], timeout=60, check=False)
    assert done.returncode == 0
    assert (tmp_path / "out" / "xcompat.json").exists()


def test_a_dry_run_sees_that_the_output_is_a_file(release: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(release, "-o", tmp_path / "file", "--dry-run")
    assert done.returncode == 4
    assert done.stderr.startswith("error[XC111]: ")
