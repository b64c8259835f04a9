"""What torch and its companions were built for, from files that are read and never run."""

import pytest

from builders.environments import add_distribution, make_venv
from xcompat.environment.probe import environment_of


@pytest.mark.parametrize(
    ("version_py", "build"),
    [
        ("__version__ = '2.8.0+cu128'\ncuda: Optional[str] = '12.8'\n", "cu128"),
        ("__version__ = '2.8.0+cpu'\ncuda: Optional[str] = None\nhip = None\n", "cpu"),
        ("__version__ = '2.8.0+rocm6.4'\ncuda = None\nhip = '6.4.43482'\n", "rocm6.4"),
        ("__version__ = '2.8.0+xpu'\nxpu: Optional[str] = '20250101'\n", "xpu"),
        # As conda and other makers build it.
        ("__version__ = '2.8.0'\ncuda: Optional[str] = '12.9'\n", "cu129"),
        ("__version__ = '2.8.0a0+34c6371d24'\ncuda = '13.0'\n", "cu130"),
        ("__version__ = '2.8.0'\ncuda = None\nhip: Optional[str] = '7.0.51831'\n", "rocm7.0"),
        ("__version__ = '2.8.0'\ncuda: Optional[str] = None\nhip = None\n", ""),
        ("", ""),
    ],
)
def test_the_build_of_torch(tmp_path, version_py, build):
    site = make_venv(tmp_path / "venv", {"torch": "2.8.0"})
    (site / "torch").mkdir()
    (site / "torch" / "version.py").write_text(version_py)
    assert environment_of(str(tmp_path / "venv")).builds.get("torch", "") == build


def test_the_build_of_torchcodec(tmp_path):
    site = make_venv(tmp_path / "venv")
    add_distribution(site, "torchcodec", "0.14.0")
    (site / "torchcodec").mkdir()
    (site / "torchcodec" / "version.py").write_text("__version__ = '0.14.0+cu130'\n")
    assert environment_of(str(tmp_path / "venv")).builds == {"torchcodec": "cu130"}


def test_a_version_that_says_it_itself(tmp_path):
    make_venv(tmp_path / "venv", {"torch": "2.8.0+cu126"})
    assert environment_of(str(tmp_path / "venv")).builds == {"torch": "cu126"}
