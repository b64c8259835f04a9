"""Machines with graphics cards: what their kernel shows in files, and what `nvidia-smi` says."""

import stat
from pathlib import Path

ANSWERS = {
    "H100": "NVIDIA H100 80GB HBM3, 580.65.06, 81559, 9.0",
    "H200": "NVIDIA H200, 580.159.04, 143771, 9.0",
    "RTX 5080 Laptop": "NVIDIA GeForce RTX 5080 Laptop GPU, 580.97, 16303, 12.0",
    "GTX 1060": "NVIDIA GeForce GTX 1060 6GB, 535.183.01, 6144, 6.1",
    "Tesla T4": "Tesla T4, 550.90.07, 15360, 7.5",
    "GTX 1050": "NVIDIA GeForce GTX 1050, 535.183.01, 2048, 6.1",
    "GB10": "NVIDIA GB10, 580.95.05, [N/A], 12.1",
}
"""To `--query-gpu=name,driver_version,memory.total,compute_cap`, by card."""


def make_nvidia_smi(folder: Path, script: str, name: str = "nvidia-smi") -> Path:
    """Make a program of that name, which is a shell script."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def saying(*lines: str) -> str:
    """Return a script that answers the question that xcompat asks, and no other."""
    answer = "\n".join(f"echo '{line}'" for line in lines)
    asked = "--query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader,nounits"
    return f'[ "$*" = "{asked}" ] || exit 2\n{answer}'


def write(root: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def add_pci(root: Path, device: str, vendor: str, driver: str = "", of: str = "0x030000") -> None:
    """Put a device on the PCI bus of a machine."""
    folder = root / "sys" / "bus" / "pci" / "devices" / device
    write(folder, {"class": f"{of}\n", "vendor": f"{vendor}\n"})
    if driver:
        place = root / "sys" / "bus" / "pci" / "drivers" / driver
        place.mkdir(parents=True, exist_ok=True)
        (folder / "driver").symlink_to(place)


def add_kfd(root: Path, node: int, target: int, memory: int = 0, cores: int = 0) -> None:
    """Put a node of AMD's compute driver into a machine: a card, or a processor (`target` 0)."""
    folder = root / "sys" / "class" / "kfd" / "kfd" / "topology" / "nodes" / str(node)
    properties = f"cpu_cores_count {cores}\nsimd_count 192\ngfx_target_version {target}\n"
    write(folder, {"properties": properties})
    if memory:
        bank = f"heap_type 1\nsize_in_bytes {memory}\nflags 0\nwidth 384\n"
        write(folder / "mem_banks" / "0", {"properties": bank})


def add_proc(root: Path, model: str, version: str = "535.183.01") -> None:
    """Put an NVIDIA card into a machine as its driver shows it in `/proc`."""
    told = (
        f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Sun May 12 19:39:15 UTC 2024"
    )
    card = f"Model: \t\t {model}\nIRQ:   \t\t 141\nGPU UUID: \t GPU-????????\nDevice Minor: \t 0\n"
    folder = root / "proc" / "driver" / "nvidia"
    write(folder, {"version": told + "\nGCC version:  gcc version 12.3.0\n"})
    write(folder / "gpus" / "0000:01:00.0", {"information": card})
