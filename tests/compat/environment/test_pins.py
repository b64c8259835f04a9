import io

import pytest

from xcompat.environment.pins import environment_of_pins
from xcompat.errors import CannotLook, Misuse


def read(text, **where):
    content = text if isinstance(text, bytes) else text.encode()
    return environment_of_pins(
        "-", io.BytesIO(content), **{"python": "3.11", "platform": "linux-x86_64", **where}
    )


def test_pins():
    found = read("TTS==0.22.0\nTorch == 2.9.1+cu128\nCoqui_TTS===0.28.0\n")
    assert found.packages == {"TTS": "0.22.0", "torch": "2.9.1+cu128", "coqui-tts": "0.28.0"}
    assert found.builds == {"torch": "cu128"}
    assert not found.complete
    assert found.source == "<stdin>"


@pytest.mark.parametrize(
    "text",
    [
        "torch==2.9.1  # why",
        "# a comment\n\n   torch==2.9.1\n#last",
        "torch==2.9.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n",
        "torch==2.9.1 --hash sha256:aa",
        "torch[opt]==2.9.1",
        "torch==2.9.1; python_version >= '3.10'",
        "torch==2.9.1\nnumpy==1; sys_platform == 'darwin'",
        "torch==2.9.1\nnumpy>=1; platform_machine == 'arm64'",
        "torch==2.9.1\nnumpy; extra == 'all'",
        "--index-url https://example.org/simple\n-i https://x\n--pre\ntorch==2.9.1",
        "--extra-index-url=https://x\n-f./wheels\ntorch==2.9.1",
        "torch==2.9.1\ntorch==2.9.1",
        "torch @ https://example.org/whl/torch-2.9.1-cp311-cp311-linux_x86_64.whl#sha256=a",
        "\ufefftorch==2.9.1\r\n",
        "torch==2.9.1".encode("utf-16"),
        b"torch==2.9.1 \\",
    ],
    ids=repr,
)
def test_what_pip_and_its_friends_write(text):
    assert read(text).packages == {"torch": "2.9.1"}


def test_markers_are_about_the_target():
    text = "torch==2.2.2; sys_platform == 'darwin' and platform_machine == 'x86_64'\n"
    assert read(text, platform="macosx-x86_64").packages == {"torch": "2.2.2"}
    assert read(text, platform="macosx-arm64").packages == {}
    windows = "torch==1; os_name == 'nt' and platform_machine == 'AMD64'"
    assert read(windows, platform="win-amd64").packages == {"torch": "1"}
    assert read("torch==1; python_version < '3.10'", python="3.9.2").packages == {"torch": "1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torch", "<stdin>:1: `torch` does not pin one version"),
        ("\ntorch>=2.9", "<stdin>:2: `torch>=2.9` does not pin one version"),
        ("torch==2.9.*", "`torch==2.9.*` does not pin one version"),
        ("torch==2.9.1,>2", "does not pin one version"),
        ("torch==1\ntorch==2", "<stdin>:2: torch is pinned to 2, and to 1 at <stdin>:1"),
        ("torch=2.9.1", "<stdin>:1: `torch=2.9.1` is not a requirement"),
        ("-e .", "<stdin>:1: the option `-e` is not understood"),
        ("-c constraints.txt", "the option `-c` is not understood"),
        ("./torch.whl", "is a path or an address, not a pin"),
        ("git+https://example.org/x", "is a path or an address, not a pin"),
        ("x \\\n\n\\\ntorch>2", "<stdin>:3: `torch>2`"),
    ],
)
def test_what_is_no_pin_is_refused_with_its_place(text, message):
    if text.startswith("x "):
        text = text.replace("x ", "# ")
    with pytest.raises(Misuse) as caught:
        read(text)
    assert caught.value.code == "XC205"
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_files_include_files(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "a.txt").write_text("-r more/b.txt\nTTS==0.22.0\n--requirement=c.txt\n")
    (tmp_path / "more/b.txt").write_text("torch==2.9.1\n-r../d.txt\n")
    (tmp_path / "c.txt").write_text("six==1.17.0\n")
    (tmp_path / "d.txt").write_text("numpy==1.26.4\n")
    found = environment_of_pins(
        str(tmp_path / "a.txt"), io.BytesIO(), python="", platform="linux-x86_64"
    )
    assert set(found.packages) == {"torch", "TTS", "six", "numpy"}


def test_a_file_that_includes_itself(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("-r a.txt\n")
    with pytest.raises(Misuse, match="includes itself"):
        environment_of_pins(str(path), io.BytesIO(), python="", platform="linux-x86_64")


@pytest.mark.parametrize(
    "line",
    [
        "torch==" + "9" * 5000,
        "torch==1; " + "(" * 900 + "python_version > '3'" + ")" * 900,
        "a" * 100_000,
    ],
)
def test_a_monstrous_line_is_no_requirement(line):
    with pytest.raises(Misuse, match=r"is not a requirement|more than 2,000") as caught:
        read(line.encode())
    assert len(caught.value.message) < 300


def test_what_cannot_be_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("-r gone.txt\n")
    with pytest.raises(CannotLook, match=r"a\.txt:1: cannot read .*gone\.txt"):
        environment_of_pins(str(path), io.BytesIO(), python="", platform="linux-x86_64")
    with pytest.raises(CannotLook, match="is not text"):
        read(b"\xff\x00\x81")
