"""What is decided before the first byte is written: every file, its size, and how it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from xcompat.converters.report import WrittenFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from xcompat.converters.containers.tensor_file import TensorFile
    from xcompat.converters.files.output_file import OutputFile
    from xcompat.converters.report import Conversion

Format = Literal["safetensors", "pth", "both"]


class Layout(Protocol):
    """A file whose size is known before it is written."""

    @property
    def size(self) -> int:
        """In bytes."""

    def write(self, output: OutputFile) -> None:
        """Write all of it."""

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing."""


class Content(NamedTuple):
    """A small file: its bytes."""

    data: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    def write(self, output: OutputFile) -> None:
        """Write all of it."""
        output.write(self.data)

    def differs(self, path: Path) -> str:
        """Read back what was written; tell what is not as it should be, "" if nothing."""
        return "" if path.read_bytes() == self.data else "other bytes than were written"


class Plan(NamedTuple):
    """Everything that will be written to one folder."""

    target: Path
    sources: tuple[TensorFile, ...]
    outputs: Mapping[str, Layout]
    """By file name."""
    models: tuple[str, ...]
    """Files that get their names last and in this order: where the last is in place, all is."""
    conversion: Conversion
    has_manifest: bool = True
    """Whether the conversion is recorded beside its output."""


def written_files(
    outputs: Mapping[str, Layout], counts: Mapping[str, int]
) -> tuple[WrittenFile, ...]:
    """Return the files of a report from their layouts and numbers of tensors."""
    return tuple(
        WrittenFile(path=name, size=layout.size, tensors=counts.get(name, 0))
        for name, layout in outputs.items()
    )
