"""The pickle opcodes and their arguments: a lexer that knows all of them and runs none.

Numbers and argument forms are those of `Lib/pickletools.py` in CPython, protocols 0 to 5.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NoReturn

from xcompat.converters.values import limits
from xcompat.errors import Corruption, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Op(IntEnum):
    """An opcode: the byte that stands for it in a pickle stream."""

    MARK = 0x28
    STOP = 0x2E
    POP = 0x30
    POP_MARK = 0x31
    DUP = 0x32
    FLOAT = 0x46
    INT = 0x49
    BININT = 0x4A
    BININT1 = 0x4B
    LONG = 0x4C
    BININT2 = 0x4D
    NONE = 0x4E
    PERSID = 0x50
    BINPERSID = 0x51
    REDUCE = 0x52
    STRING = 0x53
    BINSTRING = 0x54
    SHORT_BINSTRING = 0x55
    UNICODE = 0x56
    BINUNICODE = 0x58
    APPEND = 0x61
    BUILD = 0x62
    GLOBAL = 0x63
    DICT = 0x64
    EMPTY_DICT = 0x7D
    APPENDS = 0x65
    GET = 0x67
    BINGET = 0x68
    INST = 0x69
    LONG_BINGET = 0x6A
    LIST = 0x6C
    EMPTY_LIST = 0x5D
    OBJ = 0x6F
    PUT = 0x70
    BINPUT = 0x71
    LONG_BINPUT = 0x72
    SETITEM = 0x73
    TUPLE = 0x74
    EMPTY_TUPLE = 0x29
    SETITEMS = 0x75
    BINFLOAT = 0x47
    BINBYTES = 0x42
    SHORT_BINBYTES = 0x43
    PROTO = 0x80
    NEWOBJ = 0x81
    EXT1 = 0x82
    EXT2 = 0x83
    EXT4 = 0x84
    TUPLE1 = 0x85
    TUPLE2 = 0x86
    TUPLE3 = 0x87
    NEWTRUE = 0x88
    NEWFALSE = 0x89
    LONG1 = 0x8A
    LONG4 = 0x8B
    SHORT_BINUNICODE = 0x8C
    BINUNICODE8 = 0x8D
    BINBYTES8 = 0x8E
    EMPTY_SET = 0x8F
    ADDITEMS = 0x90
    FROZENSET = 0x91
    NEWOBJ_EX = 0x92
    STACK_GLOBAL = 0x93
    MEMOIZE = 0x94
    FRAME = 0x95
    BYTEARRAY8 = 0x96
    NEXT_BUFFER = 0x97
    READONLY_BUFFER = 0x98


def _by_number(table: dict[Op, int]) -> dict[int, int]:
    """Return a table with integers as keys, which are found faster than members of an enum."""
    return {int(op): size for op, size in table.items()}


_FIXED: Final = _by_number(
    {
        Op.BININT: 4,
        Op.BININT1: 1,
        Op.BININT2: 2,
        Op.BINFLOAT: 8,
        Op.BINGET: 1,
        Op.LONG_BINGET: 4,
        Op.BINPUT: 1,
        Op.LONG_BINPUT: 4,
        Op.PROTO: 1,
        Op.EXT1: 1,
        Op.EXT2: 2,
        Op.EXT4: 4,
        Op.FRAME: 8,
    }
)
_PREFIXED: Final = _by_number(
    {
        Op.BINSTRING: 4,
        Op.SHORT_BINSTRING: 1,
        Op.BINUNICODE: 4,
        Op.SHORT_BINUNICODE: 1,
        Op.BINUNICODE8: 8,
        Op.BINBYTES: 4,
        Op.SHORT_BINBYTES: 1,
        Op.BINBYTES8: 8,
        Op.BYTEARRAY8: 8,
        Op.LONG1: 1,
        Op.LONG4: 4,
    }
)
_LINES: Final = _by_number(
    {
        Op.FLOAT: 1,
        Op.INT: 1,
        Op.LONG: 1,
        Op.PERSID: 1,
        Op.STRING: 1,
        Op.UNICODE: 1,
        Op.GLOBAL: 2,
        Op.GET: 1,
        Op.INST: 2,
        Op.PUT: 1,
    }
)
_LONGEST_PREFIX: Final = 8
_UNKNOWN: Final = -100


def _form(op: int) -> int:
    """Return how long an opcode's argument is: bytes, or if negative, see `_argument_end`."""
    if op in _FIXED:
        return _FIXED[op]
    if op in _PREFIXED:
        return -_PREFIXED[op]
    if op in _LINES:
        return -_LONGEST_PREFIX - _LINES[op]
    return 0 if op in _KNOWN else _UNKNOWN


_KNOWN: Final = frozenset(int(op) for op in Op)
_FORMS: Final = tuple(map(_form, range(256)))


def lex(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes, int]]:  # noqa: C901 - one loop, for speed
    """Yield opcode, raw argument and byte position, up to and including the first STOP.

    A length prefix is not part of the argument. The two lines of GLOBAL and INST come as one,
    with the line feed between them. Never more than a chunk and one argument are held.

    Args:
        chunks: The stream in pieces of any size.

    Raises:
        Corruption: XC102, the stream ends before STOP.
        Refusal: XC105, a byte that is no opcode; XC106, a resource limit.
    """
    forms = _FORMS
    last = int(Op.STOP)
    frame = int(Op.FRAME)
    frame_end = _NO_FRAME
    budget = limits.FIRST_OPCODES
    limit = limits.OPCODES - budget
    base = 0
    data = b""
    position = 0
    for chunk in chunks:
        base += position
        frame_end -= position
        data = data[position:] + chunk
        more = min(len(chunk) // limits.BYTES_PER_OPCODE, limit)
        budget += more
        limit -= more
        end = len(data)
        position = 0
        while position < end:
            opcode = data[position]
            form = forms[opcode]
            stop = begin = position + 1
            argument = b""
            if form:
                if form > 0:
                    stop = begin + form
                else:
                    begin, stop = _argument(data, position, base, form)
                if stop > end:
                    break
                argument = data[begin:stop]
                if opcode == frame:
                    frame_end = min(frame_end, stop + int.from_bytes(argument, "little"))
            if stop >= frame_end and opcode != frame:
                if stop > frame_end:
                    _refuse_crossing(base + position)
                frame_end = _NO_FRAME
            if budget == 0:
                allowed = limits.OPCODES - limit
                limits.check("pickle opcodes", allowed + 1, allowed)
            budget -= 1
            yield opcode, argument, base + position
            position = stop
            if opcode == last:
                return
    raise Corruption(
        "XC102",
        f"the pickle breaks off at byte {base + position}",
        hint="The file is incomplete: download or copy it again.",
    )


_NO_FRAME: Final = 1 << 62
"""Beyond every position, also after a stream's length was taken from it."""


def _refuse_crossing(position: int) -> NoReturn:
    raise Refusal(
        "XC105",
        f"the opcode at byte {position} of the pickle begins within a frame and ends behind it: "
        "readers differ about what follows",
    )


def _argument(data: bytes, position: int, base: int, form: int) -> tuple[int, int]:
    """Return begin and end of an argument that tells its own length.

    An end beyond what is there says that more is needed.
    """
    begin = position + 1
    if form == _UNKNOWN:
        raise Refusal(
            "XC105",
            f"byte {base + position} of the pickle, 0x{data[position]:02x}, is no opcode",
        )
    if form >= -_LONGEST_PREFIX:
        width = -form
        length = int.from_bytes(data[begin : begin + width], "little")
        if begin + width > len(data):
            return begin, begin + width
        if length > limits.TEXT_BYTES:
            limits.check("bytes of one text or number in the pickle", length, limits.TEXT_BYTES)
        return begin + width, begin + width + length
    stop = begin
    for _ in range(-form - _LONGEST_PREFIX):
        found = data.find(b"\n", stop, stop + limits.TEXT_BYTES) + 1
        if not found:
            length = len(data) - stop
            limits.check("bytes of one line in the pickle", length + 1, limits.TEXT_BYTES)
            return begin, len(data) + 1
        stop = found
    return begin, stop
