"""Measure loading and decoding at full size, in paired runs, in the interpreter that runs this.

    python -I tests/bench_runtime.py load FOLDER [--original FOLDER] [--rounds 3]
    python -I tests/bench_runtime.py decode FOLDER [--rounds 5] [--tokens 60]
        [--variants stock,float32,bfloat16,int8] [--acts tokens,decode,inference] [--device cuda]

FOLDER was converted with `--format both`, so that stock TTS can load its `model.pth` on any torch;
`--original` names another for it. (coqui-tts 0.28 rewrites an original that it loads.)
Prints one JSON object. Variants alternate, and ratios are medians over rounds of the ratio within
a round: other work on the machine then hurts all variants alike. Needs torch and TTS.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Callable

TEXT = "It took me quite a long time to develop a voice, and now I am not going to be silent."
PENALTY = 5.0
STREAM_CHUNK = 20
SAID_BEFORE = 3
"""Sentences after which all is compiled and recorded."""
BOOK = 32
"""Sentences that `book` decodes at once."""
ONE_BY_ONE = 4
"""Sentences that stock says in its place."""
LOADERS = ("stock", "xcompat")
CPU_SECONDS: dict[tuple[str, str], list[float]] = {}
"""Of each timed call, by what it did and the variant: what other work on the machine spares."""
WAITING = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "unique_dim")
"""Operations of torch that on an accelerator wait for it: their result decides what Python does."""
STARTED = "XCOMPAT_BENCH_STARTED"

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def target(name: str) -> Any:
    folder = Path(__file__).resolve().parents[1] / "compat" / "target"
    if "xcompat_target" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "xcompat_target", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["xcompat_target"] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"xcompat_target.{name}")


def memory(field: str) -> int:
    """Return a figure of /proc/self/status in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) // 1024
    raise KeyError(field)


def load_once(folder: Path, loader: str) -> dict[str, Any]:
    """Load in this fresh process, touch every page, speak a first chunk."""
    started = float(os.environ[STARTED])
    xtts_loader = target("loader")
    with contextlib.nullcontext() if loader == "stock" else target("imports").importing_tts():
        from TTS.tts.configs.xtts_config import XttsConfig
        from TTS.tts.models.xtts import Xtts

    imported = time.time()
    import_cpu = time.process_time()
    before = {"anon": memory("RssAnon")}
    wall, cpu = time.perf_counter(), time.process_time()
    if loader == "stock":
        config = XttsConfig()
        config.load_json(str(folder / "config.json"))
        model = Xtts.init_from_config(config)
        model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    else:
        model = xtts_loader.load_xtts(folder, runtime="xcompat")
    ready = time.perf_counter() - wall
    touched = sum(float(p.detach().sum()) for p in model.parameters())
    figures = {
        "import_seconds": imported - started,
        "import_cpu_seconds": import_cpu,
        "ready_seconds": ready,
        "touched_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "anon_mib_for_the_model": memory("RssAnon") - before["anon"],
        "peak_mib": memory("VmHWM"),
    }
    voice = next(iter(model.speaker_manager.speakers.values()))
    next(
        model.inference_stream(
            TEXT, "en", voice["gpt_cond_latent"], voice["speaker_embedding"],
            stream_chunk_size=STREAM_CHUNK,
        )
    )  # fmt: skip
    return {
        **figures,
        "first_audio_seconds": time.time() - started,
        "first_audio_cpu_seconds": time.process_time(),
        "checksum": touched,
    }


def bench_load(folder: Path, original: Path, rounds: int) -> dict[str, Any]:
    folders = {"stock": original, "xcompat": folder}
    runs: dict[str, list[dict[str, Any]]] = {loader: [] for loader in LOADERS}
    for index in range(rounds):
        for loader in LOADERS if index % 2 == 0 else LOADERS[::-1]:
            command = [sys.executable, "-I", __file__, "load-once", str(folders[loader])]
            command += ["--loader", loader]
            environment = {**os.environ, STARTED: str(time.time())}
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            runs[loader].append(json.loads(done.stdout.splitlines()[-1]))
            print(loader, runs[loader][-1], file=sys.stderr)
    figures = [name for name in runs["stock"][0] if name != "checksum"]
    return {
        "median": {
            loader: {name: median(run[name] for run in runs[loader]) for name in figures}
            for loader in LOADERS
        },
        "stock / xcompat": {
            name: median(a[name] / max(b[name], 1e-9) for a, b in zip(*runs.values()))
            for name in figures
        },
        "same weights": len({run["checksum"] for loader in runs.values() for run in loader}) == 1,
    }


def median(values: Any) -> float:
    return round(statistics.median(values), 3)


def loaded(folder: Path, variants: list[str], count: int, device: str) -> tuple[Any, Any, Any]:
    """Load each variant; return the models, what each held on a card at most, and a voice.

    The stop token is never chosen by them: all decodes shall be equally long.
    """
    import torch

    load_xtts, ways = target("loader").load_xtts, target("measuring").WAYS
    models, peaks = {}, {}
    for name in variants:
        if device == "cuda":
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        with contextlib.redirect_stdout(sys.stderr):
            try:
                models[name] = load_xtts(folder, device=device, **ways[name])
            except target("products").CannotAttach as refusal:
                print(f"{name}: {refusal}", file=sys.stderr)
                continue
        head = models[name].gpt.mel_head
        bias = head.bias.detach().clone()
        bias[models[name].gpt.stop_audio_token] = -1e9
        head.bias = torch.nn.Parameter(bias, requires_grad=False)
        speakers = models[name].speaker_manager.speakers
        voice = tuple(part.to(device) for part in next(iter(speakers.values())).values())
        if device == "cuda":
            for _ in range(SAID_BEFORE):
                models[name].inference(TEXT, "en", *voice, max_new_tokens=count)
            peaks[name] = (torch.cuda.max_memory_allocated() - before) >> 20
    return models, peaks, voice


def bench_decode(
    folder: Path, rounds: int, count: int, *, variants: list[str], acts: list[str], device: str
) -> dict[str, Any]:
    """Tokens per second of each variant, whole `inference()`, first chunk; cost in accuracy."""
    import torch

    synchronise = functools.partial(target("machine").synchronise, device)
    models, peaks, voice = loaded(folder, variants, count, device)
    some = models[variants[0]]
    variants = list(models)
    ids = torch.tensor([some.tokenizer.encode(TEXT.lower(), lang="en")], dtype=torch.int32)
    ids = ids.to(device)

    def decode(model: Any, tokens: int = count) -> Any:
        with torch.inference_mode():
            return model.gpt.generate(
                cond_latents=voice[0], text_inputs=ids, do_sample=False, num_beams=1,
                repetition_penalty=PENALTY, max_new_tokens=tokens,
            )  # fmt: skip

    def first_token(model: Any) -> Any:
        return decode(model, 1)

    def whole(model: Any) -> Any:
        torch.manual_seed(1)
        return model.inference(TEXT, "en", *voice, max_new_tokens=count)

    def first_chunk(model: Any) -> Any:
        torch.manual_seed(1)
        stream = model.inference_stream(TEXT, "en", *voice, stream_chunk_size=STREAM_CHUNK)
        chunk = next(stream).cpu()
        stream.close()
        return chunk

    def book(model: Any) -> Any:
        """As many sentences at once as a book is read with; stock says them one after the other."""
        torch.manual_seed(1)
        if model.xcompat is None:
            one = functools.partial(model.inference, TEXT, "en", *voice, max_new_tokens=count)
            return [one() for _ in range(ONE_BY_ONE)]
        say = target("speaking").speak
        return list(
            say(model, [TEXT] * BOOK, "en", *voice, together=BOOK, seed=1, max_new_tokens=count)
        )

    def stream(model: Any) -> Any:
        with torch.inference_mode():
            return model.gpt.get_generator(
                fake_inputs=model.gpt.compute_embeddings(voice[0], ids), do_sample=True, top_k=1,
                top_p=1.0, temperature=1.0, num_beams=1, num_return_sequences=1,
                length_penalty=1.0, repetition_penalty=PENALTY, output_attentions=False,
                output_hidden_states=True, return_dict_in_generate=True,
            )  # fmt: skip

    by_turns = turns(stream, models, rounds, count, synchronise) if "tokens" in acts else {}
    seconds = {
        what: timed(act, models, rounds, synchronise)
        for what, act in (
            ("decode", decode),
            ("first-token", first_token),
            ("inference", whole),
            ("first-chunk", first_chunk),
            ("book", book),
        )
        if what in acts
    }
    for name, times in seconds.get("book", {}).items():  # of one sentence
        times[:] = [each / (ONE_BY_ONE if name == "stock" else BOOK) for each in times]
    speaks = {"inference", "book"} & set(acts)
    speech = whole(some)["wav"].shape[0] / 24000 if speaks else 0.0
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": target("machine").device_name(device),
        "memory of all together": target("machine").peak_memory(device),
        "MiB of the device at most, loaded and speaking": peaks,
        "times real time, sentences at once": {
            name: round(speech / statistics.median(times), 1)
            for name, times in seconds.get("book", {}).items()
        },
        "tokens": count,
        "milliseconds per streamed token, by turns": {
            name: {
                "median": round(statistics.median(times) * 1e3, 1),
                "lower quartile": round(statistics.quantiles(times)[0] * 1e3, 1),
                "stock / variant, median of the turns": median(
                    a / b for a, b in zip(by_turns[variants[0]], times)
                ),
                "GB of weights per second": round(
                    target("measuring").weights_read(models[name], name)
                    / statistics.median(times)
                    / 1e9,
                    1,
                ),
            }
            for name, times in by_turns.items()
        },
        "prefix": voice[0].shape[1] + ids.shape[1] + 2,
        "tokens per second": {
            name: round(count / statistics.median(times), 2)
            for name, times in seconds.get("decode", {}).items()
        },
        "tokens per second after the first": {
            name: round((count - 1) / statistics.median(a - b for a, b in zip(times, first)), 2)
            for (name, times), first in zip(
                seconds.get("decode", {}).items(), seconds.get("first-token", {}).values()
            )
        },
        "seconds": {
            what: {name: [round(t, 2) for t in times] for name, times in measured.items()}
            for what, measured in seconds.items()
        },
        "real-time factor of inference": {
            name: round(statistics.median(times) / speech, 2)
            for name, times in seconds.get("inference", {}).items()
        },
        "stock / variant": {
            what: {
                name: median(a / b for a, b in zip(measured[variants[0]], times))
                for name, times in measured.items()
            }
            for what, measured in seconds.items()
        },
        "stock / variant, CPU seconds": {
            what: {
                name: median(a / b for a, b in zip(CPU_SECONDS[what, variants[0]], times))
                for (did, name), times in CPU_SECONDS.items()
                if did == what
            }
            for what in sorted({did for did, _ in CPU_SECONDS})
        },
        "kernel of a single row": {
            name: model.xcompat.decoder.kernel for name, model in models.items() if model.xcompat
        },
        "host synchronisations per token": {
            name: synchronisations(lambda tokens, model=model: decode(model, tokens))
            for name, model in models.items()
            if device == "cpu"  # a mode that looks at each operator sees none of a graph
        },
        "accuracy": accuracy(models, voice, ids, decode) if "float32" in models else {},
        "bytes read per token": bandwidth(models, seconds.get("decode", {}), count, device),
    }


def turns(
    stream: Callable[[Any], Any],
    models: dict[str, Any],
    rounds: int,
    count: int,
    synchronise: Callable[[], None],
) -> dict[str, list[float]]:
    """Seconds of each token but the first two, the models taking turns at each token.

    What else the machine does then meets all of them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        streams = {name: stream(model) for name, model in models.items()}
        for index in range(count):
            for name in list(streams)[:: 1 if index % 2 else -1]:
                started, cpu = time.perf_counter(), time.process_time()
                next(streams[name])
                synchronise()
                if index > 1:
                    seconds[name].append(time.perf_counter() - started)
                    cpu = time.process_time() - cpu
                    CPU_SECONDS.setdefault(("token, by turns", name), []).append(cpu)
        for opened in streams.values():
            opened.close()
        told = {name: round(statistics.median(times), 4) for name, times in seconds.items()}
        print(f"seconds per token: {told}", file=sys.stderr, flush=True)
    return seconds


def timed(
    act: Callable[[Any], Any],
    models: dict[str, Any],
    rounds: int,
    synchronise: Callable[[], None],
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for index in range(rounds + 1):
        order = list(models) if index % 2 else list(models)[::-1]
        for name in order:
            started, cpu = time.perf_counter(), time.process_time()
            act(models[name])
            synchronise()
            wall = time.perf_counter() - started
            print(
                f"{act.__name__}, round {index}, {name}: {wall:.2f} s", file=sys.stderr, flush=True
            )
            if index:  # the first round is cold
                seconds[name].append(wall)
                CPU_SECONDS.setdefault((act.__name__, name), []).append(time.process_time() - cpu)
    return seconds


def bandwidth(
    models: dict[str, Any], seconds: dict[str, list[float]], count: int, device: str
) -> dict[str, Any]:
    """What limits a decode: every weight of the blocks is read once for each token."""
    measuring = target("measuring")
    speed = measuring.memory_speed(device)
    read = {name: measuring.weights_read(model, name) for name, model in models.items()}
    return {
        "weights of a token": read,
        "GB per second that sum() reads": round(speed["sum"] / 1e9, 1),
        "GB per second that a copy reads and writes": round(speed["copy"] / 1e9, 1),
        "GB per second of weights": {
            name: round(read[name] * count / statistics.median(times) / 1e9, 1)
            for name, times in seconds.items()
        },
    }


def synchronisations(decode: Callable[[int], Any]) -> float:
    """Count what waits for the device, per token: scalars that Python reads, copies to the host."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Waits(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.count += func.overloadpacket.__name__ in WAITING
            return func(*args, **(kwargs or {}))

    counts = []
    for tokens in (4, 12):
        with Waits() as waits:
            decode(tokens)
        counts.append(waits.count)
    return (counts[1] - counts[0]) / 8


def accuracy(models: dict[str, Any], voice: Any, ids: Any, decode: Any) -> dict[str, Any]:
    """Compare with float32 on the same weights: logits, forced latents, the sound they make."""
    import torch
    import torchaudio

    exact = models["float32"]
    codes = decode(exact)
    mel = torchaudio.transforms.MelSpectrogram(24000, n_fft=1024, hop_length=256, n_mels=80)
    mel = mel.to(voice[0].device)

    def measure(model: Any) -> tuple[Any, Any, Any]:
        decoder = model.xcompat.decoder
        with torch.inference_mode():
            latents = decoder.latents(decoder.prefix(voice[0], ids), codes, one_by_one=True)
            wav = model.hifigan_decoder(latents, g=voice[1]).reshape(-1)
            logits = model.gpt.mel_head(latents[0])[:, :-1]
            return logits, latents, torch.log(mel(wav).clamp(min=1e-5))

    logits, latents, sound = measure(exact)
    result = {}
    for name, model in models.items():
        if name in ("stock", "float32"):
            continue
        rough = measure(model)
        same = (rough[0].argmax(-1) == logits.argmax(-1)).float().mean()
        relative = (rough[1] - latents).norm() / latents.norm()
        first = (rough[0][0] - logits[0]).abs().max() / (logits[0].max() - logits[0].min())
        result[name] = {
            "first-token logits, largest error / range": f"{float(first):.1e}",
            "forced tokens with the same argmax": f"{float(same):.3f}",
            "forced latents, relative error": f"{float(relative):.1e}",
            "log-mel distance (nepers, mean)": f"{float((rough[2] - sound).abs().mean()):.3f}",
            "greedy prefix equal to float32": common_prefix(codes[0], decode(model)[0]),
        }
    return result


def common_prefix(left: Any, right: Any) -> int:
    for index, (a, b) in enumerate(zip(left.tolist(), right.tolist())):
        if a != b:
            return index
    return min(len(left), len(right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("load", "load-once", "decode"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--original", type=Path, help="what stock loads; FOLDER if not given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--threads", type=int, help="of torch; all cores if not given")
    parser.add_argument("--device", default="cpu", help="for `decode`: cpu, cuda or mps")
    parser.add_argument("--loader", choices=LOADERS, default="stock")
    parser.add_argument("--variants", default="stock,float32,bfloat16,int8")
    parser.add_argument("--acts", default="tokens,decode,first-token,inference,first-chunk")
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # TTS prints as it works
        if options.what == "load-once":
            result = load_once(options.folder, options.loader)
        elif options.what == "load":
            result = bench_load(options.folder, options.original or options.folder, options.rounds)
        else:
            import torch

            torch.set_num_threads(options.threads or torch.get_num_threads())
            result = bench_decode(
                options.folder,
                options.rounds,
                options.tokens,
                variants=options.variants.split(","),
                acts=options.acts.split(","),
                device=options.device,
            )
    result["load average"] = os.getloadavg()[0]
    print(json.dumps(result, indent=None if options.what == "load-once" else 1))


if __name__ == "__main__":
    main()
