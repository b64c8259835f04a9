"""The checkpoints that lie in the known caches, and where the space goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.render.text import Page, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from xcompat.converters.model.caches import Found

_KINDS = {
    "pickled": "pickled: torch 2.6 and newer refuse it",
    "tensors": "tensors only: every TTS loads it",
    "safetensors": "safetensors",
    "legacy": "in the format of torch before 1.6",
    "truncated": "cut off: download it again",
    "lfs-pointer": "a Git LFS pointer, not the file",
    "html": "a web page: the download failed",
    "empty": "empty",
    "dangling": "a link that leads nowhere",
    "unreadable": "cannot be read",
    "foreign": "no checkpoint",
}


def found_as_json(places: Sequence[Path], found: Sequence[Found]) -> dict[str, Any]:
    """Return the stable form of `xcompat convert --find --json`; fields may be added."""
    return {
        "schema": 1,
        "places": [str(place) for place in places],
        "found": [
            {
                "path": str(item.path),
                "size": item.size,
                "kind": item.kind,
                "target": str(item.target) if item.target else None,
                "companions": list(item.companions),
                "text_tokens": item.text_tokens,
                "vocabulary_tokens": item.vocabulary_tokens,
            }
            for item in found
        ],
        "total": _total(found),
    }


def show_found(places: Sequence[Path], found: Sequence[Found]) -> None:
    """Write every model file, what it is, and what all of them take together."""
    page = Page()
    if not found:
        page.line("No XTTS checkpoint in:")
    for item in found:
        page.line((str(item.path), "bold"))
        page.prose(f"  {size(item.size)}, {_KINDS[item.kind]}", hang=2)
        if item.target:
            page.prose(f"  a link to {item.target}", hang=2)
        if item.is_mixed:
            page.prose(
                f"  its vocab.json has {item.vocabulary_tokens:,} tokens, the model"
                f" {item.text_tokens:,}: they are of two versions",
                hang=2,
            )
    if found:
        page.gap()
        page.line(("Together", "bold"), f" {size(_total(found))}. Looked in:")
    for place in places:
        page.line(f"  {place}")
    pickled = next((item for item in found if item.kind == "pickled"), None)
    if pickled:
        page.gap()
        page.prose(("Next", "bold"), f": xcompat convert --in-place {pickled.path.parent}", hang=2)


def _total(found: Sequence[Found]) -> int:
    """Return the bytes of all files, one that several links lead to counted once."""
    return sum({item.target or item.path: item.size for item in found}.values())
