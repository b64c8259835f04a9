"""A conversion runs under an audit hook: it imports, executes, starts and connects to nothing.

The canary is a module that leaves a mark when it is imported; the checkpoint names it in every way
that pickles and archives have.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builders import checkpoints, zip_forge
from builders import pickle_asm as asm

if TYPE_CHECKING:
    from pathlib import Path

CHILD = """
import encodings.utf_8_sig
import hashlib
import sys
from pathlib import Path
from xcompat.converters import convert, repair
from xcompat.errors import XcompatError

source, target = Path(sys.argv[1]), sys.argv[2]
started_with = frozenset(sys.modules)
FORBIDDEN = ("exec", "compile", "marshal.", "pickle.", "subprocess.", "os.system", "os.exec",
             "os.posix_spawn", "os.fork", "socket.", "ctypes.", "shutil.unpack", "code.__new__")
WRITES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink"}

def hook(event, args):
    if event == "import" and args[0] not in started_with:
        trip(event, args)
    elif event.startswith(FORBIDDEN):
        trip(event, args)
    elif event == "open" and isinstance(args[0], (str, Path)):
        flags = args[2] if isinstance(args[2], int) else 0
        if flags & 3 and not str(args[0]).startswith(target):
            trip(event, args)
    elif event == "fcntl.ioctl" and args[1] != 0x4020940D:
        trip(event, args)
    elif event in WRITES and not str(args[0]).startswith(target):
        trip(event, args)

def trip(event, args):
    sys.stderr.write(f"tripped: {event} {args!r:.200}\\n")
    sys.stderr.flush()
    import os
    os._exit(99)

sys.addaudithook(hook)
try:
    for options in ({}, {"dtype": "bfloat16", "verify": True, "sha256": True}):
        convert(source, Path(target), format="both", force=True, **options)
    kept = Path(target, "in place")
    kept.mkdir()
    kept.joinpath("model.pth").write_bytes(source.read_bytes())
    repair(kept, verify=True)
except XcompatError as error:
    sys.stdout.write(error.code)
"""


def run(source: Path, folder: Path) -> tuple[int, str, str]:
    """Convert in a child process whose import path has the canary on it."""
    (folder / "canary.py").write_text(
        f"open({str(folder / 'mark')!r}, 'w').close()\ndef sing(*args): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{CHILD}",
         str(source), str(folder / "out")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


PAYLOADS = {
    "GLOBAL": asm.call(asm.name("canary", "sing")),
    "STACK_GLOBAL": asm.text("canary") + asm.text("sing") + asm.STACK_GLOBAL,
    "INST": asm.inst("canary", "sing"),
    "NEWOBJ": asm.name("canary", "sing") + asm.EMPTY_TUPLE + asm.NEWOBJ,
    "os.system": asm.call(asm.name("os", "system"), asm.text("touch mark")),
    "eval": asm.call(asm.name("builtins", "eval"), asm.text("__import__('canary')")),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_does_nothing(payload: bytes, tmp_path: Path) -> None:
    source = checkpoints.write(tmp_path, checkpoints.checkpoint(extra=payload))
    assert run(source, tmp_path) == (0, "XC104", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["canary.py", "model.pth"]


def test_a_bare_pickle_does_nothing(tmp_path: Path) -> None:
    source = checkpoints.write(tmp_path, asm.pickle(PAYLOADS["GLOBAL"]))
    assert run(source, tmp_path) == (0, "XC104", "")
    assert not (tmp_path / "mark").exists()


def test_a_script_in_an_archive_does_nothing(tmp_path: Path) -> None:
    tensors, content = checkpoints.state_dict()
    pickle = asm.pickle(asm.dict_({"model": asm.ordered_dict(tensors)}))
    entries = checkpoints.entries(pickle, {**content, "code/canary.py": b"import canary"})
    source = checkpoints.write(tmp_path, zip_forge.archive(entries))
    assert run(source, tmp_path) == (0, "", "")
    assert not (tmp_path / "mark").exists()
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_the_tripwire_trips(tmp_path: Path) -> None:
    source = checkpoints.write(tmp_path, checkpoints.checkpoint())
    child = CHILD.replace("try:", "import canary\ntry:", 1)
    (tmp_path / "canary.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{child}",
         str(source), str(tmp_path / "out")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "tripped: import" in done.stderr) == (99, True)
