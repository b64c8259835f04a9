"""What is expected of versions that nobody ran, from runs between the same boundaries."""

import pytest

from builders.matrices import ALL_WORK, environment, issue, matrix, run
from xcompat.diagnosis.doctor import diagnose
from xcompat.domain import Condition, Trials

STREAMS = {**ALL_WORK, "stream": "works"}
FAILS = {**ALL_WORK, "speak": "fails"}
ENDS = issue("XC006", ["stream"], {"TTS": "*", "transformers": ">=4.41"})
"""Where streaming ends, and nothing else."""
BROKEN = {"import": "fails"}


def told_of(here, runs, issues=(), capability="speak", **fields):
    known = matrix(runs, list(issues))
    return diagnose(environment(here, **fields), known).capabilities[capability]


def short(told):
    return told.status, told.basis


class TestBetweenBoundaries:
    RUNS = (run("low", {"transformers": "4.36.2"}), run("mid"))

    def test_what_worked_beside_it_is_expected(self):
        told = told_of({"transformers": "4.38.0"}, [self.RUNS[0], run("b", {"torch": "2.8.0"})])
        assert short(told) == ("works", "expected")
        assert told.note == "worked with transformers 4.36.2 and 4.40.2; 2 runs"
        assert told.support == ("low", "b")

    @pytest.mark.parametrize(
        ("here", "expected"),
        [
            ("4.36.2", ("works", "recorded")),
            ("4.38.0", ("works", "bracketed")),
            ("4.40.9", ("works", "expected")),
            ("4.41.0", ("fails", "issue")),
            ("4.43.0", ("fails", "issue")),
        ],
    )
    def test_a_boundary_is_drawn_by_a_known_issue(self, here, expected):
        runs = [
            run("a", {"transformers": "4.36.2"}, STREAMS),
            run("b", None, STREAMS),
            run("far", {"transformers": "4.50.0"}, {**STREAMS, "stream": "fails"}),
        ]
        assert short(told_of({"transformers": here}, runs, [ENDS], "stream")) == expected

    def test_behind_a_boundary_nothing_is_expected_of_what_lies_before_it(self):
        gap = issue("XC006", ["stream"], {"TTS": "*", "transformers": ">=4.41,<4.42"})
        runs = [run("a", None, STREAMS), run("far", {"transformers": "4.50.0"}, ALL_WORK)]
        before, behind = (
            told_of({"transformers": version}, runs, [gap], "stream")
            for version in ("4.40.9", "4.43.0")
        )
        assert short(before) == ("works", "expected")
        assert short(behind) == ("unknown", "none")
        assert short(told_of({"transformers": "4.43.0"}, runs, [gap])) == ("works", "expected")

    def test_an_issue_about_something_else_draws_no_boundary(self):
        """Where it would not apply with any version of transformers, it says nothing of them."""
        other = issue("XC006", ["stream"], {"coqui-tts": "*", "transformers": ">=4.41,<4.42"})
        runs = [run("a", None, STREAMS), run("far", {"transformers": "4.50.0"}, ALL_WORK)]
        told = told_of({"transformers": "4.43.0"}, runs, [other], "stream")
        assert short(told) == ("works", "expected")

    def test_several_distributions_at_once(self):
        runs = [
            run("a", {"torch": "2.3.1", "torchaudio": "2.3.1"}),
            run("b", {"torch": "2.12.0", "torchaudio": "2.11.0", "transformers": "4.50.0"}),
            run("c", {"transformers": "4.36.2"}),
        ]
        here = {"torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.44.0"}
        told = told_of(here, runs)
        assert short(told) == ("works", "expected")
        assert told.note == (
            "worked with torch 2.3.1 and 2.9.1, torchaudio 2.3.1 and 2.9.1, "
            "transformers 4.40.2 and 4.50.0; 3 runs"
        )
        assert set(told.support) == {"a", "b", "c"}

    def test_each_version_may_have_been_run_without_the_others(self):
        runs = [run("a", {"torch": "2.8.0"}), run("b", {"transformers": "4.50.0"})]
        told = told_of({"torch": "2.8.0", "transformers": "4.50.0"}, runs)
        assert short(told) == ("works", "expected")
        assert told.note == "worked with versions that are alike"
        assert told.support == ("a", "b")

    def test_absence_is_a_place_of_its_own(self):
        codec = {"torchcodec": "0.9.1"}
        assert short(told_of(codec, [run("r1")])) == ("unknown", "none")
        runs = [run("r1", codec), run("r2", {**codec, "torch": "2.8.0", "transformers": "4.36.2"})]
        assert short(told_of({**codec, "torch": "2.8.0"}, runs)) == ("works", "expected")
        assert short(told_of({"torch": "2.8.0"}, runs)) == ("unknown", "none")

    def test_it_is_told_apart_from_what_was_run(self):
        trials = Trials(right=7, unknown=1, wrong=0)
        known = matrix([run("r1", {"torch": "2.8.0"}), run("r2", {"transformers": "4.36.2"})])
        known = known._replace(calibration={("versions", "stock", "speak", "expected"): trials})
        here = environment({"torch": "2.8.0", "transformers": "4.36.2"})
        found = diagnose(here, known)
        assert found.verdict == "compatible"
        assert found.capabilities["speak"].trials == trials
        assert found.capabilities["import"].trials is None
        strict = diagnose(here, known, strict=True)
        assert (strict.verdict, short(strict.capabilities["speak"])) == (
            "unknown", ("unknown", "none"),
        )  # fmt: skip


class TestElsewhere:
    def test_another_platform_is_said(self):
        told = told_of(None, [run("r1")], platform="macosx-arm64")
        assert short(told) == ("works", "expected")
        assert told.note == "worked with versions that are alike, measured on linux-x86_64"

    def test_another_python_is_said(self):
        runs = [run("r1"), run("r2", python="3.9.2")]
        told = told_of(None, runs, python="3.10.4")
        assert short(told) == ("works", "expected")
        assert told.note.endswith(", Python 3.11 and 3.9")

    def test_both(self):
        runs = [run("r1"), run("r2", python="3.9.2")]
        told = told_of(None, runs, python="3.10.4", platform="win-amd64")
        assert told.note.endswith(", measured on linux-x86_64, Python 3.11 and 3.9")

    def test_what_was_run_here_is_not_said_to_be_from_elsewhere(self):
        runs = [run("r1", {"torch": "2.8.0"}), run("r2", {"transformers": "4.36.2"})]
        assert "measured on" not in told_of({"torch": "2.8.1"}, runs).note

    def test_an_issue_of_the_platform_outweighs_it(self):
        nowhere = Condition(packages={"torch": ">=2.3"}, platforms=("macosx-x86_64",))
        absent = issue("XC055", ["import"], nowhere)
        told = told_of(None, [run("r1")], [absent], platform="macosx-x86_64")
        assert (told.status, told.issues, told.note) == ("fails", ("XC055",), "needs import")
        assert told_of(None, [run("r1")], [absent], platform="macosx-arm64").status == "works"

    def test_an_issue_of_python_draws_a_boundary(self):
        gone = issue("XC022", ["import"], Condition(packages={"six": "absent"}, python=">=3.12"))
        runs = [run("r1", {"six": "1.17"}), run("r3", {"six": "1.17"}, FAILS, python="3.13.1")]
        there = {"six": "1.17"}
        assert short(told_of(there, runs, [gone], "import", python="3.12.1")) == (
            "works", "expected",
        )  # fmt: skip
        assert short(told_of(there, runs, [gone], python="3.12.1")) == ("unknown", "none")
        assert short(told_of(None, runs, [gone], "import", python="3.12.1")) == ("fails", "issue")


class TestNever:
    RUNS = (
        run("r1", {"torch": "2.8.0"}),
        run("r2", {"transformers": "4.36.2"}),
        run("r3", {"transformers": "4.50.0"}),
    )

    def test_the_newest_is_named_and_what_broke_last(self):
        broke = [
            issue("XC006", ["stream"], {"TTS": "<0.1", "transformers": ">=4.41"}),
            issue("XC003", ["speak"], {"TTS": "<0.1", "transformers": ">=4.45,<4.46"}),
            issue("XC001", ["load"], {"TTS": "<0.1", "transformers": ">=4.49"}),
        ]
        told = told_of({"transformers": "4.51.0"}, self.RUNS, broke)
        assert short(told) == ("unknown", "none")
        assert told.note == (
            "transformers 4.51.0 is newer than any that was run, 4.50.0; "
            "the last one that broke something was 4.45 (XC003)"
        )

    @pytest.mark.parametrize(
        ("here", "fields", "note"),
        [
            ({"torch": "2.10.0"}, {}, "torch 2.10.0 is newer than any that was run, 2.9.1"),
            ({"torch": "2.7.1"}, {}, "torch 2.7.1 is older than any that was run, 2.8.0"),
            ({"TTS": "0.23.0"}, {}, "TTS 0.23.0 is newer than any that was run, 0.22.0"),
            (None, {"python": "3.12.0"}, "Python 3.12.0 is newer than any that was run, 3.11.7"),
            (None, {"python": "3.10.0"}, "Python 3.10.0 is older than any that was run, 3.11.7"),
            ({"torchcodec": "0.9"}, {}, "torchcodec was never run"),
            (
                {"transformers": "4.44.0rc1"},
                {},
                "transformers 4.44.0rc1 is a pre-release: the releases around it do not tell",
            ),
            ({"torch": "2.9.0.dev20250101+cpu"}, {}, None),
            ({"torch": "odd"}, {}, "no version is said for torch"),
            ({"coqui-tts": "0.28.0"}, {}, "exactly one of TTS and coqui-tts must be there"),
            ({"TTS": None}, {}, "exactly one of TTS and coqui-tts must be there"),
            (
                {"torch": "2.8.0", "transformers": "4.36.2"},
                {"duplicates": {"torch": ("2.8.0", "2.9.1")}},
                "a distribution is there more than once (torch)",
            ),
            (
                {"torch": "2.8.0", "transformers": "4.36.2"},
                {"signs": {"missing-files": ("TTS: TTS/api.py",)}},
                "files are not as they were installed",
            ),
        ],
        ids=str,
    )  # fmt: skip
    def test_of_what_lies_outside(self, here, fields, note):
        told = told_of(here, self.RUNS, **fields)
        assert short(told) == ("unknown", "none")
        if note:
            assert told.note == note
        else:
            assert "is a pre-release" in told.note

    def test_a_newer_patch_of_a_python_that_was_run_is_not_outside(self):
        here = {"torch": "2.8.0", "transformers": "4.36.2"}
        assert short(told_of(here, self.RUNS, python="3.11.99")) == ("works", "expected")

    def test_after_an_unexplained_failure_between_the_same_boundaries(self):
        here = {"torch": "2.8.0", "transformers": "4.36.2"}
        bad = run("bad", {"transformers": "4.45.0"}, FAILS)
        assert told_of(here, self.RUNS).status == "works"
        assert told_of(here, [*self.RUNS, bad]).status == "unknown"
        # It says nothing where a boundary lies between, or where an issue explains it.
        gap = issue("XC003", ["speak"], {"TTS": "*", "transformers": ">=4.41,<4.42"})
        assert told_of(here, [*self.RUNS, bad], [gap]).status == "works"
        why = issue("XC003", ["speak"], {"TTS": "*", "sox": "absent"})
        sound = [run(each.id, {**each.environment.packages, "sox": "1"}) for each in self.RUNS]
        assert told_of({**here, "sox": "1"}, [*sound, bad]).status == "unknown"
        assert told_of({**here, "sox": "1"}, [*sound, bad], [why]).status == "works"

    def test_a_failure_of_something_else_does_not_matter(self):
        here = {"torch": "2.8.0", "transformers": "4.36.2"}
        bad = run("bad", {"transformers": "4.45.0"}, {**ALL_WORK, "stream": "fails"})
        assert told_of(here, [*self.RUNS, bad]).status == "works"
        assert told_of(here, [*self.RUNS, bad], capability="stream").status == "unknown"

    def test_with_a_warning_that_no_run_had(self):
        here = {
            "torch": "2.8.0",
            "transformers": "4.36.2",
            "trainer": "1",
            "coqui-tts-trainer": "1",
        }
        both = issue("XC021", ["import"], {"trainer": "*", "coqui-tts-trainer": "*"},
                     severity="warning")  # fmt: skip
        assert told_of(here, self.RUNS).status == "works"
        assert told_of(here, self.RUNS, [both]).status == "unknown"
        warned = [
            run(each.id, {**each.environment.packages, "trainer": "1", "coqui-tts-trainer": "1"})
            for each in self.RUNS
        ]
        assert told_of(here, warned, [both]).status == "works"

    def test_with_an_error_that_concerns_it(self):
        here = {"torch": "2.8.0", "transformers": "4.36.2"}
        told = told_of(here, self.RUNS, [issue("XC024", ["import"], {"six": "absent"})])
        assert (told.status, told.issues) == ("fails", ("XC024",))

    def test_from_runs_of_pre_releases_or_damage_or_the_other_tts(self):
        here = {"torch": "2.8.0", "transformers": "4.36.2"}
        for spoiled in (
            {"packages": {"transformers": "4.36.2", "torch": "2.10.0rc1"}},
            {"packages": {"transformers": "4.36.2"}, "signs": {"changed-files": ("TTS",)}},
            {"packages": {"transformers": "4.36.2", "TTS": None, "coqui-tts": "0.28.0"}},
        ):
            runs = [self.RUNS[0], run("odd", **spoiled)]
            gap = issue("XC006", ["speak"], {"TTS": "*", "transformers": ">=4.38,<4.39"})
            assert told_of(here, self.RUNS[:2], [gap]).status == "works"
            assert told_of(here, runs, [gap]).status == "unknown"


class TestNumpy:
    @pytest.mark.parametrize(
        ("numpy", "status"), [("1.24.0", "works"), ("2.1.0", "unknown"), (None, "unknown")]
    )
    def test_what_is_built_for_one_major_does_not_run_on_the_next(self, numpy, status):
        known = [
            run("a", {"numpy": "1.26.4", "torch": "2.8.0"}),
            run("b", {"numpy": "1.26.4", "transformers": "4.36.2"}),
        ]
        here = {"torch": "2.8.0", "transformers": "4.36.2", "numpy": numpy}
        assert told_of(here, known).status == status


class TestRuntime:
    """The second column is expected from what was run with the runtime, by issues of its own."""

    GONE = issue("XC002", ["import"], {"TTS": "*", "transformers": ">=4.30"})

    def mended(self, here, issues=(), runs=None, **fields):
        around = runs or [
            run("a", {"transformers": "4.57.0"}, BROKEN, ALL_WORK),
            run("b", {"torch": "2.8.0", "transformers": "4.30.0"}, BROKEN, ALL_WORK),
        ]
        return diagnose(environment(here, **fields), matrix(around, [self.GONE, *issues]))

    def test_what_stock_fails_needs_no_change(self):
        found = self.mended({"torch": "2.8.0", "transformers": "4.50.0"})
        assert found.verdict == "incompatible"
        assert found.capabilities["import"].issues == ("XC002",)
        assert found.change_nothing == ("import", "load-converted", "speak")
        assert short(found.runtime["speak"]) == ("works", "expected")
        assert found.runtime["speak"].note == "worked with transformers 4.30.0 and 4.57.0; 2 runs"

    def test_it_needs_runs_of_the_runtime(self):
        runs = [
            run("a", {"transformers": "4.57.0"}, ALL_WORK),
            run("b", {"torch": "2.8.0", "transformers": "4.29.0"}),
        ]
        found = self.mended({"torch": "2.8.0", "transformers": "4.50.0"}, runs=runs)
        assert found.runtime["speak"].status == "unknown"
        assert found.change_nothing == ()

    def test_only_issues_that_concern_the_runtime_count(self):
        here = {"torch": "2.8.0", "transformers": "4.50.0"}
        stock = issue("XC003", ["speak"], {"transformers": ">=4.50"})
        both = stock._replace(runtime=("speak",))
        assert self.mended(here, [stock]).runtime["speak"].status == "works"
        found = self.mended(here, [both])
        assert (found.runtime["speak"].status, found.runtime["speak"].issues) == (
            "fails", ("XC003",),
        )  # fmt: skip
        assert found.runtime["import"].status == "works"
        assert found.change_nothing == ()

    def test_boundaries_are_its_own(self):
        here = {"torch": "2.8.0", "transformers": "4.50.0"}
        gaps = issue("XC003", ["speak"], {"transformers": ">=4.45,<4.46"},
                     {"transformers": ">=4.51,<4.52"})  # fmt: skip
        own = gaps._replace(runtime=("speak",))
        assert self.mended(here, [gaps]).runtime["speak"].status == "works"
        assert self.mended(here, [own]).runtime["speak"].status == "unknown"

    def test_not_of_a_version_newer_than_any(self):
        assert self.mended({"transformers": "4.58.0"}).change_nothing == ()

    def test_another_platform_is_said(self):
        found = self.mended({"transformers": "4.50.0"}, platform="macosx-arm64")
        assert found.change_nothing == ("import", "load-converted", "speak")
        assert found.runtime["speak"].note.endswith("measured on linux-x86_64")


class TestPins:
    def test_pins_are_expected_to_work_as_what_they_make(self):
        """The runs' commands do not name what they asked for: they brought it."""
        pins = environment({"torch": "2.8.0", "transformers": "4.36.2"}, complete=False)
        known = matrix([run("r1", {"torch": "2.8.0"}), run("r2", {"transformers": "4.36.2"})])
        assert diagnose(pins, known).verdict == "unknown"  # Nobody knows what an installer brings.
        usual = [
            each._replace(
                command="nox -s matrix -- --tts TTS==0.22.0 --torch 2.9.1",
                capabilities={**each.capabilities, "install": each.capabilities["speak"]},
            )
            for each in known.runs
        ]
        found = diagnose(pins, matrix(usual))
        assert found.verdict == "compatible"
        assert short(found.capabilities["speak"]) == ("works", "expected")
        assert diagnose(pins, matrix(usual), strict=True).verdict == "unknown"
