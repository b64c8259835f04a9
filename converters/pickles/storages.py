"""Storages by key, of which a checkpoint can have a hundred thousand."""

from __future__ import annotations

from array import array
from typing import Final

from xcompat.converters.values.tensors import DTYPES, Storage

_NO_DTYPE: Final = 0xFF
_DTYPE_NUMBERS: Final = {dtype: number for number, dtype in enumerate(DTYPES)}


class Storages:
    """Storages by key; 9 bytes of memory for each that has a number, as most have."""

    def __init__(self) -> None:
        self._numels = array("Q")
        self._dtypes = bytearray()
        self._named: dict[str, Storage] = {}

    def get(self, key: int | str) -> Storage | None:
        """Return the storage of that key, None where there is none."""
        if isinstance(key, str):
            return self._named.get(key)
        if key >= len(self._dtypes) or self._dtypes[key] == _NO_DTYPE:
            return None
        return Storage(key, DTYPES[self._dtypes[key]], self._numels[key])

    def add(self, storage: Storage) -> None:
        """Add a storage whose key is new."""
        key = storage.key
        if isinstance(key, str):
            self._named[key] = storage
            return
        if (missing := key + 1 - len(self._dtypes)) > 0:
            self._dtypes += bytes([_NO_DTYPE]) * missing
            self._numels.extend(array("Q", [0]) * missing)
        self._dtypes[key] = _DTYPE_NUMBERS[storage.dtype]
        self._numels[key] = storage.numel
