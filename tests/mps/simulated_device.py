"""An `mps` device on Linux: tensors that say they are on `mps:0` and hold their values on the CPU.

What Apple's hardware computes is not simulated. What is: which operators are called on the device,
in the form in which the MPS backend gets them, and what torch would refuse there for the device or
the type of a tensor. The values are exact, so that a whole model runs, with its branches.

For torch 2.4 or newer on Linux, in a process of its own: torch's table of device guards is
changed. Never where MPS is real.
"""

from __future__ import annotations

import contextlib
import ctypes
import traceback
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MPS = torch.device("mps", 0)
_MPS_TYPE, _META_TYPE = 13, 14  # c10::DeviceType
_CROSSING = {"_to_copy", "copy_", "_copy_from", "set_", "lift_fresh", "to"}
"""Operators whose work it is to go from one device to another."""
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""Operators that take indices from the CPU on every device."""


class Trouble(RuntimeError):  # noqa: N818 - it is noted as often as raised
    """What torch would refuse on MPS: tensors of two devices, or a type that MPS lacks."""


class Simulated(torch.Tensor):
    """A tensor on `mps:0`, whose values are in `value`, on the CPU."""

    value: torch.Tensor

    @staticmethod
    def __new__(cls, value: torch.Tensor) -> Simulated:  # noqa: PYI034 - Self is younger than 3.9
        # A view of an ordinary tensor must be one too, also in inference mode.
        with torch.inference_mode(mode=False):
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                value.size(),
                strides=value.stride(),
                storage_offset=value.storage_offset(),
                dtype=value.dtype,
                device=MPS,
            )
        made.value = value
        return made

    def __repr__(self) -> str:
        return f"Simulated({self.value!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if Device.current is None:
            raise RuntimeError("a simulated tensor outside its device")
        with Device.current.dispatch:
            return func(*args, **(kwargs or {}))


class Device:
    """The simulated device: a context in which `mps` can be used, and what was seen there.

    Args:
        states: For each operator its state in the installed torch, from the operator table.
    """

    current: Device | None = None

    def __init__(self, states: dict[str, str]) -> None:
        self.states = states
        self.phase = ""
        self.seen: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        """Phase to operator to its types and the largest dimension of its results."""
        self.on_cpu: dict[str, set[str]] = defaultdict(set)
        self.syncs: dict[str, int] = defaultdict(int)
        self.troubles: list[str] = []
        self.made: set[int] = set()
        """Sizes in bytes of what operators have made anew."""
        self.strict = True
        self.dispatch = _Dispatch(self)

    @contextlib.contextmanager
    def running(self, phase: str) -> Iterator[None]:
        """Use `mps` in the block, and note what is called under the name of `phase`."""
        _install_guard()
        # `Module.to` would copy what a tensor says of itself into the old one, without its values.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        self.phase, Device.current = phase, self
        try:
            with _NamedDevice(), self.dispatch:
                yield
        finally:
            Device.current = None

    def note(self, operator: str, results: Any, arguments: Any = ()) -> None:
        """Note a call on the device, with the values of its results and arguments."""
        made = _tensors(results)
        known = {value.untyped_storage().data_ptr() for value in _tensors(arguments)}
        for each in made:
            if each.untyped_storage().data_ptr() not in known:
                self.made.add(each.untyped_storage().nbytes())
        values = [*made, *_tensors(arguments)]
        entry = self.seen[self.phase].setdefault(
            operator, {"calls": 0, "types": set(), "largest": 0}
        )
        entry["calls"] += 1
        entry["types"] |= {str(value.dtype).removeprefix("torch.") for value in values}
        entry["largest"] = max([entry["largest"], *(max(v.shape, default=1) for v in made)])
        for value in values:
            if value.dtype in (torch.float64, torch.complex128):
                self.trouble(f"{operator}: {value.dtype} is not there on MPS")

    def trouble(self, what: str) -> None:
        """Raise, or note, what MPS would refuse, with the line of TTS or transformers."""
        place = next(
            (
                f"{Path(frame.filename).name}:{frame.lineno}"
                for frame in reversed(traceback.extract_stack())
                if any(part in frame.filename for part in ("/TTS/", "/transformers/"))
            ),
            "",
        )
        self.troubles.append(f"{what} ({place})" if place else what)
        if self.strict:
            raise Trouble(self.troubles[-1])


class _Dispatch(TorchDispatchMode):
    """Runs every operator on the values, and notes those of the simulated device."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        flat, _ = tree_flatten((args, kwargs))
        tensors = [each for each in flat if isinstance(each, torch.Tensor)]
        simulated = [each for each in tensors if isinstance(each, Simulated)]
        wanted = next((each for each in flat if isinstance(each, torch.device)), None)
        makes = wanted is not None and wanted.type == "mps"
        name = _name(func)
        if not simulated and not makes:
            self.device.on_cpu[self.device.phase].add(name)
            return func(*args, **kwargs)
        self._check_devices(name, tensors, simulated, makes=makes)
        state = self.device.states.get(name, "C")
        special = _SPECIAL.get(name.partition(".")[0])
        if special is not None:
            return special(self.device, func, args, kwargs)
        if state not in "KFE" and _is_composite(func):
            with self:
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        return self._run(func, name, args, kwargs, simulated, wanted=wanted)

    def _check_devices(
        self, name: str, tensors: list[Any], simulated: list[Any], *, makes: bool
    ) -> None:
        base = name.partition(".")[0]
        strangers = [t for t in tensors if not isinstance(t, Simulated) and t.dim() > 0]
        if not simulated or not strangers or makes or base in _CROSSING:
            return
        if base in _INDEXING and isinstance(tensors[0], Simulated):
            return
        self.device.trouble(f"{name}: tensors on mps and on cpu {list(strangers[0].shape)}")

    def _run(
        self, func: Any, name: str, args: Any, kwargs: Any, simulated: list[Any], *, wanted: Any
    ) -> Any:
        values = {id(each.value): each for each in simulated}
        result = func(*_values(args), **_values(kwargs))
        target = wanted.type if wanted is not None else "mps"
        if name.startswith("copy_") and not isinstance(args[0], Simulated):
            target = "cpu"
        if name.startswith("_local_scalar_dense") or target == "cpu":
            self.device.syncs[self.device.phase] += 1

        def wrap(value: Any) -> Any:
            if not isinstance(value, torch.Tensor) or target == "cpu":
                return value
            known = values.get(id(value))
            return known if known is not None else Simulated(value)

        inputs = [each.value for each in simulated] if target == "mps" else []
        before = set(self.device.made)
        self.device.note(name, result, inputs)
        if target != "mps":
            self.device.made = before
        return tree_map(wrap, result)


class _NamedDevice(TorchFunctionMode):
    """Turns `mps` into `mps:0`: the guard that stands in has no current device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def named(value: Any) -> Any:
            if isinstance(value, str) and value == "mps":
                return "mps:0"
            if isinstance(value, torch.device) and value.type == "mps" and value.index is None:
                return MPS
            return value

        named_args = {key: named(value) for key, value in (kwargs or {}).items()}
        if func in {torch.tensor, torch.as_tensor} and str(named_args.get("device")) == "mps:0":
            # The copy that these make to the device is hidden from every mode.
            del named_args["device"]
            return func(*args, **named_args).to(MPS)
        return func(*map(named, args), **named_args)


def _values(tree: Any) -> Any:
    def value(each: Any) -> Any:
        if isinstance(each, Simulated):
            return each.value
        if isinstance(each, torch.device) and each.type == "mps":
            return torch.device("cpu")
        return each

    return tree_map(value, tree)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [each for each in tree_flatten(tree)[0] if isinstance(each, torch.Tensor)]


def _name(func: Any) -> str:
    name = func._schema.name.removeprefix("aten::")
    overload = func._schema.overload_name
    return f"{name}.{overload}" if overload else name


def _is_composite(func: Any) -> bool:
    return bool(
        torch._C._dispatch_has_kernel_for_dispatch_key(
            func.name(), torch._C.DispatchKey.CompositeImplicitAutograd
        )
    )


def _convolution(device: Device, func: Any, args: Any, kwargs: Any) -> Any:
    result = func(*_values(args), **_values(kwargs))
    transposed = bool(args[6])
    operator = "_mps_convolution_transpose" if transposed else "_mps_convolution"
    device.note(operator, result, _values(args[:2]))
    return Simulated(result)


def _attention(device: Device, func: Any, args: Any, kwargs: Any) -> Any:
    result = func(*_values(args), **_values(kwargs))
    device.note("_scaled_dot_product_attention_math_for_mps", result, _values(args[:3]))
    return Simulated(result)


class _Inside(TorchDispatchMode):
    """Notes what an operator calls on the CPU as called on the device."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = _name(func)
        if self.device.states.get(name, "C") not in "KFE" and _is_composite(func):
            with self:
                return func._op_dk(
                    torch._C.DispatchKey.CompositeImplicitAutograd, *args, **(kwargs or {})
                )
        result = func(*args, **(kwargs or {}))
        self.device.note(name, result, args)
        return result


def _spectrum(device: Device, func: Any, args: Any, kwargs: Any) -> Any:
    # It changes the shape of a tensor in place, which a wrapper cannot follow.
    with _Inside(device):
        result = func(*_values(args), **_values(kwargs))
    return Simulated(result)


_SPECIAL: dict[str, Callable[..., Any]] = {
    "convolution": _convolution,
    "scaled_dot_product_attention": _attention,
    "stft": _spectrum,
}


def _install_guard() -> None:
    """Let MPS use the guard of the meta device, which does nothing."""
    if torch.backends.mps.is_built():
        raise RuntimeError("this torch has a real MPS backend")
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    slots = (ctypes.c_void_p * 32).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    slots[_MPS_TYPE] = slots[_META_TYPE]
