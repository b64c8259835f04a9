"""Mappings from a file that was written elsewhere: values are taken out by name and type."""

from __future__ import annotations

import json
import re
import sys
from typing import Any


class BadTable(Exception):  # noqa: N818 - whoever reads the file says in which
    """One error in the data, and the key that it concerns; the line, where that is known."""

    def __init__(self, key: str, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.key = key
        self.what = what
        self.line = line


def table_of_toml(text: str) -> Table:
    """Return the table that a TOML text is.

    Raises:
        BadTable: It is none.
    """
    return Table(toml_of(text))


def toml_of(text: str) -> dict[str, Any]:
    """Return what a TOML text says.

    Raises:
        BadTable: It is none.
    """
    # Few commands read any.
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415
    else:
        import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    try:
        told: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"at line (\d+)", str(error))
        line = int(match[1]) if match else len(text.splitlines())
        raise BadTable("", str(error), line) from error
    return told


def json_of(text: str) -> object:
    """Return what a JSON text says.

    Raises:
        BadTable: It is none.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadTable("", f"not JSON: {error}") from error


class Table:
    """A mapping from outside. What is taken out of it is gone; each taking can raise `BadTable`."""

    def __init__(self, values: object, key: str = "") -> None:
        if not isinstance(values, dict):
            raise BadTable(key, f"{key or 'this'} must be a table, not {_kind(values)}")
        self._values: dict[str, Any] = dict(values)

    def text(self, key: str, default: str | None = None) -> str:
        """Take a text, without space around it."""
        value = self._values.pop(key, default)
        if not isinstance(value, str):
            raise BadTable(key, self._wrong(key, value, "text"))
        return value.strip()

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Take a list of texts."""
        value = self._values.pop(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise BadTable(key, self._wrong(key, value, "a list of texts"))
        return tuple(value)

    def mapping(self, key: str) -> dict[str, str]:
        """Take a table of texts; an empty one where there is none."""
        value = self._values.pop(key, {})
        if not isinstance(value, dict) or not {*map(type, value.values())} <= {str}:
            raise BadTable(key, self._wrong(key, value, "a table of texts"))
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Take a number."""
        value = self._values.pop(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise BadTable(key, self._wrong(key, value, "a number"))
        return value

    def table(self, key: str) -> Table:
        """Take a table."""
        return Table(self._values.pop(key, None), key)

    def tables(self, key: str) -> list[Table]:
        """Take a list of tables; an empty one where there is none."""
        values = self._values.pop(key, [])
        if not isinstance(values, list):
            raise BadTable(key, f"`{key}` must be written as [[{key}]]")
        return [Table(each, key) for each in values]

    def parts(self) -> dict[str, Table]:
        """Take everything, where every value is a table."""
        values, self._values = self._values, {}
        return {key: Table(value, key) for key, value in values.items()}

    def flag(self, key: str) -> bool:
        """Take a truth value; False where there is none."""
        value = self._values.pop(key, False)
        if not isinstance(value, bool):
            raise BadTable(key, f"`{key}` is true or false, not {_kind(value)}")
        return value

    def take(self, key: str, default: object = None) -> Any:
        """Take whatever is there."""
        return self._values.pop(key, default)

    def no_more(self) -> None:
        """Refuse what nobody took."""
        for key in self._values:
            raise BadTable(key, f"`{key}` means nothing here")

    @staticmethod
    def _wrong(key: str, value: object, wanted: str) -> str:
        if value is None:
            return f"`{key}` is missing"
        return f"`{key}` must be {wanted}, not {_kind(value)}"


def _kind(value: object) -> str:
    return {dict: "a table", list: "a list", str: "text", type(None): "nothing"}.get(
        type(value), type(value).__name__
    )
