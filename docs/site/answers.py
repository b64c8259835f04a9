"""Asks the doctor beforehand what people ask the site: each TTS, each torch, each system.

What `python docs/site/answers.py FILE` writes is what the page `ask` finds: no server, no Python.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.version import Version

from xcompat.diagnosis.answer import answer_of
from xcompat.diagnosis.doctor import Doctor
from xcompat.domain import Environment, minor_of
from xcompat.matrix.load import load_matrix
from xcompat.render.runs import executed_and_refused, signs_of, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xcompat.domain import Matrix, Run

PLATFORMS = ("linux-x86_64", "macosx-arm64", "win-amd64")
_SHOWN = ("install", "import", "load", "load-converted", "speak", "stream", "clone", "api")


class Question(NamedTuple):
    """What somebody has, or wants."""

    tts: str
    """Distribution and version, such as `TTS 0.22.0`."""
    torch: str
    torchaudio: str
    platform: str
    transformers: tuple[str, ...]
    """The newest of each minor release that this TTS was run with."""


def answers() -> dict[str, Any]:
    """Return all that the page needs: questions, answers, and the runs to look through."""
    known = load_matrix(by_words=False)
    questions = list(_questions(known))
    with ProcessPoolExecutor() as pool:
        told = list(pool.map(_answer, questions, chunksize=64))
    texts = list(dict.fromkeys(each[2] for answer in told for each in answer))
    number = {text: n for n, text in enumerate(texts)}
    return {
        "texts": texts,
        "answers": {
            "|".join((question.tts, minor_of(question.torch), question.platform)): {
                "torch": question.torch,
                "torchaudio": question.torchaudio,
                "with": [
                    [name, verdict, number[text], *rest] for name, verdict, text, *rest in each
                ],
            }
            for question, each in zip(questions, told, strict=True)
        },
        "runs": [_row(run) for run in executed_and_refused(known.runs)[0]],
    }


def _questions(known: Matrix) -> Iterable[Question]:
    releases = {
        (name, run.environment.packages[name]) for run in known.runs for name in _family(run)
    }
    torches = _torches(known)
    for (name, version), (torch, audio), platform in product(
        sorted(releases, key=lambda each: (each[0], Version(each[1]))), torches, PLATFORMS
    ):
        tried = (
            run.environment.packages.get("transformers", "")
            for run in known.runs
            if run.environment.packages.get(name) == version
        )
        newest = {minor_of(each): each for each in sorted(filter(None, set(tried)), key=Version)}
        yield Question(f"{name} {version}", torch, audio, platform, tuple(newest.values()))


def _torches(known: Matrix) -> list[tuple[str, str]]:
    """Return the newest torch of each minor release, with the torchaudio that it was run with."""
    pairs = Counter(
        (_public(packages["torch"]), _public(packages["torchaudio"]))
        for run in known.runs
        if {"torch", "torchaudio"} <= (packages := run.environment.packages).keys()
    )
    newest: dict[str, tuple[str, str]] = {}
    for (torch, audio), _ in sorted(pairs.items(), key=lambda each: (Version(each[0][0]), each[1])):
        newest[minor_of(torch)] = torch, audio
    return list(newest.values())


def _public(version: str) -> str:
    return version.partition("+")[0]


def _family(run: Run) -> set[str]:
    return {"TTS", "coqui-tts"} & run.environment.packages.keys()


_DOCTORS: list[Doctor] = []


def _answer(question: Question) -> list[list[Any]]:
    """Return transformers, verdict, text, basis and codes, the best answer first."""
    if not _DOCTORS:
        _DOCTORS.append(Doctor(load_matrix(by_words=False)))
    name, version = question.tts.split(" ")
    told = []
    for transformers in reversed(question.transformers):
        pins = Environment(
            python="",
            platform=question.platform,
            packages={
                name: version,
                "torch": question.torch,
                "torchaudio": question.torchaudio,
                "transformers": transformers,
            },
            source="",
            complete=False,
        )
        found = _DOCTORS[0].diagnose(pins, ("speak",))
        text = answer_of(found).text.replace(" with these pins", "")
        codes = sorted({code for each in found.capabilities.values() for code in each.issues})
        told.append([transformers, found.verdict, text, found.capabilities["speak"].basis, codes])
    order = ("compatible", "unknown", "incompatible")
    return sorted(
        told, key=lambda each: (order.index(each[1]), len(each[4]), each[3] != "recorded")
    )


def _row(run: Run) -> list[str]:
    signs = ["".join(sign for sign, _ in signs_of(run, name)).strip()[:1] for name in _SHOWN]
    environment = run.environment
    return [environment.platform, minor_of(environment.python), *versions_of(run), *signs]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(answers(), separators=(",", ":")), "utf-8")
