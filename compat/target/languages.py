"""Run the text front end of every language that XTTS speaks."""

from __future__ import annotations

from typing import Any, Dict

SENTENCES = {
    "ar": "صباح الخير جميعا.",
    "cs": "Dobré ráno všem.",
    "de": "Guten Morgen zusammen.",
    "en": "Good morning to all of you.",
    "es": "Buenos días a todos.",
    "fr": "Bonjour à tous.",
    "hi": "सभी को सुप्रभात।",
    "hu": "Jó reggelt mindenkinek.",
    "it": "Buongiorno a tutti.",
    "ja": "皆さん、おはようございます。",
    "ko": "여러분 안녕하세요.",
    "nl": "Goedemorgen allemaal.",
    "pl": "Dzień dobry wszystkim.",
    "pt": "Bom dia a todos.",
    "ru": "Доброе утро всем.",
    "tr": "Herkese günaydın.",  # noqa: RUF001
    "zh-cn": "大家早上好。",
}
"""XTTS's own spelling of a language to a sentence in it."""
ROMANISED = ("ja", "ko", "zh-cn")
"""Their front ends write the text in Latin letters; the model knows no others of theirs."""


class FrontEndError(Exception):
    """A front end ran and what it returned is not what the model was trained on."""


def run_front_end(tokenizer: Any, language: str, text: str) -> int:
    """Return how many tokens the front end of `language` makes of `text`.

    Raises:
        FrontEndError: It makes none, or leaves signs that the model does not know.
        Exception: Whatever the front end raises, often an ImportError.
    """
    if language in ROMANISED:
        prepared = tokenizer.preprocess_text(text, language.partition("-")[0])
        foreign = [char for char in prepared if char.isalpha() and ord(char) > 0x24F]
        if foreign:
            raise FrontEndError(
                f"the text front end of {language} left {''.join(foreign[:8])!r} as it is"
            )
    tokens = len(tokenizer.encode(text, lang=language))
    if tokens < 3:
        raise FrontEndError(f"the text front end of {language} makes {tokens} tokens of {text!r}")
    return tokens


def run_all(tokenizer: Any) -> Dict[str, Any]:
    """Run every front end: `tokens` of those that work, the `errors` of those that do not."""
    tokens: Dict[str, int] = {}
    errors: Dict[str, str] = {}
    for language, sentence in SENTENCES.items():
        try:
            tokens[language] = run_front_end(tokenizer, language, sentence)
        except Exception as error:
            errors[language] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return {"tokens": tokens, "errors": errors}
