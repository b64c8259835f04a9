"""The weights are the same everywhere: known values of the generator, known filters."""

from __future__ import annotations

import hashlib

import numpy as np

from xcompat.target import vocabulary, weights


def test_the_generator_is_splitmix64() -> None:
    # The first outputs for seed 1234567, as published with the reference implementation in C.
    state, outputs = 1234567, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        outputs.append(z ^ z >> 31)
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    seed = int.from_bytes(hashlib.sha256(b"name").digest()[:8], "little")
    first = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = (first ^ first >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    assert weights.uniform("name", 1)[0] == ((z ^ z >> 31) >> 40) / 2**23 - 1


def test_the_numbers_are_uniform_and_depend_on_name_and_index_only() -> None:
    numbers = weights.uniform("gpt.mel_head.weight", 3_000_000)
    assert numbers.dtype == np.float32
    assert -1 <= numbers.min() < -0.999
    assert 0.999 < numbers.max() < 1
    assert abs(float(numbers.mean(dtype=np.float64))) < 1e-3
    assert np.array_equal(weights.uniform("gpt.mel_head.weight", 10), numbers[:10])
    assert not np.array_equal(weights.uniform("gpt.mel_head.bias", 10), numbers[:10])
    digest = hashlib.sha256(numbers.tobytes()).hexdigest()
    assert digest[:16] == "319dd82efcfcaec2"


def test_the_vocabulary_has_the_size_of_the_release() -> None:
    model = vocabulary.build()["model"]
    assert len(model["vocab"]) == vocabulary.RELEASE_SIZE
    assert sorted(model["vocab"].values()) == list(range(vocabulary.RELEASE_SIZE))
    for merge in model["merges"]:
        left, right = merge.split(" ")
        assert {left, right, left + right} <= model["vocab"].keys()
