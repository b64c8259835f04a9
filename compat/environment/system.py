"""What an environment rests on and is no distribution: the platform, macOS, Rosetta, FFmpeg."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.environment.contents import text_of
from xcompat.environment.ffmpeg import ffmpeg_versions, supported_versions
from xcompat.environment.platforms import platform_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xcompat.environment.distributions import Distribution
    from xcompat.environment.layout import Layout


def platform_of_wheels(found: Mapping[str, Distribution]) -> str | None:
    """Return the platform that the installed torch is for.

    An Intel Python under Rosetta looks like any other from the outside; its wheels do not.
    """
    if sys.platform != "darwin" or "torch" not in found:
        return None
    match = re.search(
        r"^Tag: \S+-(macosx_\S+)$", text_of(found["torch"].path / "WHEEL") or "", re.MULTILINE
    )
    return platform_name(match[1]) if match and "universal" not in match[1] else None


def rosetta_sign(platform: str, interpreter: str) -> dict[str, tuple[str, ...]]:
    """Return the sign that an Intel Python runs on Apple silicon, where that is so.

    The kernel names its own processor even to a translated process.
    """
    if sys.platform != "darwin" or platform != "macosx-x86_64":
        return {}
    host = os.uname()
    is_apple = host.machine == "arm64" or "ARM64" in host.version
    return {"rosetta": (interpreter,)} if is_apple else {}


def system_of(
    layout: Layout, found: Mapping[str, Distribution]
) -> tuple[dict[str, str | None], dict[str, tuple[str, ...]]]:
    """Return what is not a distribution, and what is wrong with it."""
    system: dict[str, str | None] = {}
    signs: dict[str, tuple[str, ...]] = {}
    if sys.platform == "darwin" and layout.platform.startswith("macosx"):
        import platform as host  # noqa: PLC0415

        system["macos"] = host.mac_ver()[0]
    if "torchcodec" in found:
        versions = ffmpeg_versions(Path(layout.root), os.environ)
        supported = supported_versions(found["torchcodec"].path.parent / "torchcodec")
        usable = [v for v in versions or () if v in supported]
        if versions is not None:
            system["ffmpeg"] = str((usable or versions)[0]) if versions else None
        if versions and supported and not usable:
            told = f"FFmpeg {versions[0]}; torchcodec has libraries for {_listed(supported)}"
            signs["ffmpeg-unsupported"] = (told,)
    return system, signs


def _listed(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, sorted(versions)))
