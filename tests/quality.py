"""Measure in words what each way to load and to decode costs: `nox -s quality -- PYTHON...`.

`unpack FOLDER`: the voice that ships, converted in three types. `speak FOLDER`, in interpreters of
environments with TTS: the first speaks sentences that the voice has not learned from in every way,
the others with stock TTS alone; each clones the four voices. `judge FOLDER`: a recogniser writes
down what it hears, and the table is printed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import warnings
import wave
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import speaking

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

WAYS: dict[str, tuple[str, dict[str, Any] | None, int]] = {
    "stock": ("converted", {"runtime": "stock"}, 0),
    "runtime, float32": ("converted", {"runtime": "xcompat"}, 0),
    "runtime, bfloat16": ("converted", {"dtype": "bfloat16"}, 0),
    "runtime, float16": ("converted", {"dtype": "float16"}, 0),
    "runtime, int8": ("converted", {"quantize": "int8"}, 0),
    "stock, streamed, chunk 20": ("converted", {"runtime": "stock"}, 20),
    "stock, streamed, chunk 40": ("converted", {"runtime": "stock"}, 40),
    "convert --dtype float16, stock": ("float16", None, 0),
    "convert --dtype bfloat16, stock": ("bfloat16", None, 0),
}
"""Name to folder, arguments of `load_xtts`, or none for `load_checkpoint`, and a stream's chunk."""
_ROUNDING = 2 / 32768
"""A sound that differs from another by so little is not listened to again."""
REFERENCE, CLONED = 3, 2
"""Sentences in a recording to clone, and that the clone says."""


def unpack(folder: Path) -> None:
    """Write the checkpoint of the voice and its conversions."""
    from xcompat.converters import convert, write_voice
    from xcompat.smoke.voice import FOLDER

    write_voice(FOLDER, folder / "original")
    convert(folder / "original", folder / "converted")
    for dtype in ("float16", "bfloat16"):
        convert(folder / "original", folder / dtype, format="pth", dtype=dtype)


def speak(folder: Path, count: int, ways: Collection[str], *, only_stock: bool) -> None:
    """Speak every sentence in these ways; leave WAV files, and a line on each."""
    calls, loader = speaking.target("calls"), speaking.target("loader")
    family = speaking.family()
    sound = speaking.target("sound")
    texts = speaking.sentences(count)
    with (folder / "spoken.jsonl").open("a", encoding="utf-8") as lines:
        for way, (model_folder, how, chunk) in WAYS.items():
            if way not in ways or (only_stock and way != "stock"):
                continue
            name = f"{way} ({family})" if only_stock else way
            where = folder / model_folder
            model = calls.stock_load(where) if how is None else loader.load_xtts(where, **how)
            speaking.narrow(model)
            speakers = list(model.speaker_manager.speakers.values())
            for number, text in enumerate(texts):
                voice = calls.voice_of(speakers[number % len(speakers)])
                began = time.perf_counter()
                samples, codes = speaking.say(model, text, voice, seed=number, chunk=chunk)
                seconds = time.perf_counter() - began
                path = folder / f"{len(list(folder.glob('*.wav'))):04}.wav"
                sound.write_wav(path, samples, calls.sample_rate(model))
                told = {"way": name, "text": text, "wav": path.name, "codes": codes}
                print(json.dumps({**told, "seconds": seconds}), file=lines, flush=True)
            # Stock TTS beside a newer torchaudio reads no recording.
            if way == ("stock" if only_stock else "runtime, float32"):
                cloned = _clone(folder, model, texts)
                print(json.dumps({"cloned": cloned, "family": family}), file=lines, flush=True)


def _clone(folder: Path, model: Any, texts: list[str]) -> dict[str, str]:
    """Clone each voice from a recording of it; return which of them the clone sounds like."""
    import numpy as np

    calls, sound = speaking.target("calls"), speaking.target("sound")

    def spectrum(voice: Any, said: list[str]) -> Any:
        parts = [speaking.say(model, t, voice, seed=n)[0] for n, t in enumerate(said)]
        frames = sound.mel_spectrogram(np.concatenate(parts), calls.sample_rate(model)).T
        loud = frames[frames.mean(1) > np.median(frames.mean(1))].mean(0)
        return np.concatenate(parts), loud - loud.mean()

    known, recordings = {}, {}
    for name, entry in model.speaker_manager.speakers.items():
        samples, known[name] = spectrum(calls.voice_of(entry), texts[:REFERENCE])
        recordings[name] = folder / f"of-{name}.wav"
        sound.write_wav(recordings[name], samples, calls.sample_rate(model))
    nearest = {}
    for name, recording in recordings.items():
        made = spectrum(calls.cloned(model, str(recording)), texts[-CLONED:])[1]
        away = {other: float(np.abs(made - mean).mean()) for other, mean in known.items()}
        nearest[name] = min(away, key=lambda other: away[other])
        recording.unlink()
    return nearest


def judge(folder: Path, count: int) -> None:
    """Listen to the first sentences of each way, and print the tables."""
    from xcompat.target.listening import mistakes, words

    rows = [json.loads(line) for line in (folder / "spoken.jsonl").read_text().splitlines()]
    texts = speaking.sentences(count)
    spoken = [row for row in rows if row.get("text") in texts]
    heard = heard_in(folder, spoken)
    stock = {row["text"]: row for row in spoken if row["way"] == "stock"}
    sums: dict[str, Counter[str]] = {}
    for row in spoken:
        sound = read(folder / row["wav"])
        usual = stock[row["text"]]
        counts = sums.setdefault(row["way"], Counter())
        transcript, chosen = heard[row["wav"]]
        counts["asked"] += chosen is not None
        counts["chosen"] += bool(chosen)
        counts["mistakes"] += mistakes(words(row["text"]), transcript)
        counts["words"] += len(words(row["text"]))
        counts["sentences"] += 1
        counts["same codes"] += row["codes"] == usual["codes"]
        counts["samples"] += len(sound)
        counts["usual samples"] += len(read(folder / usual["wav"]))
        counts["distance"] += warped(mels(sound), mels(read(folder / usual["wav"])))
        counts["seconds"] += row["seconds"]
    print("| way | sentences | word errors | picked of ten | same tokens | length | mel distance |")
    print("|---|---|---|---|---|---|---|")
    for way, counts in sums.items():
        n = counts["sentences"]
        print(
            f"| {way} | {n} | {counts['mistakes'] / counts['words']:.1%} "
            f"| {counts['chosen']} of {counts['asked']} | {counts['same codes']} of {n} "
            f"| {counts['samples'] / counts['usual samples']:.3f} "
            f"| {counts['distance'] / n:.2f} dB |"
        )
    others = zip(texts, texts[1:] + texts[:1], strict=True)
    apart = [warped(*(mels(read(folder / stock[text]["wav"])) for text in pair)) for pair in others]
    print(f"\nTwo different sentences are {sum(apart) / len(apart):.2f} dB apart.")
    for row in rows:
        if "cloned" in row:
            told = ", ".join(f"{one} as {other}" for one, other in row["cloned"].items())
            print(f"Cloned by {row['family']}: {told}.")


def heard_in(folder: Path, spoken: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return of each WAV the words heard, and whether its text was picked; None where not asked.

    What was heard before is kept in `heard.jsonl`.
    """
    import numpy as np

    from listener import Listener

    listener, kept = Listener(), folder / "heard.jsonl"
    first: dict[str, Any] = {}
    heard = dict(map(json.loads, kept.read_text().splitlines())) if kept.is_file() else {}
    with kept.open("a", encoding="utf-8") as lines:
        for row in spoken:
            wav, text = folder / row["wav"], row["text"]
            sound = read(wav)
            usual, told = first.setdefault(text, (sound, row["wav"]))
            same = sound.shape == usual.shape and np.abs(sound - usual).max() <= _ROUNDING
            if same and told in heard:
                heard[row["wav"]] = heard[told]
            if row["wav"] not in heard:
                chosen = listener.chooses(wav, text) if listener.knows(text) else None
                heard[row["wav"]] = (listener.transcribe(wav), chosen)
                print(json.dumps([row["wav"], heard[row["wav"]]]), file=lines, flush=True)
    return heard


def read(path: Path) -> Any:
    import numpy as np

    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0


def mels(samples: Any) -> Any:
    from xcompat.target.sound import mel_spectrogram

    return mel_spectrogram(samples, 24_000).T[::2]


def warped(one: Any, other: Any) -> float:
    """Return the mean distance (dB) of two spectrograms along the best path between them."""
    import numpy as np

    cost = np.abs(one[:, None, :] - other[None, :, :]).mean(-1)
    total = np.full((len(one) + 1, len(other) + 1), np.inf)
    steps = np.zeros(total.shape)
    total[0, 0] = 0.0
    for i in range(len(one)):
        for j in range(len(other)):
            before = min(((i, j), (i, j + 1), (i + 1, j)), key=lambda place: total[place])
            total[i + 1, j + 1] = cost[i, j] + total[before]
            steps[i + 1, j + 1] = 1 + steps[before]
    return float(total[-1, -1] / steps[-1, -1])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("unpack", "speak", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--only-stock", action="store_true")
    parser.add_argument(
        "--way", action="append", choices=WAYS, help="this one alone; again for more"
    )
    options = parser.parse_args()
    if options.step == "unpack":
        unpack(options.folder)
    elif options.step == "judge":
        judge(options.folder, options.sentences)
    else:
        os.environ["HF_HUB_OFFLINE"] = "1"
        warnings.filterwarnings("ignore")
        logging.disable(logging.WARNING)
        ways = options.way or WAYS
        speak(options.folder, options.sentences, ways, only_stock=options.only_stock)


if __name__ == "__main__":
    main()
