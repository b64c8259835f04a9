"""Run the real XTTS on the simulated `mps` device, and tell what it calls there.

In an environment with TTS, and with the folder of a converted model:
`trace.py TABLE MODEL OUTPUT.json` writes which operators load, clone, speak and stream call on
the device, with the types of their tensors and the largest dimension of any. `--prove` runs the
model again on the CPU and with planted mistakes instead, and fails where the simulation differs
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
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "compat")]

import torch
from simulated_device import Device, Trouble
from target import loader, stages

if TYPE_CHECKING:
    from collections.abc import Callable

PHASES = ("load", "clone", "speak", "stream")
SECONDS, RATE = 7.0, 22050
TOKENS = 16


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

    def __init__(self, folder: Path, device: str) -> None:
        self.device = device
        self.folder = folder
        self.model: Any = None

    def load(self) -> None:
        """Load, and move the model to the device."""
        self.model = loader.load_xtts(self.folder, "cpu").to(self.device)

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
        return stages._voice(next(iter(self.model.speaker_manager.speakers.values())))

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


def main(arguments: list[str]) -> int:
    """Trace or prove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--prove", action="store_true")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    table = json.loads(options.table.read_text("utf-8"))
    states = states_of(table, torch.__version__.partition("+")[0])
    device = Device(states)
    results = run(Session(options.model, "mps"), device)
    if options.output:
        text = json.dumps(trace(device), indent=1)
        options.output.write_text(text + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
