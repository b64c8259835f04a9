"""JSON documents, read without a lossy guess, written, and compared."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from xcompat.converters.values import limits
from xcompat.converters.values.plain import to_plain
from xcompat.converters.values.printable import printable
from xcompat.errors import Corruption

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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
