"""What a trainer's file of 5.6 GB costs: `nox -s bench_trainer -- path/to/model.pth`.

The file is made from a release of full size, with what `GPTTrainer` and the trainer's `save_model`
put around it: prefixed names, the autoencoder and mel front-ends (1023 tensors in all), and 426
states of AdamW. Only its pickle is read; the rest is written straight into an archive.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from math import prod
from pathlib import Path

from written_archive import Archive, pickle_bytes

import bench
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.values.objects import StateDict
from xcompat.converters.values.tensors import F32, Dtype, Storage, Tensor, packed

BLOCK = 1 << 20
SIDE = {
    **{f"dvae.part.{index}.weight": (1024, 859) for index in range(57)},
    "torch_mel_spectrogram_style_encoder.mel_stft.window": (1024,),
    "torch_mel_spectrogram_dvae.mel_stft.window": (1024,),
    "torch_mel_spectrogram_dvae.mel_norms": (80,),
}
"""As many tensors as training adds, with as many bytes."""
STATES = 426


def write_trainer_file(path: Path, release: Path) -> None:
    """Write a file as a fine-tune of this release leaves behind."""
    noise = os.urandom(BLOCK)
    with TorchSource(release) as checkpoint, path.open("wb") as file:
        sources: dict[str, Tensor] = checkpoint.value["model"]
        archive = Archive(file)
        storages: list[Tensor | None] = []

        def tensor(shape: tuple[int, ...], dtype: Dtype = F32, of: Tensor | None = None) -> Tensor:
            storages.append(of)
            storage = Storage(len(storages) - 1, dtype, prod(shape))
            kept.append(storage)
            return packed(storage, shape)

        kept: list[Storage] = []
        model: StateDict = StateDict(
            (f"xtts.{name}", tensor(found.shape, found.dtype, found))
            for name, found in sources.items()
        )
        model |= {name: tensor(shape) for name, shape in SIDE.items()}
        trained = sorted(
            (found for name, found in sources.items() if name.startswith("gpt.")),
            key=lambda found: -found.numel,
        )[:STATES]
        state = {
            index: {
                "step": tensor(()),
                "exp_avg": tensor(found.shape),
                "exp_avg_sq": tensor(found.shape),
            }
            for index, found in enumerate(trained)
        }
        value = {"model": model, "optimizer": {"state": state}, "step": 1000, "epoch": 1}
        archive.record("data.pkl", [pickle_bytes(value)])
        archive.record("byteorder", [b"little"])
        for storage, of in zip(kept, storages, strict=True):
            if of is None:
                blocks = (noise[: min(BLOCK, storage.nbytes - at)]
                          for at in range(0, storage.nbytes, BLOCK))  # fmt: skip
            else:
                start = checkpoint.record(of.storage).offset + of.offset * of.dtype.itemsize
                blocks = (bytes(piece) for piece in checkpoint.file.pieces(start, of.nbytes))
            archive.record(f"data/{storage.key}", blocks)
        archive.record("version", [b"3\n"])
        archive.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s bench_trainer --")
    parser.add_argument("release", type=Path)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="needs 10 GB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix=".bench-") as name:
        folder = Path(name)
        trained, kept, output = folder / "best_model.pth", folder / "kept", folder / "out"
        write_trainer_file(trained, options.release.resolve())
        shutil.copyfile(options.release, kept)
        copy = ["cp", "--reflink=never", str(kept), str(output / "copy")]
        convert = [*bench.XCOMPAT, "convert", str(trained), "-o", str(output / "converted")]
        for words in (["--no-fsync"], ["--no-fsync", "--format", "pth"]):
            label = f"best_model.pth of {trained.stat().st_size / 1e9:.2f} GB, {' '.join(words)}"
            bench.compare(f"{label} / cp of what is kept", [[*convert, *words]], [copy], output)


if __name__ == "__main__":
    main()
