"""How much a file may ask of this machine before it is refused with XC106."""

from __future__ import annotations

from typing import Final

from xcompat.errors import Refusal

PICKLE_BYTES: Final = 32 << 20
"""`data.pkl`: 0.2 MB in the release, 22 MB for 100,000 tensors."""
OPCODES: Final = 4_500_000
"""40 per tensor: 38,052 in the release."""
FIRST_OPCODES: Final = 500_000
BYTES_PER_OPCODE: Final = 3
"""Beyond the first ones, opcodes are as long as this on average, 4 to 6 in what torch writes: a
small file cannot make much work.
"""
MEMORY: Final = 36 << 20
"""Bytes for the values of the pickle, as `Machine` counts them: 0.3 kB per tensor."""
MARKS: Final = 1000
MEMO: Final = 1 << 21
"""Entries: 8 per tensor."""
TEXT_BYTES: Final = 1 << 20
INTEGER_BYTES: Final = 8
"""Wider integers have no use here, and many of them can share one hash."""
NESTING: Final = 64
HEADER_BYTES: Final = 16 << 20
"""Header of a safetensors file: 0.1 MB in the release, 12 MB for 100,000 tensors."""
JSON_VALUES: Final = 200_000
"""Values of a configuration once written out: shared ones count each time."""
JSON_CHARACTERS: Final = 8 << 20
"""Characters of its texts once written out."""
ARCHIVE_ENTRIES: Final = 105_000
DIRECTORY_BYTES: Final = 24 << 20
TENSOR_DIMENSIONS: Final = 16
BROADCAST_BYTES: Final = 1 << 20
"""A tensor larger than its storage (an expanded view) may have this size when it is written out."""
EXPANSION: Final = 4
"""Bytes written for one byte of source, which bounds what shared storages multiply into."""
COMPANION_BYTES: Final = 8 << 20
"""`config.json`, `vocab.json` (0.4 MB) and the licence: read whole, JSON takes 25 times that."""


def check(what: str, actual: int, limit: int) -> None:
    """Refuse a file that goes beyond a limit.

    Raises:
        Refusal: XC106, with the resource, its limit and the actual figure.
    """
    if actual > limit:
        raise Refusal(
            "XC106",
            f"{what}: {actual:,} is more than the limit of {limit:,}",
            hint="No XTTS checkpoint comes near this limit: check where the file came from.",
        )
