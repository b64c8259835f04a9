"""Make an untrained XTTS checkpoint with the real TTS classes of this environment.

Three kinds, laid out like the files people have:

* `release`: `model.pth` as published for XTTS v2.0.3 (963 tensors, eight pickle globals, the config
  an `XttsConfig` object), with `config.json`, `vocab.json` and `speakers_xtts.pth`;
* `trainer`: what `GPTTrainer` and `trainer.io.save_model` write (`xtts.` prefix, `dvae.*`, mel
  front-ends, AdamW state, the config a dict);
* `v1.1`: the older architecture without the conditioning perceiver.

`full` has the published sizes (1.87 GB); `tiny` has 2 layers of 64 channels in the GPT, while the
vocoder and the speaker encoder keep the sizes that the classes fix (about 92 MB in all).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Iterator

from . import imports, vocabulary, weights
from .initialisation import without_initialisation

KINDS = ("release", "trainer", "v1.1")
SIZES = ("tiny", "full")

TINY_MODEL_ARGS = {
    "gpt_layers": 2,
    "gpt_n_model_channels": 64,
    "gpt_n_heads": 4,
    "gpt_max_audio_tokens": 72,
    "decoder_input_dim": 64,
}
V2_MODEL_ARGS = {
    "gpt_use_perceiver_resampler": True,
    "gpt_num_audio_tokens": 1026,
    "gpt_start_audio_token": 1024,
    "gpt_stop_audio_token": 1025,
}
LEGACY_MODULE = "TTS.tts.models.xtts"
"""Where the published pickle finds `XttsArgs` and `XttsAudioConfig`; coqui-tts 0.28 moved them."""

UNTRAINED = "untrained"
"""Name of the dataset that the configuration of a made checkpoint names; nobody can learn it."""

_DVAE_CHANNELS = {"tiny": 64, "full": 512}
_DATE = "November 24, 2023"

SPEAKERS = (
    "Claribel Dervla", "Daisy Studious", "Gracie Wise", "Tammie Ema", "Alison Dietlinde",
    "Ana Florence", "Annmarie Nele", "Asya Anara", "Brenda Stern", "Gitta Nikolina",
    "Henriette Usha", "Sofia Hellen", "Tammy Grit", "Tanja Adelina", "Vjollca Johnnie",
    "Andrew Chipper", "Badr Odhiambo", "Dionisio Schuyler", "Royston Min", "Viktor Eka",
    "Abrahan Mack", "Adde Michal", "Baldur Sanjin", "Craig Gutsy", "Damien Black",
    "Gilberto Mathias", "Ilkin Urbano", "Kazuhiko Atallah", "Ludvig Milivoj", "Suad Qasim",
    "Torcull Diarmuid", "Viktor Menelaos", "Zacharie Aimilios", "Nova Hogarth", "Maja Ruoho",
    "Uta Obando", "Lidiya Szekeres", "Chandra MacFarland", "Szofi Granger", "Camilla Holmström",
    "Lilya Stainthorpe", "Zofija Kendrick", "Narelle Moon", "Barbora MacLean",
    "Alexandra Hisakawa", "Alma María", "Rosemary Okafor", "Ige Behringer", "Filip Traverse",
    "Damjan Chapman", "Wulf Carlevaro", "Aaron Dreschner", "Kumar Dahl", "Eugenio Mataracı",  # noqa: RUF001
    "Ferran Simen", "Xavier Hayasaka", "Luis Moray", "Marcos Rudaski",
)  # fmt: skip
"""The 58 built-in speakers of XTTS v2, in the published order."""


def make_checkpoint(folder: Path, *, kind: str = "release", size: str = "tiny") -> Path:
    """Write a checkpoint of `kind` and `size` into `folder` and return the path of its `.pth`.

    Raises:
        ImportError: torch or TTS is missing or broken here.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(kind, size)
    vocab_file = folder / "vocab.json"
    vocab_file.write_text(
        json.dumps(vocabulary.build(), ensure_ascii=False, indent=1), encoding="utf-8"
    )
    config.save_json(str(folder / "config.json"))
    model = _build_model(config, vocab_file)
    if kind == "trainer":
        return _save_trainer(folder, model, config, size)
    if kind == "release":
        _save_speakers(folder / "speakers_xtts.pth", config.model_args.gpt_n_model_channels)
    return _save_release(folder / "model.pth", model, config)


def _config(kind: str, size: str) -> Any:
    from TTS.config.shared_configs import BaseDatasetConfig
    from TTS.tts.configs.xtts_config import XttsConfig

    config = XttsConfig()
    changes = {} if kind == "v1.1" else dict(V2_MODEL_ARGS)
    if size == "tiny":
        changes.update(TINY_MODEL_ARGS)
    for name, value in changes.items():
        setattr(config.model_args, name, value)
    config.datasets = [BaseDatasetConfig(formatter="coqui", dataset_name=UNTRAINED)]
    config.languages = list(vocabulary.LANGUAGES)
    return config


def _build_model(config: Any, vocab_file: Path) -> Any:
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    with without_initialisation():
        model = Xtts(config)
        model.tokenizer = VoiceBpeTokenizer(vocab_file=str(vocab_file))
        model.init_models()
    weights.fill_state_dict(model.state_dict())
    return model


def _save_release(path: Path, model: Any, config: Any) -> Path:
    import torch

    checkpoint = {"config": config, "model": model.state_dict(), **_training_state()}
    with _published_module_names():
        torch.save(checkpoint, str(path))
    return path


def _training_state(optimizer: Any = None) -> dict[str, Any]:
    return {
        "optimizer": optimizer,
        "scaler": None,
        "step": 1000,
        "epoch": 1,
        "date": _DATE,
        "model_loss": {"train_loss": 3.25, "eval_loss": 3.5},
    }


@contextlib.contextmanager
def _published_module_names() -> Iterator[None]:
    """Pickle the config classes under the names that the published file uses."""
    import TTS.tts.models.xtts as published

    classes = (published.XttsArgs, published.XttsAudioConfig)
    names = [cls.__module__ for cls in classes]
    for cls in classes:
        cls.__module__ = LEGACY_MODULE
    try:
        yield
    finally:
        for cls, name in zip(classes, names):
            cls.__module__ = name


def _save_speakers(path: Path, channels: int) -> None:
    import torch

    shapes = {"gpt_cond_latent": (1, 32, channels), "speaker_embedding": (1, 512, 1)}
    speakers = {
        name: {
            part: torch.from_numpy(
                weights.uniform(f"{name}/{part}", shape[1] * shape[2]).reshape(shape)
            )
            for part, shape in shapes.items()
        }
        for name in SPEAKERS
    }
    torch.save(speakers, str(path))


def _save_trainer(folder: Path, model: Any, config: Any, size: str) -> Path:
    """Save what a fine-tune leaves behind, through a file object as the trainer does."""
    import torch
    from TTS.tts.layers.tortoise.arch_utils import TorchMelSpectrogram
    from TTS.tts.layers.xtts.dvae import DiscreteVAE

    trainer = torch.nn.Module()
    trainer.xtts = model
    trainer.torch_mel_spectrogram_style_encoder = TorchMelSpectrogram(
        filter_length=2048, hop_length=256, win_length=1024, sampling_rate=22050, mel_norm_file=None
    )
    trainer.dvae = DiscreteVAE(
        channels=80,
        normalization=None,
        positional_dims=1,
        num_tokens=1024,
        codebook_dim=512,
        hidden_dim=_DVAE_CHANNELS[size],
        num_resnet_blocks=3,
        kernel_size=3,
        num_layers=2,
        use_transposed_convs=False,
    )
    trainer.torch_mel_spectrogram_dvae = TorchMelSpectrogram(
        sampling_rate=22050, mel_norm_file=None
    )
    state_dict = trainer.state_dict()
    weights.fill_state_dict(
        {name: tensor for name, tensor in state_dict.items() if not name.startswith("xtts.")}
    )
    checkpoint = {
        "config": config.to_dict(),
        "model": state_dict,
        **_training_state(_adamw_state(model.gpt)),
    }
    path = folder / "best_model.pth"
    with path.open("wb") as file:
        torch.save(checkpoint, file)
    return path


def _adamw_state(gpt: Any) -> Any:
    """State of AdamW after one step, over the two parameter groups that `GPTTrainer` makes."""
    import torch

    decayed = [p for p in gpt.parameters() if p.dim() > 1]
    plain = [p for p in gpt.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 1e-2}, {"params": plain, "weight_decay": 0.0}],
        lr=0.0,
        foreach=False,
    )
    for parameter in (*decayed, *plain):
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return optimizer.state_dict()


def main(arguments: list[str]) -> int:
    """Command line of the checkpoint maker; prints the path of what it wrote."""
    parser = argparse.ArgumentParser(prog="make-checkpoint", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; made if missing")
    parser.add_argument("--kind", choices=KINDS, default="release")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    options = parser.parse_args(arguments)
    # TTS prints as it works; standard output is for the path alone.
    with contextlib.redirect_stdout(sys.stderr), imports.importing_tts():
        path = make_checkpoint(options.folder, kind=options.kind, size=options.size)
    sys.stdout.write(f"{path}\n")
    return 0
