"""What works only because an app patches it: said with the patch, and expected at best."""

from __future__ import annotations

import pytest

from builders.known import READ_ONCE
from builders.schemas import check
from xcompat.diagnosis.answer import answer_of
from xcompat.diagnosis.doctor import diagnose
from xcompat.domain import Environment, Patch
from xcompat.matrix.load import load_issues
from xcompat.render.diagnosis import diagnosis_as_json
from xcompat.render.findings import sections_of

ISIN = Patch("transformers.pytorch_utils.isin_mps_friendly", "site/sitecustomize.py:44")
LOAD = Patch("torchaudio.load", "site/sitecustomize.py:132")
SAVE = Patch("torchaudio.save", "site/sitecustomize.py:140")
OTHER = Patch("torch.cat", "site/sitecustomize.py:9")


def environment(*patches, **packages) -> Environment:
    return Environment(
        python="3.11.7", platform="linux-x86_64", source="here", interpreter="python",
        packages={"numpy": "2.3.0", "six": "1.17.0", **{n.replace("_", "-"): v
                  for n, v in packages.items()}},
        system={"ffmpeg": "5.1"}, patches=patches,
    )  # fmt: skip


def without_codec(*patches):
    return environment(
        *patches, TTS="0.22.0", torch="2.9.1", torchaudio="2.9.1", transformers="4.40.2",
        numpy="1.26.4",
    )  # fmt: skip


def newest_transformers(*patches):
    return environment(
        *patches, coqui_tts="0.27.5", torch="2.11.0", torchaudio="2.11.0", torchcodec="0.11.1",
        transformers="5.1.0",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "patch", "capability", "code"),
    [
        (without_codec, LOAD, "clone", "XC012"),
        (without_codec, SAVE, "save", "XC570"),
        (newest_transformers, ISIN, "import", "XC010"),
    ],
)
def test_a_patch_answers_the_issue_that_names_it(made, patch, capability, code):
    plain = diagnose(made(), READ_ONCE())
    assert plain.capabilities[capability].status == "fails"
    told = diagnose(made(patch), READ_ONCE())
    now = told.capabilities[capability]
    assert (now.status, now.basis, now.trials) == ("works", "expected", None)
    assert now.note == f"the app patches it: {patch.name} ({patch.place})"
    assert told.patched == {code: patch}
    assert told.unpatched.capabilities == plain.capabilities
    said = answer_of(told).text
    assert f"because the app patches it: {patch.name} ({patch.place})" in said
    # What nobody asked for is not what the first line says of the versions alone.
    assert ("; that works because" in said and "; without the patches: " in said) == (
        capability != "save"
    )
    stopping, others, notes = (section for _, section in sections_of(told))
    assert code in {finding.issue.code for finding in notes}
    assert code not in {finding.issue.code for finding in stopping + others}
    check("doctor", diagnosis_as_json(told))


def test_what_a_patch_does_not_concern_is_as_it_is_without():
    plain, told = (diagnose(without_codec(*p), READ_ONCE()) for p in ((), (LOAD,)))
    same = {name: told.capabilities[name] for name in told.capabilities if name != "clone"}
    assert same == {name: plain.capabilities[name] for name in same}


def test_a_patch_that_answers_nothing_here_changes_nothing():
    for patch in (OTHER, ISIN):
        told = diagnose(without_codec(patch), READ_ONCE())
        assert (told.patched, told.unpatched) == ({}, None)


def test_where_something_else_stops_it_too_nothing_is_promised():
    here = newest_transformers(ISIN)
    here = here._replace(packages={n: v for n, v in here.packages.items() if n != "six"})
    told = diagnose(here, READ_ONCE())
    assert told.capabilities["import"].status == "fails"
    assert "because" not in answer_of(told).text


def test_strict_takes_what_was_run_only():
    told = diagnose(without_codec(LOAD), READ_ONCE(), strict=True)
    assert told.capabilities["clone"].status == "fails"


def test_a_variable_of_the_shell_answers_too():
    here = without_codec()._replace(
        signs={"weights-only-off": ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1",)}
    )
    told = diagnose(here, READ_ONCE())
    load = told.capabilities["load"]
    assert (load.status, load.basis) == ("works", "expected")
    assert told.unpatched.capabilities["load"].status == "unknown"
    assert answer_of(told).text.endswith(
        "; can open the original model.pth because the app patches it: "
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is set"
    )
    assert [f.issue.code for f in told.findings if f.issue.code == "XC065"] == ["XC065"]


def test_each_patch_that_an_issue_names_is_a_dotted_name_or_a_variable():
    named = [name for issue in load_issues() for name in issue.patches]
    assert {ISIN.name, LOAD.name, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"} <= set(named)
    for name in named:
        assert name.isupper() or all(part.isidentifier() for part in name.split("."))
        assert name.isupper() or "." in name
