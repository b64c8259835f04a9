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
        from pocketsphinx import Config, Decoder

        rate = float(listening.RATE)
        self._free = Decoder(Config(samprate=rate, loglevel="FATAL"))
        self._strict = Decoder(Config(lm=None, samprate=rate, loglevel="FATAL"))
        self._fresh = self._free.get_cmn(False)  # noqa: FBT003

    def knows(self, text: str) -> bool:
        """Tell whether all its words are in the dictionary."""
        return all(self._strict.lookup_word(word) is not None for word in words(text))

    def transcribe(self, wav: Path) -> list[str]:
        """Return the words that it hears."""
        return words(self._hear(self._free, wav))

    def chooses(self, wav: Path, text: str) -> bool:
        """Tell whether it picks a text out of ten."""
        rules = " | ".join(" ".join(words(choice)) for choice in listening.choices_for(text))
        self._strict.add_jsgf_string(
            "choice", f"#JSGF V1.0; grammar choice; public <sentence> = {rules};"
        )
        self._strict.activate_search("choice")
        return self._hear(self._strict, wav).split() == words(text)

    def _hear(self, decoder: Any, wav: Path) -> str:
        decoder.set_cmn(self._fresh)
        return listening.heard(decoder, listening.recording(wav))
