"""Recognise an XTTS checkpoint, and choose what inference needs of it.

The rules for names are those of `Xtts.get_compatible_checkpoint_state_dict` in TTS 0.22.0.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from xcompat.converters.model.architecture import HIFIGAN, has_hifigan, has_perceiver
from xcompat.converters.pickles.allowlist import XTTS_CONFIG
from xcompat.converters.report import Dropped
from xcompat.converters.values.objects import Record, StateDict, type_name
from xcompat.converters.values.plain import to_plain
from xcompat.converters.values.printable import printable
from xcompat.converters.values.tensors import Tensor
from xcompat.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRAINER_PREFIX: Final = "xtts."
_UNUSED_MODULES: Final = {
    "dvae": "makes training targets",
    "torch_mel_spectrogram_style_encoder": "makes training inputs",
    "torch_mel_spectrogram_dvae": "makes training inputs",
}
_ALIASES: Final = {
    "gpt.gpt_inference.": "a second name of the same weights, made again when the model is loaded",
    "gpt.gpt.wte.": "a second name of the same weights, made again when the model is loaded",
}
_OTHER_DECODERS: Final = dict.fromkeys(
    ("diffusion_decoder", "vocoder", "ne_hifigan_decoder"),
    f"a decoder that TTS leaves out where there is `{HIFIGAN}`",
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
        raise _not_xtts(f"it holds a {type_name(value)}, not a dict")
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
    if any(name.removeprefix(_TRAINER_PREFIX).startswith(f"{HIFIGAN}.") for name in state_dict):
        unused |= _OTHER_DECODERS
    if not any(name.startswith(_TRAINER_PREFIX) or _drop_rule(name, unused) for name in state_dict):
        return state_dict, {}, []
    for name, tensor in state_dict.items():
        is_prefixed = name.startswith(_TRAINER_PREFIX)
        new_name = name.replace(_TRAINER_PREFIX, "") if is_prefixed else name
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
        {f"{_TRAINER_PREFIX}* -> *": renamed} if renamed else {},
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
                f"`{printable(name)}` in the state dict is a {type_name(tensor)}, not a tensor",
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
            f"it has the GPT of XTTS but no `{HIFIGAN}`, nor `diffusion_decoder` and `vocoder` as "
            "XTTS v1.0 has: one part of a model"
        )


def _not_xtts(reason: str) -> Refusal:
    return Refusal(
        "XC109",
        f"this is not an XTTS checkpoint: {reason}",
        hint="Give the model.pth of XTTS, or a checkpoint of its fine-tuning.",
    )


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


def _has_decoder(tensors: Mapping[str, Tensor]) -> bool:
    modules = {name.split(".", 1)[0] for name in tensors}
    return HIFIGAN in modules or modules >= {"diffusion_decoder", "vocoder"}
