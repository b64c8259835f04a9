"""Load a converted model folder into a stock `Xtts`, fast and bit-exact."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import pickletools
import types
import zipfile
from pathlib import Path
from typing import Any, ContextManager, Optional, Sequence

from . import imports, products, texts, trials
from . import runtime as attached_runtime
from .initialisation import without_initialisation

RUNTIMES = ("auto", "xcompat", "stock")
MODEL_FILE = "model.safetensors"
SPEAKERS_FILE = "speakers_xtts.safetensors"
_WEIGHT_NORM = (
    (".parametrizations.weight.original0", ".weight_g"),
    (".parametrizations.weight.original1", ".weight_v"),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)
"""Names of a norm and of a direction, since TTS 0.20.3 and before, and back."""


class NotConvertedError(FileNotFoundError):
    """The folder holds no `model.safetensors`; the message says how to get one."""


def load_xtts(
    folder: str | Path,
    *,
    device: str = "cpu",
    dtype: Any = None,
    quantize: Optional[str] = None,
    runtime: str = "auto",
    together: int = 1,
) -> Any:
    """Return a ready `TTS.tts.models.xtts.Xtts` from a folder that `xcompat convert` wrote.

    The stock `load_checkpoint` does the work; only the source of the state dict is replaced, and
    the random initialisation that loading overwrites is skipped. Weights are equal, bit for bit,
    to a stock load of the original checkpoint. On the CPU they are memory mapped: the file must
    stay in place while the model is in use.

    Args:
        folder: Holds `model.safetensors`, `config.json`, `vocab.json` and, where the model has
            built-in speakers, `speakers_xtts.safetensors`.
        device: A torch device, for example `cpu`, `cuda` or `mps`.
        dtype: `bfloat16` or `float16`: the GPT multiplies with a copy of its projections in that
            type; the rest stays float32. Faster and less exact. Needs the xcompat runtime.
        quantize: `int8`: the same with 8-bit integers and one scale per output channel.
        runtime: `stock` leaves decoding and reading of audio to TTS, transformers and torchaudio;
            `xcompat` does both itself, on this model alone (see `runtime.attach`), and lets TTS be
            imported beside a transformers that removed names; `auto` takes stock where a trial of
            a tiny model shows that it works here, and else xcompat.
        together: As in `runtime.attach`; from 2 on it needs the xcompat runtime, as `dtype` does.

    Where its TTS needs a spaCy that is missing or broken, `enable_text_splitting=True` is done
    here (see `texts.split_text`), and a text of too many tokens is refused before it is spoken.

    Returns:
        The model in evaluation mode on `device`, its `speaker_manager` filled. Its attribute
        `xcompat` is the attached `Runtime`, or None where stock was taken.

    Raises:
        NotConvertedError: There is no `model.safetensors` in the folder.
        CannotAttach: The xcompat runtime does not know this TTS.
        RuntimeError: The tensors do not fit the configuration.
        ValueError: An unknown `dtype`, `quantize` or `runtime`, or two that exclude each other.
    """
    folder = Path(folder)
    dtype = _checked(dtype, quantize, runtime, together)
    if not (folder / MODEL_FILE).is_file():
        raise NotConvertedError(_how_to_convert(folder))
    importing: ContextManager[list[str]] = contextlib.nullcontext([])
    if runtime != "stock":
        importing = imports.importing_tts()
    with importing as filled:
        from TTS.tts.layers.xtts.gpt import GPT

        reason = "asked for"
        if runtime == "auto" and not (dtype or quantize or together > 1):
            reason = _why_not_stock(GPT, filled)
            runtime = "xcompat" if reason else "stock"
        model = _read(folder, device, build_generator=runtime == "stock")
    model.xcompat = None
    texts.help_with_long_texts(model)
    if runtime != "stock":
        attached = attached_runtime.attach(model, dtype=dtype, quantize=quantize, together=together)
        attached.reason = reason
        model.xcompat = attached
    return model


def _checked(dtype: Any, quantize: Optional[str], runtime: str, together: int) -> Optional[str]:
    """Return `dtype` as a word; None where it changes nothing."""
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime is {runtime!r}; known: {', '.join(RUNTIMES)}")
    word = None if dtype is None else str(dtype).replace("torch.", "")
    products.check_precision(word, quantize)
    if word == "float32":
        word = None
    if runtime == "stock" and (word or quantize or together > 1):
        raise ValueError(
            "dtype, quantize and together need the xcompat runtime; leave out runtime='stock'"
        )
    return word


def _why_not_stock(gpt_class: Any, filled: Sequence[str]) -> str:
    if filled:
        return f"TTS does not import here without a stand-in for {', '.join(filled)}"
    return trials.stock_fault(gpt_class) or trials.reading_fault()


def _read(folder: Path, device: str, *, build_generator: bool) -> Any:
    from safetensors.torch import load_file
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))

    class NotYetBuilt(Xtts):  # type: ignore[misc]
        """`load_checkpoint` builds the parts; the constructor would build them before it."""

        def init_models(self) -> None:
            pass

    with without_initialisation():
        model = NotYetBuilt(config)
        model.__class__ = Xtts
        # A model computes in float32, whatever its file holds: `assign` would keep the file's type.
        held = load_file(str(folder / MODEL_FILE), device=device).items()
        state_dict = {n: t.float() if t.is_floating_point() else t for n, t in held}
        # Instance attributes shadow the two methods for this one call of the stock loader.
        model.get_compatible_checkpoint_state_dict = lambda _: state_dict
        load_state_dict = functools.partial(model.load_state_dict, assign=True)
        model.load_state_dict = lambda held, **how: load_state_dict(renamed(held, model), **how)
        try:
            model.load_checkpoint(config, checkpoint_dir=str(folder), eval=build_generator)
        finally:
            del model.get_compatible_checkpoint_state_dict, model.load_state_dict
    if not build_generator:  # what `eval=True` does besides
        model.hifigan_decoder.eval()
        model.gpt.eval()
    speakers = folder / SPEAKERS_FILE
    if speakers.is_file():
        model.speaker_manager = _speaker_manager(speakers)
    return model.to(device)


def renamed(held: dict[str, Any], model: Any) -> dict[str, Any]:
    """Name what is held of weight norm as the model does: TTS 0.20.3 gave it other names."""
    known = model.state_dict().keys()
    told = {}
    for name, tensor in held.items():
        names = (name, *(name.replace(*pair) for pair in _WEIGHT_NORM))
        told[next((each for each in names if each in known), name)] = tensor
    return told


def _how_to_convert(folder: Path) -> str:
    original = folder / "model.pth"
    if not original.is_file():
        return (
            f"{folder} holds no {MODEL_FILE}. Convert a checkpoint first: xcompat convert MODEL.pth"
        )
    asked = _asked_for_by_pickle(original)
    names = f" ({', '.join(asked)})" if asked else ""
    return (
        f"{folder} is not converted: to read its model.pth, torch would have to run the pickle "
        f"inside it, which asks for code of its own choice{names}. Convert it first, which runs "
        f'none of it: xcompat convert "{folder}"'
    )


def _asked_for_by_pickle(path: Path) -> list[str]:
    """List the names that a torch zip's pickle imports beyond tensors; empty if unreadable."""
    names: set[str] = set()
    try:
        with zipfile.ZipFile(path) as archive:
            record = next(n for n in archive.namelist() if n.endswith("data.pkl"))
            for opcode, argument, _ in pickletools.genops(archive.read(record)):
                if opcode.name == "GLOBAL":
                    names.add(str(argument).replace(" ", "."))
    except (OSError, StopIteration, ValueError, zipfile.BadZipFile):
        return []
    return sorted(n for n in names if not n.startswith(("torch.", "collections.OrderedDict")))


def _speaker_manager(path: Path) -> Any:
    """Fill a stock `SpeakerManager` in the order of the original file, which its users rely on.

    TTS before 0.22 knows no built-in speakers: there it is a plain object that holds `speakers`.
    """
    from safetensors import safe_open

    speakers: dict[str, dict[str, Any]] = {}
    with safe_open(str(path), framework="pt") as file:
        names = json.loads(file.metadata()["speakers"])
        for name in names:
            # `synthesize` unpacks the values in this order.
            speakers[name] = {
                part: file.get_tensor(f"{name}/{part}")
                for part in ("gpt_cond_latent", "speaker_embedding")
            }
    manager: Any = types.SimpleNamespace()
    if importlib.util.find_spec("TTS.tts.layers.xtts.xtts_manager") is not None:
        from TTS.tts.layers.xtts.xtts_manager import SpeakerManager

        manager = SpeakerManager.__new__(SpeakerManager)
    manager.speakers = speakers
    return manager
