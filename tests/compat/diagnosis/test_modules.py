from __future__ import annotations

import pytest

from builders.known import READ_ONCE
from xcompat.diagnosis.explain import explain
from xcompat.diagnosis.modules import distribution_of_missing


@pytest.mark.parametrize(
    ("error", "distribution"),
    [
        ("ModuleNotFoundError: No module named 'einops'", "einops"),
        ("ModuleNotFoundError: No module named 'sklearn.cluster'", "scikit-learn"),
        ("python: No module named uvicorn", "uvicorn"),
        ("ModuleNotFoundError: No module named 'utils'", ""),
        ("ModuleNotFoundError: No module named 'einops_of_somebody'", ""),
        ("ImportError: cannot import name 'einops'", ""),
    ],
)
def test_only_what_is_known_is_named(error, distribution):
    assert distribution_of_missing(error) == distribution


@pytest.mark.parametrize(
    ("module", "command"), [("cv2", "pip install opencv-python"), ("rooms", "pip install MODULE")]
)
def test_what_to_type_names_what_the_error_misses(module, command):
    missing = f"ModuleNotFoundError: No module named '{module}'"
    text = f'  File "app.py", line 3\n    import TTS\n{missing}\n'
    first = explain([text], READ_ONCE().issues).explanations[0]
    assert any(command in fix for fix in first.issue.fixes)
