"""What is not as it was installed is seen from RECORD."""

import base64
import hashlib

import pytest

from builders.environments import TTS_22, make_venv
from xcompat.environment.integrity import signs_of_damage
from xcompat.environment.probe import environment_of

FILES = {
    "TTS": [
        "TTS/__init__.py", "TTS/api.py", "TTS/utils/io.py", "TTS/tts/models/xtts.py",
        "TTS/tts/layers/xtts/tokenizer.py", "TTS/vc/models/freevc.py", "TTS/server/server.py",
    ],
    "torch": ["torch/__init__.py", "torch/serialization.py"],
    "coqpit": ["coqpit/__init__.py"],
    "trainer": ["trainer/__init__.py", "trainer/io.py"],
}  # fmt: skip


def line(site, name):
    content = (site / name).read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


@pytest.fixture
def site(tmp_path):
    """An environment with real files and a RECORD of each distribution."""
    site = make_venv(tmp_path / "venv", {**TTS_22, "coqpit": "0.0.17", "trainer": "0.0.36"})
    for distribution, names in FILES.items():
        for name in names:
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(f"# {name}\n")
        (info,) = site.glob(f"{distribution}-*.dist-info")
        record = "".join(line(site, name) for name in names)
        record += (
            f"TTS/__pycache__/api.cpython-311.pyc,,\n../../../bin/tts.py,,\n{info.name}/RECORD,,\n"
        )
        (info / "RECORD").write_text(record)
    return site


def signs(site):
    return dict(environment_of(str(site.parents[2])).signs)


def test_what_is_as_it_was_installed_gives_no_sign(site):
    assert signs(site) == {}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["TTS/vc/models/freevc.py"], {"missing-files": ("TTS: TTS/vc/models/freevc.py",)}),
        (
            ["TTS/vc/models/freevc.py", "TTS/server/server.py"],
            {"missing-files": ("TTS: TTS/vc/models/freevc.py and 1 more",)},
        ),
        (
            ["TTS/server/server.py", "TTS/tts/models/xtts.py"],
            {"missing-xtts-files": ("TTS: TTS/tts/models/xtts.py and 1 more",)},
        ),
        (["coqpit/__init__.py"], {"missing-xtts-files": ("coqpit: coqpit/__init__.py",)}),
        (["torch/serialization.py"], {}),
    ],
)
def test_missing_files(site, names, expected):
    for name in names:
        (site / name).unlink()
    assert signs(site) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TTS/utils/io.py", {"patched-load": ("TTS: TTS/utils/io.py",)}),
        ("trainer/io.py", {"patched-load": ("trainer: trainer/io.py",)}),
        ("torch/serialization.py", {"patched-load": ("torch: torch/serialization.py",)}),
        ("TTS/tts/models/xtts.py", {"changed-files": ("TTS: TTS/tts/models/xtts.py",)}),
    ],
)
@pytest.mark.parametrize("same_size", [True, False])
def test_changed_files(site, name, expected, same_size):
    before = (site / name).read_text()
    (site / name).write_text(before.replace("#", "!") if same_size else before + "patched\n")
    assert signs(site) == expected


def test_a_file_that_xtts_does_not_run_is_judged_by_its_size(site):
    before = (site / "TTS/server/server.py").read_text()
    (site / "TTS/server/server.py").write_text(before.replace("#", "!"))
    assert signs(site) == {}
    (site / "TTS/server/server.py").write_text(before * 2)
    assert signs(site) == {"changed-files": ("TTS: TTS/server/server.py",)}


@pytest.mark.parametrize("name", ["sitecustomize.py", "usercustomize.py"])
def test_a_start_up_module_that_changes_torch_load(site, name):
    (site / name).write_text("import coverage\n")
    assert signs(site) == {}
    (site / name).write_text("import torch\ntorch.load = partial(torch.load, weights_only=False)\n")
    assert signs(site) == {"patched-load": (str(site / name),)}


@pytest.mark.parametrize("record", [None, "", "garbage\n,,\nTTS/x.py,sha256,x\n", "\udcff,,\n"])
def test_a_record_that_says_little_is_no_sign(tmp_path, record):
    info = tmp_path / "TTS-0.22.0.dist-info"
    info.mkdir()
    (tmp_path / "TTS").mkdir()
    (tmp_path / "TTS" / "x.py").touch()
    if record is not None:
        (info / "RECORD").write_bytes(record.encode("utf-8", "surrogateescape"))
    assert signs_of_damage({"TTS": info}, (tmp_path,)) == {}
