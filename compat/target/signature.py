"""Whether a part of a model is still what something was derived from, and in which mode it runs."""

from __future__ import annotations

import contextlib
from typing import Any, ContextManager


def signature(module: Any) -> tuple[Any, ...]:
    """Return what changes when a parameter is replaced, moved, converted or written to."""
    return tuple(
        (tensor.data_ptr(), tensor.dtype, tensor.device, _version(tensor))
        for tensor in module.parameters()
    )


def _version(tensor: Any) -> int:
    # Tensors that were made in inference mode count no versions.
    return -1 if tensor.is_inference() else int(tensor._version)  # noqa: SLF001 - torch has no other


def without_autocast(device: str) -> ContextManager[Any]:
    """Return a block in which torch computes with the types that tensors have."""
    import torch

    try:
        block: ContextManager[Any] = torch.autocast(device, enabled=False)
    except RuntimeError:  # this torch has none for that device
        return contextlib.nullcontext()
    return block
