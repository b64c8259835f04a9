"""Let an app that says one text after the other decode several of them at once.

Two ways to say a long text are known: `inference` with `enable_text_splitting`, which knows all
pieces, and `TTS.api`, which splits a text into sentences and asks for each by a call of its own.
There the splitter is overheard: the first sentence is decoded with those that will be asked for.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional

from . import options
from .speaking import speak
from .texts import joined, pieces_of

if TYPE_CHECKING:
    from .runtime import Runtime


class Together:
    """What stands in for `Xtts.inference` of one model, and listens to its splitter.

    Args:
        attached: The `Runtime` of the model.
        together: How many texts are decoded at once, at most.
    """

    def __init__(self, attached: Runtime, together: int) -> None:
        self._attached, self._together = attached, together
        self._usual = attached.model.inference
        self._signature = inspect.signature(self._usual)
        self._coming: list[str] = []
        """Texts that will be asked for, in their order."""
        self._asked: dict[str, Any] = {}
        """How the sentences that are being said were asked for, but for the text."""
        self._saying: Optional[Iterator[dict[str, Any]]] = None

    def overhearing(self, split: Callable[..., list[str]]) -> Callable[..., list[str]]:
        """Return a `Synthesizer.split_into_sentences` whose sentences will be asked for."""

        def overheard(*args: Any, **kwargs: Any) -> list[str]:
            sentences = split(*args, **kwargs)
            self._coming, self._saying = list(sentences), None
            return sentences

        return overheard

    def inference(self, *args: Any, **kwargs: Any) -> Any:
        """Say a text as `Xtts.inference` does; what the runtime cannot, as it was said before."""
        given = self._signature.bind(*args, **kwargs)
        given.apply_defaults()
        named = {**given.arguments, **given.arguments.get("hf_generate_kwargs", {})}
        named.pop("hf_generate_kwargs", None)
        text = named.pop("text")
        is_long = named.pop("enable_text_splitting", False)
        try:
            said = self._pieces(text, named) if is_long else self._next(text, named)
        except options.UnsupportedOption:
            said = None
        return self._usual(*args, **kwargs) if said is None else said

    def _pieces(self, text: str, asked: dict[str, Any]) -> Optional[dict[str, Any]]:
        """Say the pieces of a text; None where it is none."""
        pieces = pieces_of(self._attached.model, text, asked["language"])
        return joined(list(self._spoken(pieces, asked))) if len(pieces) > 1 else None

    def _next(self, text: str, asked: dict[str, Any]) -> Optional[dict[str, Any]]:
        """Say a text with those that will follow; None where none was heard of.

        One that `speak` refuses has the others said one by one, for TTS to judge.
        """
        if not self._coming or self._coming[0] != text:
            self._coming, self._saying = [], None
            return None
        if self._saying is None or not _same(asked, self._asked):
            if len(self._coming) == 1:
                return None
            self._asked, self._saying = asked, self._spoken(self._coming, asked)
        self._coming = self._coming[1:]
        try:
            return next(self._saying)
        except Exception as error:
            self._coming, self._saying = [], None
            if isinstance(error, ValueError) and not isinstance(error, options.UnsupportedOption):
                return None
            raise

    def _spoken(self, texts: list[str], asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return speak(self._attached, texts, together=self._together, **asked)


def _same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Return whether two texts are to be said in the same way, by the same voice."""
    return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)


def _equal(left: Any, right: Any) -> bool:
    import torch

    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return bool(torch.equal(left, right))
    return bool(left == right)
