"""The autoregressive loop of XTTS over its GPT-2 weights, with torch alone.

Does what `GPT.generate` and `GPT.get_generator` of TTS have transformers do: the same prefix, the
same positions, the same treatment of the logits in the same order, and one draw per token of what
`torch.multinomial` draws, so that a seed gives the same tokens. The latents that the vocoder needs
are kept as they come, where TTS runs the whole GPT a second time.

One step serves every device. It reads and writes the buffers of a `Room`; a CPU looks at the
positions that are filled, others at a multiple of `BUCKET` behind a mask, so that shapes are few
and nothing but the end of a window waits for the device.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Callable, Iterator, NamedTuple, Optional, Sequence

from . import blocks, choosing, products
from .graphs import Replayer, replayer_for
from .rooms import BUCKET, PREFIX, Dice, Place, Room, Sizes, up_to
from .signature import plainly, signature
from .structure import DECODED_WITH, check_structure, longest_decode

if TYPE_CHECKING:
    from .options import Options

_FAKE_PROMPT_TOKEN = 1
"""`GPT.compute_embeddings` fills the prompt with this id, so the repetition penalty counts it."""


class Policy(NamedTuple):
    """How a device wants to be asked."""

    window: int
    """Tokens after which the host looks whether all rows have ended."""
    fixed: bool
    """Whether shapes are of a few sizes, and masks hide what is not filled."""
    fused: bool = False
    """Whether a single row goes through the kernels of `fused`, where Triton is there, and weights
    that are held shorter take the place of those of float32."""


WINDOW = 5
"""Where waiting for the device costs what a few steps beyond the end do. Of the 20 tokens that a
stream begins with by default it is a part."""
ON_CPU = Policy(window=1, fixed=False)
ON_DEVICE = Policy(window=WINDOW, fixed=True)
ON_CUDA = Policy(window=WINDOW, fixed=True, fused=True)
_POLICIES = {"cpu": ON_CPU, "cuda": ON_CUDA}
_HOST = "cpu"
"""Where weights wait that are held shorter on a card."""


class _Way(NamedTuple):
    """How the tokens of one decode are chosen."""

    options: Options
    warpings: int
    dice: Dice

    def key(self, room: Room) -> tuple[Any, ...]:
        """Return what tells apart steps that choose otherwise, or in other buffers."""
        return room.number, self.options._replace(max_new_tokens=0), self.warpings


class Decoder:
    """The weights of one `GPT` of TTS, ready to decode. Shares them; copies only to change them.

    What is held shorter on CUDA takes the place of the weights there. They, and what no decode
    needs, wait in the memory of the host until `bring_back`.

    Args:
        gpt: A loaded `TTS.tts.layers.xtts.gpt.GPT`.
        dtype: `bfloat16` or `float16` keeps a copy of the projections of all blocks in that type;
            everything else stays float32. None or `float32` copies nothing.
        quantize: `int8` keeps a copy of the projections as 8-bit integers with one scale per
            output channel (weight only).
        policy: How to ask the device, where that is not to follow from it.

    Raises:
        CannotAttach: `gpt` has a part that is missing, or shaped otherwise than XTTS has it.
        ValueError: Unknown `dtype` or `quantize`, or both.
    """

    def __init__(
        self,
        gpt: Any,
        *,
        dtype: Optional[str] = None,
        quantize: Optional[str] = None,
        policy: Optional[Policy] = None,
    ) -> None:
        check_structure(gpt)
        self._precision = dtype, quantize
        self._wanted_policy = policy
        self.gpt = gpt
        self.heads: int = gpt.heads
        self.channels: int = gpt.model_dim
        self.start: int = gpt.start_audio_token
        self.stop: int = gpt.stop_audio_token
        self.limit = longest_decode(gpt)
        self.replayer: Optional[Replayer] = None
        self._signature: Any = None
        self._idle: list[Room] = []
        """What is kept for the next decode: a room for one row, and one for several."""
        self._waiting: list[Any] = []
        self._follow()

    @property
    def kernel(self) -> str:
        """What multiplies a single row: `numba`, `triton`, `torch`; in a CUDA graph, or why not."""
        if self.replayer is None:
            return self._kernel
        if self.replayer.fault:
            return f"{self._kernel}; no CUDA graph: {self.replayer.fault}"
        return f"{self._kernel} in a CUDA graph"

    def usual_limit(self, prefix: Any) -> int:
        """Return how many tokens TTS decodes at most after a prefix, shape (b, n, channels)."""
        if hasattr(self.gpt, "max_gen_mel_tokens"):
            return self.limit
        # TTS up to 0.20.3 counts the prefix and the start token too; one token is always decoded.
        return max(1, self.limit - int(prefix.shape[1]) - 1)

    def prefix(self, cond_latents: Any, text_inputs: Any) -> Any:
        """Embed voice and text, shapes (1 or b, n, channels) and (b, t).

        Shape (b, n + t + 2, channels): the text gets its start and stop tokens.
        """
        import torch
        from torch.nn import functional as F

        text = F.pad(text_inputs, (0, 1), value=self.gpt.stop_text_token)
        text = F.pad(text, (1, 0), value=self.gpt.start_text_token)
        count, voiced = int(text.shape[1]), int(cond_latents.shape[1])
        room = total = voiced + count
        if self.policy.fixed:  # Texts of all lengths ask for memory in a few sizes.
            room = up_to(total, PREFIX)
            most = int(self.gpt.text_pos_embedding.emb.weight.shape[0])
            more = max(min(up_to(count, PREFIX), most) - count, 0)
            text = F.pad(text, (0, more), value=self.gpt.stop_text_token)
        embedded = self.gpt.text_embedding(text) + self.gpt.text_pos_embedding(text)
        kind = torch.promote_types(embedded.dtype, cond_latents.dtype)
        prefix = embedded.new_empty(len(embedded), room, self.channels, dtype=kind)[:, :total]
        prefix[:, :voiced] = cond_latents
        prefix[:, voiced:] = embedded[:, :count]
        return prefix

    def steps(
        self, prefix: Any, options: Options, *, warpings: int = 1
    ) -> Iterator[tuple[Any, Any]]:
        """Decode after `prefix`; yield each token and the latent that predicted it.

        Shapes (n,) and (n, channels), n sequences of the batch times `num_return_sequences`. The
        stop token is yielded too; a sequence that has ended goes on with stop tokens until all
        have. Call it inside `torch.inference_mode()` or `torch.no_grad()`. For `warpings` see
        `choosing.choose`.
        """
        rows = [row for row in prefix for _ in range(options.num_return_sequences)]
        for tokens, latents in self.windows(rows, options, warpings=warpings):
            yield from zip(tokens.unbind(dim=1), latents.unbind(dim=1))

    def windows(
        self,
        prefixes: Sequence[Any],
        options: Options,
        *,
        warpings: int = 1,
        generators: Optional[list[Any]] = None,
    ) -> Iterator[tuple[Any, Any]]:
        """Decode after prefixes of shape (n, channels), each of a length of its own.

        Yields tokens and latents, shapes (rows, k) and (rows, k, channels), as often as the host
        looks at them. With `generators`, one for each row, every row draws what it would draw
        alone.
        """
        self._follow()
        rows = len(prefixes)
        room = self._room(rows)
        dice = Dice(self._device, generators, self.policy.window)
        way = _Way(options, warpings, dice)
        lengths = [len(prefix) for prefix in prefixes]
        done = told = 0
        try:
            while done < options.max_new_tokens:
                until = min(told + self.policy.window, options.max_new_tokens)
                with plainly(self._device):
                    if done == 0:
                        self._begin(room, prefixes, lengths, way)
                        done = 1
                    while done < until:
                        self._advance(room, rows, max(lengths) + done, way)
                        done += 1
                    ended = room.ended[told:done].cpu().tolist()
                if True in ended:
                    until = told + ended.index(True) + 1
                    dice.take_back(done - until)
                tokens, latents = room.tokens[:rows], room.latents[:rows]
                yield tokens[:, told:until].clone(), latents[:, told:until].clone()
                if True in ended:
                    return
                told = until
        finally:
            others = [each for each in self._idle if (each.count == 1) != (room.count == 1)]
            self._idle = [room, *others]

    def latents(self, prefix: Any, codes: Any, *, one_by_one: bool = False) -> Any:
        """Return the latents that predict `codes`, shape (b, n), as (b, n, channels).

        `one_by_one` computes each code as a decode does, after those before it: slower, and in the
        precision of a decode, which is another than that of many positions at once.
        """
        import torch
        from torch.nn import functional as F

        self._follow()
        inputs = F.pad(codes[:, :-1], (1, 0), value=self.start)
        audio = self._audio(inputs, torch.arange(inputs.shape[1], device=inputs.device))
        count = max(prefix.shape[0], audio.shape[0])
        sequence = torch.cat([prefix.expand(count, -1, -1), audio.expand(count, -1, -1)], dim=1)
        length = int(sequence.shape[1])
        shape = (2, count, self.heads, length, self.channels // self.heads)
        layers = [sequence.new_empty(shape) for _ in self.blocks]
        first = int(prefix.shape[1]) + 1 if one_by_one else length
        with plainly(self._device):
            hidden = [self._hidden(sequence[:, :first], layers, Place(0, first))]
            for used in range(first, length):
                place = Place(used, used + 1)
                hidden.append(self._hidden(sequence[:, used : used + 1], layers, place))
            return self.gpt.final_norm(torch.cat(hidden, dim=1)[:, prefix.shape[1] :])

    def _follow(self) -> None:
        """Begin anew where a weight was moved, replaced or written to since the last decode."""
        import torch

        if self._what_is_decoded_with() == self._signature:
            return
        # Whatever was made of the former weights goes before more is made.
        self.blocks: list[blocks.Block] = []
        self.fused, self._idle, self._waiting = None, [], []
        self._device = self.gpt.mel_head.weight.device
        self.replayer = replayer_for(self._device, self.replayer)
        self.policy = self._wanted_policy or _POLICIES.get(self._device.type, ON_DEVICE)
        # What is made in inference mode would stay of it, the model's own weights too.
        with plainly(self._device), torch.inference_mode(mode=False), torch.no_grad():
            self.blocks, self._kernel = blocks.build(self.gpt.gpt.h, self._maker())
            if self.policy.fused:
                self.fused = self._fused()
                self._take(self.gpt.text_head.weight)  # which no decode looks at, nor at these:
                for layer in self.gpt.gpt.h:
                    if hasattr(layer.attn, "bias"):  # transformers' causal mask
                        self._take(layer.attn.bias)
        self._signature = self._what_is_decoded_with()

    def _what_is_decoded_with(self) -> Any:
        return [signature(getattr(self.gpt, part)) for part in DECODED_WITH]

    def _maker(self) -> Callable[[Any], products.Projection]:
        """Return what makes a projection, and takes away the weights that it does without."""
        make = products.projection_maker(*self._precision, alone=self.policy.fused)

        def made(layer: Any) -> products.Projection:
            projection = make(layer)
            if projection.weight is None:
                self._take(layer.weight)
            return projection

        return made

    def _take(self, tensor: Any) -> None:
        tensor.data = tensor.data.to(_HOST)
        self._waiting.append(tensor)

    def bring_back(self) -> None:
        """Give the model back what waits in the memory of the host.

        Whatever computes with the model's own code needs them; the next decode takes them again.
        """
        import torch

        if not self._waiting:
            return
        device = self.gpt.mel_head.weight.device
        with torch.inference_mode(mode=False):
            for tensor in self._waiting:
                tensor.data = tensor.data.to(device)
        self._waiting, self._signature = [], None

    def _fused(self) -> Any:
        """Return the blocks in Triton's kernels, or None where they cannot be had here.

        Raises:
            CannotAttach: They cannot, and shorter weights, which torch's own products of a single
                row make slower and not faster on a card, were asked for.
        """
        shorter = self.blocks[0].projections[0].held is not None
        try:
            made = blocks.fuse(self.blocks, self.heads)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            if shorter:
                self.bring_back()
                raise products.CannotAttach(
                    f"shorter weights are slower than float32 on {self._device.type} without "
                    f"Triton's kernels, which cannot be had here: {said}"
                ) from error
            self._kernel = f"torch: no Triton kernels: {said}"
            if getattr(error, "name", "") != "triton":  # which is not for every system
                warnings.warn(
                    f"xcompat decodes without Triton's kernels here, which is slower: {said}",
                    stacklevel=2,
                )
            return None
        self._kernel = "triton"
        return made

    def _room(self, rows: int) -> Room:
        """Return a room for so many rows; where shapes are fixed, one with more will do."""
        some = self.policy.fixed and rows > 1
        fit = [each for each in self._idle if each.count == rows or (some and each.count > rows)]
        if fit:
            room = min(fit, key=lambda each: each.count)
            self._idle.remove(room)
            return room
        count = 1 << (rows - 1).bit_length() if some else rows
        width = self.channels // self.heads
        vocabulary = int(self.gpt.num_audio_tokens)
        sizes = Sizes(len(self.blocks), self.heads, width, vocabulary, self.limit)
        return Room(count, sizes, self.gpt.mel_embedding.weight)

    def _begin(self, room: Room, prefixes: Sequence[Any], lengths: list[int], way: _Way) -> None:
        """Put the prefixes and the start tokens through the blocks; choose the first tokens."""
        import torch
        from torch.nn import functional as F

        longest = max(lengths) + 1
        padded = up_to(longest, PREFIX) if self.policy.fixed else longest
        room.begin(lengths, [_FAKE_PROMPT_TOKEN, self.start])
        room.reserve(padded)
        start = self._audio(self.start, 0)[None]
        rows = len(prefixes)
        inputs = room.entering(padded)[:rows]
        for row, prefix in enumerate(prefixes):
            inputs[row, : len(prefix)] = prefix
            inputs[row, len(prefix)] = start[0]
        if way.options.do_sample:
            way.dice.draw(room.noise[:rows])

        def first() -> None:
            layers = [layer[:, :rows] for layer in room.layers]
            hidden = self._hidden(inputs, layers, Place(0, padded))
            last = hidden[torch.arange(rows, device=self._device), room.at[:rows]]
            self._choose(room, F.pad(last, (0, 0, 0, room.count - rows)), way)

        key = ("first", rows, padded, *way.key(room))
        if self.replayer is None or not self.replayer.has_met(key):
            first()
        else:
            self.replayer.run(key, first, room.state())

    def _advance(self, room: Room, rows: int, used: int, way: _Way) -> None:
        """Put the last tokens through the blocks, behind `used` positions; choose the next."""
        room.reserve(used + 1)
        if way.options.do_sample:
            way.dice.draw(room.noise[:rows])
        fused = self.fused if room.count == 1 else None
        until = min(up_to(used + 1, BUCKET), room.capacity) if self.policy.fixed else used + 1
        if fused is not None:
            until = room.capacity  # one graph for all lengths
        by_host = not self.policy.fixed and room.same_lengths

        def step() -> None:
            if fused is not None:
                inputs = self._audio(room.token, room.index)
                hidden = self.gpt.gpt.ln_f(fused(inputs, room.layers, room.at))
                self._choose(room, hidden, way)
                return
            place = Place(used, until) if by_host else room.place(until)
            inputs = self._audio(room.token, room.index)[:, None]
            hidden = self._hidden(inputs, room.layers, place)[:, 0]
            self._choose(room, hidden, way)

        if self.replayer is None:
            step()
        else:
            self.replayer.run((until, *way.key(room)), step, room.state())

    def _audio(self, tokens: Any, positions: Any) -> Any:
        """Embed audio tokens at their positions."""
        return (
            self.gpt.mel_embedding.weight[tokens] + self.gpt.mel_pos_embedding.emb.weight[positions]
        )

    def _hidden(self, inputs: Any, layers: Sequence[Any], place: Place) -> Any:
        """Run the blocks on new positions, shape (n, t, channels), after those in `layers`."""
        hidden = inputs.reshape(-1, self.channels)
        for block, layer in zip(self.blocks, layers):
            hidden = block(hidden, layer, place)
        return self.gpt.gpt.ln_f(hidden).view(inputs.shape)

    def _choose(self, room: Room, hidden: Any, way: _Way) -> None:
        """Choose a token for each row, and note it and its latent; nothing waits for the device."""
        latent = self.gpt.final_norm(hidden)
        logits = self.gpt.mel_head(latent)
        token = choosing.choose(logits, room.seen, way.options, room.noise, warpings=way.warpings)
        token = token.masked_fill(room.running.logical_not(), self.stop)
        room.tokens.index_copy_(1, room.index, token[:, None])
        room.latents.index_copy_(1, room.index, latent[:, None])
        room.running.logical_and_(token != self.stop)
        room.ended.index_copy_(0, room.index, room.running.any().logical_not()[None])
        room.seen.scatter_(1, token[:, None], True)  # noqa: FBT003 - the value that is scattered
        room.token.copy_(token)
        room.index.add_(1)
        # Before the first token, `at` is the position of the start token.
        room.at.add_(1)
