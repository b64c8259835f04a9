"""What pins leave out, by the matrix that is shipped."""

import pytest

from xcompat.diagnosis.assumptions import assumed
from xcompat.domain import DECIDING, Environment
from xcompat.domain.versions import parsed, public
from xcompat.matrix.load import load_matrix


@pytest.fixture(scope="module")
def shipped():
    return load_matrix()


def pins(text, python="3.11", platform="linux-x86_64", **ranges):
    """Pins as a list names them: `TTS==0.22.0 torch`."""
    parts = [word.partition("==") for word in text.split()]
    return Environment(
        python=python,
        platform=platform,
        packages={name: version for name, _, version in parts},
        ranges=ranges,
        source="pins",
        complete=False,
    )


def newest(shipped, name):
    versions = {public(run.environment.packages.get(name)) for run in shipped.runs}
    return str(max(v for each in versions if (v := parsed(each)) and not v.is_prerelease))


class TestWhatIsLeftOut:
    @pytest.mark.parametrize(
        "text", ["TTS==0.22.0", "TTS==0.22.0 torch==2.6.0", "coqui-tts==0.27.5"]
    )
    def test_torchcodec_comes_with_nothing(self, shipped, text):
        told = assumed(pins(text), shipped)
        assert told.added["torchcodec"] is None
        assert "torchcodec" not in told.environment.packages

    def test_an_installer_brings_the_newest_where_tts_sets_no_bound(self, shipped):
        told = assumed(pins("TTS==0.22.0"), shipped)
        assert told.added.pop("torchcodec") is None
        at_least = {"torch": "2.15", "torchaudio": "2.11", "transformers": "5.23"}
        assert told.added.keys() == at_least.keys()
        for name, version in at_least.items():
            assert parsed(told.added[name]) >= parsed(version)
        assert told.environment.complete
        assert {"numpy", "tokenizers", "trainer", "coqpit"} <= told.environment.packages.keys()

    def test_torch_that_is_named_stays_and_torchaudio_comes_without_asking_for_it(self, shipped):
        told = assumed(pins("TTS==0.22.0 torch==2.6.0"), shipped)
        assert told.environment.packages["torch"] == "2.6.0"
        assert told.added["torchaudio"] == newest(shipped, "torchaudio")

    def test_bounds_of_a_tts_are_kept(self, shipped):
        told = assumed(pins("coqui-tts==0.26.2 torch==2.7.1"), shipped)
        assert told.added["transformers"].startswith("4.51.")

    def test_the_new_coqui_tts_brings_no_torch(self, shipped):
        told = assumed(pins("coqui-tts==0.28.0"), shipped)
        assert told.added["torch"] is told.added["torchaudio"] is None
        assert {"torch", "torchaudio"}.isdisjoint(told.environment.packages)
        named = assumed(pins("coqui-tts==0.28.0 transformers==4.57.6"), shipped)
        assert "torch" not in named.environment.packages

    def test_whoever_names_only_transformers_has_a_torch_already(self, shipped):
        told = assumed(pins("TTS==0.22.0 transformers==4.41.0"), shipped)
        near = [
            run.environment.packages
            for run in shipped.runs
            if run.environment.packages.get("TTS") == "0.22.0"
            and run.environment.packages.get("transformers") == "4.41.0"
        ]
        trio = {name: told.added[name] for name in ("torch", "torchaudio", "torchcodec")}
        assert trio in [{name: public(each.get(name)) for name in trio} for each in near]

    def test_nothing_that_is_named_is_changed(self, shipped):
        text = "TTS==0.22.0 torch==2.3.1 torchaudio==2.3.1 transformers==4.36.2 numpy==1.22.4"
        told = assumed(pins(text), shipped)
        assert told.added == {"torchcodec": None}
        assert pins(text).packages.items() <= told.environment.packages.items()

    def test_each_transformers_has_its_tokenizers(self, shipped):
        for transformers, tokenizers in (
            ("4.36.2", "0.15"),
            ("4.40.2", "0.19"),
            ("4.57.6", "0.22"),
        ):
            text = f"TTS==0.22.0 torch==2.3.1 torchaudio==2.3.1 transformers=={transformers}"
            for python in ("3.10", "3.11"):
                told = assumed(pins(text, python), shipped)
                assert told.environment.packages["tokenizers"].startswith(f"{tokenizers}.")


class TestPython:
    def test_one_that_is_not_said_is_that_of_the_nearest_run(self, shipped):
        told = assumed(pins("TTS==0.22.0", python=""), shipped)
        assert (told.python, told.environment.python) == ("3.11", "3.11")
        assert assumed(pins("TTS==0.22.0"), shipped).python == ""

    @pytest.mark.parametrize(
        ("python", "torch", "transformers"), [("3.9", "<2.9", "<5"), ("3.10", "<2.15", "<5.21")]
    )
    def test_an_older_one_gets_what_there_still_is(self, shipped, python, torch, transformers):
        added = assumed(pins("TTS==0.22.0", python), shipped).added
        for name, bound in (
            ("torch", torch),
            ("torchaudio", torch),
            ("transformers", transformers),
        ):
            assert parsed(added[name]) < parsed(bound[1:])

    def test_what_comes_on_some_pythons_only_is_unsure_elsewhere(self, shipped):
        assert not assumed(pins("TTS==0.22.0"), shipped).unsure
        there = assumed(pins("TTS==0.22.0 six==1.17.0", python="3.14"), shipped)
        assert there.unsure == {"click"}

    def test_one_older_than_any_makes_no_environment(self, shipped):
        assert assumed(pins("TTS==0.22.0", python="3.8"), shipped) is None
        assert assumed(pins("TTS==0.22.0", python="3.9"), shipped) is not None


class TestRanges:
    def test_the_newest_that_was_run_within(self, shipped):
        told = assumed(pins("TTS transformers", transformers=">=4.57,<5"), shipped)
        assert told.added["TTS"] == newest(shipped, "TTS")
        assert told.added["transformers"].startswith("4.57.")
        assert told.environment.packages["transformers"] == told.added["transformers"]

    def test_a_bare_name(self, shipped):
        told = assumed(pins("TTS==0.22.0 torchcodec torch"), shipped)
        assert parsed(told.added["torchcodec"])
        assert parsed(told.added["torch"]) >= parsed(newest(shipped, "torch"))

    @pytest.mark.parametrize("wanted", [">=99", "===2.9.1-odd"])
    def test_none_within_makes_no_environment(self, shipped, wanted):
        assert assumed(pins("TTS==0.22.0 torch", torch=wanted), shipped) is None


class TestNobodyCanTell:
    @pytest.mark.parametrize(
        "text", ["", "torch==2.9.1", "transformers", "TTS==0.22.0 coqui-tts==0.28.0"]
    )
    def test_without_one_tts(self, shipped, text):
        assert assumed(pins(text), shipped) is None

    def test_without_runs_of_what_an_installer_makes(self, shipped):
        forced = [
            run._replace(command=f"{run.command} --then 'pip install x'") for run in shipped.runs
        ]
        assert assumed(pins("TTS==0.22.0"), shipped._replace(runs=tuple(forced))) is None


class TestBuilds:
    def test_that_of_the_default_index(self, shipped):
        told = assumed(pins("TTS==0.22.0 torch==2.9.1 torchaudio==2.9.1"), shipped)
        assert told.environment.builds == {"torch": "cu128", "torchaudio": "cu128"}

    def test_one_that_a_version_names_comes_first(self, shipped):
        told = assumed(pins("TTS==0.22.0 torch==2.9.1+cpu torchaudio==2.9.1"), shipped)
        assert told.environment.builds == {"torch": "cpu", "torchaudio": "cu128"}

    def test_nobody_knows_those_of_another_platform(self, shipped):
        text = "TTS==0.22.0 torch==2.9.1 torchaudio==2.9.1"
        told = assumed(pins(text, platform="macosx-arm64"), shipped)
        assert "cu128" not in told.environment.builds.values()


def test_what_decides_is_always_said(shipped):
    """Whatever pins name, each deciding distribution is named, added, or of the other TTS."""
    for run in shipped.runs:
        here = run.environment
        if len({"TTS", "coqui-tts"} & here.packages.keys()) != 1:
            continue
        for left_out in DECIDING[2:]:
            packages = {n: v for n, v in here.packages.items() if n in DECIDING and n != left_out}
            told = assumed(here._replace(packages=packages, complete=False), shipped)
            assert told is not None
            assert {*packages, *told.added} >= set(DECIDING[2:])
