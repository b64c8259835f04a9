"""The places where TTS and Hugging Face keep downloaded models, and what lies there.

Nothing is loaded: of a checkpoint the first megabyte and the last bytes are read, which is where
torch puts the pickle and the end of the archive. That tells what a file is; whether every byte of
it is right, only a conversion tells.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Kind = Literal[
    "pickled",
    "tensors",
    "safetensors",
    "legacy",
    "truncated",
    "lfs-pointer",
    "html",
    "empty",
    "dangling",
    "unreadable",
    "foreign",
]
"""What a file is, by its content. `pickled`: a torch archive whose pickle names more than tensors
and plain values, so that loading it imports and calls things; `tensors`: one that does not;
`legacy`: the format of torch before 1.6; `dangling`: a link that leads nowhere; `foreign`: none of
these."""

INTACT: Final[tuple[Kind, ...]] = ("pickled", "tensors", "safetensors", "legacy")

_MODEL_NAME: Final = re.compile(
    r"model\.(pth|safetensors)|(best_model|checkpoint)(_\d+)?\.pth", re.IGNORECASE
)
_COMPANIONS: Final = ("config.json", "vocab.json", "speakers_xtts.pth", "speakers_xtts.safetensors")
_SKIPPED: Final = frozenset({"blobs", "refs", ".locks", ".no_exist", ".git", "site-packages"})
_SKIPPED_PREFIXES: Final = ("datasets--", "spaces--")
_DEPTH: Final = 5
"""Folders below a place: `models--coqui--XTTS-v2/snapshots/<revision>` is the third."""
_HEAD: Final = 1 << 20
"""Bytes: the pickle of the release has 203,932 and lies in front."""
_VOCABULARY_BYTES: Final = 8 << 20
_ZIP_START: Final = b"PK\x03\x04"
_ZIP_END: Final = b"PK\x05\x06"
_ZIP_END_BYTES: Final = 22
_LEGACY_START: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_XTTS_TENSORS: Final = (b"gpt.mel_embedding.weight", b"hifigan_decoder.")
_NEXT_RECORD: Final = re.compile(rb"PK(?:\x03\x04|\x07\x08)")
_GLOBAL: Final = re.compile(rb"c([A-Za-z_][\w.]*\n[A-Za-z_]\w*)\n")
"""The opcode GLOBAL; what torch saves by default (protocol 2) has no other way to name a class."""
_TENSOR_GLOBAL: Final = re.compile(
    # Text may end right before the opcode and be taken for a part of the module's name.
    rb".*(?:collections\nOrderedDict|torch\._utils\n_rebuild_(tensor_v2|parameter)|torch\n[A-Za-z]+Storage)"
)
_TTS_MODULE: Final = b"TTS.tts."
"""Names a module of TTS in a pickle of any protocol."""
_TEXT_ROWS: Final = re.compile(
    rb"gpt\.text_embedding\.weight.{1,200}?"
    rb"Q(?:K\x00|J\x00{4})\(?(?:M(?P<two>..)|J(?P<four>....)|K(?P<one>.))",
    re.DOTALL,
)
"""The shape in the pickle: after the storage (BINPERSID) and the offset 0 come the rows."""
_TEXT_ROWS_JSON: Final = re.compile(
    rb'"gpt\.text_embedding\.weight"\s*:\s*\{[^{}]*"shape"\s*:\s*\[\s*(\d+)'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model file in a cache, or a file beside it that is broken."""

    path: Path
    size: int
    """Bytes of the file that the path leads to; 0 where it leads nowhere."""
    kind: Kind
    target: Path | None
    """Where a symbolic link leads in the end; None for an ordinary file."""
    companions: tuple[str, ...]
    """Names of the other files of the folder, sorted."""
    text_tokens: int | None = None
    """Rows of the model's text embedding, where they could be read."""
    vocabulary_tokens: int | None = None
    """Tokens of the `vocab.json` beside it, where that could be read."""

    @property
    def is_converted(self) -> bool:
        """True where the folder is the output of a conversion by xcompat."""
        return "xcompat.json" in self.companions

    @property
    def is_mixed(self) -> bool:
        """True where model and vocabulary are of two versions: TTS cannot load them together."""
        known = None not in {self.text_tokens, self.vocabulary_tokens}
        return known and self.text_tokens != self.vocabulary_tokens


def cache_places(environ: Mapping[str, str], platform: str, home: Path) -> tuple[Path, ...]:
    """Return the folders where models are kept, those of TTS first, whether they exist or not.

    Args:
        environ: Environment variables: TTS asks for `TTS_HOME` and `XDG_DATA_HOME`, Hugging Face
            for `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME` and `XDG_CACHE_HOME`.
        platform: As `sys.platform` names it.
        home: The user's home folder.
    """

    def named(*names: str) -> Path | None:
        value = next((environ[name] for name in names if environ.get(name)), "")
        if value.startswith("~/"):
            return home / value[2:]
        return Path(value) if value else None

    if platform == "win32":
        data = named("LOCALAPPDATA") or home / "AppData" / "Local"
    elif platform == "darwin":
        data = home / "Library" / "Application Support"
    else:
        data = home / ".local" / "share"
    chosen = named("TTS_HOME", "XDG_DATA_HOME")
    cache = (named("XDG_CACHE_HOME") or home / ".cache") / "huggingface"
    hub = named("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    # A model stays where an earlier setting put it, so the usual folder is a place as well.
    places = [chosen / "tts"] if chosen else []
    places += [data / "tts", hub or (named("HF_HOME") or cache) / "hub"]
    return tuple(dict.fromkeys(places))


def find_checkpoints(places: Iterable[Path]) -> Iterator[Found]:
    """Find the XTTS models below some folders, and what is broken where one should be.

    Links to folders are not followed, folders that cannot be read are passed over, and models of
    other kinds are left out: a broken file is told where its path or its content says XTTS.

    Args:
        places: Folders to look into, as `cache_places` returns them; missing ones are passed over.
    """
    seen: set[Path] = set()
    for place in places:
        for folder, names in _folders(place, _DEPTH):
            if folder not in seen:
                seen.add(folder)
                yield from _look_into(folder, names)


def _folders(folder: Path, depth: int) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below it, each with the sorted names of its files."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
            below = [e.name for e in listed if e.is_dir(follow_symlinks=False)]
            files = [e.name for e in listed if not e.is_dir()]
    except OSError:
        return
    if any(_MODEL_NAME.fullmatch(name) for name in files):
        yield folder, files
    if "blobs" in below and "xtts" in folder.name.lower():
        yield from _interrupted_downloads(folder / "blobs")
    if depth:
        for name in below:
            if name not in _SKIPPED and not name.startswith(_SKIPPED_PREFIXES):
                yield from _folders(folder / name, depth - 1)


def _interrupted_downloads(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the blobs that Hugging Face has not received in full: nothing links to them yet."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix == ".incomplete")
    except OSError:
        return
    if names:
        yield folder, names


def _look_into(folder: Path, names: list[str]) -> Iterator[Found]:
    is_xtts = any("xtts" in part.lower() for part in folder.parts)
    vocabulary: int | None = None
    for name in names:
        path = folder / name
        others = tuple(other for other in names if other != name)
        if name.endswith(".incomplete"):
            yield _found(path, "truncated", others)
        elif _MODEL_NAME.fullmatch(name):
            kind, head = _recognise(path)
            named = all(tensor in head for tensor in _XTTS_TENSORS)
            if not named and (kind in INTACT or not is_xtts):
                continue
            is_xtts = True
            rows = _text_rows(head) if kind in INTACT else None
            if rows is not None and vocabulary is None:
                vocabulary = _vocabulary_tokens(folder / "vocab.json")
            yield _found(path, kind, others, rows, vocabulary)
    for name in _COMPANIONS if is_xtts else ():
        if name in names:
            kind, _ = _recognise(folder / name)
            if kind not in {*INTACT, "foreign"}:
                others = tuple(other for other in names if other != name)
                yield _found(folder / name, kind, others)


def _found(
    path: Path,
    kind: Kind,
    companions: tuple[str, ...],
    text_tokens: int | None = None,
    vocabulary_tokens: int | None = None,
) -> Found:
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    return Found(
        path=path,
        size=size,
        kind=kind,
        target=Path(os.path.realpath(path)) if path.is_symlink() else None,
        companions=companions,
        text_tokens=text_tokens,
        vocabulary_tokens=vocabulary_tokens,
    )


def _recognise(path: Path) -> tuple[Kind, bytes]:
    """Return what a file is, and its first megabyte."""
    try:
        if not path.is_file():
            return ("foreign" if path.exists() else "dangling"), b""
        with path.open("rb", buffering=0) as file:
            head = file.read(_HEAD)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _ZIP_END_BYTES))
            tail = file.read(_ZIP_END_BYTES)
    except OSError:
        return "unreadable", b""
    return _kind(head, tail, size), head


def _kind(head: bytes, tail: bytes, size: int) -> Kind:
    kind: Kind = "foreign"
    if not head.strip(b"\0 \r\n\t"):
        kind = "empty"
    elif head.startswith(b"version https://git-lfs"):
        kind = "lfs-pointer"
    elif head[:512].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        kind = "html"
    elif head.startswith(_LEGACY_START):
        kind = "legacy"
    elif head.startswith(_ZIP_START):
        kind = "pickled" if _names_more_than_tensors(head) else "tensors"
        kind = kind if tail.startswith(_ZIP_END) else "truncated"
    elif head[8:10] == b'{"':
        kind = _safetensors_kind(head, size)
    return kind


def _names_more_than_tensors(head: bytes) -> bool:
    following = _NEXT_RECORD.search(head, len(_ZIP_START))
    pickle = head[: following.start()] if following else head
    named = {found[1] for found in _GLOBAL.finditer(pickle)}
    return _TTS_MODULE in pickle or not all(map(_TENSOR_GLOBAL.fullmatch, named))


def _safetensors_kind(head: bytes, size: int) -> Kind:
    """Compare a safetensors file's length with where its header says that the last tensor ends."""
    length = int.from_bytes(head[:8], "little")
    if length > size - 8:
        return "truncated"
    ends = re.findall(rb'"data_offsets"\s*:\s*\[\s*\d+\s*,\s*(\d+)\s*\]', head[8 : 8 + length])
    last = max(map(int, ends), default=0)
    return "truncated" if 8 + length + last > size else "safetensors"


def _text_rows(head: bytes) -> int | None:
    if found := _TEXT_ROWS.search(head):
        return int.from_bytes(next(filter(None, found.groups())), "little")
    if found := _TEXT_ROWS_JSON.search(head):
        return int(found[1])
    return None


def _vocabulary_tokens(path: Path) -> int | None:
    """Count the tokens of a vocabulary of the `tokenizers` library, as TTS does."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_VOCABULARY_BYTES))
        added = {token["content"] for token in content.get("added_tokens") or ()}
        return len(added | content["model"]["vocab"].keys())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
