"""What can be told of the loader without torch: names."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from xcompat.target.loader import renamed

OLD = ("ups.0.weight_g", "ups.0.weight_v")
NEW = ("ups.0.parametrizations.weight.original0", "ups.0.parametrizations.weight.original1")


@pytest.mark.parametrize(("held", "known"), [(OLD, NEW), (NEW, OLD), (OLD, OLD), (NEW, NEW)])
def test_weight_norm_gets_the_names_of_the_tts_at_hand(
    held: tuple[str, str], known: tuple[str, str]
) -> None:
    model = SimpleNamespace(state_dict=lambda: dict.fromkeys((*known, "gpt.weight")))
    file = {held[0]: "norm", held[1]: "direction", "gpt.weight": "w", "else": "e"}
    right = {known[0]: "norm", known[1]: "direction", "gpt.weight": "w", "else": "e"}
    assert renamed(file, model) == right
