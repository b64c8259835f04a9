"""Compares installed files with what their distributions' RECORD says of them.

The files of the TTS family are looked at one by one; of torch, only the module that loads
checkpoints. Only the few files that XTTS runs are read and hashed; of the others the size must do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from xcompat.environment.contents import bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FAMILY: Final = ("TTS", "coqui-tts", "trainer", "coqui-tts-trainer", "coqpit", "coqpit-config")
"""Distributions that share import packages, so that one can take files from another."""
_LOADERS: Final = {"TTS/utils/io.py", "trainer/io.py", "torch/serialization.py"}
"""Where people change how a checkpoint is opened."""
_NEEDED: Final = re.compile(
    r"TTS/(?:__init__|api|utils/io|tts/models/xtts|tts/configs/xtts_config)\.py"
    r"|TTS/tts/layers/xtts/(?:gpt|gpt_inference|hifigan_decoder|latent_encoder|perceiver_encoder"
    r"|stream_generator|tokenizer|xtts_manager|zh_num2words)\.py"
    r"|coqpit/(?:__init__|coqpit)\.py|trainer/(?:__init__|generic_utils|io)\.py"
)
"""What `import TTS.tts.models.xtts` runs, in TTS 0.20 to 0.22.0 and coqui-tts 0.24 to 0.28.0."""
_CUSTOMISED: Final = ("sitecustomize.py", "usercustomize.py")
_RECORD_BYTES: Final = 8 << 20


def signs_of_damage(
    metadata: Mapping[str, Path], folders: tuple[Path, ...]
) -> dict[str, tuple[str, ...]]:
    """Return what is not as it was installed: sign to the files that show it.

    Args:
        metadata: Distribution to its `dist-info` folder. Others have no RECORD and are passed over.
        folders: Where the interpreter looks for modules.
    """
    signs: dict[str, list[str]] = {}
    for name in FAMILY:
        if name in metadata:
            for sign, told in _family_signs(name, metadata[name]):
                signs.setdefault(sign, []).append(told)
    patched = [*_patched_torch(metadata), *_customised(folders)]
    if patched:
        signs.setdefault("patched-load", []).extend(patched)
    return {sign: tuple(told) for sign, told in signs.items()}


def _family_signs(name: str, info: Path) -> Iterator[tuple[str, str]]:
    missing, changed = [], []
    lines = [line for line in _record(info).splitlines() if ".py," in line]
    for line in lines:
        path, digest, size = _fields(line)
        if path.startswith(("../", "/")):
            continue
        state = _state(info.parent / path, digest if _is_hashed(path) else "", size)
        if state == "missing":
            missing.append(path)
        elif state == "changed":
            changed.append(path)
    if needed := [path for path in missing if _NEEDED.fullmatch(path)]:
        yield "missing-xtts-files", _told(name, needed, missing)
    elif missing:
        yield "missing-files", _told(name, missing, missing)
    if loaders := [path for path in changed if path in _LOADERS]:
        yield "patched-load", _told(name, loaders, loaders)
    if others := [path for path in changed if path not in _LOADERS]:
        yield "changed-files", _told(name, others, others)


def _told(name: str, first: list[str], all_of_them: list[str]) -> str:
    """Name the first of some files, and say how many there are."""
    more = len(all_of_them) - 1
    return f"{name}: {first[0]}" + (f" and {more} more" if more else "")


def _patched_torch(metadata: Mapping[str, Path]) -> Iterator[str]:
    if "torch" not in metadata:
        return
    info = metadata["torch"]
    # Its RECORD has 1.3 MB, of which one line is wanted.
    _, found, rest = _read(info / "RECORD").partition(b"\ntorch/serialization.py,")
    if found:
        line = "torch/serialization.py," + rest.partition(b"\n")[0].decode("utf-8", "replace")
        path, digest, size = _fields(line)
        if _state(info.parent / path, digest, size) == "changed":
            yield f"torch: {path}"


def _customised(folders: tuple[Path, ...]) -> Iterator[str]:
    """Yield the start-up modules that have to do with loading checkpoints."""
    for folder in folders:
        for name in _CUSTOMISED:
            content = _read(folder / name)
            if b"torch" in content and (b"weights_only" in content or b".load" in content):
                yield str(folder / name)


def _fields(line: str) -> tuple[str, str, str]:
    path, digest, size = [*line.rsplit(",", 2), "", ""][:3]
    return path.strip('"'), digest, size.strip()


def _is_hashed(path: str) -> bool:
    return path in _LOADERS or bool(_NEEDED.fullmatch(path))


def _state(path: Path, digest: str, size: str) -> str:
    """Return whether a file is `missing`, `changed`, or neither."""
    try:
        actual = path.stat().st_size
    except FileNotFoundError:
        return "missing"
    except OSError:
        return ""
    if size.isdecimal() and actual != int(size):
        return "changed"
    algorithm, _, expected = digest.partition("=")
    if algorithm != "sha256" or not expected:
        return ""
    import base64  # noqa: PLC0415 - only where there is something to compare
    import hashlib  # noqa: PLC0415

    found = base64.urlsafe_b64encode(hashlib.sha256(_read(path)).digest())
    return "" if found.rstrip(b"=").decode() == expected.rstrip("=") else "changed"


def _record(info: Path) -> str:
    return _read(info / "RECORD").decode("utf-8", "replace")


def _read(path: Path) -> bytes:
    return bytes_of(path, _RECORD_BYTES) or b""
