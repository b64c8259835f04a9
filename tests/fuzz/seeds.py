"""What the fuzzer starts from: checkpoints and attacks, made by the builders of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import checkpoints, zip_forge
from builders import pickle_asm as asm
from builders.attacks import ATTACKS

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 100_000
"""Bytes of a seed. What is larger tests a limit, and is too slow to change a thousand times."""


def seeds() -> Iterator[bytes]:
    """Yield files, the same on every machine."""
    yield from _genuine()
    for attack in _attacks():
        if len(attack) <= LARGEST:
            yield attack


def _genuine() -> Iterator[bytes]:
    tensors, content = checkpoints.state_dict("xtts.")
    yield checkpoints.checkpoint()
    yield zip_forge.archive(checkpoints.entries(asm.pickle(asm.ordered_dict(tensors)), content))
    config = asm.config("XttsConfig", {
        "model": asm.text("xtts"), "datasets": asm.list_(asm.config("BaseDatasetConfig", {})),
        "model_args": asm.config("XttsArgs", {
            "gpt_layers": asm.number(0), "gpt_n_model_channels": asm.number(2),
            "gpt_max_audio_tokens": asm.number(2), "gpt_max_text_tokens": asm.number(2),
            "gpt_num_audio_tokens": asm.number(4)}),
        "top_p": asm.real(0.85), "max_audio_len": asm.real(float("inf"))})  # fmt: skip
    yield checkpoints.checkpoint(config=config, step=asm.number(7), optimizer=asm.call(
        asm.name("collections", "defaultdict"), asm.name("builtins", "dict")))  # fmt: skip
    for kind, itemsize in {"HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8,
                           "BoolStorage": 1, "DoubleStorage": 8}.items():  # fmt: skip
        storage = asm.storage("9", 12, kind)
        odd = {
            "gpt.a": asm.tensor(storage, (2, 3), (1, 4), 1),
            "gpt.b": asm.tensor(storage, (2, 0, 3)),
            "gpt.c": asm.tensor(storage, (), (), 11),
            "gpt.d": asm.tensor(storage, (3, 2), (0, 1), 2),
            "gpt.e": asm.call(asm.name("torch._utils", "_rebuild_parameter"),
                asm.tensor(storage, (12,)), asm.TRUE, asm.ordered_dict({})),
        }  # fmt: skip
        yield checkpoints.checkpoint(odd, {"data/9": bytes(range(12 * itemsize))})
    plain = zip_forge.archive(checkpoints.entries(asm.pickle(asm.dict_({})), {}), zip64=True)
    yield plain
    yield asm.pickle(asm.dict_({"a": asm.list_(asm.text("b"))}), 4)


def _attacks() -> Iterator[bytes]:
    for group, attacks in ATTACKS.items():
        if group != "bombs":
            yield from (attack.bytes() for attack in attacks)
