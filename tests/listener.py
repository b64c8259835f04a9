"""One recogniser for many sentences, which forgets each before it hears the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.target import listening
from xcompat.target.listening import words

if TYPE_CHECKING:
    from pathlib import Path


class Listener:
    """Pocketsphinx with its own American English model, as `target.listening` asks it."""

    def __init__(self) -> None:
        self._strict = _decoder(lm=None)
        self._placing = listening.placing_decoder()
        self._fresh = self._strict.get_cmn(False)  # noqa: FBT003

    def knows(self, text: str) -> bool:
        """Tell whether all its words are in the dictionary."""
        return all(self._strict.lookup_word(word) is not None for word in words(text))

    def transcribe(self, wav: Path) -> list[str]:
        """Return the words that it hears, as one that heard nothing before."""
        return words(listening.heard(_decoder(), listening.recording(wav)))

    def chooses(self, wav: Path, text: str) -> bool:
        """Tell whether it picks a text out of ten."""
        rules = " | ".join(" ".join(words(choice)) for choice in listening.choices_for(text))
        self._strict.add_jsgf_string(
            "choice", f"#JSGF V1.0; grammar choice; public <sentence> = {rules};"
        )
        self._strict.activate_search("choice")
        self._strict.set_cmn(self._fresh)
        return listening.heard(self._strict, listening.recording(wav)).split() == words(text)

    def places(self, wav: Path, text: str) -> list[tuple[str, float, float]]:
        """Return where the words of a text lie."""
        self._placing.set_cmn(self._fresh)
        return listening.placed(self._placing, listening.recording(wav), text)


def _decoder(**how: Any) -> Any:
    from pocketsphinx import Config, Decoder

    return Decoder(Config(samprate=float(listening.RATE), loglevel="FATAL", **how))
