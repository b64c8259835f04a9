"""Pack what was trained into one small file, and prove the XTTS v2 checkpoint that it makes.

`export.py pack gpt.npz vocoder.npz voice.npz` stores matrices as 8-bit integers with a scale for
each output channel (`--dtype float16` keeps halves). `export.py ship voice.npz FOLDER` writes what
xcompat ships, with the real TTS classes at hand to say what a whole checkpoint holds;
`xcompat.converters.write_voice` unpacks that without them. `export.py prove voice.npz CHECKPOINT`
loads a checkpoint with `Xtts.load_checkpoint` and compares its weights, its latents and its sound
with those of the code that trained it.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data import VOCABULARY
from model import (
    LATENTS,
    START_CODE,
    STOP_CODE,
    Gpt,
    Sizes,
    Vocoder,
    output_frames,
    upsampled,
    widen,
)

HERE = Path(__file__).parent
_SCALE = ".scale"
_SPEAKER = "speaker."
_DECODER = "hifigan_decoder.waveform_decoder."
_FOR_TRAINING = "gpt/text_head."
"""Predicts the text, for the loss alone: it does not ship."""
_BUFFERS = ("filter", "window", "fb")
"""Tensors of the speaker encoder that are computed, not learned."""
LICENCE = "CC0-1.0"
ORDER = ("Rowan", "Slate", "Aubrey", "Calder")
"""The order of the built-in speakers."""


def load(path: Path) -> dict[str, Any]:
    """Read an .npz file; matrices of integers become floats again."""
    with np.load(path) as file:
        stored = {name: file[name] for name in file.files}
    arrays = {}
    for name, values in stored.items():
        if name.endswith(_SCALE):
            continue
        if name + _SCALE in stored:
            values = values.astype(np.float32) * stored[name + _SCALE].astype(np.float32)
        arrays[name] = values
    return arrays


def parts(arrays: dict[str, Any]) -> tuple[Gpt, Vocoder, dict[str, Any]]:
    """Return the two models in evaluation mode and the built-in speakers' latents."""
    sizes = _sizes(arrays["about"])
    gpt, vocoder = Gpt(sizes), Vocoder(sizes)
    for module, prefix in ((gpt, "gpt/"), (vocoder, "vocoder/")):
        state = module.state_dict()
        for name in state:
            if prefix + name in arrays:
                state[name] = torch.from_numpy(arrays[prefix + name].astype(np.float32))
        module.load_state_dict(state)
    speakers = {
        name[len(_SPEAKER) :]: torch.from_numpy(values.astype(np.float32))
        for name, values in arrays.items()
        if name.startswith(_SPEAKER)
    }
    return gpt.eval(), vocoder.eval(), speakers


def _sizes(about: Any) -> Sizes:
    sizes = json.loads(str(about))["sizes"]
    sizes["vocoder_widths"] = tuple(sizes["vocoder_widths"])
    return Sizes(**sizes)


def pack(gpt: Path, vocoder: Path, out: Path, *, dtype: str, halves: str) -> None:
    """Join the two files that training left; names that contain `halves` stay halves."""
    arrays: dict[str, Any] = {}
    for path, prefix in ((gpt, "gpt/"), (vocoder, "vocoder/")):
        for name, values in load(path).items():
            if name == "about":
                arrays[name] = values
            elif name.startswith(_SPEAKER):
                arrays[name] = values.astype(np.float16)
            elif dtype == "int8" and values.ndim > 1 and not (halves and halves in prefix + name):
                arrays[prefix + name], arrays[prefix + name + _SCALE] = _integers(name, values)
            else:
                arrays[prefix + name] = values.astype(np.float16)
    np.savez_compressed(out, **arrays)
    print(f"{out}: {out.stat().st_size / 2**20:.2f} MiB")


def _integers(name: str, values: Any) -> tuple[Any, Any]:
    """Return `values` as integers in [-127, 127] and the scale of each output channel."""
    values = values.astype(np.float32)
    of_gpt2 = name.startswith("gpt.h.")
    axes = tuple(axis for axis in range(values.ndim) if axis != (1 if of_gpt2 else 0))
    scale = np.abs(values).max(axis=axes, keepdims=True) / 127.0
    scale = np.maximum(scale, 1e-7).astype(np.float16).astype(np.float32)
    scale = np.maximum(scale, np.float32(6e-8))
    return np.clip(np.rint(values / scale), -127, 127).astype(np.int8), scale.astype(np.float16)


def config_of(sizes: Sizes) -> Any:
    """Return the XttsConfig of a model of these sizes, its other settings as released."""
    from TTS.config.shared_configs import BaseDatasetConfig
    from TTS.tts.configs.xtts_config import XttsConfig

    config = XttsConfig()
    changes = {
        "gpt_layers": sizes.layers,
        "gpt_n_model_channels": sizes.channels,
        "gpt_n_heads": sizes.heads,
        "gpt_max_text_tokens": sizes.max_text,
        "gpt_max_audio_tokens": sizes.max_audio,
        "gpt_num_audio_tokens": STOP_CODE + 1,
        "gpt_start_audio_token": START_CODE,
        "gpt_stop_audio_token": STOP_CODE,
        "gpt_use_perceiver_resampler": True,
        "decoder_input_dim": sizes.channels,
    }
    for name, value in changes.items():
        setattr(config.model_args, name, value)
    config.temperature, config.repetition_penalty = 0.75, 5.0
    config.gpt_cond_len, config.gpt_cond_chunk_len, config.max_ref_len = 30, 4, 30
    config.languages = ["en"]
    config.datasets = [BaseDatasetConfig(formatter="coqui", dataset_name="flite")]
    return config


def state_of(model: Any, arrays: dict[str, Any], weights: Any) -> dict[str, Any]:
    """Return the state dict of the real `model`, filled with what was trained.

    The speaker encoder, which the vocoder ignores, is filled by `weights`, the same everywhere.
    """
    gpt, vocoder, _ = parts(arrays)
    state = model.state_dict()
    weights.fill_state_dict(state)
    state["mel_stats"] = torch.ones_like(state["mel_stats"])
    mine = {f"gpt.{name}": tensor for name, tensor in gpt.state_dict().items()}
    theirs = {name for name in state if name.startswith("gpt.")}
    if set(mine) != theirs:
        raise ValueError(f"names differ: {sorted(set(mine) ^ theirs)}")
    state.update(mine)
    prefix = _DECODER
    full = {name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)}
    live = vocoder.state_dict()
    if not set(live) <= set(full):
        raise ValueError(f"names differ: {sorted(set(live) - set(full))}")
    state.update({prefix + name: tensor for name, tensor in widen(live, full).items()})
    for name, tensor in model.state_dict().items():
        if tensor.shape != state[name].shape:
            raise ValueError(f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}")
    return state


def ship(voice: Path, folder: Path, weights: Any) -> None:
    """Write `voice.safetensors.gz`, `config.json` and `vocab.json` into `folder`.

    The file holds the tensors as they are in `voice`, named as in a checkpoint, and in its header
    under `checkpoint` every tensor of a checkpoint: name, type, shape and what fills the rest, a
    number or the offset and the half width of noise.
    """
    from safetensors.numpy import save
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    with np.load(voice) as file:
        stored = {name: file[name] for name in file.files}
    about = json.loads(str(stored.pop("about")))
    tensors = {
        _shipped_name(name): values
        for name, values in stored.items()
        if not name.startswith(_FOR_TRAINING)
    }
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(_sizes(json.dumps(about)))
    (folder / "vocab.json").write_bytes(VOCABULARY.read_bytes())
    config.save_json(str(folder / "config.json"))
    model = Xtts(config)
    model.tokenizer = VoiceBpeTokenizer(vocab_file=str(folder / "vocab.json"))
    model.init_models()
    truth = state_of(model, load(voice), weights)
    entries = []
    for name, tensor in truth.items():
        if name.rsplit(".", 1)[-1] in _BUFFERS:
            tensors[name] = tensor.numpy()
        dtype = "I64" if tensor.dtype is torch.int64 else "F32"
        entries.append([name, dtype, list(tensor.shape), _fill(name, tensor, tensors, weights)])
    speakers = [name[len(_SPEAKER) :] for name in stored if name.startswith(_SPEAKER)]
    texts = {
        "format": "xcompat-voice-1",
        "license": LICENCE,
        "speakers": json.dumps(sorted(speakers, key=ORDER.index)),
        "checkpoint": json.dumps(entries, separators=(",", ":")),
    }
    packed = gzip.compress(save(tensors, texts), 9, mtime=0)
    (folder / "voice.safetensors.gz").write_bytes(packed)
    print(f"{len(tensors)} tensors of {len(entries)}: {len(packed):,} bytes")


def _shipped_name(name: str) -> str:
    """Return the name that a tensor of `voice.npz` has in a checkpoint."""
    if name.startswith(_SPEAKER):
        return f"speaker/{name[len(_SPEAKER) :]}"
    return name.replace("gpt/", "gpt.").replace("vocoder/", _DECODER)


def _fill(name: str, tensor: Any, tensors: dict[str, Any], weights: Any) -> Any:
    """Return what fills a tensor where `tensors` does not, or as far as it does not."""
    if name in tensors:
        return 1 if name.endswith("weight.original1") else 0
    if "speaker_encoder." in name and tensor.dtype is not torch.int64:
        return weights.distribution(name, tuple(tensor.shape))
    if name.startswith(_FOR_TRAINING.replace("/", ".")):
        return 0
    values = tensor.unique().tolist()
    if len(values) != 1:
        raise ValueError(f"{name} is not constant and not in the voice")
    return int(values[0])


def real(folder: Path) -> Any:
    """Load the checkpoint with the real classes."""
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    return model


@torch.no_grad()
def prove(voice: Path, folder: Path) -> None:
    """Print how far the real classes and the training code are apart."""
    from data import Tokens
    from features import reference_mel

    model = real(folder)
    gpt, vocoder, speakers = parts(load(voice))
    tokens = Tokens(VOCABULARY)
    chance = np.random.default_rng(3)

    sound = torch.from_numpy(chance.normal(0, 0.1, (1, 22050 * 5)).astype(np.float32))
    theirs = model.get_gpt_cond_latents(sound, 22050, length=6, chunk_length=6)
    mine = gpt.voice(reference_mel(sound))
    _say("conditioning latents", mine, theirs)

    texts = (HERE / "texts" / "train.txt").read_text("ascii").splitlines()
    texts += (HERE / "texts" / "heldout.txt").read_text("ascii").splitlines()
    differ = [
        text
        for text in texts[-4000:]
        if tokens.encode(text)[1:-1] != model.tokenizer.encode(text, lang="en")
    ]
    print(f"tokens differ for {len(differ)} of 4000 texts {differ[:5]}")

    for text, count in (("it rains in the mountains.", 47), ("hello.", 12)):
        said = chance.permutation(1024)[:count].tolist()
        ids = torch.tensor([tokens.encode(text)])
        inside = ids[:, 1:-1]
        theirs = model.gpt(
            inside,
            torch.tensor([inside.shape[1]]),
            torch.tensor([[*said, STOP_CODE]]),
            torch.tensor([(count + 1) * model.gpt.code_stride_len]),
            cond_latents=mine,
            return_attentions=False,
            return_latent=True,
        )
        given = torch.tensor([[START_CODE, *said]])
        # Padding of text and codes, as in a batch, must change nothing.
        padded_ids = torch.nn.functional.pad(ids, (0, 9), value=7)
        padded_codes = torch.nn.functional.pad(given, (0, 5), value=3)
        length = LATENTS + ids.shape[1] + given.shape[1]
        _, latents = gpt(mine, padded_ids, torch.tensor([ids.shape[1]]), padded_codes, length)
        latents = latents[:, : count + 1]
        _say(f"latents of {count} codes {tuple(theirs.shape)}", latents, theirs)
        speaker = torch.randn(1, 512, 1)
        wave = model.hifigan_decoder(theirs, g=speaker)[0, 0]
        frames = torch.arange(output_frames(count + 1))[None]
        made = vocoder(upsampled(latents, torch.tensor([count + 1]), frames))[0]
        _say(f"sound of {count} codes ({wave.shape[0]} samples)", made, wave)

    name = next(iter(speakers))
    entry = model.speaker_manager.speakers[name]
    torch.manual_seed(0)
    spoken = model.inference("Good morning to all of you.", "en", **_renamed(entry))
    print(f"inference() as {name}: {len(spoken['wav']) / 24000:.2f} s of sound")


def _renamed(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "gpt_cond_latent": entry["gpt_cond_latent"],
        "speaker_embedding": entry["speaker_embedding"],
    }


def _say(what: str, mine: Any, theirs: Any) -> None:
    if mine.shape != theirs.shape:
        raise ValueError(f"{what}: {tuple(mine.shape)} here, {tuple(theirs.shape)} there")
    away = float((mine - theirs).abs().max())
    print(f"{what}: at most {away:.2e} apart, of up to {float(theirs.abs().max()):.2f}")


def weights_module(project: Path) -> Any:
    """Return xcompat's `weights`, from an installed xcompat or from a checkout."""
    try:
        from xcompat.target import weights
    except ImportError:
        path = project / "compat" / "target" / "weights.py"
        spec = importlib.util.spec_from_file_location("weights", path)
        assert spec and spec.loader
        weights = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(weights)
    return weights


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("gpt", type=Path)
    packing.add_argument("vocoder", type=Path)
    packing.add_argument("out", type=Path)
    packing.add_argument("--dtype", choices=("int8", "float16"), default="int8")
    packing.add_argument("--halves", default="", help="keep halves where a name contains this")
    for name in ("ship", "prove"):
        command = commands.add_parser(name)
        command.add_argument("voice", type=Path)
        command.add_argument("folder", type=Path)
        command.add_argument("--project", type=Path, default=Path())
    options = parser.parse_args()
    if options.command == "pack":
        pack(options.gpt, options.vocoder, options.out, dtype=options.dtype, halves=options.halves)
    elif options.command == "ship":
        ship(options.voice, options.folder, weights_module(options.project))
    else:
        prove(options.voice, options.folder)


if __name__ == "__main__":
    sys.exit(main())
