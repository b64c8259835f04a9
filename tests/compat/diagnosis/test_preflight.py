"""What preflight predicts, held against what people reported and what the wheels say."""

import json
import shutil

import pytest
from packaging.specifiers import SpecifierSet

from builders.environments import make_venv
from builders.terminal import type_command
from xcompat.diagnosis.preflight import predict
from xcompat.errors import CannotLook
from xcompat.matrix.mps import SHIPPED, load_mps
from xcompat.matrix.tables import table_of_toml

TTS = ("TTS", "0.22.0")
COQUI = ("coqui-tts", "0.28.0")


@pytest.fixture(scope="module")
def data():
    return load_mps()


def missing(told):
    return {
        name
        for called in told.operators.values()
        for name, state in called.items()
        if state in ("fallback", "raises")
    }


def hit(told, name):
    return next((each for each in told.hits if each.rule.name == name), None)


class TestFieldReports:
    """Each from a thread: who used what, and what happened."""

    def test_weight_norm_was_missing_before_torch_2_2(self, data):
        # epub2tts, January 2024: aten::_weight_norm_interface is not implemented
        assert "_weight_norm_interface" in missing(predict(TTS, "2.1.2", "14.2", data))
        assert "_weight_norm_interface" not in missing(predict(TTS, "2.2.0", "14.2", data))

    def test_the_spectrum_was_missing_before_torch_2_3(self, data):
        # pytorch 116392: aten::_fft_r2c is not implemented; there from 2.3 on, with macOS 14
        told = predict(TTS, "2.2.2", "14.2", data)
        assert told.operators["clone"]["_fft_r2c"] == "fallback"
        assert told.verdict == "obstacles"
        assert not hit(predict(TTS, "2.3.1", "14.2", data), "fft-macos-14")
        assert hit(predict(TTS, "2.3.1", "13.6", data), "fft-macos-14")

    def test_isin_was_missing_before_torch_2_4(self, data):
        # pytorch 136148, mini-omni 6: aten::isin.Tensor_Tensor_out, through transformers
        assert any(
            name.startswith("isin") for name in missing(predict(COQUI, "2.3.1", "14.5", data))
        )
        assert not missing(predict(COQUI, "2.4.0", "15.1", data))

    @pytest.mark.parametrize("torch", ["2.5.1", "2.6.0", "2.10.0"])
    def test_long_sounds_stop_before_macos_15_1(self, data, torch):
        # idiap 248, coqui 4124, pytorch 144445: Output channels > 65536
        told = predict(COQUI, torch, "14.6", data)
        (long,) = [each for each in told.hits if each.rule.limit]
        assert long.certain
        assert long.seconds["clone"] == pytest.approx(4.1, abs=0.05)
        assert long.seconds["speak"] == pytest.approx(2.73, abs=0.01)
        assert long.seconds["stream"] == pytest.approx(2.73, abs=0.01)
        assert told.verdict == "obstacles"

    def test_updating_macos_helped(self, data):
        # coqui 4124, March 2025: "can be properly used" on macOS 15.2, M3 Pro
        assert predict(TTS, "2.6.0", "15.2", data).verdict == "clear"

    def test_torch_2_5_refuses_on_every_macos(self, data):
        # pytorch 140726 let macOS 15.1 through, in 2.6
        assert predict(TTS, "2.5.1", "15.2", data).verdict == "obstacles"

    def test_before_2_5_the_sound_is_silently_wrong(self, data):
        # pytorch 129207
        told = predict(TTS, "2.4.1", "14.6", data)
        (long,) = [each for each in told.hits if each.rule.limit]
        assert long.rule.effect == "wrong"

    @pytest.mark.parametrize(
        ("torch", "floor", "below"),
        [("2.5.1", "12.3", "12.2"), ("2.8.0", "13.0", "12.7"), ("2.11.0", "14.0", "13.7")],
    )
    def test_an_old_macos_is_refused(self, data, torch, floor, below):
        assert hit(predict(TTS, torch, below, data), f"macos-{floor}").rule.effect == "refuses"
        assert not hit(predict(TTS, torch, floor, data), f"macos-{floor}")

    def test_the_hang_that_no_table_explains_is_told(self, data):
        # coqui 3649: torch 2.2.2, TTS 0.22.0, M1 Max hangs
        assert hit(predict(TTS, "2.2.2", "14.2", data), "hang-2.2")


REPORTS = [
    # who and where, what was used, what preflight must say (an error names the `_out` variant)
    ("epub2tts 181", TTS, "2.1.2", "", "missing:_weight_norm_interface"),
    ("pytorch 116392", TTS, "2.2.2", "", "missing:_fft_r2c"),
    ("pytorch 124518, mini-omni 6", COQUI, "2.3.1", "", "missing:isin.Tensor_Tensor"),
    ("coqui 3649: hangs, M1 Max", TTS, "2.2.2", "", "hit:hang-2.2"),
    ("nanoGPT 458: garbage", TTS, "2.2.1", "", "hit:gpt2-garbage-2.2"),
    ("pytorch 129207: wrong, no error", TTS, "2.3.1", "14.5", "hit:convolution-65536-silent"),
    ("idiap 65, October 2024", COQUI, "2.5.0", "15.0", "hit:convolution-65536-any-macos"),
    ("idiap 248, coqui 4124", COQUI, "2.6.0", "15.0", "hit:convolution-65536"),
    ("pytorch 144445", COQUI, "2.6.0", "14.7", "hit:convolution-65536"),
    ("AimoneAndex, M3 Pro: works", TTS, "2.6.0", "15.2", "clear"),
    ("LudWittg, M2 Pro: works", COQUI, "2.7.0", "15.2", "clear"),
    ("pytorch 164943: refused", COQUI, "2.10.0", "13.6", "hit:macos-14.0"),
    ("pytorch 139425: refused", COQUI, "2.6.0", "12.7", "hit:macos-13.0"),
    ("pytorch 92311: impossible tokens", TTS, "2.0.0", "13.0", "hit:argmax-macos-13"),
    ("pytorch 192577: M1 Pro", COQUI, "2.13.0", "15.7", "hit:multinomial-zero"),
    ("pytorch 187280: beta", COQUI, "2.12.0", "27.0", "hit:argmax-macos-27"),
    ("runner-images 14380", COQUI, "2.8.0", "26.1", "hit:macos-26-virtual"),
]
"""What people reported with versions, and where it is said what was used. An empty macOS was not
said. What preflight has no word for is listed in docs/mps.md."""


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report[0])
def test_reports_from_the_field_are_foretold(data, report):
    _, tts, torch, macos, expected = report
    told = predict(tts, torch, macos, data)
    kind, _, name = expected.partition(":")
    if kind == "missing":
        assert name in missing(told)
        assert told.verdict == "obstacles"
    elif kind == "hit":
        assert hit(told, name)
    else:
        assert told.verdict == kind


class TestUnknown:
    def test_without_macos_it_depends(self, data):
        told = predict(TTS, "2.9.1", "", data)
        assert told.verdict == "unknown"
        assert "macOS" in told.doubt
        assert not any(each.certain for each in told.hits if each.rule.macos)

    def test_without_macos_a_missing_kernel_is_certain(self, data):
        assert predict(TTS, "2.2.2", "", data).verdict == "obstacles"

    @pytest.mark.parametrize(
        ("tts", "torch"),
        [
            (TTS, "2.99.0"),
            (TTS, "1.13.1"),
            (TTS, ""),
            (("TTS", "0.23.0"), "2.9.1"),
            (("TTS", "0.10.0"), "2.9.1"),
            (("coqui-tts", "1.0.0"), "2.9.1"),
            (("", ""), "2.9.1"),
        ],
    )
    def test_what_is_not_in_the_data(self, data, tts, torch):
        told = predict(tts, torch, "15.2", data)
        assert told.verdict == "unknown"
        assert told.doubt
        assert not told.operators

    def test_a_local_version_does_not_matter(self, data):
        assert predict(TTS, "2.9.1+cpu", "15.2", data).torch == "2.9.1"


class TestData:
    def test_at_least_16_releases(self, data):
        assert len(data.releases) >= 16

    def test_the_registrations_agree_with_the_yaml_of_each_wheel(self):
        table = json.loads((SHIPPED / "operators.json").read_text("utf-8"))
        for release in table["releases"]:
            assert release["declared_without_kernel"] == [], release["torch"]
            by_hand = [name for name in release["kernel_not_declared"] if "bitwise" not in name]
            assert by_hand == [], release["torch"]

    @pytest.mark.parametrize(
        ("torch", "count"),
        [("2.0.1", 550), ("2.2.2", 653), ("2.6.0", 713), ("2.8.0", 817), ("2.13.0", 894),
         ("2.15.0", 930)],
    )  # fmt: skip
    def test_counts_are_those_of_an_independent_extraction(self, torch, count):
        table = json.loads((SHIPPED / "operators.json").read_text("utf-8"))
        (release,) = [each for each in table["releases"] if each["torch"] == torch]
        assert release["kernels"] + len(release["always_on_cpu"]) == pytest.approx(count, abs=1)

    def test_every_traced_operator_is_in_the_release_it_was_traced_with(self, data):
        for trace in data.traces:
            column = data.releases.index(trace.packages["torch"].partition("+")[0])
            for phase, called in trace.phases.items():
                for name in called:
                    assert data.operators[name][column] != " ", (trace.family, phase, name)

    def test_a_rule_with_a_message_holds_where_the_wheels_have_it(self, data):
        messages = json.loads((SHIPPED / "operators.json").read_text("utf-8"))["messages"]
        rules = table_of_toml((SHIPPED / "rules.toml").read_text("utf-8"))
        claimed: dict[str, set[str]] = {}
        for rule in rules.tables("rule"):
            if message := rule.text("message", ""):
                matching = set(SpecifierSet(rule.text("torch")).filter(data.releases))
                claimed.setdefault(message, set()).update(matching)
        assert len(claimed) >= 5
        for message, releases in claimed.items():
            found = {
                torch
                for text, torches in messages.items()
                if message in text
                for torch in torches.split()
            }
            assert releases == found, message

    def test_rules_name_operators_that_are_called_and_sources(self, data):
        called = {
            name for trace in data.traces for phase in trace.phases.values() for name in phase
        }
        for rule in data.rules:
            assert rule.sources
            assert not rule.operators or set(rule.operators) & called, rule.name

    def test_damaged_data_are_told(self, tmp_path):
        with pytest.raises(CannotLook, match="cannot be read"):
            load_mps(tmp_path)

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ('effect = "raises"', 'effect = "sings"', "`sings` of rule `[^`]+` is no effect"),
            ("limit = ", 'limit = "many" # ', "`limit` must be a number, not text"),
            ("fixes = [", "fixes = 3 #", "`fixes` must be a list of texts, not int"),
            ("confidence = ", "believed = ", "`confidence` is missing"),
            ("[[rule]]", "[[rule", "at line"),
        ],
    )
    def test_damaged_rules_are_told(self, tmp_path, old, new, told):
        folder = shutil.copytree(SHIPPED, tmp_path / "mps")
        rules = (folder / "rules.toml").read_text("utf-8")
        (folder / "rules.toml").write_text(rules.replace(old, new, 1), "utf-8")
        with pytest.raises(CannotLook, match=told) as caught:
            load_mps(folder)
        assert caught.value.code == "XC222"


class TestCommand:
    @pytest.fixture
    def type_(self, monkeypatch, capsys, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.delenv("VIRTUAL_ENV", raising=False)
        return lambda *words: type_command(monkeypatch, capsys, "preflight", *words)

    def test_short_sounds_only(self, type_):
        code, out, _ = type_("--tts", "TTS==0.22.0", "--torch", "2.9.1", "--macos", "14.5")
        assert code == 1
        text = " ".join(out.split())
        assert text.startswith("Only short sounds get through")
        assert "longer than 4.1 s" in text
        assert "longer than 2.7 s" in text
        assert "update macOS to 15.1 or newer" in text
        assert "Traced with TTS 0.22.0" in text
        assert "None of this was run on a Mac" in text
        assert "works on MPS" not in text

    def test_the_fallback_is_named(self, type_):
        code, out, _ = type_("--tts", "TTS==0.22.0", "--torch", "2.2.2", "--macos", "15.2")
        assert code == 1
        assert "export PYTORCH_ENABLE_MPS_FALLBACK=1" in out
        assert "upsample_linear1d" in out

    def test_nothing_known_against_it(self, type_):
        code, out, _ = type_("--tts", "coqui-tts==0.28.0", "--torch", "2.9.1", "--macos", "15.2")
        assert (code, out.split(":")[0]) == (0, "No obstacle is known")

    def test_an_unknown_release(self, type_):
        code, out, _ = type_("--tts", "TTS==0.22.0", "--torch", "3.0", "--macos", "15.2")
        assert (code, out.split(":")[0]) == (3, "That is not known")

    def test_an_old_macos(self, type_):
        code, out, _ = type_("--tts", "TTS==0.22.0", "--torch", "2.9.1", "--macos", "13.1")
        assert (code, out.split(":")[0]) == (1, "Apple's GPU cannot be used")

    def test_an_environment(self, type_, tmp_path):
        make_venv(tmp_path / "venv", {"TTS": "0.22.0", "torch": "2.2.2"})
        code, out, _ = type_("--python", "venv", "--macos", "14.5", "--json")
        told = json.loads(out)
        assert code == 1
        assert (told["tts"], told["torch"], told["macos"]) == ("TTS==0.22.0", "2.2.2", "14.5")
        assert told["fallback_needed"] == ["_fft_r2c", "upsample_linear1d"]
        assert told["operators"]["speak"]["upsample_linear1d"] == "fallback"

    def test_an_option_takes_the_place_of_what_is_installed(self, type_, tmp_path):
        make_venv(tmp_path / "venv", {"coqui-tts": "0.28.0", "torch": "2.2.2"})
        code, out, _ = type_("--python", "venv", "--torch", "2.9.1", "--macos", "15.2", "--json")
        told = json.loads(out)
        assert (code, told["tts"], told["torch"]) == (0, "coqui-tts==0.28.0", "2.9.1")

    @pytest.mark.parametrize(
        "words",
        [("--tts", "0.22"), ("--tts", "Bark==1"), ("--torch", "new"), ("--macos", "Sonoma")],
    )
    def test_misuse(self, type_, words):
        code, out, err = type_(*words)
        assert (code, out) == (2, "")
        assert "error[XC221]" in err
