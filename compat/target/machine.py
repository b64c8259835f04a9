"""What this machine offers: its platform, its FFmpeg, its devices, and what they have held."""

from __future__ import annotations

import contextlib
import shutil
import sys
from typing import Optional


def platform_name() -> str:
    """Name this platform as the matrix does, for example `linux-x86_64` or `macosx-arm64`."""
    import sysconfig

    name, *_, machine = sysconfig.get_platform().split("-")
    return f"{name}-{machine}"


def ffmpeg_version() -> Optional[str]:
    """Return the version of the `ffmpeg` on PATH, None if there is none.

    torchcodec loads its libraries.
    """
    import subprocess

    if shutil.which("ffmpeg") is None:
        return None
    banner = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=False)
    words = banner.stdout.split()
    return words[2] if len(words) > 2 else None


def missing(device: str) -> str:
    """Return why `device` cannot be used here, or an empty string."""
    import torch

    if device == "cuda":
        return "" if torch.cuda.is_available() else "no CUDA device is visible to torch"
    if sys.platform != "darwin":
        return f"MPS is Apple's GPU and this machine is {sys.platform}"
    if not torch.backends.mps.is_built():
        return "this torch was built without MPS"
    return "" if torch.backends.mps.is_available() else "macOS offers no MPS device to torch"


def device_name(device: str) -> str:
    """Name the chip that `device` stands for."""
    import torch

    if device == "cuda":
        return str(torch.cuda.get_device_name())
    return processor_name()


def processor_name() -> str:
    """Name the processor of this machine as its maker calls it, where the system tells."""
    import platform
    import re
    import subprocess

    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    else:
        told = ""
        with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as known:  # noqa: PTH123 - one name less
            found = re.search(r"^model name\s*:\s*(.*\S)", known.read(), re.MULTILINE)
            told = found[1] if found else ""
    return told or platform.processor() or platform.machine()


def cores() -> int:
    """Return how many logical processors this process may use."""
    import os

    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def synchronise(device: str) -> None:
    """Wait until `device` has done what it was asked for."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def held_memory(device: str) -> dict[str, int]:
    """Return what this process holds now that is its own, and what torch holds on a GPU, in bytes.

    On Linux that is the anonymous memory, without mapped files; elsewhere all that is resident.
    """
    held = {"host_bytes": _anonymous() or _resident()}
    torch = sys.modules.get("torch")
    if device == "cuda" and torch is not None:
        held["device_bytes"] = int(torch.cuda.memory_reserved())
    elif device == "mps" and torch is not None:
        held["device_bytes"] = int(torch.mps.driver_allocated_memory())
    return held


def _anonymous() -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - one name less
            lines = [line.split() for line in status if line.startswith("RssAnon")]
    except OSError:
        return 0
    return int(lines[0][1]) * 1024 if lines else 0


def _resident() -> int:
    import os
    import subprocess

    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # Windows
        return 0
    return int(told) * 1024


def peak_memory(device: str) -> dict[str, int]:
    """Return the peak resident memory of this process and, on a GPU, of its device, in bytes."""
    peaks = {}
    try:
        import resource
    except ImportError:  # Windows
        pass
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peaks["host_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    torch = sys.modules.get("torch")
    if device == "cuda" and torch is not None:
        peaks["device_bytes"] = int(torch.cuda.max_memory_allocated())
    elif device == "mps" and torch is not None:
        peaks["device_bytes"] = int(torch.mps.driver_allocated_memory())
    return peaks
