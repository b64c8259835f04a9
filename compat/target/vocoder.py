"""The vocoder of XTTS over sounds of a few lengths, with its weights computed once.

A convolution of a new length costs more than its sum: oneDNN keeps what it compiled for each, the
allocator of a GPU a block of its size, and a captured graph knows no other. Here latents are
filled up to the next of a few lengths. What lies behind the true end is silenced before each
convolution that would see it, so that it meets the zeros that it would have met at the end.

The weights of a convolution with weight norm are a product that TTS computes for each sentence
anew; they change only with the model.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional

from .signature import signature, without_autocast

SLOPE = 0.1
"""Of the leaky ReLU between convolutions; before the last one it is torch's own."""


def padded(count: int) -> int:
    """Return to which length `count` latents are filled up: by fewer than 8, or an eighth."""
    step = 8
    while count > 16 * step:
        step *= 2
    return -(-count // step) * step


class Convolution(NamedTuple):
    """One convolution, ready to be called."""

    weight: Any
    bias: Any
    options: dict[str, Any]
    function: Callable[..., Any]

    @classmethod
    def of(cls, layer: Any) -> Convolution:
        """Return that of a `Conv1d` or `ConvTranspose1d`, its weight norm computed."""
        from torch.nn import functional as F

        options = {n: getattr(layer, n) for n in ("stride", "padding", "dilation", "groups")}
        function: Callable[..., Any] = F.conv1d
        if getattr(layer, "transposed", False):
            function, options["output_padding"] = F.conv_transpose1d, layer.output_padding
        # The older weight norm, of TTS before 0.20.3, computes the weight before each call.
        for compute in layer._forward_pre_hooks.values():  # noqa: SLF001 - torch lists them nowhere
            compute(layer, ())
        bias = None if layer.bias is None else layer.bias.detach()
        return cls(layer.weight.detach(), bias, options, function)

    def __call__(self, rows: Any) -> Any:
        """Return what comes of `rows`, shape (b, channels, n)."""
        return self.function(rows, self.weight, self.bias, **self.options)


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
    def of(cls, generator: Any) -> _Net:
        def convolution(owner: Any, name: str) -> Optional[Convolution]:
            return Convolution.of(getattr(owner, name)) if hasattr(owner, name) else None

        kernels = generator.num_kernels
        stages = []
        for index, up in enumerate(generator.ups):
            blocks = generator.resblocks[index * kernels : (index + 1) * kernels]
            voices = generator.conds if generator.cond_in_each_up_layer else None
            stages.append(
                _Stage(
                    Convolution.of(up),
                    None if voices is None else Convolution.of(voices[index]),
                    [
                        [
                            (Convolution.of(first), Convolution.of(second))
                            for first, second in zip(block.convs1, block.convs2)
                        ]
                        for block in blocks
                    ],
                    up.stride[0],
                )
            )
        return cls(
            Convolution.of(generator.conv_pre),
            convolution(generator, "cond_layer"),
            stages,
            Convolution.of(generator.conv_post),
        )

    def __call__(self, frames: Any, voice: Any, count: int) -> Any:
        """Return the sound of `count` frames; `frames`, (b, channels, n), are zero behind them."""
        import torch
        from torch.nn import functional as F

        rows = self.first(frames)
        if self.voice is not None:
            rows = rows + self.voice(voice)
        for stage in self.stages:
            rows = stage.up(_silenced(F.leaky_relu(rows, SLOPE), count))
            count *= stage.factor
            if stage.voice is not None:
                rows = rows + stage.voice(voice)
            total = _block(stage.blocks[0], rows, count)
            for block in stage.blocks[1:]:
                total += _block(block, rows, count)
            rows = total / len(stage.blocks)
        return torch.tanh(self.last(_silenced(F.leaky_relu(rows), count)))


def _block(convolutions: list[tuple[Convolution, Convolution]], rows: Any, count: int) -> Any:
    from torch.nn import functional as F

    for first, second in convolutions:
        inner = first(_silenced(F.leaky_relu(rows, SLOPE), count))
        inner = second(_silenced(F.leaky_relu(inner, SLOPE), count))
        rows = inner + rows
    return rows


def _silenced(rows: Any, count: int) -> Any:
    """Set what lies behind the first `count` positions to zero, in place."""
    rows[..., count:].zero_()
    return rows


class Vocoder:
    """Stands in for `forward` of one `HifiDecoder` of TTS.

    Args:
        module: The `hifigan_decoder` of a loaded XTTS.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._signature: Any = None
        self._net: Any = None

    def __call__(self, latents: Any, g: Any = None) -> Any:
        """Return the sound of latents, shape (b, n, channels), as (b, 1, samples)."""
        import torch

        generator = self._module.waveform_decoder
        with torch.no_grad(), without_autocast(latents.device.type):
            current = signature(generator)
            if current != self._signature:
                self._signature, self._net = current, _Net.of(generator)
            kind = self._net.first.weight.dtype
            frames, count = self._frames(latents.to(kind))
            factor = 1
            for stage in self._net.stages:
                factor *= stage.factor
            sound = self._net(frames, g.to(kind), count)
            return sound[..., : count * factor]

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
        return _silenced(frames, count), count
