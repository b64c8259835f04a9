"""Completes the last words of a pasted text that was cut off within a word.

Pure. It completes only what is known to be said, and only where one ending is possible.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOST = 15
"""Characters that are completed at most."""
_KEPT = 13
"""Characters that must be there, so that the rest can be told."""
_WITHIN = re.compile(r"[A-Za-z_]{2}")
"""Two letters of a word: what ends at a whole word or a number may well end there."""
_SPELLINGS = 100
"""Texts that one symptom can stand for at most, to be spelled out."""
_PART = re.compile(
    r"""\(\?:(?P<choices>(?:[^()\\|?*+{}\[\].^$]|\\[^\w\s]|\|)*)\)(?P<absent>[?*]?)
      | \(\?:[^()]*\)[?*]                # what may be absent, whatever it is
      | (?P<literal>\\[^\w\s]|[^\\\[\](){}?*+.|^$])(?![?*+{])
      | \\[bB]|\(\?[!=][^()]*\)          # what takes no place
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


def completed(text: str, symptoms: Iterable[str]) -> str:
    """Return a text with the end that it has lost, where a symptom tells what that was.

    Args:
        text: What was pasted, with single blanks between its words.
        symptoms: The regular expressions that are looked for.
    """
    end = text.rstrip()[-200:]
    last = end[-_KEPT:]
    rests = {
        (kept, spelling[kept:])
        for symptom in symptoms
        for spelling in _spellings(symptom)
        if last in spelling
        for kept in range(max(_KEPT, len(spelling) - _LOST), len(spelling))
        if _WITHIN.match(spelling, kept - 1) and end.endswith(spelling[:kept])
    }
    longest = max((kept for kept, _ in rests), default=0)
    likely = {rest for kept, rest in rests if kept == longest}
    return text.rstrip() + likely.pop() if len(likely) == 1 else text


@cache
def _spellings(symptom: str) -> tuple[str, ...]:
    """Return the texts that a symptom stands for; none where they are too many to be told."""
    choices: list[tuple[str, ...]] = []
    total = 1
    for part in _PART.finditer(symptom):
        if part["other"] is not None:
            return ()
        if part["literal"] is not None:
            choices.append((part["literal"][-1],))
        elif part["choices"] is not None and not part["absent"]:
            words = part["choices"].replace("\\", "").split("|")
            total *= len(words)
            choices.append(tuple(words))
    return tuple("".join(each) for each in product(*choices)) if total <= _SPELLINGS else ()
