"""Writes inert values as a pickle of protocol 2, the one that torch uses."""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from xcompat.converters.files import checksum
from xcompat.converters.pickles.allowlist import GLOBALS, ORDERED_DICT, REBUILD_TENSOR
from xcompat.converters.pickles.opcodes import Op
from xcompat.converters.values.objects import Global, Record, StateDict
from xcompat.converters.values.tensors import Cast, Storage, Tensor, View, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROTOCOL: Final = 2
_PIECE_BYTES: Final = 64 << 10
_KEPT_BYTES: Final = 1 << 20
"""Five times the pickle of a release."""


class Pickled:
    """The pickle of a value: what is long is not kept, but made anew each time it is written.

    Args:
        value: See `write_pickle`.
        own_storages: See `write_pickle`.

    Attributes:
        size: In bytes.
        crc32: Its checksum.
    """

    def __init__(self, value: Any, *, own_storages: bool = False) -> None:
        self._value = value
        self._own_storages = own_storages
        self._kept = b""
        self.size = 0
        self.crc32 = 0
        write_pickle(value, self._measure, own_storages=own_storages)

    def _measure(self, piece: bytes) -> None:
        self.size += len(piece)
        self.crc32 = checksum.crc32(piece, self.crc32)
        self._kept = self._kept + piece if self.size <= _KEPT_BYTES else b""

    def write(self, write: Callable[[bytes], object]) -> None:
        """Pass it on in pieces."""
        if self._kept:
            write(self._kept)
        else:
            write_pickle(self._value, write, own_storages=self._own_storages)


def write_pickle(
    value: Any, write: Callable[[bytes], object], *, own_storages: bool = False
) -> None:
    """Pass on the pickle of a value made of the types that `Machine` yields, in pieces.

    Dicts keep their order. Globals are memoised, values are not: equal parts are written again.

    Args:
        value: What to pickle.
        write: Is given the pieces.
        own_storages: Whether each tensor is packed in a storage of its own, by their numbers;
            then some may be cast.

    Raises:
        TypeError: The value holds something else.
    """
    writer = _Writer(write, count() if own_storages else None)
    writer.op(Op.PROTO, bytes([_PROTOCOL]))
    writer.value(value)
    writer.op(Op.STOP)
    write(bytes(writer.out))


@lru_cache(maxsize=1000)
def _geometry(view: View) -> bytes:
    """Return the offset, shape and strides of a view, pickled: a model has few that differ."""
    writer = _Writer(_nowhere, None)
    for value in (view.offset, view.shape, view.stride):
        writer.value(value)
    return bytes(writer.out)


def _nowhere(_: bytes) -> None:
    raise AssertionError("a geometry is shorter than a piece")


class _Writer:
    def __init__(self, write: Callable[[bytes], object], numbers: Iterator[int] | None) -> None:
        self.out = bytearray()
        """What was not passed on yet."""
        self._write = write
        self._numbers = numbers
        self._memo: dict[Global, int] = {}

    def op(self, op: Op, argument: bytes = b"") -> None:
        self.out.append(op)
        self.out += argument

    def value(self, value: Any) -> None:  # noqa: C901, PLR0912 - one branch for each type
        match value:
            case Tensor() | Cast():
                self._tensor(value)
            case None:
                self.op(Op.NONE)
            case bool():
                self.op(Op.NEWTRUE if value else Op.NEWFALSE)
            case int():
                self._integer(value)
            case float():
                self.op(Op.BINFLOAT, struct.pack(">d", value))
            case str():
                encoded = value.encode()
                self.op(Op.BINUNICODE, struct.pack("<I", len(encoded)) + encoded)
            case tuple():
                self._tuple(*value)
            case list():
                self.op(Op.EMPTY_LIST)
                self.op(Op.MARK)
                for item in value:
                    self.value(item)
                self.op(Op.APPENDS)
            case StateDict():
                self._reduce(ORDERED_DICT)
                self._items(value)
            case dict():
                self.op(Op.EMPTY_DICT)
                self._items(value)
            case Global():
                self._global(value)
            case Record():
                self._global(value.type)
                self.op(Op.EMPTY_TUPLE)
                self.op(Op.NEWOBJ)
                self.value(value.state)
                self.op(Op.BUILD)
            case _:
                raise TypeError(f"cannot write a {type(value).__name__} to a checkpoint")

    def _integer(self, value: int) -> None:
        if 0 <= value < 1 << 8:
            self.op(Op.BININT1, value.to_bytes(1, "little"))
        elif -(1 << 31) <= value < 1 << 31:
            self.op(Op.BININT, value.to_bytes(4, "little", signed=True))
        else:
            magnitude = value if value >= 0 else ~value
            encoded = value.to_bytes(magnitude.bit_length() // 8 + 1, "little", signed=True)
            self.op(Op.LONG1, bytes([len(encoded)]) + encoded)

    def _items(self, items: dict[Any, Any]) -> None:
        self.op(Op.MARK)
        for key, item in items.items():
            self.value(key)
            if type(item) is Tensor:
                self._tensor(item)
            else:
                self.value(item)
            if len(self.out) >= _PIECE_BYTES:
                self._write(bytes(self.out))
                self.out.clear()
        self.op(Op.SETITEMS)

    def _tuple(self, *values: Any) -> None:
        if not values:
            self.op(Op.EMPTY_TUPLE)
            return
        self.op(Op.MARK)
        for item in values:
            if type(item) is int:
                self._integer(item)
            else:
                self.value(item)
        self.op(Op.TUPLE)

    def _global(self, value: Global) -> None:
        if (index := self._memo.get(value)) is not None:
            self.op(Op.LONG_BINGET, struct.pack("<I", index))
            return
        self.op(Op.GLOBAL, f"{value.module}\n{value.name}\n".encode())
        index = self._memo[value] = len(self._memo)
        self.op(Op.LONG_BINPUT, struct.pack("<I", index))

    def _reduce(self, function: Global, *args: Any) -> None:
        self._global(function)
        self._tuple(*args)
        self.op(Op.REDUCE)

    def _storage(self, storage: Storage) -> None:
        kind = GLOBALS["torch", storage.dtype.storage]
        self._tuple("storage", kind, str(storage.key), "cpu", storage.numel)
        self.op(Op.BINPERSID)

    def _tensor(self, tensor: Tensor | Cast) -> None:
        if self._numbers is not None:
            storage = Storage(next(self._numbers), tensor.dtype, tensor.numel)
            tensor = packed(storage, tensor.shape)
        if isinstance(tensor, Cast):
            raise TypeError("a cast tensor has no place in the storages that there are")
        self._global(REBUILD_TENSOR)
        self.op(Op.MARK)
        self._storage(tensor.storage)
        self.out += _geometry(tensor.view)
        self.op(Op.NEWFALSE)
        self._reduce(ORDERED_DICT)
        self.op(Op.TUPLE)
        self.op(Op.REDUCE)
