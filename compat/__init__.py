"""xcompat makes Coqui XTTS v2 work again on today's PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xcompat.version import __version__

if TYPE_CHECKING:
    from xcompat.smoke.heard import judge as judge
    from xcompat.target.imports import importing_tts as importing_tts
    from xcompat.target.loader import load_xtts as load_xtts
    from xcompat.target.runtime import attach as attach

__all__ = ["__version__", "attach", "importing_tts", "judge", "load_xtts"]

_HOMES = {
    "attach": "target.runtime",
    "importing_tts": "target.imports",
    "judge": "smoke.heard",
    "load_xtts": "target.loader",
}


def __getattr__(name: str) -> Any:
    """Import what runs inside the target only when it is asked for: the tool needs none of it."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"xcompat.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
