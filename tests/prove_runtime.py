"""Prove the runtime in the interpreter that runs this: `python -I prove_runtime.py FOLDER`.

FOLDER holds the tiny release checkpoint, converted with `--format both`; names of proofs may
follow. Prints one line per proof and exits 1 if one fails. `nox -s runtime` runs it in several
environments; it needs torch and TTS, and nothing else of this repository than `compat/target`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import importlib.util
import inspect
import itertools
import logging
import os
import random
import sys
import tempfile
import time
import traceback
import types
import warnings
import weakref
from pathlib import Path
from typing import Any, Callable, Iterator

TEXTS = ("Good morning to all of you.", "It took me quite a long time to develop a voice.")
PENALTY = 5.0
TOKENS = 40
SEEDS = 3
WAITS = ("_local_scalar_dense", "is_nonzero", "nonzero", "item", "equal")
"""Operators by which the host learns what is on a device, and so waits for it."""
TOLERANCE = 1e-5
"""Largest difference of latents, of magnitude 1, that counts as equal (issue 7)."""

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ["HF_HUB_OFFLINE"] = "1"


def load_target() -> None:
    folder = Path(__file__).resolve().parents[1] / "compat" / "target"
    spec = importlib.util.spec_from_file_location(
        "xcompat_target", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["xcompat_target"] = package
    spec.loader.exec_module(package)


load_target()

from xcompat_target import (  # type: ignore[import-not-found]
    decode,
    graphs,
    imports,
    languages,
    loader,
    options,
    products,
    reading,
    reference,
    runtime,
    signature,
    sound,
    speaking,
    texts,
    trials,
    vocoder,
    weights,
)

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


torch.set_num_threads(1)  # the model is tiny, and other work on the machine slows two the more


class Failed(Exception):  # noqa: N818
    pass


def expect(holds: object, what: str) -> None:
    if not holds:
        raise Failed(what)


@contextlib.contextmanager
def without_numba() -> Iterator[None]:
    """As where numba cannot be imported."""
    name = f"{runtime.__package__}.compiled"
    package, module = sys.modules[runtime.__package__], sys.modules.pop(name)
    del package.compiled
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules[name] = package.compiled = module


def expect_no_call(path: Any) -> Any:
    raise Failed(f"soundfile left {path} to torchaudio")


def torch_version() -> tuple[int, ...]:
    return tuple(int(part) for part in torch.__version__.split(".")[:2])


def bystanders() -> dict[str, Any]:
    """What another user of torch, transformers, torchaudio and TTS in this process meets."""
    import torchaudio
    import transformers

    seen: dict[str, Any] = {
        "hooks": [f for f in sys.meta_path if "xcompat" in type(f).__module__],
        "torch.nn.init": dict(vars(torch.nn.init)),
        "Tensor": (torch.Tensor.normal_, torch.Tensor.uniform_, torch.nn.Module.__call__),
        "torchaudio": (torchaudio.load, torchaudio.save, torchaudio.functional.resample),
        "PreTrainedModel": dict(vars(transformers.PreTrainedModel)),
        "names": {n: hasattr(transformers, n) for n in ("BeamSearchScorer", "LogitsWarper")},
        "isin": hasattr(sys.modules.get("transformers.pytorch_utils"), "isin_mps_friendly"),
        "gpt2": hugging_face_gpt2(),
        "vits": outcome(vits),
        "xtts": outcome(lambda: importlib.import_module("TTS.tts.models.xtts").__name__),
    }
    return seen


def hugging_face_gpt2() -> list[int]:
    import transformers

    torch.manual_seed(3)
    config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=50, n_positions=64)
    model = transformers.GPT2LMHeadModel(config).eval()
    prompt = torch.tensor([[3, 1, 4, 1, 5]])
    mask = torch.ones_like(prompt)
    out = model.generate(
        prompt, attention_mask=mask, do_sample=True, max_new_tokens=12, pad_token_id=0
    )
    return list(map(int, out[0]))


def vits() -> float:
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models.vits import Vits

    torch.manual_seed(4)
    model = Vits.init_from_config(VitsConfig())
    model.eval()
    with torch.no_grad():
        out = model.inference(torch.tensor([[5, 9, 12, 7, 3, 8]]))
    return float(out["model_outputs"].double().abs().sum())


def outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class Proofs:
    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder = folder
        self.scratch = scratch
        self.ours = loader.load_xtts(folder, runtime="xcompat")
        with imports.importing_tts() as filled:
            from TTS.tts.layers.xtts.gpt import GPT
        self.stood_in = list(filled)
        self.fault = "no import" if filled else trials.stock_fault(GPT)
        self.stock = None if self.fault else loader.load_xtts(folder, runtime="stock")
        self.voices = [tuple(v.values()) for v in self.ours.speaker_manager.speakers.values()]

    def facts(self) -> str:
        """What stock cannot do here, and what `auto` makes of it."""
        auto = loader.load_xtts(self.folder)
        expected = bool(self.fault or trials.reading_fault())
        expect((auto.xcompat is not None) == expected, "auto chose wrongly")
        return (
            f"stock: {self.fault[:90] or 'works'}; reads audio: "
            f"{trials.reading_fault()[:60] or 'yes'}; stood in for {len(self.stood_in)}"
        )

    def weights(self) -> str:
        """Every weight is the one that the maker wrote."""
        loaded = {
            n: t
            for n, t in self.ours.state_dict().items()
            if not n.startswith(("gpt.gpt_inference.", "gpt.gpt.wte."))
        }
        made = {name: torch.empty_like(t) for name, t in loaded.items()}
        weights.fill_state_dict(made)
        wrong = [n for n, t in loaded.items() if not torch.equal(t, made[n])]
        expect(not wrong, f"{len(wrong)} differ, first {wrong[:1]}")
        return f"{len(loaded)} tensors equal"

    def greedy(self) -> str:
        """Greedy tokens, whole and streamed, are those of the independent decode."""
        margin = float("inf")
        seen = set()
        for voice in (self.voices[0], self.voices[-1]):
            for text in TEXTS:
                tokens = self.tokens(text)
                codes = self.codes(self.ours, voice, text, repetition_penalty=PENALTY)[0].tolist()
                check = reference.check_greedy(self.ours, voice[0], tokens, codes, PENALTY)
                expect(check.mismatch is None, f"token {check.mismatch} is wrong")
                streamed = self.streamed(self.ours, voice, text, do_sample=False)
                whole = hasattr(self.ours.gpt, "max_gen_mel_tokens")
                # TTS up to 0.20.3 counts the prefix too, so this stream ends earlier.
                shared = len(codes) if whole else min(len(codes), len(streamed))
                expect(shared > 0, "nothing was streamed")
                expect(streamed[:shared] == codes[:shared], "streaming gives other tokens")
                margin = min(margin, check.margin)
                seen.add(tuple(codes))
        expect(len(seen) == 4, "text or voice does not matter")
        return f"4 sequences, margin {margin:.4f}"

    def second_pass(self) -> str:
        """Latents kept from the decode are those of TTS's own pass over the whole GPT."""
        gpt, voice = self.ours.gpt, self.voices[0][0]
        tokens = self.tokens(TEXTS[0])
        with torch.inference_mode():
            codes = self.codes(self.ours, self.voices[0], TEXTS[0], repetition_penalty=PENALTY)
            arguments = (
                tokens,
                torch.tensor([tokens.shape[-1]]),
                codes,
                torch.tensor([codes.shape[-1] * gpt.code_stride_len]),
            )
            kwargs = {"cond_latents": voice, "return_attentions": False, "return_latent": True}
            theirs = type(gpt).forward(gpt, *arguments, **kwargs)
            again = gpt(arguments[0], arguments[1], codes.clone(), arguments[3], **kwargs)
            self.ours.xcompat._last = None
            whole = gpt(*arguments, **kwargs)
        worst = max(float((theirs - mine).abs().max()) for mine in (again, whole))
        expect(worst <= TOLERANCE, f"latents differ by {worst:.1e}")
        return f"latents differ by {worst:.1e}"

    def sampling(self) -> str:
        """With the same seed, the same tokens as stock, and the random state left the same."""
        if self.stock is None:
            return "not compared: stock does not work here"
        settings: list[dict[str, Any]] = [
            {"temperature": 0.75, "top_k": 50, "top_p": 0.85, "repetition_penalty": 10.0},
            {"temperature": 1.3, "top_k": 0, "top_p": 0.5},
            {"top_k": 5, "repetition_penalty": 2.0, "max_new_tokens": 20},
            {"num_return_sequences": 3},
            {},
        ]
        count = 0
        for seed in range(SEEDS):
            for setting in settings:
                pair = []
                for model in (self.ours, self.stock):
                    torch.manual_seed(seed)
                    codes = self.codes(
                        model, self.voices[seed], TEXTS[1], do_sample=True, **setting
                    )
                    pair.append((codes, torch.get_rng_state()))
                expect(torch.equal(pair[0][0], pair[1][0]), f"seed {seed}, {setting}: other tokens")
                expect(torch.equal(pair[0][1], pair[1][1]), f"seed {seed}, {setting}: random state")
                count += 1
            streams = []
            for model in (self.ours, self.stock):
                torch.manual_seed(seed)
                streams.append(self.streamed(model, self.voices[seed], TEXTS[1]))
            expect(streams[0] == streams[1], f"seed {seed}: other streamed tokens")
        times = trials.stream_warpings(type(self.ours.gpt))
        return (
            f"{count} decodes and {SEEDS} streams equal stock, which warps a stream {times} times"
        )

    def batch(self) -> str:
        """A batch decodes as its members do, one by one."""
        tokens = self.tokens(TEXTS[0]).expand(2, -1)
        voices = torch.cat([self.voices[0][0], self.voices[1][0]])
        with torch.inference_mode():
            both = self.ours.gpt.generate(
                cond_latents=voices, text_inputs=tokens, repetition_penalty=PENALTY,
                max_new_tokens=TOKENS,
            )  # fmt: skip
        for row in range(2):
            alone = self.codes(self.ours, self.voices[row], TEXTS[0], repetition_penalty=PENALTY)[0]
            expect(torch.equal(both[row, : len(alone)], alone), f"row {row} differs")
        return "2 of 2 rows equal"

    def speech(self) -> str:
        """Whole `inference` and `inference_stream`: same latents and sound as stock."""
        worst = 0.0
        long = " ".join(TEXTS * 2)
        calls: list[tuple[str, str, dict[str, Any]]] = [
            ("plain", TEXTS[1], {}),
            ("half as fast and greedy", TEXTS[0], {"speed": 0.5, "do_sample": False}),
            ("twice as fast", TEXTS[0], {"speed": 2.0}),
            ("three tokens", TEXTS[0], {"max_new_tokens": 3}),
        ]
        known = inspect.signature(type(self.ours).inference).parameters
        if "speed" not in known:  # TTS up to 0.20.3
            calls = [call for call in calls if "speed" not in call[2]]
        spacy = outcome(lambda: importlib.import_module("spacy"))
        # Splitting needs it in every TTS that splits.
        if isinstance(spacy, types.ModuleType) and "enable_text_splitting" in known:
            calls.append(("split", long, {"enable_text_splitting": True}))
        for name, text, kwargs in calls:
            outs = []
            for model in (self.ours, self.stock):
                if model is not None:
                    torch.manual_seed(9)
                    options = {"max_new_tokens": TOKENS, **kwargs}
                    outs.append(model.inference(text, "en", *self.voices[2], **options))
            expect(all(torch.isfinite(torch.from_numpy(o["wav"])).all() for o in outs), name)
            if len(outs) == 2:
                expect(outs[0]["wav"].shape == outs[1]["wav"].shape, f"{name}: other length")
                for part in ("gpt_latents", "wav"):
                    worst = max(worst, float(abs(outs[0][part] - outs[1][part]).max()))
        expect(worst <= TOLERANCE, f"differs from stock by {worst:.1e}")
        compared = "equal to stock within" if self.stock is not None else "not compared;"
        return f"{', '.join(call[0] for call in calls)}: {compared} {worst:.1e}"

    def chunks(self) -> str:
        """`inference_stream` in small and large chunks gives stock's chunks."""
        worst = 0.0
        for size in (1, 20, 200):
            streams = []
            for model in (self.ours, self.stock):
                if model is not None:
                    torch.manual_seed(9)
                    stream = model.inference_stream(
                        TEXTS[0], "en", *self.voices[2], stream_chunk_size=size
                    )
                    # Not by max_new_tokens: stock coqui-tts 0.24 raises, it sets max_length itself.
                    streams.append(list(itertools.islice(stream, 2)))
            expect(all(torch.isfinite(part).all() for part in streams[0]), f"by {size}")
            if len(streams) == 2:
                lengths = [[len(part) for part in parts] for parts in streams]
                expect(lengths[0] == lengths[1], f"by {size}: {lengths}")
                mine, theirs = (torch.cat(parts) for parts in streams)  # a part can be empty
                worst = max(worst, float((mine - theirs).abs().max()))
        expect(worst <= TOLERANCE, f"differs from stock by {worst:.1e}")
        return f"of 1, 20 and 200 tokens; {'equal to' if self.stock else 'no'} stock, {worst:.1e}"

    def odd_texts(self) -> str:
        """No text and too much text end as in stock."""
        said = {}
        for text in ("", TEXTS[0] * 60):
            ends = [
                outcome(functools.partial(self.samples, model, text))
                for model in (self.ours, self.stock)
                if model is not None
            ]
            expect(len(set(ends)) == 1, f"{text[:20]!r}: {ends}")
            said[len(text)] = str(ends[0])[:60]
        return f"{said}{'' if self.stock else '; not compared'}"

    def languages(self) -> str:
        """Each language ends as in stock: the same tokens, or the same missing package."""
        spoken = 0
        for language, text in languages.SENTENCES.items():
            ends = [
                outcome(functools.partial(self.spoken, model, text, language))
                for model in (self.ours, self.stock)
                if model is not None
            ]
            expect(all(end == ends[0] for end in ends), f"{language}: {ends}")
            spoken += isinstance(ends[0], int)
        expect(spoken, "no language speaks")
        compared = "as stock" if self.stock is not None else "not compared"
        return (
            f"{spoken} of {len(languages.SENTENCES)} speak, the others lack a package; {compared}"
        )

    def spoken(self, model: Any, text: str, language: str) -> int:
        torch.manual_seed(11)
        return len(model.inference(text, language, *self.voices[1], max_new_tokens=8)["wav"])

    def samples(self, model: Any, text: str) -> int:
        return len(model.inference(text, "en", *self.voices[2], do_sample=False)["wav"])

    def together(self) -> str:
        """Two models, two threads, a stream that is left and an error leave each other alone."""
        models = [self.ours, loader.load_xtts(self.folder, quantize="int8")]
        text, voice = TEXTS[1], self.voices[1]

        def decode(model: Any) -> list[int]:
            return list(self.codes(model, voice, text, repetition_penalty=PENALTY)[0].tolist())

        alone = [decode(model) for model in models]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            # Two of each kind would be one model in two threads, which stock does not bear either.
            both = [list(pool.map(decode, models)) for _ in range(4)]
        expect(all(pair == alone for pair in both), "threads give other tokens")
        streams = [m.inference_stream(text, "en", *voice, stream_chunk_size=5) for m in models]
        for _ in range(2):
            for stream in streams:
                next(stream)
        expect([decode(model) for model in models] == alone, "an open stream changes a decode")
        for stream in streams:
            stream.close()
        head = self.ours.gpt.mel_head
        handle = head.register_forward_hook(self.breaking())
        with contextlib.suppress(KeyError):
            decode(self.ours)
            raise Failed("the error was swallowed")
        handle.remove()
        expect([decode(model) for model in models] == alone, "an error changes the next decode")
        return "2 models in 2 threads, interleaved streams, 1 error: tokens as alone"

    def breaking(self) -> Callable[..., None]:
        calls = itertools.count()

        def hook(*_: Any) -> None:
            if next(calls) == 5:
                raise KeyError("planted")

        return hook

    def clone(self) -> str:
        """Reference audio read through soundfile gives the voice that stock reading gives."""
        import soundfile

        hum = sound.hum()
        stereo = torch.stack([torch.tensor(hum), torch.tensor(hum).roll(40)], dim=1).numpy()
        files = []
        for name, samples, rate, subtype in (
            ("pcm16.wav", hum, 22050, "PCM_16"),
            ("pcm24.wav", stereo, 44100, "PCM_24"),
            ("float.wav", hum, 16000, "FLOAT"),
            ("stereo.flac", stereo, 48000, "PCM_16"),
        ):
            files.append(str(self.scratch / name))
            soundfile.write(files[-1], samples, rate, subtype=subtype)
        voices = [self.ours.get_conditioning_latents(audio_path=[file]) for file in files]
        voices.append(self.ours.get_conditioning_latents(audio_path=files, gpt_cond_len=12))
        expect(all(torch.isfinite(p).all() for v in voices for p in v), "not finite")
        with contextlib.suppress(FileNotFoundError):
            self.ours.get_conditioning_latents(audio_path=str(self.scratch / "no.wav"))
            raise Failed("a missing file was not refused")
        (self.scratch / "noise.wav").write_bytes(random.Random(1).randbytes(4000))
        try:
            self.ours.get_conditioning_latents(audio_path=str(self.scratch / "noise.wav"))
        except OSError as error:
            expect("soundfile says" in str(error), f"unclear refusal: {error}")
        else:
            raise Failed("noise was read as audio")
        lossy = self.lossy(hum)
        if trials.reading_fault():
            return f"{len(files)} formats, {lossy}; stock reads nothing here"
        stock = type(self.ours).get_conditioning_latents
        theirs = [stock(self.ours, audio_path=[file]) for file in files]
        theirs.append(stock(self.ours, audio_path=files, gpt_cond_len=12))
        for file, mine, other in zip((*files, "all"), voices, theirs):
            same = all(torch.equal(a, b) for a, b in zip(mine, other))
            expect(same, f"{Path(file).name}: another voice than stock reads")
        return f"{len(files)} formats equal to stock, bit for bit; {lossy}"

    def lossy(self, hum: Any) -> str:
        """MP3 and OGG: the samples are the sound that was written, the voice near that of stock."""
        import soundfile

        said = []
        for name, form in (("MP3", {}), ("OGG", {"subtype": "VORBIS"})):
            file = str(self.scratch / f"hum.{name.lower()}")
            soundfile.write(file, hum, 22050, format=name, **form)
            (samples,), _ = reading.read_audio(file, otherwise=expect_no_call)
            written = torch.tensor(hum)
            count = min(len(samples), len(written))
            alike = torch.nn.functional.cosine_similarity(samples[:count], written[:count], dim=0)
            expect(alike > 0.99, f"{name}: read as something else, {float(alike):.3f} alike")
            mine = self.ours.get_conditioning_latents(audio_path=[file])
            expect(all(torch.isfinite(part).all() for part in mine), f"{name}: not finite")
            try:
                theirs = type(self.ours).get_conditioning_latents(self.ours, audio_path=[file])
            except Exception as error:
                said.append(f"{name} read, by stock not ({type(error).__name__})")
                continue
            apart = max(float((a - b).norm() / b.norm()) for a, b in zip(mine, theirs))
            expect(apart < 1e-2, f"{name}: another voice than stock reads, {apart:.1e} apart")
            said.append(f"{name} {apart:.1e} from stock")
        return ", ".join(said)

    def by_stock(self) -> str:
        """What the decoder does not do, stock does where it can; beams are never an exception."""
        settings: list[dict[str, Any]] = [
            {"num_beams": 3, "do_sample": False, "repetition_penalty": PENALTY},
            {"num_beams": 2, "do_sample": True, "length_penalty": 2.0},
            {"do_sample": False, "no_repeat_ngram_size": 2},
        ]
        if self.stock is None:
            model = loader.load_xtts(self.folder, runtime="xcompat")
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                out = model.inference(TEXTS[0], "en", *self.voices[0], num_beams=2, top_k=1)
            expect(any("num_beams=2" in str(each.message) for each in said), "it was not said")
            return f"one beam, and a warning: {len(out['wav'])} samples"
        model = loader.load_xtts(self.folder, runtime="xcompat")
        compared = 0
        for setting in settings:
            pair = []
            for each in (self.stock, model):
                torch.manual_seed(5)
                options = {"max_new_tokens": 12, **setting}
                say = functools.partial(each.inference, TEXTS[0], "en", *self.voices[0], **options)
                pair.append(outcome(say))
            if isinstance(pair[0], str):  # transformers 4.57 has no beams for this GPT
                done = isinstance(pair[1], dict) or "num_beams" not in setting
                expect(done, f"{setting}: {pair[1]}")
                continue
            expect(isinstance(pair[1], dict), f"{setting}: {pair[1]}")
            theirs, mine = (each["wav"] for each in pair)
            expect(mine.shape == theirs.shape, f"{setting}: another length than stock")
            worst = float(abs(mine - theirs).max())
            expect(worst <= TOLERANCE, f"{setting}: {worst:.1e} from stock")
            compared += 1
        alone = self.codes(self.ours, self.voices[0], TEXTS[0], repetition_penalty=PENALTY)
        after = self.codes(model, self.voices[0], TEXTS[0], repetition_penalty=PENALTY)
        expect(torch.equal(alone, after), "other tokens after stock was asked")
        return f"{compared} of {len(settings)} settings equal to stock, which raises in the others"

    def fixed_shapes(self) -> str:
        """The step of fixed shapes, its host looking seldom: same tokens, same random state."""
        gpt, head = self.ours.gpt, self.ours.gpt.mel_head
        bias = head.bias.detach().clone()
        settings: list[dict[str, Any]] = [
            {"repetition_penalty": PENALTY},
            {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "repetition_penalty": 2.0},
            {"do_sample": True, "num_return_sequences": 3},
        ]
        compared, ended = 0, set()
        try:
            for more in (0.0, 2.0, 4.0):
                with torch.no_grad():
                    head.bias.copy_(bias)
                    head.bias[gpt.stop_audio_token] += more
                decoders = [decode.Decoder(gpt), *(decode.Decoder(gpt, policy=p) for p in FIXED)]
                for seed, setting in enumerate(settings * 2):
                    runs = [self.run(each, seed, setting) for each in decoders]
                    for tokens, latents, state in runs[1:]:
                        expect(torch.equal(tokens, runs[0][0]), f"{setting}: other tokens")
                        expect(torch.equal(state, runs[0][2]), f"{setting}: other random state")
                        worst = float((latents - runs[0][1]).abs().max())
                        expect(worst <= TOLERANCE, f"{setting}: latents differ by {worst:.1e}")
                    ended.add(runs[0][0].shape[1])
                    compared += 1
        finally:
            with torch.no_grad():
                head.bias.copy_(bias)
        expect(min(ended) < TOKENS, "nothing ended early")
        return f"{compared} decodes of {min(ended)} to {max(ended)} tokens, 3 ways to look"

    def run(self, decoder: Any, seed: int, setting: dict[str, Any]) -> tuple[Any, Any, Any]:
        torch.manual_seed(seed)
        with torch.inference_mode():
            prefix = decoder.prefix(self.voices[seed % 2][0], self.tokens(TEXTS[seed % 2]))
            parts = list(decoder.steps(prefix, options.Options(TOKENS, **setting)))
            tokens, latents = (torch.stack(each, dim=1) for each in zip(*parts))
        return tokens, latents, torch.get_rng_state()

    def capture_rules(self) -> str:
        """Steps of fixed shape read nothing on the host and call the same on the same shapes."""
        decoder = decode.Decoder(self.ours.gpt, policy=decode.Policy(window=64, fixed=True))
        chosen = options.Options(
            TOKENS, do_sample=True, temperature=0.8, top_p=0.9, repetition_penalty=2.0
        )
        calls: list[list[str]] = []
        advance = decoder._advance

        def advanced(*args: Any) -> None:
            with Calls() as seen:
                advance(*args)
            calls.append(seen.made)

        decoder._advance = advanced
        with torch.inference_mode():
            prefix = decoder.prefix(self.voices[0][0], self.tokens(TEXTS[0]))
            list(decoder.steps(prefix, chosen))
        names = {call.partition(" ")[0] for step in calls for call in step}
        waits = names & set(WAITS)
        expect(not waits, f"a step waits for the device: {waits}")
        kinds = {tuple(step) for step in calls}
        expect(len(calls) == TOKENS - 1, f"{len(calls)} steps")
        expect(len(kinds) <= 2, f"{len(kinds)} kinds of steps")
        return f"{len(calls)} steps of {len(calls[0])} calls, of {len(kinds)} kinds"

    def graphs(self) -> str:
        """With a stand-in for CUDA: each step is recorded once, replayed, and given up in words."""
        decoder = decode.Decoder(self.ours.gpt, policy=decode.ON_DEVICE)
        told = []
        for fault in (None, "capture"):
            cuda = RecordedCuda(fault)
            decoder.replayer = graphs.Replayer(cuda)
            for _ in range(2):
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    tokens = self.run(decoder, 1, {"repetition_penalty": PENALTY})[0]
                expected = self.run(self.ours.xcompat.decoder, 1, {"repetition_penalty": PENALTY})
                expect(torch.equal(tokens, expected[0]), f"{fault}: other tokens")
                told += [str(each.message) for each in said]
            if fault is None:
                # Of the second decode the first pass, too.
                expect(cuda.replays == 2 * (TOKENS - 1) + 1, f"{cuda.replays} replays")
                expect(cuda.captured <= 4, f"{cuda.captured} graphs")
                expect(decoder.kernel.endswith("in a CUDA graph"), decoder.kernel)
                expect(not told, f"{told}")
                first = (cuda.captured, cuda.replays)
        expect(len(told) == 1, f"said {len(told)} times")
        expect("planted" in told[0], told[0])
        expect("no CUDA graph: RuntimeError: planted" in decoder.kernel, decoder.kernel)
        cuda = RecordedCuda(None)
        decoder.replayer = graphs.Replayer(cuda)
        for tokens in (self.tokens("No."), self.tokens(TEXTS[1]).repeat(1, 12)):
            self.same_codes(decoder, tokens)
        expect(not decoder.replayer.fault, f"buffers that grow: {decoder.replayer.fault}")
        # Buffers of two sizes are kept; for several rows those do that have room for more. What
        # comes again has its first pass recorded.
        for rows, graph in ((2, 1), (3, 1), (1, 1), (3, 1), (3, 0), (1, 1), (2, 0), (8, 1), (1, 0)):
            captured = cuda.captured
            self.same_codes(decoder, self.tokens("No.").expand(rows, -1))
            expect(cuda.captured - captured == graph, f"{rows} rows: {cuda.captured - captured}")
        entered: list[Any] = []
        kept = torch.cuda.device
        torch.cuda.device = lambda device: entered.append(device) or contextlib.nullcontext()
        try:
            with signature.plainly(torch.device("cuda", 1)):
                expect(entered == [torch.device("cuda", 1)], "the second card is not the current")
        finally:
            torch.cuda.device = kept
        return f"{first[0]} graphs, {first[1]} replays; a failure is said once"

    def sound_graphs(self) -> str:
        """With a stand-in for CUDA: a length met again is recorded; the sound is the ordinary."""
        module = self.small_vocoder()
        cuda, broken = RecordedCuda(None), RecordedCuda("capture")

        def on(card: RecordedCuda) -> Any:
            def replayer_for(_: Any, former: Any, does: str) -> Any:
                if former is not None:  # as where the device is a card
                    return graphs.replayer_for(torch.device("cuda"), former, does)
                return graphs.Replayer(card, does)

            return vocoder.Vocoder(module, replayer_for)

        ours, failing = on(cuda), on(broken)
        plain = vocoder.Vocoder(module)
        noise = torch.Generator().manual_seed(2)

        def compare(count: int, rows: int = 1, *, inference: bool = False) -> tuple[Any, Any]:
            latents = torch.randn(rows, count, 8, generator=noise)
            voice = torch.randn(1, 8, 1, generator=noise)
            with torch.inference_mode(mode=inference), torch.no_grad():
                wanted = plain(latents, g=voice)
                sounds = [each(latents, g=voice) for each in (ours, failing)]
            for sound_ in sounds:
                expect(torch.equal(sound_, wanted), f"{count} latents: another sound")
            return sounds[0], wanted

        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            kept, wanted = [compare(count) for count in (5, 7)][1]
            for index, count in enumerate((8, 3, 20, 24, 2, 130, 140, 5, 257, 300, 2)):
                compare(count, inference=bool(index % 2))
            expect((cuda.captured, cuda.replays) == (4, 7), f"{cuda.captured}, {cuda.replays}")
            expect(torch.equal(kept, wanted), "a sound is changed by the next")
            with torch.autocast("cpu", dtype=torch.bfloat16):
                expect(compare(6)[0].dtype == torch.float32, "autocast reaches the sound")
            compare(6, rows=2)
            compare(6, rows=2)
            expect((cuda.captured, cuda.replays) == (4, 8), f"{cuda.captured}, {cuda.replays}")
            expect(len(cuda.users) == 1, f"{len(cuda.users)} pools")
            weight = next(module.waveform_decoder.parameters())
            for captured in (4, 5):
                with torch.no_grad():
                    if captured == 4:
                        weight.mul_(1.5)
                compare(6)
                expect(cuda.captured == captured, f"{cuda.captured} graphs after a change")
        told = [str(each.message) for each in said]
        expect(len(told) == 2, f"said {told}")
        expect("speaks without CUDA graphs" in told[0] and "planted" in told[0], told[0])
        expect("more than 256 audio tokens" in told[1], told[1])
        expect(ours.kernel == "torch in a CUDA graph", ours.kernel)
        expect("no CUDA graph: RuntimeError: planted" in failing.kernel, failing.kernel)
        expect(plain.kernel == "torch", plain.kernel)
        return (
            f"{cuda.captured} graphs, {cuda.replays} replays, bit for bit; a failure is said once"
        )

    def same_codes(self, decoder: Any, tokens: Any) -> None:
        pair = []
        for each in (decoder, self.ours.xcompat.decoder):
            with torch.inference_mode():
                steps = each.steps(each.prefix(self.voices[0][0], tokens), options.Options(9))
                pair.append(torch.stack([token for token, _ in steps]))
        expect(torch.equal(*pair), f"text tokens {tuple(tokens.shape)}: other audio tokens")

    def small_vocoder(self) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return type(self.ours.hifigan_decoder)(
                decoder_input_dim=8, d_vector_dim=8, upsample_initial_channel_decoder=32
            ).eval()

    def sound_rules(self) -> str:
        """A sound that is recorded reads nothing on the host, and its shapes not where it ends."""
        net = vocoder._Net.of(self.small_vocoder().waveform_decoder)
        frames = torch.zeros(1, 8, 40)
        buffers = vocoder._Buffers(frames, torch.zeros(1, 8, 1), net)
        calls = []
        for count in (3, 37):
            buffers.fill(frames, torch.zeros(1, 8, 1), count)
            with torch.no_grad(), Calls() as seen:
                buffers.compute()
            calls.append(seen.made)
        names = {call.partition(" ")[0] for call in calls[0]}
        expect(not names & set(WAITS), f"the vocoder waits for the device: {names & set(WAITS)}")
        expect(calls[0] == calls[1], "shapes follow the end")
        return f"{len(calls[0])} calls, the same for each end"

    def sounds_at_once(self) -> str:
        """Sounds that are made at once are, in their order, what each is alone."""
        module = self.small_vocoder()
        plain, ours = vocoder.Vocoder(module), vocoder.Vocoder(module, at_once=48)
        noise = torch.Generator().manual_seed(2)
        latents = [torch.randn(n, 8, generator=noise) for n in (5, 8, 20, 3, 7, 6, 1, 2, 4, 23)]
        voice = torch.randn(1, 8, 1, generator=noise)
        wanted = [plain(one[None], g=voice) for one in latents]
        made: list[int] = []
        at_once = ours._at_once
        ours._at_once = lambda some, g: made.append(len(some)) or at_once(some, g)
        worst = 0.0
        for mine, theirs in zip(ours.each(latents, voice), wanted):
            expect(mine.shape == theirs.shape, f"{mine.shape}, alone {theirs.shape}")
            worst = max(worst, float((mine - theirs).abs().max()))
        expect(worst <= TOLERANCE, f"differs from alone by {worst:.1e}")
        expect(made == [6, 2, 2], f"{made} at once")
        one_by_one = list(plain.each(latents, voice))
        expect(all(map(torch.equal, one_by_one, wanted)), "the CPU makes them otherwise")
        return f"{len(latents)} sounds, {made} of them at once, within {worst:.1e}"

    def changes(self) -> str:
        """A weight that is set, written to, moved or converted is followed; autocast is not."""
        model = loader.load_xtts(self.folder, runtime="xcompat", quantize="int8")
        plain = loader.load_xtts(self.folder, runtime="xcompat")
        said = []
        for each in (plain, model):

            def codes(each: Any = each) -> list[int]:
                return list(
                    self.codes(each, self.voices[0], TEXTS[0], repetition_penalty=PENALTY)[0]
                )

            first = codes()
            layer = each.gpt.gpt.h[0].mlp.c_fc
            kept = layer.weight
            layer.weight = torch.nn.Parameter(torch.zeros_like(kept), requires_grad=False)
            expect(codes() != first, "a weight that was set is not used")
            layer.weight = kept
            expect(codes() == first, "a weight that was set back is not used")
            with torch.no_grad():
                was = layer.weight.clone()
                layer.weight.mul_(0)
                expect(codes() != first, "a weight that was written to is not used")
                layer.weight.copy_(was)
            for name, parameter in list(each.named_parameters()):
                owner, _, leaf = name.rpartition(".")
                setattr(each.get_submodule(owner), leaf, parameter)  # as apps do
            expect(codes() == first, "other tokens after parameters were set again")
            with torch.autocast("cpu", dtype=torch.bfloat16):
                expect(codes() == first, "autocast changes the tokens")
                out = each.inference(TEXTS[0], "en", *self.voices[0], max_new_tokens=5, top_k=1)
            expect(str(out["wav"].dtype) == "float32", f"{out['wav'].dtype} under autocast")
            expect(each.to("cpu") is each and codes() == first, "other tokens after .to")
        try:
            half = plain.half().inference(
                TEXTS[0], "en", *(part.half() for part in self.voices[0]), max_new_tokens=5
            )
            said.append(f"half: {half['wav'].dtype}")
        except Exception as error:
            said.append(f"half: {type(error).__name__}: {str(error)[:60]}")
        shown = inspect.signature(model.get_conditioning_latents)
        expected = inspect.signature(type(model).get_conditioning_latents)
        expect(list(shown.parameters) == list(expected.parameters)[1:], f"signature {shown}")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(2):
                model.gpt.init_gpt_for_inference(kv_cache=True, use_deepspeed=True)
        expect(len(told) == 1, f"deepspeed is said {len(told)} times")
        return "set, written, moved, autocast; " + ", ".join(said)

    def together_alone(self) -> str:
        """Texts decoded together sound as each does alone, in their order, when each has ended."""
        said = [TEXTS[0], "No.", " ".join(TEXTS), TEXTS[1], "It rains in the mountains."]
        gpt = self.ours.gpt
        bias = gpt.mel_head.bias.detach().clone()
        lengths, worst = set(), 0.0
        decoder = self.ours.xcompat.decoder
        taken: list[Any] = []

        def counted(*args: Any, **kwargs: Any) -> Any:
            for window in type(decoder).windows(decoder, *args, **kwargs):
                taken.append(window[0].shape[1])
                yield window

        decoder.windows = counted
        try:
            with torch.no_grad():
                gpt.mel_head.bias[gpt.stop_audio_token] += 4.0
            for setting in ({}, {"do_sample": False, "repetition_penalty": PENALTY, "speed": 0.9}):
                options = {"max_new_tokens": 24, **setting}
                self.ours.xcompat.vocoder._wanted_at_once = 512 if setting else None
                alone = []
                for index, text in enumerate(said):
                    torch.manual_seed(7 + index)
                    alone.append(self.ours.inference(text, "en", *self.voices[1], **options))
                spoken = speaking.speak(
                    self.ours, iter(said), "en", *self.voices[1], together=3, seed=7, **options
                )
                taken.clear()
                for number, (mine, theirs) in enumerate(zip(spoken, alone)):
                    shapes = mine["gpt_latents"].shape, theirs["gpt_latents"].shape
                    expect(shapes[0] == shapes[1], f"{setting}: {shapes[0]}, alone {shapes[1]}")
                    expect(mine["wav"].shape == theirs["wav"].shape, "another length")
                    if number == 0:
                        expect(sum(taken) <= shapes[1][1], "the first one waited")
                    for part in ("gpt_latents", "wav"):
                        worst = max(worst, float(abs(mine[part] - theirs[part]).max()))
                    lengths.add(shapes[0][1])
                expect(next(spoken, None) is None, "more sounds than texts")
        finally:
            del decoder.windows
            self.ours.xcompat.vocoder._wanted_at_once = None
            with torch.no_grad():
                gpt.mel_head.bias.copy_(bias)
        expect(worst <= TOLERANCE, f"differs from alone by {worst:.1e}")
        expect(len(lengths) > 2, f"lengths {lengths}")
        for wrong in ({"together": 0}, {"made_up": 1}):
            with contextlib.suppress(ValueError):
                list(speaking.speak(self.ours, said, "en", *self.voices[0], **wrong))
                raise Failed(f"{wrong} was taken")
        return f"5 texts of {min(lengths)} to {max(lengths)} tokens, within {worst:.1e}"

    def split_together(self) -> str:
        """Pieces of a split text, decoded together, are what they are one after the other."""
        if "enable_text_splitting" not in inspect.signature(type(self.ours).inference).parameters:
            return "this TTS does not split"
        text = " ".join(TEXTS * 9)
        model = loader.load_xtts(self.folder, together=2)
        pieces = texts.pieces_of(model, text, "en")
        expect(len(pieces) > 2, f"{len(pieces)} pieces")
        worst = 0.0

        def compare(mine: Any, theirs: Any, name: str) -> None:
            nonlocal worst
            expect(mine["wav"].shape == theirs["wav"].shape, f"{name}: another length")
            for part in ("gpt_latents", "wav"):
                worst = max(worst, float(abs(mine[part] - theirs[part]).max()))

        greedy = {"do_sample": False, "max_new_tokens": TOKENS, "enable_text_splitting": True}
        said = [
            each.inference(text, "en", *self.voices[1], **greedy) for each in (model, self.ours)
        ]
        compare(said[0], said[1], "greedy")
        sampled = {"max_new_tokens": TOKENS, "temperature": 0.6}
        torch.manual_seed(5)
        one = model.inference(text, "en", *self.voices[1], enable_text_splitting=True, **sampled)
        torch.manual_seed(5)
        spoken = speaking.speak(model, pieces, "en", *self.voices[1], together=2, **sampled)
        compare(one, texts.joined(list(spoken)), "sampled")
        expect(worst <= TOLERANCE, f"differs by {worst:.1e}")
        usual = vars(self.ours)["inference"]
        model.xcompat.detach()
        expect(type(vars(model)["inference"]) is type(usual), "detach leaves another inference")
        with contextlib.suppress(ValueError):
            loader.load_xtts(self.folder, together=2, runtime="stock")
            raise Failed("together was taken for stock")
        return f"{len(pieces)} pieces in twos, within {worst:.1e}"

    def refusals(self) -> str:
        """An option that nobody does is refused by its name."""
        cases: list[tuple[dict[str, Any], str]] = [
            ({"made_up": 1}, "made_up"),
            ({"temperature": 0.0}, "temperature"),
            ({"max_new_tokens": 10_000}, "max_new_tokens"),
        ]
        for kwargs, name in cases:
            try:
                self.ours.inference(TEXTS[0], "en", *self.voices[0], **kwargs)
            except ValueError as error:
                expect(name in str(error), f"{error} does not name {name}")
            else:
                raise Failed(f"{kwargs} was not refused")
        broken = types.SimpleNamespace(**{**vars(self.ours.gpt), "model_dim": 64})
        with contextlib.suppress(products.CannotAttach):
            decode.Decoder(broken)
            raise Failed("a GPT without layers was accepted")
        with contextlib.suppress(products.CannotAttach):
            runtime.attach(torch.nn.Linear(2, 2))
            raise Failed("attached to a linear layer")
        return f"{len(cases)} options, 2 models"

    def precisions(self) -> str:
        """bfloat16, float16 and int8 differ from float32 by rounding, with numba and without."""
        told = []
        for kwargs, allowed in (
            ({"dtype": "bfloat16"}, 0.05),
            ({"dtype": "float16"}, 0.01),
            ({"quantize": "int8"}, 0.15),
        ):
            ((key, value),) = kwargs.items()
            for kernel, importing in (
                ("numba", contextlib.nullcontext()),
                ("torch", without_numba()),
            ):
                try:
                    with importing:
                        model = loader.load_xtts(self.folder, **kwargs)
                except products.CannotAttach as refusal:
                    expect(torch_version() < (2, 4), f"{value} was refused: {refusal}")
                    expect(f"{key}={value!r}" in str(refusal), f"unclear refusal: {refusal}")
                    told.append(f"{value} refused")
                    continue
                taken = model.xcompat.decoder.kernel
                expect(taken.startswith(kernel), f"{value} is multiplied by {taken}")
                error = self.error_of(model)
                expect(0 < error < allowed, f"{value}, {kernel}: latents differ by {error:.1e}")
                told.append(f"{value} {kernel} {error:.1e}")
        return "relative error of the latents: " + ", ".join(told)

    def error_of(self, model: Any) -> float:
        """Forced latents against float32, computed one by one as in a decode."""
        codes = self.codes(self.ours, self.voices[0], TEXTS[0], repetition_penalty=PENALTY)
        pair = []
        with torch.inference_mode():
            for decoder in (self.ours.xcompat.decoder, model.xcompat.decoder):
                prefix = decoder.prefix(self.voices[0][0], self.tokens(TEXTS[0]))
                pair.append(decoder.latents(prefix, codes, one_by_one=True))
        return float((pair[0] - pair[1]).norm() / pair[0].norm())

    def api(self) -> str:
        """`TTS(...).tts_to_file` on the converted folder, with the right header."""
        tts, voices = self.through_api()
        before = (tts.synthesizer.output_sample_rate, tts.model_name)
        wav = self.scratch / "api.wav"
        with runtime.attach(tts):
            tts.tts_to_file(TEXTS[0], language="en", file_path=str(wav), **voices[0])
        rate, samples = sound.read_wav_header(wav)
        expect(rate == 24000, f"the header says {rate} Hz")
        expect(samples > 10_000, f"only {samples} samples")
        after = (tts.synthesizer.output_sample_rate, tts.model_name)
        expect(after == before, f"detach left {after}, not {before}")
        return f"{samples} samples at {rate} Hz"

    def through_api(self) -> tuple[Any, list[dict[str, str]]]:
        """Return a `TTS` of the folder, and the ways to name a voice that it knows."""
        with imports.importing_tts():
            from TTS.api import TTS

            tts = TTS(
                model_path=str(self.folder),
                config_path=str(self.folder / "config.json"),
                progress_bar=False,
            )
        recording = self.scratch / "reference.wav"
        sound.write_wav(recording, sound.hum(), sound.HUM_RATE)
        voices = [{"speaker_wav": str(recording)}]
        if not isinstance(self.ours.speaker_manager, types.SimpleNamespace):  # TTS before 0.22
            voices.insert(0, {"speaker": next(iter(self.ours.speaker_manager.speakers))})
        return tts, voices

    def api_together(self) -> str:
        """Sentences that `TTS.api` asks for one by one are decoded together, and as they are."""
        tts, voices = self.through_api()
        said = "It rains. No. Good morning to all of you. We speak of trains. Then it ends here."
        greedy = {"language": "en", "do_sample": False, "max_new_tokens": TOKENS}
        worst, counts = 0.0, []
        split = inspect.signature(tts.synthesizer.split_into_sentences)
        language = ("en",) if "language" in split.parameters else ()
        for voice in voices:
            with runtime.attach(tts):
                alone = torch.tensor(tts.tts(said, **greedy, **voice))
            with runtime.attach(tts, together=3) as attached:
                windows = attached.decoder.windows

                def counted(prefixes: Any, *args: Any, windows: Any = windows, **more: Any) -> Any:
                    counts.append(len(prefixes))
                    return windows(prefixes, *args, **more)

                attached.decoder.windows = counted
                wav = torch.tensor(tts.tts(said, **greedy, **voice))
                expect(counts == [3, 2], f"{counts} at once")
                expect(wav.shape == alone.shape, f"{wav.shape} samples, alone {alone.shape}")
                worst = max(worst, float((wav - alone).abs().max()))
                counts.clear()
                one = self.scratch / "one.wav"
                tts.tts_to_file("It rains.", language="en", file_path=str(one), **voice)
                model = tts.synthesizer.tts_model
                tts.synthesizer.split_into_sentences("It rains. It snows.", *language)
                asked = self.voices[0] if "speaker" in voice else self.voices[1]
                for text in ("It snows.", "It rains."):
                    model.inference(text, "en", *asked, max_new_tokens=5)
                expect(counts == [1, 1, 1], f"{counts}: what was not asked for was said")
                counts.clear()
                expect("split_into_sentences" in vars(tts.synthesizer), "it is not overheard")
            expect("split_into_sentences" not in vars(tts.synthesizer), "it is still overheard")
        expect(worst <= TOLERANCE, f"differs by {worst:.1e}")
        return f"5 sentences in threes, within {worst:.1e}"

    def detached(self) -> str:
        """Detaching leaves nothing on the model; attaching twice is refused."""
        model = loader.load_xtts(self.folder, runtime="xcompat")
        with contextlib.suppress(products.CannotAttach):
            runtime.attach(model)
            raise Failed("attached twice")
        if self.fault:
            for name in ("generate", "get_generator", "compute_embeddings", "forward"):
                expect(name in vars(model.gpt), f"{name} is not on the instance")
            return "stock cannot take over here"
        model.xcompat.detach()
        model.xcompat.detach()
        names = set(vars(model.gpt)) ^ set(vars(self.stock.gpt))
        expect(not names, f"left on the GPT: {names}")
        expect("get_conditioning_latents" not in vars(model), "left on the model")
        torch.manual_seed(5)
        mine = model.inference(TEXTS[0], "en", *self.voices[0])["wav"]
        torch.manual_seed(5)
        theirs = self.stock.inference(TEXTS[0], "en", *self.voices[0])["wav"]
        expect((mine == theirs).all(), "speaks otherwise than stock after detach")
        return "as a stock load, bit for bit"

    def tokens(self, text: str) -> Any:
        ids = self.ours.tokenizer.encode(text.lower(), lang="en")
        return torch.tensor([ids], dtype=torch.int32)

    def codes(self, model: Any, voice: Any, text: str, **kwargs: Any) -> Any:
        with torch.inference_mode():
            return model.gpt.generate(
                cond_latents=voice[0],
                text_inputs=self.tokens(text),
                **{"max_new_tokens": TOKENS, **kwargs},
            )

    def streamed(self, model: Any, voice: Any, text: str, **kwargs: Any) -> list[int]:
        with torch.inference_mode():
            generator = model.gpt.get_generator(
                fake_inputs=model.gpt.compute_embeddings(voice[0], self.tokens(text)),
                num_beams=1, num_return_sequences=1, length_penalty=1.0, output_attentions=False,
                output_hidden_states=True, return_dict_in_generate=True,
                **{"do_sample": True, "top_k": 50, "top_p": 0.85, "temperature": 0.75,
                   "repetition_penalty": PENALTY, **kwargs},
            )  # fmt: skip
            return [int(token) for token, _ in generator]


class Calls(TorchDispatchMode):
    """Notes which operators are called, on which shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shapes = [list(each.shape) for each in args if isinstance(each, torch.Tensor)]
        self.made.append(f"{func.overloadpacket.__name__} {shapes}")
        return func(*args, **(kwargs or {}))


class RecordedCuda:
    """Stands in for `torch.cuda`: a graph keeps what is done while it is captured, undone.

    On a card nothing is computed while it is captured, only in each replay.
    """

    def __init__(self, fault: Any) -> None:
        self.fault, self.captured, self.replays = fault, 0, 0
        self.users: dict[Any, Any] = {}
        """Graphs of each pool."""
        self.capturing: Any = None

    def Stream(self) -> Any:  # noqa: N802 - torch's name
        return types.SimpleNamespace(wait_stream=lambda _: None)

    def current_stream(self) -> Any:
        return self.same

    same = types.SimpleNamespace(wait_stream=lambda _: None)

    def stream(self, _: Any) -> Any:
        return contextlib.nullcontext()

    def CUDAGraph(self) -> Any:  # noqa: N802 - torch's name
        return RecordedGraph(self)

    def graph_pool_handle(self) -> object:
        return object()

    @contextlib.contextmanager
    def graph(self, graph: Any, pool: Any, capture_error_mode: str) -> Iterator[None]:
        if self.fault:
            raise RuntimeError("planted")
        expect(capture_error_mode == "thread_local", "another thread can fail")
        users = self.users.get(pool, None)
        if users is not None and not users:  # as torch's allocator
            raise RuntimeError("INTERNAL ASSERT FAILED: use_count > 0")
        self.users.setdefault(pool, weakref.WeakSet()).add(graph)
        self.captured += 1
        with Recording() as mode:
            yield
        graph.calls = mode.calls


class RecordedGraph:
    def __init__(self, cuda: RecordedCuda) -> None:
        self.cuda, self.calls = cuda, []

    def replay(self) -> None:
        self.cuda.replays += 1
        # What was made in inference mode while it was captured is written to again.
        with torch.inference_mode():
            for func, args, kwargs, results in self.calls:
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(results), tree_leaves(again)):
                    # What a graph makes stays at its address.
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class Recording(TorchDispatchMode):
    """Keeps what is called; what is written in place is put back, as if it had not been done."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []
        self.undo: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        expect(name not in WAITS, f"{name} waits for the device")
        if name.endswith("_") and not name.endswith("__"):
            self.undo.append((args[0], args[0].clone()))
        results = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, results))
        return results

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for tensor, before in reversed(self.undo):
            tensor.copy_(before)


FIXED = (
    decode.Policy(window=8, fixed=True),
    decode.Policy(window=5, fixed=False),
    decode.Policy(window=1, fixed=True),
)
PROOFS = (
    "facts", "weights", "greedy", "second_pass", "sampling", "batch", "speech", "chunks",
    "fixed_shapes", "capture_rules", "graphs", "sound_graphs", "sound_rules", "sounds_at_once",
    "changes", "by_stock", "together_alone", "split_together", "odd_texts", "languages",
    "together", "clone", "refusals", "precisions", "api", "api_together", "detached",
)  # fmt: skip


def main() -> int:
    failures = 0

    def tell(name: str, act: Callable[[], str]) -> None:
        nonlocal failures
        try:
            started = time.time()
            with contextlib.redirect_stdout(sys.stderr):  # TTS prints as it works
                said = act()
            said += f" ({time.time() - started:.0f} s)"
        except Exception as error:
            failures += 1
            said = f"FAILED {type(error).__name__}: {error}"
            if not isinstance(error, Failed):
                traceback.print_exc()
        print(f"{name:<12} {said}", flush=True)

    with contextlib.redirect_stdout(sys.stderr):
        before = bystanders()
    with tempfile.TemporaryDirectory() as scratch:
        proofs = Proofs(Path(sys.argv[1]), Path(scratch))
        for name in sys.argv[2:] or PROOFS:
            tell(name, getattr(proofs, name))

    def unnoticed() -> str:
        after = bystanders()
        changed = [name for name in before if before[name] != after[name]]
        # Stock TTS, where it imports, adds two methods to PreTrainedModel by itself.
        if before["xtts"] == after["xtts"] == "TTS.tts.models.xtts" or not proofs.fault:
            changed = [name for name in changed if name != "PreTrainedModel"]
        shown = {name: f"{before[name]!r:.200} -> {after[name]!r:.200}" for name in changed}
        expect(not changed, f"others can see a change of {shown}")
        return f"VITS, GPT-2 and {len(before) - 2} others as before; import: {after['xtts'][:70]}"

    tell("unnoticed", unnoticed)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
