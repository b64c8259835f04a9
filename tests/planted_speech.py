"""Plant faults in what the voice that ships says, and count which the smoke's judges find.

    nox -s judges -- PYTHON...

In the target: `planted_speech.py speak FOLDER --sentences N` speaks each sentence as it should be,
and with each fault that lies in the model. Here: `planted_speech.py judge FOLDER` adds the faults
that lie in the sound, judges all of it as a smoke does, and prints how often a fault was missed and
how often a right sentence was objected to. The recogniser is asked where no other judge objected.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import warnings
import wave
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import speaking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PENALTY = 5.0
UPSIDE_DOWN = 1 / PENALTY
"""1.5 changes nothing: the voice was taught to use no audio token twice."""
OVERFLOWS = 16384.0
"""float16 ends at 65504: what is larger than 4 before is infinite after."""
RATE = 24_000
TOKEN = round(1024 * RATE / 22050)
CHUNK = 20
SEAM = RATE // 100
"""10 ms lost where two chunks of a stream meet."""
LOST = "10 ms lost at each seam of a stream"
IN_MODEL = (
    "none",
    "another speaker",
    "penalty upside down",
    "latents of the code before",
    "latents that overflow float16",
    "the model does not stop",
)
TOO_LONG = (10, 20, 40)
"""Audio tokens that it must go on for, by turns."""


def speak(folder: Path, count: int) -> None:
    """Speak every sentence, with no fault and with each that lies in the model."""
    import torch

    calls, loader, reference = map(speaking.target, ("calls", "loader", "reference"))
    sound, tapping = map(speaking.target, ("sound", "tapping"))
    model = loader.load_xtts(folder / "converted", runtime="xcompat")
    speaking.narrow(model)
    voices = [calls.voice_of(entry) for entry in model.speaker_manager.speakers.values()]
    with (folder / "planted.jsonl").open("w", encoding="utf-8") as lines:
        for number, text in enumerate(speaking.sentences(count)):
            right = voices[number % len(voices)]
            ids = model.tokenizer.encode(text.strip().lower(), lang="en")
            spoken = 0
            for fault in IN_MODEL:
                voice = voices[(number + 1) % len(voices)] if fault == "another speaker" else right
                longer = TOO_LONG[number % len(TOO_LONG)]
                how = {"min_new_tokens": spoken + longer} if "stop" in fault else {}
                given: list[Any] = []
                heard = tapping.InputTap(model.hifigan_decoder, "forward", given.append)
                with _planted(model, fault), heard:
                    samples, codes = speaking.say(
                        model,
                        text,
                        voice,
                        seed=number,
                        do_sample=False,
                        repetition_penalty=UPSIDE_DOWN if "penalty" in fault else PENALTY,
                        **how,
                    )
                spoken = spoken or len(codes)
                asked = model, right[0], torch.tensor([ids]), codes
                check = reference.check_greedy(*asked, PENALTY)
                path = folder / f"{number:03}-{IN_MODEL.index(fault)}.wav"
                sound.write_wav(path, samples, RATE)
                told = {
                    "text": text,
                    "fault": fault,
                    "wav": path.name,
                    "sound": sound.measure(samples, RATE),
                    "audio_tokens": len(codes),
                    "right_tokens": check.mismatch is None,
                    "latents_distance": reference.latents_distance(*asked, given[0]),
                }
                print(json.dumps(told), file=lines, flush=True)


class _planted:  # noqa: N801 - reads as a statement
    """Inside the block, a model has a fault."""

    def __init__(self, model: Any, fault: str) -> None:
        self._owner: Any = None
        self._before: Any = None
        if fault.startswith("latents of"):
            self._owner, forward = model.gpt, model.gpt.forward
            self._changed = lambda text, lengths, codes, *rest, **named: forward(
                text, lengths, codes.roll(1, -1), *rest, **named
            )
        elif fault.startswith("latents that"):
            self._owner, forward = model.hifigan_decoder, model.hifigan_decoder.forward
            self._changed = lambda latents, g=None: forward(
                (latents * OVERFLOWS).half().float() / OVERFLOWS, g=g
            )

    def __enter__(self) -> None:
        if self._owner is not None:
            self._before = vars(self._owner).get("forward")
            self._owner.forward = self._changed

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            self._owner.forward = self._before
        elif self._owner is not None:
            del self._owner.forward


def judge(folder: Path) -> None:
    """Judge everything, and print the table."""
    from listener import Listener
    from xcompat.smoke.judge import judge_heard, judge_spoken
    from xcompat.target.listening import mistakes, words

    listener = Listener()
    tried: Counter[str] = Counter()
    found: dict[str, Counter[str]] = {}
    for told in _all_told(folder):
        fault, text, wav = told["fault"], told["text"], folder / told["wav"]
        tried[fault] += 1
        stage = "stream" if fault == LOST else "speak"
        judged = judge_spoken(stage, told, text=text, speech=True)
        objected = {j.name for j in judged if not j.passed}
        if not told["right_tokens"]:
            objected.add("right voice")
        if not objected and listener.knows(text):
            heard = listener.transcribe(wav)
            asked = judge_heard(
                {
                    "understood": listener.chooses(wav, text),
                    "heard": "",
                    "choices": 10,
                    "transcript": " ".join(heard),
                    "mistakes": mistakes(words(text), heard),
                    "words": len(words(text)),
                },
                model="voice",
            )
            objected = {j.name.removeprefix("speak: ") for j in asked if not j.passed}
        counts = found.setdefault(fault, Counter())
        counts.update(objected)
        counts["any"] += bool(objected)
        print(f"{fault}: {', '.join(sorted(objected)) or '-'}: {text}", file=sys.stderr)
    print("| planted | sentences | missed | who objects, mostly |")
    print("|---|---|---|---|")
    for fault, counts in found.items():
        number = tried[fault]
        most = ", ".join(f"{n} {c}" for n, c in counts.most_common() if n != "any")
        wrong = counts["any"] if fault == "none" else number - counts["any"]
        share = f"{wrong} ({wrong / number:.0%})"
        shown = f"false alarms {share}" if fault == "none" else share
        print(f"| {fault} | {number} | {shown} | {most or 'nobody'} |")


def _all_told(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what was spoken, and after each right sentence what can be done to its sound."""
    import numpy as np

    from xcompat.target.sound import measure, write_wav

    for line in (folder / "planted.jsonl").read_text("utf-8").splitlines():
        told = json.loads(line)
        yield told
        if told["fault"] != "none":
            continue
        with wave.open(str(folder / told["wav"])) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0
        for fault, change in IN_SOUND.items():
            changed = change(samples)
            if changed.shape == samples.shape and (changed == samples).all():
                continue  # A sentence of one chunk has no seam.
            path = folder / "changed.wav"
            write_wav(path, changed, RATE)
            yield {**told, "fault": fault, "wav": path.name, "sound": measure(changed, RATE)}


def _shuffled(samples: Any) -> Any:
    import numpy as np

    blocks = [samples[i : i + TOKEN] for i in range(0, len(samples), TOKEN)]
    random.Random(3).shuffle(blocks)
    return np.concatenate(blocks)


def _seams(samples: Any) -> Any:
    import numpy as np

    size = CHUNK * TOKEN
    chunks = [samples[i : i + size] for i in range(0, len(samples), size)]
    return np.concatenate([chunks[0], *(chunk[SEAM:] for chunk in chunks[1:])])


def _at_22050(samples: Any) -> Any:
    import numpy as np

    places = np.arange(0, len(samples) - 1, 24_000 / 22_050)
    return np.interp(places, np.arange(len(samples)), samples)


IN_SOUND: dict[str, Callable[[Any], Any]] = {
    "vocoder frames in any order": _shuffled,
    LOST: _seams,
    "22,050 Hz under a header of 24,000 Hz": _at_22050,
    "reversed": lambda samples: samples[::-1],
    "cut after six tenths": lambda samples: samples[: len(samples) * 6 // 10],
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("speak", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=100)
    options = parser.parse_args()
    if options.step == "judge":
        judge(options.folder)
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    speak(options.folder, options.sentences)


if __name__ == "__main__":
    main()
