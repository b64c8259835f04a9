"""Changes to a checkpoint that keep it whole enough to be read on: opcodes and zip fields."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from builders import pickle_asm as asm
from builders import zip_forge
from xcompat.converters.pickles.opcodes import Op, lex
from xcompat.errors import XcompatError

if TYPE_CHECKING:
    from random import Random

Blind = Callable[[bytes, int], bytes]
"""Changes bytes without knowing what they are; must not return more than so many."""

WORDS = (
    asm.MARK, asm.NONE, asm.TRUE, asm.REDUCE, asm.BUILD, asm.APPEND, asm.APPENDS, asm.SETITEM,
    asm.SETITEMS, asm.TUPLE, asm.TUPLE1, asm.EMPTY_TUPLE, asm.EMPTY_LIST, asm.EMPTY_DICT,
    asm.NEWOBJ, asm.BINPERSID, asm.MEMOIZE, asm.STACK_GLOBAL, asm.STOP, asm.POP, asm.DUP,
    asm.put(1), asm.get(1), asm.put(300), asm.get(300), b"q\0", b"h\0", asm.proto(4),
    asm.text("model"), asm.text("config"), asm.text("storage"), asm.text("0"), asm.text("cpu"),
    asm.text("gpt.gpt.ln_f.weight"), asm.text("xtts."), asm.text("_metadata"),
    asm.raw_text(b"\xff"),
    asm.number(0), asm.number(-1), asm.number(1 << 40), asm.real(float("nan")), asm.bytes_(b"x"),
    asm.name("collections", "OrderedDict"), asm.name("collections", "defaultdict"),
    asm.name("torch._utils", "_rebuild_tensor_v2"), asm.name("torch._utils", "_rebuild_parameter"),
    asm.name("torch", "FloatStorage"), asm.name("torch", "LongStorage"), asm.name("os", "system"),
    asm.name("TTS.tts.models.xtts", "XttsArgs"), asm.name("builtins", "dict"),
    asm.storage("0", 6), asm.tensor(asm.storage("0", 6), (6,)), asm.tensor(
        asm.storage("1", 8), (2, 2), (4, 1), 1), asm.list_(asm.NONE), asm.dict_({"a": asm.NONE}),
    b"\x95" + bytes(8), b"\x8a\x01\x05", b"\x8c\x01a", b"\x8d" + struct.pack("<Q", 1) + b"a",
)  # fmt: skip


def mutate(data: bytes, limit: int, noise: Random, blind: Blind) -> bytes:
    """Return a changed checkpoint of at most `limit` bytes."""
    changed = None
    with contextlib.suppress(struct.error):  # a field that does not hold what was put in
        changed = _mutate_inside(data, noise, blind)
    return changed if changed and len(changed) <= limit else blind(data, limit)


def _mutate_inside(data: bytes, noise: Random, blind: Blind) -> bytes | None:
    entries = _entries(data)
    kind = noise.random()
    if not entries or kind < 0.15:
        return None
    if kind > 0.75:
        return _mutate_archive(entries, noise, blind)
    at = next((i for i, e in enumerate(entries) if e.name.endswith("data.pkl")), 0)
    entries[at] = replace(entries[at], data=_mutate_pickle(entries[at].data, noise, blind))
    return zip_forge.archive(entries)


def _entries(data: bytes) -> list[zip_forge.Entry]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [
                zip_forge.Entry(info.filename, data[_start(data, info) :][: info.compress_size])
                for info in archive.infolist()
            ]
    except (zipfile.BadZipFile, struct.error, ValueError, OverflowError, NotImplementedError):
        return []


def _start(data: bytes, info: zipfile.ZipInfo) -> int:
    name, extra = struct.unpack_from("<2H", data, info.header_offset + 26)
    return info.header_offset + 30 + int(name) + int(extra)


def _tokens(pickle: bytes) -> list[bytes]:
    """Cut a pickle at its opcodes; what is not understood is one token."""
    cuts: list[int] = []
    with contextlib.suppress(XcompatError):
        cuts.extend(position for _, _, position in lex([pickle]))
    return [pickle[a:b] for a, b in pairwise([*cuts, len(pickle)])] or [pickle]


def _mutate_pickle(pickle: bytes, noise: Random, blind: Blind) -> bytes:
    tokens = _tokens(pickle)
    for _ in range(noise.choice((1, 1, 1, 2, 4))):
        at = noise.randrange(len(tokens) + 1)
        other = noise.randrange(len(tokens) + 1)
        size = noise.choice((1, 1, 2, 5, 20))
        match noise.randrange(7):
            case 0:
                tokens[at:at] = [noise.choice(WORDS)]
            case 1:
                del tokens[at : at + size]
            case 2:
                tokens[at:at] = tokens[other : other + size]
            case 3:
                tokens[at : at + 1] = [noise.choice(WORDS)]
            case 4:
                tokens[at : at + size] = tokens[other : other + size]
            case 5 if at < len(tokens):
                tokens[at] = blind(tokens[at], len(tokens[at]) + 8)
            case 6 if at < len(tokens) and len(tokens[at]) > 1:
                changed = bytearray(tokens[at])
                changed[noise.randrange(1, len(changed))] = noise.choice((0, 1, 2, 6, 255))
                tokens[at] = bytes(changed)
            case _:
                continue
        tokens = tokens or [bytes([Op.STOP])]
    return b"".join(tokens)


def _mutate_archive(entries: list[zip_forge.Entry], noise: Random, blind: Blind) -> bytes:
    at = noise.randrange(len(entries))
    entry = entries[at]
    number = noise.choice(
        (0, 1, 7, 63, 64, 0xFFFF, 0xFFFFFFFF, len(entry.data), noise.getrandbits(31))
    )
    wide = struct.pack("<2HQ", 1, 8, number)
    changes: tuple[dict[str, object], ...] = (
        {"name": entry.name + noise.choice(("", "0", "/", "/..", "\x00", "é", "A"))},
        {"name": noise.choice(entries).name},
        {"name": entry.name.swapcase()},
        {"local_name": noise.choice(entries).name},
        {"flags": noise.choice((0, 8, 0x800, 0x808, 0x809, 0x848))},
        {"local_flags": noise.choice((0, 8, 0x808, 0x809))},
        {"method": noise.choice((0, 8, 12, 99))},
        {"told_size": number},
        {"offset": number},
        {"crc32": noise.choice((0, 1, zlib.crc32(entry.data)))},
        {"comment": b"x"},
        {"gap": bytes(number % 70)},
        {"central_extra": noise.choice((wide, wide * 2, b"", b"\1", wide[:-1]))},
        {"descriptor": noise.choice((b"", bytes(16), struct.pack("<4s3I", b"PK\7\x08", 0, 0, 0)))},
        {"data": blind(entry.data, len(entry.data) + 16)},
        {"data": entry.data[: len(entry.data) // 2]},
    )  # fmt: skip
    entries[at] = replace(entry, **noise.choice(changes))  # type: ignore[arg-type]
    if noise.random() < 0.2:
        noise.shuffle(entries)
    if noise.random() < 0.1:
        entries.append(noise.choice(entries))
    if noise.random() < 0.1:
        del entries[noise.randrange(len(entries))]
    return zip_forge.archive(
        entries,
        count=noise.choice((None, None, None, 0, 1, 0xFFFF)) if noise.random() < 0.1 else None,
        zip64=noise.random() < 0.2,
        comment=b"c" if noise.random() < 0.03 else b"",
        start_shift=noise.choice((-1, 1, 64)) if noise.random() < 0.05 else 0,
    )


def blindly(noise: Random) -> Blind:
    """Return a way to change bytes for where there is no fuzzer."""

    def change(data: bytes, limit: int) -> bytes:
        changed = bytearray(data)
        for _ in range(noise.randrange(1, 4)):
            at = noise.randrange(len(changed) + 1)
            match noise.randrange(3):
                case 0:
                    changed[at:at] = noise.randbytes(noise.randrange(1, 5))
                case 1:
                    del changed[at : at + noise.randrange(1, 5)]
                case _ if at < len(changed):
                    changed[at] ^= 1 << noise.randrange(8)
        return bytes(changed[:limit])

    return change
