"""Which operators MPS handed to the CPU: torch warns of it, and is listened to here."""

from __future__ import annotations

import re
import warnings
from typing import Any, List

_WARNED = re.compile(r"The operator '([\w:.]+)' is not currently supported on the MPS backend")
"""ATen/mps/MPSFallback.mm, torch 2.0 and newer."""


def listen() -> List[str]:
    """Return a list that gets the name of each operator when torch first says that it fell back.

    For this process from now on: torch is told to repeat warnings, because it warns of the first
    operator alone otherwise, and what shows warnings is wrapped.
    """
    import torch

    operators: List[str] = []
    torch.set_warn_always(True)
    warnings.filterwarnings("always", message="The operator '")
    show = warnings.showwarning

    def hear(message: Any, *args: Any, **kwargs: Any) -> None:
        warned = _WARNED.match(str(message))
        if warned and warned[1] in operators:
            return
        if warned:
            operators.append(warned[1])
        show(message, *args, **kwargs)

    warnings.showwarning = hear
    return operators
