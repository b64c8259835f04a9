"""Takes the words of a command line for what they plainly are.

From 0.29 on typer has pydantic do that, which takes as long to import as all else of a command.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Callable

_UNCLEAR: Final = object()


class PlainCommand(TyperCommand):
    """A command that asks typer only about words that are not plainly what their option takes."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments, `--help` among them."""
        return plainly(super().get_params(ctx))


def plainly(params: list[Any]) -> list[Any]:
    """Return options and arguments that take plain words for what they are."""
    for param in params:
        # typer before 0.29 has none of it, and does without pydantic.
        thorough = getattr(param, "get_runtime_param", None)
        if thorough and hasattr(param, "type_descriptor") and not isinstance(thorough, partial):
            told = _Plain(param.type_descriptor.annotation, thorough)
            vars(param)["get_runtime_param"] = partial(_given, told)
    return params


def _given(told: _Plain) -> _Plain:
    return told


class _Plain:
    """What typer calls a runtime parameter."""

    def __init__(self, annotation: Any, thorough: Callable[[], Any]) -> None:
        self._annotation = annotation
        self._thorough = thorough

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of an option as its command takes it."""
        taken = self._taken(value, several=param.multiple or param.nargs == -1)
        if taken is _UNCLEAR:
            return self._thorough().coerce(value, param=param, ctx=ctx)
        return taken

    def _taken(self, value: Any, *, several: bool) -> Any:
        if value is None:
            return () if several else None
        if not several:
            return _plain(value, self._annotation)
        if get_origin(self._annotation) is not list or isinstance(value, str):
            return _UNCLEAR
        (kind,) = get_args(self._annotation)
        taken = [_plain(each, kind) for each in value]
        return _UNCLEAR if _UNCLEAR in taken else taken


def _plain(value: Any, kind: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        kinds = [each for each in get_args(kind) if each is not type(None)]
        return _plain(value, kinds[0]) if len(kinds) == 1 else _UNCLEAR
    if kind in (str, bool) and type(value) is kind:
        return value
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    if get_origin(kind) is Literal and value in get_args(kind):
        return value
    return _UNCLEAR
