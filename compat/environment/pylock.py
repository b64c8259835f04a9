"""Reads `pylock.toml`, the lock of PEP 751."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from xcompat.environment.addresses import build_of_index, named_by
from xcompat.environment.requirements import Entry
from xcompat.errors import Misuse
from xcompat.matrix.tables import BadTable, table_of_toml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.environment.markers import Markers
    from xcompat.matrix.tables import Table

_OPTIONAL: Final = re.compile(r"\b(?:extras|dependency_groups)\b")
"""Markers for what is installed only if somebody asks for it by name."""


def is_pylock(text: str) -> bool:
    """Return whether a text is such a lock."""
    return re.search(r"^lock-version\s*=", text, re.MULTILINE) is not None


def entries_of_pylock(text: str, name: str, markers: Markers) -> list[Entry]:
    """Return what a lock installs where nobody asks for extras or groups.

    Args:
        text: Of the lock.
        name: Of its file, for errors.
        markers: Of the target.

    Raises:
        Misuse: `XC205` where it is no lock.
    """
    try:
        packages = table_of_toml(text).tables("packages")
        return [entry for package in packages for entry in _entry(package, name, markers)]
    except BadTable as error:
        place = f"{name}:{error.line}" if error.line else name
        raise Misuse("XC205", f"{place}: {error.what}", hint="lock it anew") from error


def _entry(package: Table, file: str, markers: Markers) -> Iterator[Entry]:
    from packaging.markers import InvalidMarker, Marker  # noqa: PLC0415

    name = package.text("name")
    version = package.text("version", "")
    condition = package.text("marker", "")
    if _OPTIONAL.search(condition):
        return
    try:
        holds = markers.evaluate(Marker(condition)) if condition else True
    except InvalidMarker as error:
        raise BadTable("marker", f"`{condition}` of `{name}` is not a marker") from error
    if holds is False:
        return
    if not version and (archive := package.take("archive")):
        address = archive.get("url") or archive.get("path") if isinstance(archive, dict) else ""
        version = named_by(str(address))[1]
    yield Entry(
        name,
        version,
        f"{name} {version}".strip(),
        file,
        is_address=True,
        is_conditional=holds is None,
        build=build_of_index(package.text("index", "")),
    )
