"""What a conversion says of itself: the values that `convert` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class WrittenFile(NamedTuple):
    """A file of a conversion's output."""

    path: str
    """Name in the output folder."""
    size: int
    """Bytes."""
    tensors: int = 0
    checksum: str = ""
    """`sha256:...`, of a model `crc32:...`; empty in a dry run."""


class Dropped(NamedTuple):
    """A part of a checkpoint that a conversion leaves out."""

    what: str
    """A rule for names (`dvae.*`), a key of the checkpoint (`optimizer`) or a file."""
    tensors: int
    reason: str


class CastReport(NamedTuple):
    """What casting to a narrower type did to the weights."""

    dtype: str
    """As torch calls it: `float16` or `bfloat16`."""
    tensors: int
    """How many were cast."""
    kept: int
    """How many floating-point tensors stayed as they were, because casting them does harm."""
    error: float | None = None
    """Relative error of the cast weights together: the norm of the difference over their norm,
    in a sample that has the first 65,536 elements of each tensor and a sixteenth of the others.
    Not known in a dry run."""
    worst: str = ""
    """The tensor with the largest relative error."""
    worst_error: float | None = None


class Conversion(NamedTuple):
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
    """Identifier of the licence that binds the weights; empty where none was recognised."""
    notes: tuple[str, ...] = ()
    """What a person should know: no checksums in the source, a licence to obey."""
    cast: CastReport | None = None
    in_place: bool = False
    """Whether the output took the place of the source."""
    original: str = ""
    """Where a conversion in place keeps the file that it replaced; empty where it replaced none."""
    set_aside: tuple[str, ...] = ()
    """What else went from the folder of a conversion in place."""
    aside: str = ""
    """The folder where that is; empty where nothing went."""
    shared: int = 0
    """Bytes of the output that the file system shares with the source instead of storing them."""
    sha256: str = ""
    """Of the source, where it was asked for."""
    release: str = ""
    """The published file that has this SHA-256, for example `XTTS v2.0.3 (coqui/XTTS-v2)`."""
    verified: bool = False
    """Whether the output was read back and compared."""
    dry_run: bool = False


def record_of(conversion: Conversion) -> dict[str, Any]:
    """Return what the record beside an output and `convert --json` both say of a conversion."""
    return {
        "tensors": conversion.tensors,
        "parameters": conversion.parameters,
        "kept": list(conversion.kept),
        "renamed": dict(conversion.renamed),
        "dropped": [item._asdict() for item in conversion.dropped],
        "license": conversion.licence or None,
        "cast": conversion.cast and conversion.cast._asdict(),
        "in_place": conversion.in_place,
        "verified": conversion.verified,
        "notes": list(conversion.notes),
    }
