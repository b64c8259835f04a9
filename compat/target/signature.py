"""Whether a part of a model is still what something was derived from, and in which mode it runs."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator


def signature(module: Any) -> tuple[Any, ...]:
    """Return what changes when a parameter is replaced, moved, converted or written to."""
    return tuple(
        [
            (tensor.data_ptr(), tensor.dtype, tensor.device, _version(tensor))
            for tensor in _parameters(module, [])
        ]
    )


def _parameters(module: Any, found: list[Any]) -> list[Any]:
    """Return what `module.parameters()` yields, in a fifth of its time: it is asked twice a call.

    What is shared is there as often as it is used.
    """
    found.extend(each for each in module._parameters.values() if each is not None)  # noqa: SLF001
    for child in module._modules.values():  # noqa: SLF001 - torch has no other without names
        if child is not None:
            _parameters(child, found)
    return found


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
