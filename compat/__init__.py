"""xcompat makes Coqui XTTS v2 work again on today's PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.version import __version__

if TYPE_CHECKING:
    from xcompat.target.loader import load_xtts as load_xtts

__all__ = ["__version__", "load_xtts"]


def __getattr__(name: str) -> Any:
    """Import the loader only when it is asked for: it needs torch, the tool does not."""
    if name == "load_xtts":
        from xcompat.target.loader import load_xtts  # noqa: PLC0415

        return load_xtts
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
