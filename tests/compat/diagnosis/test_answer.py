"""The first line of a doctor: what it says, and that it says nothing else than the table."""

import random
import re

import pytest

from builders.matrices import ALL_WORK, environment, issue, matrix, run
from xcompat.diagnosis.answer import answer_of
from xcompat.diagnosis.doctor import Doctor, diagnose
from xcompat.domain import CAPABILITIES, NEEDED, Condition
from xcompat.matrix.load import load_matrix

EVERYTHING = dict.fromkeys(CAPABILITIES, "works")
PICKLED = issue("XC001", ["load"], {"torch": ">=2.6"})
NO_IMPORT = issue("XC002", ["import"], {"TTS": "*"})


def answer(runs=(), issues=(), needed=NEEDED, here=None, **fields):
    return answer_of(diagnose(environment(here, **fields), matrix(runs, list(issues)), needed))


class TestItWorks:
    def test_all_that_a_user_hears(self):
        told = answer([run("r1", None, EVERYTHING)])
        assert told == ("Speaks, streams and clones voices here", False)

    def test_only_what_is_known_is_named(self):
        assert answer([run("r1")]).text == "Speaks here"

    def test_the_model_must_be_converted(self):
        told = answer([run("r1")], [PICKLED])
        assert told == ("Speaks here, once the model is converted", True)

    @pytest.mark.parametrize(
        ("needed", "convert"),
        [
            (("install",), False),
            (("import",), False),
            (("speak",), True),
            (("import", "speak"), True),
        ],
    )
    def test_only_where_a_model_is_opened(self, needed, convert):
        told = answer([run("r1", None, {**ALL_WORK, "install": "works"})], [PICKLED], needed)
        assert told.convert is convert
        assert ("once the model is converted" in told.text) is convert

    def test_what_is_lost_is_said_with_the_reason(self):
        told = answer([run("r1")], [issue("XC006", ["stream"], {"TTS": "*"})])
        assert told.text == "Speaks here; cannot stream: Title of XC006"
        told = answer([run("r1")], [issue("XC006", ["stream", "clone"], {"TTS": "*"})])
        assert told.text == "Speaks here; cannot stream and clone a voice: Title of XC006"

    def test_a_failure_that_no_issue_explains(self):
        told = answer([run("r1", None, {**ALL_WORK, "stream": "fails"})])
        assert told.text == (
            "Speaks here; cannot stream: it was run with these versions, and it failed"
        )

    def test_pins(self):
        told = answer([run("r1", None, EVERYTHING)], complete=False)
        assert told.text == "Speaks, streams and clones voices with these pins"

    @pytest.mark.parametrize(
        ("needed", "text"),
        [
            (("import",), "Can start here"),
            (("load-converted",), "Can open a converted model here"),
            (("install",), "Can be installed here"),
            (("import", "api"), "Can start and speak through TTS(NAME) here"),
            (("api",), "Can speak through TTS(NAME) here"),
            (("load", "api"), "Can open the original model.pth and speak through TTS(NAME) here"),
        ],
    )
    def test_what_was_asked_for_where_nothing_is_heard(self, needed, text):
        measured = dict.fromkeys(needed, "works") | {"import": "works"}
        assert answer([run("r1", None, measured)], needed=needed).text == text


class TestItFails:
    def test_it_does_not_start(self):
        assert answer(issues=[NO_IMPORT]) == ("Cannot start here: Title of XC002", False)

    def test_it_speaks_and_lacks_what_was_asked_for(self):
        told = answer([run("r1")], [PICKLED], ("speak", "load"))
        assert told == (
            "Speaks here, but cannot open the original model.pth: Title of XC001", False,
        )  # fmt: skip

    def test_it_starts_and_does_no_more(self):
        measured = {"import": "works", "load-converted": "works", "speak": "fails"}
        assert answer([run("r1", None, measured)]).text == (
            "Starts here, but cannot speak: it was run with these versions, and it failed"
        )

    def test_nobody_knows_whether_it_starts(self):
        told = answer(issues=[issue("XC003", ["speak"], {"TTS": "*"})])
        assert told.text == "Cannot speak here: Title of XC003"

    def test_pins_that_cannot_be_installed(self):
        too_new = issue("XC022", ["install"], Condition(packages={"TTS": "*"}, python=">=3.12"))
        told = answer(issues=[too_new, NO_IMPORT], python="3.13", complete=False)
        assert told.text == "Cannot be installed: Title of XC022"
        assert answer(issues=[too_new, NO_IMPORT], python="3.13").text == (
            "Cannot start here: Title of XC002"
        )


class TestNobodyKnows:
    def test_why(self):
        assert answer().text == (
            "Nobody knows whether it can run XTTS v2 here: torch was never run"
        ).replace("torch", "TTS")
        told = answer([run("r1"), run("r2", {"transformers": "4.50.0"})],
                      here={"transformers": "4.51.0"})  # fmt: skip
        assert told.text == (
            "Nobody knows whether it can run XTTS v2 here: "
            "transformers 4.51.0 is newer than any that was run, 4.50.0"
        )

    def test_what(self):
        assert answer([run("r1")], needed=("speak", "stream")).text.startswith(
            "Nobody knows whether it can stream here: "
        )


NAMED = {
    "speaks": ("speak", "works"),
    "streams": ("stream", "works"),
    "clones voices": ("clone", "works"),
    "starts": ("import", "works"),
    "can start": ("import", "works"),
    "can be installed": ("install", "works"),
    "can open the original model.pth": ("load", "works"),
    "can open a converted model": ("load-converted", "works"),
    "cannot start": ("import", "fails"),
    "cannot be installed": ("install", "fails"),
    "open the original model.pth": ("load", None),
    "open a converted model": ("load-converted", None),
    "speak": ("speak", None),
    "stream": ("stream", None),
    "clone a voice": ("clone", None),
    "write sound with torchaudio.save": ("save", None),
    "can write sound with torchaudio.save": ("save", "works"),
    "speak through TTS(NAME)": ("api", None),
    "speak through TTS(model_path=...)": ("api-path", None),
    "be installed": ("install", None),
    "start": ("import", None),
}
"""What a phrase of the first line is about, and what it says of that; None: as it is led in."""


def claims(text):
    """What a first line says of capabilities, read from its words alone."""
    text = text[0].lower() + text[1:]
    said = re.split(r":(?![^()]*\)) ", text, maxsplit=1)[0]
    said = re.sub(r" (here|with these pins)\b", "", said)
    if said.startswith("nobody knows whether it can "):
        rest = said.removeprefix("nobody knows whether it can ")
        yield from [] if rest == "run XTTS v2" else [(NAMED[rest][0], "unknown")]
        return
    if said.endswith(", once the model is converted") or ", once the model is converted;" in said:
        yield "load", "fails"
        said = said.replace(", once the model is converted", "")
    does, _, lacks = said.partition("cannot ")
    for part, status in ((does.rstrip("; ").removesuffix(", but"), "works"), (lacks, "fails")):
        for phrase in filter(None, re.split(r", | and ", part.removeprefix("can "))):
            yield NAMED[phrase][0], status


@pytest.fixture(scope="module")
def shipped():
    return load_matrix()


@pytest.fixture(scope="module")
def doctor(shipped):
    return Doctor(shipped)


class TestItNeverContradictsTheTable:
    def judge(self, doctor, here, needed, *, strict=False):
        found = doctor.diagnose(here, needed, strict=strict)
        told = answer_of(found)
        for capability, status in claims(told.text):
            assert found.capabilities[capability].status == status, (told.text, here.packages)
        if found.verdict == "compatible":
            assert not told.text.startswith(("Nobody", "Cannot"))
        if found.verdict == "unknown":
            assert told.text.startswith("Nobody knows")
        if found.verdict == "incompatible":
            assert "annot " in told.text
        return told

    def test_of_all_runs(self, shipped, doctor):
        texts = set()
        for recorded in shipped.runs:
            for complete in (True, False):
                here = recorded.environment._replace(complete=complete)
                texts.add(self.judge(doctor, here, NEEDED).text.split(":")[0])
        assert len(texts) > 10

    @pytest.mark.parametrize("seed", range(4))
    def test_of_what_is_like_no_run(self, shipped, doctor, seed):
        dice = random.Random(seed)
        for _ in range(60):
            one, other = dice.sample(shipped.runs, 2)
            packages = {**one.environment.packages}
            for name in dice.sample(sorted(packages), dice.randrange(len(packages))):
                del packages[name]
            packages |= {
                name: version
                for name, version in other.environment.packages.items()
                if dice.random() < 0.2
            }
            here = one.environment._replace(
                packages=packages,
                complete=dice.random() < 0.5,
                python=dice.choice(["", "3.8", "3.9", "3.10", "3.11.9", "3.12", "3.13", "3.15"]),
                platform=dice.choice(
                    ["linux-x86_64", "macosx-arm64", "macosx-x86_64", "win-amd64"]
                ),
            )
            needed = tuple(dice.sample(CAPABILITIES, dice.randrange(1, 4)))
            ordered = tuple(name for name in CAPABILITIES if name in needed)
            self.judge(doctor, here, dice.choice([NEEDED, ordered]), strict=dice.random() < 0.2)
