"""What the issues once said wrongly, and what is true: found in threads, or tried."""

import pytest

from xcompat.diagnosis.conditions import applies
from xcompat.diagnosis.explain import explain
from xcompat.domain import Environment
from xcompat.matrix.load import load_matrix

MATRIX = load_matrix()
ISSUES = {issue.code: issue for issue in MATRIX.issues}


def codes(text):
    return [each.issue.code for each in explain((text,), MATRIX.issues).explanations]


def test_isin_with_a_number_is_a_matter_of_transformers():
    """torch 2.8.0 and 2.9.1 refuse it as well: XC079 blamed an old torch."""
    text = "isin() received an invalid combination of arguments - got (test_elements=int, elements"
    assert codes(f"TTS 0.22.0, torch 2.9.1, transformers 4.41.0\n{text}") == ["XC006"]
    assert "transformers==4.40.2" in ISSUES["XC006"].fixes[0]


def test_a_checkpoint_without_its_folder_is_no_matter_of_the_voice():
    text = (
        'os.path.join(checkpoint_dir, "speakers_xtts.pth")\n  File "<frozen posixpath>", in join\n'
        "TypeError: expected str, bytes or os.PathLike object, not NoneType"
    )
    assert codes(f"TTS/tts/models/xtts.py\n{text}") == ["XC444"]
    assert "checkpoint_dir=" in ISSUES["XC444"].fixes[0]


def test_built_in_speakers_came_with_one_release():
    """XC092 and XC058 named two."""
    for code in ("XC092", "XC058"):
        assert "0.22.0" in ISSUES[code].cause
    assert "before 0.21" not in ISSUES["XC092"].cause


def test_a_foreign_vocabulary_is_refused_by_the_converter_too():
    issue = ISSUES["XC095"]
    assert "XC109" in issue.cause
    assert not any(fix.startswith("xcompat convert") and "--dry" not in fix for fix in issue.fixes)


@pytest.mark.parametrize("torch", ["torch 2.2.2\n", ""])
def test_the_wording_of_an_old_torch_is_not_about_a_new_one(torch):
    text = "WeightsUnpickler error: Unsupported class TTS.tts.configs.xtts_config.XttsConfig"
    assert codes(f"{torch}Weights only load failed. Re-running ... {text}") == ["XC490"]
    assert "2.6" not in ISSUES["XC490"].title + ISSUES["XC490"].cause


def test_the_extension_of_tts_needs_a_compiler_and_no_spacy():
    text = (
        "building 'TTS.tts.utils.monotonic_align.core' extension\n"
        "error: Microsoft Visual C++ 14.0 or greater is required."
    )
    assert codes(text) == ["XC460"]
    told = " ".join([ISSUES["XC460"].cause, *ISSUES["XC460"].fixes])
    assert "Build Tools for Visual Studio" in told
    assert "spacy" not in told.lower()


def test_a_deleted_cache_is_not_always_a_loop():
    assert "every start" not in ISSUES["XC091"].title + ISSUES["XC091"].cause
    assert ISSUES["XC091"].aside


@pytest.mark.parametrize(
    ("release", "newest", "oldest"),
    [
        ("0.24.1", "3.12", "3.9"),
        ("0.25.3", "3.12", "3.9"),
        ("0.26.0", "3.12", "3.10"),
        ("0.27.1", "3.12", "3.10"),
        ("0.27.2", "3.13", "3.10"),
        ("0.27.3", "3.13", "3.10"),
        ("0.27.4", "3.14", "3.10"),
        ("0.28.0", "3.14", "3.10"),
    ],
)
def test_pythons_of_coqui_tts(release, newest, oldest):
    """As their metadata say, and as the sentence of XC023 does."""

    def fails(minor):
        packages = {"coqui-tts": release}
        here = Environment(python=f"3.{minor}.1", platform="", packages=packages, source="")
        return applies(ISSUES["XC023"], here)

    low, high = (int(version.partition(".")[2]) for version in (oldest, newest))
    assert [minor for minor in range(9, 16) if not fails(minor)] == list(range(low, high + 1))
    for part in ("up to 3.12", "up to 3.13", "up to 3.14", "3.9 before 0.26.0", "3.10 since"):
        assert part in " ".join(ISSUES["XC023"].cause.split()).replace("is the oldest ", "")


def test_what_a_release_asks_for_is_told_with_its_bounds():
    cause = ISSUES["XC050"].cause
    for bound in ("4.43 to 4.46.2", "4.52.1", "4.57", "below 2.9", "numpy 1 before 0.26.1"):
        assert bound in cause


def test_torchaudio_lost_more_than_one_function():
    assert "`info`" not in ISSUES["XC085"].title
    assert codes("TTS: module 'torchaudio' has no attribute 'list_audio_backends'") == ["XC085"]
