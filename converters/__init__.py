"""Checkpoint in, safetensors or tensors-only `.pth` out. Without torch, pickle, zipfile or numpy.

`convert` does all of it; `write_tiny_release` makes a small checkpoint to try it on.
"""

from __future__ import annotations

from xcompat.converters.conversion import Format, Progress, convert
from xcompat.converters.report import Conversion
from xcompat.converters.tiny_release import write_tiny_release

__all__ = ["Conversion", "Format", "Progress", "convert", "write_tiny_release"]
