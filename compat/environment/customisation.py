"""Reads what an app puts in the place of library functions when Python starts.

`sitecustomize.py` and `usercustomize.py` are read as data: nothing of them is executed or imported,
so that what a branch of theirs decides at run time is not known. Only what is assigned under a name
that can be told is a patch; the rest is named as not read.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xcompat.domain import Patch
from xcompat.environment.contents import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_FILES = ("sitecustomize.py", "usercustomize.py")


class Customised(NamedTuple):
    """What the modules that Python runs at its start put in place."""

    patches: tuple[Patch, ...]
    notes: tuple[str, ...]
    """What they do that was not read, in a sentence of one line each."""


class _Scope(NamedTuple):
    """What names mean at a place of the code."""

    imported: Mapping[str, str]
    """Name to the dotted name of the module or object that was imported as it."""
    texts: Mapping[str, str]
    """Parameter to its default, where that is a text."""
    modules: tuple[str, ...] = ()
    """What the `__name__` of a module was compared with."""


def customised(folders: Iterable[Path], environ: Mapping[str, str]) -> Customised:
    """Return what is patched at the start: Python takes the first file of each name.

    Args:
        folders: Where the target looks for modules, in its order.
        environ: Environment variables, of which PYTHONPATH names folders that come before.
    """
    before = [Path(each) for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    places = [*before, *folders]
    patches: list[Patch] = []
    notes: list[str] = []
    for name in _FILES:
        file = next((folder / name for folder in places if (folder / name).is_file()), None)
        if file is None:
            continue
        found, unread = _read(file)
        patches += found
        notes += unread
    return Customised(tuple(patches), tuple(notes))


def _read(file: Path) -> tuple[list[Patch], list[str]]:
    tree = _parsed(text_of(file))
    if tree is None:
        return [], [f"{file} runs at the start of Python and cannot be read"]
    scope = _Scope(dict(_imports(tree)), {})
    patches: dict[str, Patch] = {}
    unread: dict[int, None] = {}
    for name, line in _assigned(tree, scope):
        if name:
            patches.setdefault(name, Patch(name, f"{file}:{line}"))
        else:
            unread[line] = None
    lines = ", ".join(map(str, unread))
    note = f"{file} runs at the start of Python; what it replaces in line {lines} was not read"
    return list(patches.values()), [note] * bool(unread)


def _parsed(text: str | None) -> ast.Module | None:
    try:
        return None if text is None else ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield (
                    each.asname or each.name.partition(".")[0],
                    (each.name if each.asname else each.name.partition(".")[0]),
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"


def _assigned(node: ast.AST, scope: _Scope) -> Iterator[tuple[str, int]]:
    """Yield what is assigned that is not the file's own: its name, empty if unknown, and line."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        scope = scope._replace(texts={**scope.texts, **dict(_defaults(node.args))})
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _target(target, scope)
    elif isinstance(node, ast.Call):
        yield from _called(node, scope)
    if isinstance(node, ast.If):
        inside = scope._replace(modules=tuple(_compared(node.test)) or scope.modules)
        for statement in node.body:
            yield from _assigned(statement, inside)
        children: Iterable[ast.AST] = (node.test, *node.orelse)
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _assigned(child, scope)


def _target(target: ast.AST, scope: _Scope) -> Iterator[tuple[str, int]]:
    if isinstance(target, ast.Attribute):
        yield from _attribute(target.value, target.attr, scope, target.lineno)
    elif isinstance(target, ast.Subscript) and _dotted(target.value, scope) == "os.environ":
        name = target.slice.value if isinstance(target.slice, ast.Constant) else None
        if isinstance(name, str):
            yield name, target.lineno


def _called(call: ast.Call, scope: _Scope) -> Iterator[tuple[str, int]]:
    if isinstance(call.func, ast.Name) and call.func.id == "setattr" and len(call.args) == 3:
        yield from _attribute(call.args[0], _text(call.args[1], scope), scope, call.lineno)
    elif _dotted(call.func, scope) == "os.environ.setdefault" and call.args:
        yield _text(call.args[0], scope), call.lineno


def _attribute(
    owner: ast.AST, attribute: str, scope: _Scope, line: int
) -> Iterator[tuple[str, int]]:
    """Yield an attribute of a module or of something in it; what is the file's own is passed by."""
    if isinstance(owner, ast.Name) and owner.id in ("self", "cls"):
        return
    known = _dotted(owner, scope)
    owners = (known,) if known else scope.modules
    for each in owners if attribute else ():
        yield f"{each}.{attribute}", line
    if not (owners and attribute):
        yield "", line


def _dotted(node: ast.AST, scope: _Scope) -> str:
    """Return the dotted name of what an expression names; empty where that is not known."""
    if isinstance(node, ast.Name):
        return scope.imported.get(node.id, "")
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value, scope)
        return f"{owner}.{node.attr}" if owner else ""
    if isinstance(node, ast.Subscript) and _dotted(node.value, scope) == "sys.modules":
        return _text(node.slice, scope)
    if isinstance(node, ast.Call) and node.args:
        function = _dotted(node.func, scope)
        return _text(node.args[0], scope) if function == "importlib.import_module" else ""
    return ""


def _text(node: ast.AST, scope: _Scope) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return scope.texts.get(node.id, "") if isinstance(node, ast.Name) else ""


def _defaults(arguments: ast.arguments) -> Iterator[tuple[str, str]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(reversed(positional), reversed(arguments.defaults), strict=False))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d]
    for argument, default in pairs:
        if isinstance(default, ast.Constant) and isinstance(default.value, str):
            yield argument.arg, default.value


def _compared(test: ast.AST) -> Iterator[str]:
    """Yield the names that a test holds the `__name__` of a module against."""
    for node in ast.walk(test):
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.left, ast.Attribute)
            and node.left.attr == "__name__"
            and isinstance(node.ops[0], ast.Eq)
        ):
            for each in node.comparators:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.value
