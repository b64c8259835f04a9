"""Explains what a person pastes: the known issues that it shows, by its text and by its versions.

Pure, from a text and the matrix to explanations. The text finds an issue; the versions that the
text names can only take from its certainty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from xcompat.diagnosis.conditions import Unsaid, concerns
from xcompat.diagnosis.modules import distribution_of_missing
from xcompat.domain import SAME_FILES
from xcompat.matrix.origin import Tail
from xcompat.matrix.said import Said
from xcompat.matrix.symptoms import beside, likeliest_first, matches, matches_in_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from xcompat.domain import Environment, KnownIssue
    from xcompat.matrix.origin import Origin
    from xcompat.matrix.symptoms import Match


_MESSAGE = 250
"""Characters of a message; what is longer holds a traceback."""
_NOTHING_AGAINST = Unsaid(packages=True, system=True)


class Explanation(NamedTuple):
    """A known issue that a text shows."""

    issue: KnownIssue
    certainty: Literal["certain", "possible"]
    why: str
    """What speaks against it, as the end of a sentence; empty where it is certain."""


class Explained(NamedTuple):
    """What is known of a pasted text."""

    explanations: tuple[Explanation, ...]
    """The likeliest first."""
    environment: Environment
    """What the text says of its environment; incomplete."""
    origin: Origin | None
    """Where its last error arose; nothing where the text does not show it."""

    def is_doubtful(self) -> bool:
        """Return whether nothing is certain but what only stands beside an error."""
        return not any(
            each.certainty == "certain" and not each.issue.aside for each in self.explanations
        )

    def knows_the_error(self) -> bool:
        """Return whether what is certain knows the last error itself, not what stands beside it."""
        certain = [each.issue for each in self.explanations if each.certainty == "certain"]
        return bool(self.origin and matches(self.origin.error, certain))


NOTHING = Explained((), Said.nothing().environment(), None)
"""What is known of an empty text."""


def explain(pieces: Iterable[str], issues: Iterable[KnownIssue]) -> Explained:
    """Return the known issues that a text shows, what most likely ended the program first.

    An issue whose versions are not those of the text is only possible, and is left out where the
    same words show another one for certain.

    Args:
        pieces: The text, cut anywhere.
        issues: What to look for.
    """
    said = Said.nothing()
    tail = Tail([])
    found = matches_in_log(_listening(pieces, said, tail), issues)
    environment = said.environment()
    fitting = [each._replace(certain=each.certain and _fits(each, environment)) for each in found]
    kept = likeliest_first(
        [each for each in fitting if not _is_told_better(each, fitting, environment)]
    )
    told = tuple(_explanation(each, environment) for each in kept)
    origin = tail.origin()
    if missing := distribution_of_missing(origin.error if origin else ""):
        told = tuple(_naming(missing, each) for each in told)
    return Explained(told, environment, origin)


def of_code(issue: KnownIssue) -> Explained:
    """Return the explanation of an issue that was asked for by its code."""
    return NOTHING._replace(explanations=(Explanation(issue, "certain", ""),))


def _listening(pieces: Iterable[str], *listeners: Said | Tail) -> Iterator[str]:
    for piece in pieces:
        for listener in listeners:
            listener.listen(piece)
        yield piece


def _fits(match: Match, environment: Environment) -> bool:
    """Return whether an issue may concern an environment of which not everything is said."""
    named = environment.packages
    family = named.keys() & set(SAME_FILES[0])
    conditions = tuple(
        each._replace(
            # What the text does not name cannot speak against an issue.
            packages={name: each.packages[name] for name in each.packages.keys() & named.keys()},
            platforms=each.platforms if environment.platform else (),
            system={},
            duplicates=(),
            damaged=(),
            signs=(),
            languages=(),
            cuda_mismatch=None,
            cuda_major_mismatch=None,
        )
        for each in match.issue.conditions
        # One that is about TTS alone is not about coqui-tts.
        if not (family and (own := each.packages.keys() & set(SAME_FILES[0])) and not own & family)
    )
    return not match.issue.conditions or concerns(
        match.issue._replace(conditions=conditions), environment, _NOTHING_AGAINST
    )


def _is_told_better(match: Match, found: list[Match], environment: Environment) -> bool:
    """Return whether the words of an issue show another one, by more words or by the versions.

    More words say more, even where the versions speak against what they say.
    """
    others = [other for other in found if other.issue is not match.issue]
    return any(_holds_within(other, match) for other in others) or (
        not _fits(match, environment)
        and any(
            other.certain and beside(other, match) and not _holds_within(match, other)
            for other in others
        )
    )


def _holds_within(one: Match, other: Match) -> bool:
    """Return whether one message is longer, and the other a part of it."""
    return (
        one.start <= other.start
        and other.end <= one.end
        and other.end - other.start < one.end - one.start < _MESSAGE
    )


def _naming(distribution: str, told: Explanation) -> Explanation:
    """Return an explanation that says what to install, where its ways out leave that open."""
    fixes = tuple(
        fix.replace("install MODULE", f"install {distribution}") for fix in told.issue.fixes
    )
    return told._replace(issue=told.issue._replace(fixes=fixes))


def _explanation(match: Match, environment: Environment) -> Explanation:
    if match.certain:
        return Explanation(match.issue, "certain", "")
    if _fits(match, environment):
        why = "other programs show the same, and nothing here says that XTTS is concerned"
    else:
        told = [f"{name} {version}" for name, version in sorted(environment.packages.items())]
        if environment.python:
            told.append(f"Python {environment.python}")
        if environment.platform:
            told.append(environment.platform)
        why = f"it is not known of what the text names: {', '.join(told)}"
    return Explanation(match.issue, "possible", why)
