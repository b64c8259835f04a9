"""The trained parts of XTTS v2 in plain torch, with the parameter names of the real classes.

`Gpt` is `TTS.tts.layers.xtts.gpt.GPT` without transformers, and `Vocoder` the live slice of the
`HifiganGenerator` inside `HifiDecoder`: the real one fixes 512 channels, of which only the first
few are anything but zero (`widen`). `python -m pytest`-style proof that both compute what the real
classes do is in `export.py --prove`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Callable, Iterator, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LATENTS = 32
"""Latents by which the perceiver sums up a reference clip."""
ENCODER_BLOCKS = 6
PERCEIVER_LAYERS = 2
PERCEIVER_HEADS, PERCEIVER_HEAD_WIDTH = 8, 64
MELS = 80
CODES = 1024
START_CODE, STOP_CODE = 1024, 1025
UNUSED_CODE = 1
"""`GPT.compute_embeddings` fills the prefix with this id: the repetition penalty always hits it."""
CODE_SAMPLES = 1024
"""Samples at 22,050 Hz for which one code stands."""
INPUT_RATE, OUTPUT_RATE = 22_050, 24_000
OUTPUT_HOP = 256
FRAMES_PER_CODE = CODE_SAMPLES // OUTPUT_HOP

_UPSAMPLE = ((8, 16), (8, 16), (2, 4), (2, 4))
"""Rate and kernel of each transposed convolution."""
_KERNELS = (3, 7, 11)
_DILATIONS = (1, 3, 5)
_FULL_WIDTHS = (512, 256, 128, 64, 32)
_SLOPE = 0.1


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What a config.json can say about the size of the model, and how much of it is alive."""

    layers: int = 6
    channels: int = 256
    heads: int = 4
    max_text: int = 150
    max_audio: int = 210
    encoder_blocks: int = 2
    """Blocks of the conditioning encoder that are trained; the other ones only normalise."""
    perceiver_layers: int = 1
    """Layers of the perceiver that are trained; the other ones add nothing."""
    vocoder_widths: tuple[int, ...] = (160, 80, 48, 32, 16)
    text_tokens: int = 0
    dropout: float = 0.1

    @property
    def most_codes(self) -> int:
        """Codes that the real class generates at most."""
        return self.max_audio - 3


TOY = Sizes(layers=2, channels=64, vocoder_widths=(32, 16, 16, 8, 8))


class Conv1D(nn.Module):
    """GPT-2's projection: a linear layer that keeps its weight as (in, out)."""

    def __init__(self, inputs: int, outputs: int, scale: float = 0.02) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * scale)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)


class SelfAttention(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.c_attn = Conv1D(sizes.channels, 3 * sizes.channels)
        self.c_proj = Conv1D(sizes.channels, sizes.channels, 0.02 / math.sqrt(2 * sizes.layers))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, channels = x.shape
        qkv = self.c_attn(x).view(batch, length, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        dropped = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropped)
        return self.c_proj(out.transpose(1, 2).reshape(batch, length, channels))


class Feedforward(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.c_fc = Conv1D(sizes.channels, 4 * sizes.channels)
        self.c_proj = Conv1D(4 * sizes.channels, sizes.channels, 0.02 / math.sqrt(2 * sizes.layers))

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(sizes.channels)
        self.attn = SelfAttention(sizes)
        self.ln_2 = nn.LayerNorm(sizes.channels)
        self.mlp = Feedforward(sizes)
        self.drop = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attn(self.ln_1(x)))
        return x + self.drop(self.mlp(self.ln_2(x)))


class Transformer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.drop = nn.Dropout(sizes.dropout)
        self.h = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.ln_f = nn.LayerNorm(sizes.channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(x)
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


def _groups(channels: int) -> int:
    groups = 8 if channels <= 16 else 16 if channels <= 64 else 32
    while channels % groups:
        groups //= 2
    return groups


class EncoderBlock(nn.Module):
    def __init__(self, sizes: Sizes, *, alive: bool) -> None:
        super().__init__()
        channels = sizes.channels
        self.heads, self.alive = sizes.heads, alive
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)
        if not alive:
            nn.init.zeros_(self.qkv.weight)
            nn.init.zeros_(self.qkv.bias)
            self.requires_grad_(False)  # noqa: FBT003

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, length = x.shape
        x = self.norm(x)
        if not self.alive:
            return x
        qkv = self.qkv(x).view(batch, self.heads, 3, channels // self.heads, length)
        q, k, v = qkv.transpose(-1, -2).contiguous().unbind(2)
        out = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(out.transpose(-1, -2).reshape(batch, channels, length))


class ConditioningEncoder(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.init = nn.Conv1d(MELS, sizes.channels, 1)
        self.attn = nn.ModuleList(
            EncoderBlock(sizes, alive=index < sizes.encoder_blocks)
            for index in range(ENCODER_BLOCKS)
        )
        self.normalisations = min(ENCODER_BLOCKS, sizes.encoder_blocks + 1)
        """To normalise again what is normalised changes nothing: one dead block stands for all."""

    def forward(self, mel: Tensor) -> Tensor:
        x = self.init(mel)
        for block in self.attn[: self.normalisations]:
            x = block(x)
        return x


class CrossAttention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = PERCEIVER_HEADS * PERCEIVER_HEAD_WIDTH
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_kv = nn.Linear(channels, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        context = torch.cat((x, context), dim=1)
        q, k, v = (
            part.unflatten(-1, (PERCEIVER_HEADS, PERCEIVER_HEAD_WIDTH)).transpose(1, 2)
            for part in (self.to_q(x), *self.to_kv(context).chunk(2, dim=-1))
        )
        out = F.scaled_dot_product_attention(q, k, v)
        return self.to_out(out.transpose(1, 2).flatten(2))


class Gated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x, gates = x.chunk(2, dim=-1)
        return x * F.gelu(gates)


class RootMeanSquare(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=-1) * math.sqrt(x.shape[-1]) * self.gamma


class Perceiver(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels, inner = sizes.channels, int(sizes.channels * 4 * 2 / 3)
        self.alive = sizes.perceiver_layers
        self.latents = nn.Parameter(torch.randn(LATENTS, channels) * 0.02)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    CrossAttention(channels),
                    nn.Sequential(
                        nn.Linear(channels, 2 * inner), Gated(), nn.Linear(inner, channels)
                    ),
                )
            )
            for _ in range(PERCEIVER_LAYERS)
        )
        for layer in self.layers[self.alive :]:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)  # noqa: FBT003
        self.norm = RootMeanSquare(channels)

    def forward(self, context: Tensor) -> Tensor:
        x = self.latents.expand(context.shape[0], -1, -1)
        for attention, feedforward in self.layers[: self.alive]:
            x = attention(x, context) + x
            x = feedforward(x) + x
        return self.norm(x)


class Positions(nn.Module):
    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(length, channels)
        nn.init.normal_(self.emb.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.emb.weight[: tokens.shape[1]]


class Gpt(nn.Module):
    """Text and a voice in, audio codes and the latents that the vocoder reads out."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = sizes.channels
        self.sizes = sizes
        self.conditioning_encoder = ConditioningEncoder(sizes)
        self.conditioning_perceiver = Perceiver(sizes)
        self.text_embedding = nn.Embedding(sizes.text_tokens, channels)
        self.mel_embedding = nn.Embedding(CODES + 2, channels)
        self.text_pos_embedding = Positions(sizes.max_text + 2, channels)
        self.mel_pos_embedding = Positions(sizes.max_audio + 3, channels)
        self.gpt = Transformer(sizes)
        self.final_norm = nn.LayerNorm(channels)
        self.text_head = nn.Linear(channels, sizes.text_tokens)
        self.mel_head = nn.Linear(channels, CODES + 2)
        for embedding in (self.text_embedding, self.mel_embedding):
            nn.init.normal_(embedding.weight, std=0.02)

    def voice(self, mel: Tensor) -> Tensor:
        """Return the conditioning latents (batch, 32, channels) of mels (batch, 80, frames)."""
        return self.conditioning_perceiver(self.conditioning_encoder(mel).transpose(1, 2))

    def forward(
        self, voice: Tensor, text: Tensor, text_lengths: Tensor, codes: Tensor, length: int
    ) -> tuple[Tensor, Tensor]:
        """Return the latents at the places of `text` and of `codes`.

        Args:
            voice: Conditioning latents.
            text: Token ids with the start and stop token, padded with anything.
            text_lengths: Tokens of each text.
            codes: The start code and the codes, padded with anything.
            length: Positions to compute: the longest voice, text and codes together.

        Voice, text and codes follow each other without a gap, as when one sentence is spoken, so
        what is padded comes last and, as attention looks back, changes nothing.
        """
        text_part = self.text_embedding(text) + self.text_pos_embedding(text)
        code_part = self.mel_embedding(codes) + self.mel_pos_embedding(codes)
        parts = torch.cat((voice, text_part, code_part), dim=1)
        place = torch.arange(length, device=text.device)[None, :]
        ends = LATENTS + text_lengths[:, None]
        source = torch.where(place < ends, place, place - ends + LATENTS + text.shape[1])
        packed = _take(parts, source.clamp(max=parts.shape[1] - 1))
        out = self.final_norm(self.gpt(packed))
        at_codes = ends + torch.arange(codes.shape[1], device=text.device)[None, :]
        return (
            out[:, LATENTS : LATENTS + text.shape[1]],
            _take(out, at_codes.clamp(max=length - 1)),
        )


def _take(x: Tensor, places: Tensor) -> Tensor:
    return torch.gather(x, 1, places[..., None].expand(-1, -1, x.shape[-1]))


def upsampled(
    latents: Tensor, counts: Tensor, frames: Tensor, first: Optional[Tensor] = None
) -> Tensor:
    """Return what `HifiDecoder.forward` feeds its generator at `frames`.

    Args:
        latents: (batch, codes, channels), of each utterance all or some that follow each other.
        counts: Latents of each whole utterance.
        frames: (batch, n) numbers of output frames of 256 samples at 24 kHz.
        first: Of each utterance the number of the first latent that is there.

    The real class interpolates linearly twice: four frames a code, then to 24 kHz.
    """
    start = torch.zeros_like(counts) if first is None else first

    def at_code(number: Tensor) -> Tensor:
        return _take(latents, number.long() - start[:, None])

    def at_quarter(number: Tensor) -> Tensor:
        place = ((number + 0.5) / FRAMES_PER_CODE - 0.5).clamp(min=0.0)
        return _between(at_code, place, (counts[:, None] - 1).float())

    place = ((frames.float() + 0.5) * (INPUT_RATE / OUTPUT_RATE) - 0.5).clamp(min=0.0)
    return _between(at_quarter, place, (counts[:, None] * FRAMES_PER_CODE - 1).float())


def _between(values: Callable[[Tensor], Tensor], place: Tensor, last: Tensor) -> Tensor:
    """Interpolate linearly, holding the last value."""
    low = torch.minimum(place.floor(), last)
    below = values(low)
    return below + (values(torch.minimum(low + 1, last)) - below) * (place - low)[..., None]


def output_frames(codes: int) -> int:
    """Return how many frames of 256 samples `HifiDecoder` makes of so many latents."""
    return int(math.floor(codes * FRAMES_PER_CODE * (OUTPUT_RATE / INPUT_RATE)))


class _WeightNorm(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        norm = weight.flatten(1).norm(dim=1).view(-1, 1, 1)
        self.weight = nn.Module()
        self.weight.original0 = nn.Parameter(norm)
        self.weight.original1 = nn.Parameter(weight)

    def forward(self) -> Tensor:
        return torch._weight_norm(self.weight.original1, self.weight.original0, 0)


class NormedConv(nn.Module):
    """A convolution under weight norm, its parameters named as torch's parametrization does."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, kernel) * math.sqrt(1.0 / (inputs * kernel))
        self.parametrizations = _WeightNorm(weight)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.dilation, self.padding = dilation, (kernel - 1) * dilation // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(
            x, self.parametrizations(), self.bias, dilation=self.dilation, padding=self.padding
        )


class NormedUpsampling(nn.Module):
    def __init__(self, inputs: int, outputs: int, rate: int, kernel: int) -> None:
        super().__init__()
        weight = torch.randn(inputs, outputs, kernel) * math.sqrt(rate / (inputs * kernel))
        self.parametrizations = _WeightNorm(weight)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.rate, self.padding = rate, (kernel - rate) // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose1d(
            x, self.parametrizations(), self.bias, stride=self.rate, padding=self.padding
        )


class ResidualBlock(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            NormedConv(channels, channels, kernel, dilation) for dilation in _DILATIONS
        )
        self.convs2 = nn.ModuleList(NormedConv(channels, channels, kernel) for _ in _DILATIONS)
        with torch.no_grad():
            for conv in self.convs2:
                conv.parametrizations.weight.original0.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, _SLOPE)), _SLOPE))
        return x


class Vocoder(nn.Module):
    """HiFi-GAN's generator as XTTS builds it, at the widths that are alive."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = sizes.vocoder_widths
        self.conv_pre = nn.Conv1d(sizes.channels, widths[0], 7, padding=3)
        self.ups = nn.ModuleList(
            NormedUpsampling(widths[i], widths[i + 1], rate, kernel)
            for i, (rate, kernel) in enumerate(_UPSAMPLE)
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel) for width in widths[1:] for kernel in _KERNELS
        )
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return samples (batch, 256 frames) of upsampled latents (batch, frames, channels)."""
        x = self.conv_pre(x.transpose(1, 2))
        for index, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, _SLOPE))
            blocks = self.resblocks[index * len(_KERNELS) : (index + 1) * len(_KERNELS)]
            x = torch.stack([block(x) for block in blocks]).sum(0) / len(_KERNELS)
        return torch.tanh(self.conv_post(F.leaky_relu(x))).squeeze(1)


def widen(live: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    """Return the state of the real generator, `full` telling its shapes, that computes as `live`.

    What is not alive is zero, and so is what depends on the speaker embedding. Filters that
    nothing feeds have length 0 and point somewhere: the direction of nothing is not a number.
    """
    state = {}
    for name, shaped in full.items():
        wide = torch.zeros(shaped.shape)
        if name in live:
            part = live[name]
            wide[tuple(slice(0, size) for size in part.shape)] = part
            if name.endswith("weight.original1"):
                wide[part.shape[0] :] = 1.0
        state[name] = wide
    return state


class PeriodJudge(nn.Module):
    """Looks at every n-th sample (the multi-period discriminator of HiFi-GAN, made thin)."""

    def __init__(self, period: int, widths: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        self.period = period
        sizes = (1, *widths)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, (5, 1), (3, 1), padding=(2, 0)) for a, b in zip(sizes, sizes[1:])
        )
        self.last = nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> list[Tensor]:
        usable = x.shape[-1] // self.period * self.period
        x = x[:, :usable].view(x.shape[0], 1, -1, self.period)
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), _SLOPE)
            features.append(x)
        return [*features, self.last(x)]


class SpectrumJudge(nn.Module):
    """Looks at a magnitude spectrogram."""

    def __init__(self, window: int, width: int = 24) -> None:
        super().__init__()
        self.size = window
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        self.convs = nn.ModuleList(
            (
                nn.Conv2d(1, width, (7, 5), (2, 1), padding=(3, 2)),
                nn.Conv2d(width, width, (5, 3), (2, 1), padding=(2, 1)),
                nn.Conv2d(width, width, (5, 3), (2, 2), padding=(2, 1)),
                nn.Conv2d(width, width, (3, 3), padding=1),
            )
        )
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            spectrum = torch.stft(
                x.float(), self.size, self.size // 4, window=self.window, return_complex=True
            )
            power = torch.view_as_real(spectrum).square().sum(-1)
            x = (power + 1e-6).pow(0.15)[:, None]
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), _SLOPE)
            features.append(x)
        return [*features, self.last(x)]


class Judges(nn.Module):
    """All discriminators; used while training only."""

    def __init__(self) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
            (
                *(PeriodJudge(period) for period in (2, 3, 5, 7, 11)),
                *(SpectrumJudge(window) for window in (512, 1024)),
            )
        )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        return [judge(x) for judge in self.judges]


def trainable(module: nn.Module) -> Iterator[nn.Parameter]:
    """Iterate over the parameters that are trained."""
    return (parameter for parameter in module.parameters() if parameter.requires_grad)
