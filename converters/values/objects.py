"""What a pickle says beside tensors and plain values: nothing here can run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A name that a pickle refers to. It is compared, never imported and never called.

    There is one object for each name that is known, in `allowlist.GLOBALS`: identity compares both.
    """

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class StateDict(dict[str, Any]):
    """A `collections.OrderedDict` of a pickle: any dict keeps the order, in half the memory."""

    __slots__ = ()


@dataclass(slots=True)
class Record:
    """An object of one of the TTS configuration classes: its class name and its attributes."""

    type: Global
    state: dict[str, Any] = field(default_factory=dict)
    built: bool = False
    """Whether the attributes have been set; a pickle may do it once."""


def type_name(value: Any) -> str:
    """Name the type of a value as the pickle did, for messages."""
    return str(value.type) if isinstance(value, Record) else type(value).__name__
