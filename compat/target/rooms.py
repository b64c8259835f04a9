"""Where a decode keeps what it needs between tokens: buffers that are made once and used again."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple, Optional

SMALLEST = 256
"""Positions that the first buffers of a decode hold; they double until they are enough."""
BUCKET = 128
"""Where shapes are fixed, the positions that a token looks at are a multiple of this."""
PREFIX = 32
"""Where shapes are fixed, the positions of a first pass are a multiple of this."""


_NUMBERS = itertools.count()


def up_to(count: int, step: int) -> int:
    """Return the next multiple of `step`."""
    return -(-count // step) * step


class Sizes(NamedTuple):
    """Of what the buffers are made, but for the number of rows."""

    blocks: int
    heads: int
    width: int
    """Channels of a head."""
    vocabulary: int
    limit: int
    """Tokens of the longest decode."""


class Room:
    """The state of one decode of up to `count` rows. Steps write into it; nothing is made anew.

    Only keys and values grow, by doubling: what was longest stays, so that the sizes that are
    asked of an allocator are few, and soon no new one comes.
    """

    def __init__(self, count: int, sizes: Sizes, like: Any) -> None:
        import torch

        self.count, self.sizes, self._like = count, sizes, like
        self.number = -1
        """Of these buffers, for ever: addresses are given to others when they are gone."""
        self.capacity = 0
        self.layers: list[Any] = []
        self.same_lengths = True
        channels = sizes.heads * sizes.width

        def zeros(*shape: int, kind: Any = torch.long) -> Any:
            return torch.zeros(*shape, dtype=kind, device=like.device)

        # What is made in inference mode could not be written to outside of it.
        with torch.inference_mode(mode=False):
            self.at = zeros(count)
            """Position of the last input of each row, in keys and values."""
            self.index = zeros(1)
            """Tokens that were chosen."""
            self.token = zeros(count)
            self.seen = zeros(count, sizes.vocabulary, kind=torch.bool)
            self.running = zeros(count, kind=torch.bool)
            self.noise = zeros(count, sizes.vocabulary, kind=torch.float32)
            self.tokens = zeros(count, sizes.limit)
            self.latents = zeros(count, sizes.limit, channels, kind=like.dtype)
            self.ended = zeros(sizes.limit, kind=torch.bool)
            """Of each token, whether no row runs after it."""

    def begin(self, lengths: list[int], seen: list[int]) -> None:
        """Start anew after prefixes of these lengths; `seen` are tokens that count as chosen.

        Rows that have no prefix are there, and have ended.
        """
        import torch

        self.same_lengths = len(set(lengths)) == 1
        if self.same_lengths:
            self.at.fill_(lengths[0])
        else:
            self.at[: len(lengths)].copy_(torch.tensor(lengths))
        self.index.zero_()
        self.seen.zero_()
        for token in seen:
            self.seen[:, token].fill_(value=True)
        self.running.zero_()
        self.running[: len(lengths)].fill_(value=True)

    def reserve(self, positions: int) -> None:
        """See to it that keys and values of so many positions fit."""
        import torch

        if positions <= self.capacity:
            return
        self.number = next(_NUMBERS)
        capacity = max(self.capacity, SMALLEST)
        while capacity < positions:
            capacity *= 2
        sizes = self.sizes
        shape = (2, self.count, sizes.heads, capacity, sizes.width)
        with torch.inference_mode(mode=False), torch.no_grad():
            for index in range(sizes.blocks):
                # One block at a time, so that old and new are not all there at once. What a mask
                # hides must be finite all the same: zero times infinity is not zero.
                grown = torch.zeros(shape, dtype=self._like.dtype, device=self._like.device)
                if self.capacity:
                    grown[:, :, :, : self.capacity] = self.layers[index]
                    self.layers[index] = grown
                else:
                    self.layers.append(grown)
            entering = self.count * capacity * sizes.heads * sizes.width
            self._entering = self._like.new_zeros(entering)
            self.range = torch.arange(capacity, device=self._like.device)
            rows = torch.arange(2 * self.count * sizes.heads, device=self._like.device)
            self.first = rows * capacity
        self.capacity = capacity

    def entering(self, positions: int) -> Any:
        """Return where a first pass takes its input from, zeros of (rows, positions, channels)."""
        channels = self.sizes.heads * self.sizes.width
        some = self._entering[: self.count * positions * channels].zero_()
        return some.view(self.count, positions, channels)

    def state(self) -> tuple[Any, ...]:
        """Return what a step reads and changes, but for keys and values."""
        return (self.at, self.index, self.token, self.seen, self.running, self.ended)

    def place(self, until: int) -> Place:
        """Return where one new position of each row goes, by what the device knows alone."""
        import torch

        filled = self.range[:until] <= self.at[:, None]
        hidden = torch.zeros(filled.shape, dtype=self._like.dtype, device=self._like.device)
        hidden = hidden.masked_fill(filled.logical_not(), float("-inf"))
        heads = self.sizes.heads
        flat = self.first.view(2, self.count, heads) + self.at[None, :, None]
        mask = hidden[:, None, None].expand(-1, heads, -1, -1).reshape(-1, 1, until)
        return Place(0, until, flat.view(-1), mask)


class Place(NamedTuple):
    """Where in keys and values new positions go, and which they look at."""

    used: int
    """Positions before, where the host knows them and they are the same in all rows."""
    until: int
    """Positions that are looked at, at most."""
    flat: Optional[Any] = None
    """Of each new position its index among all, where rows differ or the device alone knows."""
    mask: Optional[Any] = None
    """What is added to the scores, shape (rows * heads, 1, until)."""


class Dice:
    """Draws the noise that choices are made with, and can take draws back.

    Args:
        device: Where the noise is.
        generators: One for each row, so that a row draws what it would draw alone; else the
            generator of the device, one tensor for all rows, as `torch.multinomial` draws.
        steps_back: Draws that may be taken back.
    """

    def __init__(self, device: Any, generators: Optional[list[Any]], steps_back: int) -> None:
        self._device, self._generators = device, generators
        self._before: list[Any] = []
        self._steps_back = 0 if generators else steps_back

    def draw(self, noise: Any) -> None:
        """Fill `noise`, shape (rows, vocabulary)."""
        if self._steps_back:
            self._before = [*self._before[1 - self._steps_back :], self._state()]
        if self._generators is None:
            noise.exponential_()
            return
        for row, generator in zip(noise, self._generators):
            row.exponential_(generator=generator)

    def take_back(self, draws: int) -> None:
        """Leave the random state as it was before the last `draws`."""
        if not draws or not self._before:
            return
        import torch

        kind, state = self._device.type, self._before[-draws]
        if kind == "cpu":
            torch.set_rng_state(state)
        elif kind == "cuda":
            torch.cuda.set_rng_state(state, self._device)
        else:
            getattr(torch, kind).set_rng_state(state)

    def _state(self) -> Any:
        import torch

        kind = self._device.type
        if kind == "cuda":
            return torch.cuda.get_rng_state(self._device)
        return torch.get_rng_state() if kind == "cpu" else getattr(torch, kind).get_rng_state()
