"""Ends a process together with everything that it started."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess


def kill_group(process: subprocess.Popen[Any]) -> None:
    """Kill a process that leads a session of its own, and all others in it, if it still runs."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
