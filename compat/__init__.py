"""xcompat makes Coqui XTTS v2 work again on today's PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xcompat.version import __version__

if TYPE_CHECKING:
    from xcompat.target.imports import importing_tts as importing_tts
    from xcompat.target.loader import load_xtts as load_xtts
    from xcompat.target.runtime import attach as attach

__all__ = ["__version__", "attach", "importing_tts", "load_xtts"]

_HOMES = {"attach": "runtime", "importing_tts": "imports", "load_xtts": "loader"}


def __getattr__(name: str) -> Any:
    """Import what runs inside the target only when it is asked for: the tool needs none of it."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"xcompat.target.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
