"""Which weights of a model may be cast to half precision, and what that makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from xcompat.converters.containers.casting import is_castable
from xcompat.converters.report import CastReport
from xcompat.converters.values.tensors import BF16, F16, Cast, Dtype, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

CastTo = Literal["float16", "bfloat16"]
_DTYPES: Final[Mapping[CastTo, Dtype]] = {"float16": F16, "bfloat16": BF16}
_WIDE_MODULES: Final = (
    "gpt.conditioning_perceiver.",
    "hifigan_decoder.speaker_encoder.torch_spec.",
)


def cast_model(
    tensors: Mapping[str, Tensor], cast_to: CastTo | None
) -> tuple[Mapping[str, Tensor | Cast], CastReport | None]:
    """Choose what is cast; return all tensors, and a report."""
    if cast_to is None:
        return tensors, None
    dtype = _DTYPES[cast_to]
    chosen: dict[str, Tensor | Cast] = {}
    kept = 0
    for name, tensor in tensors.items():
        if is_castable(tensor.dtype) and _may_be_narrow(name, tensor):
            chosen[name] = Cast(name, tensor, dtype)
        else:
            chosen[name] = tensor
            kept += is_castable(tensor.dtype)
    count = sum(isinstance(tensor, Cast) for tensor in chosen.values())
    return chosen, CastReport(dtype=cast_to, tensors=count, kept=kept)


def _may_be_narrow(name: str, tensor: Tensor) -> bool:
    """Whether a tensor may be cast to a half-precision type without harm.

    Biases, norms and statistics make no size and much error, and the conditioning perceiver
    computes NaN in half precision: these stay as they are.
    """
    return len(tensor.shape) >= 2 and not name.startswith(_WIDE_MODULES)
