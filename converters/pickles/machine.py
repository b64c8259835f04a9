"""A pickle machine that yields inert values: it imports nothing, calls nothing, and never recurses.

It understands what an XTTS checkpoint is made of and nothing else. An opcode outside `_HANDLERS`,
a global outside `GLOBALS`, or a call that does not have exactly the form torch writes is a refusal.
"""

# The table of handlers lies behind the class whose methods it names.
# ruff: noqa: SLF001

from __future__ import annotations

import re
import struct
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NoReturn

from xcompat.converters.pickles.allowlist import (
    DEFAULT_DICT,
    DICTS,
    GLOBALS,
    ORDERED_DICT,
    REBUILD_PARAMETER,
    REBUILD_TENSOR,
    RECORDS,
    STORAGES,
    UNSUPPORTED,
)
from xcompat.converters.pickles.opcodes import Op, lex
from xcompat.converters.pickles.storages import Storages
from xcompat.converters.values import limits
from xcompat.converters.values.objects import Global, Record, StateDict
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import (
    Storage,
    Tensor,
    View,
    number_of,
)
from xcompat.errors import Refusal, XcompatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_NAME_HINT: Final = (
    "A checkpoint that names code can run it when torch loads it. "
    "Get the file from its publisher again."
)
_TORCH_HINT: Final = (
    "No published XTTS holds such a kind of tensor or object. Save plain float tensors, "
    "or get the file from its publisher again."
)
_LOOK_AHEAD: Final = 100_000
"""How many opcodes behind a refused one are searched for a forbidden name."""
_FORM_HINT = "xcompat reads only what torch.save writes for an XTTS checkpoint."


class Machine:
    """One reading of one pickle stream.

    What it holds is counted, in bytes of memory: the values that a stream of a few bytes can ask
    for are refused before they are made.

    Args:
        legacy: Accept storages as torch wrote them before 1.6, with a sixth field.

    Attributes:
        named: Every global that the pickle has named so far.
    """

    def __init__(self, *, legacy: bool = False) -> None:
        self._legacy = legacy
        self.named: set[Global] = set()
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._below = 0
        self._memo: dict[int, Any] = {}
        self._memo_size = 0
        self._kept: set[int] = set()
        self._storages = Storages()
        self._views: dict[View, View] = {}
        self._opcode = int(Op.PROTO)
        self._position = 0
        self._frame_end = 0
        self._memory = 0

    def run(self, read: Callable[[], Iterable[bytes]]) -> tuple[Any, int]:
        """Read one pickle; return its value and the position behind its STOP.

        Args:
            read: Gives the stream, from its beginning, in pieces. It is called twice: torch writes
                all it makes to the memo, and only what is read from there again is kept in it.

        Raises:
            Refusal: XC104 (a name outside the allowlist), XC105 (an opcode or a structure that has
                no place in a checkpoint), XC106 (a resource limit), XC107 (a storage that
                contradicts itself), XC108 (a value that JSON and safetensors cannot hold).
            Corruption: XC102, the stream breaks off.
        """
        self._memo_states = _memo_states(read())
        tokens = lex(self._metered(read()))
        handlers: list[Callable[[bytes], None] | None] = [None] * 256
        for op, handler in _HANDLERS.items():
            handlers[op] = handler.__get__(self)
        self._opcode, argument, self._position = next(tokens)
        if self._opcode != Op.PROTO:
            self._refuse_unless_named(argument, tokens, "the pickle is not of protocol 2 to 5")
        self._proto(argument)
        try:
            for self._opcode, argument, self._position in tokens:
                if step := handlers[self._opcode]:
                    step(argument)
                elif self._opcode == Op.STOP:
                    return self._result(), self._position + 1
                else:
                    self._refuse_unless_named(
                        argument, tokens, "is not part of any XTTS checkpoint"
                    )
        except IndexError:
            self._refuse("takes a value from an empty stack")
        raise AssertionError("the lexer ends with STOP or an error")

    def _result(self) -> Any:
        if len(self._stack) != 1 or self._outer:
            self._refuse("STOP with more or less than one value")
        if self._position + 1 < self._frame_end:
            self._refuse("a frame that is longer than the pickle")
        return self._stack[0]

    def _refuse(self, reason: str) -> NoReturn:
        raise Refusal("XC105", f"{reason} ({self._where()})", hint=_FORM_HINT)

    def _refuse_unless_named(
        self, argument: bytes, tokens: Iterable[tuple[int, bytes, int]], reason: str
    ) -> NoReturn:
        """Refuse an opcode, but look ahead: a forbidden name tells more about the file."""
        refused = self._opcode, self._position
        try:
            here = (self._opcode, argument, self._position)
            for self._opcode, ahead, self._position in chain([here], islice(tokens, _LOOK_AHEAD)):
                if self._opcode in {Op.GLOBAL, Op.INST}:
                    self._find(*_two_lines(ahead))
        except Refusal as error:
            if error.code == "XC104":
                raise
        except XcompatError:
            pass
        self._opcode, self._position = refused
        self._refuse(reason)

    def _where(self) -> str:
        try:
            name = Op(self._opcode).name
        except ValueError:
            name = f"0x{self._opcode:02x}"
        return f"{name} at byte {self._position} of the pickle"

    def _find(self, module: str, name: str) -> Global:
        known = GLOBALS.get((module, name))
        if known is None:
            raise Refusal(
                "XC104",
                f"the pickle names {printable(f'{module}.{name}')}, which no XTTS checkpoint needs "
                f"({self._where()}); nothing was imported or called",
                hint=_TORCH_HINT if module.partition(".")[0] == "torch" else _NAME_HINT,
            )
        self.named.add(known)
        return known

    def _metered(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on the stream, and check what has come of each piece before the next is read."""
        for piece in pieces:
            yield piece
            memory = self._memory + _ITEM * (self._below + len(self._stack))
            if memory > limits.MEMORY:
                limits.check("memory for the values of the pickle", memory, limits.MEMORY)

    def _consumed(self, value: tuple[Any, ...]) -> None:
        """Count a tuple no more that was an argument, unless the memo holds it."""
        if value and id(value) not in self._kept:
            self._memory -= _tuple_size(value)

    def _since_mark(self) -> list[Any]:
        if not self._outer:
            self._refuse("there is no MARK")
        values = self._stack
        self._stack = self._outer.pop()
        self._below -= len(self._stack)
        return values

    def _mark(self, _: bytes) -> None:
        self._outer.append(self._stack)
        self._below += len(self._stack)
        self._stack = []
        if len(self._outer) > limits.MARKS:
            limits.check("open MARKs in the pickle", len(self._outer), limits.MARKS)

    def _proto(self, argument: bytes) -> None:
        if self._position != 0:
            self._refuse("the protocol is told twice")
        if not 2 <= argument[0] <= 5:
            self._refuse(f"protocol {argument[0]}, not 2 to 5")

    def _frame(self, argument: bytes) -> None:
        """Frames only help a reader to buffer, but readers differ about those that overlap."""
        begin = self._position + 1 + len(argument)
        if begin <= self._frame_end:
            self._refuse("a frame within a frame")
        self._frame_end = begin + int.from_bytes(argument, "little")

    def _none(self, _: bytes) -> None:
        self._stack.append(None)

    def _true(self, _: bytes) -> None:
        self._stack.append(True)

    def _false(self, _: bytes) -> None:
        self._stack.append(False)

    def _unsigned(self, argument: bytes) -> None:
        self._stack.append(int.from_bytes(argument, "little"))

    def _int32(self, argument: bytes) -> None:
        self._stack.append(_INT32.unpack(argument)[0])

    def _signed(self, argument: bytes) -> None:
        if len(argument) > limits.INTEGER_BYTES:
            limits.check("bytes of an integer", len(argument), limits.INTEGER_BYTES)
        self._stack.append(int.from_bytes(argument, "little", signed=True))

    def _float(self, argument: bytes) -> None:
        self._stack.append(_FLOAT.unpack(argument)[0])

    def _text(self, argument: bytes) -> None:
        try:
            text = argument.decode()
        except UnicodeDecodeError:
            raise Refusal(
                "XC108", f"a text in the pickle is not Unicode ({self._where()})"
            ) from None
        self._memory += text.__sizeof__()
        self._stack.append(text)

    def _bytes(self, argument: bytes) -> None:
        self._memory += argument.__sizeof__()
        self._stack.append(argument)

    def _set(self, _: bytes) -> None:
        raise Refusal(
            "XC108", f"the pickle holds a set, which JSON cannot represent ({self._where()})"
        )

    def _empty_list(self, _: bytes) -> None:
        self._memory += _CONTAINER
        self._stack.append([])

    def _empty_tuple(self, _: bytes) -> None:
        self._stack.append(())

    def _empty_dict(self, _: bytes) -> None:
        self._memory += _CONTAINER
        self._stack.append({})

    def _tuple(self, _: bytes) -> None:
        self._push_tuple(tuple(self._since_mark()))

    def _push_tuple(self, value: tuple[Any, ...]) -> None:
        self._memory += _tuple_size(value)
        self._stack.append(value)

    def _tuple1(self, _: bytes) -> None:
        self._push_tuple((self._stack.pop(),))

    def _tuple2(self, _: bytes) -> None:
        last = self._stack.pop()
        self._push_tuple((self._stack.pop(), last))

    def _tuple3(self, _: bytes) -> None:
        last = self._stack.pop()
        middle = self._stack.pop()
        self._push_tuple((self._stack.pop(), middle, last))

    def _append(self, _: bytes) -> None:
        value = self._stack.pop()
        self._extend([value])

    def _appends(self, _: bytes) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            self._refuse("appends to something that is not a list")
        self._memory += _ITEM * len(values)
        target.extend(values)

    def _setitem(self, _: bytes) -> None:
        value = self._stack.pop()
        key = self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: bytes) -> None:
        self._update(self._since_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict and type(target) is not StateDict:
            self._refuse("sets an item of something that is not a dict")
        if len(items) % 2:
            self._refuse("a key without a value")
        self._memory += _DICT_ITEM * (len(items) // 2)
        pairs = iter(items)
        for key, value in zip(pairs, pairs, strict=True):
            if type(key) not in _KEY_TYPES:
                self._refuse("a dict key that is neither text nor number nor tensor")
            if key in target:
                self._refuse(f"the key {printable(repr(key))} twice in one dict")
            target[key] = value

    def _memoize(self, _: bytes) -> None:
        self._put(self._memo_size.to_bytes(4, "little"))

    def _put(self, argument: bytes) -> None:
        index = int.from_bytes(argument, "little")
        value = self._stack[-1]
        states = self._memo_states
        if index >= len(states):
            limits.check("memo entries of the pickle", index + 1, limits.MEMO)
            states.extend(bytes(min(index + _MEMO_STEP, limits.MEMO) - len(states)))
        state = states[index]
        states[index] = _WRITTEN
        self._memo_size += 1
        if state == _UNREAD:
            return
        if state == _WRITTEN:
            self._refuse("a memo entry is overwritten")
        self._memory += _DICT_ITEM
        self._kept.add(id(value))
        self._memo[index] = value

    def _get(self, argument: bytes) -> None:
        try:
            self._stack.append(self._memo[int.from_bytes(argument, "little")])
        except KeyError:
            self._refuse("reads a memo entry that was never written")

    def _global(self, argument: bytes) -> None:
        self._stack.append(self._find(*_two_lines(argument)))

    def _inst(self, argument: bytes) -> None:
        self._find(*_two_lines(argument))
        self._refuse("is not part of any XTTS checkpoint")

    def _stack_global(self, _: bytes) -> None:
        name = self._stack.pop()
        module = self._stack.pop()
        if type(module) is not str or type(name) is not str:
            self._refuse("names a global by something that is not text")
        self._stack.append(self._find(module, name))

    def _persistent(self, _: bytes) -> None:
        identifier = self._stack.pop()
        if (
            type(identifier) is not tuple
            or not (len(identifier) == 5 or (len(identifier) == 6 and self._legacy))
            or tuple(map(type, identifier[:5])) != _STORAGE_FIELDS
            or identifier[0] != "storage"
        ):
            self._refuse("a persistent id that is not a torch storage")
        self._consumed(identifier)
        kind, key, numel = identifier[1], identifier[2], identifier[4]
        if kind in UNSUPPORTED:
            raise Refusal("XC107", f"storage {printable(key)} is a {kind}, which no XTTS model has")
        if kind not in STORAGES:
            self._refuse(f"a storage of type {kind}")
        if numel < 0:
            raise Refusal("XC107", f"storage {printable(key)} says it has {numel} elements")
        number = number_of(key)
        if number >= 0 and self._kept.isdisjoint((id(key), id(identifier))):
            self._memory -= key.__sizeof__()
        storage = Storage(key if number < 0 else number, STORAGES[kind], numel)
        known = self._storages.get(storage.key)
        if known is None:
            self._storages.add(storage)
            self._memory += _NAMED_STORAGE if number < 0 else _NUMBERED_STORAGE
        elif known != storage:
            raise Refusal(
                "XC107",
                f"storage {printable(key)} is told twice: {known.numel} elements of "
                f"{known.dtype.name}, and {numel} of {storage.dtype.name}",
            )
        self._memory += _STORAGE
        self._stack.append(storage)

    def _newobj(self, _: bytes) -> None:
        args = self._stack.pop()
        kind = self._stack.pop()
        if type(kind) is not Global or kind not in RECORDS or args != ():
            self._refuse("creates an object that is neither a TTS configuration nor an optimizer")
        self._memory += _RECORD
        self._stack.append(Record(kind))

    def _reduce(self, _: bytes) -> None:
        args = self._stack.pop()
        function = self._stack.pop()
        if type(function) is not Global or type(args) is not tuple:
            self._refuse("calls something that is not a known function")
        self._consumed(args)
        if function is REBUILD_TENSOR:
            self._memory += _TENSOR
            self._stack.append(self._tensor(args))
        elif function is ORDERED_DICT and args == ():
            self._memory += _ORDERED_DICT
            self._stack.append(StateDict())
        elif function is DEFAULT_DICT and len(args) == 1 and self._is_dict(args[0]):
            self._memory += _CONTAINER
            self._stack.append({})
        elif function is REBUILD_PARAMETER:
            match args:
                case (Tensor() as tensor, bool(), StateDict()):
                    self._stack.append(tensor)
                case _:
                    self._refuse(f"calls {function} with other arguments than torch does")
        else:
            self._refuse(f"calls {function} with other arguments than torch does")

    @staticmethod
    def _is_dict(factory: Any) -> bool:
        # Anything else is not even hashed: a list cannot be, and a deep tuple ends the process.
        return type(factory) is Global and factory in DICTS

    def _tensor(self, args: tuple[Any, ...]) -> Tensor:
        if (
            tuple(map(type, args[:5])) != _TENSOR_FIELDS
            or not 6 <= len(args) <= 7
            or (args[6:] and args[6] is not None)
        ):
            self._refuse(f"calls {REBUILD_TENSOR} with other arguments than torch does")
        storage, offset, shape, stride, _, hooks = args[:6]
        if type(hooks) is not StateDict or hooks:
            self._refuse("a tensor with hooks")
        if not _INTEGERS.issuperset(map(type, shape + stride)):
            self._refuse("a tensor whose offset, shape or stride is not made of integers")
        view = View(storage.dtype, storage.numel, offset, shape, stride)
        known = self._views.setdefault(view, view)
        if known is view:
            self._memory += _VIEW
        if id(args) not in self._kept:
            if known is not view:
                self._consumed(shape)
                self._consumed(stride)
            if id(hooks) not in self._kept:
                self._memory -= _ORDERED_DICT
            if id(storage) not in self._kept:
                self._memory -= _STORAGE
        return Tensor(storage.key, known)

    def _build(self, _: bytes) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if type(state) is not dict:
            self._refuse("sets attributes from something that is not a dict")
        if type(target) is Record and not target.built:
            if not all(type(key) is str for key in state):
                self._refuse("an attribute whose name is not text")
            target.state = state
            target.built = True
        elif type(target) is not StateDict or set(state) != {"_metadata"}:
            # torch keeps the versions of a model's modules in that attribute; nobody needs them.
            self._refuse("sets attributes of something that has none")


_UNREAD: Final = 0
"""State of a memo entry that is not written, and that the stream never reads."""
_RECALLED: Final = 1
"""Not written yet; the stream may read it."""
_WRITTEN: Final = 2
_MEMO_STEP: Final = 4096


def _memo_states(chunks: Iterable[bytes]) -> bytearray:
    """Return, for each memo entry up to the last that the stream may read, whether it may.

    Every LONG_BINGET is found, wherever the opcodes begin; some that are none do no harm.
    """
    states = bytearray([_RECALLED]) * 256  # BINGET
    tail = b""
    for chunk in chunks:
        data = tail + chunk
        for index in set(_LONG_BINGET.findall(data)):
            at = int.from_bytes(index, "little")
            if at >= len(states):
                states.extend(bytes(at + 1 - len(states)))
            states[at] = _RECALLED
        tail = data[-4:]
    return states


_INT32: Final = struct.Struct("<i")
_FLOAT: Final = struct.Struct(">d")
_LONG_BINGET: Final = re.compile(rb"j(?=(..[\x00-\x1f]\x00))", re.DOTALL)
"""Followed by an index below 2^21; it overlaps with the next one where that begins within it."""

# Bytes of memory that a value holds, on CPython with 64 bits; numbers count where they are kept.
_CONTAINER: Final = 80
_ORDERED_DICT: Final = 80
_ITEM: Final = 40
_DICT_ITEM: Final = 100
_RECORD: Final = 160
_STORAGE: Final = 64
_NUMBERED_STORAGE: Final = 10
_NAMED_STORAGE: Final = 180
_TENSOR: Final = 80
_VIEW: Final = 180


def _tuple_size(value: tuple[Any, ...]) -> int:
    return 56 + _ITEM * len(value)


_STORAGE_FIELDS: Final = (str, Global, str, str, int)
"""Types of what tells a storage: "storage", its class, its key, the device, its elements."""
_TENSOR_FIELDS: Final = (Storage, int, tuple, tuple, bool)
"""Types of the first arguments of `_rebuild_tensor_v2`: behind them are hooks and metadata."""
_INTEGERS: Final = frozenset({int})
_KEY_TYPES: Final = frozenset({str, int, float, bool, type(None), Tensor})
"""An optimizer knows the state of each parameter by that parameter."""

_HANDLERS: Final[dict[int, Callable[[Machine, bytes], None]]] = {
    Op.PROTO: Machine._proto,
    Op.FRAME: Machine._frame,
    Op.MARK: Machine._mark,
    Op.NONE: Machine._none,
    Op.NEWTRUE: Machine._true,
    Op.NEWFALSE: Machine._false,
    Op.BININT: Machine._int32,
    Op.BININT1: Machine._unsigned,
    Op.BININT2: Machine._unsigned,
    Op.LONG1: Machine._signed,
    Op.LONG4: Machine._signed,
    Op.BINFLOAT: Machine._float,
    Op.BINUNICODE: Machine._text,
    Op.SHORT_BINUNICODE: Machine._text,
    Op.BINUNICODE8: Machine._text,
    Op.BINBYTES: Machine._bytes,
    Op.SHORT_BINBYTES: Machine._bytes,
    Op.BINBYTES8: Machine._bytes,
    Op.EMPTY_SET: Machine._set,
    Op.FROZENSET: Machine._set,
    Op.EMPTY_LIST: Machine._empty_list,
    Op.APPEND: Machine._append,
    Op.APPENDS: Machine._appends,
    Op.EMPTY_TUPLE: Machine._empty_tuple,
    Op.TUPLE: Machine._tuple,
    Op.TUPLE1: Machine._tuple1,
    Op.TUPLE2: Machine._tuple2,
    Op.TUPLE3: Machine._tuple3,
    Op.EMPTY_DICT: Machine._empty_dict,
    Op.SETITEM: Machine._setitem,
    Op.SETITEMS: Machine._setitems,
    Op.BINPUT: Machine._put,
    Op.LONG_BINPUT: Machine._put,
    Op.MEMOIZE: Machine._memoize,
    Op.BINGET: Machine._get,
    Op.LONG_BINGET: Machine._get,
    Op.GLOBAL: Machine._global,
    Op.INST: Machine._inst,
    Op.STACK_GLOBAL: Machine._stack_global,
    Op.BINPERSID: Machine._persistent,
    Op.NEWOBJ: Machine._newobj,
    Op.REDUCE: Machine._reduce,
    Op.BUILD: Machine._build,
}
"""The opcodes that a checkpoint may use."""


def _two_lines(argument: bytes) -> tuple[str, str]:
    module, name, _ = argument.decode("utf-8", "backslashreplace").split("\n")
    return module, name
