"""The options of `convert`: verification, casts, the way back, single files, two at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file

from builders import checkpoints
from builders import pickle_asm as asm
from builders.command import run, snapshot
from xcompat.converters import convert, write_tiny_release, writing
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.files.output_file import HAS_LOCKS, OutputFile
from xcompat.converters.files.source import BUFFER_BYTES
from xcompat.converters.model import official
from xcompat.errors import CannotLook, Corruption, Refusal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    write_tiny_release(folder)
    return folder


# Verification.


@pytest.mark.parametrize("kind", ["safetensors", "pth", "both"])
def test_verify_passes_what_is_right(release: Path, kind: str) -> None:
    done = run("--verify", "--format", kind, release)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Verified: read back" in done.stdout


def test_verify_reads_what_was_written_of_long_names_too(tmp_path: Path) -> None:
    tensors, content = {}, {}
    for index in range(1_000):
        tensors[f"gpt.{index}.{'long' * 2_500}"] = asm.tensor(asm.storage(f"9{index}", 1), (1,))
        content[f"data/9{index}"] = bytes(4)
    source = checkpoints.write(tmp_path, checkpoints.checkpoint(tensors, content))
    done = run("--verify", source, "-o", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "model.safetensors").stat().st_size > 10_000_000


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.parametrize("place", [3, 9000, -1000])
def test_verify_finds_a_byte_that_the_disk_changed(
    release: Path, kind: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = writing._verify

    def damaging(output: OutputFile, layout: object) -> None:
        if output.path.name.startswith("model."):
            content = bytearray(output.temporary.read_bytes())
            content[place] ^= 0x10
            output.temporary.write_bytes(content)
        real(output, layout)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "_verify", damaging)
    with pytest.raises(CannotLook, match="is not right") as caught:
        convert(release, format=kind, verify=True)  # type: ignore[arg-type]
    assert caught.value.code == "XC111"
    assert not release.with_name("release-converted").exists()


def test_the_hash_names_a_published_release(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = json.loads(run("--sha256", "--dry-run", release, "--json").stdout)["sha256"]
    assert digest == "", "a dry run reads no weights"
    digest = convert(release, sha256=True).sha256
    assert digest == subprocess.run(
        ["sha256sum", release / "model.pth"], capture_output=True, text=True, check=True
    ).stdout.split()[0]  # fmt: skip
    monkeypatch.setitem(official.RELEASES, digest, "XTTS v2.0.3")
    done = convert(release, sha256=True, force=True)
    assert done.release == "XTTS v2.0.3"
    manifest = json.loads((release.parent / "release-converted" / "xcompat.json").read_text())
    assert manifest["source"]["release"] == "XTTS v2.0.3"


# Casts.


def weights(folder: Path, values: np.ndarray) -> Path:
    """Write a checkpoint whose `gpt.text_embedding.weight` has these values."""
    tensor = asm.tensor(asm.storage("big", values.size), values.shape)
    data = checkpoints.checkpoint(
        {"gpt.extra.weight": tensor, "gpt.conditioning_perceiver.weight": tensor},
        {"data/big": values.astype("<f4").tobytes()},
    )
    return checkpoints.write(folder, data)


EDGES = np.array(
    [0.0, -0.0, 1.0, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 2**-14, 2**-24, 1e-8,
     65504.0, -65504.0, 0.1, -0.1, 3.14159],
    dtype=np.float32,
)  # fmt: skip


def values() -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 0.02, BUFFER_BYTES // 4 + 1000)
    return np.concatenate([EDGES, noise.astype(np.float32)]).reshape(-1, 1)


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Round to bfloat16, to the nearest, ties to even; return the 16-bit patterns."""
    wide = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((wide + 0x7FFF + (wide >> 16 & 1)) >> 16).astype(np.uint16)


def raw(path: Path, name: str) -> tuple[str, bytes]:
    found = dict(safetensors.deserialize(path.read_bytes()))
    return found[name]["dtype"], bytes(found[name]["data"])


def test_float16_rounds_as_numpy_does(tmp_path: Path) -> None:
    done = convert(weights(tmp_path, values()), tmp_path / "out", dtype="float16")
    kind, data = raw(tmp_path / "out" / "model.safetensors", "gpt.extra.weight")
    assert kind == "F16"
    assert data == values().astype("<f2").tobytes()
    assert done.cast is not None
    assert done.cast.tensors == 5
    measured = values()[: BUFFER_BYTES // 4].astype(np.float64)
    cast = measured - measured.astype(np.float16).astype(np.float64)
    assert done.cast.worst_error == pytest.approx(np.linalg.norm(cast) / np.linalg.norm(measured))


def test_bfloat16_rounds_to_the_nearest_ties_to_even(tmp_path: Path) -> None:
    done = convert(weights(tmp_path, values()), tmp_path / "out", dtype="bfloat16", format="both")
    kind, data = raw(tmp_path / "out" / "model.safetensors", "gpt.extra.weight")
    assert kind == "BF16"
    assert data == bfloat16(values()).tobytes()
    assert done.cast is not None
    assert done.cast.error is not None
    assert 1e-5 < done.cast.error < 2**-8
    with TorchSource(tmp_path / "out" / "model.pth") as checkpoint:
        assert checkpoint.value["model"]["gpt.extra.weight"].dtype.name == "BF16"
        assert checkpoint.value["model"]["gpt.gpt.ln_f.weight"].dtype.name == "F32"


def test_what_breaks_in_half_precision_stays_as_it_is(tmp_path: Path) -> None:
    convert(weights(tmp_path, values()), tmp_path / "out", dtype="float16")
    kind, data = raw(tmp_path / "out" / "model.safetensors", "gpt.conditioning_perceiver.weight")
    assert (kind, data) == ("F32", values().tobytes())


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (70000.0, "float16", "beyond 65,504"),
        (np.nan, "float16", "infinite or NaN"),
        (np.nan, "bfloat16", "infinite or NaN"),
        (np.inf, "bfloat16", "infinite or NaN"),
    ],
)
def test_what_a_type_cannot_hold_is_refused(
    tmp_path: Path, value: float, dtype: str, message: str
) -> None:
    source = weights(tmp_path, np.array([[1.0], [value]], dtype=np.float32))
    with pytest.raises(Refusal, match=message) as caught:
        convert(source, tmp_path / "out", dtype=dtype)  # type: ignore[arg-type]
    assert caught.value.code == "XC108"
    assert "gpt.extra.weight" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_the_report_names_the_cost_of_a_cast(tmp_path: Path) -> None:
    done = run("--dtype", "float16", weights(tmp_path, values()), "-o", tmp_path / "out")
    assert done.returncode == 0
    assert "Cast 5 tensors to float16; 3 stay as they are" in done.stdout
    assert "relative error" in done.stdout


# The way back.


def test_there_and_back_again_is_equal(release: Path, tmp_path: Path) -> None:
    convert(release, tmp_path / "there")
    done = run("--format", "pth", tmp_path / "there", "-o", tmp_path / "back", "--verify")
    assert (done.returncode, done.stderr) == (0, "")
    convert(tmp_path / "back", tmp_path / "again")
    for name in ("model.safetensors", "speakers_xtts.safetensors"):
        there = load_file(tmp_path / "there" / name)
        again = load_file(tmp_path / "again" / name)
        assert there.keys() == again.keys()
        assert all(np.array_equal(there[key], again[key]) for key in there)
    with (
        TorchSource(release / "speakers_xtts.pth") as first,
        TorchSource(tmp_path / "back" / "speakers_xtts.pth") as second,
    ):
        assert list(first.value) == list(second.value), "the order of the speakers counts"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda data: data[:-1], "XC102"),
        (lambda data: data + b"\0", "XC102"),
        (lambda data: b"\xff" * 8 + data[8:], "XC102"),
        (lambda data: data.replace(b'"F32"', b'"F99"', 1), "XC101"),
        (lambda data: data.replace(b'"shape":[', b'"shape":[9,', 1)[:-2], "XC102"),
        (lambda data: data[:8] + data[8:].replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1),
         "XC102"),
        (lambda _: b"PK\x03\x04" + bytes(100), "XC101"),
        (lambda _: b"<!DOCTYPE html>", "XC102"),
        (lambda _: b"", "XC102"),
        (lambda data: data.replace(b"gpt.gpt.ln_f.weight", b"hifigan_decoder.scal", 1), "XC102"),
    ],
    ids=["cut", "longer", "length", "dtype", "shape", "hole", "zip", "html", "empty", "names"],
)  # fmt: skip
def test_a_damaged_safetensors_file_is_refused(tmp_path: Path, damage: object, code: str) -> None:
    checkpoints.write(tmp_path, checkpoints.checkpoint())
    convert(tmp_path / "model.pth", tmp_path / "good")
    source = tmp_path / "bad.safetensors"
    source.write_bytes(damage((tmp_path / "good" / "model.safetensors").read_bytes()))  # type: ignore[operator]
    done = run(source, "-o", tmp_path / "out", "--format", "pth")
    assert f"error[{code}]" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


# Single files.


def test_the_speakers_alone(release: Path, tmp_path: Path) -> None:
    done = run(release / "speakers_xtts.pth", "-o", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "built-in speakers" in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["speakers_xtts.safetensors"]


def test_the_autoencoder_and_the_statistics_alone(tmp_path: Path) -> None:
    embed = asm.tensor(asm.storage("0", 80), (2, 40))
    for name, value in (
        ("dvae", asm.ordered_dict({"codebook.embed": embed})),
        ("mel_stats", asm.tensor(asm.storage("0", 80), (80,))),
    ):
        content = {"data/0": checkpoints.floats(80)}
        data = checkpoints.zip_forge.archive(checkpoints.entries(asm.pickle(value), content))
        source = checkpoints.write(tmp_path, data, f"{name}.pth")
        convert(source, tmp_path / name, format="both", verify=True)
        (tensor,) = load_file(tmp_path / name / f"{name}.safetensors").values()
        assert tensor.tobytes() == checkpoints.floats(80)
        with TorchSource(tmp_path / name / f"{name}.pth") as back:
            assert back.names_only_tensors


# Two at once, and what a killed one leaves.


in_use_is_kept = pytest.mark.skipif(
    os.name == "posix" and not HAS_LOCKS,
    reason="a system without locks keeps what is open; one that is imitated does not",
)


@in_use_is_kept
def test_two_at_once_give_one_result_and_one_error(release: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xcompat", "convert", str(release), "-o", str(tmp_path / "x")]
    for _ in range(4):
        both = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        told = [process.communicate(timeout=60)[1] for process in both]
        assert sorted(process.returncode for process in both) == [0, 4]
        assert sum("error[XC110]" in text for text in told) == 1
        names = {path.name for path in (tmp_path / "x").iterdir()}
        assert names == {
            "LICENSE.txt", "config.json", "model.safetensors", "speakers_xtts.safetensors",
            "vocab.json", "xcompat.json",
        }  # fmt: skip
        for path in (tmp_path / "x").iterdir():
            path.unlink()


def test_what_appears_meanwhile_is_not_replaced(release: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "model.safetensors"

    def intrude(done: int, total: int) -> None:
        if done == total:
            target.write_bytes(b"another")

    with pytest.raises(CannotLook, match="appeared meanwhile") as caught:
        convert(release, tmp_path / "out", progress=intrude)
    assert caught.value.code == "XC110"
    assert snapshot(tmp_path / "out") == {"model.safetensors": b"another"}


def test_what_a_killed_conversion_left_is_removed(release: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    abandoned = target / ".model.safetensors.0123abcd.part"
    abandoned.write_bytes(b"half")
    other = target / ".notes.0123abcd.part"
    other.write_bytes(b"mine")
    convert(release, target)
    assert not abandoned.exists()
    assert other.exists()


@in_use_is_kept
@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be removed there")
def test_what_another_conversion_is_writing_is_not_removed(release: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    running = OutputFile(target / "model.safetensors", lambda _: None, durable=False)
    convert(release, target)
    assert running.temporary.exists()
    running.close()


def test_damage_is_found_with_every_option(release: Path, tmp_path: Path) -> None:
    checkpoints.damage_weights(release / "model.pth")
    for options in ({"format": "pth"}, {"dtype": "float16"}, {"verify": True}, {"format": "both"}):
        with pytest.raises(Corruption):
            convert(release, tmp_path / "out", **options)  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()


def test_find_lists_what_lies_in_the_caches(release: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    place = home / "tts" / "tts_models--multilingual--multi-dataset--xtts_v2"
    place.parent.mkdir(parents=True)
    release.rename(place)
    done = run("--find", TTS_HOME=str(home), HF_HOME=str(tmp_path / "hf"), HOME=str(home))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(place / "model.pth") in done.stdout.replace("\n", "")
    assert "pickled" in done.stdout
    told = json.loads(
        run("--find", "--json", TTS_HOME=str(home), HF_HOME=str(tmp_path), HOME=str(home)).stdout
    )
    assert told["total"] == sum(item["size"] for item in told["found"])


def test_nothing_to_convert_is_a_usage_error() -> None:
    done = run()
    assert done.returncode == 2
    assert "error[XC113]" in done.stderr


# What trainers save.


def test_an_optimizer_is_an_inert_record(tmp_path: Path) -> None:
    weight = asm.tensor(asm.storage("0", 6), (3, 2))
    state = asm.call(asm.name("collections", "defaultdict"), asm.name("builtins", "dict"))
    state += (
        asm.MARK + weight + asm.dict_({"step": asm.text("1"), "exp_avg": weight}) + asm.SETITEMS
    )
    adamw = asm.name("torch.optim.adamw", "AdamW")
    optimizer = adamw + asm.EMPTY_TUPLE + asm.NEWOBJ + asm.dict_({"state": state}) + asm.BUILD
    data = checkpoints.checkpoint(optimizer=optimizer, optimizer_class=adamw)
    done = convert(checkpoints.write(tmp_path, data), tmp_path / "out", format="both", verify=True)
    assert {"optimizer", "optimizer_class"} <= {item.what for item in done.dropped}
    assert b"torch.optim" not in (tmp_path / "out" / "model.pth").read_bytes()


def test_another_class_of_torch_is_not(tmp_path: Path) -> None:
    data = checkpoints.checkpoint(optimizer=asm.name("torch.optim.lbfgs", "LBFGS"))
    with pytest.raises(Refusal, match=r"torch\.optim\.lbfgs\.LBFGS") as caught:
        convert(checkpoints.write(tmp_path, data), tmp_path / "out")
    assert caught.value.code == "XC104"
