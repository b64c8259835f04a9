"""What an app patches when Python starts is read, and never run."""

from __future__ import annotations

import pytest

from xcompat.environment.customisation import customised
from xcompat.environment.probe import environment_of

PATCHES = """
import importlib, os, sys
import torchaudio, soundfile as sf
from transformers import pytorch_utils as helpers

(PLACE).write_text("it ran")
raise SystemExit("it ran")

def replace(mod, attr="check_torch_load_is_safe", *, other="b"):
    if hasattr(mod, attr):
        setattr(mod, attr, lambda: None)
    if mod.__name__ == "transformers.pytorch_utils" and not hasattr(mod, "isin_mps_friendly"):
        mod.isin_mps_friendly = min
    else:
        mod.something = 1
    if mod.__name__ == "huggingface_hub":
        setattr(mod, attr, 1)

class Loader:
    def __init__(self, original):
        self.original = original

try:
    torchaudio.load = sf.read
except Exception:
    pass
helpers.prune = None
setattr(sys.modules["torch"], "load", 1)
importlib.import_module("a.b").c = 1
os.environ["ONE"] = "1"
os.environ.setdefault("TWO", "1")
x = y = 1
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


def test_what_is_replaced_is_read_and_not_run(folder, tmp_path):
    file = folder / "sitecustomize.py"
    place = tmp_path / "ran"
    file.write_text(PATCHES.replace("PLACE", f"__import__('pathlib').Path({str(place)!r})"))
    told = customised([folder], {})
    assert {patch.name for patch in told.patches} == {
        "transformers.pytorch_utils.isin_mps_friendly",
        "huggingface_hub.check_torch_load_is_safe",
        "torchaudio.load",
        "transformers.pytorch_utils.prune",
        "torch.load",
        "a.b.c",
        "ONE",
        "TWO",
    }
    lines = file.read_text().splitlines()
    for patch in told.patches:
        path, _, line = patch.place.rpartition(":")
        assert (path, patch.name.rpartition(".")[2] in lines[int(line) - 1]) == (
            str(file),
            True,
        ) or (patch.name.startswith("huggingface_hub."))
    assert told.notes == (
        f"{file} runs at the start of Python; what it replaces in line 11, 15 was not read",
    )
    assert not place.exists()


def test_python_takes_the_first_of_each_name(folder, tmp_path):
    (tmp_path / "before").mkdir()
    (tmp_path / "before" / "sitecustomize.py").write_text("import torch\ntorch.load = 1\n")
    (folder / "sitecustomize.py").write_text("import torch\ntorch.save = 1\n")
    (folder / "usercustomize.py").write_text("import torch\ntorch.cat = 1\n")
    told = customised([folder], {"PYTHONPATH": str(tmp_path / "before")})
    assert [patch.name for patch in told.patches] == ["torch.load", "torch.cat"]
    assert [patch.name for patch in customised([folder], {}).patches] == ["torch.save", "torch.cat"]


def test_what_is_no_python_is_told(folder):
    (folder / "sitecustomize.py").write_text("import torch\ntorch.load = (\n")
    told = customised([folder], {})
    assert told.patches == ()
    assert "cannot be read" in told.notes[0]


def test_an_environment_without_any_has_none(folder):
    assert customised([folder], {}) == ((), ())


def test_an_environment_that_is_looked_at_says_what_it_patches(tmp_path):
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").write_text("version = 3.11.7\n")
    (tmp_path / "venv" / "bin").mkdir()
    (tmp_path / "venv" / "bin" / "python").touch()
    (site / "sitecustomize.py").write_text("import torch\ntorch.load = 1\n")
    (patch,) = environment_of(str(tmp_path / "venv")).patches
    assert patch == ("torch.load", f"{site / 'sitecustomize.py'}:2")
