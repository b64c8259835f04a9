"""How a command ends when it is not the one to say so."""

from __future__ import annotations

import signal


def clean_up_when_ended() -> None:
    """Let a termination, or a terminal that closes, end the command as an interruption does.

    Not where the caller has them ignored, as `nohup` does.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
