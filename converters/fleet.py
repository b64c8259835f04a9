"""Many models in one run: found below folders, and converted a few at a time.

Each is converted as if it were alone, by the same functions: its files are in place all or not at
all, and one that fails does not keep the others from it. Before the first byte is written, all are
planned, and what they need is compared with what is free.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections import defaultdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeVar

from xcompat.converters.conversion import convert
from xcompat.converters.files.copying import processors
from xcompat.converters.files.interrupts import held
from xcompat.converters.files.output_file import can_share_blocks
from xcompat.converters.in_place import repair
from xcompat.converters.manifest import Wanted, is_done, is_output
from xcompat.converters.model.caches import find_checkpoints
from xcompat.converters.model.model_files import (
    MODEL,
    MODEL_SAFETENSORS,
    default_output,
    find_model_files,
    is_one_model,
)
from xcompat.converters.values.printable import printable
from xcompat.errors import CannotLook, ExitCode, Misuse, XcompatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from xcompat.converters.plan import Format
    from xcompat.converters.report import Conversion
    from xcompat.converters.writing import Options, Progress

_TRAINED: Final = "best_model.pth"
"""What a trainer calls the one of its checkpoints that is meant."""
_AT_ONCE: Final = 4
"""More than these wait for each other at one disk."""
_MEMORY: Final = 256 << 20
"""Bytes that a conversion may take in the worst case, see the tests of resources."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Model(NamedTuple):
    """A model that is to be converted, or why it cannot be."""

    source: Path
    """Its folder, or its checkpoint where that has another name than a model's."""
    relative: Path
    """Where it lies below what was named."""
    default: Path
    """Folder to write to where none is named."""
    error: XcompatError | None = None


class Found(NamedTuple):
    """What lies in the places that were named."""

    models: list[Model]
    outputs: list[Path]
    """Folders that hold what was converted from a model in another one; they are no models here."""


class Way(NamedTuple):
    """How each model is to be converted; see `convert` and `repair`."""

    options: Options
    format: Format = "safetensors"
    force: bool = False
    in_place: bool = False
    keep_original: bool = True
    exact: bool = False
    output: Path | None = None
    """Folder to write to, each model in a folder of its own."""


class Outcome(NamedTuple):
    """What became of one model."""

    source: str
    output: str
    state: Literal["planned", "converted", "unchanged", "failed"]
    """`unchanged`: it was converted before, and neither has changed since."""
    conversion: Conversion | None = None
    error: XcompatError | None = None

    @property
    def files(self) -> Mapping[str, int]:
        """Names and bytes of the files that were written, or would be."""
        return {file.path: file.size for file in self.conversion.files} if self.conversion else {}

    @property
    def size(self) -> int:
        """Bytes that were written, or would be."""
        return sum(self.files.values())


class Interrupted(KeyboardInterrupt):
    """The user did not want to wait for the rest.

    Attributes:
        done: How many models were converted before.
    """

    def __init__(self, done: int) -> None:
        super().__init__()
        self.done = done


def find_models(places: Sequence[Path]) -> Found:
    """Find the models that are named, and those below folders that are none themselves.

    Links to folders are not followed. A model below a folder of which a file is a link that leads
    out of that folder is not converted, and what was converted from another model is not either.
    """
    found: dict[str, Model] = {}
    outputs: list[Path] = []
    for place in places:
        models = [_named(place)] if is_one_model(place) else _below(place, outputs)
        for model in models or [_named(place)]:
            found.setdefault(os.path.realpath(model.source), model)
    return Found(list(found.values()), outputs)


def _named(path: Path) -> Model:
    folder = path if path.is_dir() else path.parent
    return Model(path, Path(folder.resolve().name), default_output(path))


def _below(place: Path, outputs: list[Path]) -> list[Model]:
    """Return the models below a folder; add those that are outputs to these."""
    folders: dict[Path, set[str]] = defaultdict(set)
    for each in find_checkpoints([place]):
        if each.path.suffix in {".pth", ".safetensors"}:
            folders[each.path.parent].add(each.path.name)
    models = []
    for folder, names in folders.items():
        chosen = next((x for x in (MODEL, MODEL_SAFETENSORS, _TRAINED) if x in names), "")
        if chosen and is_output(folder / chosen):
            outputs.append(folder)
            continue
        source = folder / chosen if chosen == _TRAINED else folder
        error = _leading_out(source, place)
        models.append(Model(source, folder.relative_to(place), default_output(folder), error))
    return models


def _leading_out(source: Path, place: Path) -> XcompatError | None:
    """Return an error where a file of a model is a link that leads out of a folder."""
    inside = os.path.realpath(place)
    try:
        files = find_model_files(source).all()
    except XcompatError as error:
        return error
    for path in files:
        if not Path(os.path.realpath(path)).is_relative_to(inside):
            return CannotLook(
                "XC112",
                f"{printable(str(path), 4096)} is a link that leads out of the folder that is to be"
                " converted",
                hint="Name this model itself to follow the link.",
            )
    return None


def convert_all(
    models: Sequence[Model],
    way: Way,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Convert models, some at a time; return what became of each, in their order.

    Args:
        models: As `find_models` returns them.
        way: How to convert them. As a dry run, nothing is written.
        jobs: How many at a time; as many as processors and memory are for if None.
        progress: Called with the bytes of all of them, from several threads.

    Raises:
        Misuse: XC113, two models would be written to one folder.
        CannotLook: XC111, there is no room for all of them: nothing was written.
        Interrupted: What had begun was rolled back, what was done is whole.
    """
    targets = [_target(model, way) for model in models]
    _refuse_collisions(models, targets)
    at_once = min(jobs or _at_once(), len(models))
    fleet = _Fleet(way, progress)
    planned = fleet.each(fleet.plan, list(zip(models, targets, strict=True)), at_once)
    pending = [each for each in planned if each.state == "planned"]
    _require_room(pending, way, at_once)
    if way.options.get("dry_run"):
        return planned
    fleet.total = sum(each.size for each in pending)
    try:
        done = iter(fleet.each(fleet.carry_out, pending, at_once))
    except KeyboardInterrupt:
        raise Interrupted(fleet.converted) from None
    return [next(done) if each.state == "planned" else each for each in planned]


def _target(model: Model, way: Way) -> Path:
    """Return the folder that a model is written to."""
    if way.in_place:
        return model.source if model.source.is_dir() else model.source.parent
    return model.default if way.output is None else way.output / model.relative


def _refuse_collisions(models: Sequence[Model], targets: Sequence[Path]) -> None:
    taken: dict[str, Path] = {}
    for model, target in zip(models, targets, strict=True):
        other = taken.setdefault(os.path.realpath(target), model.source)
        if other != model.source:
            raise Misuse(
                "XC113",
                f"{printable(str(other), 4096)} and {printable(str(model.source), 4096)} would"
                f" both be written to {printable(str(target), 4096)}",
                hint="Convert them one after the other, each to a folder of its own with -o.",
            )


def _at_once() -> int:
    """Return how many conversions this machine can bear: each uses two processors while it can."""
    return max(1, min(_AT_ONCE, max(2, processors() // 2), _free_memory() // _MEMORY))


def _free_memory() -> int:
    """Return the bytes of memory that are there to be had; what is enough where nobody tells."""
    try:
        told = Path("/proc/meminfo").read_text("ascii")
        return int(told.partition("MemAvailable:")[2].split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return _AT_ONCE * _MEMORY


def _require_room(planned: Sequence[Outcome], way: Way, at_once: int) -> None:
    """Find out before anything is written that a disk is too small for all models.

    What is replaced frees its space only when the new file is whole, so as many as are written at a
    time have to fit beside each other.

    Raises:
        CannotLook: XC111.
    """
    disks: dict[int, list[tuple[int, int]]] = defaultdict(list)
    places: dict[int, Path] = {}
    for each in planned:
        place = _existing(Path(each.output))
        disk = place.stat().st_dev
        places.setdefault(disk, place)
        disks[disk].append((_needed(each, way, place), _freed(each, way)))
    for disk, spaces in disks.items():
        freed = sorted((min(space) for space in spaces), reverse=True)
        needed = sum(new for new, _ in spaces) - sum(freed) + sum(freed[:at_once])
        free = shutil.disk_usage(places[disk]).free
        if free < needed:
            raise CannotLook(
                "XC111",
                f"{len(spaces):,} models need {needed:,} bytes, and {free:,} are free in"
                f" {printable(str(places[disk]), 4096)}: nothing was written",
                hint="Free some space, choose another disk with -o, or halve what is needed with"
                " --dtype float16.",
            )


def _existing(path: Path) -> Path:
    """Return the folder that a path is made in."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def _needed(planned: Outcome, way: Way, place: Path) -> int:
    """Return the bytes that a model needs, without those that are shared with its source."""
    checkpoint = find_model_files(Path(planned.source)).checkpoint
    model = checkpoint.name if way.in_place else MODEL
    sizes = dict(planned.files)
    is_kept = checkpoint.suffix == ".pth" and way.options.get("dtype") is None
    if model in sizes and is_kept and can_share_blocks(checkpoint, place):
        del sizes[model]
    return sum(sizes.values())


def _freed(planned: Outcome, way: Way) -> int:
    """Return the bytes of the files that a conversion replaces, and of which nothing is kept."""
    if not (way.force or (way.in_place and not way.keep_original)):
        return 0
    replaced = [Path(planned.output, name) for name in planned.files]
    states = [path.lstat() for path in replaced if os.path.lexists(path)]
    return sum(state.st_size for state in states if state.st_nlink == 1)


class _Fleet:
    """The threads of one run, and what they share.

    Attributes:
        total: Bytes that all models need.
        converted: How many are in place.
    """

    def __init__(self, way: Way, progress: Progress | None) -> None:
        self._way = way
        self._progress = progress
        self._lock = threading.Lock()
        self._written = 0
        self._stopped = False
        self.total = 0
        self.converted = 0

    def each(
        self, act: Callable[[_Item], _Result], items: Sequence[_Item], at_once: int
    ) -> list[_Result]:
        """Do one thing with all items, so many at a time; return the results in their order.

        Raises:
            KeyboardInterrupt: No thread is at work any more.
        """
        work: _Work[_Item, _Result] = _Work(items)
        threads = [
            threading.Thread(target=self._take_part, args=(act, work), daemon=True)
            for _ in range(at_once)
        ]
        try:
            with held():  # an interrupt in the middle of a start would lose a thread
                for thread in threads:
                    thread.start()
            self._wait(work)
        finally:
            with held():
                self._stopped = len(work.results) < len(items)
                for thread in threads:
                    thread.join()
        if work.failures:
            raise work.failures[0]
        return [work.results[number] for number in range(len(items))]

    def _take_part(self, act: Callable[[_Item], _Result], work: _Work[_Item, _Result]) -> None:
        while not self._stopped:
            try:
                number = work.todo.get_nowait()
            except Empty:
                return
            try:
                work.results[number] = act(work.items[number])
            except BaseException as error:
                work.failures.append(error)
                self._stopped = True
            work.told.put(number)

    def _wait(self, work: _Work[_Item, _Result]) -> None:
        missing = len(work.items)
        while missing and not self._stopped:
            with contextlib.suppress(Empty):
                work.told.get(timeout=0.2)  # without, nothing interrupts it on Windows
                missing -= 1

    def plan(self, item: tuple[Model, Path]) -> Outcome:
        """Find out what is to be done for a model; write nothing."""
        model, target = item
        source = str(model.source)
        if model.error:
            return Outcome(source, str(target), "failed", error=model.error)
        if not self._way.force and is_done(model.source, target, self._wanted()):
            return Outcome(source, str(target), "unchanged")
        return self._tried(Outcome(source, str(target), "planned"), dry_run=True)

    def carry_out(self, planned: Outcome) -> Outcome:
        """Convert a model."""
        wanted = planned._replace(state="converted", conversion=None)
        outcome = self._tried(wanted, dry_run=False)
        with self._lock:
            self.converted += outcome.state == "converted"
        return outcome

    def _tried(self, wanted: Outcome, *, dry_run: bool) -> Outcome:
        try:
            conversion = self._convert(Path(wanted.source), Path(wanted.output), dry_run=dry_run)
        except XcompatError as error:
            return wanted._replace(state="failed", error=error)
        except Exception as error:
            if os.environ.get("XCOMPAT_DEBUG"):
                raise
            return wanted._replace(state="failed", error=_bug(error))
        if self._way.in_place and not conversion.files:
            return wanted._replace(state="unchanged", conversion=conversion)
        return wanted._replace(conversion=conversion)

    def _convert(self, source: Path, target: Path, *, dry_run: bool) -> Conversion:
        way = self._way
        options: Options = {**way.options, "dry_run": dry_run, "progress": self._follower()}
        if way.in_place:
            return repair(source, keep_original=way.keep_original, exact=way.exact, **options)
        return convert(source, target, format=way.format, force=way.force, **options)

    def _wanted(self) -> Wanted:
        options = self._way.options
        return Wanted(
            format=self._way.format,
            dtype=options.get("dtype"),
            in_place=self._way.in_place,
            verify=options.get("verify", False),
            sha256=options.get("sha256", False),
        )

    def _follower(self) -> Progress:
        """Return what tells of one model's bytes, and ends its conversion with the others'."""
        before = 0

        def follow(done: int, _: int) -> None:
            nonlocal before
            if self._stopped:
                raise KeyboardInterrupt
            with self._lock:
                self._written += done - before
                before = done
                written = self._written
            if self._progress:
                self._progress(written, self.total)

        return follow


class _Work(Generic[_Item, _Result]):
    """Items that threads take, and what they made of them.

    What is told between threads goes through queues made in C, for the reason that `Writeback` has.
    """

    def __init__(self, items: Sequence[_Item]) -> None:
        self.items = items
        self.todo: SimpleQueue[int] = SimpleQueue()
        self.told: SimpleQueue[int] = SimpleQueue()
        self.results: dict[int, _Result] = {}
        self.failures: list[BaseException] = []
        for number in range(len(items)):
            self.todo.put(number)


def _bug(error: Exception) -> XcompatError:
    bug = XcompatError(
        "XC000",
        f"this is a bug in xcompat: {type(error).__name__}: {error}",
        hint="Convert this model alone with XCOMPAT_DEBUG=1 in the environment, and report that.",
    )
    bug.exit_code = ExitCode.BUG
    return bug
