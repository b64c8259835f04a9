"""The voice that ships is unpacked into a checkpoint, by the standard library alone."""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load

from xcompat.converters import convert, write_voice
from xcompat.converters.model.official import LICENCE, licence_of
from xcompat.converters.model.voice import PACKED
from xcompat.errors import CannotLook, Corruption
from xcompat.smoke.voice import FOLDER, SPEAKERS

if TYPE_CHECKING:
    from pathlib import Path

NOISE = 0x29C860CD
"""CRC-32 of the last matrix of the speaker encoder."""
DECODER = "hifigan_decoder.waveform_decoder."


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return load(gzip.decompress((FOLDER / PACKED).read_bytes()))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    folder = tmp_path_factory.mktemp("voice") / "original"
    return folder, write_voice(FOLDER, folder)


@pytest.fixture(scope="module")
def converted(unpacked: tuple[Path, dict[str, int]]) -> Path:
    folder = unpacked[0].with_name("converted")
    convert(unpacked[0], folder)
    return folder


@pytest.fixture(scope="module")
def tensors(converted: Path) -> dict[str, Any]:
    return load((converted / "model.safetensors").read_bytes())


def whole(stored: dict[str, Any], name: str) -> Any:
    return stored[name] * stored[f"{name}.scale"].astype(np.float32)


def test_it_is_small_and_holds_no_pickle() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 9_000_000
    assert {path.suffix for path in FOLDER.iterdir()} == {".gz", ".json", ".txt", ".mp3"}


@pytest.mark.parametrize(
    "name", ["gpt.mel_head.weight", "gpt.gpt.h.3.mlp.c_proj.weight", "gpt.mel_embedding.weight"]
)
def test_integers_are_multiplied_by_their_scales(
    stored: dict[str, Any], tensors: dict[str, Any], name: str
) -> None:
    assert np.array_equal(tensors[name], whole(stored, name))


def test_the_vocoder_fills_the_corner_of_the_one_that_tts_builds(
    stored: dict[str, Any], tensors: dict[str, Any]
) -> None:
    name = f"{DECODER}ups.0.parametrizations.weight.original1"
    live, full = whole(stored, name), tensors[name]
    assert full.shape == (512, 256, 16)
    assert np.array_equal(full[:160, :80], live)
    assert not full[:160, 80:].any()
    # A filter that nothing feeds points somewhere: the direction of nothing is not a number.
    assert (full[160:] == 1).all()
    bias = tensors[f"{DECODER}ups.0.bias"]
    assert np.array_equal(bias[:80], stored[f"{DECODER}ups.0.bias"].astype(np.float32))
    assert not bias[80:].any()


def test_what_was_not_learned_is_noise_that_is_the_same_everywhere(
    tensors: dict[str, Any],
) -> None:
    noise = tensors["hifigan_decoder.speaker_encoder.fc.weight"]
    assert noise.shape == (512, 4096)
    assert zlib.crc32(noise.tobytes()) == NOISE
    assert abs(float(noise.mean())) < 1e-3


def test_every_tensor_has_the_checksum_that_was_told(
    unpacked: tuple[Path, dict[str, int]], tensors: dict[str, Any]
) -> None:
    assert unpacked[1] == {name: zlib.crc32(t.tobytes()) for name, t in sorted(tensors.items())}


def test_its_speakers_come_in_their_order_and_its_licence_with_it(converted: Path) -> None:
    content = (converted / "speakers_xtts.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert tuple(json.loads(header["__metadata__"]["speakers"])) == SPEAKERS
    assert header["__metadata__"]["license"] == "CC0-1.0"
    assert json.loads((converted / "xcompat.json").read_text())["license"] == "CC0-1.0"
    for notice in ("Carnegie Mellon University", "WordNet 3.0 Copyright"):
        assert notice in (converted / "LICENSE.txt").read_text()


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:99] + b"x" + b[100:]])
def test_a_damaged_voice_leaves_nothing(tmp_path: Path, damage: Any) -> None:
    voice = tmp_path / "voice"
    shutil.copytree(FOLDER, voice)
    (voice / PACKED).write_bytes(damage((FOLDER / PACKED).read_bytes()))
    with pytest.raises(Corruption, match="is damaged"):
        write_voice(voice, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_voice_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match=r"cannot read .*config\.json"):
        write_voice(tmp_path, tmp_path / "out")


PUBLISHED = {"gpt_layers": 30, "gpt_n_model_channels": 1024}


@pytest.mark.parametrize(
    ("args", "config", "texts", "licence"),
    [
        (PUBLISHED, {}, [], LICENCE),
        (PUBLISHED, {"datasets": [{"dataset_name": "mine"}]}, [b"terms"], LICENCE),
        (PUBLISHED, {"datasets": [{"dataset_name": "untrained"}]}, [], ""),
        (PUBLISHED | {"gpt_layers": 6}, {}, [], ""),
        (PUBLISHED, {}, [b"# SPDX-License-Identifier: MIT"], "MIT"),
    ],
)
def test_a_licence_is_said_of_what_was_recognised(
    args: dict[str, Any], config: dict[str, Any], texts: list[bytes], licence: str
) -> None:
    assert licence_of(args, config, texts) == licence
