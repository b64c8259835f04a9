"""Run the real XTTS on the simulated `mps` device, and tell what it calls there.

In an environment with TTS, and with the folder of a converted model:
`trace.py TABLE MODEL OUTPUT.json` writes which operators load, clone, speak and stream call on
the device, with the types of their tensors and the largest dimension of any. `--prove` runs the
model again on the CPU and with planted mistakes as well, and fails where the simulation differs
from the CPU, finds a tensor on the wrong device, or misses a mistake.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import math
import platform
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "compat")]

import torch
from simulated_device import Device, Trouble
from target import calls, loader, stages

if TYPE_CHECKING:
    from collections.abc import Callable

PHASES = ("load", "clone", "speak", "stream")
SECONDS, RATE = 7.0, 22050
TOKENS = 6


def states_of(table: dict[str, Any], version: str) -> dict[str, str]:
    """Return the state of each operator in one release of the table."""
    order = [release["torch"] for release in table["releases"]]
    if version not in order:
        raise SystemExit(f"torch {version} is not in the operator table")
    column = order.index(version)
    return {
        name: history[column]
        for history, names in table["operators"].items()
        for name in names.split()
    }


def reference() -> torch.Tensor:
    """Return a mono reference recording, such as `load_audio` gives, as (1, samples)."""
    time = torch.arange(int(SECONDS * RATE)) / RATE
    return (0.3 * torch.sin(2 * math.pi * 220 * time) * torch.sin(2 * math.pi * 3 * time))[None]


class Session:
    """A model on a device, and the calls that a user makes."""

    def __init__(self, folder: Path, device: str, runtime: str = "stock") -> None:
        self.device = device
        self.folder = folder
        self.runtime = runtime
        self.model: Any = None

    def load(self) -> None:
        """Load, and move the model to the device."""
        self.model = loader.load_xtts(self.folder, runtime=self.runtime).to(self.device)

    def clone(self) -> Any:
        """Take a voice from a recording."""
        from TTS.tts.models import xtts

        # Reading files is not what is looked at; torchaudio may lack what it reads WAVs with.
        original, xtts.load_audio = xtts.load_audio, lambda *_: reference()
        try:
            return self.model.get_conditioning_latents(audio_path=["reference.wav"])
        finally:
            xtts.load_audio = original

    def _voice(self) -> Any:
        return calls.voice_of(next(iter(self.model.speaker_manager.speakers.values())))

    def speak(self) -> Any:
        """Say a sentence with a built-in voice, with sampling."""
        torch.manual_seed(stages.SEED)
        return self.model.inference(
            stages.CHECK_TEXTS[0], "en", *self._voice(), max_new_tokens=TOKENS
        )["wav"]

    def stream(self) -> Any:
        """Say it in pieces."""
        torch.manual_seed(stages.SEED)
        chunks = self.model.inference_stream(
            stages.CHECK_TEXTS[0], "en", *self._voice(), stream_chunk_size=TOKENS
        )
        return [chunk.cpu() for chunk, _ in zip(chunks, range(2))]


def run(session: Session, device: Device | None) -> dict[str, Any]:
    """Do every phase, and return what each gave."""
    results = {}
    for phase in PHASES:
        with device.running(phase) if device else contextlib.nullcontext():
            results[phase] = _home(getattr(session, phase)())
        sys.stderr.write(f"{phase}: {time.process_time():.0f} s of CPU time so far\n")
    return results


def _home(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_home(each) for each in value]
    return value.cpu() if isinstance(value, torch.Tensor) else value


def packages() -> dict[str, str]:
    """Return the versions that decide what is called."""
    found = {}
    for name in ("TTS", "coqui-tts", "torch", "torchaudio", "transformers"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def trace(device: Device) -> dict[str, Any]:
    """Return what was seen, in the form that the data have."""
    return {
        "made_by": "nox -s mps_trace (tests/mps/trace.py), on a simulated mps device",
        "python": platform.python_version(),
        "packages": packages(),
        "reference_seconds": SECONDS,
        "phases": {
            phase: {
                "synchronisations": device.syncs[phase],
                "left_on_cpu": len(device.on_cpu[phase]),
                "operators": {
                    name: {
                        "calls": entry["calls"],
                        "types": " ".join(sorted(entry["types"])),
                        "largest": entry["largest"],
                    }
                    for name, entry in sorted(device.seen[phase].items())
                },
            }
            for phase in PHASES
        },
    }


def prove(folder: Path, states: dict[str, str], results: dict[str, Any]) -> list[str]:
    """Return what is wrong with the simulation: other values than the CPU's, mistakes not found."""
    wrong = []
    expected = run(Session(folder, "cpu"), None)
    for phase in PHASES:
        pairs = zip(_flat(results[phase]), _flat(expected[phase]))
        for mine, theirs in pairs:
            if mine.shape != theirs.shape:
                wrong.append(f"{phase}: {list(mine.shape)}, on the CPU {list(theirs.shape)}")
            elif (distance := float((mine - theirs).abs().max())) > TOLERANCE:
                wrong.append(f"{phase}: {distance:.1e} away from the CPU")
    for name, plant in PLANTED.items():
        device, session = Device(states), Session(folder, "mps")
        try:
            with device.running("load"):
                session.load()
                plant(session.model)
            with device.running("speak"):
                session.speak()
        except Trouble as trouble:
            sys.stderr.write(f"planted, and found: {name}: {trouble}\n")
        else:
            wrong.append(f"planted, and not found: {name}")
    return wrong


TOLERANCE = 1e-5
"""Largest difference from the CPU that the order of additions explains."""


def sizes(folder: Path, states: dict[str, str], runtime: str) -> tuple[set[int], int]:
    """Return in what sizes sentences ask for memory, and how many of them were new at the end.

    Each sentence has another number of tokens, and after the warm-up another text.
    """
    device, session = Device(states), Session(folder, "mps", runtime)
    with device.running("load"):
        session.load()
    known: set[int] = set()
    added = 0
    for text, tokens in (*WARMING_UP, *LATER):
        device.made.clear()
        with device.running("speak"), torch.no_grad():
            session.model.inference(
                text,
                "en",
                *calls.voice_of(next(iter(session.model.speaker_manager.speakers.values()))),
                do_sample=False,
                repetition_penalty=5.0,
                max_new_tokens=tokens,
            )
        large = {size for size in device.made if size >= SMALL}
        added += len(large - known) if (text, tokens) in LATER else 0
        known |= large
    return known, added


SMALL = 1 << 13
"""Bytes from which on a block counts: what is smaller shares blocks."""
WARMING_UP = (("It speaks in the morning.", 20), ("It speaks in the evening, too.", 40))
LATER = (
    ("It speaks in the morning.", 19),
    ("It speaks in the mornings.", 23),
    ("It speaks in the mornings now.", 37),
    ("It speaks in the early mornings.", 39),
)
"""Texts and audio tokens: some that show all sizes, then others that need no new one."""


def _flat(value: Any) -> list[torch.Tensor]:
    if isinstance(value, (list, tuple)):
        return [tensor for each in value for tensor in _flat(each)]
    return [] if value is None else [torch.as_tensor(value)]


def _plant_weight(model: Any) -> None:
    head = model.gpt.mel_head
    head.weight = torch.nn.Parameter(torch.zeros(head.weight.shape), requires_grad=False)


def _plant_embedding(model: Any) -> None:
    original = model.hifigan_decoder.forward

    def forward(latents: Any, g: Any = None) -> Any:
        return original(latents, g=g.cpu())

    model.hifigan_decoder.forward = forward


def _plant_double(model: Any) -> None:
    original = model.hifigan_decoder.forward

    def forward(latents: Any, g: Any = None) -> Any:
        steps = torch.arange(4, dtype=torch.float64, device=latents.device)
        return original(latents + steps.sum().float() * 0, g=g)

    model.hifigan_decoder.forward = forward


PLANTED: dict[str, Callable[[Any], None]] = {
    "a weight left on the CPU": _plant_weight,
    "a speaker embedding left on the CPU": _plant_embedding,
    "a float64 tensor on mps": _plant_double,
}


def tell_sizes(folder: Path, states: dict[str, str]) -> bool:
    """Say how many sizes each way asks for; return whether the runtime asks for ever new ones."""
    found = {runtime: sizes(folder, states, runtime) for runtime in ("stock", "xcompat")}
    for runtime, (known, added) in found.items():
        sys.stderr.write(f"{runtime}: {len(known)} sizes, {added} of them new after the warm-up\n")
    return found["xcompat"][1] > 0


def main(arguments: list[str]) -> int:
    """Trace or prove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--prove", action="store_true", help="compare with the CPU; plant mistakes")
    parser.add_argument("--sizes", action="store_true", help="hold sizes against stock's")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    table = json.loads(options.table.read_text("utf-8"))
    states = states_of(table, torch.__version__.partition("+")[0])
    if options.sizes:
        return tell_sizes(options.model, states)
    device = Device(states)
    results = run(Session(options.model, "mps"), device)
    if options.output:
        text = json.dumps(trace(device), indent=1)
        options.output.write_text(text + "\n", "utf-8")
    wrong = prove(options.model, states, results) if options.prove else []
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    if options.prove and not wrong:
        found = f"{sum(map(len, device.seen.values()))} operators, {len(device.troubles)} troubles"
        sys.stderr.write(f"as on the CPU, and every planted mistake found: {found}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
