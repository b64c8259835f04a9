"""Import an unmodified TTS beside a transformers that removed names it asks for.

Nothing of transformers or TTS is changed, on disk or in memory. While `importing_tts` is active,
and only in the thread that entered it, an import hook executes the few TTS modules in `gaps` with
an `import` statement of their own, which fills in a name that is missing; every other importer
sees transformers as it is. A name that is there is never replaced. The same statement puts off the
import of packages that XTTS does not use, see `deferred`; one that is known to break, and does,
counts as stood in for.

On exit the hook is gone, and so is every TTS module that could not have been imported without it:
whoever imports TTS later in this process meets exactly what they would have met without xcompat.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.abc
import importlib.machinery
import sys
import threading
import types
from typing import Any, Iterator, Optional, Sequence

from . import deferred
from .gaps import GAPS, STREAM_MODULE, Gap, fault_of_stream_config, stream_stand_ins

_lock = threading.RLock()
_kept: dict[str, types.ModuleType] = {}
"""Modules that need a stand-in, taken out of `sys.modules` until the next `importing_tts`."""
_filled: list[str] = []
"""What was stood in for in this process."""


@contextlib.contextmanager
def importing_tts() -> Iterator[list[str]]:
    """Let this thread import TTS inside the block, whatever transformers is installed.

    Yields a list of what had to be stood in for, now or earlier in this process, for example
    `transformers.LogitsWarper`; it stays empty where TTS imports as it is. Import TTS modules and
    build models inside the block; the models can be used after it. A block inside another is part
    of it.
    """
    with _lock:
        if any(isinstance(finder, _Hook) for finder in sys.meta_path):  # of this thread: the lock
            yield _filled
            return
        displaced = _put_back()
        before = set(sys.modules)
        hook = _Hook()
        sys.meta_path.insert(0, hook)
        try:
            yield _filled
        finally:
            hook.active = False
            sys.meta_path.remove(hook)
            _take_out(hook.modules, before, displaced)


def _put_back() -> dict[str, types.ModuleType]:
    """Install what was kept; return what had to make room for it."""
    displaced = {name: sys.modules[name] for name in _kept if name in sys.modules}
    if "TTS" not in sys.modules:
        # An import of TTS that failed leaves its parts behind, over which it would stumble.
        displaced.update({n: m for n, m in sys.modules.items() if _is_tts(n)})
    for name in displaced:
        del sys.modules[name]
    for name, module in _kept.items():
        _install(name, module)
    return displaced


def _take_out(filled: set[str], before: set[str], displaced: dict[str, types.ModuleType]) -> None:
    """Move what depends on a stand-in from `sys.modules` to `_kept`."""
    ours = {n: m for n, m in sys.modules.items() if _is_tts(n) and n not in before}
    _kept.update({name: ours[name] for name in _tainted(filled | set(_kept), ours)})
    for name, module in _kept.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
            _forget(name, module)
    for name, module in displaced.items():
        if name not in sys.modules:
            _install(name, module)


def _tainted(filled: set[str], modules: dict[str, types.ModuleType]) -> set[str]:
    """Return the names in `modules` that hold something of a filled module, or of such a one."""
    tainted = set(filled)
    grew = bool(tainted)
    while grew:
        grew = False
        for name, module in modules.items():
            if name not in tainted and (_inside(name, tainted) or _uses(module, tainted)):
                tainted.add(name)
                grew = True
    return tainted & set(modules)


def _inside(name: str, packages: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:n]) in packages for n in range(1, len(parts)))


def _uses(module: types.ModuleType, tainted: set[str]) -> bool:
    for value in list(vars(module).values()):
        if isinstance(value, deferred.Later):  # looking into it would import it
            continue
        if isinstance(value, types.ModuleType):
            # A package holds its submodules whether or not it uses them.
            if value.__name__ in tainted and not value.__name__.startswith(module.__name__ + "."):
                return True
        elif getattr(value, "__module__", None) in tainted:
            return True
    return False


def _is_tts(name: str) -> bool:
    return name == "TTS" or name.startswith("TTS.")


def _install(name: str, module: types.ModuleType) -> None:
    sys.modules[name] = module
    parent, _, leaf = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], leaf, module)


def _forget(name: str, module: types.ModuleType) -> None:
    parent, _, leaf = name.rpartition(".")
    package = sys.modules.get(parent)
    if package is not None and vars(package).get(leaf) is module:
        delattr(package, leaf)


class _Hook(importlib.abc.MetaPathFinder):
    """Finds the modules that concern us where they are, and has a `_Loader` execute them."""

    def __init__(self) -> None:
        self.active = True
        self.thread = threading.get_ident()
        self.modules: set[str] = set()
        self.faults: dict[str, Optional[Exception]] = {}

    def find_spec(
        self, fullname: str, path: Any, target: Any = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        wanted = _is_tts(fullname) or deferred.concerns(fullname)
        if not wanted or not self.active or threading.get_ident() != self.thread:
            return None
        gaps = tuple(gap for gap in GAPS if gap.importer == fullname)
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: Optional[importlib.machinery.ModuleSpec] = find(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, gaps, self)
                return spec
        return None

    def fault_of(self, package: str) -> Optional[Exception]:
        """Return why a package whose import is put off would have failed; found out once."""
        if package not in self.faults:
            self.faults[package] = deferred.fault(package)
        return self.faults[package]

    def note(self, module: str, what: str) -> None:
        self.modules.add(module)
        if what not in _filled:
            _filled.append(what)


class _Loader(importlib.abc.Loader):
    """Executes one module with an `import` statement that fills its gaps and puts off the rest."""

    def __init__(self, real: Any, gaps: Sequence[Gap], hook: _Hook) -> None:
        self.real = real
        self.gaps = gaps
        self.hook = hook

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Optional[types.ModuleType]:
        """Create the module as its own loader would."""
        module: Optional[types.ModuleType] = self.real.create_module(spec)
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Execute the unmodified source; fall back to the stand-in of the stream module."""
        name = module.__name__
        if module.__spec__ is not None:
            module.__spec__.loader = self.real
        module.__loader__ = self.real
        pristine = dict(vars(module))
        # The frame that executes the module keeps these; its functions get those that `_import`
        # puts in their place as soon as it is called.
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
        try:
            self.real.exec_module(module)
            fault = fault_of_stream_config(module) if name == STREAM_MODULE else None
        except ImportError as error:
            if name != STREAM_MODULE or not (error.name or "").startswith("transformers"):
                raise
            fault = error
        finally:
            vars(module)["__builtins__"] = vars(builtins)
        if fault is not None:
            vars(module).clear()
            vars(module).update(pristine, **stream_stand_ins())
            self.hook.note(name, f"{name} ({fault})")

    def _import(
        self, name: str, globals: Any = None, locals: Any = None,  # noqa: A002
        fromlist: Any = (), level: int = 0,
    ) -> Any:  # fmt: skip
        globals["__builtins__"] = vars(builtins)
        if self.hook.active:
            later = deferred.stand_in(globals, name, fromlist, level)
            if later is not None:
                self._note_fault(globals["__name__"], name.partition(".")[0])
                return later
        fillings = {gap.name: gap for gap in self.gaps if gap.source == name and self.hook.active}
        try:
            found = builtins.__import__(name, globals, locals, fromlist, level)
        except ModuleNotFoundError as error:
            if "" not in fillings or error.name != name:
                raise
            return self._fill(fillings[""])
        values = {
            wanted: self._fill(fillings[wanted])
            for wanted in fromlist or ()
            if wanted in fillings and _lacks(found, fillings[wanted])
        }
        return _View(found, values) if values else found

    def _note_fault(self, importer: str, package: str) -> None:
        """A package that would have failed was not put off but stood in for."""
        fault = self.hook.fault_of(package)
        if fault is not None:
            self.hook.note(importer, f"{package} ({fault})")

    def _fill(self, gap: Gap) -> Any:
        self.hook.note(gap.importer, f"{gap.source}.{gap.name}".rstrip("."))
        return gap.stand_in()


def _lacks(module: types.ModuleType, gap: Gap) -> bool:
    try:
        value = getattr(module, gap.name)
    except (AttributeError, ImportError):  # lazy modules of transformers import on access
        return True
    return gap.useless(value)


class _View(types.ModuleType):
    """A module as one importer shall see it: with some names filled in."""

    def __init__(self, module: types.ModuleType, values: dict[str, Any]) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(values)
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)
