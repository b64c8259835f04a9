"""The names of platforms, as the runs write them."""

from __future__ import annotations

import os
import re
import sys


def this_platform() -> str:
    """Return the platform that xcompat runs on, as the runs name it."""
    # sysconfig costs as much as the rest of the probe where it builds its variables; the pieces
    # that its platform name is made of are at hand.
    if sys.platform == "win32":
        import sysconfig  # noqa: PLC0415

        return platform_name(sysconfig.get_platform())
    machine = os.uname().machine
    return f"macosx-{machine}" if sys.platform == "darwin" else f"{sys.platform}-{machine}"


def platform_name(tag: str) -> str:
    """Return the short name of a platform tag: `macosx-14.0-arm64` is `macosx-arm64`.

    `manylinux_2_28_x86_64` and `linux-x86_64` are both `linux-x86_64`.
    """
    tag = tag.lower()
    if match := re.match(r"macosx[-_]\d+[._]\d+[-_](\w+)$", tag):
        return f"macosx-{match[1]}"
    if match := re.match(r"(?:many|musl)?linux(?:\d+|_\d+_\d+)?[-_](\w+)$", tag):
        return f"linux-{match[1]}"
    return tag.replace("win_", "win-")
