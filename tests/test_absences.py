"""What xcompat does on systems that lack something, imitated here: the same as elsewhere.

`nox -s absences` runs many more tests like this, and takes long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from absences.absences import ABSENCES, environment_without
from builders import checkpoints
from builders import pickle_asm as asm
from xcompat.converters import write_tiny_release

if TYPE_CHECKING:
    from pathlib import Path

CHILD = """
import hashlib, json, locale, os, sys
from pathlib import Path
from xcompat.converters import convert, repair
from xcompat.converters.files import copying
from xcompat.converters.fleet import Way, convert_all, find_models
from xcompat.errors import XcompatError

model, out = map(Path, sys.argv[1:])
done = [convert(model, out / "both", format="both", verify=True)]
for _ in range(2):
    many = convert_all(find_models([model]).models, Way({}, output=out / "many"))
    done += [each.state for each in many]
repair(model, verify=True)
try:
    convert(model, out / "both", format="both")
except XcompatError as error:
    done.append(error.code)
digests = {
    path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
    for folder in (model, out)
    for path in sorted(folder.rglob("*"))
    if path.is_file() and path.name != "xcompat.json"
}
sys.stderr.write("caf\\u00e9 \\u2713\\n")
names = ("killpg", "posix_fallocate", "pread", "preadv", "pwrite")
has = [name for name in names if hasattr(os, name)]
has += ["fcntl"] if sys.modules.get("fcntl", True) else []
print(json.dumps({"done": done[1:], "digests": digests, "has": sorted(has),
    "threads": copying._threads(), "names": (model / "MODEL.pth").exists(),
    "encodings": [locale.getpreferredencoding(False), sys.stderr.encoding]}))
"""
EVERYTHING = {"fcntl", "killpg", "posix_fallocate", "pread", "preadv", "pwrite"}


def large(folder: Path) -> Path:
    """A model that is large enough for two threads, and for space to be asked for."""
    folder.mkdir()
    numel = 5 << 19
    tensor = {"gpt.big": asm.tensor(asm.storage("big", numel), (numel,))}
    content = {"data/big": bytes(range(256)) * (numel * 4 // 256)}
    checkpoints.write(folder, checkpoints.checkpoint(tensor, content))
    return folder


def act(folder: Path, model: Path, environment: dict[str, str]) -> dict[str, object]:
    copy = folder / "model"
    copy.mkdir(parents=True)
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(copy), str(folder / "out")],
        capture_output=True, timeout=120, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large(tmp_path_factory.mktemp("large") / "model")


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, object]:
    return act(tmp_path_factory.mktemp("usual"), model, {})


@pytest.mark.skipif(sys.platform != "linux", reason="what is missing there is missing")
@pytest.mark.parametrize("absence", ABSENCES)
def test_the_same_bytes_are_written(
    tmp_path: Path, model: Path, usual: dict[str, object], absence: str
) -> None:
    told = act(tmp_path, model, environment_without(absence))
    assert told["done"] == usual["done"] == ["converted", "unchanged", "XC110"]
    assert told["digests"] == usual["digests"]
    missing = set(ABSENCES[absence].get("XCOMPAT_WITHOUT", "").split(",")) & EVERYTHING
    assert set(told["has"]) == EVERYTHING - missing  # type: ignore[call-overload]
    assert told["names"] is ("names" in ABSENCES[absence].get("XCOMPAT_WITHOUT", ""))
    if {"preadv", "pwrite"} & missing:
        assert told["threads"] == 1
    expected = {"cp1252": ["cp1252", "cp1252"], "ascii": ["ANSI_X3.4-1968", "ascii"]}
    assert absence not in expected or told["encodings"] == expected[absence]


@pytest.mark.skipif(sys.platform != "linux", reason="the names of files are folded there anyway")
def test_names_that_differ_in_case_only_are_one_name(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "model")
    (tmp_path / "model/model.pth").rename(tmp_path / "model/Model.PTH")
    (tmp_path / "model/vocab.json").rename(tmp_path / "model/Vocab.json")
    words = [sys.executable, "-m", "xcompat", "convert", str(tmp_path / "model"), "--json"]

    def typed(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, **environment},
        )  # fmt: skip

    assert "XC112" in typed().stderr
    done = typed(**environment_without("names"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"model.safetensors", "vocab.json"} <= {file["path"] for file in told["files"]}
    assert not any("vocab.json" in note for note in told["notes"])
    # What is there under other letters is not written beside.
    target = tmp_path / "model-converted"
    (target / "model.safetensors").rename(target / "MODEL.safetensors")
    (target / "xcompat.json").unlink()
    again = typed(**environment_without("names"))
    assert (again.returncode, "error[XC110]" in again.stderr) == (4, True)


@pytest.mark.parametrize("absence", ["ascii", "cp1252"])
@pytest.mark.parametrize("words", [("doctor", "-r"), ("explain", "--error")])
def test_a_terminal_that_is_not_utf8_gets_what_it_can_show(
    tmp_path: Path, absence: str, words: tuple[str, ...]
) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_text("TTS==0.22.0\ntorch==2.9.1\n# “café” 声\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "xcompat", *words, str(asked)],
        capture_output=True, check=False, timeout=60,
        env={**os.environ, **environment_without(absence)},
    )  # fmt: skip
    assert done.returncode in {1, 3}, done.stderr
    assert done.stderr == b""
    assert done.stdout.decode("ascii" if absence == "ascii" else "cp1252")
