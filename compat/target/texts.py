"""Long texts, where TTS asks a spaCy to split them that is missing or broken.

What `enable_text_splitting` asks for stays with TTS where TTS can do it. Where it cannot, the text
is split here: at sentence ends, in pieces within the characters and the tokens that XTTS takes.
"""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any, Callable, Iterator, Optional

USUAL_LIMIT = 250
"""Characters from which on TTS warns, in a language for which it knows no other number."""

_BREAKS = (
    # CJK full stop, exclamation and question mark; Arabic question mark; danda; their brackets.
    re.compile(
        r"(?<=[.!?\u2026])[\"'\u2019\u201d\u00bb)\]]*\s+"
        r"|(?<=[\u3002\uff01\uff1f\u061f\u0964])[\u300d\u300f\u201d\u00bb]*\s*|\n+"
    ),
    # Arabic comma; CJK enumeration comma, comma, semicolon and colon; a dash between blanks.
    re.compile(r"(?<=[,;:])\s+|(?<=[\u060c\u3001\uff0c\uff1b\uff1a])\s*|\s+[-\u2013\u2014]\s+"),
    re.compile(r"\s+"),
)
"""Where a text may be split: at the ends of sentences, of their parts, and of words."""


class TextTooLongError(ValueError, AssertionError):
    """A text of more tokens than XTTS takes at once; the message says what to do.

    Stock raises an `AssertionError` there, which apps may catch.
    """


def split_text(text: str, limit: int, fits: Callable[[str], bool] = lambda _: True) -> "list[str]":
    """Return a text in pieces of at most `limit` characters, as few as sentences allow.

    Only blanks between pieces are lost. A sentence that is too long is split at its commas, then
    between words, and a word anywhere.

    Args:
        text: What is to be said.
        limit: Characters that a piece may have.
        fits: Tells whether a piece is short enough in another way, as in tokens.
    """

    def short(piece: str) -> bool:
        return len(piece) <= limit and fits(piece)

    return list(_pieces(text.strip(), short, _BREAKS)) or [""]


def _pieces(
    text: str, short: Callable[[str], bool], breaks: "tuple[re.Pattern[str], ...]"
) -> Iterator[str]:
    if not text or short(text):
        yield from [text] * bool(text)
        return
    if not breaks:
        middle = max(len(text) // 2, 1)
        if len(text) == 1:
            yield text
            return
        yield from _pieces(text[:middle], short, ())
        yield from _pieces(text[middle:], short, ())
        return
    ends = [found.end() for found in breaks[0].finditer(text) if found.end() > 0]
    ends = [*dict.fromkeys([*ends, len(text)])]
    begin = number = 0
    while begin < len(text):
        end = 0
        while number < len(ends) and short(text[begin : ends[number]].strip()):
            end, number = ends[number], number + 1
        if end:
            yield text[begin:end].strip()
        else:
            end, number = ends[number], number + 1
            yield from _pieces(text[begin:end].strip(), short, breaks[1:])
        begin = end


def help_with_long_texts(model: Any) -> None:
    """Let a loaded `Xtts` split texts where its TTS cannot, on this one object.

    `inference` and `inference_stream` of the object are replaced; each calls the one of its class,
    for one piece after the other. A TTS that does not know `enable_text_splitting` stays as it is.
    """
    for name, all_of_it in (("inference", _whole), ("inference_stream", _stream)):
        stock = getattr(model, name)
        if "enable_text_splitting" in inspect.signature(stock).parameters:
            helping = functools.partial(all_of_it, model, name)
            vars(model)[name] = functools.update_wrapper(helping, stock)


def _whole(model: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Stand in for `Xtts.inference`."""
    calls = _calls(model, name, args, kwargs)
    return calls[0]() if len(calls) == 1 else joined([call() for call in calls])


def joined(spoken: "list[dict[str, Any]]") -> "dict[str, Any]":
    """Return what `inference` returns of a whole text, from what it returned of its pieces."""
    import numpy as np

    return {
        **spoken[0],
        "wav": np.concatenate([each["wav"] for each in spoken]),
        "gpt_latents": np.concatenate([each["gpt_latents"] for each in spoken], axis=1),
    }


def _stream(model: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """Stand in for `Xtts.inference_stream`."""
    calls = _calls(model, name, args, kwargs)
    return calls[0]() if len(calls) == 1 else _one_after_the_other(calls)


def _one_after_the_other(calls: "list[Callable[[], Any]]") -> Iterator[Any]:
    for call in calls:
        yield from call()


def _calls(
    model: Any, name: str, args: "tuple[Any, ...]", kwargs: "dict[str, Any]"
) -> "list[Callable[[], Any]]":
    """Return the calls of the stock method that say all of the text.

    Raises:
        TextTooLongError: No splitting is asked for, and the text has too many tokens.
    """
    stock = functools.partial(getattr(type(model), name), model)
    given = inspect.signature(stock).bind(*args, **kwargs)
    text, language = given.arguments["text"], given.arguments["language"]
    if not given.arguments.get("enable_text_splitting"):
        most = model.args.gpt_max_text_tokens - 1
        # Fewer characters than tokens allowed cannot be too many; counting costs a front end.
        if len(text) > most and (count := _tokens(model, text, language)) > most:
            raise TextTooLongError(
                f"the text has {count} tokens, and XTTS takes {most} at once; it may cut off what"
                f" has more than {_limit(model, language)} characters: say"
                " enable_text_splitting=True"
            )
        return [functools.partial(stock, *args, **kwargs)]
    if _stock_pieces(model, text, language) is not None:
        return [functools.partial(stock, *args, **kwargs)]
    given.arguments["enable_text_splitting"] = False
    return [_with_text(stock, given, piece) for piece in _own_pieces(model, text, language)]


def _with_text(stock: Any, given: inspect.BoundArguments, piece: str) -> Callable[[], Any]:
    arguments = {**given.arguments, "text": piece}
    bound = inspect.BoundArguments(given.signature, arguments)
    return functools.partial(stock, *bound.args, **bound.kwargs)


def pieces_of(model: Any, text: str, language: str) -> "list[str]":
    """Return a text as `enable_text_splitting` splits it: by TTS, or here where TTS cannot."""
    told = _stock_pieces(model, text, language)
    return _own_pieces(model, text, language) if told is None else told


def _own_pieces(model: Any, text: str, language: str) -> "list[str]":
    most = model.args.gpt_max_text_tokens - 1
    limit = _limit(model, language)
    return split_text(text, limit, lambda piece: _tokens(model, piece, language) <= most)


def _limit(model: Any, language: str) -> int:
    """Return from how many characters on TTS warns of a text."""
    limits = getattr(model.tokenizer, "char_limits", {})
    return int(limits.get(language.partition("-")[0], USUAL_LIMIT))


def _tokens(model: Any, text: str, language: str) -> int:
    language = language.partition("-")[0]
    return len(model.tokenizer.encode(text.strip().lower(), lang=language))


def _stock_pieces(model: Any, text: str, language: str) -> "Optional[list[str]]":
    """Return a text as the TTS at hand splits it; None where it cannot: it needs spaCy."""
    import sys

    split = getattr(sys.modules[type(model).__module__], "split_sentence", None)
    if split is None:
        return None
    try:
        return list(split(text, language.partition("-")[0], _limit(model, language)))
    except Exception:
        return None
