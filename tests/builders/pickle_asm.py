"""Pickles written opcode by opcode: each function returns the bytes that push one value."""

from __future__ import annotations

import struct
from math import prod

MARK = b"("
STOP = b"."
POP = b"0"
DUP = b"2"
NONE = b"N"
TRUE = b"\x88"
FALSE = b"\x89"
REDUCE = b"R"
BUILD = b"b"
APPEND = b"a"
APPENDS = b"e"
SETITEM = b"s"
SETITEMS = b"u"
TUPLE = b"t"
TUPLE1 = b"\x85"
EMPTY_TUPLE = b")"
EMPTY_LIST = b"]"
EMPTY_DICT = b"}"
NEWOBJ = b"\x81"
NEWOBJ_EX = b"\x92"
OBJ = b"o"
BINPERSID = b"Q"
MEMOIZE = b"\x94"
STACK_GLOBAL = b"\x93"
NEXT_BUFFER = b"\x97"
EMPTY_SET = b"\x8f"


def proto(version: int = 2) -> bytes:
    return b"\x80" + bytes([version])


def text(value: str) -> bytes:
    return raw_text(value.encode())


def raw_text(encoded: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def real(value: float) -> bytes:
    return b"G" + struct.pack(">d", value)


def bytes_(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def name(module: str, qualified: str) -> bytes:
    return f"c{module}\n{qualified}\n".encode()


def inst(module: str, qualified: str, *args: bytes) -> bytes:
    return MARK + b"".join(args) + f"i{module}\n{qualified}\n".encode()


def put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def tuple_(*items: bytes) -> bytes:
    return MARK + b"".join(items) + TUPLE


def list_(*items: bytes) -> bytes:
    return EMPTY_LIST + MARK + b"".join(items) + APPENDS


def dict_(items: dict[str, bytes]) -> bytes:
    return EMPTY_DICT + _items(items)


def ordered_dict(items: dict[str, bytes]) -> bytes:
    return call(name("collections", "OrderedDict")) + _items(items)


def _items(items: dict[str, bytes]) -> bytes:
    return MARK + b"".join(text(key) + item for key, item in items.items()) + SETITEMS


def call(function: bytes, *args: bytes) -> bytes:
    return function + tuple_(*args) + REDUCE


def storage(key: str, numel: int, kind: str = "FloatStorage") -> bytes:
    return (
        tuple_(text("storage"), name("torch", kind), text(key), text("cpu"), number(numel))
        + BINPERSID
    )


def tensor(
    of: bytes,
    shape: tuple[int, ...],
    stride: tuple[int, ...] | None = None,
    offset: int = 0,
    *,
    hooks: bytes | None = None,
) -> bytes:
    if stride is None:
        stride = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        of,
        number(offset),
        tuple_(*map(number, shape)),
        tuple_(*map(number, stride)),
        FALSE,
        call(name("collections", "OrderedDict")) if hooks is None else hooks,
    )


def config(qualified: str, state: dict[str, bytes], module: str = "") -> bytes:
    modules = {
        "XttsConfig": "TTS.tts.configs.xtts_config",
        "BaseDatasetConfig": "TTS.config.shared_configs",
    }
    module = module or modules.get(qualified, "TTS.tts.models.xtts")
    return name(module, qualified) + EMPTY_TUPLE + NEWOBJ + dict_(state) + BUILD


def pickle(value: bytes, version: int = 2) -> bytes:
    return proto(version) + value + STOP
