"""Holds conversions against `torch.load`: run by `nox -s differential` with several torch versions.

What torch saves, in each way that it has, is converted and read back by the safetensors library and
by torch, and must equal what `torch.load(weights_only=True)` takes from the source, bit for bit.
What is not converted must be refused with a typed error.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import warnings
from collections import Counter, OrderedDict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xcompat.converters import convert
from xcompat.errors import XcompatError

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.bool)  # fmt: skip
EXAMPLES = 40
LEAST = {
    "gpt.text_embedding.weight": (3, 2),
    "gpt.mel_embedding.weight": (4, 2),
    "gpt.mel_pos_embedding.emb.weight": (5, 2),
    "gpt.text_pos_embedding.emb.weight": (4, 2),
    "gpt.gpt.ln_f.weight": (2,),
    "hifigan_decoder.scale": (),
}
"""The least that is an XTTS checkpoint."""

done: Counter[str] = Counter()


def least() -> dict[str, torch.Tensor]:
    return {name: torch.randn(shape) for name, shape in LEAST.items()}


def noise(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Elements of every bit pattern, NaNs among them."""
    if dtype is torch.bool:
        return torch.randint(0, 2, shape).to(torch.bool)
    size = torch.empty(0, dtype=dtype).element_size()
    return torch.randint(0, 256, (*shape, size), dtype=torch.uint8).view(dtype).reshape(shape)


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether type, shape and every bit are equal."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if not left.numel():
        return True
    bits = [
        tensor.detach().clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8)
        for tensor in (left, right)
    ]
    return torch.equal(*bits)


def state_dict_of(path: Path, **options: Any) -> dict[str, torch.Tensor]:
    loaded = torch.load(str(path), map_location="cpu", **{"weights_only": True, **options})
    return loaded.get("model", loaded)


def check(value: Any, label: str, **options: Any) -> None:
    """Save a checkpoint, convert it to both formats, convert that again, and compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "model.pth"
        torch.save(value, source, **options)
        # `weights_only` knows no opcode of protocol 4; the file is one that was just saved.
        modern = options.get("pickle_protocol", 2) > 3
        expected = state_dict_of(source, weights_only=not modern)
        convert(source, folder / "first", format="both")
        convert(folder / "first" / "model.pth", folder / "second")
        outputs = {
            "safetensors": safetensors.torch.load_file(folder / "first" / "model.safetensors"),
            "pth": state_dict_of(folder / "first" / "model.pth"),
            "mapped pth": state_dict_of(folder / "first" / "model.pth", mmap=True),
            "second": safetensors.torch.load_file(folder / "second" / "model.safetensors"),
        }
        for output, found in outputs.items():
            if set(found) != set(expected):
                raise AssertionError(f"{label}: {output} has other names")
            for tensor, elements in expected.items():
                if not same(elements, found[tensor]):
                    raise AssertionError(f"{label}: `{tensor}` differs in {output}")
            done["tensors"] += len(expected)
        del outputs, expected  # what is mapped holds its file
    done["checkpoints"] += 1


def check_refused(value: Any, label: str, codes: set[str], **options: Any) -> None:
    """Save a checkpoint that no XTTS is, and make sure that it is refused for what it is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(value, folder / "model.pth", **options)
        expect_refusal(folder / "model.pth", label, codes)


def expect_refusal(source: Path, label: str, codes: set[str]) -> None:
    """Make sure that a file ends in one line with one of these codes, and an empty folder."""
    output = source.parent / "out"
    try:
        convert(source, output)
    except XcompatError as error:
        if error.code not in codes or not error.message.isprintable():
            raise AssertionError(f"{label}: {error.code} {error.message}") from error
        if output.exists():
            raise AssertionError(f"{label}: something was left behind") from error
    else:
        raise AssertionError(f"{label}: was converted")
    done["refusals"] += 1


def kinds() -> dict[str, torch.Tensor]:
    """Tensors of every kind that a state dict may hold."""
    base = noise((6, 5, 4), torch.float32)
    tied = noise((3, 3), torch.float32)
    return {
        "gpt.transposed": base.transpose(0, 2),
        "gpt.sliced": base[1:5:2, ::3, 1:],
        "gpt.expanded": torch.randn(3, 1).expand(3, 7),
        "gpt.scalar": torch.tensor(7),
        "gpt.scalar_view": base[2, 3, 1],
        "gpt.empty": torch.empty(0),
        "gpt.empty_dimension": torch.empty(2, 0, 3),
        "gpt.tied.a": tied,
        "gpt.tied.b": tied,
        "gpt.tied.t": tied.t(),
        "gpt.parameter": torch.nn.Parameter(torch.randn(4)),
        "gpt.frozen": torch.nn.Parameter(torch.randn(4), requires_grad=False),
        "gpt.needs_grad": torch.randn(2, requires_grad=True),
        "gpt.channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "gpt.window": torch.hamming_window(16, periodic=True),
        **{f"gpt.{dtype}": noise((3, 5), dtype) for dtype in DTYPES},
        **{f"gpt.0-dim {dtype}": noise((), dtype) for dtype in DTYPES},
        "gpt.näme with spaces/and slashes": torch.ones(1),
    }


def with_metadata(items: dict[str, torch.Tensor]) -> OrderedDict[str, torch.Tensor]:
    """As `Module.state_dict` returns it."""
    state: OrderedDict[str, torch.Tensor] = OrderedDict(items)
    state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    return state


def ways_of_saving() -> None:
    for protocol, container in product(range(2, 6), (dict, OrderedDict, with_metadata)):
        items = {**least(), **kinds()}
        label = f"protocol {protocol}, {container.__name__}"
        check({"model": container(items), "step": 3}, label, pickle_protocol=protocol)
        check(container(items), f"{label}, bare", pickle_protocol=protocol)
    items = {**least(), "xtts.gpt.layer": torch.nn.Linear(3, 2).weight}
    with tempfile.TemporaryFile() as file:  # a file object: the top folder is `archive`
        torch.save({"model": items}, file)
    parameters = [torch.nn.Parameter(torch.randn(3)) for _ in range(3)]
    optimizer = torch.optim.AdamW(parameters)
    sum(parameter.sum() for parameter in parameters).backward()  # type: ignore[union-attr]
    optimizer.step()
    trained = {"model": least(), "optimizer": optimizer.state_dict(), "scaler": None, "epoch": 1}
    check({**trained, "config": {"model": "xtts", "model_args": {
        "gpt_layers": 0, "gpt_n_model_channels": 2, "gpt_max_audio_tokens": 2,
        "gpt_max_text_tokens": 2, "gpt_num_audio_tokens": 4}}}, "trainer")  # fmt: skip
    if hasattr(torch.serialization, "set_crc32_options"):
        torch.serialization.set_crc32_options(False)
        check({"model": {**least(), **kinds()}}, "without checksums")
        torch.serialization.set_crc32_options(True)


def refusals() -> None:
    items = least()

    def beside(tensor: Any) -> dict[str, Any]:
        return {"model": {**items, "gpt.odd": tensor}}

    names = ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64", "complex64",
             "complex128")  # fmt: skip
    for name in names:
        if dtype := getattr(torch, name, None):
            tensor = torch.zeros(4, dtype=torch.uint8).repeat(4).view(dtype)
            check_refused(beside(tensor), name, {"XC104", "XC107"})
    quantized = torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)
    check_refused(beside(quantized), "quantized", {"XC104"})
    check_refused(beside(torch.eye(3).to_sparse()), "sparse", {"XC104"})
    check_refused(beside(torch.randn(3, dtype=torch.complex64).conj()), "conjugate", {"XC107"})
    check_refused(beside(torch._neg_view(torch.randn(3))), "negative", {"XC105"})
    check_refused(beside(torch.nn.Linear(2, 2)), "module", {"XC104"})
    check_refused(beside(torch.Size([1])), "size", {"XC104"})
    check_refused(torch.nn.Linear(2, 2), "only a module", {"XC104"})
    check_refused(beside(3), "number", {"XC108"})
    check_refused(items["gpt.gpt.ln_f.weight"], "only a tensor", {"XC109"})
    check_refused({"model": {**items, 3: torch.ones(1)}}, "number as a name", {"XC108"})
    old = partial(check_refused, _use_new_zipfile_serialization=False)
    for protocol in range(2, 6):
        old(
            {"model": items},
            f"before 1.6, protocol {protocol}",
            {"XC101"},
            pickle_protocol=protocol,
        )
    check_refused({"model": items}, "protocol 0", {"XC105"}, pickle_protocol=0)
    check_refused({"model": items}, "protocol 1", {"XC105"}, pickle_protocol=1)


class Calls:
    """Pickles as a call, the way of all recipes that run code."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


class Subclass(torch.Tensor):
    """What a library makes of a tensor."""


def benign_recipes() -> None:
    """What PyTorch's own test_serialization.py saves and loads under `weights_only`."""
    ends = torch.tensor([*b"PK\5\6", *bytes(100)], dtype=torch.uint8)
    check({"model": {**least(), "gpt.zip": ends}}, "a tensor that looks like the end of an archive")
    starts = torch.tensor([*b"PK\3\4PK\7\x08PK\1\2"], dtype=torch.uint8)
    check({"model": {**least(), "gpt.zip": starts}}, "a tensor that looks like zip headers")
    storage = torch.arange(25.0)
    views = {f"gpt.{at}": storage[at : at + 4] for at in range(0, 20, 3)}
    check({"model": {**least(), **views}}, "many views of one storage")
    check({"model": {**least(), "gpt.resized": torch.ones(8).resize_(3)}}, "resized")
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = module.state_dict(prefix="gpt.extra.")
    state.update(least())
    check({"model": state}, "a module's state dict")
    parameter = torch.nn.Parameter(torch.randn(3))
    schedule = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([parameter], lr=0.1), 3)
    check({"model": least(), "scheduler": schedule.state_dict()}, "a scheduler")
    check({"model": least(), "scaler": {"scale": 65536.0}, "epoch": 2**40}, "a wide integer")
    numbers = {"model": least(), "model_loss": {"train_loss": float("inf"), "eval_loss": -1e-300}}
    check(numbers, "numbers at the ends of their range")
    # Newer versions can align data otherwise.
    config = getattr(getattr(torch.utils, "serialization", None), "config", None)
    if config is not None and hasattr(config.save, "storage_alignment"):
        before = config.save.storage_alignment
        for alignment in (64, 4096):
            config.save.storage_alignment = alignment
            check({"model": {**least(), **kinds()}}, f"aligned to {alignment}")
        config.save.storage_alignment = before
    check({"model": least()}, "without a byte order", _disable_byteorder_record=True)


def hostile_recipes() -> None:
    """What it expects `weights_only` to reject, or what only loads with more than tensors."""
    items = least()

    def beside(value: Any) -> dict[str, Any]:
        return {"model": items, "extra": value}

    tensor = torch.zeros(3, 3)
    tensor[1][1] = 1
    attributed, parameter = torch.zeros(3), torch.nn.Parameter(torch.zeros(3))
    attributed.foo = parameter.foo = "foo"  # type: ignore[attr-defined]
    calls: dict[str, Any] = {
        "print": Calls(print, "Hello"),
        "a nested load": Calls(torch.load, "other.pth"),
        "storages from bytes": Calls(torch.storage._load_from_bytes, b""),
        "a subclass": torch.ones(2).as_subclass(Subclass),
        "a tensor with attributes": attributed,
        "a parameter with attributes": parameter,
        "a device": torch.device("cpu"),
        "a dtype": torch.float32,
        "a counter": Counter("aab"),
        "a partial": partial(print, 1),
        "a path": Path("x"),
        "a complex number": 1j,
        "a range": range(3),
        "a slice": slice(3),
        "an exception": ValueError("x"),
        "a function": torch.nn.functional.relu,
        "a type": torch.nn.Linear,
        "bytes by a codec": Calls(__import__("_codecs").encode, "x", "latin1"),
        "a meta tensor": torch.empty(3, device="meta"),
        "a compressed sparse tensor": tensor.to_sparse_csr(),
        "an invalid sparse tensor": Calls(
            torch._utils._rebuild_sparse_tensor,
            torch.sparse_coo,
            (torch.full((2, 1), 9), torch.ones(1), torch.Size([3, 3])),
        ),
        "a tensor of an unknown kind": Calls(torch._utils._rebuild_tensor, tensor, 0, (1,), (1,)),
        "a state that is no dict": Calls(setattr, items, "x", 1),
    }
    for label, value in calls.items():
        check_refused(beside(value), label, {"XC104"})
        check_refused({"model": {**items, "gpt.odd": value}}, f"{label}, as weights", {"XC104"})
    check_refused(beside({1, 2}), "a set", {"XC104", "XC108"}, pickle_protocol=4)
    check_refused([torch.randn(5, 5), torch.ones(3)], "a list of tensors", {"XC109"})
    check_refused(torch.ones(3).storage(), "a storage", {"XC109", "XC104"})


def files_around() -> None:
    """Files that hold a checkpoint and more: an offset, a packer, half of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "model.pth"
        torch.save({"model": least()}, source)
        whole = source.read_bytes()
        changed = {
            "behind a pickle": (b"\x80\x02K).", b"", {"XC101"}),
            "behind noise": (b"noise", b"", {"XC102"}),
            "before noise": (b"", b"noise", {"XC103"}),
            "packed": (None, None, {"XC101"}),
        }
        for label, (before, after, codes) in changed.items():
            packed = gzip.compress(whole) if before is None else before + whole + (after or b"")
            source.write_bytes(packed)
            expect_refusal(source, label, codes)
        for size in range(0, len(whole), 97):
            source.write_bytes(whole[:size])
            expect_refusal(source, f"cut at {size}", {"XC102"})


@st.composite
def views(draw: st.DrawFn) -> torch.Tensor:
    """A view of a storage: any offset, any permutation, any steps, any dtype."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    tensor = noise(tuple(size * draw(st.integers(1, 2)) + 1 for size in shape), dtype)
    for axis, size in enumerate(shape):
        step = draw(st.integers(1, 2))
        begin = draw(st.integers(0, 1))
        tensor = tensor.narrow(axis, begin, tensor.shape[axis] - begin)
        tensor = tensor[(slice(None),) * axis + (slice(None, None, step),)]
        tensor = tensor.narrow(axis, 0, min(size, tensor.shape[axis]))
    order = draw(st.permutations(range(tensor.dim())))
    if tensor.storage_offset() > tensor.untyped_storage().nbytes() // tensor.element_size():
        # An empty view may begin beyond its storage; that is refused, as an offset that lies.
        return tensor.clone()
    return tensor.permute(*order) if order else tensor


@given(
    views=st.lists(views(), max_size=6),
    ties=st.integers(0, 2),
    container=st.sampled_from((dict, OrderedDict, with_metadata)),
    protocol=st.integers(2, 5),
)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def random_state_dicts(views: list[torch.Tensor], ties: int, container: Any, protocol: int) -> None:
    items = least()
    for index, view in enumerate(views):
        items[f"gpt.{index}"] = view
        for tie in range(ties):
            items[f"gpt.{index}.tie{tie}"] = view
    check({"model": container(items)}, "random", pickle_protocol=protocol)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(7)
    ways_of_saving()
    refusals()
    benign_recipes()
    hostile_recipes()
    files_around()
    random_state_dicts()
    sys.stdout.write(f"torch {torch.__version__}: {dict(done)}\n")


if __name__ == "__main__":
    main()
