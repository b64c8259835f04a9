"""Starts an installer, and lets it end by itself."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from xcompat.errors import CannotLook, XcompatError

if TYPE_CHECKING:
    from collections.abc import Sequence

_STDERR = 2
PATIENCE = 30.0
"""Seconds that an interrupted installer gets to end by itself."""


def captured(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run an installer, and return what it says.

    Raises:
        CannotLook: `XC219` where it cannot be started.
    """
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise _not_started(command, error) from error


def run(command: Sequence[str]) -> int:
    """Run an installer, its output on stderr; an interrupt lets it end by itself first.

    Raises:
        CannotLook: `XC219` where it cannot be started.
    """
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=_STDERR)
    except OSError as error:
        raise _not_started(command, error) from error
    try:
        return process.wait()
    except KeyboardInterrupt:
        # A terminal tells the installer as well; a signal to this process alone does not.
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        raise


def _not_started(command: Sequence[str], error: OSError) -> XcompatError:
    return CannotLook(
        "XC219", f"`{command[0]}` cannot be started: {error.strerror}", hint="install it anew"
    )
