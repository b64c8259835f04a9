"""What is known of XTTS checkpoints: how to recognise one, what inference needs of it.

The rules for names are those of `Xtts.get_compatible_checkpoint_state_dict` in TTS 0.22.0, the
sizes those of `TTS.tts.layers.xtts.gpt.GPT.__init__`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final, NamedTuple

from xcompat.converters.files.plain_json import to_plain
from xcompat.converters.pickles.allowlist import XTTS_CONFIG
from xcompat.converters.report import Dropped
from xcompat.converters.values.objects import Record, StateDict
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import Tensor
from xcompat.errors import Refusal

TRAINER_PREFIX: Final = "xtts."
LICENCE: Final = "coqui-public-model-license"
"""Name on Hugging Face of the Coqui Public Model License 1.0.0, which binds every derivative."""

_UNUSED_MODULES: Final = {
    "dvae": "makes training targets",
    "torch_mel_spectrogram_style_encoder": "makes training inputs",
    "torch_mel_spectrogram_dvae": "makes training inputs",
}
_ALIASES: Final = {
    "gpt.gpt_inference.": "a second name of the same weights, made again when the model is loaded",
    "gpt.gpt.wte.": "a second name of the same weights, made again when the model is loaded",
}
_HIFIGAN: Final = "hifigan_decoder"
_OTHER_DECODERS: Final = dict.fromkeys(
    ("diffusion_decoder", "vocoder", "ne_hifigan_decoder"),
    f"a decoder that TTS leaves out where there is `{_HIFIGAN}`",
)
"""XTTS v1.0 speaks by the first two alone, its later revisions hold a HiFi-GAN as well.

TTS 0.17.9 to 0.20.0 choose by `use_hifigan`, which is true by default; newer ones know no other.
"""
_TRAINING_STATE: Final = ("optimizer", "scaler", "scheduler")
_VOCABULARIES: Final = {6681: "2.0.3", 6153: "2.0.0 to 2.0.2"}
"""Rows of the text embedding in the published versions of XTTS v2."""


class Model(NamedTuple):
    """The part of a checkpoint that inference needs, under the names that TTS uses."""

    kind: str
    """What the checkpoint was recognised as, for people."""
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] | None
    """What the checkpoint itself holds as its configuration, as JSON types."""
    renamed: Mapping[str, int]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]


def read_model(value: Any) -> Model:
    """Recognise an XTTS checkpoint and choose what inference needs of it.

    Args:
        value: The value tree of a checkpoint.

    Raises:
        Refusal: XC109, it is not an XTTS checkpoint: says what was found; XC108, two tensors would
            get one name, or something that is not a tensor has a tensor's place.
    """
    state_dict, extras = _split(value)
    tensors, renamed, dropped = _choose(state_dict)
    _require_xtts(tensors)
    config = extras.get("config")
    plain = None if config is None else to_plain(config, "config")
    notes = [] if plain is None or isinstance(plain, dict) else ["its `config` is not an object"]
    return Model(
        kind=_kind(tensors, extras, renamed=bool(renamed)),
        tensors=tensors,
        config=plain if isinstance(plain, dict) else None,
        renamed=renamed,
        dropped=(*dropped, *_dropped_extras(extras)),
        notes=(*notes, *_tensor_notes(tensors)),
    )


def _split(value: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the state dict and what is beside it in the checkpoint."""
    if not isinstance(value, dict):
        raise _not_xtts(f"it holds a {_type_name(value)}, not a dict")
    model = value.get("model")
    if isinstance(model, dict):
        extras = {str(key): item for key, item in value.items() if key != "model"}
        return model, extras
    if value and all(isinstance(item, Tensor) for item in value.values()):
        return value, {}
    keys = ", ".join(printable(str(key), 40) for key in list(value)[:8])
    raise _not_xtts(f"it has no state dict under `model`; its keys are: {keys or 'none'}")


def _choose(
    state_dict: Mapping[str, Any],
) -> tuple[Mapping[str, Tensor], dict[str, int], list[Dropped]]:
    require_tensors(state_dict)
    tensors = StateDict()
    renamed = 0
    dropped: Counter[str] = Counter()
    unused = dict(_UNUSED_MODULES)
    if any(name.removeprefix(TRAINER_PREFIX).startswith(f"{_HIFIGAN}.") for name in state_dict):
        unused |= _OTHER_DECODERS
    if not any(name.startswith(TRAINER_PREFIX) or _drop_rule(name, unused) for name in state_dict):
        return state_dict, {}, []
    for name, tensor in state_dict.items():
        is_prefixed = name.startswith(TRAINER_PREFIX)
        new_name = name.replace(TRAINER_PREFIX, "") if is_prefixed else name
        if rule := _drop_rule(new_name, unused):
            dropped[rule] += 1
            continue
        if new_name in tensors:
            raise Refusal("XC108", f"two tensors would be named `{printable(new_name)}`")
        tensors[new_name] = tensor
        renamed += is_prefixed
    reasons = {f"{module}.*": why for module, why in unused.items()}
    reasons |= {f"{prefix}*": why for prefix, why in _ALIASES.items()}
    return (
        tensors,
        {f"{TRAINER_PREFIX}* -> *": renamed} if renamed else {},
        [
            Dropped(what=rule, tensors=count, reason=reasons[rule])
            for rule, count in dropped.items()
        ],
    )


def require_tensors(state_dict: Mapping[Any, Any]) -> None:
    """Make sure that a state dict holds tensors under names, and nothing else.

    Raises:
        Refusal: XC108.
    """
    for name, tensor in state_dict.items():
        if type(name) is not str:
            raise Refusal("XC108", f"the state dict has the key {name!r}, which is not text")
        if not isinstance(tensor, Tensor):
            raise Refusal(
                "XC108",
                f"`{printable(name)}` in the state dict is a {_type_name(tensor)}, not a tensor",
            )


def _drop_rule(name: str, unused: Mapping[str, str]) -> str:
    module = name.split(".", 1)[0]
    if module in unused:
        return f"{module}.*"
    return next((f"{prefix}*" for prefix in _ALIASES if name.startswith(prefix)), "")


def _dropped_extras(extras: Mapping[str, Any]) -> list[Dropped]:
    dropped = [
        Dropped(what=key, tensors=_count_tensors(extras[key]), reason="only training needs it")
        for key in _TRAINING_STATE
        if extras.get(key) is not None
    ]
    others = [
        key
        for key, item in extras.items()
        if key not in {*_TRAINING_STATE, "config"} and item is not None
    ]
    if others:
        what = ", ".join(printable(key, 40) for key in others[:8])
        count = sum(_count_tensors(extras[key]) for key in others)
        dropped.append(Dropped(what=what, tensors=count, reason="the record of a training"))
    return dropped


def _count_tensors(value: Any) -> int:
    """Count the tensors of a value tree, shared parts and cycles once."""
    seen: set[int] = set()
    pending = [value]
    count = 0
    while pending:
        item = pending.pop()
        if isinstance(item, Tensor):
            count += 1
        elif isinstance(item, (dict, list, tuple, Record)) and id(item) not in seen:
            seen.add(id(item))
            if isinstance(item, Record):
                pending.append(item.state)
            else:
                pending.extend(item.values() if isinstance(item, dict) else item)
    return count


def _require_xtts(tensors: Mapping[str, Tensor]) -> None:
    needed = (
        "gpt.text_embedding.weight",
        "gpt.mel_embedding.weight",
        "gpt.mel_pos_embedding.emb.weight",
        "gpt.text_pos_embedding.emb.weight",
        "gpt.gpt.ln_f.weight",
    )
    missing = [name for name in needed if name not in tensors]
    if missing:
        top = Counter(name.split(".", 1)[0] for name in tensors)
        found = ", ".join(
            f"{printable(name, 40)} ({count} tensors)" for name, count in top.most_common()[:5]
        )
        raise _not_xtts(f"`{missing[0]}` is missing; found: {found or 'no tensors'}")
    for name in needed[:-1]:
        if len(tensors[name].shape) != 2:
            raise _not_xtts(f"`{name}` has {len(tensors[name].shape)} dimensions, not two")
        if not tensors[name].numel:
            raise _not_xtts(f"`{name}` is empty")
    if not _has_decoder(tensors):
        raise _not_xtts(
            f"it has the GPT of XTTS but no `{_HIFIGAN}`, nor `diffusion_decoder` and `vocoder` as "
            "XTTS v1.0 has: one part of a model"
        )


def _not_xtts(reason: str) -> Refusal:
    return Refusal(
        "XC109",
        f"this is not an XTTS checkpoint: {reason}",
        hint="Give the model.pth of XTTS, or a checkpoint of its fine-tuning.",
    )


def _type_name(value: Any) -> str:
    return str(value.type) if isinstance(value, Record) else type(value).__name__


def _kind(tensors: Mapping[str, Tensor], extras: Mapping[str, Any], *, renamed: bool) -> str:
    rows = tensors["gpt.text_embedding.weight"].shape[0]
    if not has_hifigan(tensors):
        version = "XTTS v1.0"
    elif not has_perceiver(tensors):
        version = "XTTS v1"
    elif rows in _VOCABULARIES:
        version = f"XTTS v2 ({_VOCABULARIES[rows]})"
    else:
        version = f"XTTS v2 (custom vocabulary of {rows} tokens)"
    config = extras.get("config")
    if renamed or any(extras.get(key) is not None for key in _TRAINING_STATE):
        return f"{version}, checkpoint of the trainer"
    if isinstance(config, Record) and config.type == XTTS_CONFIG:
        return f"{version}, release checkpoint"
    if isinstance(config, dict):
        return f"{version}, checkpoint with a plain configuration"
    return f"{version}, tensors only"


def _tensor_notes(tensors: Mapping[str, Tensor]) -> list[str]:
    shared = _count_shared(tensors)
    notes = []
    if not has_hifigan(tensors):
        notes.append(
            "XTTS v1.0 speaks by diffusion: TTS 0.17.9 to 0.20.0 load it, with `use_hifigan` false "
            "in its configuration; newer ones do not"
        )
    if shared:
        notes.append(f"{shared} tensors shared memory with others and have their own now")
    return notes


def _count_shared(tensors: Mapping[str, Tensor]) -> int:
    """Count the tensors whose storage another one has too; a dict of the keys would take 4 MB."""
    numbers = [tensor.key for tensor in tensors.values() if isinstance(tensor.key, int)]
    names = [tensor.key for tensor in tensors.values() if isinstance(tensor.key, str)]
    numbers.sort()
    names.sort()
    runs = (sum(1 for _ in run) for keys in (numbers, names) for _, run in groupby(keys))
    return sum(count for count in runs if count > 1)


def has_hifigan(tensors: Mapping[str, Tensor]) -> bool:
    """Whether this has the decoder of all versions but XTTS v1.0."""
    return any(name.startswith(f"{_HIFIGAN}.") for name in tensors)


def _has_decoder(tensors: Mapping[str, Tensor]) -> bool:
    modules = {name.split(".", 1)[0] for name in tensors}
    return _HIFIGAN in modules or modules >= {"diffusion_decoder", "vocoder"}


def has_perceiver(tensors: Mapping[str, Tensor]) -> bool:
    """Whether this is XTTS v2, which conditions its GPT through a perceiver."""
    return "gpt.conditioning_perceiver.latents" in tensors


def model_args_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the architecture that the shapes of the tensors tell, as fields of `XttsArgs`."""
    text_rows, dimension = tensors["gpt.text_embedding.weight"].shape
    layers = {
        name.split(".")[3]
        for name in tensors
        if name.startswith("gpt.gpt.h.") and name.count(".") > 3
    }
    return {
        # The position embeddings have one row for the start token, one for the stop token, and in
        # the case of the audio one more for the conditioning input.
        "gpt_max_audio_tokens": tensors["gpt.mel_pos_embedding.emb.weight"].shape[0] - 3,
        "gpt_max_text_tokens": tensors["gpt.text_pos_embedding.emb.weight"].shape[0] - 2,
        "gpt_layers": len(layers),
        "gpt_n_model_channels": dimension,
        "gpt_number_text_tokens": text_rows,
        "gpt_num_audio_tokens": tensors["gpt.mel_embedding.weight"].shape[0],
        "gpt_use_perceiver_resampler": has_perceiver(tensors),
    }


def config_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return a configuration for a checkpoint that has none: the rest are the defaults of TTS."""
    args = model_args_of(tensors)
    audio_tokens = args["gpt_num_audio_tokens"]
    args["gpt_start_audio_token"] = audio_tokens - 2
    args["gpt_stop_audio_token"] = audio_tokens - 1
    if not has_hifigan(tensors):
        args["use_hifigan"] = False
    return {"model": "xtts", "model_args": args}


_DEFAULTS: Final = {
    "gpt_max_audio_tokens": 605,
    "gpt_max_text_tokens": 402,
    "gpt_layers": 30,
    "gpt_n_model_channels": 1024,
    "gpt_num_audio_tokens": 8194,
    "gpt_use_perceiver_resampler": False,
}
"""Of `XttsArgs` in TTS 0.22.0; what a configuration does not say."""


def check_config(config: Mapping[str, Any], source: str, model: Model) -> list[str]:
    """Compare a configuration with the tensors; return notes on what does no harm.

    Raises:
        Refusal: XC109, TTS could not load the tensors into a model built from this configuration.
    """
    args = config.get("model_args")
    if not isinstance(args, Mapping):
        raise Refusal(
            "XC109",
            f"{source} has no `model_args`: it is not the configuration of an XTTS model",
            hint="Put the config.json of this model beside the checkpoint.",
        )
    notes: list[str] = []
    for name, actual in model_args_of(model.tensors).items():
        told = args.get(name, _DEFAULTS.get(name))
        if told == actual:
            continue
        if name == "gpt_number_text_tokens":
            if told is not None:
                notes.append(
                    f"{source} says {name} {printable(repr(told))}, the checkpoint has {actual}; "
                    "TTS counts the vocabulary instead"
                )
            continue
        raise Refusal(
            "XC109",
            f"{source} says {name} is {printable(repr(told))}, but the checkpoint has {actual}",
            hint="Put the config.json that belongs to this checkpoint beside it.",
        )
    return notes


def check_vocabulary(vocabulary: Mapping[str, Any], source: str, model: Model) -> None:
    """Make sure that the tokenizer has as many tokens as the text embedding has rows.

    TTS builds the embedding by the tokenizer's highest number and then refuses other tensors.

    Raises:
        Refusal: XC109, the numbers differ, or this is not the file of a tokenizer.
    """
    inner = vocabulary.get("model")
    tokens = inner.get("vocab") if isinstance(inner, dict) else None
    added = vocabulary.get("added_tokens", [])
    if not isinstance(tokens, dict) or not isinstance(added, list):
        raise Refusal("XC109", f"{source} is not the vocabulary of an XTTS tokenizer")
    numbers = [*tokens.values(), *(item.get("id") for item in added if isinstance(item, dict))]
    if not numbers or not all(type(number) is int for number in numbers):
        raise Refusal("XC109", f"{source} is not the vocabulary of an XTTS tokenizer")
    size = max(numbers) + 1
    rows = model.tensors["gpt.text_embedding.weight"].shape[0]
    if size != rows:
        raise Refusal(
            "XC109",
            f"{source} has {size} tokens, but the checkpoint has an embedding for {rows}",
            hint="Put the vocab.json that belongs to this checkpoint beside it.",
        )


SPEAKER_TENSORS: Final = ("gpt_cond_latent", "speaker_embedding")


def holds_speakers(value: Any) -> bool:
    """Whether this looks like the built-in speakers, flat or nested: the first one does."""
    if not isinstance(value, dict) or not value:
        return False
    name, first = next(iter(value.items()))
    if isinstance(first, dict):
        return first.keys() == set(SPEAKER_TENSORS)
    return type(name) is str and name.rpartition("/")[2] in SPEAKER_TENSORS


def read_speakers(value: Any) -> dict[str, dict[str, Tensor]]:
    """Return the built-in speakers of a `speakers_xtts.pth`, in their order.

    Raises:
        Refusal: XC109, the file holds something else.
    """
    if not isinstance(value, dict):
        raise _not_speakers(f"it holds a {_type_name(value)}")
    for name, tensors in value.items():
        if type(name) is not str or not isinstance(tensors, dict):
            raise _not_speakers(f"its entry {printable(repr(name))} is not a speaker")
        if set(tensors) != set(SPEAKER_TENSORS) or not all(
            isinstance(tensor, Tensor) for tensor in tensors.values()
        ):
            raise _not_speakers(
                f"speaker `{printable(name)}` has other parts than {' and '.join(SPEAKER_TENSORS)}"
            )
    return value


def read_flat_speakers(tensors: Mapping[str, Tensor], order: str) -> dict[str, dict[str, Tensor]]:
    """Return the built-in speakers of a safetensors file, whose names are `speaker/part`.

    Args:
        tensors: By their names in the file.
        order: JSON array of the speakers, which consumers know by their order; the order of the
            file where it is empty.

    Raises:
        Refusal: XC109, the file holds something else.
    """
    voices: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        voice, _, part = name.rpartition("/")
        voices.setdefault(voice, {})[part] = tensor
    read_speakers(voices)
    if not order:
        return voices
    try:
        ordered = json.loads(order)
    except (ValueError, RecursionError):
        ordered = None
    if not isinstance(ordered, list) or any(type(voice) is not str for voice in ordered):
        raise _not_speakers("the order of its speakers is no list of names")
    if sorted(ordered) != sorted(voices):
        raise _not_speakers("the order of its speakers names others than it holds")
    return {voice: voices[voice] for voice in ordered}


DVAE_TENSOR: Final = "codebook.embed"
"""What only the discrete autoencoder has, `TTS.tts.layers.xtts.dvae.DiscreteVAE`."""


def may_be_narrow(name: str, tensor: Tensor) -> bool:
    """Whether a tensor may be cast to a half-precision type without harm.

    Biases, norms and statistics make no size and much error, and the conditioning perceiver
    computes NaN in half precision: these stay as they are.
    """
    return len(tensor.shape) >= 2 and not name.startswith(_WIDE_MODULES)


_WIDE_MODULES: Final = (
    "gpt.conditioning_perceiver.",
    "hifigan_decoder.speaker_encoder.torch_spec.",
)


def _not_speakers(reason: str) -> Refusal:
    return Refusal(
        "XC109",
        f"this is not a file of XTTS speakers: {reason}",
        hint="Use the speakers_xtts.pth of the release, or move this file away.",
    )
