"""What holds of every plan that the shipped matrix gives, whatever is installed and asked for."""

import json
import re
from functools import cache

import pytest
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from builders.terminal import type_command
from xcompat.diagnosis.assumptions import assumed
from xcompat.diagnosis.conditions import applies
from xcompat.diagnosis.doctor import Doctor, diagnose
from xcompat.domain import (
    CAPABILITIES,
    DECIDING,
    SAME_FILES,
    Environment,
    distribution_name,
    distribution_of,
    minor_of,
)
from xcompat.domain.plan import Constraint
from xcompat.domain.versions import public
from xcompat.matrix.load import load_matrix
from xcompat.resolution.knowledge import Knowledge
from xcompat.resolution.resolve import plan
from xcompat.resolution.specifiers import meets

MATRIX = load_matrix()
NAMES = [
    *DECIDING, "trainer", "coqui-tts-trainer", "coqpit", "coqpit-config", "numpy", "tokenizers",
    "six", "pandas", "pip",
]  # fmt: skip
PLATFORMS = ["linux-x86_64", "linux-x86_64", "macosx-arm64", "macosx-x86_64", "win-amd64"]
PYTHONS = ["3.11.7", "3.11.7", "3.9.2", "3.10.4", "3.12.0", "3.13.1", "3.15.0"]


SELDOM = st.sampled_from([False, False, True])


@cache
def versions(name):
    """Versions of a distribution that were run, and a few that were not."""
    known = {run.environment.packages.get(name) for run in MATRIX.runs}
    others = {"0.22.0", "2.7.1", "2.9.0", "2.9.1+cu126", "4.44.0", "5.0.0", "0.1"}
    return sorted({version for version in known if version} | others)


@st.composite
def environments(draw):
    base = draw(st.sampled_from([{}, *(run.environment.packages for run in MATRIX.runs)]))
    packages = {name: base[name] for name in NAMES if name in base}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        packages[name] = draw(st.sampled_from(versions(name)))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=2)):
        packages.pop(name, None)
    if pins := draw(st.booleans()):
        packages = {name: v for name, v in packages.items() if name in DECIDING or draw(SELDOM)}
        return Environment(
            python=draw(st.sampled_from(["", *PYTHONS])),
            platform=draw(st.sampled_from(PLATFORMS)),
            packages=packages,
            source="",
            complete=not pins,
        )
    return Environment(
        python=draw(st.sampled_from(PYTHONS)),
        platform=draw(st.sampled_from(PLATFORMS)),
        packages=packages,
        source="",
        builds=draw(st.sampled_from([{}, {"torch": "cpu", "torchaudio": "cu128"}])),
        duplicates=draw(st.sampled_from([{}, {}, {"torch": ("2.8.0", "2.9.1")}])),
        signs=draw(
            st.sampled_from([{}, {}, {"missing-files": ("TTS: TTS/a.py", "trainer: b.py")}])
        ),
        language=draw(st.sampled_from(["", "", "ja", "zh-cn", "ko", "hi"])),
    )


@st.composite
def constraints(draw):
    told = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        version = draw(st.sampled_from(versions(name)))
        operator = draw(st.sampled_from(["==", "==", ">=", "<=", "!="]))
        version = version if operator in ("==", "!=") else public(version)
        told.append(Constraint(kind="keep", name=name, specifier=f"{operator}{version}"))
    needs = draw(st.lists(st.sampled_from(CAPABILITIES), max_size=2, unique=True))
    return [*told, *(Constraint(kind="need", name=name) for name in needs)]


def check(here, wanted):
    told = plan(here, MATRIX, wanted)
    assert bool(told.proposals) != bool(told.conflict)
    assert len({proposal.result.verdict for proposal in told.proposals}) < 2
    for proposal in told.proposals:
        _check_constraints(proposal, wanted)
        _check_order(proposal, here)
        _check_issues(proposal, told.needed)
        _check_evidence(proposal, here)
        _check_said(proposal, told)
        _check_tokenizers(proposal)
        after = _after(here, proposal)
        _check_nothing_changes(told.environment._replace(**after), wanted)
        there = proposal.result.environment
        # The doctor does not look at all of it.
        whole = {**_kept_beside(here, wanted), **there.packages, **after["packages"]}
        _check_nothing_changes(there._replace(packages=whole), wanted)
    if told.conflict:
        _check_conflict(told, wanted)
    return told


def _kept_beside(here, wanted):
    """What pins leave out, an installer brings, and must be kept."""
    told = None if here.complete else assumed(here, MATRIX)
    kept = {each.name for each in wanted if each.kind == "keep"}
    return {n: v for n, v in told.environment.packages.items() if n in kept} if told else {}


def _after(here, proposal):
    """The environment after the installer did what it was asked for."""
    packages = dict(here.packages)
    if not here.complete:  # What a list leaves out comes with what is asked for.
        packages |= _asked_for(proposal)
    for change in proposal.changes:
        packages.pop(change.name, None)
        if change.then == "":  # the installer's choice
            packages[change.name] = _full(proposal, change)
        elif change.then:
            packages[change.name] = change.then
    reinstalled = {change.name for change in proposal.changes}

    def left_of(seen):
        return tuple(each for each in seen if distribution_of(each) not in reinstalled)

    return {
        "python": here.python or proposal.result.environment.python,  # as the plan assumes it
        "packages": packages,
        "builds": {} if reinstalled & {"torch", "torchaudio"} else here.builds,
        "duplicates": {n: v for n, v in here.duplicates.items() if n not in reinstalled},
        "signs": {sign: left for sign, told in here.signs.items() if (left := left_of(told))},
    }


def _asked_for(proposal):
    asked = (each.partition("==") for each in proposal.requirements)
    exact = {name: version for name, _, version in asked if version and "," not in version}
    return {name: _newest_of(name, v) if v.endswith(".*") else v for name, v in exact.items()}


def _newest_of(name, version):
    """The installer takes the newest: of what was run, if any of it fits."""
    fitting = (each for each in KNOWN.versions(name) if meets(f"=={version}", each))
    return next(fitting, version.removesuffix(".*"))


def _full(proposal, change):
    """The version that an installer chooses: the installed one, or the newest that is allowed."""
    (asked,) = (r for r in proposal.requirements if re.split("[<>=!~]", r)[0] == change.name)
    specifier = asked[len(change.name) :]
    if meets(specifier, change.now):
        return change.now
    known = {run.environment.packages.get(change.name) for run in MATRIX.runs} - {None}
    allowed = [version for version in known if meets(specifier, version)]
    if not allowed:
        reject()  # What is to be kept is a version that nobody has seen: nothing can be applied.
    return max(allowed, key=Version)


def _check_constraints(proposal, wanted):
    after = {change.name: change.then for change in proposal.changes}
    for each in wanted:
        if each.kind != "keep":
            continue
        if each.name in after:
            assert after[each.name] is not None
            version = after[each.name]
            assert not version or meets(each.specifier, version)
        asked = map(Requirement, proposal.requirements)
        for specifier in (
            str(r.specifier) for r in asked if distribution_name(r.name) == each.name
        ):
            exact = re.fullmatch(r"==([^,*]+)", specifier)
            assert meets(each.specifier, exact[1]) if exact else each.specifier in specifier


def _check_order(proposal, here):
    firsts = [change.uninstall and change.then is None for change in proposal.changes]
    assert firsts == sorted(firsts, reverse=True)
    after = _after(here, proposal)["packages"]
    assert not [pair for pair in SAME_FILES if set(pair) <= after.keys()]
    for name in ("torch", "torchaudio", "transformers"):
        assert name in after
    names = [change.name for change in proposal.changes]
    assert len(names) == len(set(names))


def _check_issues(proposal, needed):
    after = proposal.result.environment
    # Where nothing is installed, nothing can be refused: requires-python is an issue of installing.
    wanted = {*needed, *(["install"] if proposal.changes else [])}
    forbidden = [
        issue.code
        for issue in MATRIX.issues
        if issue.severity == "error" and wanted & set(issue.capabilities)
        if applies(issue, after)
    ]
    assert forbidden == []
    assert proposal.result.verdict != "incompatible"


def _check_evidence(proposal, here):
    """Law 4: what is proposed was run, or the plan says that it was not."""
    after = proposal.result.environment.packages
    same = [
        run
        for run in MATRIX.runs
        if all(public(run.environment.packages.get(n)) == public(after.get(n)) for n in DECIDING)
        and all(
            run.capabilities.get(c) and run.capabilities[c].status == "works"
            for c in proposal.result.needed
        )
    ]
    if proposal.evidence in ("row", "run", "elsewhere"):
        assert same
        assert set(proposal.runs) <= {run.id for run in same}
        rows = [row for row in MATRIX.rows if proposal.row == row.id]
        assert bool(rows) == (proposal.row is not None)
    if proposal.evidence in ("row", "run"):
        assert any(run.environment.platform == here.platform for run in same)
    if proposal.evidence == "none":
        assert proposal.notes


def _check_said(proposal, told):
    """What is needed works where anything vouches for it; what is not needed is no secret."""
    statuses = {proposal.result.capabilities[name].status for name in ("import", *told.needed)}
    if proposal.evidence in ("row", "run", "bracketed", "expected"):
        assert statuses == {"works"}
    assert "fails" not in statuses
    bases = {proposal.result.capabilities[name].basis for name in told.needed}
    if proposal.evidence in ("row", "run"):
        assert bases == {"recorded"}
    again = Doctor(MATRIX).diagnose(proposal.result.environment, told.needed)
    assert again.capabilities == proposal.result.capabilities


KNOWN = Knowledge(Doctor(MATRIX))
TOKENIZERS = KNOWN.tokenizers


def _check_tokenizers(proposal):
    """A transformers asks for one minor version of tokenizers."""
    asked = {re.split("[<>=!~]", each)[0]: each for each in proposal.requirements}
    version = proposal.result.environment.packages["transformers"]
    known = TOKENIZERS.get(minor_of(version), ())
    exact = re.fullmatch(r"tokenizers==([\d.]+)(\.\*)?", asked.get("tokenizers", ""))
    if proposal.changes and known and exact:
        assert minor_of(exact[1]) in known


def _check_nothing_changes(after, wanted):
    again = plan(after, MATRIX, wanted)
    assert again.proposals
    assert again.proposals[0].changes == ()


def _check_conflict(told, wanted):
    for dropped, proposal in told.conflict.ways_out:
        assert dropped in told.conflict.constraints
        left = [each for each in wanted if each is not dropped]
        _check_constraints(proposal, left)
        if dropped.kind in ("keep", "need") and wanted.count(dropped) == 1:
            assert plan(told.environment, MATRIX, left).proposals


@settings(
    max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(environments(), constraints())
def test_law_4_and_the_properties_of_plans(here, wanted):
    event("a plan" if check(here, wanted).proposals else "a conflict")


def test_tokenizers_goes_with_a_transformers_that_was_run_without_one_recorded():
    here = Environment(
        python="", platform="macosx-x86_64", packages={"coqui-tts": "0.27.1"}, source="",
        complete=False,
    )  # fmt: skip
    told = check(here, [])
    (asked,) = (each for each in told.proposals[0].requirements if each.startswith("tokenizers"))
    assert not asked.startswith("tokenizers==0.23")


@pytest.mark.parametrize("version", ["0.24.0", "0.24.1"])
def test_what_is_missing_comes_where_the_nearest_run_lacked_it_too(version):
    """The run that is like it had no spaCy; here spaCy is there, and misses click."""
    packages = {"torch": "2.1.2", "torchaudio": "2.1.2", "transformers": "4.33.0"}
    here = Environment(
        python="3.11",
        platform="linux-x86_64",
        packages={"coqui-tts": version, **packages},
        source="",
        complete=False,
    )
    first = plan(here, MATRIX, ()).proposals[0]
    assert [(c.name, c.then) for c in first.changes] == [("click", "")]


def test_what_a_plan_finds_and_cannot_do_without_is_asked_for():
    """A list of pins says nothing of click: that something brings it is assumed, not known."""
    pins = {"coqui-tts": "0.24.1", "torch": "2.1.2"}
    here = Environment(
        python="3.12", platform="linux-x86_64", packages=pins, source="", complete=False
    )
    (first, *_) = check(here, []).proposals
    assert any(each.startswith("click==") for each in first.requirements)


def test_nothing_is_known_of_what_needs_what_is_unknown():
    """On Python 3.9 it does not start, on 3.10 the API speaks; which Python it is nobody said."""
    pins = {"torch": "2.8.0", "torchaudio": "2.8.0", "transformers": "4.52.4", "numpy": "1.26.4"}
    here = Environment(python="", platform="linux-x86_64", packages=pins, source="", complete=False)
    check(here, [Constraint(kind="need", name="api", specifier="")])


def test_a_build_that_is_excluded_is_not_asked_for():
    packages = {"TTS": "0.22.0", "torch": "2.9.1+cu126", "transformers": "4.40.2"}
    here = Environment(
        python="3.11", platform="linux-x86_64", packages=packages, source="", complete=False
    )
    told = plan(here, MATRIX, [Constraint(kind="keep", name="torch", specifier="!=2.9.1+cu126")])
    assert told.proposals
    assert all("cu126" not in (c.then or "") for each in told.proposals for c in each.changes)


@pytest.mark.parametrize("language", ["zh-cn", "hi"])
@pytest.mark.parametrize("python", ["3.11.7", "3.15.0"])
def test_what_an_old_tts_cannot_speak_is_no_package_that_is_missing(language, python):
    old = {"TTS": "0.20.3", "torch": "2.1.2", "torchaudio": "2.1.2", "transformers": "4.33.3"}
    here = Environment(
        python=python, platform="linux-x86_64", packages=old, source="", language=language
    )
    told = plan(here, MATRIX)
    assert told.now.verdict == "incompatible"
    assert all(change.then != "0.20.3" for each in told.proposals for change in each.changes)
    assert bool(told.conflict) == (python == "3.15.0")


@pytest.mark.property
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(environments(), constraints())
def test_law_4_and_the_properties_of_plans_at_length(here, wanted):
    check(here, wanted)


SPOKE_ON = {
    run.environment.python.split(".")[1]
    for run in MATRIX.runs
    if "speak" in run.capabilities and run.capabilities["speak"].status == "works"
}


def _check_mended(run):
    told = plan(run.environment, MATRIX)
    verdicts = [proposal.result.verdict for proposal in told.proposals]
    if run.environment.python.split(".")[1] in SPOKE_ON:
        assert verdicts[0] == "compatible"
    else:
        assert set(verdicts) <= {"unknown"}
    if told.now.verdict == "compatible":
        assert told.proposals[0].changes == ()
    pins = {name: v for name, v in run.environment.packages.items() if name in DECIDING}
    check(run.environment, [])
    for python in (run.environment.python, "3.10"):
        check(Environment(python=python, platform="linux-x86_64", packages=pins, source="",
                          complete=False), [])  # fmt: skip
    _check_elsewhere(run.environment._replace(platform="macosx-arm64", builds={}, signs={}))


def _check_elsewhere(here):
    """What was run on Linux is not taken apart on another platform."""
    check(here, [])
    if diagnose(here, MATRIX).verdict == "compatible":
        (only,) = plan(here, MATRIX).proposals
        assert only.changes == ()


SAMPLE = [
    *{tuple(r.environment.packages.get(n) for n in SAME_FILES[0]): r for r in MATRIX.runs}.values()
]


@pytest.mark.parametrize("run", SAMPLE[::4], ids=lambda run: run.id)
def test_every_recorded_environment_can_be_mended(run):
    _check_mended(run)


@pytest.mark.property
@pytest.mark.parametrize("run", MATRIX.runs, ids=lambda run: run.id)
def test_every_recorded_environment_can_be_mended_at_length(run):
    _check_mended(run)


def lists_of(run):
    """What was run as people write it: a freeze, what decides, and without exact versions."""
    packages = run.environment.packages
    decides = {name: v for name, v in packages.items() if name in DECIDING}
    yield "\n".join(f"{name}=={version}" for name, version in packages.items())
    yield "\n".join(f"{name}=={version}" for name, version in decides.items())
    yield "\n".join(
        f"{name}>={version.partition('+')[0]}" if name == "transformers" else f"{name}=={version}"
        for name, version in decides.items()
        if name not in ("torch", "torchaudio")
    )


def _check_advice(run, type_):
    """What the doctor says to type is what resolve proposes first for the same question."""
    for text in lists_of(run):
        words = ("-r", "-", "--platform", "linux-x86_64", "--python-version")
        words += (minor_of(run.environment.python), "--json")
        code, out, _ = type_("doctor", *words, stdin=text)
        advice = json.loads(out)["next"]
        _, out, _ = type_("resolve", *words, stdin=text)
        told = json.loads(out)
        first = told["proposals"][0] if told["proposals"] else {"commands": [], "changes": []}
        if code == 1:
            assert advice == first["commands"]
            assert bool(first["changes"]) != bool(told["conflict"])
        else:
            assert advice == []
        if code == 0:
            assert first["changes"] == []


@pytest.fixture
def type_(monkeypatch, capsys):
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    return lambda *words, stdin: type_command(monkeypatch, capsys, *words, stdin=stdin)


@pytest.mark.parametrize("run", SAMPLE[::6], ids=lambda run: run.id)
def test_the_doctor_advises_what_resolve_proposes_first(run, type_):
    _check_advice(run, type_)


@pytest.mark.property
@pytest.mark.parametrize("run", MATRIX.runs, ids=lambda run: run.id)
def test_the_doctor_advises_what_resolve_proposes_first_at_length(run, type_):
    _check_advice(run, type_)


@pytest.mark.parametrize(
    ("torch", "transformers", "convert"),
    [("2.1.2", "4.35.2", False), ("2.2.2", "4.38.2", False), ("2.6.0", "4.40.2", True)],
)
def test_what_people_report_is_answered_as_docs_resolve_has_it(torch, transformers, convert):
    """Two are reported to work, and none on torch 2.6: there the checkpoint must be converted."""
    here = Environment(python="3.11.7", platform="linux-x86_64", packages={}, source="")
    kept = {"TTS": "0.22.0", "torch": torch, "transformers": transformers}
    wanted = [Constraint(kind="keep", name=n, specifier=f"=={v}") for n, v in kept.items()]
    best = plan(here, MATRIX, wanted).proposals[0]
    statuses = {name: told.status for name, told in best.result.capabilities.items()}
    assert best.evidence in ("row", "run")
    assert best.convert is convert
    assert statuses.pop("load") == ("fails" if convert else "works")
    assert statuses.pop("api-path") == "fails"
    assert set(statuses.values()) == {"works"}
