"""What a bench measures of a loaded model, and of the memory that its weights are read from."""

from __future__ import annotations

import statistics
import time
import zlib
from pathlib import Path
from typing import Any

from . import calls, loader, machine, trials
from . import runtime as attached_runtime
from .tapping import Tap
from .wording import StageError

WAYS: dict[str, dict[str, Any]] = {
    "stock": {"runtime": "stock"},
    "float32": {"runtime": "xcompat"},
    "bfloat16": {"dtype": "bfloat16"},
    "float16": {"dtype": "float16"},
    "int8": {"quantize": "int8"},
}
"""Ways to decode, and how `load_xtts` is asked for each."""
BYTES = {"stock": 4, "float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
"""Bytes that a weight of the blocks has in each."""
_READ = 1 << 27
"""Numbers (float32) that the speed of memory is measured with: more than any cache holds."""
_READINGS = 5


def load(folder: Path, way: str, device: str, stock_folder: str) -> tuple[Any, float, str]:
    """Load a model in one of `WAYS`; return it, the seconds, and which function loaded it.

    Args:
        folder: Holds a converted model, or one that was repaired in place.
        way: One of `WAYS`.
        device: A torch device.
        stock_folder: What the stock `load_checkpoint` may load: it holds tensors and nothing else.
            Empty where there is no such folder.

    Raises:
        StageError: Stock does not decode rightly here.
    """
    machine.synchronise(device)
    started = time.perf_counter()
    if way == "stock" and stock_folder:
        model, by = calls.stock_load(Path(stock_folder)).to(device), "load_checkpoint"
        model.xcompat = None
    elif (folder / loader.MODEL_FILE).is_file():
        model, by = loader.load_xtts(folder, device=device, **WAYS[way]), "load_xtts"
    else:
        model, by = calls.stock_load(folder).to(device), "load_checkpoint"
        precision = {name: how for name, how in WAYS[way].items() if name != "runtime"}
        model.xcompat = attached_runtime.attach(model, **precision)
    machine.synchronise(device)
    seconds = time.perf_counter() - started
    gpt_class: Any = type(model.gpt)
    if way == "stock" and (fault := trials.stock_fault(gpt_class)):
        raise StageError(fault)
    return model, seconds, by


class _Watch(Tap):
    """Time the calls of `gpt.generate` inside the block, and keep how the last one was made."""

    def __init__(self, gpt: Any, device: str) -> None:
        super().__init__(gpt, "generate", lambda _: None)
        self._device = device
        self.seconds = 0.0
        self.codes: list[int] = []
        self.made: tuple[Any, Any] = ((), {})

    def __enter__(self) -> None:
        original = getattr(self.owner, self.name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            result = original(*args, **kwargs)
            machine.synchronise(self._device)
            self.seconds += time.perf_counter() - started
            self.codes += result[0].tolist()
            self.made = args, kwargs
            return result

        setattr(self.owner, self.name, wrapper)


def sentence(
    model: Any, text: str, language: str, voice: Any, *, device: str, seed: int, **options: Any
) -> dict[str, Any]:
    """Say a text once with the usual sampling; tell how long its parts took.

    Args:
        model: A loaded `Xtts`.
        text: What to say.
        language: Of the text.
        voice: Conditioning latents and speaker embedding.
        device: Where the model is.
        seed: Of torch's random numbers.
        options: Of `inference`, besides the usual ones.
    """
    import torch

    torch.manual_seed(seed)
    machine.synchronise(device)
    decode = _Watch(model.gpt, device)
    with decode:
        started = time.perf_counter()
        sampling = calls.usual_sampling(model)
        out = calls.inference(model, text, language, voice, **sampling, **options)
        machine.synchronise(device)
        seconds = time.perf_counter() - started
    args, kwargs = decode.made
    with torch.inference_mode():
        started = time.perf_counter()
        model.gpt.generate(*args, **{**kwargs, "max_new_tokens": 1})
        machine.synchronise(device)
        first = time.perf_counter() - started
    return {
        "seconds": seconds,
        "speech_seconds": len(out["wav"]) / calls.sample_rate(model),
        "decode_seconds": decode.seconds,
        "first_token_seconds": first,
        "tokens": len(decode.codes),
        "checksum": zlib.crc32(repr(decode.codes).encode()),
    }


def weights_read(model: Any, way: str) -> int:
    """Return the bytes of weights that one token reads: of all blocks, and of the head."""
    blocks = sum(p.numel() for p in model.gpt.gpt.h.parameters() if p.dim() == 2)
    head = model.gpt.mel_head.weight
    return int(blocks * BYTES[way] + head.numel() * head.element_size())


def memory_speed(device: str) -> dict[str, float]:
    """Return the bytes a second that a copy reads and writes, and that a sum reads."""
    import torch

    source = torch.ones(_READ, dtype=torch.float32, device=device)
    target = torch.zeros_like(source)
    return {
        "copy": 2 * _bytes_a_second(lambda: target.copy_(source), device),
        "sum": _bytes_a_second(source.sum, device),
    }


def _bytes_a_second(act: Any, device: str) -> float:
    """Return how many bytes of so many numbers as are read are gone through a second."""
    act()
    machine.synchronise(device)
    seconds = []
    for _ in range(_READINGS):
        started = time.perf_counter()
        act()
        machine.synchronise(device)
        seconds.append(time.perf_counter() - started)
    return 4 * _READ / statistics.median(seconds)
