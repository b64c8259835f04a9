import pytest

from builders.matrices import ALL_WORK, environment, issue, matrix, run
from xcompat.diagnosis.doctor import diagnose
from xcompat.domain import NEEDED, Condition, Row


def status(diagnosis, capability="speak"):
    told = diagnosis.capabilities[capability]
    return told.status, told.basis


NO_CODEC = {"torchcodec": "absent", "torchaudio": ">=2.9"}


class TestRecorded:
    def test_the_same_versions_are_an_answer(self):
        found = diagnose(environment(), matrix([run("r1")]))
        assert found.verdict == "compatible"
        assert status(found) == ("works", "recorded")
        assert found.capabilities["speak"].note == "run r1"

    @pytest.mark.parametrize(
        "other",
        [
            {"packages": {"torch": "2.9.0"}},
            {"packages": {"torchcodec": "0.9.0"}},
            {"packages": {"transformers": None}},
            {"python": "3.10.4"},
        ],
        ids=str,
    )
    def test_any_other_version_is_not(self, other):
        found = diagnose(environment(**other), matrix([run("r1")]), strict=True)
        assert found.verdict == "unknown"
        assert status(found) == ("unknown", "none")

    def test_local_versions_patch_pythons_and_bystanders_do_not_matter(self):
        here = environment({"torch": "2.9.1+cu128", "requests": "2.0"}, python="3.11.2")
        assert status(diagnose(here, matrix([run("r1")]))) == ("works", "recorded")

    def test_another_platform_is_told_but_is_no_answer(self):
        found = diagnose(environment(platform="macosx-arm64"), matrix([run("r1")]), strict=True)
        assert found.verdict == "unknown"
        assert found.capabilities["speak"].note == (
            "works on linux-x86_64, never run on macosx-arm64"
        )

    def test_a_measured_failure_needs_no_theory(self):
        found = diagnose(
            environment(), matrix([run("r1", capabilities={**ALL_WORK, "speak": "fails"})])
        )
        assert found.verdict == "incompatible"
        assert status(found) == ("fails", "recorded")

    def test_runs_that_disagree_are_no_answer(self):
        bad = run("r2", capabilities={**ALL_WORK, "speak": "fails"})
        found = diagnose(environment(), matrix([run("r1"), bad]))
        assert status(found) == ("unknown", "none")
        assert "disagree (r1 and 1 more)" in found.capabilities["speak"].note

    def test_an_unreached_capability_says_nothing(self):
        unreached = run("r1", capabilities={**ALL_WORK, "speak": "unknown"})
        assert status(diagnose(environment(), matrix([unreached]))) == ("unknown", "none")

    def test_two_installed_versions_are_nothing_to_match(self):
        here = environment(duplicates={"torch": ("2.8.0", "2.9.1")})
        assert status(diagnose(here, matrix([run("r1")]))) == ("unknown", "none")

    def test_another_major_numpy_is_another_environment(self):
        known = matrix([run("r1", {"numpy": "1.26.4"})])
        assert status(diagnose(environment({"numpy": "1.24.3"}), known)) == ("works", "recorded")
        assert status(diagnose(environment({"numpy": "2.3.0"}), known)) == ("unknown", "none")
        assert status(diagnose(environment(), known)) == ("works", "recorded")

    def test_leftovers_are_another_environment(self):
        leftover = issue("XC021", ["import"], {"trainer": "*", "coqui-tts-trainer": "*"},
                         severity="warning")  # fmt: skip
        here = environment({"trainer": "0.0.36", "coqui-tts-trainer": "0.4.0"})
        found = diagnose(here, matrix([run("r1")], [leftover]))
        assert status(found, "import") == status(found, "speak") == ("unknown", "none")
        with_both = run("r2", {"trainer": "0.0.36", "coqui-tts-trainer": "0.4.0"})
        assert status(diagnose(here, matrix([run("r1"), with_both], [leftover]))) == (
            "works", "recorded",
        )  # fmt: skip

    @pytest.mark.parametrize("sign", ["missing-files", "changed-files", "patched-load"])
    def test_no_run_speaks_for_damaged_files(self, sign):
        here = environment(signs={sign: ("TTS: TTS/api.py",)})
        found = diagnose(here, matrix([run("r1")]))
        assert found.verdict == "unknown"
        assert found.capabilities["speak"].note.startswith("files are ")

    def test_a_model_in_a_cache_says_nothing_of_the_environment(self):
        here = environment(signs={"checkpoint-html": ("x",)})
        assert diagnose(here, matrix([run("r1")])).verdict == "compatible"

    def test_ffmpeg_is_assumed_where_nobody_could_look(self):
        codec = {"torchcodec": "0.9.1"}
        clones = run("r1", codec, {"clone": "works"}, system={"ffmpeg": "5.1.9-0+deb12u1"})
        absent = issue("XC014", ["clone"], Condition(packages={"torchcodec": "*"},
                       system={"ffmpeg": "absent"}))  # fmt: skip
        known = matrix([clones], [absent])
        told = diagnose(environment(codec), known).capabilities["clone"]
        assert (told.status, told.note) == ("works", "run r1; assumed: FFmpeg 5.1.9")
        seen = environment(codec, system={"ffmpeg": "7"})
        assert diagnose(seen, known).capabilities["clone"].note == "run r1"
        none = environment(codec, system={"ffmpeg": None})
        assert status(diagnose(none, known), "clone") == ("fails", "issue")

    def test_a_run_in_english_is_told_as_one(self):
        found = diagnose(environment(language="de"), matrix([run("r1")]))
        assert found.capabilities["speak"].note == "run r1, in English"
        assert found.capabilities["import"].note == "run r1"
        found = diagnose(environment(language="en"), matrix([run("r1")]))
        assert found.capabilities["speak"].note == "run r1"


class TestSigns:
    def test_an_issue_applies_where_its_sign_was_seen(self):
        gone = issue("XC068", ["import"], Condition(signs=("missing-xtts-files",)))
        known = matrix([run("r1")], [gone])
        found = diagnose(environment(signs={"missing-xtts-files": ("TTS: TTS/api.py",)}), known)
        assert status(found, "import") == ("fails", "issue")
        assert found.findings[0].seen == ("TTS: TTS/api.py",)
        assert diagnose(environment(), known).findings == ()

    def test_a_warning_of_a_sign_makes_unknown_what_it_concerns(self):
        off = issue("XC065", ["load"], Condition(signs=("weights-only-off",)), severity="warning")
        refused = issue("XC001", ["load"], {"torch": ">=2.6"})
        known = matrix([run("r1", capabilities={**ALL_WORK, "load": "fails"})], [off, refused])
        assert status(diagnose(environment(), known), "load") == ("fails", "recorded")
        found = diagnose(environment(signs={"weights-only-off": ("X=1",)}), known)
        assert status(found, "load") == ("unknown", "none")
        assert found.capabilities["load"].issues == ("XC065",)
        assert found.verdict == "compatible"

    def test_a_language_is_asked_for(self):
        front_end = issue("XC060", ["speak"], Condition(packages={"cutlet": "absent"},
                          languages=("ja",)))  # fmt: skip
        known = matrix([run("r1")], [front_end])
        assert diagnose(environment(), known).verdict == "compatible"
        assert diagnose(environment(language="ko"), known).verdict == "compatible"
        assert diagnose(environment(language="ja"), known).verdict == "incompatible"
        there = environment({"cutlet": "0.5"}, language="ja")
        assert diagnose(there, known).verdict == "compatible"

    def test_a_suspicion_is_dropped_where_an_error_is_certain(self):
        absent = Condition(packages={"torchcodec": "*"}, system={"ffmpeg": "absent"})
        issues = [issue("XC014", ["clone"], absent), issue("XC015", ["clone"], absent,
                  severity="warning")]  # fmt: skip
        codec = {"torchcodec": "0.9.1"}

        def codes(**fields):
            found = diagnose(environment(codec, **fields), matrix(issues=issues))
            return [finding.issue.code for finding in found.findings]

        assert codes() == ["XC015"]
        assert codes(system={"ffmpeg": None}) == ["XC014"]
        assert codes(system={"ffmpeg": "5"}) == []


class TestIssues:
    def test_an_issue_that_only_concerns_this_environment_outweighs_a_run_of_another(self):
        missing = issue("XC024", ["import"], {"TTS": "*", "six": "absent"})
        known = matrix([run("r1", {"six": "1.17"})], [missing])
        found = diagnose(environment(), known)
        assert found.capabilities["import"].issues == ("XC024",)
        assert status(found, "import") == ("fails", "issue")
        assert [f.packages for f in found.findings] == [("TTS", "six")]

    def test_a_failure_that_does_not_concern_this_environment_is_left_out(self):
        missing = issue("XC024", ["import"], {"TTS": "*", "six": "absent"})
        failing = run("bad", capabilities={"import": "fails"})
        known = matrix([run("good", {"six": "1.17"}), failing], [missing])
        found = diagnose(environment({"six": "1.16"}), known)
        assert status(found, "import") == ("works", "recorded")

    def test_what_fails_takes_along_what_needs_it(self):
        found = diagnose(environment(), matrix(issues=[issue("XC002", ["import"], {"TTS": "*"})]))
        for capability in ("load", "load-converted", "speak", "stream", "clone", "api"):
            told = found.capabilities[capability]
            assert (told.status, told.issues, told.note) == ("fails", ("XC002",), "needs import")

    def test_a_checkpoint_that_does_not_load_leaves_speaking_to_the_converted_one(self):
        known = matrix([run("r1")], [issue("XC001", ["load"], {"torch": ">=2.6"})])
        found = diagnose(environment(), known)
        assert status(found, "load") == ("fails", "issue")
        assert status(found, "speak") == ("works", "recorded")
        assert found.verdict == "compatible"

    def test_a_warning_claims_nothing(self):
        warning = issue("XC032", ["import"], {"TTS": "*"}, severity="warning")
        found = diagnose(environment(), matrix([run("r1")], [warning]))
        assert found.verdict == "compatible"
        assert [f.issue.code for f in found.findings] == ["XC032"]

    @pytest.mark.parametrize(
        ("condition", "here", "applies"),
        [
            (Condition(packages={"torch": ">=2.6"}), {}, True),
            (Condition(packages={"torch": ">=2.10"}), {}, False),
            (Condition(packages={"torch": "==2.9.1"}), {"packages": {"torch": "2.9.1+cpu"}}, True),
            (Condition(packages={"torch": ">=2.10"}), {"packages": {"torch": "2.10.0rc1"}}, True),
            (Condition(packages={"torch": "*"}), {"packages": {"torch": None}}, False),
            (Condition(packages={"torch": "*"}), {"packages": {"torch": "odd"}}, True),
            (Condition(packages={"torch": ">=1"}), {"packages": {"torch": "odd"}}, False),
            (Condition(packages={"six": "absent"}), {}, True),
            (Condition(packages={"six": "absent"}), {"complete": False}, False),
            (Condition(python=">=3.12"), {"python": "3.12.1"}, True),
            (Condition(python=">=3.12"), {}, False),
            (Condition(python=">=3.12"), {"python": ""}, False),
            (Condition(platforms=("macosx-arm64",)), {}, False),
            (Condition(platforms=("linux-x86_64",)), {}, True),
            (Condition(minor_mismatch=("torch", "torchaudio")), {}, False),
            (
                Condition(minor_mismatch=("torch", "torchaudio")),
                {"packages": {"torch": "2.8.0"}},
                True,
            ),
            (
                Condition(minor_mismatch=("torch", "torchaudio")),
                {"packages": {"torch": None}},
                False,
            ),
            (
                Condition(cuda_mismatch=("torch", "torchaudio")),
                {"builds": {"torch": "cpu", "torchaudio": "cu128"}},
                True,
            ),
            (
                Condition(cuda_mismatch=("torch", "torchaudio")),
                {"builds": {"torch": "cu128", "torchaudio": "cpu"}},
                False,
            ),
            (
                Condition(cuda_mismatch=("torch", "torchaudio")),
                {"builds": {"torchaudio": "cu128"}},
                False,
            ),
            (Condition(system={"ffmpeg": "absent"}), {"system": {"ffmpeg": None}}, True),
            (Condition(system={"ffmpeg": "absent"}), {"system": {"ffmpeg": "5.1"}}, False),
            (Condition(system={"ffmpeg": "absent"}), {}, False),
            (Condition(system={"macos": "<15.1"}), {"system": {"macos": "14.2"}}, True),
            (Condition(duplicates=("torch",)), {"duplicates": {"torch": ("1", "2")}}, True),
            (Condition(duplicates=("torch",)), {"duplicates": {"six": ("1", "2")}}, False),
        ],
    )
    def test_conditions(self, condition, here, applies):
        found = diagnose(environment(**here), matrix(issues=[issue("XC001", ["api"], condition)]))
        assert bool(found.findings) is applies
        assert (found.capabilities["api"].status == "fails") is applies

    def test_a_warning_is_given_where_the_system_cannot_be_seen(self):
        warning = issue(
            "XC015", ["clone"], Condition(system={"ffmpeg": "absent"}), severity="warning"
        )
        assert diagnose(environment(), matrix(issues=[warning])).findings
        seen = environment(system={"ffmpeg": "5.1"})
        assert not diagnose(seen, matrix(issues=[warning])).findings

    def test_findings_come_in_the_order_in_which_a_user_meets_them(self):
        issues = [
            issue("XC003", ["speak"], {"TTS": "*"}),
            issue("XC004", ["import"], {"TTS": "*"}),
            issue("XC001", ["import"], {"TTS": "*"}, severity="warning"),
        ]
        found = diagnose(environment(), matrix(issues=issues))
        assert [f.issue.code for f in found.findings] == ["XC004", "XC003", "XC001"]


class TestBrackets:
    LOW, HIGH = {"transformers": "4.38.0"}, {"transformers": "4.44.0"}

    def test_runs_on_both_sides_that_agree(self):
        found = diagnose(environment(), matrix([run("a", self.LOW), run("b", self.HIGH)]))
        assert found.verdict == "compatible"
        assert status(found) == ("works", "bracketed")
        assert found.capabilities["speak"].note == (
            "works with transformers 4.38.0 and 4.44.0 (a and 1 more)"
        )

    @pytest.mark.parametrize(
        "runs",
        [
            [run("a", LOW)],
            [run("a", HIGH)],
            [run("a", LOW), run("b", HIGH, {**ALL_WORK, "speak": "fails"})],
            [run("a", LOW), run("b", {**HIGH, "torch": "2.8.0"})],
            [run("a", LOW), run("b", HIGH, platform="macosx-arm64")],
            [run("a", LOW), run("b", {"transformers": None})],
        ],
        ids=["lower", "higher", "disagree", "two-differ", "platform", "absent"],
    )
    def test_less_than_that_is_no_answer(self, runs):
        found = diagnose(environment(), matrix(runs), strict=True)
        assert status(found) == ("unknown", "none")

    @pytest.mark.parametrize(
        ("specifier", "expected"),
        [
            (">=4.42,<4.43", "none"),
            ("==4.41.*", "none"),
            (">=4.44", "none"),
            (">=4.45", "bracketed"),
            ("<4.38", "bracketed"),
            ("<=4.38.0", "none"),
            ("<=4.44.0", "bracketed"),
            ("!=4.38.0", "none"),
        ],
    )
    def test_no_boundary_of_a_known_issue_may_lie_between(self, specifier, expected):
        other = issue("XC009", ["stream"], {"transformers": specifier, "TTS": "<0.1"})
        known = matrix([run("a", self.LOW), run("b", self.HIGH)], [other])
        assert status(diagnose(environment(), known, strict=True))[1] == expected

    def test_only_the_nearest_runs_count(self):
        far = run("far", {"transformers": "4.30.0"}, {**ALL_WORK, "speak": "fails"})
        known = matrix([far, run("a", self.LOW), run("b", self.HIGH)])
        assert status(diagnose(environment(), known)) == ("works", "bracketed")

    @pytest.mark.parametrize(
        ("here", "low", "high"),
        [
            ("4.44.0rc1", "4.38.0", "4.45.0"),
            ("4.44.0.dev0", "4.38.0", "4.45.0"),
            ("4.40.2", "4.38.0", "4.44.0rc1"),
            ("4.40.2", "4.38.0.dev0", "4.44.0"),
        ],
    )
    def test_nightlies_are_neither_bracketed_nor_brackets(self, here, low, high):
        runs = [run("a", {"transformers": low}), run("b", {"transformers": high})]
        assert status(diagnose(environment({"transformers": here}), matrix(runs))) == (
            "unknown",
            "none",
        )

    @pytest.mark.parametrize(
        "high",
        [
            {"python": "3.12.1"},
            {"packages": {"torchcodec": "0.9.1"}},
            {"packages": {"numpy": "2.1"}},
            {"packages": {"torch": "2.9.0"}},
        ],
        ids=str,
    )
    def test_brackets_differ_in_nothing_else(self, high):
        packages = {**self.HIGH, **high.get("packages", {})}
        other = {name: value for name, value in high.items() if name != "packages"}
        runs = [run("a", self.LOW), run("b", packages, **other)]
        here = environment({"numpy": "1.26"})
        assert status(diagnose(here, matrix(runs))) == ("unknown", "none")

    def test_builds_and_suffixes_are_no_difference(self):
        runs = [run("a", {**self.LOW, "torch": "2.9.1+cpu"}), run("b", self.HIGH)]
        here = environment({"torch": "2.9.1+cu121"})
        assert status(diagnose(here, matrix(runs))) == ("works", "bracketed")
        runs = [run("a", {"torch": "2.8.0+cpu"}), run("b", {"torch": "2.10.0+cu128"})]
        assert status(diagnose(environment({"torch": "2.9.1+cu121"}), matrix(runs))) == (
            "works", "bracketed",
        )  # fmt: skip

    def test_ffmpeg_that_differs_is_no_bracket_for_cloning(self):
        absent = issue("XC014", ["clone"], Condition(packages={"torchcodec": "*"},
                       system={"ffmpeg": "absent"}))  # fmt: skip
        codec = {"torchcodec": "0.9.1"}
        clones = {**ALL_WORK, "clone": "works"}
        runs = [
            run("a", {**self.LOW, **codec}, clones, system={"ffmpeg": "5.1"}),
            run("b", {**self.HIGH, **codec}, clones, system={"ffmpeg": "5.1"}),
        ]
        none = environment(codec, system={"ffmpeg": None})
        assert status(diagnose(none, matrix(runs, [absent])), "clone") == ("fails", "issue")
        five = environment(codec, system={"ffmpeg": "5"})
        assert status(diagnose(five, matrix(runs, [absent])), "clone") == ("works", "bracketed")

    def test_pins_are_not_bracketed(self):
        here = environment(complete=False)
        assert status(diagnose(here, matrix([run("a", self.LOW), run("b", self.HIGH)]))) == (
            "unknown",
            "none",
        )


class TestPins:
    def test_what_is_not_pinned_is_assumed_and_told(self):
        here = environment({"torchcodec": None}, complete=False, python="")
        found = diagnose(here, matrix([run("r1", {"torchcodec": "0.9.1"})]))
        assert found.verdict == "compatible"
        assert found.capabilities["speak"].note == (
            "run r1; assumed: torchcodec 0.9.1, Python 3.11"
        )

    @pytest.mark.parametrize("name", ["TTS", "torch", "torchaudio", "transformers"])
    def test_nothing_works_for_sure_where_pins_leave_out_what_decides(self, name):
        here = environment({name: None}, complete=False)
        found = diagnose(here, matrix([run("r1")]))
        said = "TTS or coqui-tts" if name == "TTS" else name
        assert status(found) == ("unknown", "none")
        assert found.capabilities["speak"].note == f"no version is said for {said}"

    @pytest.mark.parametrize(("pins", "told"), [({}, "unknown"), ({"six": "1.17.0"}, "works")])
    def test_what_a_run_asked_for_besides_must_be_pinned(self, pins, told):
        asked = run("r1", {"six": "1.17.0"})._replace(command="nox -s matrix -- --with 'six>=1'")
        found = diagnose(environment(pins, complete=False), matrix([asked]))
        assert found.capabilities["speak"].status == told
        if not pins:
            assert found.capabilities["speak"].note == "no version is said for six"

    def test_a_failure_is_told_even_so(self):
        here = environment({"transformers": None}, complete=False)
        bad = run("r1", capabilities={"import": "fails"})
        assert status(diagnose(here, matrix([bad])), "import") == ("fails", "recorded")

    def test_runs_that_differ_in_what_is_not_pinned_must_agree(self):
        bad = run("r2", {"transformers": "4.57.0"}, {"import": "fails"})
        here = environment({"transformers": None}, complete=False)
        assert status(diagnose(here, matrix([run("r1"), bad])), "import") == ("unknown", "none")

    def test_a_failure_is_not_left_out_for_what_is_not_said(self):
        missing = issue("XC012", ["clone"], NO_CODEC)
        with_codec = run("r1", {"torchcodec": "0.9.0"}, {**ALL_WORK, "clone": "works"})
        without = run("r2", None, {**ALL_WORK, "clone": "fails"})
        here = environment({"torchcodec": None}, complete=False)
        found = diagnose(here, matrix([with_codec, without], [missing]))
        assert status(found, "clone") == ("unknown", "none")

    def test_what_cannot_be_installed_cannot_be_imported(self):
        too_new = issue("XC022", ["install"], Condition(packages={"TTS": "*"}, python=">=3.12"))
        pins = environment(complete=False, python="3.13")
        found = diagnose(pins, matrix(issues=[too_new]))
        assert found.capabilities["speak"].note == "needs install"
        assert found.verdict == "incompatible"

    def test_what_is_installed_was_installed(self):
        too_new = issue("XC022", ["install"], Condition(packages={"TTS": "*"}, python=">=3.12"))
        found = diagnose(environment(python="3.13.0"), matrix(issues=[too_new]))
        assert found.verdict == "unknown"


def test_the_verdict_is_about_what_is_needed():
    known = matrix([run("r1")], [issue("XC012", ["clone"], NO_CODEC)])
    assert diagnose(environment(), known).verdict == "compatible"
    assert diagnose(environment(), known, ("clone",)).verdict == "incompatible"
    assert diagnose(environment(), known, ("speak", "stream")).verdict == "unknown"


def test_a_row_is_recognised():
    row = Row(
        id="tts22",
        title="T",
        python="<3.12",
        packages={"TTS": "0.22.0", "torch": "2.9.1", "torchcodec": "absent"},
        platforms=("linux-x86_64",),
        capabilities=("speak",),
        runs=("r1",),
    )
    known = matrix(rows=[row])
    assert diagnose(environment({"torch": "2.9.1+cpu"}), known).row == "tts22"
    assert diagnose(environment({"torchcodec": "0.9"}), known).row is None
    assert diagnose(environment(python="3.12.0"), known).row is None
    assert diagnose(environment(platform="macosx-arm64"), known).row is None


def test_bystanders_are_not_told():
    assert "secret-project" not in (
        diagnose(environment({"secret-project": "1"}), matrix()).environment.packages
    )


BROKEN = {"import": "fails"}
MENDED = {**ALL_WORK, "stream": "works", "clone": "fails"}


class TestRuntime:
    """The second column of a run: the same versions, loaded by xcompat."""

    def told(self, here=None, run_in=None, needed=NEEDED, issues=(), *, strict=False, **fields):
        known = matrix([run("r1", run_in, BROKEN, MENDED)], list(issues))
        return diagnose(environment(here, **fields), known, needed, strict=strict)

    def test_what_stock_fails_and_the_runtime_delivers_needs_no_change(self):
        found = self.told()
        assert found.verdict == "incompatible"
        assert found.change_nothing == ("import", "load-converted", "speak", "stream")
        assert found.runtime["speak"].note == "run r1"
        assert found.runtime["clone"].status == "fails"
        assert found.runtime["api"].status == "unknown"
        assert found.capabilities["api"].status == "fails"

    def test_it_is_no_way_out_where_it_lacks_what_is_needed(self):
        assert self.told(needed=("speak", "clone")).change_nothing == ()
        assert self.told(needed=("load",)).change_nothing == ()

    @pytest.mark.parametrize(
        "other",
        [
            {"here": {"torch": "2.9.0"}},
            {"here": {"transformers": None}},
            {"here": {"numpy": "2.0.0"}, "run_in": {"numpy": "1.26.4"}},
            {"python": "3.10.4"},
            {"platform": "macosx-arm64"},
            {"signs": {"changed-files": ("TTS",)}},
            {"issues": [issue("XC009", ["import"], {"torch": "==2.9.1", "numpy": "absent"})],
             "run_in": {"numpy": "1.26.4"}},
        ],
        ids=str,
    )  # fmt: skip
    def test_only_what_was_run_counts(self, other):
        found = self.told(**other, strict=True)
        assert {told.status for told in found.runtime.values()} == {"unknown"}
        assert found.change_nothing == ()

    def test_neighbours_are_no_answer(self):
        around = [
            run(version, {"torch": version}, BROKEN, MENDED) for version in ("2.8.0", "2.10.0")
        ]
        found = diagnose(environment(), matrix(around), strict=True)
        assert (found.capabilities["import"].basis, found.change_nothing) == ("bracketed", ())

    def test_runs_that_disagree_are_no_answer(self):
        runs = [run("r1", None, BROKEN, MENDED), run("r2", None, {}, BROKEN)]
        assert diagnose(environment(), matrix(runs)).change_nothing == ()

    def test_what_works_needs_no_runtime(self):
        found = diagnose(environment(), matrix([run("r1", None, ALL_WORK, ALL_WORK)]))
        assert found.change_nothing == ()

    def test_pins_that_leave_out_torch_promise_nothing(self):
        assert self.told({"torch": None}, complete=False).change_nothing == ()
        assert self.told({"torchaudio": None}, complete=False).change_nothing == ()
        assert self.told({"torchcodec": None}, complete=False).change_nothing != ()
