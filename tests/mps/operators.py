"""Read from macOS wheels of torch which operators each release has a kernel for on MPS.

Nothing of a wheel is imported or run. The registrations are decoded from the machine code of
`libtorch_cpu.dylib`: each `TORCH_LIBRARY_IMPL(aten, MPS, m)` is compiled to a function whose local
symbol is kept, and the names that it registers are the string literals that this function takes
the address of. Which operators exist, and which run through other operators on any device
("composite"), is said by `native_functions.yaml`, which the wheel carries as well.

Called by `nox -s mps_operators`, once for each wheel: `operators.py TABLE WHEEL...` adds releases
to the table `matrices/mps/operators.json`, or replaces them.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import mmap
import re
import struct
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator

KERNEL, CPU, STUB, COMPOSITE, NONE, ABSENT = "K", "F", "E", "C", "-", " "

LIBRARY = "torch/lib/libtorch_cpu.dylib"
FUNCTIONS = ("torchgen/packaged/ATen/native/native_functions.yaml",)
_INIT = b"TORCH_LIBRARY_IMPL_init_aten_MPS_"
_KERNELS = re.compile(rb"__ZN(?:2at)?12_GLOBAL__N_1L?\d+TORCH_LIBRARY")
"""In an anonymous namespace: RegisterMPS.cpp, which torchgen writes; in 2.0, one kernel too."""
_BY_HAND = re.compile(rb"__ZN2atL\d+TORCH_LIBRARY")
"""`at::TORCH_LIBRARY_...`: MPSFallback.mm, the operators that always run on the CPU."""
_STUBS = ("_slow_conv2d_forward",)
"""Registered by hand in MPSFallback.mm, only to raise an error with advice."""
_OPERATOR = re.compile(rb"[A-Za-z_]\w*(?:\.\w+)?")
_LIMITS = (b"Output channels > 65536", b"MacOS 1", b"macOS 1", b"MacOS_1", b"macOS_1", b"MACOS_1")
"""What messages about the limits of MPS kernels have in common."""


class _Symbol(NamedTuple):
    name: bytes
    address: int


class MachO:
    """The segments and the symbols of an arm64 library."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        magic, processor, _, _, commands = struct.unpack_from("<5I", data, 0)
        if (magic, processor) != (0xFEEDFACF, 0x0100000C):
            raise ValueError("not an arm64 Mach-O library")
        self.segments: list[tuple[int, int, int]] = []
        self.literals: list[tuple[int, int]] = []
        offset = 32
        for _ in range(commands):
            command, size = struct.unpack_from("<2I", data, offset)
            if command == 0x19:  # LC_SEGMENT_64
                address, _, start, length = struct.unpack_from("<4Q", data, offset + 24)
                self.segments.append((address, start, length))
                (sections,) = struct.unpack_from("<I", data, offset + 64)
                for each in range(offset + 72, offset + 72 + 80 * sections, 80):
                    if data[each : each + 16].rstrip(b"\0") == b"__cstring":
                        self.literals.append(struct.unpack_from("<2Q", data, each + 32))
            elif command == 2:  # LC_SYMTAB
                self._symbols = struct.unpack_from("<4I", data, offset + 8)
            offset += size

    def offset(self, address: int) -> int | None:
        """Return where in the file `address` is."""
        for base, start, length in self.segments:
            if base <= address < base + length:
                return address - base + start
        return None

    def text(self, address: int) -> bytes:
        """Return the string literal that begins at `address`; empty where none does."""
        start = self.offset(address)
        if not start or self.data[start - 1]:
            return b""
        if not any(base <= address < base + size for base, size in self.literals):
            return b""
        return self.data[start : self.data.find(b"\0", start, start + 400)]

    def functions(self, wanted: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        """Yield name, address and code of the functions with `wanted` in their name."""
        table, count, strings, length = self._symbols
        names: dict[int, bytes] = {}
        position = self.data.find(wanted, strings, strings + length)
        while position >= 0:
            start = self.data.rfind(b"\0", strings, position) + 1
            end = self.data.find(b"\0", position)
            names[start - strings] = self.data[start:end]
            position = self.data.find(wanted, end, strings + length)
        found: list[_Symbol] = []
        starts = set()
        entries = self.data[table : table + 16 * count]
        for name, kind, _, _, address in struct.iter_unpack("<IBBHQ", entries):
            if kind & 0xE0 or kind & 0x0E != 0x0E:  # a debugging entry, or not in a section
                continue
            starts.add(address)
            # The compiler moves the paths to an exception out of a function: `.cold`.
            if name in names and b".cold" not in names[name]:
                found.append(_Symbol(names[name], address))
        ordered = sorted(starts)
        for symbol in found:
            end = ordered[bisect.bisect_right(ordered, symbol.address)]
            begin = self.offset(symbol.address)
            assert begin is not None
            yield symbol.name, symbol.address, self.data[begin : begin + end - symbol.address]


def addresses(code: bytes, start: int) -> list[int]:
    """Return the addresses that arm64 code computes: `adrp` with `add`, and `adr`."""
    pages: dict[int, int] = {}
    found = []
    for number, (word,) in enumerate(struct.iter_unpack("<I", code)):
        here = start + 4 * number
        distance = ((word >> 5) & 0x7FFFF) << 2 | (word >> 29) & 3
        distance -= (distance & 0x100000) << 1
        if word & 0x9F000000 == 0x90000000:  # adrp
            pages[word & 31] = (here & ~0xFFF) + (distance << 12)
        elif word & 0x9F000000 == 0x10000000:  # adr
            found.append(here + distance)
        elif word & 0xFFC00000 == 0x91000000 and (word >> 5) & 31 in pages:  # add
            found.append(pages[(word >> 5) & 31] + ((word >> 10) & 0xFFF))
        elif word & 0xFFC00000 == 0xF9400000:  # ldr: the register holds something else now
            pages.pop(word & 31, None)
        elif word & 0xFC000000 == 0x94000000:  # bl: a function may change the first 19
            pages = {register: page for register, page in pages.items() if register > 18}
    return found


def strings_with(data: mmap.mmap, needle: bytes) -> Iterator[str]:
    """Yield the string literals that `needle` occurs in."""
    position = data.find(needle)
    while position >= 0:
        start = data.rfind(b"\0", max(position - 400, 0), position) + 1
        end = data.find(b"\0", position, position + 400)
        text = data[start:end]
        if start and end > 0 and text.isascii() and not text.startswith(b"__Z"):
            yield " ".join(text.decode().split())
        position = data.find(needle, position + 1)


def registrations(library: MachO, known: set[str]) -> tuple[set[str], set[str]]:
    """Return the operators with an MPS kernel, and those registered to run on the CPU."""
    kernels: set[str] = set()
    by_hand: set[str] = set()
    for name, address, code in library.functions(_INIT):
        texts = {library.text(each) for each in addresses(code, address)}
        operators = {
            text.decode().removeprefix("aten::")
            for text in texts
            if _OPERATOR.fullmatch(text.removeprefix(b"aten::"))
        } & known
        if _KERNELS.match(name):
            kernels |= operators
        elif _BY_HAND.match(name):
            by_hand |= operators
        else:
            raise ValueError(f"whose registrations are these? {name!r}")
    if len(kernels) < 300 or not by_hand:
        raise ValueError(f"only {len(kernels)} kernels and {len(by_hand)} by hand: not understood")
    return kernels, by_hand


def declared(functions: list[dict[str, Any]]) -> tuple[dict[str, bool], set[str]]:
    """Return every operator and whether it is composite, and the operators that list MPS."""
    composite: dict[str, bool] = {}
    listing: dict[str, bool] = {}
    delegates: dict[str, str] = {}
    for function in functions:
        name = function["func"].split("(", 1)[0]
        dispatch = function.get("dispatch") or {}
        keys = {key.strip() for each in dispatch for key in each.split(",")}
        delegate = function.get("structured_delegate")
        listing[name] = "MPS" in keys
        # A structured operator without an MPS kernel has a wrapper that calls its missing `out`.
        composite[name] = not delegate and (
            not dispatch or any(key.startswith("Composite") for key in keys)
        )
        if delegate:
            delegates[name] = delegate
        for generated in function.get("autogen", "").split(","):
            if generated.strip():
                composite[generated.strip()] = True
    for name, delegate in delegates.items():
        listing[name] = listing.get(delegate, False)
    return composite, {name for name, lists in listing.items() if lists}


def read_wheel(wheel: Path) -> tuple[dict[str, Any], dict[str, str], set[str]]:
    """Return what identifies the release, the state of every operator, and messages of limits."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory(dir=wheel.parent) as name:
        yaml_name = next(n for n in archive.namelist() if n in FUNCTIONS)
        functions = yaml.load(
            archive.read(yaml_name), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
        composite, listing = declared(functions)
        path = Path(archive.extract(LIBRARY, name))
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            kernels, by_hand = registrations(MachO(data), set(composite))
            found = {text for needle in _LIMITS for text in strings_with(data, needle)}
    states = {}
    for operator, is_composite in composite.items():
        if operator in by_hand:
            states[operator] = STUB if operator in _STUBS else CPU
        elif operator in kernels:
            states[operator] = KERNEL
        else:
            states[operator] = COMPOSITE if is_composite else NONE
    tag = re.search(r"macosx_(\d+)_(\d+)_arm64", wheel.name)
    assert tag is not None
    listed = sorted(kernels)
    release = {
        "torch": wheel.name.split("-")[1],
        "wheel": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "macos": f"{tag[1]}.{tag[2]}",
        "kernels": len(kernels),
        "always_on_cpu": sorted(by_hand),
        "kernels_sha256": hashlib.sha256("\n".join(listed).encode()).hexdigest(),
        "declared_without_kernel": sorted(listing - kernels - by_hand),
        "kernel_not_declared": sorted(kernels - listing),
    }
    return release, states, found


def compact(histories: dict[str, dict[str, str]], order: list[str], fill: str) -> dict[str, str]:
    """Group names by their states in the releases of `order`, one letter for each."""
    groups = defaultdict(list)
    for name, states in histories.items():
        groups["".join(states.get(torch, fill) for torch in order)].append(name)
    return {history: " ".join(sorted(groups[history])) for history in sorted(groups)}


def expand(groups: dict[str, str], order: list[str]) -> dict[str, dict[str, str]]:
    """Undo `compact`."""
    return {
        name: dict(zip(order, history, strict=True))
        for history, names in groups.items()
        for name in names.split()
    }


def main(arguments: list[str]) -> None:
    """Add the releases of some wheels to a table."""
    target = Path(arguments[0])
    table: dict[str, Any] = {"releases": [], "operators": {}, "messages": {}}
    if target.exists():
        table = json.loads(target.read_text("utf-8"))
    releases = {release["torch"]: release for release in table["releases"]}
    operators = expand(table["operators"], list(releases))
    messages = {
        text: dict.fromkeys(torches.split(), KERNEL) for text, torches in table["messages"].items()
    }
    for wheel in map(Path, arguments[1:]):
        release, states, found = read_wheel(wheel)
        torch = release["torch"]
        releases[torch] = release
        for operator in operators.keys() | states.keys():
            operators.setdefault(operator, {})[torch] = states.get(operator, ABSENT)
        for text in messages.keys() | found:
            messages.setdefault(text, {}).pop(torch, None)
        for text in found:
            messages[text][torch] = KERNEL
    order = sorted(releases, key=Version)
    made = {
        "made_by": "nox -s mps_operators (tests/mps/operators.py), from the macOS arm64 wheels",
        "states": {
            KERNEL: "an MPS kernel is registered",
            CPU: "registered for MPS to run on the CPU always",
            STUB: "registered for MPS to raise an error",
            COMPOSITE: "runs through other operators",
            NONE: "no MPS kernel",
            ABSENT: "no such operator",
        },
        "releases": [releases[torch] for torch in order],
        "messages": {
            text: " ".join(sorted(torches, key=Version))
            for text, torches in sorted(messages.items())
            if torches
        },
        "operators": compact(operators, order, ABSENT),
    }
    target.write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
