"""Train a small XTTS v2 that speaks English, from nothing, within a few minutes on one GPU.

Speech is made by flite on the other cores while the GPU learns (`speech.py`). Codes are found by
k-means (`data.py`), then the GPT learns (`learn_gpt.py`), then the vocoder (`learn_vocoder.py`).
Every phase has a deadline, and what there is is saved after each.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

import generate
import learn_gpt
import learn_vocoder
import speech
from data import VOCABULARY, Store, Tokens
from learn_vocoder import Examples, Exercise
from model import TOY, Gpt, Judges, Sizes, Vocoder
from steps import Clock, Stepper, optimiser, set_rate

HERE = Path(__file__).parent
SAMPLE_TEXTS = (
    "good morning to all of you.",
    "it rains in the mountains.",
    "the quick brown fox jumps over the lazy dog.",
    "the old bridge was closed because the river had risen.",
    "i would like a cup of coffee without sugar.",
    "please put the heavy boxes next to the kitchen door.",
)
SPEAKERS = {"slt": "Slate", "rms": "Rowan", "awb": "Aubrey", "kal16": "Calder"}
"""What the built-in speakers are called."""

_LARGEST = 15 * 2**20


@dataclasses.dataclass(frozen=True)
class Plan:
    """When each phase ends, in seconds since the start, and how much it does at once."""

    first_speech: float = 45.0
    speech: float = 175.0
    gpt: float = 200.0
    judges: float = 315.0
    vocoder: float = 402.0
    end: float = 420.0
    hours: float = 60.0
    positions: int = 16_384
    vocoder_rows: int = 16
    reference_frames: tuple[int, ...] = (516, 344)
    shifts: int = 2
    k_means_sample: int = 200_000
    k_means_rounds: int = 25
    refresh_at: tuple[float, ...] = (0.1, 0.25, 0.45, 0.65, 0.86)
    sentences: Optional[int] = None
    most_steps: Optional[int] = None


TOY_PLAN = Plan(
    first_speech=14.0,
    speech=18.0,
    gpt=60.0,
    judges=90.0,
    vocoder=110.0,
    end=150.0,
    hours=0.6,
    positions=2048,
    vocoder_rows=4,
    reference_frames=(128,),
    k_means_sample=4000,
    k_means_rounds=4,
    refresh_at=(0.3,),
    sentences=300,
)


class Speakers:
    """The processes that speak; they end by themselves at their time, or with this one."""

    def __init__(self, folder: Path, clock: Clock, plan: Plan, parts: int) -> None:
        command = [sys.executable, str(HERE / "speech.py"), str(folder), "--of", str(parts)]
        command += ["--until", str(clock.started + plan.speech)]
        if plan.sentences:
            command += ["--limit", str(plan.sentences)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.processes = [
            subprocess.Popen([*command, "--part", str(part)], env=environment)
            for part in range(parts)
        ]

    def running(self) -> bool:
        return any(process.poll() is None for process in self.processes)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()


class Results:
    """Writes what was learned, whole files only."""

    def __init__(self, folder: Path, gpt: Gpt, vocoder: Vocoder, clock: Clock) -> None:
        self.folder, self.gpt, self.vocoder, self.clock = folder, gpt, vocoder, clock
        self.about: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}

    def save(self, name: str) -> None:
        module = self.gpt if name == "gpt" else self.vocoder
        arrays = {
            key: tensor.detach().float().cpu().numpy().astype(np.float16)
            for key, tensor in live_state(module).items()
        }
        about = {"sizes": dataclasses.asdict(self.gpt.sizes), **self.about}
        if name == "gpt":
            arrays.update(self.extra)
        path = self.folder / f"{name}.npz"
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)
        os.replace(file.name, path)
        os.chmod(path, 0o644)
        self.clock.say(f"wrote {path.name}, {path.stat().st_size / 2**20:.1f} MiB")


def live_state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of what is trained; the rest is the same in every model."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return {name: tensor for name, tensor in module.state_dict().items() if name in trained}


def train(plan: Plan, sizes: Sizes, clock: Clock, out: Path, device: torch.device) -> None:
    """Do everything."""
    cores = len(os.sched_getaffinity(0))
    probe = out / "probe.json"
    chance = np.random.default_rng(1)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory(prefix="speech-") as name:
        spoken = Path(name)
        speakers = Speakers(spoken, clock, plan, max(1, cores - 3))
        try:
            probing = _start_probe(probe, device)
            tokens = Tokens(VOCABULARY)
            sizes = dataclasses.replace(sizes, text_tokens=tokens.count)
            texts = (HERE / "texts" / "train.txt").read_text("ascii").splitlines()
            texts = texts[: plan.sentences]
            store = Store(texts, tokens, sizes, device, hours=plan.hours)
            count = 0
            while clock.now() < plan.first_speech and speakers.running():
                time.sleep(0.5)
                latest = clock.started + plan.first_speech
                count = store.read(spoken, shifts=plan.shifts, until=latest)
            if not count:
                count = store.read(spoken, shifts=plan.shifts)
            clock.say(f"{count} utterances, {store.used_codes} codes of them")
            modes = _modes(probing, probe, clock, plan)
            clock.say(f"modes: {modes}")
            generator = torch.Generator(device).manual_seed(1)
            told = store.learn_codes(
                generator, sample=plan.k_means_sample, rounds=plan.k_means_rounds
            )
            clock.say(f"codes explain {told:.1%} of the variance")

            gpt, vocoder = Gpt(sizes).to(device), Vocoder(sizes).to(device)
            results = Results(out, gpt, vocoder, clock)
            lessons = learn_gpt.Lessons(store, positions=plan.positions, chance=chance)
            clock.say(f"shapes: {lessons.shapes}, members {[len(m) for m in lessons.members]}")
            learn_gpt.learn(
                gpt,
                lessons,
                clock,
                until=plan.gpt,
                graph=modes["gpt_graph"],
                frames=plan.reference_frames,
                refresh=lambda: store.read(spoken, shifts=plan.shifts),
                refresh_at=plan.refresh_at,
                most_steps=plan.most_steps,
            )
        finally:
            speakers.end()
    gpt.eval()
    voices = _voices(gpt, store, plan)
    results.extra = {
        f"speaker.{SPEAKERS[voice]}": latents.cpu().numpy() for voice, latents in voices.items()
    }
    results.about = {"codes_explain": told, "utterances": len(store.rows)}
    results.save("gpt")
    versions = [
        learn_gpt.latents(gpt, store, swapped=swapped, frames=plan.reference_frames[0])
        for swapped in (0.0, learn_gpt.SWAPPED)
    ]
    clock.say(f"latents: {tuple(versions[0].shape)}")
    try:
        learn_vocoder.learn(
            vocoder,
            Examples(store, versions, chance=chance),
            clock,
            until=plan.vocoder,
            judged_from=plan.judges,
            rows=plan.vocoder_rows,
            graph=modes["vocoder_graph"],
            half=modes["vocoder_half"],
            save=results.save,
            most_steps=plan.most_steps,
        )
    except (Exception, KeyboardInterrupt):  # what was learned is worth more than the cause
        traceback.print_exc()
    results.save("vocoder")
    vocoder.eval()
    _speak_samples(gpt, vocoder, voices, tokens, out / "samples.tar", clock, plan.end)


def _start_probe(path: Path, device: torch.device) -> Any:
    """Begin to find out, while speech is made, what this GPU can do and how fast."""
    if device.type != "cuda":
        return None
    return subprocess.Popen([sys.executable, str(HERE / "train.py"), "--probe", str(path)])


def _modes(probing: Any, path: Path, clock: Clock, plan: Plan) -> dict[str, bool]:
    """Return which ways of training pay, as far as the probe has found out."""
    modes = {"gpt_graph": False, "vocoder_graph": False, "vocoder_half": False}
    if probing is None:
        return modes
    try:
        probing.wait(timeout=max(1.0, plan.first_speech + 12.0 - clock.now()))
    except subprocess.TimeoutExpired:
        clock.say("the probe takes too long; what it has found so far counts")
        probing.kill()
        probing.wait()
    try:
        found = json.loads(path.read_text())
        path.unlink()
    except (OSError, ValueError):
        return modes
    clock.say(f"milliseconds of a step: {found}")
    return {
        "gpt_graph": found.get("gpt, graph", 1e9) < found.get("gpt", 1e9),
        "vocoder_graph": found.get("vocoder, graph", 1e9) < found.get("vocoder", 1e9),
        "vocoder_half": _half_pays(found),
    }


def _half_pays(found: dict[str, float]) -> bool:
    half = min(found.get("vocoder, half", 1e9), found.get("vocoder, half, graph", 1e9))
    return half < 0.75 * min(found.get("vocoder", 1e9), found.get("vocoder, graph", 1e9))


@torch.no_grad()
def _voices(gpt: Gpt, store: Store, plan: Plan) -> dict[str, torch.Tensor]:
    """Return the conditioning latents of each voice, the mean over some reference clips."""
    voices = {}
    for number, voice in enumerate(speech.VOICES):
        which = torch.full((16,), number, device=store.device)
        mels = store.reference(which, plan.reference_frames[0])
        voices[voice] = gpt.voice(mels).mean(0, keepdim=True)
    return voices


def _speak_samples(
    gpt: Gpt,
    vocoder: Vocoder,
    voices: dict[str, Any],
    tokens: Tokens,
    path: Path,
    clock: Clock,
    end: float,
) -> None:
    texts = [tokens.encode(text) for text in SAMPLE_TEXTS]
    with tempfile.TemporaryDirectory() as name, tarfile.open(path, "w") as archive:
        for greedy in (False, True):
            for voice, latents in voices.items():
                if clock.now() > end:
                    break
                repeated = latents.expand(len(texts), -1, -1)
                spoken = generate.codes(
                    gpt, repeated, texts, most=gpt.sizes.most_codes, greedy=greedy
                )
                counts = [len(codes) for codes in spoken]
                clock.say(f"{voice}, {'greedy' if greedy else 'sampled'}: {counts} codes")
                for index, wave in enumerate(generate.sound(gpt, vocoder, repeated, texts, spoken)):
                    file = Path(name) / f"{SPEAKERS[voice]}-{index}-{'g' if greedy else 's'}.wav"
                    generate.save_wav(file, wave)
                    if archive.offset + file.stat().st_size < _LARGEST:
                        archive.add(file, file.name)
    clock.say(f"wrote {path.name}")


def probe(path: Path, device: torch.device) -> None:
    """Time each kind of step on noise, the safest ways first, and write what is known so far."""
    found: dict[str, float] = {}
    chance = np.random.default_rng(0)
    tokens = Tokens(VOCABULARY)
    sizes = dataclasses.replace(Sizes(), text_tokens=tokens.count)
    texts = (HERE / "texts" / "train.txt").read_text("ascii").splitlines()[:600]
    store = Store(texts, tokens, sizes, device, hours=1.0)
    with tempfile.TemporaryDirectory() as name:
        for part in range(4):
            lengths = chance.integers(20_000, 70_000, 150)
            np.savez(
                Path(name) / f"chunk-{part}-0.npz",
                samples=chance.integers(-9000, 9000, lengths.sum()).astype(np.int16),
                lengths=lengths,
                sentences=np.arange(150) + 150 * part,
                voices=np.arange(150) % len(speech.VOICES),
            )
        store.read(Path(name), shifts=2)
    generator = torch.Generator(device).manual_seed(1)
    store.learn_codes(generator, sample=20_000, rounds=3)
    lessons = learn_gpt.Lessons(store, positions=Plan.positions, chance=chance)

    def time_steps(name: str, stepper: Any, *inputs: Any, rounds: int = 20) -> None:
        for _ in range(3):
            losses = stepper(*inputs)
        losses.tolist()  # waits for the device
        began = time.perf_counter()
        for _ in range(rounds):
            losses = stepper(*inputs)
        assert np.isfinite(losses.tolist()).all(), name
        found[name] = round((time.perf_counter() - began) / rounds * 1000, 2)
        path.write_text(json.dumps(found))
        print("probe:", name, found[name], "ms", flush=True)

    def try_gpt(*, graph: bool) -> None:
        gpt = Gpt(sizes).to(device)
        sound = torch.nn.Linear(sizes.channels, store.sound.shape[1]).to(device)
        parameters = [*learn_gpt.trainable(gpt), *sound.parameters()]
        adam = optimiser(parameters, device)
        set_rate(adam, 1e-4)
        shape = max(range(len(lessons.members)), key=lambda index: len(lessons.members[index]))
        lesson = learn_gpt.Lesson(
            gpt, sound, store, adam, lessons.shapes[shape], Plan.reference_frames[0]
        )
        members = chance.choice(lessons.members[shape], lessons.shapes[shape].rows)
        given = torch.from_numpy(members).to(device)
        stepper = Stepper(lesson, [given], graph=graph)
        assert not graph or stepper.graph, "no graph"
        time_steps("gpt, graph" if graph else "gpt", stepper, given)

    def try_vocoder(*, graph: bool, half: bool, judged: bool = False) -> None:
        vocoder = Vocoder(sizes).to(device)
        adam = optimiser(vocoder.parameters(), device)
        set_rate(adam, 1e-4)
        judges = Judges().to(device) if judged else None
        judging = optimiser(judges.parameters(), device) if judges else None
        if judging:
            set_rate(judging, 1e-4)
        latents = torch.randn(
            store.used_codes + len(store.rows), sizes.channels, device=device
        ).half()
        examples = Examples(store, [latents, latents], chance=chance)
        exercise = Exercise(vocoder, examples, adam, half=half, judges=judges, judging=judging)
        given = torch.from_numpy(examples.draw(Plan.vocoder_rows)).to(device)
        stepper = Stepper(exercise, [given], graph=graph)
        assert not graph or stepper.graph, "no graph"
        name = "vocoder" + ", judged" * judged + ", half" * half + ", graph" * graph
        time_steps(name, stepper, given)

    trials = (
        lambda: try_gpt(graph=False),
        lambda: try_gpt(graph=True),
        lambda: try_vocoder(graph=False, half=False),
        lambda: try_vocoder(graph=True, half=False),
        lambda: try_vocoder(graph=True, half=True),
        lambda: try_vocoder(graph=True, half=_half_pays(found), judged=True),
    )
    for trial in trials:
        try:
            trial()
        except Exception:  # a way that fails here is not taken
            traceback.print_exc()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("voice-out"))
    parser.add_argument("--started", type=float, help="when the run began, as time.time()")
    parser.add_argument("--toy", action="store_true", help="a tiny model on few data, for a trial")
    parser.add_argument("--sentences", type=int, help="learn from so many sentences only")
    parser.add_argument("--probe", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    if options.probe:
        probe(options.probe, device)
        return
    clock = Clock(options.started or time.time())
    options.out.mkdir(parents=True, exist_ok=True)
    clock.say(f"torch {torch.__version__} on {device}, {len(os.sched_getaffinity(0))} cores")
    plan, sizes = (TOY_PLAN, TOY) if options.toy else (Plan(), Sizes())
    if options.sentences:
        plan = dataclasses.replace(plan, sentences=options.sentences)
    train(plan, sizes, clock, options.out, device)


if __name__ == "__main__":
    main()
