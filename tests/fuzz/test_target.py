"""The fuzzer's target holds for its seeds, and for some hundred changes of them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from fuzz import target
from fuzz.mutate import blindly, mutate
from fuzz.seeds import seeds
from xcompat.converters.containers.safetensors_file import SafetensorsLayout

if TYPE_CHECKING:
    from pathlib import Path

CHANGES = 300


@pytest.fixture(scope="module")
def corpus() -> list[bytes]:
    return list(seeds())


def test_every_seed_ends_as_promised(corpus: list[bytes], tmp_path: Path) -> None:
    outcomes = [target.check(data, tmp_path) for data in corpus]
    assert outcomes.count("converted") >= 8
    assert {"XC101", "XC102", "XC103", "XC104", "XC105", "XC107", "XC108", "XC109"} <= set(outcomes)


def test_changed_seeds_end_as_promised(corpus: list[bytes], tmp_path: Path) -> None:
    noise = Random(20261122)
    outcomes = set()
    for _ in range(CHANGES):
        data = noise.choice(corpus)
        for _ in range(noise.randrange(1, 4)):
            data = mutate(data, 1 << 16, noise, blindly(noise))
        outcomes.add(target.check(data, tmp_path))
    assert {"XC102", "XC103", "XC105"} <= outcomes


def test_the_target_notices_a_wrong_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = SafetensorsLayout.write

    def damage(self, output):
        written(self, output)
        (path,) = output.path.parent.glob(".model.safetensors.*.part")
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    monkeypatch.setattr(SafetensorsLayout, "write", damage)
    with pytest.raises(target.Broken, match="safetensors file holds something else"):
        target.check(next(seeds()), tmp_path)


def test_the_target_notices_what_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(source: Path, output: Path, *, format: str) -> None:  # noqa: A002
        output.mkdir()
        raise target.XcompatError("XC102", "it is damaged")

    monkeypatch.setattr(target, "convert", leave)
    with pytest.raises(target.Broken, match="behind"):
        target.check(b"", tmp_path)
