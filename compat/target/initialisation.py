"""Build a model without the random numbers that its weights are about to replace."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Iterator


class _CausalMasks:
    """Makes once what every layer of the GPT makes for itself to read it: `tril(ones(n, n))`, 1 MB.

    The mask is one tensor for all. The ones are used again where nobody can hold them or a view of
    them: no other function was called between the two, and Python counts no reference but ours.
    """

    def __init__(self) -> None:
        self.masks: dict[Any, Any] = {}
        self.ones: Any = None
        self.asked: Any = None
        self.before: Any = None
        self.consumed = False

    def made_by(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Return what `func` is to return; None where it is none of these two calls."""
        import torch

        before, self.before = self.before, func
        if func is torch.ones:
            asked = (str(args), str(kwargs))
            if not (self.consumed and asked == self.asked and sys.getrefcount(self.ones) <= 2):
                self.ones, self.asked = func(*args, **kwargs), asked
            self.consumed = False
            return self.ones
        if func is torch.tril and not kwargs and len(args) == 1 and self._unchanged(args[0]):
            key = (args[0].shape, args[0].dtype)
            if key not in self.masks:
                self.masks[key] = func(*args)
            self.consumed = before is torch.ones
            return self.masks[key]
        return None

    def _unchanged(self, tensor: Any) -> bool:
        return tensor is self.ones and tensor._version == 0  # noqa: SLF001


@contextlib.contextmanager
def without_initialisation() -> Iterator[None]:
    """Leave new parameters of this thread uninitialised inside the block.

    They are about to be overwritten, and building XTTS at full size spends most of its time on
    random numbers. Nothing is patched: a mode of torch, which holds for this thread alone, lets
    the initialisers return their tensor as it is, and equal causal masks be one.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    skipped = {torch.Tensor.normal_, torch.Tensor.uniform_}
    skipped.update(
        function
        for name, function in vars(torch.nn.init).items()
        if name.endswith("_") and not name.startswith("_") and callable(function)
    )

    masks = _CausalMasks()

    class WithoutInitialisation(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(
            self, func: Any, classes: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            del classes
            kwargs = kwargs or {}
            if func in skipped:
                return args[0] if args else kwargs["tensor"]
            mask = masks.made_by(func, args, kwargs)
            if mask is not None:
                return mask
            if func is torch.norm_except_dim:  # how weight_norm finds the lengths of its filters
                weight, _, dim = args
                return weight.new_empty([n if d == dim else 1 for d, n in enumerate(weight.shape)])
            return func(*args, **kwargs)

    with WithoutInitialisation():
        yield
