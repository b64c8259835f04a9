"""The vocoder of XTTS over sounds of a few lengths, with its weights computed once.

A convolution of a new length costs more than its sum: oneDNN keeps what it compiled for each, the
allocator of a GPU a block of its size, and a captured graph knows no other. Here latents are
filled up to the next of a few lengths. What lies behind the true end is silenced before each
convolution that would see it, so that it meets the zeros that it would have met at the end.

The weights of a convolution with weight norm are a product that TTS computes for each sentence
anew; they change only with the model. On CUDA that is left so, for their memory: 52 MiB.

On CUDA a length that was met before is recorded as a graph, and replayed: hundreds of kernels are
launched at once, those of the weights too. Where the true end is, such a graph reads on the device.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any, Callable, Hashable, Iterator, NamedTuple, Optional, Sequence

from .graphs import MOST, Replayer, replayer_for
from .signature import plainly, signature

SLOPE = 0.1
"""Of the leaky ReLU between convolutions; before the last one it is torch's own."""
AT_ONCE = 512
"""Latents of all sounds that a card makes at once: eight sentences, which takes half a GB."""
LONGEST_GRAPH = 256
"""Latents of the longest sound that is recorded (12 s): of longer ones the launches are little, and
what they compute in much."""


def padded(count: int) -> int:
    """Return to which length `count` latents are filled up: by fewer than 8, or an eighth."""
    step = 8
    while count > 16 * step:
        step *= 2
    return -(-count // step) * step


class Convolution(NamedTuple):
    """One convolution, ready to be called."""

    layer: Any
    weight: Optional[Any]
    """None where it is computed at each call."""
    bias: Any
    options: dict[str, Any]
    function: Callable[..., Any]

    @classmethod
    def of(cls, layer: Any, *, once: bool) -> Convolution:
        """Return that of a `Conv1d` or `ConvTranspose1d`.

        Args:
            layer: With or without weight norm.
            once: Whether the weight norm is computed now, and not at each call.
        """
        from torch.nn import functional as F

        options = {n: getattr(layer, n) for n in ("stride", "padding", "dilation", "groups")}
        function: Callable[..., Any] = F.conv1d
        if getattr(layer, "transposed", False):
            function, options["output_padding"] = F.conv_transpose1d, layer.output_padding
        bias = None if layer.bias is None else layer.bias.detach()
        return cls(layer, _weight(layer) if once else None, bias, options, function)

    def __call__(self, rows: Any) -> Any:
        """Return what comes of `rows`, shape (b, channels, n)."""
        weight = _weight(self.layer) if self.weight is None else self.weight
        return self.function(rows, weight, self.bias, **self.options)


def _weight(layer: Any) -> Any:
    # The older weight norm, of TTS before 0.20.3, computes the weight before each call.
    for compute in layer._forward_pre_hooks.values():  # noqa: SLF001 - torch lists them nowhere
        compute(layer, ())
    return layer.weight.detach()


class _Stage(NamedTuple):
    """From one rate to the next: a transposed convolution, and blocks that are averaged."""

    up: Convolution
    voice: Optional[Convolution]
    blocks: list[list[tuple[Convolution, Convolution]]]
    factor: int


class _Net(NamedTuple):
    first: Convolution
    voice: Optional[Convolution]
    stages: list[_Stage]
    last: Convolution

    @classmethod
    def of(cls, generator: Any, *, once: bool = True) -> _Net:
        of = functools.partial(Convolution.of, once=once)
        kernels = generator.num_kernels
        stages = []
        for index, up in enumerate(generator.ups):
            blocks = generator.resblocks[index * kernels : (index + 1) * kernels]
            voices = generator.conds if generator.cond_in_each_up_layer else None
            stages.append(
                _Stage(
                    of(up),
                    None if voices is None else of(voices[index]),
                    [
                        [(of(first), of(second)) for first, second in zip(b.convs1, b.convs2)]
                        for b in blocks
                    ],
                    up.stride[0],
                )
            )
        return cls(
            of(generator.conv_pre),
            of(generator.cond_layer) if hasattr(generator, "cond_layer") else None,
            stages,
            of(generator.conv_post),
        )

    @property
    def like(self) -> Any:
        """A tensor of the type, and on the device, that it computes in and on."""
        return self.first.bias

    @property
    def factor(self) -> int:
        """Samples of a frame."""
        return math.prod(stage.factor for stage in self.stages)

    def __call__(self, frames: Any, voice: Any, silenced: _Silence) -> Any:
        """Return the sound of frames, shape (b, channels, n), that are zero behind their end.

        `silenced` sets what lies behind the end to zero, in place, given how many positions a frame
        has there.
        """
        import torch
        from torch.nn import functional as F

        rows, factor = self.first(frames), 1
        if self.voice is not None:
            rows = rows + self.voice(voice)
        for stage in self.stages:
            rows = stage.up(silenced(F.leaky_relu(rows, SLOPE), factor))
            factor *= stage.factor
            if stage.voice is not None:
                rows = rows + stage.voice(voice)
            total = _block(stage.blocks[0], rows, factor, silenced)
            for block in stage.blocks[1:]:
                total += _block(block, rows, factor, silenced)
            rows = total / len(stage.blocks)
        return torch.tanh(self.last(silenced(F.leaky_relu(rows), factor)))


_Silence = Callable[[Any, int], Any]


def _block(
    convolutions: list[tuple[Convolution, Convolution]], rows: Any, factor: int, silenced: _Silence
) -> Any:
    from torch.nn import functional as F

    for first, second in convolutions:
        inner = first(silenced(F.leaky_relu(rows, SLOPE), factor))
        inner = second(silenced(F.leaky_relu_(inner, SLOPE), factor))
        rows = inner + rows
    return rows


def _behind(count: int) -> _Silence:
    """Return what silences all behind `count` frames."""

    def silenced(rows: Any, factor: int) -> Any:
        rows[..., count * factor :].zero_()
        return rows

    return silenced


def _behind_ends(ends: Any, positions: Any) -> _Silence:
    """Return what silences all behind as many frames as a tensor says; no shape follows them.

    Args:
        ends: Frames that count, shape (1,) or, of each row its own, (b, 1, 1).
        positions: 0, 1, 2 and so on, as many as there are samples.
    """
    hidden: dict[int, Any] = {}

    def silenced(rows: Any, factor: int) -> Any:
        if factor not in hidden:
            hidden[factor] = positions[: rows.shape[-1]] >= ends * factor
        return rows.masked_fill_(hidden[factor], 0.0)

    return silenced


class _Buffers:
    """Where a graph of one shape finds its inputs, and leaves the sound.

    Args:
        frames: Of that shape, (b, channels, n).
        voice: Speaker embedding, shape (b or 1, channels, 1).
        net: What is to be recorded.
    """

    def __init__(self, frames: Any, voice: Any, net: _Net) -> None:
        import torch

        samples = int(frames.shape[-1]) * net.factor
        # What is made in inference mode could not be written to outside of it.
        with torch.inference_mode(mode=False), torch.no_grad():
            self._frames, self._voice = torch.zeros_like(frames), torch.zeros_like(voice)
            self.sound = frames.new_zeros(len(frames), 1, samples)
            self._end = torch.zeros(1, dtype=torch.long, device=frames.device)
            """Frames that count."""
            self._positions = torch.arange(samples, device=frames.device)
        self._net = net

    def fill(self, frames: Any, voice: Any, count: int) -> None:
        """Put in what the next sound is to be made of."""
        self._frames.copy_(frames)
        self._voice.copy_(voice)
        self._end.fill_(count)

    def compute(self) -> None:
        """Make the sound; nothing is read on the host, and shapes do not follow the end."""
        silenced = _behind_ends(self._end, self._positions)
        self.sound.copy_(self._net(self._frames, self._voice, silenced))


class Vocoder:
    """Stands in for `forward` of one `HifiDecoder` of TTS.

    Args:
        module: The `hifigan_decoder` of a loaded XTTS.
        replayer_for: As `graphs.replayer_for`.
        at_once: Latents of all sounds that `each` makes at once, where that is not to follow from
            the device.
    """

    def __init__(
        self,
        module: Any,
        replayer_for: Callable[..., Optional[Replayer]] = replayer_for,
        at_once: Optional[int] = None,
    ) -> None:
        self._module = module
        self._wanted_at_once = at_once
        self._replayer_for = replayer_for
        self._replayer: Optional[Replayer] = None
        self._signature: Any = None
        self._net: Any = None
        self._buffers: dict[Hashable, _Buffers] = {}

    @property
    def kernel(self) -> str:
        """What computes: `torch`; in a CUDA graph, or why not."""
        if self._replayer is None:
            return "torch"
        if self._replayer.fault:
            return f"torch; no CUDA graph: {self._replayer.fault}"
        return "torch in a CUDA graph"

    def __call__(self, latents: Any, g: Any = None) -> Any:
        """Return the sound of latents, shape (b, n, channels), as (b, 1, samples)."""
        import torch

        with torch.no_grad(), plainly(latents.device):
            self._follow()
            kind = self._net.like.dtype
            frames, count = self._frames(latents.to(kind))
            voice = g.to(kind)
            buffers = self._recorded(frames, voice, count, int(latents.shape[1]))
            if buffers is None:
                sound = self._net(frames, voice, _behind(count))
                return sound[..., : count * self._net.factor]
            # The next sound of this shape is made in the same place.
            return buffers.sound[..., : count * self._net.factor].clone()

    def each(self, latents: Sequence[Any], g: Any) -> Iterator[Any]:
        """Yield the sounds of many latents, each of shape (n, channels), as (1, 1, samples).

        On CUDA those of like lengths are made at once, which takes hardly longer than one of them.
        The others of such a group are at hand when their turn comes.
        """
        import torch

        sounds: dict[int, Any] = {}
        for index, one in enumerate(latents):
            if index not in sounds:
                length = padded(len(one))
                most = self._wanted_at_once
                if most is None:
                    most = AT_ONCE if one.device.type == "cuda" else 0
                alike = [
                    other
                    for other in range(index, len(latents))
                    if other not in sounds and padded(len(latents[other])) == length
                ][: max(1, most // length)]
                if len(alike) == 1:
                    sounds[index] = self(one[None], g)
                else:
                    with torch.no_grad(), plainly(one.device):
                        sounds.update(zip(alike, self._at_once([latents[i] for i in alike], g)))
            yield sounds.pop(index)

    def _at_once(self, latents: Sequence[Any], g: Any) -> Iterator[Any]:
        """Make the sounds of latents that are filled up to the same length."""
        import torch
        from torch.nn import functional as F

        self._follow()
        net, kind = self._net, self._net.like.dtype
        some, counts = zip(*(self._frames(one[None].to(kind)) for one in latents))
        longest = max(int(each.shape[-1]) for each in some)
        frames = torch.cat([F.pad(each, (0, longest - each.shape[-1])) for each in some])
        ends = torch.tensor(counts, device=frames.device)[:, None, None]
        positions = torch.arange(longest * net.factor, device=frames.device)
        made = net(frames, g.to(kind), _behind_ends(ends, positions))
        for count, sound in zip(counts, made.split(1)):
            yield sound[..., : count * net.factor]

    def _follow(self) -> None:
        """Begin anew where a weight was moved, replaced or written to since the last sound."""
        generator = self._module.waveform_decoder
        current = signature(generator)
        if current == self._signature:
            return
        device = generator.conv_pre.bias.device
        self._buffers.clear()
        self._replayer = self._replayer_for(device, self._replayer, does="speaks")
        self._net = _Net.of(generator, once=self._replayer is None)
        self._signature = current

    def _recorded(self, frames: Any, voice: Any, count: int, latents: int) -> Optional[_Buffers]:
        """Compute in a graph and return where the sound is; None where that is not to be done."""
        replayer = self._replayer
        if replayer is None or replayer.fault or len(frames) > 1:
            return None
        if latents > LONGEST_GRAPH:
            _say_once(
                f"sounds of more than {LONGEST_GRAPH} audio tokens are computed without a CUDA "
                f"graph, which costs them little"
            )
            return None
        key = (tuple(frames.shape), tuple(voice.shape))
        if not replayer.has_met(key):
            return None
        if key not in self._buffers:
            if len(self._buffers) == MOST:
                _say_once(f"sounds of more than {MOST} shapes are computed without a CUDA graph")
                return None
            self._buffers[key] = _Buffers(frames, voice, self._net)
        buffers = self._buffers[key]
        replayer.follow_stream()
        buffers.fill(frames, voice, count)
        replayer.run(key, buffers.compute, ())
        return buffers

    def _frames(self, latents: Any) -> tuple[Any, int]:
        """Interpolate as TTS does; return the frames, zero behind the end, and how many count."""
        from torch.nn import functional as F

        module, count = self._module, int(latents.shape[1])
        more = padded(count) - count
        # At the end, interpolation takes the last latent for the next one.
        frames = F.pad(latents.transpose(1, 2), (0, more), mode="replicate")
        scales = [module.ar_mel_length_compression / module.output_hop_length]
        if module.output_sample_rate != module.input_sample_rate:
            scales.append(module.output_sample_rate / module.input_sample_rate)
        for scale in scales:
            # Where that adds no whole frame, as to two latents, torch copies in place of it.
            if int(count * scale) != count:
                frames = F.interpolate(frames, scale_factor=scale, mode="linear")
            count = int(count * scale)
        return _behind(count)(frames, 1), count


@functools.lru_cache(maxsize=None)
def _say_once(message: str) -> None:
    warnings.warn(message, stacklevel=4)
