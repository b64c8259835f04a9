"""Load a converted model folder into a stock `Xtts`, fast and bit-exact."""

from __future__ import annotations

import contextlib
import functools
import json
from pathlib import Path
from typing import Any, Iterator

MODEL_FILE = "model.safetensors"
SPEAKERS_FILE = "speakers_xtts.safetensors"


class NotConvertedError(FileNotFoundError):
    """The folder holds no `model.safetensors`; the message says how to get one."""


def load_xtts(folder: str | Path, device: str = "cpu") -> Any:
    """Return a ready `TTS.tts.models.xtts.Xtts` from a folder that `xcompat convert` wrote.

    The stock `load_checkpoint` does the work; only the source of the state dict is replaced, and
    the random initialisation that loading overwrites is skipped. Weights and output are equal,
    bit for bit, to a stock load of the original checkpoint. On the CPU the weights are memory
    mapped: the file must stay in place while the model is in use.

    Args:
        folder: Holds `model.safetensors`, `config.json`, `vocab.json` and, where the model has
            built-in speakers, `speakers_xtts.safetensors`.
        device: A torch device, for example `cpu`, `cuda` or `mps`.

    Returns:
        The model in evaluation mode on `device`, its `speaker_manager` filled.

    Raises:
        NotConvertedError: There is no `model.safetensors` in the folder.
        RuntimeError: The tensors do not fit the configuration.
    """
    folder = Path(folder)
    if not (folder / MODEL_FILE).is_file():
        raise NotConvertedError(_how_to_convert(folder))
    from safetensors.torch import load_file
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    with without_random_initialisation():
        model = Xtts(config)
        state_dict = load_file(str(folder / MODEL_FILE), device=device)
        # Instance attributes shadow the two methods for this one call of the stock loader.
        model.get_compatible_checkpoint_state_dict = lambda _: state_dict
        model.load_state_dict = functools.partial(model.load_state_dict, assign=True)
        try:
            model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
        finally:
            del model.get_compatible_checkpoint_state_dict, model.load_state_dict
    speakers = folder / SPEAKERS_FILE
    if speakers.is_file():
        model.speaker_manager = _speaker_manager(speakers)
    return model.to(device)


def _how_to_convert(folder: Path) -> str:
    if (folder / "model.pth").is_file():
        return (
            f"{folder} is not converted: to read its model.pth, torch would have to run the pickle "
            f'inside it. Convert it first: xcompat convert "{folder}"'
        )
    return f"{folder} holds no {MODEL_FILE}. Convert a checkpoint first: xcompat convert MODEL.pth"


def _speaker_manager(path: Path) -> Any:
    """Fill a stock `SpeakerManager` in the order of the original file, which its users rely on."""
    from safetensors import safe_open
    from TTS.tts.layers.xtts.xtts_manager import SpeakerManager

    speakers: dict[str, dict[str, Any]] = {}
    with safe_open(str(path), framework="pt") as file:
        names = json.loads(file.metadata()["speakers"])
        for name in names:
            # `synthesize` unpacks the values in this order.
            speakers[name] = {
                part: file.get_tensor(f"{name}/{part}")
                for part in ("gpt_cond_latent", "speaker_embedding")
            }
    manager = SpeakerManager.__new__(SpeakerManager)
    manager.speakers = speakers
    return manager


@contextlib.contextmanager
def without_random_initialisation() -> Iterator[None]:
    """Leave new parameters uninitialised inside the block: they are about to be overwritten.

    Building XTTS at full size spends most of its time on random numbers. Replaces the in-place
    initialisers of `torch.nn.init` and `torch.Tensor` for the whole process, so build nothing
    else meanwhile in another thread.
    """
    import torch

    def keep(tensor: Any, *_: Any, **__: Any) -> Any:
        return tensor

    initialisers = {
        name: function
        for name, function in vars(torch.nn.init).items()
        if name.endswith("_") and not name.startswith("_") and callable(function)
    }
    methods = {name: getattr(torch.Tensor, name) for name in ("normal_", "uniform_")}
    try:
        for name in initialisers:
            setattr(torch.nn.init, name, keep)
        for name in methods:
            setattr(torch.Tensor, name, keep)
        yield
    finally:
        for name, function in initialisers.items():
            setattr(torch.nn.init, name, function)
        for name, method in methods.items():
            setattr(torch.Tensor, name, method)
