"""Prove that an unmodified TTS loads what xcompat wrote: `python -I prove_loading.py ORIGINAL ...`.

ORIGINAL is the folder of the tiny release; the folders after it hold conversions of it. Each must
load by the stock `Xtts.load_checkpoint`, with `torch.load` allowed tensors only, and hold the
original's weights bit for bit, or as near as its type allows. `nox -s loading` runs it in several
environments.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

sys.path.insert(0, str(Path(__file__).parent))

import speaking
import torch
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.models.xtts import Xtts

TOLERANCE = {"float32": 0.0, "float16": 1e-3, "bfloat16": 8e-3}
"""Largest relative error of a tensor as a whole."""


def load(folder: Path) -> dict[str, torch.Tensor]:
    """Load as the documentation of TTS says; with `load_xtts` what only that can read."""
    if not (folder / "model.pth").is_file():
        return speaking.target("loader").load_xtts(folder, runtime="stock").state_dict()
    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts.init_from_config(config)
    model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    return model.state_dict()


def refused(folder: Path) -> str:
    """Return what `torch.load` says to the original, which names classes."""
    try:
        torch.load(folder / "model.pth", map_location="cpu", weights_only=True)
    except Exception as error:
        return type(error).__name__
    raise SystemExit("torch.load took the original under weights_only=True: it proves nothing")


def prove(original: dict[str, torch.Tensor], folder: Path) -> str:
    """Compare what TTS loaded with the original."""
    manifest: dict[str, Any] = json.loads((folder / "xcompat.json").read_text())
    dtype = (manifest["cast"] or {}).get("dtype", "float32")
    found = load(folder)
    missing = original.keys() - found.keys()
    if missing:
        raise SystemExit(f"{folder.name}: {sorted(missing)[:3]} are missing")
    worst = 0.0
    for name, tensor in original.items():
        if found[name].dtype != tensor.dtype:
            raise SystemExit(f"{folder.name}: `{name}` computes in {found[name].dtype}")
        if not tensor.is_floating_point() or not tensor.numel():
            error = 0.0 if torch.equal(tensor, found[name]) else 1.0
        else:
            size = tensor.double().norm().item() or 1.0
            error = (tensor.double() - found[name].double()).norm().item() / size
        worst = max(worst, error)
        if error > TOLERANCE[dtype]:
            raise SystemExit(f"{folder.name}: `{name}` differs by {error:.1e}")
    return f"{len(original)} tensors, {dtype}, worst relative error {worst:.1e}"


def main() -> None:
    source, *folders = map(Path, sys.argv[1:])
    # Some coqui-tts (0.27.2) allow the classes that the original names when they are imported.
    if clear := getattr(torch.serialization, "clear_safe_globals", None):  # torch before 2.5
        clear()
    versions = f"torch {torch.__version__}"
    print(f"{versions}: the original is refused ({refused(source)})", flush=True)
    original = torch.load(source / "model.pth", map_location="cpu", weights_only=False)["model"]
    # torch before 2.6 loads tensors only where it is told to, and TTS 0.22.0 does not tell it.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    for folder in folders:
        print(f"{versions}: {folder.name}: {prove(original, folder)}", flush=True)


if __name__ == "__main__":
    main()
