"""The check of a text front end, with front ends that go wrong; the real ones: docs/smoke.md."""

from __future__ import annotations

import pytest

from xcompat.domain import LANGUAGES
from xcompat.target.languages import SENTENCES, FrontEndError, run_all, run_front_end


class Tokenizer:
    """Stands for `VoiceBpeTokenizer`: a token per character, Latin letters for all languages."""

    def preprocess_text(self, text: str, _: str) -> str:
        return text.encode("ascii", "replace").decode()

    def encode(self, text: str, lang: str) -> list[int]:
        if lang == "ko":
            raise ModuleNotFoundError("No module named 'hangul_romanize'")
        return list(self.preprocess_text(text, lang).encode())


class Forgetful(Tokenizer):
    """Does not transliterate."""

    def preprocess_text(self, text: str, _: str) -> str:
        return text


class Empty(Tokenizer):
    def encode(self, text: str, lang: str) -> list[int]:
        return []


def test_every_language_of_xtts_has_a_sentence() -> None:
    assert set(SENTENCES) == set(LANGUAGES)


def test_the_front_ends_that_fail_are_named() -> None:
    done = run_all(Tokenizer())
    assert done["errors"] == {"ko": "ModuleNotFoundError: No module named 'hangul_romanize'"}
    assert set(done["tokens"]) == set(LANGUAGES) - {"ko"}


@pytest.mark.parametrize("language", ["ja", "ko", "zh-cn"])
def test_signs_that_the_model_does_not_know_are_wrong(language: str) -> None:
    with pytest.raises(FrontEndError, match="left"):
        run_front_end(Forgetful(), language, SENTENCES[language])
    assert run_front_end(Forgetful(), "ru", SENTENCES["ru"]) > 3


def test_no_tokens_are_wrong() -> None:
    with pytest.raises(FrontEndError, match="0 tokens"):
        run_front_end(Empty(), "de", "Guten Morgen.")
