"""The files of one conversion: written under temporary names, and in place all or not at all."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from xcompat.converters.files.interrupts import held
from xcompat.converters.files.output_file import OutputFile
from xcompat.converters.values.printable import printable
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self


class OutputFolder:
    """A folder that receives files in one transaction. Use it as a context manager.

    Leaving the block without `commit` removes every trace: temporary files, and the folder where
    it was created for this.

    Args:
        path: The folder; it is created, with its parents, where it does not exist.
        advance: Called with the number of bytes that were copied.
        durable: Bring everything to the disk before a file gets its name. Where a file is replaced
            of which nothing is kept, this is done in any case.

    Raises:
        CannotLook: XC111, the folder cannot be written to or the disk is full.
    """

    def __init__(
        self, path: Path, advance: Callable[[int], None], *, durable: bool = False
    ) -> None:
        self.path = path
        self._advance = advance
        self._durable = durable
        self._files: list[OutputFile] = []
        self._created_folders: list[Path] = []
        self._placed: list[Path] = []
        self._committed = False

    def __enter__(self) -> Self:
        with output_errors(self.path):
            try:
                self._create_folders()
            except BaseException:
                self._roll_back()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with held():
            for file in self._files:
                file.close()
            if not self._committed:
                self._roll_back()

    def create(self, name: str, size: int = 0) -> OutputFile:
        """Begin a file; files are put in place in the order of their creation. See OutputFile."""
        with held():
            file = OutputFile(self.path / name, self._advance, durable=self._durable, size=size)
            self._files.append(file)
        return file

    def commit(
        self,
        last: tuple[str, ...],
        *,
        replace: bool = False,
        swap: Mapping[str, str] | None = None,
    ) -> None:
        """Put all files in place, those named in `last` at the end and in that order.

        Args:
            last: The models: a folder that holds one holds all that belongs to it.
            replace: Whether files that exist are replaced. Models are then removed first, so that
                a folder never holds a model together with the configuration of another one.
            swap: Files that are replaced in one step, and the names under which those that they
                replace are kept; without a name these are given up.

        Raises:
            CannotLook: XC110, a file exists that may not be replaced: another conversion was here.
            OSError: A file cannot be put in place.
        """
        swap = swap or {}
        durable = self._durable or any(
            os.path.lexists(file.path) and not swap.get(file.path.name) for file in self._files
        )
        if durable:
            for file in self._files:
                file.sync()
        order = {name: place for place, name in enumerate(last, start=1)}
        with held():
            if replace:
                for file in self._files:
                    if file.path.name in last and file.path.name not in swap:
                        file.path.unlink(missing_ok=True)
            for file in sorted(self._files, key=lambda file: order.get(file.path.name, 0)):
                if kept_as := swap.get(file.path.name):
                    self._placed.append(_keep(file.path, kept_as))
                self._place(file, replace=replace or file.path.name in swap)
            if durable:
                self._sync_folder()
            self._committed = True

    def _place(self, file: OutputFile, *, replace: bool) -> None:
        is_new = not os.path.lexists(file.path)
        try:
            file.place(replace=replace)
        except FileExistsError as error:
            raise CannotLook(
                "XC110",
                f"{printable(str(file.path), 4096)} appeared meanwhile: another conversion writes "
                "to this folder",
                hint="Nothing of it was touched: look what is there now.",
            ) from error
        if is_new:
            self._placed.append(file.path)

    def _create_folders(self) -> None:
        missing = [self.path]
        while not missing[-1].exists() and missing[-1].parent != missing[-1]:
            missing.append(missing[-1].parent)
        with held():
            for folder in reversed(missing[:-1]):
                # Where another conversion made it in this moment, it is not ours to remove.
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                    self._created_folders.append(folder)
        if not self.path.is_dir():
            raise NotADirectoryError(20, "Not a directory")

    def _roll_back(self) -> None:
        for path in (*(file.temporary for file in self._files), *reversed(self._placed)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for folder in reversed(self._created_folders):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _sync_folder(self) -> None:
        """Make the renames durable, on systems where a folder can be opened."""
        if os.name == "posix":
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _keep(path: Path, name: str) -> Path:
    """Keep a file, or a link to one, under a second name; return its path."""
    kept = path.with_name(name)
    if path.is_symlink():
        kept.symlink_to(path.readlink())
        return kept
    try:
        kept.hardlink_to(path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        path.rename(kept)
    return kept


@contextlib.contextmanager
def output_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says about the output into an error for people.

    Raises:
        CannotLook: XC111.
    """
    try:
        yield
    except OSError as error:
        raise CannotLook(
            "XC111",
            f"cannot write to {printable(str(folder), 4096)}: {error.strerror or error}",
            hint="Choose a folder that can be written to and has room with -o; "
            "nothing was left behind.",
        ) from error
