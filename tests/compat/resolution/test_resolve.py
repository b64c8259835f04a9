"""The plan: what is proposed, in which order, why, and what cannot be."""

import pytest

from builders.matrices import ALL_WORK, environment, issue, matrix, row, run
from xcompat.domain import CAPABILITIES, Condition
from xcompat.domain.plan import Constraint
from xcompat.resolution.resolve import plan
from xcompat.resolution.specifiers import is_satisfiable

EVERYTHING = dict.fromkeys(CAPABILITIES, "works")
NO_API = {**EVERYTHING, "api": "fails"}
COQUI = {
    "TTS": None, "coqui-tts": "0.28.0", "coqui-tts-trainer": "0.4.0", "coqpit-config": "0.2.5",
    "torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.57.6", "tokenizers": "0.22.2",
    "numpy": "2.4.6", "six": "1.17.0",
}  # fmt: skip
TTS = {"trainer": "0.0.36", "coqpit": "0.0.17", "tokenizers": "0.19.1", "numpy": "1.26.4"}
SIX = issue("XC024", ["import"], {"coqui-tts": "*", "six": "absent"})
SCORER = issue("XC002", ["import"], {"TTS": "*", "transformers": ">=4.57"})
FORK = ("coqui-tts == 0.28.0",)
NOTHING = dict.fromkeys(("TTS", "torch", "torchaudio", "transformers"))
REPORT = {**TTS, "transformers": "4.57.2", "tokenizers": "0.22.2"}


def keep(*words):
    return [
        Constraint(kind="keep", name=name, specifier=f"{operator}{version}")
        for name, operator, version in (word.split() for word in words)
    ]


def need(*names):
    return [Constraint(kind="need", name=name) for name in names]


def two_families(**fields):
    runs = [run("r-tts", TTS, NO_API), run("r-coqui", COQUI, EVERYTHING)]
    rows = [row("tts", runs[0]), row("coqui", runs[1])]
    return matrix(runs, fields.pop("issues", [SCORER, SIX]), fields.pop("rows", rows))


def changes(proposal):
    return {change.name: (change.now, change.then) for change in proposal.changes}


def rows_of(told):
    return [proposal.row for proposal in told.proposals]


class TestChangeNothing:
    """The runtime in the environment as it is, before anything that changes it."""

    @staticmethod
    def told(*constraints, proposals=True):
        broken = run("r-broken", REPORT, {"import": "fails"}, ALL_WORK)
        known = two_families(rows=[]) if proposals else matrix([])
        known = known._replace(runs=(*known.runs, broken))
        return plan(environment(REPORT), known, constraints)

    def test_it_is_told_beside_the_changes(self):
        told = self.told()
        assert told.change_nothing == ("import", "load-converted", "speak")
        assert len(told.proposals) == 2

    def test_it_is_told_where_nothing_else_helps(self):
        told = self.told(proposals=False)
        assert told.conflict
        assert told.change_nothing

    def test_not_where_it_lacks_what_is_needed(self):
        assert self.told(*need("speak")).change_nothing
        assert self.told(*need("speak", "stream")).change_nothing == ()

    def test_not_where_something_else_must_be_kept(self):
        assert self.told(*keep("transformers == 4.57.2")).change_nothing
        assert self.told(*keep("transformers == 4.40.2")).change_nothing == ()


class TestRanking:
    def test_the_least_change_comes_first_and_the_other_way_out_after_it(self):
        told = plan(environment(REPORT), two_families())
        assert rows_of(told) == ["tts", "coqui"]
        assert [proposal.selector for proposal in told.proposals] == [(), ("coqui-tts==0.28.0",)]

    def test_the_selector_of_the_other_way_out_selects_it(self):
        (first,) = plan(environment(REPORT), two_families(), keep(*FORK)).proposals
        assert first.row == "coqui"

    def test_of_the_same_change_what_delivers_most_comes_first(self):
        poor = run("poor", {**TTS, "transformers": "4.41.0"}, {**NO_API, "stream": "fails"})
        rich = run("rich", TTS, NO_API)
        for runs in ([poor, rich], [rich, poor]):
            told = plan(environment(REPORT), matrix(runs, [SCORER]))
            assert told.proposals[0].runs == ("rich",)

    def test_a_swap_asks_most_of_a_user_then_a_torch_then_transformers(self):
        here = environment(REPORT)
        candidates = {
            "swap": run("swap", {**COQUI, "torch": "2.9.1", "torchaudio": "2.9.1"}),
            "torch": run("torch", {**TTS, "torch": "2.8.0", "torchaudio": "2.8.0"}),
            "transformers": run("transformers", TTS),
        }
        for dropped, expected in (
            (None, "transformers"),
            ("transformers", "torch"),
            ("torch", "swap"),
        ):
            issues = [SCORER]
            if dropped:
                del candidates[dropped]
                # What was run beside another torch is not to be expected beside this one.
                issues += [issue("XC900", ["import"], {"TTS": "*", "torch": ">=2.9"})]
            told = plan(here, matrix(candidates.values(), issues))
            assert told.proposals[0].runs == (expected,)

    def test_what_else_must_change_counts_beside_the_greatest_change(self):
        """Both take the other TTS; one of them leaves torch as it is."""
        whole = run("whole", {**COQUI, "torch": "2.11.0", "torchaudio": "2.11.0"}, EVERYTHING)
        little = run("little", {**COQUI, "torch": "2.9.1", "torchaudio": "2.9.1"}, NO_API)
        told = plan(environment(REPORT), matrix([whole, little], [SCORER]))
        assert told.proposals[0].runs == ("little",)

    def test_a_version_that_nobody_ran_here_is_proposed_where_it_is_the_least_change(self):
        """Beside another torch this transformers worked, and no issue tells the two apart."""
        runs = [
            run("old", {**TTS, "torch": "2.8.0", "torchaudio": "2.8.0"}, EVERYTHING),
            run("swap", {**COQUI, "torch": "2.9.1", "torchaudio": "2.9.1"}, EVERYTHING),
        ]
        told = plan(environment(REPORT), matrix(runs, [SCORER]))
        best, other = told.proposals
        assert changes(best) == {
            "transformers": ("4.57.2", "4.40.2"),
            "tokenizers": ("0.22.2", "0.19.1"),
        }
        assert (best.evidence, best.runs) == ("expected", ())
        assert best.result.verdict == "compatible"
        assert other.runs == ("swap",)

    def test_what_the_doctor_does_not_vouch_for_is_no_other_way_out(self):
        """The fork ran on another platform only, and something unexplained fails here."""
        runs = [
            run("here", TTS, NO_API),
            run("there", COQUI, EVERYTHING, platform="macosx-arm64"),
            run("broke", {**COQUI, "coqui-tts": "0.27.9"}, {"install": "works", "import": "fails"}),
        ]
        told = plan(environment(REPORT), matrix(runs, [SCORER]))
        assert [proposal.runs for proposal in told.proposals] == [("here",)]

    def test_where_nothing_is_installed_nothing_costs_and_the_newest_wins(self):
        newest = run("newest", {**COQUI, "torch": "2.11.0", "torchaudio": "2.11.0"})
        older = run("older", COQUI)
        for runs in ([newest, older], [older, newest]):
            assert plan(environment(NOTHING), matrix(runs)).proposals[0].runs == ("newest",)

    def test_run_here_counts_more_than_run_elsewhere(self):
        mac = run("mac", {**COQUI, "torch": "2.11.0"}, platform="macosx-arm64")
        linux = run("linux", COQUI)
        here = environment(NOTHING)
        assert plan(here, matrix([mac, linux])).proposals[0].runs == ("linux",)
        there = here._replace(platform="macosx-arm64")
        assert plan(there, matrix([mac, linux])).proposals[0].runs == ("mac",)

    def test_a_pth_that_must_be_converted_is_no_reason_to_change_torch(self):
        loads = run("old", {**TTS, "torch": "2.5.1", "torchaudio": "2.5.1"}, NO_API)
        converts = run("new", TTS, {**NO_API, "load": "fails"})
        told = plan(environment(REPORT), matrix([loads, converts], [SCORER]))
        assert told.proposals[0].runs == ("new",)
        assert told.proposals[0].convert
        told = plan(environment(REPORT), matrix([loads, converts], [SCORER]), need("load"))
        assert told.proposals[0].runs == ("old",)
        assert not told.proposals[0].convert


class TestCompleteness:
    def test_what_shares_files_goes_first_and_the_other_family_comes_whole(self):
        best = plan(environment(REPORT), two_families(), keep(*FORK)).proposals[0]
        assert changes(best) == {
            "TTS": ("0.22.0", None),
            "trainer": ("0.0.36", None),
            "coqpit": ("0.0.17", None),
            "coqui-tts": (None, "0.28.0"),
            "coqui-tts-trainer": (None, "0.4.0"),
            "coqpit-config": (None, "0.2.5"),
            "torch": ("2.9.1", "2.8.0"),
            "torchaudio": ("2.9.1", "2.8.0"),
            "transformers": ("4.57.2", "4.57.6"),
            "numpy": ("1.26.4", "2.4.6"),
            "six": (None, "1.17.0"),
        }
        assert [c.name for c in best.changes if c.uninstall] == ["TTS", "trainer", "coqpit"]
        assert [c.uninstall for c in best.changes] == [True] * 3 + [False] * 8

    def test_both_installed_both_go_and_one_comes_back(self):
        here = environment(
            {**COQUI, **TTS, "TTS": "0.22.0", "numpy": "2.4.6", "tokenizers": "0.22.2"}
        )
        best = plan(here, two_families()).proposals[0]
        assert changes(best) == {
            "TTS": ("0.22.0", None),
            "trainer": ("0.0.36", None),
            "coqpit": ("0.0.17", None),
            "coqui-tts": ("0.28.0", "0.28.0"),
            "coqui-tts-trainer": ("0.4.0", "0.4.0"),
            "coqpit-config": ("0.2.5", "0.2.5"),
        }
        assert all(change.uninstall for change in best.changes)

    def test_tokenizers_goes_with_transformers(self):
        told = plan(environment(REPORT), two_families(), keep("TTS == 0.22.0"))
        assert changes(told.proposals[0]) == {
            "transformers": ("4.57.2", "4.40.2"),
            "tokenizers": ("0.22.2", "0.19.1"),
        }

    def test_a_transformers_that_was_not_run_gets_a_tokenizers_that_it_takes(self):
        best = plan(environment(REPORT), two_families(), keep("transformers == 4.40.0")).proposals[
            0
        ]
        assert changes(best) == {
            "transformers": ("4.57.2", "4.40.0"),
            "tokenizers": ("0.22.2", ""),
        }
        assert "tokenizers==0.19.*" in best.requirements
        best = plan(environment(REPORT), two_families(), keep("transformers == 4.39.0")).proposals[
            0
        ]
        assert "tokenizers" in best.requirements

    def test_a_numpy_of_the_same_major_version_stays(self):
        here = environment({**REPORT, "numpy": "1.24.0"})
        best = plan(here, two_families()).proposals[0]
        assert "numpy" not in changes(best)
        assert "numpy==1.24.0" in best.requirements
        best = plan(environment({**REPORT, "numpy": "2.0.1"}), two_families()).proposals[0]
        assert changes(best)["numpy"] == ("2.0.1", "1.26.4")

    def test_a_numpy_that_is_not_kept_as_it_was_run_is_still_of_its_major_version(self):
        here = environment({**NOTHING, "numpy": None})
        best = plan(here, two_families(), keep("numpy != 2.4.6", "torch == 2.8.0")).proposals[0]
        assert "numpy!=2.4.6,==2.*" in best.requirements
        best = plan(here, two_families(), keep("numpy < 2", "torch == 2.8.0")).proposals[0]
        assert "numpy<2" in best.requirements

    def test_what_is_kept_and_is_nowhere_is_put_there(self):
        for here in (environment(NOTHING), environment(REPORT, complete=False)):
            best = plan(here, two_families(), keep("gradio == 5.0")).proposals[0]
            assert changes(best)["gradio"] == (None, "")
            assert "gradio==5.0" in best.requirements

    def test_a_version_that_a_list_leaves_open_is_no_change(self):
        here = environment({**REPORT, "gradio": ""}, complete=False, ranges={"gradio": ">=4"})
        best = plan(here, two_families(), keep("gradio >= 4")).proposals[0]
        assert "gradio" not in changes(best)
        assert "gradio>=4" in best.requirements

    def test_what_installs_the_same_files_is_never_put_beside(self):
        told = plan(environment(REPORT), two_families(), keep("coqpit-config == 0.2.5"))
        assert rows_of(told) == ["coqui"]
        wanted = keep("coqpit-config == 0.2.5", "TTS == 0.22.0")
        assert plan(environment(REPORT), two_families(), wanted).proposals == ()

    def test_a_numpy_that_troubles_is_pinned(self):
        pandas = issue("XC031", ["import"], {"TTS": "*", "numpy": ">=2"})
        known = two_families(issues=[SCORER, pandas])
        told = plan(environment({**REPORT, "numpy": "2.1.0"}), known, keep("TTS == 0.22.0"))
        assert changes(told.proposals[0])["numpy"] == ("2.1.0", "1.26.4")
        reasons = {change.name: change.why for change in told.proposals[0].changes}
        assert reasons["numpy"] == "XC031 Title of XC031"
        assert reasons["transformers"] == "XC002 Title of XC002"

    def test_what_the_other_family_left_behind_is_renewed_where_it_troubles(self):
        pandas = issue("XC031", ["import"], {"coqui-tts": "*", "numpy": ">=2", "pandas": "<2.0"})
        known = two_families(issues=[SCORER, SIX, pandas])
        best = plan(environment({**REPORT, "pandas": "1.5.3"}), known, keep(*FORK)).proposals[0]
        assert changes(best)["pandas"] == ("1.5.3", "")
        assert "pandas>=2.0" in best.requirements
        newer = environment({**REPORT, "pandas": "2.2.3"})
        harmless = plan(newer, known, keep(*FORK)).proposals[0]
        assert harmless.row == best.row == "coqui"
        assert "pandas" not in changes(harmless)

    def test_what_was_not_there_in_the_run_goes(self):
        here = environment({**COQUI, "torchcodec": "0.17.0", "six": None})
        best = plan(here, two_families()).proposals[0]
        assert changes(best) == {"torchcodec": ("0.17.0", None), "six": (None, "1.17.0")}

    def test_a_distribution_that_is_there_twice_goes_and_comes_back(self):
        here = environment({**TTS, "torch": "2.9.1"}, duplicates={"torch": ("2.8.0", "2.9.1")})
        best = plan(here, two_families(), keep("TTS == 0.22.0")).proposals[0]
        assert [(c.name, c.then, c.uninstall) for c in best.changes] == [("torch", "2.9.1", True)]

    def test_what_is_damaged_is_installed_anew(self):
        here = environment(
            TTS, signs={"missing-xtts-files": ("TTS: TTS/api.py",), "rosetta": ("/python",)}
        )
        told = plan(here, two_families(), keep("TTS == 0.22.0"))
        assert told.now.verdict == "unknown"
        best = told.proposals[0]
        assert [(c.name, c.then, c.uninstall) for c in best.changes] == [("TTS", "0.22.0", True)]
        assert best.result.verdict == "compatible"
        assert best.changes[0].why == "its files are not as they were installed"

    def test_the_requirements_hold_what_does_not_change(self):
        told = plan(environment(REPORT), two_families(), keep("TTS == 0.22.0", "trainer >= 0.0.30"))
        assert set(told.proposals[0].requirements) == {
            "TTS==0.22.0", "torch==2.9.1", "torchaudio==2.9.1", "transformers==4.40.2",
            "tokenizers==0.19.1", "numpy==1.26.4", "trainer>=0.0.30",
        }  # fmt: skip

    def test_a_lock_of_what_works_has_what_nothing_else_brings(self):
        told = plan(environment(COQUI), two_families())
        assert told.proposals[0].changes == ()
        assert "six==1.17.0" in told.proposals[0].requirements


class TestBuilds:
    MISMATCH = issue("XC018", ["import"], {"torch": "*", "torchaudio": "*"})

    def test_a_local_version_is_the_version(self):
        here = environment({**REPORT, "torch": "2.9.1+cu126", "torchaudio": "2.9.1+cu126"})
        told = plan(here, two_families(), keep("TTS == 0.22.0"))
        assert "torch" not in changes(told.proposals[0])

    def test_a_torchaudio_beside_a_cpu_torch_is_of_its_build(self):
        here = environment(
            {**REPORT, "torch": "2.9.1+cpu", "torchaudio": None}, builds={"torch": "cpu"}
        )
        best = plan(here, two_families(), keep("TTS == 0.22.0")).proposals[0]
        assert changes(best)["torchaudio"] == (None, "2.9.1+cpu")
        assert "torchaudio==2.9.1+cpu" in best.requirements

    def test_a_torchaudio_of_another_build_goes_and_comes_back(self):
        here = environment(
            {**TTS, "torch": "2.9.1+cpu"}, builds={"torch": "cpu", "torchaudio": "cu128"}
        )
        mismatch = self.MISMATCH._replace(
            conditions=(
                self.MISMATCH.conditions[0]._replace(cuda_mismatch=("torch", "torchaudio")),
            ),
        )
        told = plan(here, two_families(issues=[mismatch]), keep("TTS == 0.22.0"))
        assert told.now.verdict == "incompatible"
        (change,) = told.proposals[0].changes
        assert (change.name, change.then, change.uninstall) == ("torchaudio", "2.9.1+cpu", True)
        assert told.proposals[0].result.verdict == "compatible"

    def test_a_torch_of_another_build_than_the_torchaudio_that_comes_is_fetched_anew(self):
        """A torch of conda's does not say in its version that it is for the CPU."""
        mismatch = self.MISMATCH._replace(
            conditions=(
                self.MISMATCH.conditions[0]._replace(cuda_mismatch=("torch", "torchaudio")),
            ),
        )
        built = {"torch": "cu128", "torchaudio": "cu128"}
        known = matrix([run("r-tts", TTS, NO_API, builds=built)], [mismatch])
        here = environment({**TTS, "torchaudio": None}, builds={"torch": "cpu"})
        best = plan(here, known).proposals[0]
        torch, audio = best.changes
        assert (torch.name, torch.now, torch.then, torch.uninstall) == (
            *("torch", "2.9.1", "2.9.1"),
            True,
        )
        assert torch.why == "torch and torchaudio must be of one build"
        assert (audio.name, audio.then) == ("torchaudio", "2.9.1")
        assert best.result.verdict == "compatible"

    def test_a_build_that_is_asked_for_is_installed(self):
        here = environment({**REPORT, "torch": "2.9.1+cu126"})
        told = plan(here, two_families(), keep("TTS == 0.22.0", "torch == 2.9.1+cpu"))
        assert changes(told.proposals[0])["torch"] == ("2.9.1+cu126", "2.9.1+cpu")
        assert "torch==2.9.1+cpu" in told.proposals[0].requirements

    def test_a_torchaudio_goes_with_the_build_of_a_torch_that_is_asked_for(self):
        told = plan(
            environment(REPORT), two_families(), keep("TTS == 0.22.0", "torch == 2.9.1+cpu")
        )
        best = told.proposals[0]
        assert changes(best)["torchaudio"] == ("2.9.1", "2.9.1+cpu")
        assert any("index of its own" in note for note in best.notes)

    def test_a_torch_that_comes_for_another_cuda_than_its_torchaudio_is_no_plan(self):
        mismatch = self.MISMATCH._replace(
            conditions=(
                self.MISMATCH.conditions[0]._replace(cuda_mismatch=("torch", "torchaudio")),
            ),
        )
        failed = run(
            "r-cuda",
            {**COQUI, "torch": "2.15.0", "torchaudio": "2.11.0"},
            {"install": "works", "import": "fails"},
            builds={"torch": "cu132", "torchaudio": "cu130"},
        )
        known = two_families(issues=[mismatch])
        known = known._replace(runs=(*known.runs, failed))
        told = plan(environment(NOTHING), known, keep("torch == 2.15.0"))
        assert told.proposals == ()
        assert [i.code for i in told.conflict.issues] == ["XC018"]
        assert {c.kind for c in told.conflict.constraints} == {"keep", "platform"}
        assert plan(environment(NOTHING), known, keep("torch == 2.15.0+cpu")).proposals

    def test_beside_a_torch_newer_than_any_torchaudio_stands_the_newest_torchaudio(self):
        known = two_families()
        newest = run("newest", {**COQUI, "torch": "2.11.0", "torchaudio": "2.11.0"})
        known = known._replace(runs=(*known.runs, newest))
        best = plan(environment(REPORT), known, keep("torch == 2.12.0")).proposals[0]
        assert changes(best)["torchaudio"] == ("2.9.1", "2.11.0")


class TestLanguages:
    CUTLET, DICTIONARY = (
        issue(code, ["speak"], Condition(packages=packages, languages=("ja",)))
        for code, packages in (
            ("XC060", {"TTS": "*", "cutlet": "absent"}),
            ("XC061", {"TTS": "*", "cutlet": "*", "unidic-lite": "absent", "unidic": "absent"}),
        )
    )

    def known(self):
        return two_families(issues=[SCORER, self.CUTLET, self.DICTIONARY])

    def test_what_a_language_needs_is_in_the_plan(self):
        here = environment(REPORT, language="ja")
        best = plan(here, self.known(), keep("TTS == 0.22.0")).proposals[0]
        assert {name: changes(best)[name] for name in ("cutlet", "unidic-lite")} == {
            "cutlet": (None, ""),
            "unidic-lite": (None, ""),
        }
        assert {"cutlet", "unidic-lite"} <= set(best.requirements)
        assert best.result.verdict == "compatible"
        assert "unidic" not in changes(best)

    def test_what_is_there_is_not_asked_for_again(self):
        here = environment({**TTS, "cutlet": "0.5.0", "unidic": "1.1.0"}, language="ja")
        (only,) = plan(here, self.known()).proposals
        assert only.changes == ()

    def test_a_family_that_needs_nothing_gets_nothing(self):
        here = environment(REPORT, language="ja")
        best = plan(here, self.known(), keep(*FORK)).proposals[0]
        assert best.row == "coqui"
        assert "cutlet" not in changes(best)

    def test_nobody_asks_for_a_language(self):
        best = plan(environment(REPORT), self.known(), keep("TTS == 0.22.0")).proposals[0]
        assert "cutlet" not in changes(best)


class TestNothingToDo:
    def test_what_works_is_left_alone(self):
        told = plan(environment(TTS), two_families())
        (only,) = told.proposals
        assert (only.changes, only.row) == ((), "tts")

    def test_unless_it_does_not_hold_a_constraint(self):
        told = plan(environment(TTS), two_families(), keep("torch == 2.8.0"))
        assert rows_of(told) == ["coqui"]

    def test_leftovers_of_the_other_family_are_not_left_alone(self):
        told = plan(environment({**TTS, "coqpit-config": "0.2.5"}), two_families())
        assert told.now.verdict == "compatible"
        assert {name: c for name, c in changes(told.proposals[0]).items() if "coqpit" in name} == {
            "coqpit-config": ("0.2.5", None),
            "coqpit": ("0.0.17", "0.0.17"),
        }

    def test_what_only_adds_to_what_is_there_has_no_other_way_out(self):
        told = plan(environment({**COQUI, "six": None}), two_families())
        assert [changes(each) for each in told.proposals] == [{"six": (None, "1.17.0")}]

    def test_pins_that_work_get_only_what_they_do_not_say(self):
        here = environment({"torchaudio": None}, complete=False)
        told = plan(here, two_families())
        assert told.now.verdict == "unknown"  # another torchaudio may come
        assert all(change.now is None for change in told.proposals[0].changes)

    def test_what_ran_elsewhere_and_is_here_already_is_left_alone(self):
        here = environment(TTS, platform="macosx-arm64")
        told = plan(here, two_families())
        assert told.proposals[0].changes == ()
        assert told.proposals[0].evidence == "elsewhere"


class TestEvidence:
    def test_a_row_a_run_and_what_was_run_elsewhere_are_told_apart(self):
        known = two_families()
        told = plan(environment(REPORT), known).proposals[0]
        assert (told.evidence, told.row, told.runs) == ("row", "tts", ("r-tts",))
        told = plan(environment(REPORT), known._replace(rows=())).proposals[0]
        assert (told.evidence, told.row, told.runs) == ("run", None, ("r-tts",))
        there = environment(REPORT, platform="macosx-arm64")
        told = plan(there, known).proposals[0]
        assert (told.evidence, told.row, told.result.verdict) == ("elsewhere", "tts", "compatible")
        assert told.notes == ("run on linux-x86_64 with Python 3.11",)
        there = environment(REPORT, platform="macosx-arm64", python="3.12.1")
        told = plan(there, known).proposals[0]
        assert (told.evidence, told.row, told.result.verdict) == ("elsewhere", "tts", "unknown")
        assert told.notes == ("run on linux-x86_64 with Python 3.11",)

    def test_another_python_gets_its_own_versions_of_what_is_not_decided(self):
        here = environment(NOTHING, python="3.10.2")
        told = plan(here, two_families()).proposals[0]
        assert "coqui-tts-trainer" in told.requirements
        assert "six" in told.requirements
        assert {"numpy==2.*", "tokenizers==0.22.*"} <= set(told.requirements)
        here = environment({**REPORT, "numpy": "1.22.0"}, python="3.9.18")
        told = plan(here, two_families(), keep("TTS == 0.22.0")).proposals[0]
        assert changes(told)["tokenizers"] == ("0.22.2", "")
        assert {"numpy==1.*", "tokenizers==0.19.*"} <= set(told.requirements)

    def test_a_run_that_lacked_something_else_is_no_reproach(self):
        without_six = run("r0", {**COQUI, "six": None}, {"install": "works", "import": "fails"})
        known = two_families()
        told = plan(environment(NOTHING), known._replace(runs=(without_six, *known.runs)))
        assert told.proposals[0].runs == ("r-coqui",)

    def test_only_where_nothing_that_was_run_fits_is_something_else_proposed(self):
        told = plan(environment(REPORT), two_families(), keep("torch == 2.7.1"))
        assert {proposal.evidence for proposal in told.proposals} == {"none"}
        best = told.proposals[0]
        assert (best.row, best.runs) == (None, ())
        assert best.notes == ("torch, torchaudio: not the version that was run",)
        assert changes(best)["torchaudio"] == ("2.9.1", "2.7.1")

    def test_an_adaptation_that_is_known_to_fail_is_not_proposed(self):
        told = plan(
            environment(REPORT), two_families(), keep("TTS == 0.22.0", "transformers == 4.57.2")
        )
        assert told.proposals == ()

    def test_what_lies_between_two_runs_says_so(self):
        below = run("below", {**TTS, "transformers": "4.40.0"})
        above = run("above", {**TTS, "transformers": "4.40.9"})
        told = plan(
            environment(REPORT), matrix([below, above], [SCORER]), keep("transformers == 4.40.5")
        )
        assert told.proposals[0].evidence == "bracketed"


def test_on_another_platform_a_run_with_the_same_python_comes_first():
    newer = {**COQUI, "torch": "2.11.0", "torchaudio": "2.11.0"}
    runs = [run("r-311", COQUI, EVERYTHING), run("r-314", newer, ALL_WORK, python="3.14.1")]
    for python, first in (("3.14.0", "r-314"), ("3.11.9", "r-311")):
        here = environment(NOTHING, platform="macosx-arm64", python=python)
        assert plan(here, matrix(runs)).proposals[0].runs == (first,)


class TestConflict:
    def test_what_only_the_runtime_can_hold(self):
        newest = {**REPORT, "transformers": "5.23.0"}
        worked = run("r-runtime", newest, {"install": "works", "import": "fails"}, ALL_WORK)
        elsewhere = [
            worked._replace(id="r-mac", environment=worked.environment._replace(platform="mac")),
            run("r-failed", newest, {"install": "works", "import": "fails"}, {"import": "fails"}),
        ]
        known = two_families()
        known = known._replace(runs=(*known.runs, worked, *elsewhere))
        wanted = keep("TTS == 0.22.0", "transformers == 5.23.0")
        assert plan(environment(REPORT), known, wanted).conflict.runtime is worked
        told = plan(environment(REPORT), known, [*wanted, *need("stream")])
        assert told.conflict.runtime is None
        told = plan(environment(REPORT), known, [*wanted, *keep("torch == 2.8.0")])
        assert told.conflict.runtime is None

    def test_a_need_and_what_must_stay(self):
        known = two_families(issues=[SCORER, issue("XC033", ["api"], {"TTS": "*"})])
        told = plan(environment(REPORT), known, [*keep("TTS == 0.22.0", "numpy < 2"), *need("api")])
        assert told.proposals == ()
        assert {c.name for c in told.conflict.constraints} == {"TTS", "api"}
        assert [i.code for i in told.conflict.issues] == ["XC033"]
        assert [(c.name, p.row) for c, p in told.conflict.ways_out] == [
            ("api", "tts"),
            ("TTS", "coqui"),
        ]

    def test_a_python_that_is_too_new(self):
        known = two_families(
            issues=[
                issue("XC022", ["install"], {"TTS": "*"})._replace(
                    conditions=(
                        issue("X", [], {"TTS": "*"}).conditions[0]._replace(python=">=3.12"),
                    ),
                )
            ]
        )
        told = plan(environment(NOTHING, python="3.12.0"), known, keep("TTS == 0.22.0"))
        assert {(c.kind, c.name) for c in told.conflict.constraints} == {
            ("keep", "TTS"), ("python", "3.12.0"),
        }  # fmt: skip
        assert [i.code for i in told.conflict.issues] == ["XC022"]
        by_kind = {c.kind: p for c, p in told.conflict.ways_out}
        assert by_kind["python"].result.environment.python == "3.11"
        assert by_kind["python"].row == "tts"

    def test_two_that_exclude_each_other_without_any_issue(self):
        told = plan(environment(NOTHING), two_families(), keep("torch == 2.9.1", "torch == 2.8.0"))
        assert [c.specifier for c in told.conflict.constraints] == ["==2.9.1", "==2.8.0"]

    def test_two_that_exclude_each_other_on_a_package_that_decides_nothing(self):
        told = plan(environment(NOTHING), two_families(), keep("numpy >= 2", "numpy < 1.27"))
        assert [c.specifier for c in told.conflict.constraints] == [">=2", "<1.27"]
        assert {c.specifier for c, _ in told.conflict.ways_out} == {">=2", "<1.27"}

    def test_a_tokenizers_that_no_transformers_of_the_plan_takes(self):
        words = ("tokenizers == 0.19.1", "transformers == 4.57.2")
        told = plan(environment(REPORT), two_families(), keep(*words))
        assert {c.name for c in told.conflict.constraints} == {"tokenizers", "transformers"}
        (only,) = plan(environment(REPORT), two_families(), keep(words[0])).proposals
        assert only.row == "tts"

    def test_what_was_run_stands_before_what_was_not_among_the_ways_out(self):
        words = ("tokenizers == 0.19.1", "transformers == 4.57.2")
        told = plan(environment(REPORT), two_families(), keep(*words))
        assert [(c.name, p.evidence) for c, p in told.conflict.ways_out] == [
            ("transformers", "row"),
            ("tokenizers", "expected"),
        ]

    def test_an_issue_with_something_that_the_rest_brings(self):
        pandas = issue("XC031", ["import"], {"TTS": "*", "numpy": ">=2", "pandas": "<2"})
        runs = [run("r", {**TTS, "pandas": "1.5.3"})]
        told = plan(
            environment(NOTHING), matrix(runs, [pandas]), keep("TTS == 0.22.0", "numpy == 2.1.0")
        )
        assert [i.code for i in told.conflict.issues] == ["XC031"]

    def test_nothing_was_ever_run(self):
        told = plan(environment(NOTHING), matrix())
        assert told.conflict.constraints == ()
        assert told.conflict.ways_out == ()


@pytest.mark.parametrize("capability", ["stream", "clone", "api", "load"])
def test_what_is_needed_works_in_all_proposals(capability):
    known = two_families()
    works_nowhere = known._replace(
        runs=tuple(
            r._replace(capabilities={k: v for k, v in r.capabilities.items() if k in ALL_WORK})
            for r in known.runs
        ),
    )
    told = plan(environment(REPORT), known, need(capability))
    assert all(
        capability in known_run.capabilities
        for p in told.proposals
        for known_run in known.runs
        if known_run.id in p.runs
    )
    assert {p.result.capabilities[capability].status for p in told.proposals} == {"works"}
    assert plan(environment(REPORT), works_nowhere, need(capability)).proposals == ()


def test_what_streams_must_speak():
    silent = run("silent", TTS, {**EVERYTHING, "speak": "fails"})
    told = plan(environment(REPORT), matrix([silent], [SCORER]), need("stream"))
    assert told.needed == ("speak", "stream")
    assert told.proposals == ()


@pytest.mark.parametrize(
    ("specifier", "possible"),
    [
        ("", True),
        (">=2,<1.27", False),
        (">=1.26,<1.27", True),
        ("==1.26.4,<1.26", False),
        ("==1.*,>=2", False),
        ("==1.26.*,!=1.26", True),
        (">1.2,<1.2.0.1", True),
        ("~=1.4.2,<1.4", False),
        ("!=1,==1", False),
        ("<0.5", True),
        ("==2.9.1+cu128,==2.9.1", True),
        (">=2.0rc1,<2", True),  # too fine a question: left to the installer
    ],
)
def test_whether_any_version_can_be_kept(specifier, possible):
    assert is_satisfiable(specifier) is possible
