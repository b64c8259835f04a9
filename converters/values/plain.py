"""Values of a checkpoint as JSON types, without a lossy guess.

One extension to the standard: infinity. `max_audio_len` and `max_text_len` of a stock XttsConfig
are infinite, and Python's `json`, with which TTS reads and writes its `config.json`, has
`Infinity`. NaN has no meaning in a configuration and is refused.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

from xcompat.converters.values import limits
from xcompat.converters.values.objects import Record
from xcompat.converters.values.printable import printable
from xcompat.errors import Refusal


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
