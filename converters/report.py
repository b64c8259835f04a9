"""What a conversion says of itself: the values that `convert` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A file of a conversion's output."""

    path: str
    """Name in the output folder."""
    size: int
    """Bytes."""
    tensors: int = 0
    checksum: str = ""
    """`sha256:...`, of a model `crc32:...`; empty in a dry run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A part of a checkpoint that a conversion leaves out."""

    what: str
    """A rule for names (`dvae.*`), a key of the checkpoint (`optimizer`) or a file."""
    tensors: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a conversion did, or, as a dry run, would do."""

    source: str
    source_size: int
    """Bytes of the checkpoint."""
    output: str
    kind: str
    """What the checkpoint was recognised as, for example `XTTS v2 (2.0.3), release checkpoint`."""
    tensors: int
    parameters: int
    """Elements of all tensors, buffers included."""
    files: tuple[WrittenFile, ...]
    kept: tuple[str, ...]
    """Existing files that already say the same and were left alone."""
    renamed: Mapping[str, int]
    """Rule to number of tensors, for example `xtts.* -> *`: 963."""
    dropped: tuple[Dropped, ...]
    licence: str
    """Identifier of the licence that binds the weights."""
    notes: tuple[str, ...] = ()
    """What a person should know: no checksums in the source, a licence to obey."""
    dry_run: bool = False
