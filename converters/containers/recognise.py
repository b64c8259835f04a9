"""Tells from its content what a file is that is not a torch zip archive, whatever its name says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from xcompat.converters.containers.zip_format import LOCAL_MAGIC
from xcompat.converters.pickles.machine import Machine
from xcompat.converters.pickles.opcodes import Op
from xcompat.converters.values import limits
from xcompat.errors import Corruption, Refusal, XcompatError

if TYPE_CHECKING:
    from xcompat.converters.files.source import SourceFile

_DOWNLOAD = "Download the checkpoint itself again."

_PACKED: Final = {
    b"\x1f\x8b": "a gzip file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"Rar!": "a RAR archive",
}
_OTHER: Final = {
    b"GGUF": "a GGUF model",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
}
_LEGACY_MAGIC: Final = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First value of what torch saved before 1.6: the number 0x1950a86a20f9469cfc6c."""
_LEGACY_WITHIN: Final = 32
"""Bytes in which that first pickle ends; protocol and frame go before the number."""
_TEXT_PICKLE_STARTS: Final = b"(c]}l"


def refuse_foreign_format(file: SourceFile) -> None:
    """Return if a file begins as a zip archive does; otherwise say what it is instead.

    Raises:
        Refusal: XC101, a format that is recognised but not supported; XC104 to XC108, a bare
            pickle that names or does what no checkpoint needs.
        Corruption: XC102, no model at all.
    """
    head = file.read_at(0, min(file.size, 512))
    if head.startswith(LOCAL_MAGIC):
        return
    _refuse_other_formats(head, file.size)
    _refuse_failed_download(head)
    if head[0] == Op.PROTO or head[0] in _TEXT_PICKLE_STARTS:
        _refuse_bare_pickle(file, head)
    raise Corruption(
        "XC102",
        f"this is not a checkpoint: it begins with the bytes {head[:8].hex(' ')}",
        hint=_DOWNLOAD,
    )


def _refuse_other_formats(head: bytes, size: int) -> None:
    packed = next((what for magic, what in _PACKED.items() if head.startswith(magic)), "")
    if head[257:262] == b"ustar":
        packed = "a tar archive"
    if packed:
        raise Refusal("XC101", f"this is {packed}", hint="Unpack it and convert what is inside.")
    other = next((what for magic, what in _OTHER.items() if head.startswith(magic)), "")
    if other:
        raise Refusal(
            "XC101", f"this is {other}", hint="xcompat converts checkpoints of torch (.pth)."
        )
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") <= size:
        raise Refusal(
            "XC101",
            "this is a safetensors file already",
            hint="There is nothing to convert: keep config.json and vocab.json beside it.",
        )


def _refuse_failed_download(head: bytes) -> None:
    if not head:
        raise Corruption("XC102", "the file is empty", hint=_DOWNLOAD)
    if head.startswith(b"version https://git-lfs"):
        raise Corruption(
            "XC102",
            "this is a Git LFS pointer: a note that stands for the file, not the file",
            hint="Run `git lfs pull` in the repository, or download the file itself.",
        )
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Corruption(
            "XC102",
            "this is a web page, not a checkpoint: the download was answered with HTML",
            hint=_DOWNLOAD,
        )


def _refuse_bare_pickle(file: SourceFile, head: bytes) -> None:
    """Refuse a pickle outside an archive, after it was read in order to name what it asks for."""
    is_binary = head[0] == Op.PROTO
    before, magic, _ = head[:_LEGACY_WITHIN].partition(_LEGACY_MAGIC)
    legacy = is_binary and bool(magic)
    position = len(before + magic) if legacy else 0
    try:
        # The old format is a sequence: magic number, protocol, system, and then the checkpoint.
        for _ in range(3 if legacy else 1):
            rest = min(file.size - position, limits.PICKLE_BYTES)
            read = partial(file.small_pieces, position, rest)
            position += Machine(legacy=legacy).run(read)[1]
    except XcompatError as error:
        if not is_binary and error.code != "XC104":
            return
        raise
    if legacy:
        raise Refusal(
            "XC101",
            "this checkpoint is in the format of torch before 1.6",
            hint="Load it with a torch you trust it to and save it again with torch.save.",
        )
    raise Refusal(
        "XC101",
        "this is a bare pickle, not a checkpoint as torch.save writes it",
        hint="Use the model.pth of the release or of your training.",
    )
