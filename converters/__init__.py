"""Checkpoint in, safetensors or tensors-only `.pth` out. Without torch, pickle, zipfile or numpy.

`convert` does all of it; `write_tiny_release` makes a small checkpoint to try it on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xcompat.converters.conversion import Format, Progress, convert
    from xcompat.converters.tiny_release import write_tiny_release

__all__ = ["Format", "Progress", "convert", "write_tiny_release"]


def __getattr__(name: str) -> object:
    """Import what is asked for: whoever looks into caches does not wait for the converter."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "tiny_release" if name == "write_tiny_release" else "conversion"
    return getattr(import_module(f"{__name__}.{module}"), name)
