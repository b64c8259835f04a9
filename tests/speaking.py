"""Let the voice that ships speak in an interpreter that has TTS: for `quality` and `judges`.

The vocoder that TTS builds is wider than the one that was trained, and zero there. `narrow` cuts
the zeros out of a loaded model: it speaks the same in a third of the time.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ROOT / "tools" / "voice" / "texts" / "heldout.txt"


def target(module: str) -> Any:
    """Return a module of `compat/target`, under the name that the package has in a target."""
    if "xcompat_target" not in sys.modules:
        package = ROOT / "compat" / "target"
        spec = importlib.util.spec_from_file_location(
            "xcompat_target", package / "__init__.py", submodule_search_locations=[str(package)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules["xcompat_target"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["xcompat_target"])
    return importlib.import_module(f"xcompat_target.{module}")


def sentences(count: int) -> list[str]:
    """Return sentences that the voice has not learned from, none with a figure in it."""
    texts = TEXTS.read_text("ascii").splitlines()
    return [text for text in texts if not re.search(r"\d", text)][:count]


def narrow(model: Any) -> None:
    """Cut the channels that are zero out of the vocoder of a loaded model."""
    import torch

    decoder = model.hifigan_decoder.waveform_decoder
    rows = decoder.conv_pre.weight.detach().flatten(1).any(1)
    widths = [int(rows.sum())]
    with torch.no_grad():
        _cut(decoder.conv_pre, widths[0], None)
        _cut(decoder.cond_layer, widths[0], None)
        for stage, up in enumerate(decoder.ups):
            weight = up.weight.detach()
            widths.append(int(weight.transpose(0, 1).flatten(1).any(1).sum()))
            _cut(up, *widths[-2:], bias=widths[-1])
            if stage < len(decoder.conds):
                _cut(decoder.conds[stage], widths[-1], None)
        kernels = len(decoder.resblocks) // len(decoder.ups)
        for number, block in enumerate(decoder.resblocks):
            width = widths[1 + number // kernels]
            for conv in itertools.chain(block.convs1, block.convs2):
                _cut(conv, width, width)
        _cut(decoder.conv_post, 1, widths[-1])


def _cut(conv: Any, first: int, second: Any, bias: Any = None) -> None:
    """Keep the corner of a convolution's weights."""
    import torch

    held = conv.parametrizations.weight if hasattr(conv, "parametrizations") else conv
    names = ("original0", "original1") if held is not conv else ("weight_g", "weight_v", "weight")
    for name in names:
        value = getattr(held, name, None)
        if value is None:
            continue
        part = value.detach()[:first]
        if part.shape[1] > 1 and second:
            part = part[:, :second]
        part = torch.nn.Parameter(part.clone(), requires_grad=False)
        if name in dict(held.named_parameters(recurse=False)):
            setattr(held, name, part)
        else:  # what the older weight norm computes anew before each call
            held.__dict__[name] = part
    if conv.bias is not None:
        kept = conv.bias.detach()[: bias or first].clone()
        conv.bias = torch.nn.Parameter(kept, requires_grad=False)


def say(
    model: Any, text: str, voice: Any, *, seed: int, chunk: int = 0, **options: Any
) -> tuple[Any, list[int]]:
    """Return samples and audio tokens of a text, spoken with the usual sampling.

    Args:
        model: A loaded `Xtts`.
        text: English.
        voice: Conditioning latents and speaker embedding.
        seed: Of torch's random numbers.
        chunk: Audio tokens of a chunk, where it shall be streamed.
        options: Of `inference`, in place of the usual ones.
    """
    import numpy as np
    import torch

    if chunk:
        parts, codes = stream(model, text, voice, seed=seed, chunk=chunk, **options)
        return np.concatenate(parts), codes
    calls, tapping = target("calls"), target("tapping")
    torch.manual_seed(seed)
    codes = []
    usual = {**calls.usual_sampling(model), **options}
    with tapping.Tap(model.gpt, "generate", lambda out: codes.extend(out[0].tolist())):
        out = calls.inference(model, text, "en", voice, **usual)
    return np.asarray(out["wav"]).reshape(-1), codes


def stream(
    model: Any, text: str, voice: Any, *, seed: int, chunk: int, **options: Any
) -> tuple[list[Any], list[int]]:
    """Stream a text, as `say`; return the chunks and the audio tokens."""
    import torch

    torch.manual_seed(seed)
    codes: list[int] = []
    usual = {**target("calls").usual_sampling(model), **options}
    with target("tapping").GeneratorTap(model.gpt, codes):
        chunks = model.inference_stream(text, "en", *voice, stream_chunk_size=chunk, **usual)
        parts = [part.detach().cpu().numpy() for part in chunks]
    return parts, codes


def family() -> str:
    """Return which TTS this environment has."""
    import importlib.metadata

    for name in ("coqui-tts", "TTS"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    raise SystemExit("there is no TTS here")
