"""Find the smallest chunk of a stream that sounds as good: `nox -s first_chunk -- PYTHON...`.

`speak FOLDER`, in an interpreter that has TTS: the voice that ships says sentences whole and in
chunks of several sizes, with one seed, so with the same audio tokens. How long it takes is
measured by turns, of the model as it is. `judge FOLDER`, here: a recogniser writes down what it
hears, and the table is printed. FOLDER was filled by `quality.py unpack`.

A seam is where two chunks meet. TTS fades from one into the other over 1024 samples: the older
was computed without what comes after it. The joined sound is held against the whole one.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import speaking

CHUNKS = (5, 8, 10, 15, 20, 40)
OVERLAP = 1024
"""Samples over which TTS fades from one chunk into the next."""
TIMED = 2
"""Sentences of which the time is taken."""
RATE = 24_000
WHOLE = 0
"""Stands for a sentence that is not streamed."""


def speak(folder: Path, count: int, rounds: int) -> None:
    """Say every sentence in every size; leave WAV files, and a line on each."""
    calls, loader, sound = map(speaking.target, ("calls", "loader", "sound"))
    model = loader.load_xtts(folder / "converted", runtime="xcompat")
    voices = [calls.voice_of(entry) for entry in model.speaker_manager.speakers.values()]
    texts = speaking.sentences(count)
    with (folder / "chunks.jsonl").open("w", encoding="utf-8") as lines:
        for told in _timed(model, texts[:TIMED], voices, rounds):
            print(json.dumps(told), file=lines, flush=True)
        speaking.narrow(model)
        for number, text in enumerate(texts):
            voice = voices[number % len(voices)]
            whole, codes = speaking.say(model, text, voice, seed=number)
            for chunk in (WHOLE, *CHUNKS):
                told: dict[str, Any] = {"text": text, "chunk": chunk}
                samples = whole
                if chunk:
                    parts, streamed, _ = speaking.stream(
                        model, text, voice, seed=number, chunk=chunk
                    )
                    told["same_codes"] = streamed == codes
                    samples = _joined(parts)
                    told |= seams(samples, whole, [len(part) for part in parts])
                path = folder / f"{number:03}-{chunk}.wav"
                sound.write_wav(path, samples, RATE)
                told |= {"wav": path.name, "sound": sound.measure(samples, RATE)}
                told["tokens"] = len(codes)
                print(json.dumps(told), file=lines, flush=True)


def _joined(parts: list[Any]) -> Any:
    import numpy as np

    return np.concatenate([part.reshape(-1) for part in parts])


def _timed(model: Any, texts: list[str], voices: list[Any], rounds: int) -> Any:
    """Yield seconds and CPU seconds of each size, by turns; the first round is cold."""
    for index in range(rounds + 1):
        for number, text in enumerate(texts):
            sizes = (WHOLE, *CHUNKS) if index % 2 else (WHOLE, *CHUNKS)[::-1]
            for chunk in sizes:
                voice = voices[number % len(voices)]
                started, cpu = time.perf_counter(), time.process_time()
                if chunk:
                    parts, _, there = speaking.stream(model, text, voice, seed=number, chunk=chunk)
                    first = there[0]
                    length = len(parts[0])
                else:
                    samples, _ = speaking.say(model, text, voice, seed=number)
                    first, length = time.perf_counter() - started, len(samples)
                if index:
                    yield {
                        "round": f"{index}-{number}",
                        "chunk": chunk,
                        "first": first,
                        "all": time.perf_counter() - started,
                        "cpu": time.process_time() - cpu,
                        "first_samples": length,
                    }


def seams(samples: Any, whole: Any, lengths: list[int]) -> dict[str, float]:
    """Return what the seams of a joined sound are like, beside the same places of the whole one.

    `click`: the largest step between two samples at the edges of a fade, by the largest in the
    sentence. `away`: what differs from the whole sound within the fades, by the level there (dB);
    `elsewhere`: the same of all other places.
    """
    import numpy as np

    whole = whole[: len(samples)]
    samples = samples[: len(whole)]
    steps = np.abs(np.diff(samples))
    faded = np.zeros(len(samples), bool)
    edges = []
    for seam in np.cumsum(lengths)[:-1]:
        faded[seam : seam + OVERLAP] = True
        edges += [at for at in (seam - 1, seam + OVERLAP - 1) if at < len(steps)]
    difference = samples - whole

    def decibels(where: Any) -> float:
        level = float(np.square(whole[where]).sum())
        return 10 * float(np.log10(max(np.square(difference[where]).sum() / level, 1e-20)))

    return {
        "click": max((float(steps[at]) for at in edges), default=0.0) / float(steps.max()),
        "away": decibels(faded) if faded.any() else -200.0,
        "elsewhere": decibels(~faded),
    }


def judge(folder: Path) -> None:
    """Listen to all of it, and print the table."""
    import quality
    from xcompat.smoke.judge import judge_sound
    from xcompat.target.listening import mistakes, words

    rows = [json.loads(line) for line in (folder / "chunks.jsonl").read_text().splitlines()]
    spoken = [row for row in rows if "wav" in row]
    timed = [row for row in rows if "round" in row]
    heard = quality.heard_in(folder, spoken)
    whole_seconds = {row["round"]: row for row in timed if row["chunk"] == WHOLE}
    whole_wavs = {
        row["text"]: quality.read(folder / row["wav"]) for row in spoken if not row["chunk"]
    }
    print(
        "| chunk | first audio | whole sentence | word errors | picked of ten | objections "
        "| mel distance | seams | elsewhere | click |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for chunk in (WHOLE, *CHUNKS):
        sums: dict[str, float] = defaultdict(float)
        mine = [row for row in spoken if row["chunk"] == chunk]
        for row in mine:
            transcript, chosen = heard[row["wav"]]
            judged = judge_sound(
                row["sound"],
                audio_tokens=row["tokens"],
                streamed=bool(chunk),
                text=row["text"],
                speech=True,
            )
            sums["objections"] += any(not each.passed for each in judged)
            sums["asked"] += chosen is not None
            sums["chosen"] += bool(chosen)
            sums["mistakes"] += mistakes(words(row["text"]), transcript)
            sums["words"] += len(words(row["text"]))
            sums["distance"] += quality.warped(
                quality.mels(quality.read(folder / row["wav"])),
                quality.mels(whole_wavs[row["text"]]),
            )
        times = [row for row in timed if row["chunk"] == chunk]
        first, total = (
            statistics.median(row[name] / whole_seconds[row["round"]]["all"] for row in times)
            for name in ("first", "all")
        )
        told = [
            "whole" if chunk == WHOLE else str(chunk),
            f"{first:.2f}",
            f"{total:.2f}",
            f"{sums['mistakes'] / sums['words']:.1%}",
            f"{sums['chosen']:.0f} of {sums['asked']:.0f}",
            f"{sums['objections']:.0f} of {len(mine)}",
            f"{sums['distance'] / len(mine):.2f} dB",
        ]
        if chunk:
            told += [
                f"{statistics.median(row['away'] for row in mine):.0f} dB",
                f"{statistics.median(row['elsewhere'] for row in mine):.0f} dB",
                f"{max(row['click'] for row in mine):.2f}",
            ]
            if not all(row["same_codes"] for row in mine):
                told[0] += " (other tokens)"
        else:
            told += ["", "", ""]
        print(f"| {' | '.join(told)} |")
    print(f"\n{len(whole_wavs)} sentences; first audio and whole sentence by that of `whole`.")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("speak", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.step == "judge":
        judge(options.folder)
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    speak(options.folder, options.sentences, options.rounds)


if __name__ == "__main__":
    main()
