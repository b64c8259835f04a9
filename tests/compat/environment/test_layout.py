"""Where an installation keeps its distributions, with real environments and real interpreters."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from builders.environments import add_distribution, answer_of, make_interpreter, make_venv
from xcompat.environment.probe import environment_of
from xcompat.errors import CannotLook

FULL = ".".join(map(str, sys.version_info[:3]))
MINOR = ".".join(map(str, sys.version_info[:2]))
ONLY = {"torch": "2.9.1"}


@pytest.fixture
def real(tmp_path):
    """Make a virtual environment of the Python that runs the tests, with one distribution."""
    root = tmp_path / "v"
    venv.create(root, symlinks=os.name != "nt")
    (site,) = {path.resolve() for path in root.glob("[Ll]ib*/**/site-packages")}
    add_distribution(site, "torch", "2.9.1")
    return root


def without_versions(root):
    """Return the settings of a virtual environment that say no version."""
    lines = (root / "pyvenv.cfg").read_text("utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines if not line.startswith("version"))


@pytest.mark.parametrize(
    ("settings", "version"),
    [
        ("version = {full}", FULL),
        ("version = {minor}", MINOR),
        ("version_info = {full}.final.0", FULL),
        ("version_info = {minor}", MINOR),
        ("version_info = {minor}\nversion = {full}", FULL),
        ("version = {minor}\nversion_info = {full}.final.0", FULL),
        ('version = "{full}"', FULL),
        ("version='{minor}'", MINOR),
        ("VERSION = {full}", FULL),
        ("version =", MINOR),
        ("version = new", MINOR),
        ("version = 3", MINOR),
        ("", MINOR),
    ],
)
def test_an_environment_is_never_its_base(real, settings, version):
    (real / "pyvenv.cfg").write_text(
        without_versions(real) + settings.format(full=FULL, minor=MINOR) + "\n"
    )
    found = environment_of(str(real))
    assert found.packages == ONLY
    assert found.python == version
    assert found.source == str(real)
    assert Path(found.interpreter).parent.parent == real


def test_the_base_is_asked_where_two_pythons_have_folders(real):
    (real / "pyvenv.cfg").write_text(without_versions(real))
    add_distribution(real / "lib/python3.4/site-packages", "torch", "1.0")
    found = environment_of(str(real))
    assert (found.packages, found.python) == (ONLY, FULL)


def test_the_base_is_asked_where_the_version_said_has_no_folder(real):
    (real / "pyvenv.cfg").write_text(without_versions(real) + "version = 3.4.1\n")
    found = environment_of(str(real))
    assert (found.packages, found.python) == (ONLY, FULL)


def test_an_environment_whose_folder_is_of_another_python_is_broken(real):
    (real / f"lib/python{MINOR}").rename(real / "lib/python3.4")
    with pytest.raises(CannotLook, match=f"no site-packages of Python {MINOR}") as caught:
        environment_of(str(real))
    assert caught.value.code == "XC203"


def test_the_version_of_a_folder_that_no_interpreter_tells(tmp_path):
    make_venv(tmp_path / "v", ONLY, version="3.12.1")
    (tmp_path / "v/pyvenv.cfg").write_text("home = /nowhere\n")
    assert environment_of(str(tmp_path / "v")).python == "3.12"
    (tmp_path / "v/lib/python3.12").rename(tmp_path / "v/lib/pypy3.10")
    assert environment_of(str(tmp_path / "v")).python == "3.10"


@pytest.mark.parametrize("home", ["kept", "quoted", "missing", "wrong"])
@pytest.mark.parametrize("version", ["", "version = {minor}\n"])
def test_the_packages_of_the_base_are_seen_behind_its_own(real, home, version):
    lines = without_versions(real).splitlines()
    said = next(line.partition("=")[2].strip() for line in lines if line.startswith("home"))
    homes = {"kept": said, "quoted": f'"{said}"', "missing": None, "wrong": "/nowhere"}
    settings = [line for line in lines if not line.startswith(("home", "include"))]
    settings.append("include-system-site-packages = TRUE")
    if homes[home]:
        settings.append(f"home = {homes[home]}")
    text = "".join(f"{line}\n" for line in settings) + version.format(minor=MINOR)
    (real / "pyvenv.cfg").write_text(text)
    base = environment_of(os.path.realpath(sys.executable)).packages
    found = environment_of(str(real))
    assert found.packages == {**base, **ONLY}
    assert found.source == str(real)


class TestPathFiles:
    @pytest.fixture
    def parts(self, tmp_path):
        """Make folders beside an environment, each with a distribution."""
        for name, version in (("transformers", "4.40.2"), ("TTS", "0.22.0"), ("torch", "1.0")):
            add_distribution(tmp_path / f"parts/{name}", name, version)
        return tmp_path / "parts"

    @pytest.fixture
    def site(self, real):
        (site,) = {path.resolve() for path in real.glob("[Ll]ib*/**/site-packages")}
        return site

    def inside(self, real):
        """Return what the environment's own Python finds, with all its start-up code."""
        code = (
            "import importlib.metadata as m; "
            "print(*{d.name: None for d in m.distributions()}, sep='\\n')"
        )
        python = real / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        command = [python, "-I", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    def test_folders_are_followed_as_python_follows_them(self, real, site, parts):
        (site / "absolute.pth").write_text(f"# a comment\n\n{parts / 'transformers'}  \n")
        (site / "relative.pth").write_bytes(
            f"\r\n{os.path.relpath(parts / 'TTS', site)}\r\n".encode()
        )
        (site / "gone.pth").write_text(f"{parts / 'gone'}\n{parts}\0\n")
        (site / "file.pth").write_text(f"{site / 'file.pth'}\n")
        (site / ".hidden.pth").write_text(f"{parts / 'torch'}\n")
        found = environment_of(str(real))
        assert found.packages == {"torch": "2.9.1", "transformers": "4.40.2", "TTS": "0.22.0"}
        assert found.notes == ()
        assert found.duplicates == {}

    def test_they_are_what_the_environment_sees_from_inside(self, real, site, parts):
        (site / "all.pth").write_text("".join(f"{folder}\n" for folder in parts.iterdir()))
        assert set(environment_of(str(real)).packages) == self.inside(real)

    def test_an_environment_in_which_a_file_leads_to_itself(self, real, site, parts):
        (site / "loop.pth").write_text(f"{site}\n.\n{parts / 'TTS'}\n{parts / 'TTS'}\n")
        (parts / "TTS/more.pth").write_text(f"{parts / 'transformers'}\n")
        found = environment_of(str(real))
        assert found.packages == {"torch": "2.9.1", "TTS": "0.22.0"}
        assert found.duplicates == {}

    def test_what_the_site_folder_has_comes_first(self, real, site, parts):
        (site / "all.pth").write_text(f"{parts / 'torch'}\n")
        assert environment_of(str(real)).packages == ONLY

    def test_code_stays_unread_and_is_told(self, real, site, tmp_path):
        marker = tmp_path / "was-run"
        code = f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n"
        (site / "overlay.pth").write_text(code)
        (site / "tabbed.pth").write_text("import\tos\n")
        found = environment_of(str(real))
        told = "runs code at start: what that puts in place is not seen"
        assert found.notes == (f"{site / 'overlay.pth'} {told}", f"{site / 'tabbed.pth'} {told}")
        assert not marker.exists()

    @pytest.mark.parametrize(
        "name",
        [
            "distutils-precedence.pth",
            "__editable___TTS_0_22_0_finder.pth",
            "google_cloud-3.0-py3.11-nspkg.pth",
            "a1_coverage.pth",
            "_virtualenv.pth",
        ],
    )
    def test_code_that_hides_no_distribution_is_not_told(self, real, site, name):
        (site / name).write_text("import sys\n")
        assert environment_of(str(real)).notes == ()

    def test_a_base_has_path_files_as_well(self, real, site, parts, tmp_path):
        base = tmp_path / "base/site-packages"
        base.mkdir(parents=True)
        (base / "all.pth").write_text(f"{parts / 'torch'}\n{parts / 'TTS'}\n")
        make_interpreter(tmp_path / f"base/python{MINOR}", answer_of(base))
        alone = environment_of(str(tmp_path / f"base/python{MINOR}"))
        assert alone.packages == {"torch": "1.0", "TTS": "0.22.0"}
        (real / "pyvenv.cfg").write_text(
            f"home = {tmp_path / 'base'}\nversion = {FULL}\ninclude-system-site-packages = true\n"
        )
        (site / "own.pth").write_text(f"{parts / 'transformers'}\n")
        found = environment_of(str(real))
        assert found.packages == {"torch": "2.9.1", "TTS": "0.22.0", "transformers": "4.40.2"}

    def test_an_editable_install_by_a_link_and_by_a_path_file_is_one(self, real, site, tmp_path):
        source = tmp_path / "TTS-src"
        add_distribution(source, "TTS", "0.22.0", kind="egg-info")
        (source / "TTS-0.22.0.egg-info").rename(source / "TTS.egg-info")
        (site / "TTS.egg-link").write_text(f"{source}\n.")
        (site / "easy-install.pth").write_text(f"{source}\n")
        found = environment_of(str(real))
        assert (found.packages["TTS"], found.duplicates) == ("0.22.0", {})
