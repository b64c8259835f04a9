"""Errors as people paste them: which known issue each one is, and which are none."""

import json
import textwrap
import time
from pathlib import Path

import pytest

from xcompat.matrix import symptoms
from xcompat.matrix.load import SHIPPED, load_matrix
from xcompat.matrix.symptoms import explain, explain_log, required_text

MATRIX = load_matrix()

REPORTED = json.loads(Path(__file__).with_name("reported.json").read_text("utf-8"))
"""Pairs of a code and a text from public threads, release notes and sources."""
FRAME = (
    'Traceback (most recent call last):\n  File "/srv/shop/app.py", line 7, in main\n    work()\n'
)
UNRELATED = [
    "",
    "hello",
    f"{FRAME}KeyError: 'speaker'",
    f"{FRAME}EOFError: EOF when reading a line",
    f"{FRAME}json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    f"{FRAME}ModuleNotFoundError: No module named 'six'",
    f"{FRAME}ModuleNotFoundError: No module named 'torch'",
    f"{FRAME}ModuleNotFoundError: No module named 'transformers'",
    f"{FRAME}ModuleNotFoundError: No module named 'torchvision'",
    f"{FRAME}ModuleNotFoundError: No module named 'sixteen'",
    f"{FRAME}AttributeError: 'int' object has no attribute 'device'",
    f"{FRAME}AttributeError: 'NoneType' object has no attribute 'group'",
    f"{FRAME}TypeError: 'NoneType' object is not subscriptable",
    f"{FRAME}TypeError: expected str, bytes or os.PathLike object, not NoneType",
    f"{FRAME}ValueError: numpy.dtype size changed, may indicate binary incompatibility.",
    f"{FRAME}RuntimeError: Numpy is not available",
    f"{FRAME}RuntimeError: probability tensor contains either `inf`, `nan` or element < 0",
    f"{FRAME}_pickle.UnpicklingError: invalid load key, 'v'.",
    f"{FRAME}RuntimeError: shape '[1, 10]' is invalid for input of size 20",
    f"{FRAME}RuntimeError: shape '[2, 1824]' is invalid for input of size 3078",
    f"{FRAME}ZeroDivisionError: division by zero",
    f"{FRAME}RecursionError: maximum recursion depth exceeded",
    f"{FRAME}UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0",
    f"{FRAME}FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'",
    f"{FRAME}PermissionError: [Errno 13] Permission denied: '/etc/shadow'",
    f"{FRAME}KeyboardInterrupt",
    f"{FRAME}asyncio.exceptions.TimeoutError",
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 8.00 GiB)",
    "RuntimeError: CUDA error: device-side assert triggered",
    "RuntimeError: Expected all tensors to be on the same device, but found at least two devices",
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x512 and 1024x8)",
    "RuntimeError: Error(s) in loading state_dict for ResNet:\n\tsize mismatch for fc.weight",
    "RuntimeError: CUDNN_STATUS_NOT_INITIALIZED",
    f"{FRAME}AssertionError: Torch not compiled with CUDA enabled",
    f"{FRAME}RuntimeError: CUDA error: no kernel image is available for execution on the device",
    (
        "Weights only load failed. WeightsUnpickler error: Unsupported global: GLOBAL "
        "numpy.core.multiarray.scalar was not an allowed global"
    ),
    "WeightsUnpickler error: Unsupported global: GLOBAL ultralytics.nn.tasks.DetectionModel",
    "NotImplementedError: The operator 'aten::linalg_qr' is not currently implemented for the MPS",
    "ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)",
    "ERROR: No matching distribution found for TTSX",
    "ERROR: No matching distribution found for tensorflow==1.15",
    "botocore 1.31 requires urllib3<2.1, but you have urllib3 2.2.1 which is incompatible.",
    "ERROR: Failed building wheel for psycopg2",
    "error: externally-managed-environment",
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='example.org', port=443): Max",
    "urllib.error.HTTPError: HTTP Error 404: Not Found",
    "ssl.SSLCertVerificationError: certificate verify failed: unable to get local issuer",
    "huggingface_hub.errors.GatedRepoError: 401 Client Error.",
    "OSError: [Errno 28] No space left on device",
    "ImportError: cannot import name 'soft_unicode' from 'markupsafe'",
    "ImportError: cannot import name 'AutoModel' from 'transformers'",
    "AttributeError: module 'numpy' has no attribute 'float'",
    "AttributeError: module 'torchaudio' has no attribute 'transforms'",
    "Segmentation fault (core dumped)",
    "Killed",
    "make: *** [Makefile:12: all] Error 2",
    "npm ERR! code ERESOLVE",
]

PICKLED = next(text for code, text in REPORTED if code == "XC001")
NO_FFMPEG = next(text for code, text in REPORTED if code == "XC014")


def codes(text):
    return [issue.code for issue in explain(text, MATRIX.issues)]


@pytest.mark.parametrize(("code", "text"), REPORTED)
def test_what_was_reported_is_recognised(code, text):
    assert code in codes(text)


@pytest.mark.parametrize("text", UNRELATED)
def test_what_is_unrelated_is_not(text):
    assert codes(text) == []


def test_enough_is_unrelated():
    assert len(UNRELATED) > 50


def recorded_errors():
    for path in sorted(SHIPPED.glob("runs/*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            for name, outcome in json.loads(line)["capabilities"].items():
                # A sound that is wrong, or a header, has no text that anybody would paste.
                if outcome.get("error") and not outcome["error"].startswith(
                    ("wrong sound", "wrong voice", "tts_to_file wrote")
                ):
                    yield f"{name}: {outcome['error']}"


@pytest.mark.parametrize("error", sorted(set(recorded_errors())))
def test_what_was_met_in_a_run_is_recognised(error):
    assert codes(error)


def test_generic_errors_count_where_tts_is_spoken_of():
    ours = FRAME.replace("shop/app.py", "TTS/utils/manage.py")
    assert codes(f"{ours}EOFError: EOF when reading a line") == ["XC036"]
    assert codes(f"{ours}ModuleNotFoundError: No module named 'six'") == ["XC024"]


def test_every_symptom_is_looked_for_by_a_word():
    """A symptom without one is compared with all of a log, which takes long."""
    words = {s: required_text(s) for issue in MATRIX.issues for s in issue.symptoms}
    assert [symptom for symptom, word in words.items() if len(word) < 6] == []


@pytest.mark.parametrize(
    ("symptom", "word"),
    [
        ("No module named 'six'", "No module named 'six'"),
        (r"libc10_cuda\.so: cannot\s+open it", "libc10_cuda.so: cannot"),
        (r"a(?:bcd|efg)hij", "hij"),
        (r"abc+d{2,3}xyz?q", "abc"),
        (r"long[\w(x)]word\d+tiny", "long"),
        (r"one|two", ""),
        (r"a\(bc\)\s+d", "a(bc)"),
        (r"[]abc]xy", "xy"),
    ],
)
def test_the_word_that_a_symptom_must_contain(symptom, word):
    assert required_text(symptom) == word


class TestLogs:
    @pytest.mark.parametrize(
        "prefix",
        [
            "2026-11-22 10:11:12,345 ERROR tts: ",
            "2026-11-22T10:11:12.345Z ",
            "[2026-11-22 10:11:12] [ERROR] ",
            "tts-app-1  | ",
            "tts-app-1  | 2026-11-22 10:11:12 ",
            "Nov 22 10:11:12 host app[12]: ",
            "[stderr] ",
            "ERROR:    ",
            "> ",
            "│ ",
            "\x1b[31m",
            "10:11:12 INFO ",
        ],
    )
    def test_lines_with_decoration(self, prefix):
        text = "From Pytorch 2.9, the\ntorchcodec library is\nrequired for audio IO, but it was not"
        decorated = "".join(f"{prefix}{line}\n" for line in text.splitlines())
        assert codes(decorated) == ["XC013"]

    @pytest.mark.parametrize("width", [37, 80])
    def test_lines_that_a_terminal_has_broken_between_words(self, width):
        for code, text in REPORTED:
            broken = "\r\n".join(
                textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
            )
            assert code in codes(broken), broken

    def test_colours_within_an_error(self):
        text = (
            "\x1b[1;31mModuleNotFoundError\x1b[0m: No \x1b[35mmodule named \x1b[32m'cutlet'\x1b[0m"
        )
        assert codes(text) == ["XC060"]

    def test_windows_paths(self):
        text = (
            "Traceback (most recent call last):\r\n"
            '  File "C:\\Users\\me\\venv\\Lib\\site-packages\\TTS\\utils\\io.py", line 54\r\n'
            "_pickle.UnpicklingError: invalid load key, '<'.\r\n"
        )
        assert codes(text) == ["XC035"]

    def test_a_chain_of_errors_is_told_in_its_order(self):
        text = (
            "ModuleNotFoundError: No module named 'httpx2'\n\n"
            "The above exception was the direct cause of the following exception:\n\n"
            f"{FRAME}ImportError: cannot import name 'LogitsWarper' from 'transformers'\n\n"
            "During handling of the above exception, another exception occurred:\n\n"
            "ModuleNotFoundError: No module named 'TTS.tts.models.xtts'\n"
        )
        assert codes(text) == ["XC080", "XC004", "XC019"]

    def test_an_error_that_comes_again_is_told_once(self):
        assert codes(f"{PICKLED}\n" * 50) == ["XC001"]

    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_a_log_is_cut_anywhere(self, size, monkeypatch):
        monkeypatch.setattr(symptoms, "_PIECE", 5 * size)
        text = "noise\n" * 300 + NO_FFMPEG + "\nnoise" * 200 + f"\n{PICKLED}\n"
        pieces = (text[at : at + size] for at in range(0, len(text), size))
        if size == 1:
            text = NO_FFMPEG
            pieces = iter(text)
        assert [issue.code for issue in explain_log(pieces, MATRIX.issues)] == codes(text)

    def test_a_long_log_takes_a_bounded_time(self):
        line = (
            "2026-11-22 10:11:12 INFO No module named Unsupported requires TTS has no attribute\n"
        )
        piece = line * (1_000_000 // len(line))
        started = time.process_time()
        pieces = [*[piece] * 4, f"\n{PICKLED}\n"]
        assert [issue.code for issue in explain_log(pieces, MATRIX.issues)] == ["XC001"]
        # 100 MB in less than a minute on an idle machine; tests run on busy ones.
        assert time.process_time() - started < 10
