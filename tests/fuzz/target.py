"""What a fuzzer calls with one file: convert it, and hold the outcome against what is promised.

Either a typed error and an untouched folder, or files from which an independent reader takes the
tensors that the file holds. Anything else is an exception of this module, or one of the converter.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from math import prod
from typing import TYPE_CHECKING

import safetensors

from xcompat.converters import convert
from xcompat.converters.containers.torch_source import TorchSource
from xcompat.converters.model.recognition import read_model
from xcompat.errors import XcompatError

if TYPE_CHECKING:
    from pathlib import Path

    from xcompat.converters.values.tensors import Tensor

FORBIDDEN = ("exec", "compile", "marshal.", "pickle.", "subprocess.", "os.system", "os.exec",
             "os.posix_spawn", "os.fork", "socket.", "ctypes.", "code.__new__")  # fmt: skip
SMALL = 1 << 20
"""Elements up to which tensors are compared one by one."""


class Broken(AssertionError):  # noqa: N818 - what it is
    """A promise of the converter that did not hold."""


class Watch:
    """Ends a conversion as soon as it imports, executes, starts or connects to anything."""

    def __init__(self) -> None:
        self._active = False
        sys.addaudithook(self._hook)

    def __enter__(self) -> None:
        self._active = True

    def __exit__(self, *_: object) -> None:
        self._active = False

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if self._active and (event == "import" or event.startswith(FORBIDDEN)):
            self._active = False
            raise Broken(f"{event} {args!r:.200}")


WATCH = Watch()


def check(data: bytes, folder: Path) -> str:
    """Convert a file with this content in an empty folder; return the outcome's code.

    Raises:
        Broken: The outcome is not one of those that are promised.
    """
    source = folder / "model.pth"
    output = folder / "out"
    source.write_bytes(data)
    try:
        with WATCH:
            convert(source, output, format="both")
    except XcompatError as error:
        check_refusal(error, output)
        return error.code
    else:
        check_result(source, output)
    finally:
        shutil.rmtree(output, ignore_errors=True)
    if source.read_bytes() != data:
        raise Broken("the source was changed")
    return "converted"


def check_refusal(error: XcompatError, output: Path) -> None:
    """Make sure that a refusal is one line for people and left nothing behind."""
    if output.exists():
        raise Broken(f"{error.code} left {sorted(output.iterdir())} behind")
    if not error.message.isprintable() or len(error.message) > 2000:
        raise Broken(f"{error.code} is not one line for people: {error.message!r:.200}")


def check_result(source: Path, output: Path) -> None:
    """Compare both outputs with the source, each through another reader than ours."""
    if any(path.name.endswith(".part") for path in output.iterdir()):
        raise Broken("a temporary file was left behind")
    expected = told_by(source)
    content = (output / "model.safetensors").read_bytes()
    found = {
        name: (item["dtype"], tuple(item["shape"]), bytes(item["data"]))
        for name, item in safetensors.deserialize(content)
    }
    if found != expected:
        raise Broken("the safetensors file holds something else")
    with zipfile.ZipFile(output / "model.pth") as archive:
        if archive.testzip() is not None:
            raise Broken("the written archive is damaged")
    if told_by(output / "model.pth") != expected:
        raise Broken("the written checkpoint holds something else")


def told_by(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return the tensors of a checkpoint; the bytes come from the standard library's zipfile."""
    with TorchSource(path) as checkpoint, zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/", 1)[0]
        tensors = read_model(checkpoint.value).tensors
        storages = {
            key: archive.read(f"{root}/data/{key}")
            for key in {tensor.storage.key for tensor in tensors.values()}
        }
        return {
            name: (
                tensor.storage.dtype.name,
                tensor.shape,
                elements(tensor, storages[tensor.storage.key]),
            )
            for name, tensor in tensors.items()
        }


def elements(tensor: Tensor, storage: bytes) -> bytes:
    """The packed elements of a view, the slow and obvious way."""
    size = tensor.storage.dtype.itemsize
    places = [tensor.offset] if prod(tensor.shape) else []
    if prod(tensor.shape) > SMALL:
        raise Broken(f"a tensor of {prod(tensor.shape)} elements from {len(storage)} bytes")
    for length, step in zip(tensor.shape, tensor.stride, strict=True):
        places = [place + index * step for place in places for index in range(length)]
    return b"".join(storage[place * size : (place + 1) * size] for place in places)
