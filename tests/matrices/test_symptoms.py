"""Errors as people paste them: which known issue each one is, and which are none."""

import json
import textwrap
import time
from pathlib import Path

import pytest

from xcompat.diagnosis.explain import explain
from xcompat.matrix import symptoms
from xcompat.matrix.load import SHIPPED, load_matrix
from xcompat.matrix.symptoms import matches_in_log, required_text
from xcompat.render.issue import show_explained

MATRIX = load_matrix()

REPORTED = json.loads(Path(__file__).with_name("reported.json").read_text("utf-8"))
"""Pairs of a code and a text from public threads, release notes and sources."""
FRAME = (
    'Traceback (most recent call last):\n  File "/srv/shop/app.py", line 7, in main\n    work()\n'
)
PASTED = json.loads(Path(__file__).with_name("pasted.json").read_text("utf-8"))
"""Pairs of a code and what somebody pasted, cut down to the lines of the error and the versions.
The code is what the thread, or a trial, found."""
UNRELATED = json.loads(Path(__file__).with_name("unrelated.json").read_text("utf-8"))
"""Errors of other programs: tracebacks of real libraries, and messages of tools."""

PICKLED = next(text for code, text in REPORTED if code == "XC001")
NO_FFMPEG = next(text for code, text in REPORTED if code == "XC014")


def codes(text):
    return [each.issue.code for each in explained(text)]


def explained(*pieces):
    return explain(pieces, MATRIX.issues).explanations


@pytest.mark.parametrize(("code", "text"), REPORTED)
def test_what_was_reported_is_recognised(code, text):
    assert code in codes(text)


@pytest.mark.parametrize(("code", "text"), PASTED)
def test_what_was_pasted_is_explained_first(code, text):
    assert explained(text)[0].issue.code == code


@pytest.mark.parametrize("text", UNRELATED)
def test_nothing_is_certain_of_what_is_unrelated(text):
    assert [each.issue.code for each in explained(text) if each.certainty == "certain"] == []


def test_there_is_enough_of_both():
    assert len(PASTED) > 100
    assert len(UNRELATED) > 200


class TestOrder:
    def test_the_last_error_of_a_chain_comes_first(self):
        text = (
            f"{FRAME.replace('shop', 'TTS/utils')}ModuleNotFoundError: No module named 'librosa'\n"
            + "INFO something else\n" * 40
            + "ImportError: cannot import name 'LogitsWarper' from 'transformers'\n"
        )
        assert codes(text) == ["XC004", "XC432"]

    def test_what_ended_the_program_comes_before_the_notice_beside_it(self):
        text = (
            "EOFError: EOF when reading a line\n"
            " > tts_models/multilingual/x/xtts_v2 has been updated, clearing model cache"
        )
        assert codes(text) == ["XC036", "XC091"]

    def test_a_follow_up_error_comes_after_its_cause(self):
        text = (
            "xtts: ImportError: cannot import name 'BeamSearchScorer' from 'transformers'\n"
            "AttributeError: 'TTSWrapper' object has no attribute 'model'\n"
        )
        assert codes(text) == ["XC002", "XC480"]
        assert codes(text.splitlines()[1]) == ["XC480"]


class TestOneMessage:
    def test_what_says_more_hides_what_says_less(self):
        """Any missing module is known as one; what TTS lacks is known better."""
        assert codes("coqui-tts: ModuleNotFoundError: No module named 'six'") == ["XC024"]
        assert codes("coqui-tts: ModuleNotFoundError: No module named 'seven'") == ["XC507"]

    def test_a_last_resort_is_told_where_nothing_is_known(self):
        """Two packages of two releases, and a file that is not there: whatever they are."""
        assert codes("xtts: ImportError: cannot import name 'a' from 'b.c' (/x/b/c.py)") == [
            "XC562"
        ]
        assert codes("xtts: [Errno 2] No such file or directory: 'notes.odt'") == ["XC563"]
        known = "cannot import name 'LogitsWarper' from 'transformers'"
        for versions in ("coqui-tts 0.25.0", "coqui-tts 0.24.3, transformers 4.40.2"):
            assert codes(f"{versions}\nImportError: {known} (/x/y.py)") == ["XC004"]

    def test_what_no_other_program_shows_comes_first(self):
        text = (
            "TTS: HTTPSConnectionPool(host='coqui.gateway.scarf.sh', port=443): Max retries "
            "exceeded with url: /hf-coqui/XTTS-v2/main/model.pth (Caused by NameResolutionError())"
        )
        assert codes(text) == ["XC035", "XC465"]


class TestGraphicsCards:
    """The doctor knows these by signs; of two that the same words could mean, one is told."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("AssertionError: Torch not compiled with CUDA enabled", ["XC601"]),
            ("AssertionError: Torch not compiled with XPU enabled", ["XC602"]),
            ("RuntimeError: HIP error: invalid device function", ["XC603"]),
            ("RuntimeError: HIP error: unspecified launch failure", ["XC411"]),
            ("CUDA error: no kernel image is available for execution on the device", ["XC603"]),
            ("CUDA error: an illegal memory access was encountered", ["XC409"]),
            (
                (
                    "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old "
                    "(found version 11040)."
                ),
                ["XC604"],
            ),
            (
                "UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount().",
                ["XC605"],
            ),
            ("RuntimeError: Found no NVIDIA driver on your system.", ["XC605"]),
            ("CUDA out of memory. Tried to allocate 2 MiB", ["XC402"]),
            ("ImportError: libnvrtc.so.12: cannot open shared object file", ["XC410"]),
            ("nvrtc: error: failed to open libnvrtc-builtins.so.12.8", ["XC409"]),
            (
                (
                    "RuntimeError: Could not load libtorchcodec. Likely causes: 1. FFmpeg\n"
                    "FFmpeg version 8: libnvrtc.so.13: cannot open shared object file"
                ),
                ["XC608", "XC014"],
            ),
        ],
    )
    def test_one_theory_for_one_message(self, text, expected):
        assert codes(f"xtts: {text}") == expected

    def test_what_only_a_look_at_the_machine_tells_stands_against_nothing(self):
        text = "torch 2.11.0, torchcodec 0.11.0\nlibnvrtc.so.13: cannot open shared object file: "
        (told, *_) = explained(f"{text}libtorchcodec_core5.so")
        assert (told.issue.code, told.certainty) == ("XC608", "certain")


class TestOrigin:
    def test_whose_error_it_is_where_nothing_is_known(self):
        text = f"xtts\n{FRAME}IndexError: string index out of range\n"
        told = explain((text,), MATRIX.issues)
        assert (told.explanations, told.origin.whose, told.origin.line) == ((), "app", 7)

    def test_whose_error_it_is_comes_before_what_stands_beside_it(self, capsys):
        pasted = f'Failed to load the extension "xtts"\n{FRAME}ZeroDivisionError: by zero\n'
        show_explained(explain((pasted,), MATRIX.issues))
        out = capsys.readouterr().out
        assert out.startswith("`ZeroDivisionError: by zero` arose in /srv/shop/app.py")
        assert "\nXC480 " in out
        # A known cause needs no such hint.
        known = f"coqui-tts\n{pasted}ModuleNotFoundError: No module named 'six'\n"
        show_explained(explain((known,), MATRIX.issues))
        assert "arose in" not in capsys.readouterr().out

    def test_a_follow_up_that_is_the_last_error_itself_needs_no_word_of_whose_it_is(self, capsys):
        pasted = (
            f"{FRAME.replace('/srv/shop', 'RealtimeTTS/engines')}"
            "BrokenPipeError: [Errno 32] Broken pipe\n"
        )
        show_explained(explain((pasted,), MATRIX.issues))
        out = capsys.readouterr().out
        assert out.startswith("XC480 ")
        assert "arose in" not in out
        # Nothing is said of what fails, and nothing stands in its place.
        assert "\n\n\n" not in out

    def test_another_project_with_our_letters_in_its_name_is_not_ours(self):
        text = f"{FRAME.replace('shop', 'index-tts/indextts')}TypeError: Invalid file: None\n"
        assert {each.certainty for each in explained(text)} == {"possible"}


class TestVersions:
    IMPORT = "ImportError: cannot import name 'LogitsWarper' from 'transformers'"

    def test_versions_that_do_not_fit_leave_it_possible(self):
        (told,) = explained(f"coqui-tts 0.24.3, transformers 4.40.2\n{self.IMPORT}")
        assert (told.issue.code, told.certainty) == ("XC004", "possible")
        assert "transformers 4.40.2" in told.why

    def test_versions_that_fit_leave_it_certain(self):
        (told,) = explained(f"coqui-tts 0.24.3, transformers 4.49.0\n{self.IMPORT}")
        assert told == (told.issue, "certain", "")

    def test_the_same_words_are_told_apart_by_versions(self):
        size = "xtts: ValueError: numpy.dtype size changed, may indicate binary incompatibility."
        assert [
            e.issue.code for e in explained(f"pandas 1.5.3, numpy 2.0.0, TTS 0.22.0\n{size}")
        ] == ["XC031"]

    def test_a_generic_error_without_any_sign_of_tts_is_possible(self):
        (told,) = explained("RuntimeError: CUDA error: device-side assert triggered")
        assert (told.issue.code, told.certainty) == ("XC401", "possible")

    @pytest.mark.parametrize(
        ("text", "packages", "python", "platform"),
        [
            (
                "torch 2.2.1+cu121, coqui-tts 0.24.1, Python 3.11.9",
                {"torch": "2.2.1", "coqui-tts": "0.24.1"},
                "3.11.9",
                "",
            ),
            (
                '"PyTorch_version": "2.3.0+cpu", "TTS": "0.22.0"',
                {"torch": "2.3.0", "TTS": "0.22.0"},
                "",
                "",
            ),
            ('"TTS": "0.24.3"', {"coqui-tts": "0.24.3"}, "", ""),
            ("PyTorch Version: 2.1.0+cpu", {"torch": "2.1.0"}, "", ""),
            ("In PyTorch 2.6, we changed the default", {}, "", ""),
            (
                "tts 0.22.0 requires pandas<2.0,>=1.4, but you have pandas 2.2.2",
                {"TTS": "0.22.0", "pandas": "2.2.2"},
                "",
                "",
            ),
            ("torch==2.1.0 then torch 2.8.0", {}, "", ""),
            ("/usr/local/lib/python3.10/dist-packages/x.py", {}, "3.10", "linux-x86_64"),
            ("C:\\Python\\Python310\\lib", {}, "3.10", "win-amd64"),
            (
                "Successfully installed TTS-0.22.0 torch-2.1.2",
                {"TTS": "0.22.0", "torch": "2.1.2"},
                "",
                "",
            ),
            ("Requires-Python >=3.6.0, TTS requires python >= 3.9 and < 3.12", {}, "", ""),
        ],
    )
    def test_what_a_text_says(self, text, packages, python, platform):
        environment = explain((text,), MATRIX.issues).environment
        assert (dict(environment.packages), environment.python, environment.platform) == (
            packages,
            python,
            platform,
        )


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
    assert [symptom for symptom, word in words.items() if len(word) < symptoms.LEAST_REQUIRED] == []


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
            "10:11:12-712637 ERROR    ",
            "2026-11-22 10:11:12.294 | ERROR    | xtts_api_server.server:tts_to_audio:317 - ",
            "2026-11-22T10:11:12.345678901Z stderr F ",
            "[rank0]: ",
            "(EngineCore_0 pid=133) ",
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

    @pytest.mark.parametrize(("width", "first"), [(80, 0), (120, 1)])
    def test_lines_that_a_window_has_broken_within_words(self, width, first):
        for code, text in PASTED[first::4]:
            broken = "\n".join(
                line[at : at + width]
                for line in text.splitlines()
                for at in range(0, len(line) or 1, width)
            )
            assert code in codes(broken), broken

    def test_a_window_has_broken_what_windows_says_of_a_file(self):
        """Its words are told in others, which are shorter: the width must be taken before."""
        said = (
            "xtts FileNotFoundError: [WinError 3] The system cannot find the path specified: 'tts_"
        )
        assert codes(f"{said}\nout/'\nINFO: done\n") == ["XC519"]

    def test_the_right_side_of_a_box_is_no_part_of_a_message(self):
        text = "From Pytorch 2.9, the\ntorchcodec library is\nrequired for audio IO, but it was not"
        box = "\n".join(f"│ {line:<60} │" for line in text.splitlines())
        assert codes(box) == ["XC013"]

    @pytest.mark.parametrize(
        "words",
        [
            "The system cannot find the file specified",
            "Das System kann die angegebene Datei nicht finden",
            "系统找不到指定的文件。",
            "O sistema não pode encontrar o arquivo especificado",
        ],
    )
    def test_a_file_that_windows_misses_in_any_language(self, words):
        assert codes(f"FileNotFoundError: [WinError 2] {words}: 'D:\\\\xtts\\\\model.pth'") == [
            "XC093"
        ]

    @pytest.mark.parametrize(
        "said",
        [
            "'conda' is not recognized as an internal or external command,",
            '"conda" no se reconoce como un comando interno o externo,',
            "'conda' n'est pas reconnu en tant que commande interne ou externe,",
            'Der Befehl "conda" ist entweder falsch geschrieben oder konnte nicht gefunden werden.',
            '"conda" не является внутренней или внешней командой,',
            "'conda' 不是内部或外部命令",
        ],
    )
    def test_a_command_that_windows_does_not_know_in_any_language(self, said):
        assert codes(f"xtts: {said}") == ["XC530"]

    def test_signs_as_the_source_of_a_page_has_them(self):
        assert codes("xtts: No module named &#39;cutlet&#39;") == ["XC060"]

    def test_quotes_as_a_word_processor_makes_them(self):
        assert codes("xtts: No module named \u2018cutlet\u2019") == ["XC060"]

    @pytest.mark.parametrize("tick", ["`", ""])
    def test_markdown_eats_backticks(self, tick):
        assert codes(f"xtts: Assertion {tick}srcIndex < srcSelectDimSize{tick} failed.") == [
            "XC401"
        ]

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
        assert codes(text) == ["XC075"]

    def test_a_chain_of_errors_is_told_from_its_end(self):
        text = (
            "ModuleNotFoundError: No module named 'httpx2'\n\n"
            "The above exception was the direct cause of the following exception:\n\n"
            f"{FRAME}ImportError: cannot import name 'LogitsWarper' from 'transformers'\n\n"
            "During handling of the above exception, another exception occurred:\n\n"
            "ModuleNotFoundError: No module named 'TTS.tts.models.xtts'\n"
        )
        assert codes(text) == ["XC019", "XC004", "XC080"]

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
        found = matches_in_log(pieces, MATRIX.issues)
        assert {match.issue.code for match in found} >= set(codes(text))

    def test_a_long_log_takes_a_bounded_time(self):
        line = (
            "2026-11-22 10:11:12 INFO No module named Unsupported requires TTS has no attribute\n"
        )
        piece = line * (1_000_000 // len(line))
        started = time.process_time()
        pieces = [*[piece] * 4, f"\n{PICKLED}\n"]
        assert [each.issue.code for each in explained(*pieces)] == ["XC001"]
        # 100 MB in less than a minute on an idle machine; tests run on busy ones.
        assert time.process_time() - started < 10


class TestCutOff:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("AssertionError: Torch not compiled with CUDA ena", "XC601"),
            ("coqui_tts\nModuleNotFoundError: No module named 'hangul_rom", "XC063"),
            ("xtts_v2/model.pth\nOSError: [Errno 28] No space left on dev", "XC423"),
            ("'GPT2InferenceModel' object has no attribute '_validate_model_cl\n", "XC003"),
        ],
    )
    def test_the_last_words_are_completed(self, text, code):
        assert code in codes(text)

    @pytest.mark.parametrize("text", ["ModuleNotFoundError: No module na", "RuntimeError: "])
    def test_not_where_several_endings_are_possible(self, text):
        assert codes(text) == []

    @pytest.mark.parametrize("text", ["xtts exited with code 1", "> Using model: xtts"])
    def test_not_where_a_text_may_well_end(self, text):
        assert codes(text) == []
