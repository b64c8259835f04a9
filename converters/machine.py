"""A pickle machine that yields inert values: it imports nothing, calls nothing, and never recurses.

It understands what an XTTS checkpoint is made of and nothing else. An opcode outside `_HANDLERS`,
a global outside `GLOBALS`, or a call that does not have exactly the form torch writes is a refusal.
"""

# The table of handlers lies behind the class whose methods it names.
# ruff: noqa: SLF001

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NoReturn

from xcompat.converters import limits
from xcompat.converters.opcodes import Op, lex
from xcompat.converters.values import (
    STORAGE_DTYPES,
    UNSUPPORTED_STORAGES,
    Global,
    Record,
    Storage,
    Tensor,
    printable,
)
from xcompat.errors import Refusal, XcompatError

if TYPE_CHECKING:
    from collections.abc import Callable

XTTS_CONFIG: Final = Global("TTS.tts.configs.xtts_config", "XttsConfig")
XTTS_ARGS: Final = Global("TTS.tts.models.xtts", "XttsArgs")
XTTS_AUDIO_CONFIG: Final = Global("TTS.tts.models.xtts", "XttsAudioConfig")
DATASET_CONFIG: Final = Global("TTS.config.shared_configs", "BaseDatasetConfig")
ORDERED_DICT: Final = Global("collections", "OrderedDict")
REBUILD_TENSOR: Final = Global("torch._utils", "_rebuild_tensor_v2")
REBUILD_PARAMETER: Final = Global("torch._utils", "_rebuild_parameter")
DEFAULT_DICT: Final = Global("collections", "defaultdict")

_CONFIGS: Final = frozenset(
    {
        XTTS_CONFIG,
        XTTS_ARGS,
        XTTS_AUDIO_CONFIG,
        DATASET_CONFIG,
        # Where coqui-tts 0.28.0 moved them.
        Global("TTS.tts.configs.xtts_config", "XttsArgs"),
        Global("TTS.tts.configs.xtts_config", "XttsAudioConfig"),
    }
)
_DICTS: Final = frozenset({Global("builtins", "dict"), Global("__builtin__", "dict")})
_STORAGES: Final = {Global("torch", name): dtype for name, dtype in STORAGE_DTYPES.items()}
_UNSUPPORTED: Final = frozenset(Global("torch", name) for name in UNSUPPORTED_STORAGES)
GLOBALS: Final = {
    (known.module, known.name): known
    for known in (
        *_CONFIGS,
        *_DICTS,
        *_STORAGES,
        *_UNSUPPORTED,
        ORDERED_DICT,
        REBUILD_TENSOR,
        REBUILD_PARAMETER,
        DEFAULT_DICT,
    )
}
"""Every name that a checkpoint may mention, by exact module and name."""
TENSORS_ONLY: Final = frozenset({ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, *_STORAGES})
"""What every torch loads under `weights_only=True`, since 1.13."""

_NAME_HINT: Final = (
    "A checkpoint that names code can run it when torch loads it. "
    "Get the file from its publisher again."
)
_TORCH_HINT: Final = (
    "No published XTTS holds such a kind of tensor or object. Save plain float tensors, "
    "or get the file from its publisher again."
)
_FORM_HINT = "xcompat reads only what torch.save writes for an XTTS checkpoint."


class Machine:
    """One reading of one pickle stream.

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
        self._memo: dict[int, Any] = {}
        self._storages: dict[str, Storage] = {}
        self._opcode = int(Op.PROTO)
        self._position = 0
        self._objects = 0

    def run(self, data: bytes, start: int = 0) -> tuple[Any, int]:
        """Read one pickle; return its value and the position behind its STOP.

        Raises:
            Refusal: XC104 (a name outside the allowlist), XC105 (an opcode or a structure that has
                no place in a checkpoint), XC106 (a resource limit), XC107 (a storage that
                contradicts itself), XC108 (a value that JSON and safetensors cannot hold).
            Corruption: XC102, the stream breaks off.
        """
        if data[start : start + 1] != bytes([Op.PROTO]):
            self._position = start
            self._refuse_unless_named(data, start, "the pickle is not of protocol 2 to 5")
        handlers = {int(op): handler for op, handler in _HANDLERS.items()}
        last = int(Op.STOP)
        for opcode, argument, position in lex(data, start):
            self._opcode = opcode
            self._position = position
            if opcode == last:
                if len(self._stack) != 1 or self._outer:
                    self._refuse("STOP with more or less than one value")
                return self._stack[0], position + 1
            handler = handlers.get(opcode)
            if handler is None:
                self._refuse_unless_named(data, position, "is not part of any XTTS checkpoint")
            try:
                handler(self, argument)
            except IndexError:
                self._refuse("takes a value from an empty stack")
        raise AssertionError("the lexer ends with STOP or an error")

    def _refuse(self, reason: str) -> NoReturn:
        raise Refusal("XC105", f"{reason} ({self._where()})", hint=_FORM_HINT)

    def _refuse_unless_named(self, data: bytes, position: int, reason: str) -> NoReturn:
        """Refuse an opcode, but look ahead: a forbidden name tells more about the file."""
        try:
            for opcode, argument, found_at in lex(data, position):
                if opcode in {Op.GLOBAL, Op.INST}:
                    self._opcode, self._position = opcode, found_at
                    self._find(*_two_lines(argument))
        except Refusal as error:
            if error.code == "XC104":
                raise
        except XcompatError:
            pass
        self._position = position
        self._opcode = data[position] if position < len(data) else int(Op.STOP)
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

    def _push(self, value: Any) -> None:
        self._stack.append(value)
        if len(self._stack) > limits.STACK:
            limits.check("pickle stack", len(self._stack), limits.STACK)

    def _create(self, value: Any) -> None:
        """Push a value that takes memory of its own."""
        self._objects += 1
        if self._objects > limits.OBJECTS:
            limits.check("objects in the pickle", self._objects, limits.OBJECTS)
        self._push(value)

    def _since_mark(self) -> list[Any]:
        if not self._outer:
            self._refuse("there is no MARK")
        values = self._stack
        self._stack = self._outer.pop()
        return values

    def _mark(self, _: bytes) -> None:
        self._outer.append(self._stack)
        self._stack = []
        if len(self._outer) > limits.STACK // 10:
            limits.check("open MARKs in the pickle", len(self._outer), limits.STACK // 10)

    def _proto(self, argument: bytes) -> None:
        if self._position != 0 and (self._stack or self._outer or self._memo):
            self._refuse("the protocol is told twice")
        if not 2 <= argument[0] <= 5:
            self._refuse(f"protocol {argument[0]}, not 2 to 5")

    def _frame(self, _: bytes) -> None:
        """Frames only help a reader to buffer."""

    def _none(self, _: bytes) -> None:
        self._push(None)

    def _true(self, _: bytes) -> None:
        self._push(True)  # noqa: FBT003 - a value

    def _false(self, _: bytes) -> None:
        self._push(False)  # noqa: FBT003 - a value

    def _unsigned(self, argument: bytes) -> None:
        self._push(int.from_bytes(argument, "little"))

    def _signed(self, argument: bytes) -> None:
        if len(argument) > limits.INTEGER_BYTES:
            limits.check("bytes of an integer", len(argument), limits.INTEGER_BYTES)
        self._push(int.from_bytes(argument, "little", signed=True))

    def _float(self, argument: bytes) -> None:
        self._create(struct.unpack(">d", argument)[0])

    def _text(self, argument: bytes) -> None:
        try:
            self._create(argument.decode())
        except UnicodeDecodeError:
            raise Refusal(
                "XC108", f"a text in the pickle is not Unicode ({self._where()})"
            ) from None

    def _bytes(self, argument: bytes) -> None:
        self._create(argument)

    def _set(self, _: bytes) -> None:
        raise Refusal(
            "XC108", f"the pickle holds a set, which JSON cannot represent ({self._where()})"
        )

    def _empty_list(self, _: bytes) -> None:
        self._create([])

    def _empty_tuple(self, _: bytes) -> None:
        self._push(())

    def _empty_dict(self, _: bytes) -> None:
        self._create({})

    def _tuple(self, _: bytes) -> None:
        values = self._since_mark()
        self._create(tuple(values))

    def _tuple1(self, _: bytes) -> None:
        self._create((self._stack.pop(),))

    def _tuple2(self, _: bytes) -> None:
        last = self._stack.pop()
        self._create((self._stack.pop(), last))

    def _tuple3(self, _: bytes) -> None:
        last = self._stack.pop()
        middle = self._stack.pop()
        self._create((self._stack.pop(), middle, last))

    def _append(self, _: bytes) -> None:
        value = self._stack.pop()
        self._extend([value])

    def _appends(self, _: bytes) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            self._refuse("appends to something that is not a list")
        target.extend(values)

    def _setitem(self, _: bytes) -> None:
        value = self._stack.pop()
        key = self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: bytes) -> None:
        self._update(self._since_mark())

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict and type(target) is not OrderedDict:
            self._refuse("sets an item of something that is not a dict")
        if len(items) % 2:
            self._refuse("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in _KEY_TYPES:
                self._refuse("a dict key that is neither text nor number")
            if key in target:
                self._refuse(f"the key {printable(repr(key))} twice in one dict")
            target[key] = value

    def _put(self, argument: bytes) -> None:
        self._remember(int.from_bytes(argument, "little"))

    def _memoize(self, _: bytes) -> None:
        self._remember(len(self._memo))

    def _remember(self, index: int) -> None:
        if self._memo.setdefault(index, value := self._stack[-1]) is not value:
            self._refuse("a memo entry is overwritten")
        if len(self._memo) > limits.OBJECTS:
            limits.check("memo entries of the pickle", len(self._memo), limits.OBJECTS)

    def _get(self, argument: bytes) -> None:
        index = int.from_bytes(argument, "little")
        if index not in self._memo:
            self._refuse("reads a memo entry that was never written")
        self._push(self._memo[index])

    def _global(self, argument: bytes) -> None:
        self._push(self._find(*_two_lines(argument)))

    def _inst(self, argument: bytes) -> None:
        self._find(*_two_lines(argument))
        self._refuse("is not part of any XTTS checkpoint")

    def _stack_global(self, _: bytes) -> None:
        name = self._stack.pop()
        module = self._stack.pop()
        if type(module) is not str or type(name) is not str:
            self._refuse("names a global by something that is not text")
        self._push(self._find(module, name))

    def _persistent(self, _: bytes) -> None:
        match self._stack.pop():
            case ("storage", Global() as kind, str(key), str(), int(numel)):
                pass
            case ("storage", Global() as kind, str(key), str(), int(numel), _) if self._legacy:
                pass
            case _:
                self._refuse("a persistent id that is not a torch storage")
        if kind in _UNSUPPORTED:
            raise Refusal("XC107", f"storage {printable(key)} is a {kind}, which no XTTS model has")
        if kind not in _STORAGES:
            self._refuse(f"a storage of type {kind}")
        if numel < 0 or type(numel) is bool:
            raise Refusal("XC107", f"storage {printable(key)} says it has {numel} elements")
        storage = Storage(key, _STORAGES[kind], numel)
        known = self._storages.setdefault(key, storage)
        if known != storage:
            raise Refusal(
                "XC107",
                f"storage {printable(key)} is told twice: {known.numel} elements of "
                f"{known.dtype.name}, and {numel} of {storage.dtype.name}",
            )
        self._create(known)

    def _newobj(self, _: bytes) -> None:
        args = self._stack.pop()
        kind = self._stack.pop()
        if type(kind) is not Global or kind not in _CONFIGS or args != ():
            self._refuse("creates an object that is not a TTS configuration")
        self._create(Record(kind))

    def _reduce(self, _: bytes) -> None:
        args = self._stack.pop()
        function = self._stack.pop()
        if type(function) is not Global or type(args) is not tuple:
            self._refuse("calls something that is not a known function")
        if function == ORDERED_DICT and args == ():
            self._create(OrderedDict())
        elif function == DEFAULT_DICT and len(args) == 1 and self._is_dict(args[0]):
            self._create({})
        elif function == REBUILD_TENSOR:
            self._create(self._tensor(args))
        elif function == REBUILD_PARAMETER:
            match args:
                case (Tensor() as tensor, bool(), OrderedDict()):
                    self._push(tensor)
                case _:
                    self._refuse(f"calls {function} with other arguments than torch does")
        else:
            self._refuse(f"calls {function} with other arguments than torch does")

    @staticmethod
    def _is_dict(factory: Any) -> bool:
        # Anything else is not even hashed: a list cannot be, and a deep tuple ends the process.
        return type(factory) is Global and factory in _DICTS

    def _tensor(self, args: tuple[Any, ...]) -> Tensor:
        match args:
            case (Storage() as storage, int(offset), tuple(shape), tuple(stride), bool(), hooks):
                pass
            case (
                Storage() as storage, int(offset), tuple(shape), tuple(stride), bool(), hooks, None
            ):  # fmt: skip
                pass
            case _:
                self._refuse(f"calls {REBUILD_TENSOR} with other arguments than torch does")
        if type(hooks) is not OrderedDict or hooks:
            self._refuse("a tensor with hooks")
        if any(type(number) is not int for number in (offset, *shape, *stride)):
            self._refuse("a tensor whose offset, shape or stride is not made of integers")
        return Tensor(storage, offset, shape, stride)

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
        elif type(target) is not OrderedDict or set(state) != {"_metadata"}:
            # torch keeps the versions of a model's modules in that attribute; nobody needs them.
            self._refuse("sets attributes of something that has none")


_KEY_TYPES: Final = frozenset({str, int, float, bool, type(None)})

_HANDLERS: Final[dict[int, Callable[[Machine, bytes], None]]] = {
    Op.PROTO: Machine._proto,
    Op.FRAME: Machine._frame,
    Op.MARK: Machine._mark,
    Op.NONE: Machine._none,
    Op.NEWTRUE: Machine._true,
    Op.NEWFALSE: Machine._false,
    Op.BININT: Machine._signed,
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
