"""xcompat makes Coqui XTTS v2 work again on today's PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xcompat.version import __version__

if TYPE_CHECKING:
    from xcompat.api import convert as convert
    from xcompat.api import diagnose as diagnose
    from xcompat.api import plan as plan
    from xcompat.errors import XcompatError as XcompatError
    from xcompat.smoke.heard import judge as judge
    from xcompat.target.imports import importing_tts as importing_tts
    from xcompat.target.loader import load_xtts as load_xtts
    from xcompat.target.runtime import attach as attach
    from xcompat.target.saving import saving_with_soundfile as saving_with_soundfile
    from xcompat.target.speaking import speak as speak

__all__ = [
    "XcompatError",
    "__version__",
    "attach",
    "convert",
    "diagnose",
    "importing_tts",
    "judge",
    "load_xtts",
    "plan",
    "saving_with_soundfile",
    "speak",
]

_HOMES = {
    "XcompatError": "errors",
    "attach": "target.runtime",
    "convert": "api",
    "diagnose": "api",
    "importing_tts": "target.imports",
    "judge": "smoke.heard",
    "load_xtts": "target.loader",
    "plan": "api",
    "saving_with_soundfile": "target.saving",
    "speak": "target.speaking",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: whoever loads a model does not wait for the doctor."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"xcompat.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
