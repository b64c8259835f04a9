"""Whether a part of a model is still what something was derived from, and in which mode it runs."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator


def signature(module: Any) -> tuple[Any, ...]:
    """Return what changes when a parameter is replaced, moved, converted or written to."""
    return tuple(
        (tensor.data_ptr(), tensor.dtype, tensor.device, _version(tensor))
        for tensor in module.parameters()
    )


def _version(tensor: Any) -> int:
    # Tensors that were made in inference mode count no versions.
    return -1 if tensor.is_inference() else int(tensor._version)  # noqa: SLF001 - torch has no other


@contextlib.contextmanager
def plainly(device: Any) -> Iterator[None]:
    """Return a block in which torch computes on `device`, with the types that tensors have.

    Of several cards, kernels of Triton, streams and graphs are those of the current one.
    """
    import torch

    with contextlib.ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
        with contextlib.suppress(RuntimeError):  # this torch has no autocast for that device
            stack.enter_context(torch.autocast(device.type, enabled=False))
        yield
