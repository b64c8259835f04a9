"""How much a file may ask of this machine before it is refused with XC106."""

from __future__ import annotations

from typing import Final

from xcompat.errors import Refusal

PICKLE_BYTES: Final = 64 << 20
"""`data.pkl`: 0.2 MB in the release, 22 MB for 100,000 tensors."""
OPCODES: Final = 6_000_000
"""40 per tensor: 38,052 in the release."""
OBJECTS: Final = 2_000_000
"""Strings, containers and tensors: 11 per tensor."""
STACK: Final = 1_000_000
TEXT_BYTES: Final = 1 << 20
INTEGER_BYTES: Final = 8
"""Wider integers have no use here, and many of them can share one hash."""
NESTING: Final = 64
JSON_VALUES: Final = 200_000
"""Values of a configuration once written out: shared ones count each time."""
JSON_CHARACTERS: Final = 8 << 20
"""Characters of its texts once written out."""
ARCHIVE_ENTRIES: Final = 250_000
DIRECTORY_BYTES: Final = 64 << 20
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
