"""The training data on the device: sentences, audio codes, their sound, the waveforms."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

import features
import speech
from model import (
    CODE_SAMPLES,
    CODES,
    INPUT_RATE,
    MELS,
    OUTPUT_RATE,
    START_CODE,
    STOP_CODE,
    UNUSED_CODE,
    Sizes,
)

VOCABULARY = Path(__file__).resolve().parents[2] / "matrices" / "voice" / "vocab.json"
"""Ships with xcompat: the tokens are those of the checkpoint."""
SYNONYMS = 8
"""Nearest other codes that may stand for a code in the input of the GPT."""

_GAP = 2560
"""Silent samples at 16 kHz between two utterances; a multiple of `_ALIGNED`."""
_ALIGNED = 320
_SHIFT_IN, _SHIFT_OUT = 294, 320
"""One step of shifting the codes against the sound, in samples at 22,050 and at 24,000 Hz."""
_DELAY = round(CODE_SAMPLES * OUTPUT_RATE / INPUT_RATE)
"""A latent is the first to have seen its code one place late, so the sound begins one code late."""
_REFERENCE_SECONDS = 600
_QUICK = speech.VOICES.index(speech.QUICK)


class Tokens:
    """Character tokens, as `VoiceBpeTokenizer` makes them of clean English with our vocab.json."""

    def __init__(self, vocabulary: Path) -> None:
        self.ids: dict[str, int] = json.loads(vocabulary.read_text("utf-8"))["model"]["vocab"]
        self.count = max(self.ids.values()) + 1

    def encode(self, text: str) -> list[int]:
        """Return the ids that go into the GPT, with the start and the stop token."""
        letters = ("[SPACE]" if letter == " " else letter for letter in text)
        names = ("[START]", "[en]", *letters, "[STOP]")
        return [self.ids.get(name, self.ids["[UNK]"]) for name in names]


def padded(rows: Sequence[Sequence[int]], width: int) -> Any:
    table = np.zeros((len(rows), width), np.int64)
    for row, values in zip(table, rows):
        row[: len(values)] = values
    return table


@dataclasses.dataclass
class Batch:
    """What one step of the GPT learns from."""

    voices: Tensor
    texts: Tensor
    text_lengths: Tensor
    codes: Tensor
    counts: Tensor
    sound: Tensor


class Store:
    """Grows chunk by chunk in place, so that captured graphs go on reading it."""

    def __init__(
        self,
        texts: Sequence[str],
        tokens: Tokens,
        sizes: Sizes,
        device: torch.device,
        *,
        hours: float,
    ) -> None:
        seconds = int(hours * 3600)
        encoded = [tokens.encode(text) for text in texts]
        lengths = np.array([len(row) for row in encoded], np.int64)
        lengths[lengths > sizes.max_text] = 0
        width = sizes.max_text + 2
        self.sizes, self.device = sizes, device
        self.text_lengths_here = lengths
        self.texts = torch.from_numpy(padded([row[:width] for row in encoded], width)).to(device)
        self.text_lengths = torch.from_numpy(lengths).to(device)
        codes = int(2 * seconds * INPUT_RATE / CODE_SAMPLES)
        self.sound = torch.zeros(codes, features.WIDTH, dtype=torch.float16, device=device)
        self.codes = torch.zeros(codes, dtype=torch.int64, device=device)
        self.latents: list[Tensor] = []
        self.wave = torch.zeros(seconds * OUTPUT_RATE, dtype=torch.int16, device=device)
        most = max(1000, seconds)
        self.table = torch.zeros(most, 5, dtype=torch.int64, device=device)
        """Of each utterance: first code, codes, first sample at 24 kHz, sentence, voice."""
        self.rows: list[tuple[int, int, int, int, int]] = []
        self.used_codes, self.used_wave = 0, 0
        self.references = [torch.zeros(0, device=device) for _ in speech.VOICES]
        self.mels: Optional[Tensor] = None
        self.mean = torch.zeros(len(speech.VOICES), MELS, device=device)
        self.spread = torch.ones(len(speech.VOICES), MELS, device=device)
        self.centres: Optional[Tensor] = None
        self.synonyms: Optional[Tensor] = None
        self.full = False
        self._coded = 0
        self._read: set[str] = set()

    def read(self, folder: Path, *, shifts: int, until: Optional[float] = None) -> int:
        """Take in the chunks that are new in `folder`; return how many utterances there are now.

        Utterances of all but the quick voice are taken `shifts` times, at different offsets of the
        codes against the sound.
        """
        for path in sorted(folder.glob("chunk-*-*[0-9].npz")):
            if path.name in self._read or self.full or (until and time.time() > until):
                continue
            self._read.add(path.name)
            with np.load(path) as chunk:
                self._append({name: chunk[name] for name in chunk.files}, shifts)
        table = torch.tensor(self.rows, dtype=torch.int64).reshape(-1, 5)
        self.table[: len(table)] = table.to(self.device)
        if self.centres is not None:
            self._encode()
        return len(self.rows)

    def _append(self, chunk: dict[str, Any], shifts: int) -> None:
        lengths = chunk["lengths"]
        rounded = -(-lengths // _ALIGNED) * _ALIGNED + _GAP
        starts = _GAP + np.concatenate(([0], np.cumsum(rounded)[:-1]))
        flat = np.zeros(int(_GAP + rounded.sum()), np.int16)
        ends = np.cumsum(lengths)
        for start, length, end in zip(starts, lengths, ends):
            flat[start : start + length] = chunk["samples"][end - length : end]
        sound = torch.from_numpy(flat).to(self.device).float() / 32768.0
        at_input = features.resample(sound, 441, 320)
        at_output = (features.resample(sound, 3, 2) * 32767.0).clamp(-32767, 32767).short()
        if self.used_wave + len(at_output) > len(self.wave):
            self.full = True
            return
        self.wave[self.used_wave : self.used_wave + len(at_output)] = at_output
        self._refer(chunk, starts, at_input)
        places: list[Any] = []
        voices: list[Any] = []
        for shift in range(shifts):
            for start, length, sentence, voice in zip(
                starts, lengths, chunk["sentences"], chunk["voices"]
            ):
                if shift and voice == _QUICK:
                    continue
                begin = int(start) // 320 * 441 - shift * _SHIFT_IN
                covered = int(length) * 441 // 320 + shift * _SHIFT_IN
                count = -(-covered // CODE_SAMPLES)
                text_length = int(self.text_lengths_here[sentence])
                if count > self.sizes.most_codes - 2 or not text_length:
                    continue
                if self.used_codes + count > len(self.codes) or len(self.rows) >= len(self.table):
                    self.full = True
                    break
                wave = self.used_wave + int(start) * 3 // 2 - shift * _SHIFT_OUT - _DELAY
                self.rows.append((self.used_codes, count, wave, int(sentence), int(voice)))
                places.append(begin + CODE_SAMPLES * np.arange(count))
                voices.append(np.full(count, voice))
                self.used_codes += count
        self.used_wave += len(at_output)
        if not places:
            return
        where = torch.from_numpy(np.concatenate(places)).to(self.device)
        voice_of = torch.from_numpy(np.concatenate(voices)).to(self.device)
        mels = features.code_mels(at_input, where)
        if self.centres is None:
            stored = mels
        else:
            stored = (mels - self.mean[voice_of, None]) / self.spread[voice_of, None]
        self.sound[self.used_codes - len(where) : self.used_codes] = stored.flatten(1).half()

    def _refer(self, chunk: dict[str, Any], starts: Any, sound: Tensor) -> None:
        """Keep speech of each voice as references for conditioning."""
        wanted = _REFERENCE_SECONDS * INPUT_RATE
        for start, length, voice in zip(starts, chunk["lengths"], chunk["voices"]):
            have = self.references[voice]
            if len(have) < wanted and self.mels is None:
                begin = int(start) // 320 * 441
                part = sound[begin : begin + int(length) * 441 // 320]
                self.references[voice] = torch.cat((have, part))

    def learn_codes(self, chance: torch.Generator, *, sample: int, rounds: int) -> float:
        """Find the 1023 sounds for which codes stand, each voice measured by itself.

        Returns the share of the variance that the nearest code explains.
        """
        rows = self.table[: len(self.rows)]
        voice_of = torch.repeat_interleave(rows[:, 4], rows[:, 1])
        sound = self.sound[: self.used_codes].view(self.used_codes, -1, MELS)
        for voice in range(len(speech.VOICES)):
            mine = (voice_of == voice).nonzero()[:, 0]
            if len(mine):
                values = sound[mine[torch.randperm(len(mine), device=self.device)[:20_000]]].float()
                self.mean[voice] = values.mean((0, 1))
                self.spread[voice] = values.flatten(0, 1).std(0).mean().clamp(min=0.1)
        for begin in range(0, self.used_codes, 1 << 16):
            part = slice(begin, min(begin + (1 << 16), self.used_codes))
            voice = voice_of[part]
            sound[part] = (
                (sound[part].float() - self.mean[voice, None]) / self.spread[voice, None]
            ).half()
        chosen = torch.randint(
            self.used_codes, (min(sample, self.used_codes),), generator=chance, device=self.device
        )
        points = self.sound[chosen].float()
        self.centres, left = k_means(points, CODES - 1, rounds)
        distance = torch.cdist(self.centres, self.centres)
        near = distance.topk(SYNONYMS + 1, largest=False).indices[:, 1:]
        table = torch.zeros(CODES + 2, SYNONYMS, dtype=torch.int64, device=self.device)
        table[:] = torch.arange(CODES + 2, device=self.device)[:, None]
        numbers = torch.arange(CODES - 1, device=self.device)
        table[code_of(numbers)] = code_of(near)
        self.synonyms = table
        lengths = [len(sound) for sound in self.references if len(sound)]
        self.references = [
            sound if len(sound) else self.references[_longest(self.references)]
            for sound in self.references
        ]
        shortest = min(lengths)
        mels = torch.stack(
            [features.reference_mel(sound[None, :shortest])[0].t() for sound in self.references]
        )
        self.mels = mels.half()
        self._encode()
        return 1.0 - left / float(points.var(0, unbiased=False).sum())

    def _encode(self) -> None:
        """Give codes to what has none yet: the nearest that the utterance has not used before.

        `inference()` by default all but forbids to use a code twice (repetition penalty 10).
        """
        assert self.centres is not None
        numbers = np.arange(self._coded, len(self.rows))
        counts = np.array([row[1] for row in self.rows[self._coded :]], np.int64)
        for part in np.array_split(numbers[np.argsort(counts)], max(1, len(numbers) // 1024)):
            if not len(part):
                continue
            rows = self.table[torch.from_numpy(part).to(self.device)]
            used = torch.zeros(len(part), CODES - 1, dtype=torch.bool, device=self.device)
            squares = self.centres.square().sum(1)
            for step in range(int(rows[:, 1].max())):
                inside = step < rows[:, 1]
                place = torch.where(inside, rows[:, 0] + step, rows[:, 0])
                distance = squares - 2.0 * (self.sound[place].float() @ self.centres.t())
                best = distance.masked_fill(used, float("inf")).argmin(1)
                used[torch.arange(len(part), device=self.device), best] = True
                self.codes[place[inside]] = code_of(best[inside])
        self._coded = len(self.rows)

    def batch(self, utterances: Tensor, text_width: int, code_width: int) -> Batch:
        """Put together what the GPT sees of `utterances`."""
        rows = self.table[utterances]
        counts = rows[:, 1]
        place = torch.arange(code_width - 1, device=self.device)[None, :]
        inside = place < counts[:, None]
        flat = rows[:, :1] + torch.minimum(place, counts[:, None] - 1)
        codes = self.codes[flat].masked_fill(~inside, STOP_CODE)
        return Batch(
            voices=rows[:, 4],
            texts=self.texts[rows[:, 3], :text_width],
            text_lengths=self.text_lengths[rows[:, 3]],
            codes=torch.nn.functional.pad(codes, (1, 0), value=START_CODE),
            counts=counts,
            sound=self.sound[flat],
        )

    def swapped(self, codes: Tensor, share: float) -> Tensor:
        """Return `codes` with a share of them replaced by codes that sound alike."""
        assert self.synonyms is not None
        which = torch.randint(SYNONYMS, codes.shape, device=self.device)
        other = torch.gather(self.synonyms[codes.reshape(-1)], 1, which.view(-1, 1)).view_as(codes)
        return torch.where(torch.rand(codes.shape, device=self.device) < share, other, codes)

    def reference(self, voices: Tensor, frames: int) -> Tensor:
        """Return mels (batch, 80, frames) of some speech of each voice, at a random level."""
        assert self.mels is not None
        frames = min(frames, self.mels.shape[1])
        room = self.mels.shape[1] - frames + 1
        start = (torch.rand(len(voices), device=self.device) * room).long().clamp(max=room - 1)
        place = start[:, None] + torch.arange(frames, device=self.device)
        mels = self.mels[voices[:, None], place].float()
        level = (torch.rand(len(voices), 1, 1, device=self.device) - 0.6) * 4.0
        floor = float(np.log(features.FLOOR))
        return (mels + level).clamp(min=floor).transpose(1, 2)


def code_of(number: Tensor) -> Tensor:
    """Return the id of centre `number`: all ids but `UNUSED_CODE`."""
    return number + (number >= UNUSED_CODE)


def _longest(sounds: Sequence[Tensor]) -> int:
    return max(range(len(sounds)), key=lambda index: len(sounds[index]))


def k_means(points: Tensor, count: int, rounds: int) -> tuple[Tensor, float]:
    """Return `count` centres of `points` and the mean squared distance to the nearest one."""
    order = torch.randperm(len(points), device=points.device)
    centres = points[order[torch.arange(count, device=points.device) % len(points)]].clone()
    left = 0.0
    for _ in range(rounds):
        nearest = torch.empty(len(points), dtype=torch.int64, device=points.device)
        far = torch.empty(len(points), device=points.device)
        squares = centres.square().sum(1)
        for begin in range(0, len(points), 1 << 15):
            part = points[begin : begin + (1 << 15)]
            best = (squares - 2.0 * (part @ centres.t())).min(1)
            nearest[begin : begin + (1 << 15)] = best.indices
            far[begin : begin + (1 << 15)] = best.values + part.square().sum(1)
        left = float(far.mean())
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=count)
        centres = sums / sizes.clamp(min=1)[:, None]
        empty = (sizes == 0).nonzero()[:, 0]
        if len(empty):
            centres[empty] = points[far.topk(min(len(empty), len(points))).indices][
                torch.arange(len(empty), device=points.device) % len(points)
            ]
    return centres, left
