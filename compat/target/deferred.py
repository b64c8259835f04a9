"""Import on first use what TTS modules import and XTTS does not use.

More than half of what `import TTS.tts.models.xtts` of TTS 0.22 takes goes into packages for plots,
data sets and other models. Inside `importing_tts` a module that imports one of them gets a
stand-in, which imports the package when somebody uses it and then makes room for the real thing.
Nothing is put into `sys.modules`: every other importer of the package imports it as ever, and a
module that was imported before is left as it is.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
import types
from typing import Any, Callable, ContextManager, Optional, Sequence

SOURCES = {
    "TTS": (
        *("bangla", "librosa", "matplotlib", "num2words", "pandas", "pypinyin", "scipy"),
        *("soundfile", "spacy", "TTS.tts.utils.visual"),
    ),
    # One function, for assisted generation.
    "transformers.generation.candidate_generator": ("sklearn",),
}
"""Importer to what it can do without for now: all that it takes from there while it is imported it
calls, or looks into, later. No base class, no decorator, no default value. The module `visual` sets
the backend of matplotlib when it is imported."""


def _spacy_may_be_broken() -> bool:
    # It imports click, which it does not ask for, and typer no longer brings; and the thinc that
    # was built against numpy 1 does not load beside numpy 2.
    if not _installed("click"):
        return True
    try:
        thinc, numpy = (
            [int(part) for part in importlib.metadata.version(name).split(".")[:2]]
            for name in ("thinc", "numpy")
        )
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return True
    return thinc < [8, 3] and numpy >= [2]


def _bangla_may_be_broken() -> bool:
    # From 0.0.5 on it writes types as Python 3.10 does, and declares nothing.
    return sys.version_info < (3, 10)


_MAY_BE_BROKEN: dict[str, Callable[[], bool]] = {
    "bangla": _bangla_may_be_broken,
    "spacy": _spacy_may_be_broken,
}
"""Packages that TTS cannot do without when it is imported as ever, and that are known to break."""


def concerns(module: str) -> bool:
    """Tell whether `module` is one whose imports may be put off."""
    return bool(_sources(module))


def _sources(module: str) -> Sequence[str]:
    return SOURCES.get(module) or SOURCES.get(module.partition(".")[0], ())


def stand_in(
    holder: dict[str, Any], name: str, fromlist: Optional[Sequence[str]], level: int
) -> Any:
    """Return what an `import` statement is to get for now; None where it is to be executed.

    Args:
        holder: Globals of the module that imports.
        name: What it imports, as `__import__` is told.
        fromlist: Which names of it.
        level: 0 for an absolute import.
    """
    top = name.partition(".")[0]
    wanted = {name, top} & set(_sources(holder["__name__"]))
    if level or not wanted or name in sys.modules or "*" in (fromlist or ()):
        return None
    if not _installed(top):
        return None  # the error belongs to the statement
    if fromlist:
        return types.SimpleNamespace(**{n: Later(holder, name, n) for n in fromlist})
    found = holder.get(top)
    if not isinstance(found, Later):
        found = Later(holder, top)
    found.add(name)
    return found


def fault(package: str) -> Optional[Exception]:
    """Return why an installed package cannot be imported, if it cannot.

    It is imported to find out, and only where it is known to break: else its import is put off.
    """
    if package in sys.modules or not _MAY_BE_BROKEN.get(package, bool)():
        return None
    try:
        importlib.import_module(package)
    except Exception as error:
        return error
    return None


def _installed(package: str) -> bool:
    if package in sys.modules:
        return sys.modules[package] is not None
    return importlib.util.find_spec(package) is not None


class Later(types.ModuleType):
    """A module, or what a module holds, that is imported when it is used."""

    def __init__(self, holder: dict[str, Any], module: str, name: str = "") -> None:
        super().__init__(module)
        vars(self).clear()  # `__name__`, `__doc__` and the like: those of the real one count
        vars(self)["_later"] = _Import(holder, module, name)

    def add(self, submodule: str) -> None:
        """Import `submodule` with it; `import a.b as c` asks for the attribute `b` at once."""
        mine: _Import = vars(self)["_later"]
        mine.submodules.append(submodule)
        owner = self
        path, *parts = submodule.split(".")
        for part in parts:
            path = f"{path}.{part}"
            child = vars(owner).setdefault(part, Later(mine.holder, path))
            vars(child)["_later"].package = self
            owner = child

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the real thing."""
        return self._found()(*args, **kwargs)

    def __dir__(self) -> list[str]:
        return dir(self._found())

    def _found(self) -> Any:
        """Import the real thing, and put it where this stand-in was."""
        mine: _Import = vars(self)["_later"]
        if mine.package is not None:
            mine.package._found()  # noqa: SLF001 - one of these, too
        with _as_at_first(mine.module):
            real: Any = importlib.import_module(mine.module)
            for submodule in mine.submodules:
                importlib.import_module(submodule)
            if mine.name:
                real = getattr(__import__(mine.module, fromlist=[mine.name]), mine.name)
        for key in [key for key, value in mine.holder.items() if value is self]:
            mine.holder[key] = real
        return real


def _as_at_first(module: str) -> ContextManager[object]:
    """Import a module of TTS as the one that asks for it was: TTS may not import otherwise."""
    if module.partition(".")[0] != "TTS":
        return contextlib.nullcontext()
    from . import imports

    return imports.importing_tts()


class _Import:
    """What a `Later` is to import, and for whom."""

    def __init__(self, holder: dict[str, Any], module: str, name: str) -> None:
        self.holder, self.module, self.name = holder, module, name
        self.submodules: list[str] = []
        self.package: Optional[Later] = None
        """The stand-in of the package in which `import a.b` put this one."""
