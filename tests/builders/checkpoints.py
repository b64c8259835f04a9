"""Small genuine checkpoints in the layout of torch.save, made without torch and without xcompat."""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING

from builders import pickle_asm as asm
from builders import zip_forge

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {
    "gpt.text_embedding.weight": (3, 2),
    "gpt.mel_embedding.weight": (4, 2),
    "gpt.mel_pos_embedding.emb.weight": (5, 2),
    "gpt.text_pos_embedding.emb.weight": (4, 2),
    "gpt.gpt.ln_f.weight": (2,),
    "hifigan_decoder.scale": (),
}
"""The least that is an XTTS checkpoint."""


def floats(count: int, start: int = 0) -> bytes:
    return struct.pack(f"<{count}f", *(start + index + 0.5 for index in range(count)))


def state_dict(prefix: str = "") -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the pickled tensors by name, and the records that hold their data."""
    tensors: dict[str, bytes] = {}
    content: dict[str, bytes] = {}
    for key, (name, shape) in enumerate(SHAPES.items()):
        numel = prod(shape)
        tensors[prefix + name] = asm.tensor(asm.storage(str(key), numel), shape)
        content[f"data/{key}"] = floats(numel, 100 * key)
    return tensors, content


def entries(pickle: bytes, content: dict[str, bytes]) -> list[zip_forge.Entry]:
    return zip_forge.records(
        "archive", {"data.pkl": pickle, "byteorder": b"little", **content, "version": b"3\n"}
    )


def checkpoint(
    tensors: dict[str, bytes] | None = None,
    content: dict[str, bytes] | None = None,
    **extras: bytes,
) -> bytes:
    """Return a checkpoint: the least one, with these tensors, records and top-level items too."""
    known, data = state_dict()
    value = asm.dict_({**extras, "model": asm.ordered_dict({**known, **(tensors or {})})})
    return zip_forge.archive(entries(asm.pickle(value), {**data, **(content or {})}))


def trainer_checkpoint() -> bytes:
    """Return what a trainer saves: prefixed names, the autoencoder, and the optimizer's state."""
    tensors, content = state_dict("xtts.")
    tensors["dvae.codebook.embed"] = asm.tensor(asm.storage("dvae", 400), (400,))
    moment = asm.tensor(asm.storage("moment", 600), (600,))
    value = {
        "model": asm.ordered_dict(tensors),
        "optimizer": asm.dict_({"state": asm.dict_({"exp_avg": moment})}),
    }
    content |= {"data/dvae": floats(400), "data/moment": floats(600)}
    return zip_forge.archive(entries(asm.pickle(asm.dict_(value)), content))


def damage_weights(path: Path) -> None:
    """Change one bit of the last storage of a checkpoint."""
    content = bytearray(path.read_bytes())
    descriptor = content.rindex(
        b"PK\x07\x08", 0, content.rindex(b"/version", 0, content.index(b"PK\x01\x02"))
    )
    content[descriptor - 1] ^= 1
    path.write_bytes(content)


def write(folder: Path, data: bytes, name: str = "model.pth") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def first_version(*, hifigan: bool = False) -> bytes:
    """Return XTTS v1.0 as it was published: saved after `init_gpt_for_inference`, with aliases.

    Its keys are those of `Xtts` in TTS 0.17.4; a later revision holds a HiFi-GAN as well.
    """
    tensors, content = state_dict()
    tensors["gpt.prompt_embedding.weight"] = asm.tensor(asm.storage("prompt", 8), (4, 2))
    content["data/prompt"] = floats(8, 900)
    if not hifigan:
        del tensors["hifigan_decoder.scale"]
    for number, name in enumerate(("diffusion_decoder.code_norm.bias", "vocoder.res_stack.0.bias")):
        tensors[name] = asm.tensor(asm.storage(f"d{number}", 2), (2,))
        content[f"data/d{number}"] = floats(2, 700)
    for alias, name in {
        "gpt.gpt.wte.weight": "gpt.mel_embedding.weight",
        "gpt.gpt_inference.transformer.wte.weight": "gpt.mel_embedding.weight",
        "gpt.gpt_inference.transformer.ln_f.weight": "gpt.gpt.ln_f.weight",
    }.items():
        tensors[alias] = tensors[name]
    value = asm.dict_({"model": asm.ordered_dict(tensors)})
    return zip_forge.archive(entries(asm.pickle(value), content))
