"""The stages of the smoke: what each does with the model, and what it tells."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any, Optional

from . import (
    calls,
    checkpoint,
    downloaded,
    fallback,
    intermediates,
    languages,
    listening,
    loader,
    machine,
    measuring,
    recordings,
    reference,
    saving,
    sound,
    speaking,
    trials,
)
from . import runtime as attached_runtime
from .structure import longest_decode
from .tapping import GeneratorTap, InputTap, Tap
from .wording import StageError, one_line, one_paragraph

CHECK_TEXTS = ("Good morning to all of you.", "It rains in the mountains.")
CHECK_PENALTY = 5.0
"""Repetition penalty of the greedy checks: untrained weights would repeat one token otherwise."""
CHECK_TOKENS = 40
"""Audio tokens that each greedy check decodes (1.9 s of sound)."""
UNTRAINED_TOKENS = 120
"""Audio tokens that an untrained model may speak (5.6 s of noise): it hardly ever ends by itself,
and at full size takes minutes for it."""
STREAM_CHUNK_TOKENS = 20
SHORTEST_REFERENCE = 1.0
"""Seconds of speech to clone from: a wrong voice may say less than XTTS takes."""
SOAK_WORDS = """the harbour was quiet when the first boats came home and the old man who sold bread
near the bridge looked up from his table to count them as he had done every morning since spring
because one of them was always late and he had never asked its captain for the reason"""
"""Words of which the soak makes sentences of all lengths."""
SOAK_TOKENS = 60
"""Audio tokens that an untrained model says of the longest of them."""
SAVED_ERROR = 2**-14
"""What a sample may differ by once it was written: 16 bits, and twice their rounding."""
SEED = 20231124


class Smoke:
    """State that the stages share: the request of the parent, the model, the voice."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.runtime: str = request.get("runtime", "stock")
        self.device = "cpu"
        self.model: Any = None
        self.voice: Any = None
        self.codes: list[int] = []
        """Greedy audio tokens of the first check text, proved by `run_tokens`."""
        self.spoken = ""
        """Path of the WAV that `run_speak` wrote."""
        self.fell_back: list[str] = []
        """Operators that MPS has handed to the CPU."""
        self.soaked = 0
        """Sentences that `run_soak` has spoken."""
        self.loaded: dict[str, Any] = {}
        """Models of a bench, by the way in which they decode."""
        if "caches" in request:  # Before anything is imported that reads where they are.
            os.environ.update(downloaded.cache_variables(Path(request["caches"])))

    def run_inventory(self) -> dict[str, Any]:
        """Tell what this environment is: Python, platform, every distribution, FFmpeg."""
        import importlib.metadata
        import platform

        distributions = {
            d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata
        }
        return {
            "python": platform.python_version(),
            "platform": machine.platform_name(),
            "distributions": distributions,
            "ffmpeg": machine.ffmpeg_version(),
        }

    def run_import(self) -> dict[str, Any]:
        """Import what every program that embeds XTTS imports."""
        from TTS.api import TTS  # noqa: F401
        from TTS.tts.models.xtts import Xtts

        torch = sys.modules["torch"]
        return {"file": sys.modules[Xtts.__module__].__file__, "torch": torch.__version__}

    def run_save(self) -> dict[str, Any]:
        """Write a WAV with `torchaudio.save`, as many apps do, and read it back."""
        import soundfile
        import torch
        import torchaudio

        target = Path(self.request["saved_wav"])
        samples = torch.from_numpy(sound.hum()).float().unsqueeze(0)
        if self.runtime == "xcompat":
            saving.saving_with_soundfile()
        torchaudio.save(str(target), samples, sound.HUM_RATE)
        written, rate = soundfile.read(target, dtype="float32", always_2d=True)
        if rate != sound.HUM_RATE or written.shape[::-1] != tuple(samples.shape):
            raise StageError(f"other sound was written: {written.shape[0]} samples at {rate} Hz")
        if abs(torch.from_numpy(written.T) - samples).max() > SAVED_ERROR:
            raise StageError("other samples were written")
        return {"samples": written.shape[0], "sample_rate": rate}

    def run_device(self) -> dict[str, Any]:
        """Choose the device, or say why the one asked for is not there."""
        wanted = self.request["device"]
        missing = {name: machine.missing(name) for name in ("mps", "cuda")}
        if wanted == "auto":
            self.device = next((name for name in missing if not missing[name]), "cpu")
            reason = "; ".join(why for why in missing.values() if why)
            why = f"auto chose {self.device}" + (f" ({reason})" if self.device == "cpu" else "")
        else:
            if missing.get(wanted):
                raise StageError(missing[wanted])
            self.device = wanted
            why = f"{wanted}, as asked for"
        if self.device == "mps":
            self.fell_back = fallback.listen()
        return {"device": self.device, "reason": why, "name": machine.device_name(self.device)}

    def run_refusal(self) -> dict[str, Any]:
        """Show that torch refuses the original as it is, and with which words."""
        import torch

        try:
            torch.load(str(Path(self.request["original"]) / "model.pth"), weights_only=True)
        except Exception as refusal:
            return {"refusal": one_line(refusal), "torch": torch.__version__}
        raise StageError("torch loaded the original under weights_only=True")

    def run_load_stock(self) -> dict[str, Any]:
        """Load a folder laid out like the release with the unmodified `load_checkpoint`."""
        with tempfile.TemporaryDirectory() as name:
            # A copy: coqui-tts 0.28 rewrites the file that it loads.
            folder = shutil.copytree(self.request["original"], Path(name) / "original")
            before = (folder / "model.pth").stat().st_mtime_ns
            calls.stock_load(folder)
            return {"rewritten": (folder / "model.pth").stat().st_mtime_ns != before}

    def run_load_converted(self) -> dict[str, Any]:
        """Load both converted folders; every weight has the checksum of what was unpacked."""
        self.model = self._load()
        models = [("load_xtts", self.model)]
        if self.runtime == "stock":
            models.append(("stock", calls.stock_load(Path(self.request["pth"]))))
        # Taken while the original was written: nothing needs to be unpickled to compare with.
        written = json.loads(Path(self.request["checksums"]).read_text("ascii"))
        expected = loader.renamed(written, self.model)
        for label, model in models:
            loaded = {name: _crc32(t) for name, t in calls.checkpoint_tensors(model).items()}
            wrong = [n for n in {**expected, **loaded} if loaded.get(n) != expected.get(n)]
            if wrong:
                raise StageError(f"{label}: {len(wrong)} tensors differ, first {wrong[0]}")
        return {"tensors": len(calls.checkpoint_tensors(self.model))}

    def run_load(self) -> dict[str, Any]:
        """Load the converted folder with `load_xtts`, or, without safetensors, as apps do."""
        self.model = self._load()
        parameters = sum(p.numel() for p in self.model.parameters())
        machine.synchronise(self.device)
        attached = self.model.xcompat
        return {
            "parameters": parameters,
            "trained": self._is_trained(),
            "runtime": "stock" if attached is None else "xcompat",
            "reason": one_paragraph(attached.reason) if attached is not None else "",
        }

    def run_languages(self) -> dict[str, Any]:
        """Run all text front ends; the one of the language asked for must work, on the text."""
        tokenizer, language = self.model.tokenizer, self.request["language"]
        tokens = languages.run_front_end(tokenizer, language, self.request["text"])
        limit = calls.longest_text(tokenizer, language)
        return {"text_tokens": tokens, "characters": limit, **languages.run_all(tokenizer)}

    def run_condition(self) -> dict[str, Any]:
        """Get the voice: a reference WAV where one is given, else a built-in speaker."""
        if self.request.get("speaker_wav"):
            told, known = self._tell_reference(self.request["speaker_wav"])
            try:
                self.voice = calls.cloned(self.model, self.request["speaker_wav"])
            except Exception as error:
                if known:
                    raise
                raise StageError(
                    f"the reference {self.request['speaker_wav']} cannot be read as a recording; "
                    f"convert it to WAV or FLAC ({one_line(error)})"
                ) from error
            return {"voice": self.request["speaker_wav"], "reference": told}
        manager = self.model.speaker_manager
        speakers = manager.speakers if manager is not None else {}
        if not speakers:
            raise StageError(
                "this model has no built-in speakers; give a reference with --speaker-wav FILE"
            )
        name = self.request.get("speaker") or next(iter(speakers))
        if name not in speakers:
            raise StageError(f"no speaker {name!r} in this model")
        self.voice = calls.voice_of(speakers[name])
        return {"voice": name, "speakers": len(speakers)}

    def run_tokens(self) -> dict[str, Any]:
        """Greedy decodes of two texts with two voices, each proved by the reference decoder."""
        voices = self._two_voices()
        decoded: dict[tuple[int, int], list[int]] = {}
        margin = float("inf")
        for v, voice in enumerate(voices):
            for t, text in enumerate(CHECK_TEXTS):
                tokens = self._text_tokens(text, "en")
                codes = self._greedy(voice, tokens)
                decoded[v, t] = codes
                check = reference.check_greedy(self.model, voice[0], tokens, codes, CHECK_PENALTY)
                if check.mismatch is not None:
                    same = len({tuple(c) for c in decoded.values()}) == 1 and len(decoded) > 1
                    raise StageError(
                        f"wrong voice: audio token {check.mismatch} of {len(codes)} is not the one "
                        "that the weights ask for"
                        + ("; text and speaker do not matter to the output" if same else "")
                    )
                margin = min(margin, check.margin)
        if len({tuple(codes) for codes in decoded.values()}) < len(decoded):
            raise StageError("wrong voice: different texts or speakers give the same audio tokens")
        listed = [decoded[key] for key in sorted(decoded)]
        self.codes = listed[0]
        return {
            "sha256": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
            "voices": len(voices),
            "sequences": len(listed),
            "tokens": sum(map(len, listed)),
            "margin": margin,
        }

    def run_intermediates(self) -> dict[str, Any]:
        """Hold each step on the device against the CPU, with inputs forced from the CPU's run."""
        if self.device == "cpu":
            return {"steps": {}}
        on_cpu = self._load("cpu")
        text_tokens = self._text_tokens(CHECK_TEXTS[0], "en").cpu()
        wav = self._reference_wav()
        return {"steps": intermediates.compare(self.model, on_cpu, wav, text_tokens, self.codes)}

    def run_speak(self) -> dict[str, Any]:
        """Synthesize with the stock `inference` and its usual sampling; write the WAV."""
        codes: list[int] = []
        latents: list[Any] = []
        tokens = Tap(self.model.gpt, "generate", lambda out: codes.extend(out[0].tolist()))
        with tokens, InputTap(self.model.hifigan_decoder, "forward", latents.append):
            samples, seconds = self._spoken()
        details = self._heard(samples, seconds, codes, self.request.get("wav"))
        (given,) = latents
        text = self._text_tokens(self.request["text"], self.request["language"])
        details["latents_distance"] = reference.latents_distance(
            self.model, self.voice[0], text, codes, given
        )
        if len(samples) >= SHORTEST_REFERENCE * calls.sample_rate(self.model):
            self.spoken = self.request.get("wav") or ""
        if self.request.get("repeat"):
            samples, later = self._spoken()
            details.update(
                later_synthesis_seconds=later,
                later_seconds=len(samples) / calls.sample_rate(self.model),
            )
        return details

    def run_soak(self) -> dict[str, Any]:
        """Speak one more sentence, of another length; tell what is held afterwards."""
        import torch

        words = SOAK_WORDS.split()
        # A golden section visits all lengths evenly, and in no order.
        share = (self.soaked * 0.6180339887498949) % 1.0
        count = 2 + int(share * 28)
        start = (7 * self.soaked) % (len(words) - count + 1)
        limit = {}
        if not self._is_trained():
            limit["max_new_tokens"] = 2 + int(share * SOAK_TOKENS)
        torch.manual_seed(self.soaked)
        self.soaked += 1
        text = " ".join(words[start : start + count]) + "."
        sampling = calls.usual_sampling(self.model)
        out = calls.inference(self.model, text, "en", self.voice, **sampling, **limit)
        seconds = len(out["wav"]) / calls.sample_rate(self.model)
        return {"speech_seconds": seconds, **machine.held_memory(self.device)}

    def run_contestant(self, way: str) -> dict[str, Any]:
        """Load the model to decode in one of `measuring.WAYS`, in place of one loaded before."""
        import torch

        self.loaded.pop(way, None)
        self.model = None
        gc.collect()
        folder, stock_folder = Path(self.request["model"]), self.request["stock_folder"]
        self.model, seconds, by = measuring.load(folder, way, self.device, stock_folder)
        self.loaded[way] = self.model
        attached = self.model.xcompat
        return {
            "load_seconds": seconds,
            "by": by,
            "kernel": "" if attached is None else attached.decoder.kernel,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "bytes_per_token": measuring.weights_read(self.model, way),
            "threads": torch.get_num_threads(),
        }

    def run_sentence(self, way: str) -> dict[str, Any]:
        """Say the text that was asked for, timed in parts."""
        self.model = self.loaded[way]
        return measuring.sentence(
            self.model,
            self.request["text"],
            self.request["language"],
            self.voice,
            device=self.device,
            seed=SEED,
            **self._limit(),
        )

    def run_first_audio(self, way: str) -> dict[str, Any]:
        """Stream the same text until its first chunk is on the host."""
        self.model = self.loaded[way]
        return {"seconds": self._first_audio()}

    def run_batch(self, way: str) -> dict[str, Any]:
        """Say the text several times at once, each with a seed of its own."""
        model, count = self.loaded[way], self.request["together"]
        self.model = model
        sampling = {**calls.usual_sampling(model), **self._limit()}
        started = time.perf_counter()
        texts, language = [self.request["text"]] * count, self.request["language"]
        latents, embedding = self.voice
        said = speaking.speak(
            model, texts, language, latents, embedding, together=count, seed=SEED, **sampling
        )
        samples = sum(len(each["wav"]) for each in said)
        return {
            "seconds": time.perf_counter() - started,
            "speech_seconds": samples / calls.sample_rate(model),
            "sentences": count,
        }

    def run_peak(self) -> dict[str, Any]:
        """Tell how much memory was held at most until now."""
        return machine.peak_memory(self.device)

    def run_memory_speed(self) -> dict[str, Any]:
        """Measure how fast the memory is that weights are read from."""
        return measuring.memory_speed(self.device)

    def _limit(self) -> dict[str, Any]:
        """Return what keeps an untrained model from babbling on."""
        if not self._is_trained() and longest_decode(self.model.gpt) > UNTRAINED_TOKENS:
            return {"max_new_tokens": UNTRAINED_TOKENS}
        return {}

    def _spoken(self) -> tuple[Any, float]:
        import torch

        torch.manual_seed(SEED)
        machine.synchronise(self.device)
        started = time.perf_counter()
        out = calls.inference(
            self.model,
            self.request["text"],
            self.request["language"],
            self.voice,
            **calls.usual_sampling(self.model),
            **self._limit(),
        )
        machine.synchronise(self.device)
        return out["wav"], time.perf_counter() - started

    def run_stream(self) -> dict[str, Any]:
        """Stream greedily: the same tokens as without streaming, and chunks that join to sound."""
        import numpy as np

        text, voice = CHECK_TEXTS[0], self._two_voices()[0]
        codes: list[int] = []
        first = 0.0
        chunks = []
        with GeneratorTap(self.model.gpt, codes):
            started = time.perf_counter()
            for chunk in self._stream(text, voice):
                chunks.append(chunk.detach().cpu().numpy())
                first = first or time.perf_counter() - started
                if len(codes) >= CHECK_TOKENS:
                    break
            seconds = time.perf_counter() - started
        check = reference.check_greedy(
            self.model, voice[0], self._text_tokens(text, "en"), codes, CHECK_PENALTY
        )
        if check.mismatch is not None:
            raise StageError(
                f"wrong voice: streamed audio token {check.mismatch} of {len(codes)} is not the "
                "one that the weights ask for"
            )
        details = self._heard(np.concatenate(chunks), seconds, codes, None)
        details.update(first_audio_seconds=first, chunks=len(chunks))
        if self.request.get("repeat"):
            # Of the text that was asked for, with the voice and the sampling of the stage `speak`.
            details["first_audio_seconds"] = self._first_audio()
            details["later_first_audio_seconds"] = self._first_audio()
        return details

    def _first_audio(self) -> float:
        """Return the seconds from the call of `inference_stream` to its first chunk."""
        import torch

        torch.manual_seed(SEED)
        started = time.perf_counter()
        stream = self.model.inference_stream(
            self.request["text"],
            self.request["language"],
            *(self.voice or self._two_voices()[0]),
            stream_chunk_size=STREAM_CHUNK_TOKENS,
            **calls.usual_sampling(self.model),
        )
        next(stream).cpu()
        seconds = time.perf_counter() - started
        stream.close()
        return seconds

    def _stream(self, text: str, voice: Any) -> Any:
        """Start a greedy stream: a generator of chunks of sound."""
        return self.model.inference_stream(
            text,
            "en",
            *voice,
            stream_chunk_size=STREAM_CHUNK_TOKENS,
            top_k=1,
            repetition_penalty=CHECK_PENALTY,
        )

    def run_clone(self) -> dict[str, Any]:
        """Take the voice from a reference WAV and, where the request says so, speak with it."""
        import torch

        voice = calls.cloned(self.model, self._reference_wav())
        if not all(bool(torch.isfinite(part).all()) for part in voice):
            raise StageError("the conditioning latents of the reference hold NaN or infinity")
        if not self.request.get("speak_cloned"):
            return {"shapes": [list(part.shape) for part in voice]}
        started = time.perf_counter()
        out = calls.inference(
            self.model,
            CHECK_TEXTS[1],
            "en",
            voice,
            top_k=1,
            repetition_penalty=CHECK_PENALTY,
            max_new_tokens=CHECK_TOKENS,
        )
        return self._heard(out["wav"], time.perf_counter() - started, [], None)

    def run_api(self) -> dict[str, Any]:
        """`TTS(NAME).tts_to_file(...)`, as most programs say it, with the model in TTS's cache.

        It is the converted model that lies there: whether the original opens, `load` tells.
        """
        from TTS.api import TTS

        caches = Path(self.request["caches"])
        downloaded.put_into_cache(Path(self.request["pth"]), caches)
        with downloaded.offline():
            tts = TTS(downloaded.NAME, progress_bar=False)
        return self._written_by(tts)

    def run_api_path(self) -> dict[str, Any]:
        """The same with `TTS(model_path=..., config_path=...)`, for the converted folder."""
        from TTS.api import TTS

        folder = Path(self.request["pth"])
        tts = TTS(
            model_path=str(folder), config_path=str(folder / "config.json"), progress_bar=False
        )
        return self._written_by(tts)

    def _written_by(self, tts: Any) -> dict[str, Any]:
        """Let a `TTS` write a WAV; its header must be right, and the voice the one asked for."""
        if self.runtime == "xcompat":
            attached_runtime.attach(tts)
        codes: list[int] = []
        target = Path(self.request["api_wav"])
        gpt = tts.synthesizer.tts_model.gpt
        with Tap(gpt, "generate", lambda out: codes.extend(out[0].tolist())):
            tts.tts_to_file(
                CHECK_TEXTS[0],
                speaker=next(iter(self.model.speaker_manager.speakers)),
                language="en",
                file_path=str(target),
                top_k=1,
                repetition_penalty=CHECK_PENALTY,
            )
        rate, samples = sound.read_wav_header(target)
        expected = tts.synthesizer.tts_config.audio["output_sample_rate"]
        if rate != expected:
            raise StageError(
                f"tts_to_file wrote a {rate} Hz header on {expected} Hz samples: slow, low voice"
            )
        latents, _ = self._two_voices()[0]
        tokens = self._text_tokens(CHECK_TEXTS[0], "en")
        check = reference.check_greedy(self.model, latents, tokens, codes, CHECK_PENALTY)
        if check.mismatch is not None:
            raise StageError(
                f"wrong voice: audio token {check.mismatch} of {len(codes)} that tts_to_file spoke "
                "is not the one that the weights ask for"
            )
        return {"samples": samples, "sample_rate": rate, "audio_tokens": len(codes)}

    def run_picture(self) -> dict[str, Any]:
        """Draw waveform and spectrogram of the WAV."""
        sound.draw(Path(self.request["wav"]), Path(self.request["picture"]))
        return {"picture": self.request["picture"]}

    def run_listen(self) -> dict[str, Any]:
        """Ask an offline recogniser which sentence the WAV holds; needs neither torch nor TTS."""
        return listening.listen(Path(self.request["wav"]), self.request["text"])

    def _reference_wav(self) -> str:
        """Return the path of a reference: what was given, else what was said, else a hum."""
        given = self.request.get("speaker_wav") or self.spoken
        if given:
            return str(given)
        sound.write_wav(Path(self.request["reference_wav"]), sound.hum(), sound.HUM_RATE)
        return str(self.request["reference_wav"])

    def _tell_reference(self, path: str) -> tuple[str, bool]:
        """Say what of a reference is used, or what is wrong with it, and whether that is known."""
        return recordings.tell_reference(Path(path), *calls.reference_limits(self.model))

    def _load(self, device: str = "") -> Any:
        folder, device = Path(self.request["model"]), device or self.device
        if (folder / loader.MODEL_FILE).is_file():
            return loader.load_xtts(folder, device=device, runtime=self.runtime)
        # A folder that was repaired in place: what an app does with it.
        model = calls.stock_load(folder).to(device)
        reason = "asked for" if self.runtime == "xcompat" else ""
        if self.runtime == "auto":
            gpt_class: Any = type(model.gpt)
            reason = trials.stock_fault(gpt_class) or trials.reading_fault()
        model.xcompat = attached_runtime.attach(model) if reason else None
        if reason:
            model.xcompat.reason = reason
        return model

    def _is_trained(self) -> bool:
        datasets = [getattr(d, "dataset_name", "") for d in self.model.config.datasets or ()]
        return checkpoint.UNTRAINED not in datasets

    def _two_voices(self) -> list[Any]:
        """Voices of the first and the last built-in speaker; else the current one."""
        manager = self.model.speaker_manager
        speakers = list(manager.speakers.values()) if manager is not None else []
        if not speakers:
            return [self.voice]
        return [
            calls.voice_of(speaker) for speaker in ([speakers[0], speakers[-1]][: len(speakers)])
        ]

    def _text_tokens(self, text: str, language: str) -> Any:
        import torch

        ids = self.model.tokenizer.encode(text.strip().lower(), lang=language)
        return torch.tensor([ids], dtype=torch.int32, device=self.device)

    def _greedy(self, voice: Any, text_tokens: Any) -> list[int]:
        import torch

        with torch.inference_mode():
            out = self.model.gpt.generate(
                cond_latents=voice[0].to(self.device),
                text_inputs=text_tokens,
                do_sample=False,
                num_beams=1,
                num_return_sequences=1,
                repetition_penalty=CHECK_PENALTY,
                max_new_tokens=CHECK_TOKENS,
            )
        return [int(code) for code in out[0]]

    def _heard(
        self, samples: Any, seconds: float, codes: list[int], wav: Optional[str]
    ) -> dict[str, Any]:
        rate = calls.sample_rate(self.model)
        measured = sound.measure(samples, rate)
        if wav:
            sound.write_wav(Path(wav), samples, rate)
        return {
            "synthesis_seconds": seconds,
            "audio_tokens": len(codes),
            "sound": measured,
            "wav": wav,
        }


def _crc32(tensor: Any) -> int:
    return zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes())
