"""Looks for graphics cards. Nothing of the environment is run, and nothing waits for a driver.

`nvidia-smi` is started at once and its answer is fetched when the rest of the work is done; where
it does not answer in time, `/proc` and `/sys` tell what they can.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xcompat.domain.gpu import Card, Graphics

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

    from xcompat.domain.gpu import Vendor

TIME_LIMIT = 2.0
"""Seconds that `nvidia-smi` has from its start; it needs one on a machine with eight cards."""

_SILENT = "nvidia-smi does not answer"
_FIELDS = "name,driver_version,memory.total"
_CAPABILITY = ",compute_cap"
"""Drivers older than 470 do not know this field, and answer to none of the others with it."""
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_VENDORS: dict[str, Vendor] = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}
_DISPLAY = ("0x03", "0x12")
"""Classes on the bus: display controllers, and what computes without a display."""


class _Question(NamedTuple):
    """A running `nvidia-smi`."""

    program: str
    process: subprocess.Popen[bytes]
    until: float


class GraphicsProbe:
    """A look at the graphics of this machine that goes on while something else is done.

    Args:
        environ: Environment variables.
        platform: As `sys.platform` names it.
        root: Where `proc`, `sys` and the places of `nvidia-smi` lie.
        machine: The processor, as the kernel names it; of this machine where it is not given.
        time_limit: Seconds that the driver may take.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
        root: Path = Path(os.sep),
        machine: str = "",
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._environ = environ
        self._platform = platform
        self._root = root
        self._machine = machine
        self._found: Graphics | None = None
        self._question: _Question | None = None
        if program := _nvidia_smi(environ, platform, root):
            until = time.monotonic() + time_limit
            self._question = self._asked(program, _FIELDS + _CAPABILITY, until)

    def found(self) -> Graphics:
        """Return what is there; waits for the driver if it has not answered yet."""
        if self._found is None:
            self._found = self._looked()
        return self._found

    def _looked(self) -> Graphics:
        if self._platform == "darwin":
            return Graphics(cards=self._of_apple())
        cards, drivers, trouble = self._of_nvidia_smi()
        if not cards:
            cards, told = self._of_proc()
            drivers = drivers or told
            if trouble not in ("", _SILENT):
                cards = [card._replace(ready=False) for card in cards]
        named = {card.vendor for card in cards}
        kfd = list(_of_kfd(self._root))
        if kfd:
            cards += [card for card in kfd if card.vendor not in named]
            named.add("amd")
            drivers |= _driver_of_amd(self._root)
        # What only the bus tells of: no driver of it is at work.
        cards += [card for card in _of_bus(self._root) if card.vendor not in named]
        cards.sort(key=lambda card: (card.integrated, not card.ready, -card.memory))
        return Graphics(
            cards=tuple(cards),
            drivers=drivers,
            variables={
                name: value for name in _VISIBLE if (value := self._environ.get(name)) is not None
            },
            trouble=trouble,
        )

    def _asked(self, program: str, fields: str, until: float) -> _Question | None:
        import subprocess  # noqa: PLC0415 - machines without such a card need it not

        try:
            process = subprocess.Popen(
                [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**self._environ, "LC_ALL": "C"},
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError:
            return None
        return _Question(program, process, until)

    def _of_nvidia_smi(self) -> tuple[list[Card], dict[str, str], str]:
        """Return the cards that `nvidia-smi` tells of, the driver, and what is wrong with it."""
        if self._question is None:
            return [], {}, ""
        program, process, until = self._question
        self._question = None
        answer = _answer(process, until)
        if answer is None:
            return [], {}, _SILENT
        if process.returncode and "compute_cap" in answer:
            again = self._asked(program, _FIELDS, until)
            answer = _answer(again.process, until) if again else None
            if again is None or answer is None:
                return [], {}, _SILENT
            process = again.process
        if process.returncode:
            said = answer.strip().splitlines() or [f"it ended with status {process.returncode}"]
            return [], {}, f"nvidia-smi: {said[0].strip()}"
        cards, drivers = cards_in(answer)
        return cards, drivers, "" if cards else "nvidia-smi tells of no card"

    def _of_proc(self) -> tuple[list[Card], dict[str, str]]:
        folder = self._root / "proc" / "driver" / "nvidia"
        version = re.search(r"^NVRM version:.*?\s(\d+\.[\d.]+)\s", _text(folder / "version"))
        cards = [
            Card("nvidia", name=told[1].strip(), ready=version is not None)
            for card in _entries(folder / "gpus")
            if (told := re.search(r"^Model:(.*)$", _text(card / "information"), re.MULTILINE))
        ]
        return cards, {"nvidia": version[1]} if version else {}

    def _of_apple(self) -> tuple[Card, ...]:
        machine = self._machine or os.uname().machine
        return (Card("apple", name=_apple_chip(), integrated=True),) if machine == "arm64" else ()


def cards_in(answer: str) -> tuple[list[Card], dict[str, str]]:
    """Return the cards and the driver that an answer of `nvidia-smi` tells of."""
    cards: list[Card] = []
    drivers: dict[str, str] = {}
    for line in answer.splitlines():
        name, *rest = (field.strip() for field in line.split(","))
        if len(rest) < 2 or not re.fullmatch(r"\d+\.[\d.]+", rest[0]):
            continue
        drivers["nvidia"] = rest[0]
        capability = re.fullmatch(r"(\d+)\.(\d+)", rest[2]) if len(rest) > 2 else None
        architecture = f"sm_{capability[1]}{capability[2]}" if capability else ""
        # A card that shares the memory of its processor has none of its own: `[N/A]`.
        memory = int(rest[1]) if rest[1].isdecimal() else 0
        cards.append(Card("nvidia", name=name, architecture=architecture, memory=memory))
    return cards, drivers


def _answer(process: subprocess.Popen[bytes], until: float) -> str | None:
    """Return what a process says before its time is over, or None; then it is ended."""
    import subprocess  # noqa: PLC0415

    try:
        told, _ = process.communicate(timeout=max(until - time.monotonic(), 0.05))
    except subprocess.TimeoutExpired:
        _end(process)
        return None
    return told.decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started, without waiting for a driver that holds it."""
    import contextlib  # noqa: PLC0415
    import signal  # noqa: PLC0415
    import subprocess  # noqa: PLC0415

    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    if process.stdout:
        process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.1)


def _nvidia_smi(environ: Mapping[str, str], platform: str, root: Path) -> str:
    """Return where `nvidia-smi` is, or nothing. One that lies in an environment is not taken."""
    if platform == "darwin":
        return ""
    windows = platform == "win32"
    name = "nvidia-smi.exe" if windows else "nvidia-smi"
    folders = environ.get("PATH", "").split(os.pathsep)
    if windows:
        folders.append(str(Path(environ.get("SystemRoot", "C:\\Windows")) / "System32"))
    else:
        folders.append(str(root / "usr" / "lib" / "wsl" / "lib"))
    for folder in map(Path, folders):
        program = folder / name
        if folder.is_absolute() and os.access(program, os.X_OK) and not _is_environment(folder):
            return str(program)
    return ""


def _is_environment(programs: Path) -> bool:
    """Return whether a folder of programs is that of a Python environment."""
    return any((programs.parent / mark).exists() for mark in ("pyvenv.cfg", "conda-meta"))


def _of_kfd(root: Path) -> Iterator[Card]:
    """Yield the cards that ROCm can compute on."""
    for node in _entries(root / "sys" / "class" / "kfd" / "kfd" / "topology" / "nodes"):
        told = dict(re.findall(r"^(\w+) (\d+)$", _text(node / "properties"), re.MULTILINE))
        target = int(told.get("gfx_target_version", 0))
        if not target:
            continue  # A processor.
        major, minor, stepping = target // 10000, target // 100 % 100, target % 100
        banks = [_text(bank / "properties") for bank in _entries(node / "mem_banks")]
        # Heaps 1 and 2 are the memory of the card, seen by the processor and not seen by it.
        memory = sum(
            int(size[1])
            for bank in banks
            if re.search(r"^heap_type [12]$", bank, re.MULTILINE)
            and (size := re.search(r"^size_in_bytes (\d+)$", bank, re.MULTILINE))
        )
        # With `cpu_cores_count` a node is a processor and its graphics in one; newer kernels list
        # the graphics of a processor like a card, with next to no memory of its own.
        own = memory >> 20
        yield Card(
            "amd",
            architecture=f"gfx{major}{minor:x}{stepping:x}",
            memory=own,
            integrated=told.get("cpu_cores_count", "0") != "0" or own < 1024,
        )


def _driver_of_amd(root: Path) -> dict[str, str]:
    """Return the version of amdgpu, which only AMD's own package of it tells."""
    version = _text(root / "sys" / "module" / "amdgpu" / "version").strip()
    return {"amd": version} if version else {}


def _of_bus(root: Path) -> Iterator[Card]:
    """Yield the graphics on the PCI bus."""
    for device in _entries(root / "sys" / "bus" / "pci" / "devices"):
        if not _text(device / "class").startswith(_DISPLAY):
            continue
        vendor = _VENDORS.get(_text(device / "vendor").strip())
        if vendor is None:
            continue
        # Intel's own driver is a part of the kernel, and PyTorch asks for no other.
        ready = vendor == "intel" and (device / "driver").resolve().name in ("i915", "xe")
        # The graphics of an Intel processor is always this device; AMD's may be anywhere.
        integrated = vendor == "intel" and device.name.endswith(":00:02.0")
        yield Card(vendor, integrated=integrated, ready=ready)


def _apple_chip() -> str:
    """Return what the kernel of macOS calls its processor, such as `Apple M2`."""
    try:
        import ctypes  # noqa: PLC0415

        name = ctypes.create_string_buffer(128)
        size = ctypes.c_size_t(len(name))
        question = b"machdep.cpu.brand_string"
        ctypes.CDLL(None).sysctlbyname(question, name, ctypes.byref(size), None, 0)
        return name.value.decode(errors="replace")
    except (OSError, AttributeError):
        return ""


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(16384).decode("utf-8", "replace")
    except OSError:
        return ""
