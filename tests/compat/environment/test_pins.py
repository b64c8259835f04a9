"""Lists of distributions as people have them."""

import io

import pytest

from xcompat.environment.pins import pins_of
from xcompat.errors import CannotLook, Misuse

SECRET = "https://me:t0ken@example.org/TTS-0.22.0.zip"


def read(text, **where):
    content = text if isinstance(text, bytes) else text.encode()
    where = {"python": "3.11", "platform": "linux-x86_64", **where}
    return pins_of("-", io.BytesIO(content), **where)


def environment(text, **where):
    return read(text, **where).environment


def test_pins():
    found = environment("TTS==0.22.0\nTorch == 2.9.1+cu128\nCoqui_TTS===0.28.0\n")
    assert found.packages == {"TTS": "0.22.0", "torch": "2.9.1+cu128", "coqui-tts": "0.28.0"}
    assert found.builds == {"torch": "cu128"}
    assert not found.complete
    assert found.source == "<stdin>"
    assert found.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        "torch==2.9.1  # why",
        "# a comment\n\n   torch==2.9.1\n#last",
        "torch==2.9.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n",
        "torch==2.9.1 --hash sha256:aa",
        "torch==2.9.1 --config-settings=a=b --global-option='-x'",
        "torch[opt]==2.9.1",
        "torch==2.9.1,>2",
        "torch==2.9.1\ntorch>=2.9",
        "torch==2.9.1; python_version >= '3.10'",
        "torch==2.9.1\nnumpy==1; sys_platform == 'darwin'",
        "torch==2.9.1\nnumpy>=1; platform_machine == 'arm64'",
        "torch==2.9.1\nnumpy; extra == 'all'",
        "torch==2.9.1\n./numpy-1.whl ; sys_platform == 'darwin'",
        "--index-url https://example.org/simple\n-i https://x\n--pre\ntorch==2.9.1",
        "--extra-index-url=https://x\n-f./wheels\n--no-binary :all:\ntorch==2.9.1",
        "torch==2.9.1\ntorch==2.9.1",
        "torch @ https://example.org/whl/torch-2.9.1-cp311-cp311-linux_x86_64.whl#sha256=a",
        "torch@file:///tmp/torch-2.9.1-1-cp311-cp311-linux_x86_64.whl ; python_version > '3'",
        "https://example.org/torch-2.9.1-cp311-cp311-linux_x86_64.whl --hash=sha256:aa",
        "./wheels/torch-2.9.1-cp311-none-any.whl",
        "wheels/torch-2.9.1.tar.gz",
        "torch-2.9.1-cp311-none-any.whl",
        r"C:\wheels\torch-2.9.1-cp311-none-win_amd64.whl",
        "-e file:///src/torch-2.9.1.zip",
        "# Editable install with no version control (torch==2.9.1)\n-e /home/me/torch\n",
        "# Editable Git install with no remote (torch==2.9.1)\n-e /home/me/torch\n",
        "torch\n-c constraints.txt",
        "\ufefftorch==2.9.1\r\n",
        "torch==${XCOMPAT_TEST_TORCH}",
        "torch==2.9.1".encode("utf-16"),
        b"torch==2.9.1 \\",
    ],
    ids=repr,
)
def test_what_pip_and_its_friends_write(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XCOMPAT_TEST_TORCH", "2.9.1")
    (tmp_path / "constraints.txt").write_text("torch==2.9.1\n")
    found = environment(text)
    assert found.packages == {"torch": "2.9.1"}
    assert found.notes == ()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("TTS", "TTS"),
        ("TTS>=0.20,<0.23", "TTS"),
        ("TTS==0.22.*", "TTS"),
        ("TTS==0.22.0,!=0.22.0", "TTS"),
        ("TTS[all]", "TTS"),
        ("TTS @ git+https://example.org/coqui/TTS@v0.22.0", "TTS"),
        ("TTS @ git+https://example.org/TTS-0.22.0.zip", "TTS"),
        ("TTS @ file:///home/me/TTS", "TTS"),
        ("TTS @ ../TTS", "TTS"),
        ("TTS @ https://example.org/archive/v0.22.0.tar.gz", "TTS"),
        ("numpy @ file:///croot/numpy_and_numpy_base_1682520569166/work", "numpy"),
        ("-e git+https://example.org/coqui/TTS.git@abc#egg=TTS", "TTS"),
        ("-e git+https://example.org/x.git@abc#subdirectory=a&egg=coqui_tts", "coqui-tts"),
        ("--editable=git+ssh://example.org/x#egg=TTS", "TTS"),
        ("-e TTS@git+https://example.org/coqui/TTS", "TTS"),
        ("git+https://example.org/coqui/TTS@v0.22.0#egg=TTS", "TTS"),
    ],
)
def test_a_name_without_a_version_is_there_in_one_that_nobody_says(line, name):
    found = environment(line)
    assert found.packages == {name: ""}
    (note,) = found.notes
    assert note.startswith("no version is said by ")
    assert note.endswith(line if len(line) <= 60 else f"{line[:59]}…")


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "-e.",
        ".",
        "..",
        ".[all]",
        "./local/dir",
        "local/dir",
        "~/dir",
        "/srv/dir ; python_version > '3'",
        "file:///srv/dir",
        "-e git+https://example.org/coqui/TTS",
        "git+https://example.org/coqui/TTS",
        "https://example.org/archive/v0.22.0.tar.gz",
    ],
)
def test_a_line_that_names_nothing_is_told(line):
    found = environment(f"torch==2.9.1\n{line}\n")
    assert found.packages == {"torch": "2.9.1"}
    assert found.notes == (f"what they bring is not said by {line}",)


def test_many_lines_are_told_in_one_and_without_secrets():
    lines = [f"-e ./part{n}" for n in range(5)]
    long = "x @ https://example.org/" + "a" * 200
    found = environment("\n".join([*lines, f"TTS[all] @ {SECRET[:-4]}", long, "numpy", "six"]))
    unsaid = f"TTS[all] @ https://example.org/TTS-0.22.0, {long[:59]}…, numpy and 1 more"
    assert found.notes == (
        f"no version is said by {unsaid}",
        "what they bring is not said by -e ./part0, -e ./part1, -e ./part2 and 2 more",
    )
    assert "t0ken" not in "".join(found.notes)


def test_ranges_and_addresses_are_told_apart():
    pins = read("torch>=2.1\ntorch<2.9\nnumpy\nTTS @ git+https://x.org/TTS\ntransformers==4.40.2")
    assert pins.environment.packages == {
        "torch": "", "numpy": "", "TTS": "", "transformers": "4.40.2",
    }  # fmt: skip
    assert pins.environment.ranges == {"torch": ">=2.1,<2.9"}
    assert pins.addresses == {"TTS": "<stdin>:4: `TTS @ git+https://x.org/TTS`"}


class TestMarkers:
    def test_they_are_about_the_target(self):
        text = "torch==2.2.2; sys_platform == 'darwin' and platform_machine == 'x86_64'\n"
        assert environment(text, platform="macosx-x86_64").packages == {"torch": "2.2.2"}
        assert environment(text, platform="macosx-arm64").packages == {}
        windows = "torch==1; os_name == 'nt' and platform_machine == 'AMD64'"
        assert environment(windows, platform="win-amd64").packages == {"torch": "1"}
        old = "torch==1; python_version < '3.10'"
        assert environment(old, python="3.9.2").packages == {"torch": "1"}

    def test_a_line_for_any_python_counts_where_none_is_said(self):
        text = "tomli==2.0; python_version < '3.11'\nx==1; python_version < '3'\n"
        found = environment(text, python="")
        assert (found.packages, found.notes) == ({"tomli": "2.0"}, ())
        assert environment(text, python="3.11").packages == {}

    def test_the_last_number_of_a_python_can_be_unsaid(self):
        text = "numpy==1; python_full_version < '3.11.4'\nnumpy==2; python_full_version >= '3.11.4'"
        assert environment(text, python="3.11.3").packages == {"numpy": "1"}
        assert environment(text, python="3.10").packages == {"numpy": "1"}
        assert environment(text, python="3.11").packages == {"numpy": ""}

    def test_what_two_pythons_have_in_two_versions_is_not_said(self):
        text = (
            "numpy==1.26.4 ; python_version < '3.12'\nnumpy==2.1.0 ; python_version >= '3.12'\n"
            "torch==2.9.1\n"
        )
        found = environment(text, python="")
        assert found.packages == {"numpy": "", "torch": "2.9.1"}
        assert found.notes == (
            "numpy is 1.26.4 or 2.1.0, which depends on the Python: --python-version",
        )
        assert environment(text, python="3.11").packages["numpy"] == "1.26.4"
        assert environment(text, python="3.13.1").packages["numpy"] == "2.1.0"

    def test_one_that_only_the_target_can_evaluate_holds(self):
        assert environment("x==1; platform_release ~= '20'").packages == {"x": "1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torch==1\ntorch==2", "<stdin>:2: torch is pinned to 2, and to 1 at <stdin>:1"),
        ("torch=2.9.1", "<stdin>:1: `torch=2.9.1` is not a requirement"),
        ("Name: torch", "<stdin>:1: `Name: torch` is not a requirement"),
        ("Collecting torch", "`Collecting torch` is not a requirement"),
        ("torch==", "`torch==` is not a requirement"),
        ("torch==${XCOMPAT_UNSET}", "is not a requirement"),
        ("./x.whl ; python", "<stdin>:1: `python` is not a requirement"),
        ("x==1; python", "is not a requirement"),
        ("--wheels x", "<stdin>:1: the option `--wheels` is not understood"),
        ("-x", "the option `-x` is not understood"),
        ("x \\\n\n\\\ntorch>2>", "<stdin>:3: `torch>2>`"),
    ],
)
def test_what_no_installer_takes_is_refused_with_its_place(text, message, monkeypatch):
    monkeypatch.delenv("XCOMPAT_UNSET", raising=False)
    if text.startswith("x "):
        text = text.replace("x ", "# ")
    with pytest.raises(Misuse) as caught:
        read(text)
    assert caught.value.code == "XC205"
    assert message in caught.value.message
    assert "\n" not in caught.value.message


class TestBuilds:
    @pytest.mark.parametrize(
        ("address", "build"),
        [
            ("https://example.org/whl/cu128", "cu128"),
            ("https://example.org/whl/cu128/", "cu128"),
            ("https://example.org/whl/nightly/cpu", "cpu"),
            ("https://example.org/whl/rocm6.4", "rocm6.4"),
            ("https://example.org/whl/xpu", "xpu"),
            ("https://example.org/whl/other", None),
            ("https://example.org/whl/cu128x", None),
            ("https://example.org/simple", None),
        ],
    )
    @pytest.mark.parametrize("option", ["--index-url ", "-i", "--extra-index-url="])
    def test_an_index_says_what_torch_is_built_for(self, option, address, build):
        found = environment(f"{option}{address}\ntorch==2.9.1\ntorchaudio\nnumpy==1.26.4\n")
        assert found.builds == ({"torch": build, "torchaudio": build} if build else {})

    def test_a_local_version_is_the_build_that_it_names(self):
        text = "--index-url https://example.org/whl/cu128\ntorch==2.13.0+cpu\ntorchaudio==2.13.0\n"
        assert environment(text).builds == {"torch": "cpu", "torchaudio": "cu128"}
        assert environment("torch==2.13.0").builds == {}
        wheel = "torch @ file:///w/torch-2.9.1%2Bcu126-cp311-cp311-linux_x86_64.whl"
        assert environment(wheel).packages == {"torch": "2.9.1+cu126"}
        assert environment(wheel).builds == {"torch": "cu126"}

    def test_two_indexes_or_a_mac_say_nothing(self):
        two = "-i https://e.org/whl/cpu\n--extra-index-url https://e.org/whl/cu128\ntorch==2.9.1\n"
        assert environment(two).builds == {}
        one = "-i https://e.org/whl/cu128\ntorch==2.9.1\n"
        assert environment(one, platform="macosx-arm64").builds == {}


class TestConstraints:
    @pytest.fixture
    def told(self, tmp_path):
        def told(requirements, constraints):
            (tmp_path / "constraints.txt").write_text(constraints)
            (tmp_path / "r.txt").write_text(f"-c constraints.txt\n{requirements}")
            path = str(tmp_path / "r.txt")
            return pins_of(path, io.BytesIO(), python="3.11", platform="linux-x86_64")

        return told

    def test_they_say_the_version_of_what_is_named(self, told):
        pins = told("torch\nnumpy>=1\nsix==1.16.0\n", "torch==2.9.1\nnumpy<2\nsix==1.16.0\n")
        assert pins.environment.packages == {"torch": "2.9.1", "numpy": "", "six": "1.16.0"}
        assert pins.environment.ranges == {"numpy": ">=1,<2"}

    def test_of_the_rest_only_what_every_tts_needs_counts(self, told):
        pins = told("TTS==0.22.0\n", "torch==2.2.2\nnumpy<2\ntorchcodec==0.9\nfoo==1\n")
        assert pins.environment.packages == {"TTS": "0.22.0", "torch": "2.2.2"}
        assert pins.environment.ranges == {"numpy": "<2"}
        assert pins.environment.notes == (
            "constraints on 2 distributions that nothing names are left out",
        )
        assert told("six\n", "torch==2.2.2\n").environment.packages == {"six": ""}


class TestFiles:
    def test_files_include_files(self, tmp_path):
        (tmp_path / "more").mkdir()
        (tmp_path / "a.txt").write_text("-r more/b.txt\nTTS==0.22.0\n--requirement=c.txt\n")
        (tmp_path / "more/b.txt").write_text("torch==2.9.1\n-r../d.txt\n")
        (tmp_path / "c.txt").write_text("six==1.17.0\n")
        (tmp_path / "d.txt").write_text("numpy==1.26.4\n")
        path = str(tmp_path / "a.txt")
        found = pins_of(path, io.BytesIO(), python="", platform="linux-x86_64").environment
        assert set(found.packages) == {"torch", "TTS", "six", "numpy"}

    @pytest.mark.parametrize("option", ["-r", "-c"])
    def test_a_file_that_includes_itself(self, tmp_path, option):
        path = tmp_path / "a.txt"
        path.write_text(f"{option} a.txt\n")
        with pytest.raises(Misuse, match="includes itself"):
            pins_of(str(path), io.BytesIO(), python="", platform="linux-x86_64")

    def test_a_list_on_another_machine_is_told(self):
        found = environment("-r https://example.org/requirements.txt\ntorch==2.9.1\n")
        assert found.packages == {"torch": "2.9.1"}
        assert found.notes == (
            "lies elsewhere and was not read: -r https://example.org/requirements.txt",
        )

    def test_what_cannot_be_read(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("-r gone.txt\n")
        with pytest.raises(CannotLook, match=r"a\.txt:1: cannot read .*gone\.txt"):
            pins_of(str(path), io.BytesIO(), python="", platform="linux-x86_64")
        with pytest.raises(CannotLook, match="is not text"):
            read(b"\xff\x00\x81")
        with pytest.raises(CannotLook, match="cannot read") as caught:
            pins_of(str(tmp_path), io.BytesIO(), python="", platform="linux-x86_64")
        assert caught.value.code == "XC204"


@pytest.mark.parametrize(
    "line",
    [
        "torch==" + "9" * 5000,
        "torch==1; " + "(" * 900 + "python_version > '3'" + ")" * 900,
        "x.whl ; " + "(" * 900 + "python_version > '3'" + ")" * 900,
        "a" * 100_000,
    ],
)
def test_a_monstrous_line_is_no_requirement(line):
    with pytest.raises(Misuse, match=r"is not a requirement|more than 2,000") as caught:
        read(line.encode())
    assert len(caught.value.message) < 300
