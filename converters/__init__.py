"""Checkpoint in, safetensors or tensors-only `.pth` out. Without torch, pickle, zipfile or numpy.

`convert` does all of it, `repair` does it in the place where a model is; `write_tiny_release` makes
a small checkpoint to try it on.
"""

from __future__ import annotations

from xcompat.converters.conversion import convert
from xcompat.converters.in_place import repair
from xcompat.converters.plan import CastTo, Format
from xcompat.converters.report import Conversion
from xcompat.converters.tiny_release import write_tiny_release
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
]
