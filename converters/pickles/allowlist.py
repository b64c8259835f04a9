"""Every name that a checkpoint may mention, by exact module and name; any other is a refusal."""

from __future__ import annotations

from typing import Final

from xcompat.converters.values.objects import Global
from xcompat.converters.values.tensors import STORAGE_DTYPES, UNSUPPORTED_STORAGES

XTTS_CONFIG: Final = Global("TTS.tts.configs.xtts_config", "XttsConfig")
XTTS_ARGS: Final = Global("TTS.tts.models.xtts", "XttsArgs")
XTTS_AUDIO_CONFIG: Final = Global("TTS.tts.models.xtts", "XttsAudioConfig")
DATASET_CONFIG: Final = Global("TTS.config.shared_configs", "BaseDatasetConfig")
ORDERED_DICT: Final = Global("collections", "OrderedDict")
REBUILD_TENSOR: Final = Global("torch._utils", "_rebuild_tensor_v2")
REBUILD_PARAMETER: Final = Global("torch._utils", "_rebuild_parameter")
DEFAULT_DICT: Final = Global("collections", "defaultdict")
_CONFIGS: Final = frozenset(
    {
        XTTS_CONFIG,
        XTTS_ARGS,
        XTTS_AUDIO_CONFIG,
        DATASET_CONFIG,
        # Where coqui-tts 0.28.0 moved them.
        Global("TTS.tts.configs.xtts_config", "XttsArgs"),
        Global("TTS.tts.configs.xtts_config", "XttsAudioConfig"),
    }
)
_OPTIMIZERS: Final = frozenset(
    {
        Global("torch.optim.adam", "Adam"),
        Global("torch.optim.adamw", "AdamW"),
        Global("torch.optim.radam", "RAdam"),
        Global("torch.optim.sgd", "SGD"),
    }
)
"""What trainers pickle where they save the optimizer, or its class, and not its state dict."""
DICTS: Final = frozenset({Global("builtins", "dict"), Global("__builtin__", "dict")})
"""What a `defaultdict` may make where a key is missing."""
RECORDS: Final = _CONFIGS | _OPTIMIZERS
"""Classes whose objects become a `Record`."""
STORAGES: Final = {Global("torch", name): dtype for name, dtype in STORAGE_DTYPES.items()}
"""The classes of storages, and what their elements are."""
UNSUPPORTED: Final = frozenset(Global("torch", name) for name in UNSUPPORTED_STORAGES)
"""Classes of storages that torch has and no XTTS model: their refusal names the storage."""
GLOBALS: Final = {
    (known.module, known.name): known
    for known in (
        *_CONFIGS,
        *_OPTIMIZERS,
        *DICTS,
        *STORAGES,
        *UNSUPPORTED,
        ORDERED_DICT,
        REBUILD_TENSOR,
        REBUILD_PARAMETER,
        DEFAULT_DICT,
    )
}
"""Every name that a checkpoint may mention, by exact module and name."""
TENSORS_ONLY: Final = frozenset({ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, *STORAGES})
"""What every torch loads under `weights_only=True`, since 1.13."""
