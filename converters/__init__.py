"""Checkpoint in, safetensors or tensors-only `.pth` out. Without torch, pickle, zipfile or numpy.

`convert` does all of it, `repair` does it in the place where a model is; `write_tiny_release` makes
a small checkpoint to try it on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from xcompat.converters.conversion import convert
    from xcompat.converters.in_place import repair
    from xcompat.converters.model.narrowing import CastTo
    from xcompat.converters.model.tiny_release import write_tiny_release
    from xcompat.converters.model.voice import write_voice
    from xcompat.converters.plan import Format
    from xcompat.converters.report import Conversion
    from xcompat.converters.writing import Options, Progress

__all__ = [
    "CastTo",
    "Conversion",
    "Format",
    "Options",
    "Progress",
    "convert",
    "repair",
    "write_tiny_release",
    "write_voice",
]

_HOMES: Final = {
    "CastTo": "model.narrowing",
    "Conversion": "report",
    "Format": "plan",
    "Options": "writing",
    "Progress": "writing",
    "convert": "conversion",
    "repair": "in_place",
    "write_tiny_release": "model.tiny_release",
    "write_voice": "model.voice",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: whoever looks into caches does not wait for the converter."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
