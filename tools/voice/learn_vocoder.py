"""Teach the vocoder to make sound of the GPT's latents."""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import numpy as np
import torch
from torch import Tensor, nn

import speech
from data import Store
from features import hann, mel_filters
from model import (
    OUTPUT_HOP,
    OUTPUT_RATE,
    Judges,
    Vocoder,
    output_frames,
    upsampled,
)
from steps import Clock, Snapshot, Stepper, cosine, optimiser, set_rate

FRAMES = 64
"""Frames of 256 samples in a training example."""

_RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))
_MEL_WEIGHT, _SPECTRUM_WEIGHT, _FEATURE_WEIGHT = 45.0, 5.0, 2.0
_PEAK_RATE = 1e-3
_JUDGE_RATE = 3e-4
_LATENTS = (147, 640)
"""Latents in one frame: 22,050 / (24,000 * 4)."""
_REACH = 3
"""Latents on either side of those that an example covers which interpolation may read."""


class Examples:
    """Draws excerpts: an utterance, a version of its latents, a first frame."""

    def __init__(self, store: Store, versions: Sequence[Tensor], *, chance: Any) -> None:
        self.store, self.versions, self.chance = store, versions, chance
        self.table = np.array(store.rows, np.int64).reshape(-1, 5)
        quick = self.table[:, 4] == speech.VOICES.index(speech.QUICK)
        frames = np.array([output_frames(count + 1) for count in self.table[:, 1]])
        weight = np.where(frames >= FRAMES, frames, 0) * np.where(quick, 0.4, 1.0)
        self.room = frames - FRAMES + 1
        self.bounds = np.cumsum(weight / weight.sum())

    def draw(self, rows: int) -> Any:
        """Return (rows, 3): utterance, version, first frame; as one array, to copy once."""
        utterances = np.searchsorted(self.bounds, self.chance.random(rows))
        utterances = utterances.clip(max=len(self.table) - 1)
        first = (self.chance.random(rows) * self.room[utterances]).astype(np.int64)
        version = self.chance.integers(len(self.versions), size=rows)
        return np.stack((utterances, version, first), axis=1)


class Exercise:
    """One step of training, with or without judges."""

    def __init__(
        self,
        vocoder: Vocoder,
        examples: Examples,
        adam: Any,
        *,
        half: bool,
        judges: Optional[Judges] = None,
        judging: Any = None,
    ) -> None:
        self.vocoder, self.examples, self.adam = vocoder, examples, adam
        self.half, self.judges, self.judging = half, judges, judging
        self.device = examples.store.device
        self.latents = examples.versions
        self.filters = torch.from_numpy(mel_filters(513, OUTPUT_RATE)).to(self.device)

    def excerpt(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return what goes into the vocoder and what is to come out."""
        store = self.examples.store
        rows = store.table[drawn[:, 0]]
        counts = rows[:, 1] + 1
        frames = drawn[:, 2:] + torch.arange(FRAMES, device=self.device)
        first = (drawn[:, 2] * _LATENTS[0] // _LATENTS[1] - _REACH).clamp(min=0)
        width = FRAMES * _LATENTS[0] // _LATENTS[1] + 2 * _REACH + 3
        place = first[:, None] + torch.arange(width, device=self.device)
        place = torch.minimum(place, counts[:, None] - 1)
        where = rows[:, :1] + drawn[:, :1] + place
        given = self.latents[0][where]
        for number, version in enumerate(self.latents[1:], 1):
            chosen = (drawn[:, 1] == number)[:, None, None]
            given = torch.where(chosen, version[where], given)
        samples = rows[:, 2:3] + drawn[:, 2:] * OUTPUT_HOP
        samples = samples + torch.arange(FRAMES * OUTPUT_HOP, device=self.device)
        wanted = store.wave[samples.clamp(0, len(store.wave) - 1)].float() / 32767.0
        return upsampled(given.float(), counts, frames, first), wanted

    def __call__(self, drawn: Tensor) -> Tensor:
        # Nothing here may copy from the host or wait for it: a graph is captured of this.
        given, wanted = self.excerpt(drawn)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            made = self.vocoder(given)
        made = made.float()
        nothing = made.new_zeros(())
        judged = felt = of_judges = nothing
        if self.judges is not None:
            self.judging.zero_grad(set_to_none=True)
            of_judges = self._judge(wanted, made.detach())
            of_judges.backward()
            self.judging.step()
        mel, spectrum = self.distance(made, wanted)
        total = _MEL_WEIGHT * mel + _SPECTRUM_WEIGHT * spectrum
        if self.judges is not None:
            judged, felt = self._please(wanted, made)
            total = total + judged + _FEATURE_WEIGHT * felt
        self.adam.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.vocoder.parameters(), 100.0)
        self.adam.step()
        return torch.stack((total, mel, spectrum, judged, felt, of_judges)).detach()

    def _judge(self, real: Tensor, made: Tensor) -> Tensor:
        assert self.judges is not None
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            scores = self.judges(torch.cat((real, made)))
        loss = real.new_zeros(())
        for features in scores:
            of_real, of_made = features[-1].float().chunk(2)
            loss = loss + (of_real - 1.0).square().mean() + of_made.square().mean()
        return loss

    def _please(self, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        assert self.judges is not None
        self.judges.requires_grad_(False)  # noqa: FBT003
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            with torch.no_grad():
                of_real = self.judges(real)
            of_made = self.judges(made)
        self.judges.requires_grad_(True)  # noqa: FBT003
        judged = felt = real.new_zeros(())
        for features, wanted in zip(of_made, of_real):
            judged = judged + (features[-1].float() - 1.0).square().mean()
            for feature, goal in zip(features[:-1], wanted[:-1]):
                felt = felt + (goal.float() - feature.float()).abs().mean()
        return judged, felt

    def distance(self, made: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far the log mels and the spectra at several resolutions are apart."""
        both = torch.cat((made, wanted))
        mel = spectrum = made.new_zeros(())
        for size, hop in _RESOLUTIONS:
            bins = torch.stft(both, size, hop, window=hann(size, self.device), return_complex=True)
            magnitude = (torch.view_as_real(bins).square().sum(-1) + 1e-9).sqrt()
            of_made, of_wanted = magnitude.chunk(2)
            away = (of_wanted - of_made).square().sum().sqrt() / of_wanted.square().sum().sqrt()
            spectrum = spectrum + away + (of_wanted.log() - of_made.log()).abs().mean()
            if size == 1024:
                mels = (magnitude.transpose(1, 2) @ self.filters).clamp(min=1e-5).log()
                of_made, of_wanted = mels.chunk(2)
                mel = (of_wanted - of_made).abs().mean()
        return mel, spectrum / len(_RESOLUTIONS)


def learn(
    vocoder: Vocoder,
    examples: Examples,
    clock: Clock,
    *,
    until: float,
    judged_from: float,
    rows: int,
    graph: bool,
    half: bool,
    save: Callable[[str], None],
    most_steps: Optional[int] = None,
) -> None:
    """Train until the clock says `until`, from `judged_from` on against judges as well."""
    device = examples.store.device
    vocoder.train()
    adam = optimiser(vocoder.parameters(), device, betas=(0.8, 0.99), weight_decay=0.0)
    began = clock.now()
    done = _phase(
        vocoder, examples, clock, adam, began=began, until=min(judged_from, until), whole=until,
        rows=rows, graph=graph, half=half, done=0, judges=None, most_steps=most_steps,
    )  # fmt: skip
    save("vocoder_plain")
    if clock.now() > until - 5:
        return
    judges = Judges().to(device)
    done = _phase(
        vocoder, examples, clock, adam, began=began, until=until, whole=until, rows=rows,
        graph=graph, half=half, done=done, judges=judges, most_steps=most_steps,
    )  # fmt: skip


def _phase(
    vocoder: Vocoder,
    examples: Examples,
    clock: Clock,
    adam: Any,
    *,
    began: float,
    until: float,
    whole: float,
    rows: int,
    graph: bool,
    half: bool,
    done: int,
    judges: Optional[Judges],
    most_steps: Optional[int],
) -> int:
    device = examples.store.device
    judging = None
    watched: list[nn.Module] = [vocoder]
    if judges is not None:
        judging = optimiser(judges.parameters(), device, betas=(0.8, 0.99), weight_decay=0.0)
        watched.append(judges)
    exercise = Exercise(vocoder, examples, adam, half=half, judges=judges, judging=judging)

    def rates() -> None:
        part = (clock.now() - began) / (whole - began)
        set_rate(adam, _PEAK_RATE * cosine(part, done, warm_up=100, least=0.05))
        if judging is not None:
            set_rate(judging, _JUDGE_RATE)

    rates()
    first = torch.from_numpy(examples.draw(rows)).to(device)
    stepper = Stepper(exercise, [first], graph=graph)
    snapshot = Snapshot(*watched)
    optimisers = [each for each in (adam, judging) if each is not None]
    start, first_step = clock.now(), done
    losses = torch.zeros(6)
    while clock.now() < until and (most_steps is None or done - first_step < most_steps):
        rates()
        losses = stepper(torch.from_numpy(examples.draw(rows)).to(device, non_blocking=True))
        done += 1
        if done % 20 == 0:
            values = losses.tolist()
            if not np.isfinite(values).all():
                clock.say(f"vocoder {done}: a loss is not a number; back to the last good state")
                snapshot.restore(*optimisers)
            elif done % 200 == 0:
                snapshot.keep()
                clock.say(f"vocoder {done}: {_said(values)}")
    speed = (done - first_step) / max(1e-9, clock.now() - start)
    clock.say(f"vocoder {done}: {_said(losses.tolist())}; {speed:.1f} steps/s")
    return done


def _said(losses: list[float]) -> str:
    return (
        "loss {:.2f}, mel {:.3f}, spectrum {:.3f}, pleasing {:.2f}, features {:.2f}, judging {:.2f}"
    ).format(*losses)
