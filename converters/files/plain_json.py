"""JSON in and out without a lossy guess.

One extension to the standard: infinity. `max_audio_len` and `max_text_len` of a stock XttsConfig
are infinite, and Python's `json`, with which TTS reads and writes its `config.json`, has
`Infinity`. NaN has no meaning in a configuration and is refused.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xcompat.converters.values import limits
from xcompat.converters.values.objects import Record
from xcompat.converters.values.printable import printable
from xcompat.errors import Corruption, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def to_plain(value: Any, path: str) -> Any:
    """Return a value of a checkpoint as JSON types: records become objects, tuples arrays.

    Args:
        value: What the pickle machine yielded.
        path: Where the value is, for messages.

    Raises:
        Refusal: XC108, naming the path of what JSON cannot hold: NaN, bytes,
            tensors, text that is not Unicode, keys that are not text, cycles; XC106, too deep, too
            much, or an integer that is too wide.
    """
    return _Plain(path).convert(value, path, ())


_Path: TypeAlias = "str | tuple[_Path, str | int]"
"""Where a value is: the root's name, or the container's path and a key. Cheap while all is well."""


_WIDEST: Final = 1 << 8 * limits.INTEGER_BYTES
"""Magnitude of the first integers that are too wide."""


class _Plain:
    def __init__(self, root: str) -> None:
        self._values = f"values of {root}"
        self._texts = f"characters of {root}"
        self._count = 0
        self._characters = 0

    def convert(self, value: Any, path: _Path, within: tuple[int, ...]) -> Any:
        self._count += 1
        self._check_limits()
        if isinstance(value, str):
            self._check_text(value, path)
            self._check_limits()
            return value
        if isinstance(value, (int, float, type(None))):
            self._check_number(value, path)
            return value
        if id(value) in within:
            raise _unrepresentable(path, "contains itself")
        within = (*within, id(value))
        if len(within) > limits.NESTING:
            limits.check(f"nesting of {_shown(path)}", len(within), limits.NESTING)
        if isinstance(value, Record):
            return self._object(value.state, path, within)
        if isinstance(value, dict):
            return self._object(value, path, within)
        if type(value) in {list, tuple}:
            return self._array(value, path, within)
        kind = type(value).__name__
        raise _unrepresentable(path, f"is of type {kind}, which JSON does not have")

    @staticmethod
    def _check_number(value: float | None, path: _Path) -> None:
        if isinstance(value, int):
            if value.bit_length() > 8 * limits.INTEGER_BYTES:
                resource = f"bits of {_shown(path)}"
                limits.check(resource, value.bit_length(), 8 * limits.INTEGER_BYTES)
        elif value is not None and math.isnan(value):
            raise _unrepresentable(path, "is NaN, a number that JSON does not have")

    def _check_text(self, text: str, path: _Path) -> None:
        self._characters += len(text)
        if text.isascii():
            return
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _unrepresentable(path, "holds text that is not Unicode") from None

    def _array(
        self, items: list[Any] | tuple[Any, ...], path: _Path, within: tuple[int, ...]
    ) -> list[Any]:
        plain: list[Any] = []
        for index, item in enumerate(items):
            if type(item) is str and item.isascii():
                self._count += 1  # the many texts of a vocabulary
                self._characters += len(item)
                plain.append(item)
            else:
                plain.append(self.convert(item, (path, index), within))
        self._check_limits()
        return plain

    def _check_limits(self) -> None:
        if self._count > limits.JSON_VALUES:
            limits.check(self._values, self._count, limits.JSON_VALUES)
        if self._characters > limits.JSON_CHARACTERS:
            limits.check(self._texts, self._characters, limits.JSON_CHARACTERS)

    def _object(
        self, items: dict[Any, Any], path: _Path, within: tuple[int, ...]
    ) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, item in items.items():
            if type(key) is not str:
                raise _unrepresentable(
                    path, f"has the key {printable(repr(key))}, which is not text"
                )
            self._check_text(key, path)
            if type(item) is int and _WIDEST > item > -_WIDEST:
                self._count += 1  # the many numbers of a vocabulary
                plain[key] = item
            else:
                plain[key] = self.convert(item, (path, key), within)
        self._check_limits()
        return plain


def _shown(path: _Path) -> str:
    """Return a path for a message, for example `config.audio.rates[2]`."""
    keys = []
    while not isinstance(path, str):
        path, key = path
        keys.append(f"[{key}]" if isinstance(key, int) else f".{printable(key, 60)}")
    return path + "".join(reversed(keys))


def _unrepresentable(path: _Path, reason: str) -> Refusal:
    return Refusal(
        "XC108",
        f"{_shown(path)} {reason}",
        hint="Correct the value where the checkpoint is made, or put a config.json beside it.",
    )


def parse_object(content: bytes, name: str) -> dict[str, Any]:
    """Return the object that a JSON file holds, all of it representable.

    Raises:
        Corruption: XC102, as `load_object`.
        Refusal: XC106 and XC108, as `to_plain`.
    """
    plain: dict[str, Any] = to_plain(load_object(content, name), name)
    return plain


def load_object(content: bytes, name: str) -> dict[str, Any]:
    """Return the object that a JSON document holds.

    Raises:
        Corruption: XC102, it is not JSON, not an object, or has a key twice.
    """
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode()
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _not_json(name, error) from error
    if not isinstance(value, dict):
        raise Corruption("XC102", f"{name} holds no JSON object", hint="Get that file again.")
    return value


def object_items(pieces: Iterable[bytes], name: str) -> Iterator[tuple[str, Any]]:
    """Yield the items of the object that a JSON document holds, and hold one at a time.

    Args:
        pieces: The document, in pieces of any size.
        name: Of the document, for messages.

    Raises:
        Corruption: XC102, it is not JSON, not an object, or an object within it has a key twice;
            whether the outermost one has is for the caller to see.
    """
    rest = iter(pieces)
    decode = codecs.getincrementaldecoder("utf-8")().decode
    text = ""
    position = 0
    opening = "{"
    try:
        while True:
            try:
                item, position = _next_item(text, position, opening)
            except ValueError as error:
                # It may only be cut off here.
                if len(text) - position > limits.TEXT_BYTES:
                    raise ValueError(f"{error}, or one item is longer than 1 MiB") from error
                piece = next(rest, b"")
                if not piece:
                    raise
                text = text[position:] + decode(piece)
                position = 0
                continue
            if item is None:
                break
            opening = ","
            yield item
        behind = text[position:] + decode(b"".join(rest), final=True)
    except (ValueError, RecursionError) as error:
        raise _not_json(name, error) from error
    if not _BLANKS.fullmatch(behind):
        raise _not_json(name, ValueError("something follows its end"))


def _next_item(text: str, position: int, opening: str) -> tuple[tuple[str, Any] | None, int]:
    """Return the next item of an object, or None at its end, and the position behind it.

    Raises:
        ValueError: It is malformed, or not all of it and of what follows is there.
    """
    if opening == "{":
        position = _behind("{", text, position)
    if end := _MARKS["}"].match(text, position):
        return None, end.end()
    if opening == ",":
        position = _behind(",", text, position)
    key, position = _decoder.raw_decode(text, position)
    value, position = _decoder.raw_decode(text, _behind(":", text, position))
    if type(key) is not str or _BLANKS.fullmatch(text, position):
        raise ValueError("there is an item that breaks off or has no name")
    return (key, value), position


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key `{printable(twice)}` is there twice")
    return found


_decoder: Final = json.JSONDecoder(object_pairs_hook=_unique)
_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_MARKS: Final = {
    mark: re.compile(_BLANKS.pattern + re.escape(mark) + _BLANKS.pattern) for mark in "{,:}"
}


def _behind(mark: str, text: str, position: int) -> int:
    found = _MARKS[mark].match(text, position)
    if not found:
        raise ValueError(f"`{mark}` is missing")
    return found.end()


def _not_json(name: str, error: Exception) -> Corruption:
    return Corruption("XC102", f"{name} is not valid JSON: {error}", hint="Get that file again.")


def to_json(value: Any) -> bytes:
    """Return a JSON document as xcompat writes it: UTF-8, indented, ending in a line feed."""
    text = json.dumps(value, indent=4, ensure_ascii=False)
    # Names of files may hold lone surrogates: what stands for these is also how JSON writes them.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Return one line for each place where two JSON documents differ, left value first."""
    if isinstance(left, dict) and isinstance(right, dict):
        found: list[str] = []
        for key in [*left, *(key for key in right if key not in left)]:
            inner = f"{path}.{key}" if path else key
            if key not in left or key not in right:
                found.append(f"{inner} is only in {'the source' if key in left else 'the target'}")
            else:
                found += differences(left[key], right[key], inner)
        return found
    if left == right and type(left) is type(right):
        return []
    return [f"{path} is {json.dumps(left)[:60]}, there {json.dumps(right)[:60]}"]
