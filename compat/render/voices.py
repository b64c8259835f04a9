"""Voices for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from xcompat.converters.voices import Voice


def voices_as_json(voices: Sequence[Voice], files: Sequence[Path]) -> dict[str, Any]:
    """Return the stable form of `xcompat voices --json`; fields may be added."""
    return {
        "schema": 1,
        "voices": [
            {
                "name": voice.name,
                "gpt_cond_latent": list(voice.latents.shape),
                "speaker_embedding": list(voice.embedding.shape),
                "dtype": voice.latents.dtype.name,
            }
            for voice in voices
        ],
        "written": [str(file) for file in files],
    }


def show_voices(voices: Sequence[Voice]) -> None:
    """Write the name of each voice, and how much there is of it."""
    page = Page()
    if not voices:
        page.prose("No voices: this model speaks with a recording that it is given.")
    width = max((len(voice.name) for voice in voices), default=0) + 2
    for voice in voices:
        _, positions, latents = voice.latents.shape
        page.entry(((voice.name, "bold"),), f"{positions} latents of {latents}", width)


def show_written(voices: Sequence[Voice], files: Sequence[Path]) -> None:
    """Write what was written where."""
    page = Page()
    count = f"{len(voices)} voices" if len(voices) != 1 else voices[0].name
    for file in files:
        page.line(("Wrote", "bold"), f" {count} to {file}")
