"""State dicts of all dtypes, views and ties go through a conversion and come out equal."""

from __future__ import annotations

import codecs
import contextlib
import importlib.util
import json
import random
import struct
import sys
import zlib
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_archive import pickle_bytes

from builders import checkpoints
from builders import pickle_asm as asm
from xcompat.converters import convert
from xcompat.converters.containers import packing
from xcompat.converters.files import checksum
from xcompat.converters.files.json_documents import load_object, object_items
from xcompat.converters.pickles.allowlist import GLOBALS
from xcompat.converters.pickles.machine import Machine
from xcompat.converters.pickles.pickle_writer import Pickled
from xcompat.converters.values.objects import Record, StateDict
from xcompat.converters.values.tensors import DTYPES, F32, Dtype, Storage, packed
from xcompat.errors import Corruption, XcompatError

if TYPE_CHECKING:
    from types import ModuleType

LONG = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
SHORT = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@st.composite
def views(draw: st.DrawFn) -> tuple[Dtype, int, int, tuple[int, ...], tuple[int, ...]]:
    """A dtype, the elements of a storage, and a view of it: offset, shape, strides."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    order = draw(st.permutations(range(len(shape))))
    stride = [0] * len(shape)
    step = 1
    for axis in order:
        step *= draw(st.integers(1, 2))
        stride[axis] = step
        step *= max(shape[axis], 1)
    offset = draw(st.integers(0, 3))
    last = offset + sum((size - 1) * s for size, s in zip(shape, stride, strict=True) if size)
    numel = max(last + 1, offset) + draw(st.integers(0, 3))
    return dtype, numel, offset, shape, tuple(stride)


def elements(data: bytes, itemsize: int, offset: int, shape, stride) -> bytes:
    """The packed elements of a view, the slow and obvious way."""
    places = (
        offset + sum(index * step for index, step in zip(indexes, stride, strict=True))
        for indexes in product(*map(range, shape))
    )
    return b"".join(data[place * itemsize : (place + 1) * itemsize] for place in places)


def check_round_trip(drawn, folder: Path) -> None:
    noise = random.Random(1)
    tensors, content, expected = {}, {}, {}
    for index, (dtype, numel, offset, shape, stride) in enumerate(drawn):
        key = f"v{index}"
        content[f"data/{key}"] = data = noise.randbytes(numel * dtype.itemsize)
        storage = asm.storage(key, numel, dtype.storage)
        for name in (f"gpt.{index}", f"gpt.{index}.tied"):
            tensors[name] = asm.tensor(storage, shape, stride, offset)
            expected[name] = (
                dtype.name, list(shape), elements(data, dtype.itemsize, offset, shape, stride),
            )  # fmt: skip
    source = checkpoints.write(folder, checkpoints.checkpoint(tensors, content))
    convert(source, folder / "first", format="both")
    convert(folder / "first" / "model.pth", folder / "second")
    for output in ("first", "second"):
        content_of = (folder / output / "model.safetensors").read_bytes()
        found = {
            name: (item["dtype"], list(item["shape"]), bytes(item["data"]))
            for name, item in safetensors.deserialize(content_of)
        }
        assert {name: found[name] for name in expected} == expected


@given(st.lists(views(), max_size=4))
@SHORT
def test_views_are_packed(drawn) -> None:
    with TemporaryDirectory() as folder:
        check_round_trip(drawn, Path(folder))


@pytest.mark.property
@given(st.lists(views(), max_size=6))
@LONG
def test_many_views_are_packed(drawn) -> None:
    with TemporaryDirectory() as folder:
        check_round_trip(drawn, Path(folder))


@pytest.mark.parametrize("window", [16, 64, 1 << 20])
def test_views_beyond_the_window_are_packed(
    window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_WINDOW_BYTES", window)
    monkeypatch.setattr(packing, "_SPARSE", 2)
    shapes = [
        ((5, 7), (1, 5)),
        ((3, 4, 2), (2, 12, 1)),
        ((6,), (5,)),
        ((2, 3), (0, 1)),
        ((2, 3), (1, 0)),
    ]
    drawn = [(DTYPES[0], 50, 2, shape, stride) for shape, stride in shapes]
    check_round_trip(drawn, tmp_path)


scalars = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text()
scalars |= st.floats(allow_nan=False)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4).map(StateDict)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=3).map(
            lambda state: Record(GLOBALS["TTS.tts.models.xtts", "XttsArgs"], state, built=True)
        )
    ),
    max_leaves=20,
)


def check_pickle(value) -> None:
    data = pickle_bytes(value)
    assert Machine().run(lambda: [data]) == (value, len(data))


@given(trees)
@SHORT
def test_the_machine_reads_what_the_writer_writes(value) -> None:
    check_pickle(value)


@pytest.mark.property
@given(trees)
@LONG
def test_the_machine_reads_all_that_the_writer_writes(value) -> None:
    check_pickle(value)


@pytest.mark.property
@given(st.binary(max_size=200))
@settings(max_examples=3000, deadline=None)
def test_noise_ends_in_a_value_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(XcompatError):
        Machine().run(lambda: [b"\x80\x02" + data])


def test_a_tensor_is_pickled_as_torch_does() -> None:
    tensor = packed(Storage(0, DTYPES[0], 6), (2, 3))
    assert Machine().run(lambda: [pickle_bytes(tensor)])[0] == tensor


def test_a_long_pickle_is_written_in_pieces_and_the_same_each_time() -> None:
    value = {
        "model": StateDict((f"gpt.{i}", packed(Storage(i, F32, 6), (2, 3))) for i in range(14_000))
    }
    pickled = Pickled(value)
    for _ in range(2):
        pieces: list[bytes] = []
        pickled.write(pieces.append)
        data = b"".join(pieces)
        assert data == pickle_bytes(value)
        assert (len(data), zlib.crc32(data)) == (pickled.size, pickled.crc32)
        assert len(data) > 1 << 20
        assert max(map(len, pieces)) < 100_000
    assert Machine().run(lambda: pieces)[0] == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def items_of(document: bytes, size: int) -> dict[str, Any] | None:
    """Return the object that is read from pieces of a size, None if it is refused."""
    pieces = (document[at : at + size] for at in range(0, len(document), size))
    try:
        items = list(object_items(pieces, "a document"))
    except Corruption:
        return None
    return dict(items) if len({key for key, _ in items}) == len(items) else None


def object_of(document: bytes) -> dict[str, Any] | None:
    try:
        return load_object(document, "a document")
    except Corruption:
        return None


def check_pieces(
    value: dict[str, Any], indent: int | None, cut: tuple[int, int, bytes], size: int
) -> None:
    """Hold the reader of items against that of whole documents, also where one is damaged."""
    document = json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "replace")
    assert items_of(document, size) == json.loads(document)
    begin, length, instead = cut
    damaged = document[:begin] + instead + document[begin + length :]
    assert items_of(damaged, size) == object_of(damaged.removeprefix(codecs.BOM_UTF8))


documents = (
    st.dictionaries(st.text(max_size=5), json_values, max_size=4),
    st.sampled_from([None, 1]),
    st.tuples(
        st.integers(0, 60),
        st.integers(0, 4),
        st.binary(max_size=2) | st.sampled_from([b"{", b"}", b",", b":", b'"', b" ", b"\\"]),
    ),
    st.integers(1, 30),
)


@given(*documents)
@SHORT
def test_items_are_those_of_the_whole_document(value, indent, cut, size) -> None:
    check_pieces(value, indent, cut, size)


@pytest.mark.property
@given(*documents)
@LONG
def test_items_are_those_of_any_document(value, indent, cut, size) -> None:
    check_pieces(value, indent, cut, size)


def without_isal() -> ModuleType:
    """Return the module as it is on a platform that has no wheel of ISA-L."""
    with mock.patch.dict(sys.modules, {"isal": None, "isal.isal_zlib": None}):
        spec = importlib.util.find_spec("xcompat.converters.files.checksum")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    assert module.crc32 is zlib.crc32
    return module


@pytest.mark.parametrize("module", [checksum, without_isal()], ids=["isal", "zlib"])
@given(first=st.binary(), second=st.binary())
@SHORT
def test_checksums_combine(module: ModuleType, first: bytes, second: bytes) -> None:
    whole = module.crc32_combine(zlib.crc32(first), zlib.crc32(second), len(second))
    assert whole == zlib.crc32(first + second) == module.crc32(second, module.crc32(first))


def test_tens_of_thousands_of_tensors_are_read(tmp_path: Path) -> None:
    count = 25_000
    one = asm.tensor(asm.storage("many", count), (1,)) + asm.put(1)
    names = b"".join(asm.text(f"gpt.many.{index}") + asm.get(1) for index in range(1, count))
    known, content = checkpoints.state_dict()
    state = asm.ordered_dict(known) + asm.MARK + asm.text("gpt.many.0") + one + names + asm.SETITEMS
    data = checkpoints.zip_forge.archive(
        checkpoints.entries(
            asm.pickle(asm.dict_({"model": state})),
            {**content, "data/many": struct.pack("<f", 1) * count},
        )
    )
    conversion = convert(checkpoints.write(tmp_path, data), dry_run=True)
    assert conversion.tensors == count + len(checkpoints.SHAPES)
