"""Teach the GPT to say the next audio code and to know what the codes sound like."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Iterator, Optional, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import features
import speech
from data import Store
from model import LATENTS, STOP_CODE, Gpt, trainable
from steps import Clock, Snapshot, Stepper, cosine, optimiser, set_rate

SWAPPED = 0.12
"""Share of the input codes that are replaced by codes that sound alike."""
TEXT_WEIGHT, SOUND_WEIGHT = 0.02, 1.0
REFERENCES = 4
"""Reference clips of each voice in a step."""
HELD_BACK = 97
"""Every so many sentences one is not learned from but measured on."""

_BOUNDS = (112, 144, 192)
"""Positions by which utterances are sorted into batches of about equal length."""
_PEAK_RATE = 1.5e-3
_CLIPS = 24
"""Reference clips of each voice when latents are made for the vocoder."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """Of a batch: utterances, text tokens, codes with the start code, positions in all."""

    rows: int
    text: int
    codes: int
    length: int


class Lessons:
    """Sorts the utterances of a store into batches of few shapes, which are fixed at once."""

    def __init__(self, store: Store, *, positions: int, chance: Any) -> None:
        self.store, self.chance = store, chance
        table = self._table()
        groups = self._groups(table)
        self.shapes = []
        for members in groups:
            texts = store.text_lengths_here[table[members, 3]] if len(members) else np.array([8])
            codes = table[members, 1] + 1 if len(members) else np.array([8])
            length = int((LATENTS + texts + codes).max())
            length = -(-length // 8) * 8
            self.shapes.append(
                Shape(max(4, positions // length), int(texts.max()), int(codes.max()), length)
            )
        self.refresh()

    def _table(self) -> Any:
        return np.array(self.store.rows, np.int64).reshape(-1, 5)

    def _groups(self, table: Any) -> list[Any]:
        lengths = LATENTS + self.store.text_lengths_here[table[:, 3]] + table[:, 1] + 1
        learned = table[:, 3] % HELD_BACK != 0
        group = np.digitize(lengths, _BOUNDS)
        return [np.flatnonzero((group == index) & learned) for index in range(len(_BOUNDS) + 1)]

    def refresh(self) -> None:
        """Take in what the store has gained; what fits no shape is left out."""
        table = self._table()
        self.members = []
        for shape, members in zip(self.shapes, self._groups(table)):
            texts = self.store.text_lengths_here[table[members, 3]]
            counts = table[members, 1] + 1
            fits = (texts <= shape.text) & (counts <= shape.codes)
            fits &= LATENTS + texts + counts <= shape.length
            self.members.append(members[fits])
        self.quick = table[:, 4] == speech.VOICES.index(speech.QUICK)
        held = np.flatnonzero(table[:, 3] % HELD_BACK == 0)
        self.held_back = held[np.argsort(table[held, 1])]

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Yield (shape, utterances) for ever; the quick voice half as often as it is there."""
        while True:
            batches = []
            for index, (shape, members) in enumerate(zip(self.shapes, self.members)):
                kept = members[~self.quick[members] | (self.chance.random(len(members)) < 0.5)]
                kept = self.chance.permutation(kept)
                if len(members) and len(kept) < shape.rows:
                    kept = self.chance.choice(members, shape.rows)
                whole = len(kept) // shape.rows * shape.rows
                batches += [(index, part) for part in kept[:whole].reshape(-1, shape.rows)]
            for number in self.chance.permutation(len(batches)):
                yield batches[number]


class Lesson:
    """One step of training on a batch of one shape."""

    def __init__(
        self, gpt: Gpt, sound: nn.Module, store: Store, adam: Any, shape: Shape, frames: int
    ) -> None:
        self.gpt, self.sound, self.store = gpt, sound, store
        self.adam, self.shape, self.frames = adam, shape, frames
        self.parameters = [*trainable(gpt), *sound.parameters()]

    def losses(self, utterances: Tensor, *, swapped: float) -> Tensor:
        """Return the losses: all together, of the codes, of the text, of the sound."""
        store, device = self.store, self.store.device
        batch = store.batch(utterances, self.shape.text, self.shape.codes)
        # Nothing here may copy from the host or wait for it: a graph is captured of this.
        each = torch.arange(len(speech.VOICES) * REFERENCES, device=device) // REFERENCES
        pick = torch.randint(REFERENCES, batch.voices.shape, device=device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            voices = self.gpt.voice(store.reference(each, self.frames))
            codes = store.swapped(batch.codes, swapped) if swapped else batch.codes
            at_text, at_codes = self.gpt(
                voices.index_select(0, batch.voices * REFERENCES + pick),
                batch.texts,
                batch.text_lengths,
                codes,
                self.shape.length,
            )
            text_logits = self.gpt.text_head(at_text[:, :-1])
            code_logits = self.gpt.mel_head(at_codes)
            heard = self.sound(at_codes[:, 1:])
        place = torch.arange(self.shape.codes, device=device)[None, :]
        wanted = F.pad(batch.codes[:, 1:], (0, 1), value=STOP_CODE)
        wanted = wanted.masked_fill(place > batch.counts[:, None], -100)
        places = torch.arange(self.shape.text - 1, device=device)[None, :]
        text = batch.texts[:, 1:].masked_fill(places >= batch.text_lengths[:, None] - 1, -100)
        of_codes = F.cross_entropy(code_logits.float().flatten(0, 1), wanted.flatten())
        of_text = F.cross_entropy(text_logits.float().flatten(0, 1), text.flatten())
        inside = (place[:, 1:] <= batch.counts[:, None])[..., None]
        distance = (heard.float() - batch.sound.float()).abs() * inside
        of_sound = distance.sum() / (inside.sum() * features.WIDTH)
        total = of_codes + TEXT_WEIGHT * of_text + SOUND_WEIGHT * of_sound
        return torch.stack((total, of_codes, of_text, of_sound))

    def __call__(self, utterances: Tensor) -> Tensor:
        self.adam.zero_grad(set_to_none=True)
        losses = self.losses(utterances, swapped=SWAPPED)
        losses[0].backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.adam.step()
        return losses.detach()


def learn(
    gpt: Gpt,
    lessons: Lessons,
    clock: Clock,
    *,
    until: float,
    graph: bool,
    frames: Sequence[int],
    refresh: Optional[Callable[[], Any]] = None,
    refresh_at: tuple[float, ...] = (),
    most_steps: Optional[int] = None,
) -> int:
    """Train until the clock says `until`; return the steps made."""
    store, device = lessons.store, lessons.store.device
    sound = nn.Linear(gpt.sizes.channels, features.WIDTH).to(device)
    decayed = [p for p in trainable(gpt) if p.dim() > 1]
    plain = [p for p in (*trainable(gpt), *sound.parameters()) if p.dim() <= 1]
    groups = [
        {"params": [*decayed, sound.weight], "weight_decay": 0.05},
        {"params": plain, "weight_decay": 0.0},
    ]
    adam = optimiser(groups, device, betas=(0.9, 0.98))
    gpt.train()
    steppers: dict[tuple[int, int], Stepper] = {}
    began = clock.now()
    snapshot = Snapshot(gpt, sound)
    refresh_left = [began + part * (until - began) for part in refresh_at]
    losses = torch.zeros(4)
    done = 0
    stream = iter(lessons)
    while clock.now() < until and (most_steps is None or done < most_steps):
        index, utterances = next(stream)
        given = torch.from_numpy(utterances).to(device, non_blocking=True)
        part = (clock.now() - began) / (until - began)
        set_rate(adam, _PEAK_RATE * cosine(part, done, warm_up=300))
        key = index, int(lessons.chance.choice(frames))
        if key not in steppers:
            lesson = Lesson(gpt, sound, store, adam, lessons.shapes[index], key[1])
            steppers[key] = Stepper(lesson, [given], graph=graph)
        losses = steppers[key](given)
        done += 1
        if done % 50 == 0:
            values = losses.tolist()
            if not np.isfinite(values).all():
                clock.say(f"gpt {done}: a loss is not a number; back to the last good state")
                snapshot.restore(adam)
            elif done % 500 == 0:
                snapshot.keep()
                clock.say(f"gpt {done}: {_said(values)}")
        if refresh and refresh_left and clock.now() > refresh_left[0]:
            refresh_left.pop(0)
            clock.say(f"gpt {done}: {_said(losses.tolist())}; {refresh()} utterances now")
            lessons.refresh()
            stream = iter(lessons)
    clock.say(
        f"gpt {done}: {_said(losses.tolist())}; {done / max(1e-9, clock.now() - began):.1f} steps/s"
    )
    _measure(gpt, sound, lessons, adam, clock, frames[0])
    return done


@torch.no_grad()
def _measure(
    gpt: Gpt, sound: nn.Module, lessons: Lessons, adam: Any, clock: Clock, frames: int
) -> None:
    held = lessons.held_back[:: max(1, len(lessons.held_back) // 1500)]
    if not len(held):
        return
    gpt.eval()
    table = np.array(lessons.store.rows, np.int64)[held]
    texts = int(lessons.store.text_lengths_here[table[:, 3]].max())
    codes = int(table[:, 1].max()) + 1
    shape = Shape(64, texts, codes, LATENTS + texts + codes)
    lesson = Lesson(gpt, sound, lessons.store, adam, shape, frames)
    parts = [
        lesson.losses(torch.from_numpy(part).to(lessons.store.device), swapped=0.0)
        for part in np.array_split(held, max(1, len(held) // 64))
    ]
    clock.say(f"gpt on sentences it has not seen: {_said(torch.stack(parts).mean(0).tolist())}")


def _said(losses: list[float]) -> str:
    return "loss {:.3f}, codes {:.3f}, text {:.3f}, sound {:.3f}".format(*losses)


@torch.no_grad()
def latents(gpt: Gpt, store: Store, *, swapped: float, frames: int, rows: int = 256) -> Tensor:
    """Return the latents of all utterances, as `inference` would hand them to the vocoder.

    Utterance `u` has one more than codes, from place `table[u, 0] + u`.
    """
    gpt.eval()
    table = np.array(store.rows, np.int64).reshape(-1, 5)
    each = torch.arange(len(speech.VOICES) * _CLIPS, device=store.device) // _CLIPS
    voices = gpt.voice(store.reference(each, frames))
    out = torch.zeros(
        store.used_codes + len(table), gpt.sizes.channels, dtype=torch.float16, device=store.device
    )
    order = np.argsort(table[:, 1] + store.text_lengths_here[table[:, 3]])
    for members in np.array_split(order, max(1, len(order) // rows)):
        mine = torch.from_numpy(members).to(store.device)
        texts = int(store.text_lengths_here[table[members, 3]].max())
        codes = int(table[members, 1].max()) + 1
        batch = store.batch(mine, texts, codes)
        pick = torch.randint(_CLIPS, batch.voices.shape, device=store.device)
        given = store.swapped(batch.codes, swapped) if swapped else batch.codes
        length = LATENTS + texts + codes
        mine_voices = voices[batch.voices * _CLIPS + pick]
        _, at_codes = gpt(mine_voices, batch.texts, batch.text_lengths, given, length)
        place = torch.arange(codes, device=store.device)[None, :]
        inside = place <= batch.counts[:, None]
        where = (store.table[mine, :1] + mine[:, None] + place)[inside]
        out[where] = at_codes[inside].half()
    return out
