"""A tiny model in the layout of the XTTS v2 release, made without torch, to try a conversion on.

Everything is as in the published files, and only the sizes are not: the pickled `XttsConfig`, the
eight globals, 64-bit counters without dimensions, a window that is shorter than its storage, and
speakers. The weights are noise of a fixed seed: no TTS can speak with them.
"""

from __future__ import annotations

import random
from array import array
from math import prod
from typing import TYPE_CHECKING, Any, Final

from xcompat.converters.containers.torch_file import ArchiveLayout
from xcompat.converters.files import checksum
from xcompat.converters.files.json_documents import to_json
from xcompat.converters.files.output_folder import OutputFolder, output_errors
from xcompat.converters.pickles.allowlist import (
    DATASET_CONFIG,
    XTTS_ARGS,
    XTTS_AUDIO_CONFIG,
    XTTS_CONFIG,
)
from xcompat.converters.pickles.pickle_writer import Pickled
from xcompat.converters.values.objects import Record, StateDict
from xcompat.converters.values.plain import to_plain
from xcompat.converters.values.tensors import F32, I64, Dtype, Storage, Tensor, packed

if TYPE_CHECKING:
    from pathlib import Path

    from xcompat.converters.files.output_file import OutputFile

_SPEAKERS: Final = ("Claribel Dervla", "Torcull Diarmuid", "Nova Hogarth")
_TOKENS: Final = (
    "[STOP]",
    "[UNK]",
    "[SPACE]",
    "[en]",
    *"abcdefghijklmnopqrstuvwxyz.,!?'",
    "[START]",
)
_DIMENSION: Final = 16
_LAYERS: Final = 2
_AUDIO_TOKENS: Final = 34
_MAX_AUDIO: Final = 61
_MAX_TEXT: Final = 46
_LICENCE: Final = (
    "These weights are noise and belong to nobody. The real ones are under the\n"
    "Coqui Public Model License 1.0.0: https://tts-hub.github.io/cpml\n"
)


def write_tiny_release(folder: Path) -> None:
    """Write `model.pth`, `config.json`, `vocab.json`, `speakers_xtts.pth` and a licence (0.2 MB).

    The content is the same on every machine.

    Args:
        folder: Where to; it is created where it is missing, and files in it are replaced.

    Raises:
        CannotLook: XC111, the folder cannot be written to.
    """
    config = _config()
    vocabulary = {
        "version": "1.0",
        "added_tokens": [],
        "model": {
            "type": "BPE",
            "unk_token": "[UNK]",
            "vocab": {token: number for number, token in enumerate(_TOKENS)},
            "merges": [],
        },
    }
    weights = _Weights(seed=2)
    checkpoint = {
        "config": config,
        "model": _state_dict(weights),
        "optimizer": None,
        "scaler": None,
        "step": 1,
        "epoch": 0,
        "date": "November 24, 2023",
        "model_loss": 0.0,
    }
    voices = _Weights(seed=3)
    speakers = {
        name: {
            "gpt_cond_latent": voices.tensor(1, 32, _DIMENSION),
            "speaker_embedding": voices.tensor(1, 512, 1),
        }
        for name in _SPEAKERS
    }
    with output_errors(folder), OutputFolder(folder, lambda _: None) as output:
        output.create("config.json").write(to_json(to_plain(config, "config")))
        output.create("vocab.json").write(to_json(vocabulary))
        output.create("LICENSE.txt").write(_LICENCE.encode())
        voices.save(speakers, output.create("speakers_xtts.pth"))
        weights.save(checkpoint, output.create("model.pth"))
        output.commit(last=("model.pth",), replace=True)


class _Weights:
    """Tensors of noise, each in a storage of its own, and the bytes of these storages."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible noise, not a secret
        self._storages: list[bytes] = []

    def tensor(self, *shape: int, unused: int = 0) -> Tensor:
        """Return a float tensor; its storage has `unused` elements more."""
        numel = prod(shape) + unused
        values = array("f", (self._random.uniform(-0.05, 0.05) for _ in range(numel)))
        return self._store(values, F32, shape)

    def counter(self) -> Tensor:
        """Return an integer without dimensions."""
        return self._store(array("q", [1]), I64, ())

    def save(self, value: Any, output: OutputFile) -> None:
        """Write a checkpoint of these tensors as torch.save does."""
        layout = ArchiveLayout(Pickled(value), array("Q", map(len, self._storages)))

        def write_storage(number: int) -> int:
            output.write(self._storages[number])
            return checksum.crc32(self._storages[number])

        layout.write(output, write_storage)

    def _store(self, values: array[Any], dtype: Dtype, shape: tuple[int, ...]) -> Tensor:
        storage = Storage(len(self._storages), dtype, len(values))
        self._storages.append(values.tobytes())
        return packed(storage, shape)


def _config() -> Record:
    args = {
        "gpt_layers": _LAYERS,
        "gpt_n_model_channels": _DIMENSION,
        "gpt_n_heads": 2,
        "gpt_max_audio_tokens": _MAX_AUDIO,
        "gpt_max_text_tokens": _MAX_TEXT,
        "gpt_number_text_tokens": len(_TOKENS),
        "gpt_start_text_token": None,
        "gpt_stop_text_token": None,
        "gpt_num_audio_tokens": _AUDIO_TOKENS,
        "gpt_start_audio_token": _AUDIO_TOKENS - 2,
        "gpt_stop_audio_token": _AUDIO_TOKENS - 1,
        "gpt_use_perceiver_resampler": True,
    }
    dataset = {"formatter": "", "dataset_name": "", "path": "", "ignored_speakers": None}
    return Record(
        XTTS_CONFIG,
        {
            "model": "xtts",
            "run_name": "tiny",
            "datasets": [Record(DATASET_CONFIG, dataset)],
            "model_args": Record(XTTS_ARGS, args),
            "audio": Record(XTTS_AUDIO_CONFIG, {"sample_rate": 22050, "output_sample_rate": 24000}),
            "languages": ["en"],
            "temperature": 0.75,
            "length_penalty": 1.0,
            "repetition_penalty": 5.0,
            "top_k": 50,
            "top_p": 0.85,
        },
    )


def _state_dict(weights: _Weights) -> StateDict:
    tensor = weights.tensor
    dimension = _DIMENSION
    named = {
        "mel_stats": tensor(80),
        "gpt.text_embedding.weight": tensor(len(_TOKENS), dimension),
        "gpt.mel_embedding.weight": tensor(_AUDIO_TOKENS, dimension),
        "gpt.mel_pos_embedding.emb.weight": tensor(_MAX_AUDIO + 3, dimension),
        "gpt.text_pos_embedding.emb.weight": tensor(_MAX_TEXT + 2, dimension),
        "gpt.conditioning_perceiver.latents": tensor(32, dimension),
        "gpt.gpt.ln_f.weight": tensor(dimension),
        "gpt.gpt.ln_f.bias": tensor(dimension),
        "gpt.final_norm.weight": tensor(dimension),
        "gpt.final_norm.bias": tensor(dimension),
        "gpt.text_head.weight": tensor(len(_TOKENS), dimension),
        "gpt.text_head.bias": tensor(len(_TOKENS)),
        "gpt.mel_head.weight": tensor(_AUDIO_TOKENS, dimension),
        "gpt.mel_head.bias": tensor(_AUDIO_TOKENS),
        "hifigan_decoder.waveform_decoder.conv_pre.weight": tensor(8, dimension, 7),
        "hifigan_decoder.waveform_decoder.conv_pre.bias": tensor(8),
        "hifigan_decoder.speaker_encoder.bn1.num_batches_tracked": weights.counter(),
        "hifigan_decoder.speaker_encoder.torch_spec.1.spectrogram.window": tensor(400, unused=1),
    }
    for layer in range(_LAYERS):
        block = f"gpt.gpt.h.{layer}"
        named |= {
            f"{block}.ln_1.weight": tensor(dimension),
            f"{block}.attn.c_attn.weight": tensor(dimension, 3 * dimension),
            f"{block}.attn.c_attn.bias": tensor(3 * dimension),
            f"{block}.mlp.c_fc.weight": tensor(dimension, 4 * dimension),
            f"{block}.mlp.c_proj.weight": tensor(4 * dimension, dimension),
        }
    return StateDict(named)
