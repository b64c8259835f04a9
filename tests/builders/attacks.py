"""Every attack that is known of checkpoints, and the code that answers it.

The rows are those of the threat model; where an attack was published, its number stands beside it.
Each is built from opcodes and zip fields; nothing here is a file of somebody else's.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builders import checkpoints, zip_forge
from builders import pickle_asm as asm
from xcompat.converters.values import limits
from xcompat.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

NO, DAMAGED = ExitCode.NO, ExitCode.COULD_NOT_LOOK

SYSTEM = asm.call(asm.name("os", "system"), asm.text("touch pwned"))


@dataclass(frozen=True)
class Attack:
    name: str
    data: Callable[[], bytes] | bytes
    code: str
    exit: ExitCode = NO
    says: str = ""

    def bytes(self) -> bytes:
        return self.data if isinstance(self.data, bytes) else self.data()


def in_pickle(value: bytes, version: int = 2) -> bytes:
    """A checkpoint whose pickle is this value."""
    _, content = checkpoints.state_dict()
    return zip_forge.archive(checkpoints.entries(asm.pickle(value, version), content))


def stream(pickle: bytes) -> bytes:
    """A checkpoint whose data.pkl is exactly this."""
    return zip_forge.archive(checkpoints.entries(pickle, {}))


def beside(value: bytes) -> bytes:
    """A genuine checkpoint that holds one more value."""
    return checkpoints.checkpoint(extra=value)


def in_config(value: bytes) -> bytes:
    return checkpoints.checkpoint(config=asm.dict_({"temperature": value}))


def with_tensor(pickled: bytes, name: str = "gpt.odd") -> bytes:
    return checkpoints.checkpoint({name: pickled}, {"data/9": checkpoints.floats(6)})


def zipped(**changes: object) -> bytes:
    """A genuine checkpoint, of which one archive entry is told wrongly."""
    return zip_forge.archive(zip_forge.change(genuine(), "data/0", **changes))


def genuine() -> list[zip_forge.Entry]:
    tensors, content = checkpoints.state_dict()
    pickle = asm.pickle(asm.dict_({"model": asm.ordered_dict(tensors)}))
    return checkpoints.entries(pickle, content)


NINE = asm.storage("9", 6)

NAME_FROM_MEMO = asm.tuple_(
    asm.text("os") + asm.put(1), asm.text("system") + asm.put(2)
) + asm.tuple_(asm.get(1) + asm.get(2) + asm.STACK_GLOBAL)

GLOBALS = [
    Attack("os.system", beside(SYSTEM), "XC104", says="os.system"),
    Attack("posix.system", beside(asm.name("posix", "system")), "XC104", says="GLOBAL at byte"),
    Attack("builtins.eval", beside(asm.name("builtins", "eval")), "XC104"),
    Attack("__builtin__.exec", beside(asm.name("__builtin__", "exec")), "XC104"),
    # GHSA-vvpj-8cmc-gx39: a function that finds any other by name
    Attack("pkgutil.resolve_name", beside(asm.name("pkgutil", "resolve_name")), "XC104"),
    # CVE-2025-10157: a submodule of a module that a blocklist names
    Attack("submodule", beside(asm.name("asyncio.unix_events", "Runner")), "XC104"),
    # CVE-2025-1716: pip is on no blocklist
    Attack("pip.main", beside(asm.name("pip", "main")), "XC104", says="pip.main"),
    Attack("prefix of a known module", beside(asm.name("torch._utils.x", "_y")), "XC104"),
    Attack("dotted name", beside(asm.name("collections", "OrderedDict.__init__")), "XC104"),
    Attack("dotted module", beside(asm.name("torch", "_utils._rebuild_tensor_v2")), "XC104"),
    Attack(
        "STACK_GLOBAL",
        in_pickle(asm.text("os") + asm.text("system") + asm.STACK_GLOBAL, 4),
        "XC104",
        says="STACK_GLOBAL",
    ),
    Attack("name from the memo", in_pickle(NAME_FROM_MEMO, 4), "XC104"),
    Attack("INST", in_pickle(asm.inst("os", "system", asm.text("id"))), "XC104", says="INST"),
    Attack("protocol 0", b"cos\nsystem\n(S'id'\ntR.", "XC104", says="os.system"),
    Attack("protocol 0, INST", b"(S'id'\nios\nsystem\n.", "XC104"),
    Attack("protocol 1", b"(dq\x00U\x01acos\nsystem\nq\x01s.", "XC104"),
    Attack("protocol 3", in_pickle(SYSTEM, 3), "XC104"),
    Attack("protocol 5", in_pickle(SYSTEM, 5), "XC104"),
    # CVE-2025-10155: a bare pickle under the name of a checkpoint
    Attack("bare pickle", asm.pickle(SYSTEM), "XC104"),
    Attack("legacy stream", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + asm.pickle(
        asm.number(1001)) + asm.pickle(asm.dict_({})) + asm.pickle(SYSTEM), "XC104"),
    Attack("behind a forbidden opcode", in_pickle(asm.NEXT_BUFFER + SYSTEM), "XC104"),
    Attack("escape sequences in its name", beside(asm.name("os\x1b[31m", "\u202esystem")), "XC104",
           says=r"os\x1b[31m.\u202esystem"),
    # GHSA-mxhj-88fx-4pcv of fickling: a call by OBJ whose result is dropped at once
    Attack("OBJ and POP", in_pickle(asm.MARK + asm.name("smtplib", "SMTP") + asm.text("h")
        + asm.OBJ + asm.POP + asm.NONE), "XC104"),
    # Art of Hide and Seek, arXiv 2508.19774: the payload stands before a broken tail
    Attack("before a broken tail", stream(asm.proto() + SYSTEM + b"\xff\xff"), "XC104"),
]  # fmt: skip

GADGETS = [
    Attack("OrderedDict of callables", beside(
        asm.call(asm.name("collections", "OrderedDict"), asm.list_())), "XC105"),
    Attack("defaultdict of a callable", beside(
        asm.call(asm.name("collections", "defaultdict"), asm.name("collections", "OrderedDict"))),
        "XC105"),
    Attack("_codecs.encode", beside(asm.name("_codecs", "encode")), "XC104"),
    # A nested pickle that torch itself would open: GHSA-rrxm-2pvv-m66x
    Attack("torch.storage._load_from_bytes", beside(
        asm.call(asm.name("torch.storage", "_load_from_bytes"), asm.bytes_(asm.pickle(SYSTEM)))),
        "XC104"),
    Attack("BUILD on a tensor", with_tensor(
        asm.tensor(NINE, (6,)) + asm.dict_({"data": asm.NONE}) + asm.BUILD), "XC105"),
    Attack("BUILD on a dict", beside(asm.dict_({}) + asm.dict_({}) + asm.BUILD), "XC105"),
    Attack("BUILD twice", checkpoints.checkpoint(
        config=asm.config("XttsConfig", {}) + asm.dict_({}) + asm.BUILD), "XC105"),
    Attack("BUILD with __class__", beside(asm.ordered_dict({}) + asm.dict_(
        {"__class__": asm.NONE}) + asm.BUILD), "XC105"),
    Attack("REDUCE of a configuration", beside(
        asm.call(asm.name("TTS.tts.configs.xtts_config", "XttsConfig"))), "XC105"),
    Attack("REDUCE of a storage type", beside(
        asm.call(asm.name("torch", "FloatStorage"), asm.number(1))), "XC105"),
    Attack("NEWOBJ of OrderedDict", beside(
        asm.name("collections", "OrderedDict") + asm.EMPTY_TUPLE + asm.NEWOBJ), "XC105"),
    Attack("NEWOBJ with arguments", beside(
        asm.name("TTS.tts.models.xtts", "XttsArgs") + asm.tuple_(asm.NONE) + asm.NEWOBJ), "XC105"),
    Attack("tensor with hooks", with_tensor(
        asm.tensor(NINE, (6,), hooks=asm.ordered_dict({"a": asm.NONE}))), "XC105"),
    Attack("tensor of a tensor", with_tensor(
        asm.tensor(asm.tensor(NINE, (6,)), (6,))), "XC105"),
    Attack("tensor with another arity", with_tensor(asm.call(
        asm.name("torch._utils", "_rebuild_tensor_v2"), NINE)), "XC105"),
    Attack("parameter of a number", with_tensor(asm.call(
        asm.name("torch._utils", "_rebuild_parameter"), asm.number(1), asm.TRUE, asm.NONE)),
        "XC105"),
    Attack("REDUCE of text", beside(asm.call(asm.text("os.system"))), "XC105"),
]  # fmt: skip

OPCODES = [
    Attack("OBJ", in_pickle(
        asm.MARK + asm.name("collections", "OrderedDict") + asm.OBJ), "XC105", says="OBJ"),
    Attack("INST of a known class", in_pickle(asm.inst("collections", "OrderedDict")), "XC105"),
    Attack("EXT1", in_pickle(b"\x82\x01"), "XC105"),
    Attack("EXT2", in_pickle(b"\x83\x01\x00"), "XC105"),
    Attack("EXT4", in_pickle(b"\x84\x01\x00\x00\x00"), "XC105"),
    Attack("NEWOBJ_EX", in_pickle(asm.name("collections", "OrderedDict") + asm.EMPTY_TUPLE
        + asm.EMPTY_DICT + asm.NEWOBJ_EX), "XC105"),
    Attack("PERSID", in_pickle(b"Pfile\n"), "XC105"),
    Attack("BINPERSID of text", in_pickle(asm.text("file") + asm.BINPERSID), "XC105"),
    Attack("BINPERSID of another type", in_pickle(asm.tuple_(asm.text("module"), asm.NONE)
        + asm.BINPERSID), "XC105"),
    Attack("BINPERSID of a class", in_pickle(asm.tuple_(asm.text("storage"), asm.name(
        "collections", "OrderedDict"), asm.text("0"), asm.text("cpu"), asm.number(1))
        + asm.BINPERSID), "XC105"),
    Attack("NEXT_BUFFER", in_pickle(asm.NEXT_BUFFER, 5), "XC105"),
    Attack("READONLY_BUFFER", in_pickle(b"\x98", 5), "XC105"),
    Attack("BYTEARRAY8", in_pickle(b"\x96" + bytes(8), 5), "XC105"),
    Attack("DUP", in_pickle(asm.NONE + asm.DUP), "XC105"),
    Attack("POP", in_pickle(asm.NONE + asm.NONE + asm.POP), "XC105"),
    Attack("POP_MARK", in_pickle(asm.NONE + asm.MARK + b"1"), "XC105"),
    Attack("text opcodes", in_pickle(b"I1\n"), "XC105"),
    Attack("no opcode", in_pickle(b"\xfe"), "XC105"),
    Attack("protocol 6", in_pickle(asm.NONE, 6), "XC105", says="protocol 6"),
    Attack("no protocol", stream(asm.NONE + asm.STOP), "XC105"),
    Attack("protocol twice", in_pickle(asm.NONE + asm.proto(4)), "XC105"),
]  # fmt: skip

CONFUSION = [
    # CVE-2026-24747: SETITEM on what is not a dict corrupts the heap of torch before 2.10
    Attack("SETITEM on a list", beside(
        asm.EMPTY_LIST + asm.text("a") + asm.NONE + asm.SETITEM), "XC105"),
    Attack("SETITEMS on a tensor", with_tensor(asm.tensor(NINE, (6,)) + asm.MARK + asm.text("a")
        + asm.NONE + asm.SETITEMS), "XC105"),
    Attack("APPEND on a dict", beside(asm.EMPTY_DICT + asm.NONE + asm.APPEND), "XC105"),
    Attack("APPENDS on a tuple", beside(
        asm.EMPTY_TUPLE + asm.MARK + asm.NONE + asm.APPENDS), "XC105"),
    Attack("TUPLE without MARK", in_pickle(asm.NONE + asm.TUPLE), "XC105"),
    Attack("TUPLE1 across a MARK", in_pickle(asm.NONE + asm.MARK + asm.TUPLE1), "XC105"),
    Attack("SETITEMS of one", in_pickle(
        asm.EMPTY_DICT + asm.MARK + asm.NONE + asm.SETITEMS), "XC105"),
    Attack("key of a list", in_pickle(
        asm.EMPTY_DICT + asm.EMPTY_LIST + asm.NONE + asm.SETITEM), "XC105"),
    Attack("key of a tuple", in_pickle(
        asm.EMPTY_DICT + asm.EMPTY_TUPLE + asm.NONE + asm.SETITEM), "XC105"),
    Attack("key twice", in_pickle(asm.EMPTY_DICT + (asm.text("a") + asm.NONE + asm.SETITEM) * 2),
        "XC105", says="twice"),
    # GHSA-9gvj-pp9x-gcfr: a scanner whose memo is not the one of the machine loses the thread here
    Attack("STACK_GLOBAL of numbers", in_pickle(asm.number(1) + asm.number(2) + asm.STACK_GLOBAL,
        4), "XC105"),
    Attack("frame within a frame", in_pickle(b"\x95" + struct.pack("<Q", 40) + b"\x95"
        + struct.pack("<Q", 1) + asm.NONE, 4), "XC105", says="frame"),
    Attack("frame beyond the end", in_pickle(b"\x95" + struct.pack("<Q", 1 << 40) + asm.NONE, 4),
        "XC105", says="frame"),
    Attack("a memo entry that a text hides", in_pickle(asm.text("j\1\0\0\0") + asm.get(1)),
        "XC105"),
    Attack("GET of nothing", in_pickle(asm.get(7)), "XC105"),
    Attack("PUT of nothing", in_pickle(asm.put(7)), "XC105"),
    Attack("PUT twice", in_pickle(asm.text("os") + asm.put(1) + asm.EMPTY_LIST + asm.put(1)),
        "XC105"),
    Attack("STOP with two values", in_pickle(asm.NONE + asm.NONE), "XC105"),
    Attack("STOP with none", in_pickle(b""), "XC105"),
    Attack("STOP within a MARK", in_pickle(asm.MARK + asm.NONE), "XC105"),
    Attack("attribute that is not text", beside(asm.name("TTS.tts.models.xtts", "XttsArgs")
        + asm.EMPTY_TUPLE + asm.NEWOBJ + asm.EMPTY_DICT + asm.number(1) + asm.NONE + asm.SETITEM
        + asm.BUILD), "XC105"),
    Attack("second pickle", stream(asm.pickle(asm.dict_({})) + asm.pickle(SYSTEM)), "XC105",
        says="follow the STOP"),
    Attack("pickle as bytes", in_config(asm.bytes_(asm.pickle(SYSTEM))), "XC108",
        says="config.temperature"),
]  # fmt: skip


FILLER = asm.text("x" * 300)
"""A small file may not ask for many opcodes."""


def deep_config(depth: int) -> bytes:
    return in_config(asm.EMPTY_LIST * depth + asm.APPEND * (depth - 1))


def doubling(times: int) -> bytes:
    """A list of two references to a list of two references to ..."""
    value = asm.list_(asm.NONE) + asm.put(0)
    for index in range(times):
        value = value + asm.put(2 * index + 1)
        value = asm.EMPTY_LIST + asm.put(2 * index + 2) + asm.MARK + value
        value += asm.get(2 * index + 1) + asm.APPENDS
    return in_config(value)


BOMBS = [
    Attack("many opcodes", in_pickle(asm.EMPTY_LIST + (asm.NONE + asm.APPEND) * 50_000),
        "XC106", says="opcodes"),
    Attack("many lists", in_pickle(asm.EMPTY_LIST + (
        asm.MARK + FILLER + asm.EMPTY_LIST * 100 + asm.APPENDS) * 400), "XC106", says="memory"),
    Attack("deep stack", in_pickle((asm.NONE * 100 + FILLER) * 1000), "XC106", says="memory"),
    Attack("nested lists", in_pickle((asm.EMPTY_LIST * 100 + FILLER) * 600), "XC106",
        says="memory"),
    Attack("nested tuples", in_pickle(asm.EMPTY_TUPLE + (asm.TUPLE1 * 100 + FILLER
        + b"\x86") * 600), "XC106", says="memory"),
    Attack("calls with arguments of the memo", in_pickle(asm.name("collections", "OrderedDict")
        + asm.put(1) + asm.EMPTY_TUPLE + asm.put(2) + (
            asm.get(1) + asm.get(2) + asm.REDUCE + asm.text("x" * 10)) * 30_000), "XC106",
        says="memory"),
    Attack("tensors of one memo entry", in_pickle(asm.tuple_(
        NINE, asm.number(0), asm.EMPTY_TUPLE, asm.EMPTY_TUPLE, asm.FALSE,
        asm.call(asm.name("collections", "OrderedDict"))) + asm.put(1)
        + asm.name("torch._utils", "_rebuild_tensor_v2") + asm.put(2) + (
            asm.get(2) + asm.get(1) + asm.REDUCE) * 30_000), "XC106", says="memory"),
    Attack("storages of one memo entry", in_pickle(asm.tuple_(
        asm.text("storage"), asm.name("torch", "FloatStorage"), asm.text("0"), asm.text("cpu"),
        asm.number(6)) + asm.put(1) + (asm.get(1) + asm.BINPERSID) * 30_000), "XC106",
        says="memory"),
    Attack("memo beyond the limit", in_pickle(asm.NONE + asm.put(limits.MEMO)), "XC106",
        says="memo"),
    Attack("many MARKs", in_pickle(asm.MARK * 2000), "XC106", says="MARK"),
    Attack("text of 2^63 bytes", in_pickle(b"\x8d" + struct.pack("<Q", 1 << 63), 4), "XC106"),
    Attack("text of 2^31 bytes", in_pickle(b"X" + struct.pack("<I", 1 << 31)), "XC106"),
    Attack("huge LONG", in_pickle(b"\x8a\xff" + b"\x7f" * 255), "XC106"),
    Attack("LONG4", in_pickle(b"\x8b" + struct.pack("<I", 1 << 30)), "XC106"),
    Attack("deep configuration", deep_config(5000), "XC106", says="nesting"),
    Attack("doubling by the memo", doubling(30), "XC106"),
    Attack("stride 0, 2^40 elements", with_tensor(
        asm.tensor(NINE, (1 << 40,), (0,))), "XC106", says="gpt.odd"),
    Attack("one text many times", in_config(asm.MARK + asm.text("x" * 100_000) + asm.put(9)
        + asm.get(9) * 100 + asm.TUPLE), "XC106", says="characters"),
    Attack("list as a factory", beside(asm.call(asm.name("collections", "defaultdict"),
        asm.EMPTY_LIST)), "XC105"),
    Attack("large byte order", lambda: zip_forge.archive(zip_forge.records("archive", {
        "data.pkl": b"", "byteorder": bytes(limits.PICKLE_BYTES + 1)})), "XC106", says="byteorder"),
    Attack("many strides", with_tensor(asm.tensor(NINE, (1,), (1,) * 10_000)), "XC107"),
    Attack("many dimensions of an embedding", checkpoints.checkpoint(
        {"gpt.text_embedding.weight": asm.tensor(NINE, (1,) * 10_000)}), "XC109"),
    Attack("many dimensions", with_tensor(asm.tensor(NINE, (1,) * 200)), "XC106"),
    Attack("one storage, many tensors", lambda: checkpoints.checkpoint(
        {f"gpt.{i}": asm.tensor(asm.storage("9", 1 << 18), (1 << 18,)) for i in range(9)},
        {"data/9": bytes(4 << 18)}), "XC106"),
    Attack("pickle beyond the limit", lambda: stream(
        bytes(limits.PICKLE_BYTES + 1)), "XC106", says="data.pkl"),
    Attack("a million entries", lambda: zip_forge.archive(genuine(), count=0xFFFF)[:-22]
        + _end_of(1_000_000), "XC106", says="entries"),
]  # fmt: skip


def _end_of(count: int) -> bytes:
    """The end of an archive of so many entries, whose directory is the last 46 bytes of it."""
    body = zip_forge.archive(genuine())[:-22]
    wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, 46, len(body) - 46)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(body), 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 46, len(body) - 46, 0)
    return wide + locator + end


UNICODE_PATH = struct.pack("<2HBI", 0x7075, 20, 1, zlib.crc32(b"archive/data/0")) + (
    b"archive/data/99"
)


def deflated() -> bytes:
    return zipped(method=8)


ZIP = [
    # CVE-2025-1944: another name in the local header
    Attack("name in the local header", zipped(local_name="archive/data/1"), "XC103"),
    Attack("length of that name", zipped(local_name="archive/data/00"), "XC103"),
    # CVE-2025-1945: flag bits that readers take differently
    Attack("encryption bit", zipped(flags=0x0809), "XC103", says="encrypted"),
    Attack("flag bits", zipped(flags=0x0828), "XC103"),
    Attack("flags in the local header", zipped(local_flags=0x0809), "XC103"),
    Attack("compressed", deflated(), "XC103", says="compressed"),
    # Readers refuse or ignore what asks for a newer one
    Attack("version 20.8", zipped(version=208), "XC103", says="version 20.8"),
    Attack("version in the local header", zipped(local_version=46), "XC103", says="version 4.6"),
    Attack("version of the zip64 record", zip_forge.archive(
        genuine(), zip64=True, zip64_version=46), "XC103", says="version 4.6"),
    # Info-ZIP's Unicode path: a second name, which Python 3.13 takes and torch does not
    Attack("name in an extra field", zipped(central_extra=UNICODE_PATH), "XC103", says="0x7075"),
    Attack("name in a local extra field", zipped(local_extra=UNICODE_PATH), "XC103"),
    Attack("extra field cut off", zipped(central_extra=b"FB\x09\0Z"), "XC103", says="cut off"),
    Attack("end of the extra fields", zipped(central_extra=b"FB\0\0Z"), "XC103"),
    Attack("duplicate name", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/data.pkl", asm.pickle(SYSTEM))]), "XC103"),
    Attack("name in other letters", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/DATA.pkl", asm.pickle(SYSTEM))]), "XC103"),
    Attack("two top folders", zip_forge.archive(
        [*genuine(), zip_forge.Entry("other/data.pkl", asm.pickle(SYSTEM))]), "XC103"),
    Attack("no top folder", zip_forge.archive(
        [*genuine(), zip_forge.Entry("data.pkl", asm.pickle(SYSTEM))]), "XC103"),
    Attack("parent folder", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/../x", b"")]), "XC103"),
    Attack("absolute name", zip_forge.archive(
        [*genuine(), zip_forge.Entry("/archive/x", b"")]), "XC103"),
    # Readers that fold or normalise names see one name where others see two
    Attack("Kelvin sign", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/data.p\u212al", b"")]), "XC103"),
    Attack("long s", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/ver\u017fion", b"4")]), "XC103"),
    Attack("decomposed letter", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/e\u0301", b"")]), "XC103"),
    Attack("zero width space", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/data.pkl\u200b", b"")]), "XC103"),
    Attack("NUL in a name", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/data.pkl\0.txt", b"")]), "XC103"),
    Attack("dot folder", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/./data.pkl", b"")]), "XC103"),
    Attack("two slashes", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive//data.pkl", b"")]), "XC103"),
    Attack("drive letter", zip_forge.archive(
        [zip_forge.Entry("C:/" + entry.name.partition("/")[2], entry.data)
         for entry in genuine()]), "XC103"),
    Attack("directory in another order", zip_forge.archive(
        zip_forge.change(zip_forge.change(genuine(), "byteorder", offset=0), "data.pkl",
            offset=1)), "XC103"),
    Attack("zip64 size of a record", zipped(told_size=0xFFFFFFFF, central_extra=struct.pack(
        "<2H2Q", 1, 16, 1 << 40, 1 << 40)), "XC103"),
    Attack("zip64 field cut off", zipped(told_size=0xFFFFFFFF, central_extra=struct.pack(
        "<2HI", 1, 16, 7)), "XC103"),
    Attack("backslash", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/a\\b", b"")]), "XC103"),
    Attack("folder entry", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/a/", b"")]), "XC103"),
    Attack("bytes behind the end", zip_forge.archive(genuine()) + b"tail", "XC103"),
    Attack("comment", zip_forge.archive(genuine(), comment=b"PK"), "XC103"),
    Attack("bytes between entries", zipped(gap=b"hidden!"), "XC103"),
    Attack("overlapping entries", zipped(offset=0), "XC103"),
    Attack("entry outside", zipped(offset=1 << 30), "XC103"),
    Attack("size of the data", zipped(told_size=1 << 30), "XC103"),
    Attack("descriptor", zipped(descriptor=struct.pack("<4s3I", b"PK\7\x08", 1, 2, 2)), "XC103"),
    Attack("zip64 that disagrees", zip_forge.archive(
        genuine(), zip64=True, start_shift=1), "XC103"),
    Attack("zip64 field of nothing", zipped(
        central_extra=struct.pack("<2HQ", 1, 8, 24)), "XC103"),
    Attack("zip64 twice", zipped(
        central_extra=struct.pack("<2HQ", 1, 8, 24) * 2), "XC103"),
    Attack("entry with a comment", zipped(comment=b"x"), "XC103"),
    Attack("wrong count", zip_forge.archive(genuine(), count=3), "XC103"),
    Attack("directory elsewhere", zip_forge.archive(genuine(), start_shift=-3), "XC103"),
    Attack("bytes before the archive", b"#!/bin/sh\n" + zip_forge.archive(genuine()), "XC102",
        DAMAGED),
]  # fmt: skip

INTEGRITY = [
    # CVE-2025-10156: a scanner that stops at a wrong checksum, and a loader that does not
    Attack("CRC of the pickle", zip_forge.archive(
        zip_forge.change(genuine(), "data.pkl", crc32=1)), "XC102", DAMAGED, "CRC-32"),
    Attack("CRC of a tensor", zipped(crc32=1), "XC102", DAMAGED, "data/0"),
    Attack("no data.pkl", zip_forge.archive(genuine()[1:]), "XC102", DAMAGED, "no data.pkl"),
    Attack("no version", zip_forge.archive(genuine()[:-1]), "XC102", DAMAGED, "version"),
    Attack("wrong version", zip_forge.archive(
        zip_forge.change(genuine(), "version", data=b"x")), "XC102", DAMAGED),
    Attack("no storage", zip_forge.archive(
        [entry for entry in genuine() if not entry.name.endswith("data/0")]), "XC102", DAMAGED,
        "gpt.text_embedding.weight"),
    Attack("cut off", zip_forge.archive(genuine())[:-30], "XC102", DAMAGED),
    Attack("pickle without STOP", stream(asm.proto() + asm.EMPTY_DICT), "XC102", DAMAGED),
    Attack("pickle that ends in an opcode", stream(asm.proto() + b"X\x04\0\0\0ab"), "XC102",
        DAMAGED),
    Attack("empty", b"", "XC102", DAMAGED, "empty"),
    Attack("web page", b"\n<!DOCTYPE html><html>Sign in", "XC102", DAMAGED, "web page"),
    Attack("Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "XC102",
        DAMAGED, "Git LFS"),
    Attack("noise", b"\x01\x02\x03" * 99, "XC102", DAMAGED),
    Attack("text", b"hello, this is not a model\n", "XC102", DAMAGED),
]  # fmt: skip


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return buffer.getvalue()


FORMATS = [
    Attack("gzip", gzip.compress(b"x"), "XC101", says="gzip"),
    # CVE-2025-1889: an archive under a name that a scanner does not open
    Attack("7z", b"7z\xbc\xaf\x27\x1c" + bytes(40), "XC101", says="7z"),
    Attack("tar", tarred, "XC101", says="tar"),
    Attack("GGUF", b"GGUF" + bytes(40), "XC101", says="GGUF"),
    Attack("safetensors", struct.pack("<Q", 8) + b'{"a":1} ', "XC101", says="safetensors"),
    Attack("bare pickle of data", asm.pickle(asm.dict_({})), "XC101", says="bare pickle"),
    Attack("before torch 1.6", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + asm.pickle(
        asm.number(1001)) + asm.pickle(asm.dict_({})) + asm.pickle(asm.dict_({"a": asm.tensor(
            asm.tuple_(asm.text("storage"), asm.name("torch", "FloatStorage"), asm.text("1"),
                asm.text("cpu"), asm.number(1), asm.NONE) + asm.BINPERSID, (1,))})), "XC101",
        says="before 1.6"),
    Attack("TorchScript", zip_forge.archive(
        [*genuine(), zip_forge.Entry("archive/constants.pkl", b"")]), "XC101", says="TorchScript"),
    Attack("big-endian", zip_forge.archive(
        zip_forge.change(genuine(), "byteorder", data=b"big")), "XC101", says="big-endian"),
]  # fmt: skip

TENSORS = [
    Attack("beyond its storage", with_tensor(asm.tensor(NINE, (7,))), "XC107", says="gpt.odd"),
    Attack("offset", with_tensor(asm.tensor(NINE, (2,), offset=5)), "XC107"),
    Attack("offset of nothing", with_tensor(asm.tensor(NINE, (0,), offset=7)), "XC107"),
    Attack("stride", with_tensor(asm.tensor(NINE, (2, 2), (5, 1))), "XC107"),
    Attack("negative offset", with_tensor(asm.tensor(NINE, (1,), offset=-1)), "XC107"),
    Attack("negative size", with_tensor(asm.tensor(NINE, (-1,), (1,))), "XC107"),
    Attack("negative stride", with_tensor(asm.tensor(NINE, (2,), (-1,))), "XC107"),
    Attack("overflow", with_tensor(asm.tensor(NINE, (1 << 62, 4), (1, 1))), "XC107"),
    Attack("shape and strides", with_tensor(asm.tensor(NINE, (2, 3), (1,))), "XC107"),
    # CVE-2026-24747: a storage that says another size than its record has
    Attack("size of its record", with_tensor(asm.tensor(asm.storage("9", 7), (6,))), "XC107"),
    Attack("dtype of its record", with_tensor(
        asm.tensor(asm.storage("9", 6, "DoubleStorage"), (6,))), "XC107"),
    Attack("unknown dtype", with_tensor(
        asm.tensor(asm.storage("9", 6, "ComplexFloatStorage"), (6,))), "XC107"),
    Attack("storage told twice", checkpoints.checkpoint(
        {"a": asm.tensor(NINE, (6,)), "b": asm.tensor(asm.storage("9", 6, "IntStorage"), (6,))},
        {"data/9": bytes(24)}), "XC107", says="twice"),
    Attack("negative storage", with_tensor(asm.tensor(asm.storage("9", -6), (0,))), "XC107"),
    Attack("shape of text", with_tensor(asm.call(
        asm.name("torch._utils", "_rebuild_tensor_v2"), NINE, asm.number(0), asm.tuple_(
            asm.text("6")), asm.tuple_(asm.number(1)), asm.FALSE, asm.ordered_dict({}))), "XC105"),
]  # fmt: skip

NAMES = [
    Attack("__metadata__", with_tensor(asm.tensor(NINE, (6,)), "__metadata__"), "XC108"),
    Attack("nested state dict", with_tensor(asm.dict_({"a": asm.tensor(NINE, (6,))})), "XC108",
        says="gpt.odd"),
    Attack("two names become one", checkpoints.checkpoint(
        {"xtts.gpt.gpt.ln_f.weight": asm.tensor(NINE, (6,))}, {"data/9": bytes(24)}), "XC108"),
    Attack("lone surrogate", beside(asm.raw_text(b"\xed\xa0\x80")), "XC108"),
    Attack("number as a tensor name", in_pickle(asm.dict_({"model": asm.EMPTY_DICT + asm.number(1)
        + asm.NONE + asm.SETITEM})), "XC108"),
]  # fmt: skip

VALUES = [
    Attack("NaN", in_config(asm.real(float("nan"))), "XC108", says="config.temperature"),
    Attack("set", in_config(asm.EMPTY_SET), "XC108"),
    Attack("cycle", in_config(
        asm.EMPTY_LIST + asm.put(1) + asm.get(1) + asm.APPEND), "XC108", says="contains itself"),
    Attack("number as a key", in_config(
        asm.EMPTY_DICT + asm.number(1) + asm.NONE + asm.SETITEM), "XC108"),
    Attack("tensor", in_config(asm.tensor(asm.storage("0", 6), (6,))), "XC108"),
    Attack("storage", in_config(asm.storage("0", 6)), "XC108", says="of type Storage"),
]  # fmt: skip

OTHER_MODELS = [
    Attack("list", in_pickle(asm.list_()), "XC109"),
    # picklescan's own sample of the zip format: a tensor of some other model
    Attack("only a tensor", in_pickle(asm.tensor(asm.storage("0", 6), (3, 2))), "XC109"),
    Attack("empty embedding", checkpoints.checkpoint(
        {"gpt.mel_embedding.weight": asm.tensor(asm.storage("1", 8), (0, 2))}), "XC109",
        says="empty"),
    Attack("no state dict", in_pickle(asm.dict_({"weights": asm.NONE})), "XC109", says="weights"),
    Attack("empty state dict", in_pickle(asm.dict_({"model": asm.ordered_dict({})})), "XC109"),
    Attack("another model", in_pickle(asm.dict_({"model": asm.ordered_dict(
        {"encoder.weight": asm.tensor(asm.storage("0", 6), (6,))})})), "XC109",
        says="encoder (1 tensors)"),
    Attack("configuration of another model", checkpoints.checkpoint(
        config=asm.dict_({"model": asm.text("vits")})), "XC109", says="model_args"),
    Attack("configuration that contradicts", checkpoints.checkpoint(config=asm.dict_(
        {"model_args": asm.dict_({"gpt_layers": asm.number(3)})})), "XC109"),
]  # fmt: skip

ATTACKS = {
    "globals": GLOBALS,
    "gadgets": GADGETS,
    "opcodes": OPCODES,
    "confusion": CONFUSION,
    "bombs": BOMBS,
    "zip": ZIP,
    "integrity": INTEGRITY,
    "formats": FORMATS,
    "tensors": TENSORS,
    "names": NAMES,
    "values": VALUES,
    "other models": OTHER_MODELS,
}
