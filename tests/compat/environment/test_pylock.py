"""`pylock.toml` as an input; that of uv itself is read in `test_completeness`."""

import io

import pytest

from xcompat.environment.pins import pins_of
from xcompat.errors import Misuse

LOCK = """lock-version = "1.0"
created-by = "hand"
requires-python = ">=3.9"

[[packages]]
name = "Torch"
version = "2.9.1"
index = "https://example.org/whl/cu128"

[[packages]]
name = "torchaudio"
version = "2.9.1+cpu"

[[packages]]
name = "numpy"
version = "1.26.4"
marker = "python_version < '3.12'"

[[packages]]
name = "numpy"
version = "2.1.0"
marker = "python_version >= '3.12'"

[[packages]]
name = "pywin32"
version = "306"
marker = "sys_platform == 'win32'"

[[packages]]
name = "pytest"
version = "8.0"
marker = "'dev' in dependency_groups"

[[packages]]
name = "spacy"
version = "3.0"
marker = "'all' in extras"

[[packages]]
name = "TTS"
archive = {url = "https://example.org/TTS-0.22.0.tar.gz", hashes = {sha256 = "aa"}}

[[packages]]
name = "trainer"
vcs = {type = "git", url = "https://example.org/trainer", commit-id = "abc"}

[[packages]]
name = "my-app"
directory = {path = ".", editable = true}
"""


def read(text, python="3.11"):
    stdin = io.BytesIO(text.encode())
    return pins_of("-", stdin, python=python, platform="linux-x86_64")


def test_a_lock_is_complete():
    pins = read(LOCK)
    found = pins.environment
    assert found.packages == {
        "torch": "2.9.1", "torchaudio": "2.9.1+cpu", "numpy": "1.26.4", "TTS": "0.22.0",
        "trainer": "", "my-app": "",
    }  # fmt: skip
    assert found.builds == {"torch": "cu128", "torchaudio": "cpu"}
    assert found.complete
    assert found.lacks("torchcodec")
    assert not found.lacks("setuptools")
    assert found.notes == (
        "no version is said by trainer, my-app",
        "taken for all that is installed: it is a pylock.toml; --partial says otherwise",
    )
    assert pins.addresses.keys() == {"trainer", "my-app"}


def test_markers_are_about_the_target():
    assert read(LOCK, python="3.13").environment.packages["numpy"] == "2.1.0"
    unsaid = read(LOCK, python="").environment
    assert unsaid.packages["numpy"] == ""
    assert unsaid.notes[0].startswith("numpy is 1.26.4 or 2.1.0")


def test_a_file(tmp_path):
    path = tmp_path / "pylock.app.toml"
    path.write_text(LOCK)
    found = pins_of(str(path), io.BytesIO(), python="3.11", platform="linux-x86_64").environment
    assert (found.packages["torch"], found.source) == ("2.9.1", str(path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "Torch"', "name = 3", "<stdin>: `name` must be text, not int"),
        ('name = "Torch"\n', "", "<stdin>: `name` is missing"),
        ("[[packages]]", "[packages]", "<stdin>:"),
        ('"sys_platform == ', '"platform is ', "of `pywin32` is not a marker"),
        ('name = "Torch"', "name = ", "<stdin>:6: "),
        ('"numpy"\nversion = "2.1.0"\nmarker = "python_version >= \'3.12\'"',
         '"numpy"\nversion = "2.1.0"\nmarker = "python_version > \'3\'"', "numpy is pinned to"),
    ],
)  # fmt: skip
def test_what_is_no_lock_is_refused(old, new, message):
    text = LOCK.replace(old, new)
    assert text != LOCK
    with pytest.raises(Misuse) as caught:
        read(text)
    assert caught.value.code == "XC205"
    assert message in caught.value.message
