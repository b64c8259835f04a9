"""The ways in which a repaired model comes to an app: what an app's own load is wrapped in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, NamedTuple

WAYS = ("original", "in-place", "both", "attach", "load_xtts")
"""`original` is the folder as it was downloaded; `attach` and `load_xtts` take that of `both`."""


class Way(NamedTuple):
    """A folder, and what the app's load is wrapped in. It can be sent to a child process."""

    name: str
    folder: Path
    voice: Path
    """A recording whose voice is to be cloned."""

    def ready(self, load: Callable[[], Any]) -> Any:
        """Return the model that the app's own `load` gives, or what stands in for it."""
        import xcompat

        if self.name == "load_xtts":
            xcompat.saving_with_soundfile()
            return xcompat.load_xtts(self.folder, runtime="xcompat")
        if self.name != "attach":
            return load()
        with xcompat.importing_tts():
            model = load()
        xcompat.attach(model)
        xcompat.saving_with_soundfile()
        return model
