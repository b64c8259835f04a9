"""Find the smallest chunk of a stream that sounds as good: `nox -s first_chunk -- PYTHON...`.

`time FOLDER`, in an interpreter that has TTS: how long the first chunk of each size takes stock
and the runtime, by turns, with a converted model of any kind. `speak FOLDER`, there too: the voice
that ships says sentences whole and in chunks of each size, with one seed, so with the same audio
tokens. `judge FOLDER`, here: a recogniser writes down what it hears, and the table is printed.
FOLDER was filled by `quality.py unpack`, for both.

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
RATE = 24_000
TEXT = "It took me quite a long time to develop a voice."
WHOLE = 0
"""Stands for a sentence that is not streamed."""


def take_time(folder: Path, chunks: list[int], rounds: int, *, whole: bool) -> None:
    """Print how long the first chunk of each size takes, and with `whole` the rest of the stream.

    All take turns; the first round is cold and left out. Times are medians, *times stock* medians
    of the ratios within a round; of CPU seconds, which other work on the machine spares, too.
    """
    import torch

    calls, loader, machine = map(speaking.target, ("calls", "loader", "machine"))
    models = {"runtime": loader.load_xtts(folder, runtime="xcompat")}
    if fault := speaking.target("trials").stock_fault(type(models["runtime"].gpt)):
        print(f"stock does not stream here: {fault}", file=sys.stderr)
    else:
        models["stock"] = loader.load_xtts(folder, runtime="stock")
    voice = calls.voice_of(next(iter(models["runtime"].speaker_manager.speakers.values())))
    turns = [(name, chunk) for chunk in chunks for name in models]
    rows: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)
    for index in range(rounds + 1):
        for name, chunk in turns[:: -1 if index % 2 else 1]:
            told = _streamed(models[name], voice, chunk, whole=whole)
            print(index, name, chunk, told, file=sys.stderr, flush=True)
            if index:
                rows[name, chunk].append(told)
    print("| chunk | sound in it | first audio | times stock | CPU seconds | times stock |", end="")
    print(" whole stream | times stock |\n|---|---|---|---|---|---|---|---|")
    for chunk in chunks:
        cells = [str(chunk), f"{rows['runtime', chunk][0]['sound']:.2f} s"]
        for figure in ("first", "cpu", "all"):
            mine = [row[figure] for row in rows["runtime", chunk] if row[figure]]
            theirs = [row[figure] for row in rows.get(("stock", chunk), []) if row[figure]]
            ratios = [b / a for a, b in zip(mine, theirs, strict=False)]
            cells.append(f"{statistics.median(mine):.2f} s" if mine else "")
            cells.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        print(f"| {' | '.join(cells)} |")
    print(
        f"\n{machine.processor_name()}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, {speaking.family()}, load {os.getloadavg()[0]:.0f}, {rounds} rounds"
    )


def _streamed(model: Any, voice: Any, chunk: int, *, whole: bool) -> dict[str, float]:
    """Return seconds until the first chunk and, with `whole`, all are there."""
    import torch

    torch.manual_seed(1)
    sampling = speaking.target("calls").usual_sampling(model)
    started, cpu = time.perf_counter(), time.process_time()
    chunks = model.inference_stream(TEXT, "en", *voice, stream_chunk_size=chunk, **sampling)
    samples = len(next(chunks))
    first, cpu = time.perf_counter() - started, time.process_time() - cpu
    total = 0.0
    if whole:
        for _ in chunks:
            pass
        total = time.perf_counter() - started
    chunks.close()
    return {"first": first, "cpu": cpu, "all": total, "sound": samples / RATE}


def speak(folder: Path, count: int) -> None:
    """Say every sentence in every size; leave WAV files, and a line on each."""
    calls, loader, sound = map(speaking.target, ("calls", "loader", "sound"))
    model = loader.load_xtts(folder / "converted", runtime="xcompat")
    speaking.narrow(model)
    voices = [calls.voice_of(entry) for entry in model.speaker_manager.speakers.values()]
    with (folder / "chunks.jsonl").open("w", encoding="utf-8") as lines:
        for number, text in enumerate(speaking.sentences(count)):
            voice = voices[number % len(voices)]
            whole, codes = speaking.say(model, text, voice, seed=number)
            for chunk in (WHOLE, *CHUNKS):
                told: dict[str, Any] = {"text": text, "chunk": chunk, "tokens": len(codes)}
                samples = whole
                if chunk:
                    parts, streamed = speaking.stream(model, text, voice, seed=number, chunk=chunk)
                    told["same_codes"] = streamed == codes
                    samples = _joined(parts)
                    told |= seams(samples, whole, [len(part) for part in parts])
                path = folder / f"{number:03}-{chunk}.wav"
                sound.write_wav(path, samples, RATE)
                told |= {"wav": path.name, "sound": sound.measure(samples, RATE)}
                print(json.dumps(told), file=lines, flush=True)


def _joined(parts: list[Any]) -> Any:
    import numpy as np

    return np.concatenate([part.reshape(-1) for part in parts])


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

    spoken = [json.loads(line) for line in (folder / "chunks.jsonl").read_text().splitlines()]
    heard = quality.heard_in(folder, spoken)
    whole_wavs = {
        row["text"]: quality.read(folder / row["wav"]) for row in spoken if not row["chunk"]
    }
    print(
        "| chunk | word errors | picked of ten | objections | mel distance | seams | elsewhere "
        "| click |"
    )
    print("|---|---|---|---|---|---|---|---|")
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
        told = [
            "whole" if chunk == WHOLE else str(chunk),
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
    print(f"\n{len(whole_wavs)} sentences")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("time", "speak", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunks", type=int, nargs="+", default=CHUNKS, help="for `time`")
    parser.add_argument("--whole", action="store_true", help="time the rest of the stream too")
    parser.add_argument("--threads", type=int, help="of torch, for `time`; all cores if not given")
    options = parser.parse_args()
    if options.step == "judge":
        judge(options.folder)
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    if options.step == "speak":
        speak(options.folder, options.sentences)
        return
    import torch

    torch.set_num_threads(options.threads or torch.get_num_threads())
    take_time(options.folder, options.chunks, options.rounds, whole=options.whole)


if __name__ == "__main__":
    main()
