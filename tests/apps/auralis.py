"""Auralis: reads model.pth with torch.load, and writes it in its own two parts."""

from __future__ import annotations

from typing import Any, Iterator

from ways import Way


def speak(way: Way) -> Iterator[Any]:
    import torch

    state = torch.load(way.folder / "model.pth", map_location="cpu", weights_only=True)
    weights = state.get("model", state)
    parts = {
        "gpt": [name for name in weights if name.startswith("gpt.gpt.")],
        "rest": [name for name in weights if name.startswith("hifigan_decoder.")],
    }
    for part, names in parts.items():
        if not names:
            raise KeyError(f"no weights for {part} in model.pth")
    yield from ()
