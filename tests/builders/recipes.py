"""Whole files after the recipes by which scanners and torch test themselves, built anew.

Each is what its recipe makes, in our own opcodes: what stands where, in which format and with which
thing wrong. Sources: `tests/init_data_files.py` of picklescan, `tests/test_modelscan.py` of
modelscan, `test_bypasses.py`, `test_crashes.py`, `test_expansion_attack_analysis.py` and
`test_polyglot.py` of fickling, read in November 2026. The recipes of torch's own
`test_serialization.py` need torch: see tests/differential.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

from builders import checkpoints, zip_forge
from builders import pickle_asm as asm
from builders.attacks import genuine, in_pickle, stream

if TYPE_CHECKING:
    from collections.abc import Callable


def line(code: bytes, text: str) -> bytes:
    return code + text.encode() + b"\n"


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def framed(body: bytes, size: int) -> bytes:
    return asm.proto(4) + b"\x95" + struct.pack("<Q", size) + body + asm.STOP


PAYLOAD = asm.call(asm.name("builtins", "eval"), asm.text("print('456')"))
SYSTEM = asm.name("os", "system") + asm.text("echo pwned") + asm.TUPLE1 + asm.REDUCE
EVIL = asm.pickle(PAYLOAD, 4)

BY_THE_MEMO = b"".join(
    line(b"V", text) + line(b"p", str(slot)) + asm.POP
    for slot, text in ((2, "os"), (3, "system"), (0, "torch"), (1, "LongStorage"))
) + (b"g2\ng3\n" + asm.STACK_GLOBAL + asm.MARK + b"Vcat flag.txt\n" + asm.TUPLE + asm.REDUCE)
"""The names come from the memo, and harmless ones lie on top: picklescan issue 22."""

SOUR = (
    b"c__builtin__\nglobals\n(tRp100\n0c__builtin__\ncompile\n(S'x=1'\nS''\nS'exec'\ntRp101\n0"
    b"c__builtin__\neval\n(g101\ng100\ntRp102\n0c__builtin__\ngetattr\n(c__builtin__\ndict\n"
    b"S'get'\ntRp103\n0c__builtin__\napply\n(g103\n(g100\nS'x'\nltRp104\n0g104\n."
)
"""The chain of Sour Pickles, Black Hat 2011: compile, eval, getattr, apply."""

LAUGHS = asm.proto(4) + asm.MARK * 9 + short("lol") + (asm.DUP * 9 + b"l") * 9 + asm.STOP
ALTERNATIVE = (
    asm.proto(4)
    + asm.MARK * 9
    + short("lol")
    + b"".join(b"q" + bytes([slot]) + (b"h" + bytes([slot])) * 9 + b"l" for slot in range(9))
    + asm.STOP
)
"""A billion laughs by DUP, and by the memo (github.com/coldwaterq/pickle_injector)."""


def zipped(name: str, data: bytes = EVIL, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def in_torch_zip(pickled: bytes, **changes: object) -> bytes:
    entries = zip_forge.records("model", {"data.pkl": pickled, "version": b"3\n"})
    return zip_forge.archive(zip_forge.change(entries, "data.pkl", **changes))


def with_flag(flag: int) -> bytes:
    return in_torch_zip(EVIL, flags=0x0808 | flag)


def legacy(*pickles: bytes) -> bytes:
    """The format before torch 1.6: a sequence of pickles, whose first is a magic number."""
    magic = asm.pickle(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19")
    rest = (asm.pickle(asm.number(1001)), asm.pickle(asm.dict_({})))
    return b"".join((magic, *rest, *pickles))


def tarred(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def numpy_array(pickled: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + pickled


def across_frames() -> bytes:
    """One unpickler reads a call where others read a run of bytes: cpython issue 154848."""
    hidden = (SYSTEM + asm.MARK).ljust(261, asm.NONE)
    return (asm.proto(5) + asm.NONE + asm.MARK + b"\x95" + struct.pack("<Q", 2)
        + b"B" + struct.pack("<I", 263) + b"\0\0" + hidden + b"1" + asm.STOP)  # fmt: skip


PICKLES: dict[str, tuple[bytes, str]] = {
    "sour pickles": (SOUR, "XC104"),
    "INST": (b"(S'raise RuntimeError()'\ni__builtin__\nexec\n.", "XC104"),
    "names by the memo": (BY_THE_MEMO + asm.STOP, "XC102"),
    "names by the memo, and bytes behind": (BY_THE_MEMO + b".\n\n\t\t", "XC102"),
    "quoted names": (b"S'os'\nS'system'\n\x93S'ls'\n\x85R.", "XC102"),
    "names by the memo, protocol 4": (asm.proto(4) + short("os") + asm.MEMOIZE + short("system")
        + asm.MEMOIZE + b"h\0h\1" + asm.STACK_GLOBAL + short("id") + asm.TUPLE1 + asm.REDUCE
        + asm.STOP, "XC104"),
    "a memo entry that is not there": (asm.proto(4) + SYSTEM + asm.POP + short("os") + asm.MEMOIZE
        + b"h\3h\0" + asm.STACK_GLOBAL + b"K\x42.", "XC104"),
    "a number for a name": (asm.proto(4) + SYSTEM + asm.POP + b"J\x2a\0\0\0" + asm.MEMOIZE
        + short("os") + asm.MEMOIZE + b"h\0h\1" + asm.STACK_GLOBAL + b"K\x42.", "XC104"),
    "cut off behind the call": (b"cbuiltins\nexec\n(X>\0\0\0f = open('x')tRX.", "XC104"),
    "data, then a payload": (asm.pickle(asm.list_(asm.text("a"))) + EVIL, "XC101"),
    "loads of loads": (asm.pickle(asm.call(asm.name("pickle", "loads"), asm.bytes_(EVIL)) + asm.POP
        + asm.NONE, 5), "XC104"),
    "a method of a function": (asm.pickle(asm.call(
        asm.name("builtins", "eval.__call__"), asm.text("1")), 5), "XC104"),
    "OBJ of text": (asm.MARK + asm.name("pty", "spawn") + b"S'id'\no.", "XC104"),
    "BUILD on what a call gave": (asm.pickle(SYSTEM + short("gottem") + asm.BUILD, 4), "XC104"),
    "code by marshal": (asm.pickle(asm.call(asm.name("types", "FunctionType"), asm.call(
        asm.name("marshal", "loads"), asm.bytes_(b"c")), asm.EMPTY_DICT), 4), "XC104"),
    "a name that is no text": (b"cmod\n\xf8\n", "XC104"),
    "laughs by DUP": (LAUGHS, "XC105"),
    "laughs by the memo": (ALTERNATIVE, "XC105"),
    "a list within itself": (asm.proto() + asm.EMPTY_LIST + b"q\0h\0" + asm.APPEND + b".", "XC101"),
    "a dict as its own key": (asm.proto() + asm.EMPTY_DICT + b"q\0h\0" + short("v") + asm.SETITEM
        + asm.STOP, "XC105"),
    "a set within itself": (asm.proto(4) + asm.EMPTY_SET + asm.MEMOIZE + asm.MARK + b"h\0\x90.",
        "XC108"),
    "protocol twice": (asm.proto(4) + asm.proto(4) + EVIL[2:], "XC105"),
    "protocol late": (asm.proto(4) + asm.NONE + asm.POP + asm.proto(2) + EVIL[2:], "XC104"),
    "a call across frames": (across_frames(), "XC105"),
    "bytes across a frame": (framed(b"B" + struct.pack("<I", 20) + b"A" * 20, 5), "XC105"),
    "text across a frame": (framed(b"\x8c\x14" + b"A" * 20, 3), "XC105"),
    "a module across a frame": (framed(asm.name("macos", "system"), 4), "XC105"),
    "a name across a frame": (framed(asm.name("collections", "OrderedDict"), 14), "XC105"),
    "a number across a frame": (framed(b"J\7\0\0\0", 2), "XC105"),
    "a frame in a frame": (framed(asm.NONE + b"\x95" + struct.pack("<Q", 2) + asm.NONE, 30),
        "XC105"),
}  # fmt: skip
"""Bare pickles, and the code that refuses them: XC101 and XC102 say that they are no checkpoint."""

FILES: dict[str, tuple[Callable[[], bytes] | bytes, str]] = {
    "a zip of a pickle": (zipped("data.pkl"), "XC103"),
    "a zip of a pickle, deflated": (zipped("data.pkl", method=zipfile.ZIP_DEFLATED), "XC103"),
    "a zip of a pickle named as text": (zipped("model/data.txt"), "XC102"),
    "another name in the local header": (
        zipped("model/data.pkl").replace(b"data.pkl", b"datap.kl", 1), "XC103"),
    "a checksum that is wrong": (zipped("model/data.pkl").replace(b"'456'", b"'123'"), "XC102"),
    "flag 0x1": (with_flag(0x1), "XC103"),
    "flag 0x20": (with_flag(0x20), "XC103"),
    "flag 0x40": (with_flag(0x40), "XC103"),
    "a torch zip": (in_torch_zip(EVIL), "XC104"),
    "a torch zip with another pickle": (zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/config.pkl", EVIL)]), "XC103"),
    "before torch 1.6": (legacy(EVIL), "XC104"),
    "before torch 1.6, a payload behind the keys": (
        legacy(asm.pickle(asm.list_()), EVIL), "XC101"),
    "before torch 1.6, the magic number by eval": (b"".join((
        asm.pickle(asm.call(asm.name("builtins", "eval"), asm.text("0x1950A86A20F9469CFC6C"))),
        asm.pickle(asm.number(1001)), asm.pickle(asm.dict_({})), EVIL)), "XC104"),
    "before torch 0.2, tar": (tarred(pickle=EVIL, storages=b"", tensors=b""), "XC101"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + EVIL, "XC101"),
    "gzip": (gzip.compress(in_torch_zip(EVIL)), "XC101"),
    "bzip2": (bz2.compress(in_torch_zip(EVIL)), "XC101"),
    "xz": (lzma.compress(in_torch_zip(EVIL)), "XC101"),
    "zlib": (zlib.compress(EVIL), "XC102"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(64), "XC102"),
    "an array of objects": (numpy_array(EVIL), "XC101"),
    "arrays of objects": (zipped("a.npy", numpy_array(EVIL)), "XC103"),
    "noise before a zip": (b"abcdefgh" + zipped("model/data.pkl"), "XC102"),
    "a pickle before a zip": (EVIL + checkpoints.checkpoint(), "XC104"),
    "a pickle behind a zip": (checkpoints.checkpoint() + EVIL, "XC103"),
    "two archives": (checkpoints.checkpoint() + in_torch_zip(EVIL), "XC103"),
    "TorchScript and a checkpoint": (zip_forge.archive(
        [*genuine(), *(zip_forge.Entry(f"archive/{name}", EVIL) for name in (
            "constants.pkl", "code/__torch__.py"))]), "XC101"),
    "a pickle in a storage": (
        lambda: checkpoints.checkpoint({"gpt.odd": EVIL[2:-1]}), "XC104"),
    "a pickle behind another": (stream(asm.pickle(asm.dict_({})) + EVIL), "XC105"),
    "a pickle as text": (in_pickle(asm.text(EVIL.decode("latin1"))), "XC109"),
    **{f"in an archive: {name}": (
        stream(data), code if code in {"XC104", "XC105", "XC108"} else "XC105")
        for name, (data, code) in PICKLES.items() if name != "a list within itself"},
}  # fmt: skip
"""Files, and the codes that refuse them."""

FRAMED = {
    "one frame": pickle.dumps({"a": [1, 2, "x" * 300]}, 4),
    "large texts outside of frames": pickle.dumps(["y" * 100_000, {"b": "z" * 70_000}, 3], 5),
    "many frames": pickle.dumps([str(number) for number in range(30_000)], 4),
}
"""Genuine streams of protocols with frames."""
