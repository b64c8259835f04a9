"""Reads what torch and its companions were built for: `nox -s gpu_architectures`.

Of a wheel of most of a gigabyte two files are fetched, by byte ranges: `version.py` and, of a CUDA
build of torch, `libtorch_python.so`, which holds what `torch.cuda.get_arch_list()` returns. For
torch 2.5.1, 2.9.1 and 2.13.0 that is what cuobjdump lists in `libtorch_cuda.so`; PTX it lists none.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import urllib.request
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

PLATFORMS = {
    "linux-x86_64": "x86_64-manylinux_2_28",
    "linux-aarch64": "aarch64-manylinux_2_28",
    "win-amd64": "x86_64-pc-windows-msvc",
}
"""Platforms as xcompat names them, and as uv does."""
LIBRARY = "torch/lib/libtorch_python.so"
BEGINS = (
    "# Read from the wheels by `nox -s gpu_architectures`; what follows is not edited by hand.\n"
)

# What stands before it is no zero byte where the compiler put pieces of other texts there.
_ARCHITECTURES = re.compile(rb"sm_\d+[a-z]?(?: (?:sm|compute)_\d+[a-z]?)+(?=\0)")


class Wheel(NamedTuple):
    """What one wheel of the default index is."""

    distribution: str
    platform: str
    build: str
    """As the local version of torch says it: `cu121`, `cpu`."""
    architectures: str
    """As `torch.cuda.get_arch_list()` returns them; empty for what is not torch for CUDA."""


class RemoteFile(io.RawIOBase):
    """A file on a server, read by byte ranges."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = starts[whence] + offset
        return self._position

    def readinto(self, buffer) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        wanted = {"Range": f"bytes={self._position}-{end - 1}"}
        request = urllib.request.Request(self._url, headers=wanted)
        with urllib.request.urlopen(request, timeout=120) as answer:
            if answer.status != 206:
                raise OSError(f"the server has no byte ranges: status {answer.status}")
            data = answer.read()
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def located(distribution: str, version: str, platform: str) -> tuple[str, int] | None:
    """Return the address and the size of a wheel on the index, or None where there is none."""
    solved = subprocess.run(
        [
            *("uv", "pip", "compile", "--quiet", "--no-config", "--no-deps", "--no-header", "-"),
            *("--python-version", "3.11", "--python-platform", PLATFORMS[platform]),
            *("--only-binary", ":all:", "--format", "pylock.toml"),
        ],
        input=f"{distribution}=={version}",
        capture_output=True,
        text=True,
        check=False,
    )
    if solved.returncode and "no wheels with a matching" in solved.stderr:
        return None
    if solved.returncode:
        raise OSError(solved.stderr)
    wheel = re.search(r'url = "(\S+\.whl)".*size = (\d+)', solved.stdout)
    assert wheel is not None, solved.stdout
    return wheel[1], int(wheel[2])


def read(distribution: str, version: str, platform: str, place: tuple[str, int]) -> Wheel:
    """Return what a wheel is, from two of its files."""
    with zipfile.ZipFile(io.BufferedReader(RemoteFile(*place), 1 << 22)) as wheel:
        told = assigned(wheel.read(f"{distribution}/version.py").decode())
        public, _, build = str(told["__version__"]).partition("+")
        assert public == version, f"this is {distribution} {public}"
        if not build and told.get("cuda"):
            raise ValueError(f"{distribution} {version} is a CUDA build that says so nowhere")
        architectures = ""
        if distribution == "torch" and build.startswith("cu"):
            (found,) = set(_ARCHITECTURES.findall(wheel.read(LIBRARY)))
            architectures = found.decode()
        return Wheel(distribution, platform, build or "cpu", architectures)


def assigned(text: str) -> dict[str, object]:
    """Return the literals that a module assigns to names."""
    found: dict[str, object] = {}
    for node in ast.parse(text).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant):
            found[target.id] = node.value.value
    return found


def written(versions: dict[Wheel, list[str]]) -> str:
    """Return the tables of the wheels, each with the versions that are alike."""
    tables = []
    for wheel, alike in sorted(versions.items(), key=lambda each: (each[0][:2], _key(each[1]))):
        lines = ["[[wheel]]", f'distribution = "{wheel.distribution}"']
        lines += [f'platform = "{wheel.platform}"', f'build = "{wheel.build}"']
        if wheel.architectures:
            lines.append(f'architectures = "{wheel.architectures}"')
        lines.append(f'versions = "{" ".join(sorted(alike, key=Version))}"')
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _key(alike: list[str]) -> Version:
    return min(map(Version, alike))


def main(arguments: list[str]) -> None:
    """Write into a file what the wheels of the named versions are: `torch==2.8.0 torch==2.9.1`."""
    target = Path(arguments[0])
    versions = defaultdict(list)
    for requirement in arguments[1:]:
        distribution, _, version = requirement.partition("==")
        for platform in PLATFORMS:
            if place := located(distribution, version, platform):
                wheel = read(distribution, version, platform, place)
                versions[wheel].append(version)
                print(version, *wheel, flush=True)
    by_hand = target.read_text("utf-8").partition(BEGINS)[0]
    target.write_text(by_hand + BEGINS + "\n" + written(versions), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
