"""What is around an environment and breaks people: variables of the shell, and models in caches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xcompat.converters.model.caches import cache_places, find_checkpoints

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from xcompat.converters.model.caches import Found

_VARIABLES: Final = {
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "weights-only-off",
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "weights-only-forced",
}
_TRUE: Final = ("1", "y", "yes", "true")
"""What torch takes for yes."""
_WORDS: Final = {
    "truncated": "cut off",
    "empty": "empty",
    "dangling": "a link to nothing",
    "lfs-pointer": "a Git LFS pointer",
    "html": "a web page",
}
_SIGNS: Final = {
    "truncated": "checkpoint-incomplete",
    "empty": "checkpoint-incomplete",
    "dangling": "checkpoint-incomplete",
    "lfs-pointer": "checkpoint-no-model",
    "html": "checkpoint-no-model",
}
_CONVERTED: Final = ("model.safetensors", "xcompat.json")


def signs_around(
    environ: Mapping[str, str], platform: str, home: Path
) -> dict[str, tuple[str, ...]]:
    """Return what was seen: sign to the variables or files that show it.

    Args:
        environ: Environment variables.
        platform: As `sys.platform` names it.
        home: The user's home folder.
    """
    signs: dict[str, list[str]] = {}
    for name, sign in _VARIABLES.items():
        if environ.get(name, "").lower() in _TRUE:
            signs[sign] = [f"{name}={environ[name]}"]
    for found in find_checkpoints(cache_places(environ, platform, home)):
        for sign, told in _signs_of(found):
            signs.setdefault(sign, []).append(told)
    return {sign: tuple(told) for sign, told in signs.items()}


def _signs_of(found: Found) -> list[tuple[str, str]]:
    if found.kind in _SIGNS:
        return [(_SIGNS[found.kind], f"{found.path}: {_WORDS[found.kind]}, {found.size:,} bytes")]
    signs = []
    if found.is_mixed:
        told = f"{found.text_tokens} tokens in the model, {found.vocabulary_tokens} in vocab.json"
        signs.append(("checkpoint-mixed", f"{found.path}: {told}"))
    if found.kind in ("pickled", "legacy") and not _is_converted(found):
        signs.append(("checkpoint-pickled", f"{found.path}: {found.size / 1e9:.2f} GB"))
    return signs


def _is_converted(found: Found) -> bool:
    """Return whether a converted copy lies where `xcompat convert` puts it."""
    folder = found.path.parent
    beside = folder.with_name(f"{folder.name}-converted")
    return (
        any(name in found.companions for name in _CONVERTED) or (beside / "xcompat.json").is_file()
    )
