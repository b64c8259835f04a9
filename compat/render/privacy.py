"""Takes out of a text what tells of a person or a machine, before strangers see it: pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SHARED_VARIABLES: Final = (
    *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    *("CUDA_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TTS_HOME", "XDG_DATA_HOME"),
    *("COQUI_TOS_AGREED", "LANG", "LC_ALL", "PYTHONUTF8", "PYTHONNOUSERSITE", "VIRTUAL_ENV"),
    *("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ENABLE_MPS_FALLBACK", "PYTORCH_MPS_FAST_MATH"),
    *("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "NUMBA_DISABLE_JIT"),
)
"""Environment variables that change what XTTS does; no other is shown."""

_SIMPLE: Final = re.compile(r"[\w.,:=~/\\ -]{1,120}")
_LEAST_NAME: Final = 3
"""Characters of a name that is looked for; shorter ones are parts of any word."""
_EVERYBODYS: Final = frozenset({"root", "user", "admin", "localhost", "runner", "home"})
_SECRETS: Final = (
    (re.compile(r"(?<=://)[^/@\s]+@"), "<secret>@"),
    (re.compile(r"(?<=[?&])([\w-]+)=[^&\s`]+"), r"\1=<secret>"),
    (re.compile(r"\b(?:hf|gh[a-z]|glpat|github_pat|sk|pypi|xox[a-z])[-_]\w[\w-]{7,}"), "<secret>"),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "<address>"),
)
_BUILD: Final = re.compile(r"cpu|xpu|cu\d+|rocm[\d.]+")
"""PyTorch's own labels of local versions: of another, whoever built it chose the words."""


class Private(NamedTuple):
    """What tells of a person or a machine."""

    homes: tuple[str, ...]
    """The home folder, in each way in which it may be written."""
    users: tuple[str, ...]
    hosts: tuple[str, ...]


def scrubbed(text: str, private: Private) -> str:
    """Return a text with the home as `~`, without the names of user and host, without secrets."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    for home in sorted(filter(_is_telling_path, private.homes), key=len, reverse=True):
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    text = _without(private.users, "<user>", text)
    return _without(private.hosts, "<host>", text)


def shared_variables(environ: Mapping[str, str], private: Private) -> dict[str, str]:
    """Return the variables that may be shown; a value that is more than a word or a path is not."""
    found = {name: environ[name] for name in SHARED_VARIABLES if name in environ}
    return {
        name: scrubbed(value, private) if _SIMPLE.fullmatch(value) else "set"
        for name, value in found.items()
    }


def shared_version(version: str) -> str:
    """Return a version without what its builder wrote behind it."""
    public, plus, label = version.partition("+")
    return f"{public}{plus}{shared_build(label)}"


def shared_build(label: str) -> str:
    """Return what something was built for, where that is one of PyTorch's own words."""
    return label if not label or _BUILD.fullmatch(label) else "…"


def _is_telling_path(path: str) -> bool:
    """Return whether a path is more than the root of a drive."""
    return len(path.strip("/\\")) >= _LEAST_NAME


def _without(names: Iterable[str], instead: str, text: str) -> str:
    for name in sorted(set(names), key=len, reverse=True):
        if len(name) >= _LEAST_NAME and name.lower() not in _EVERYBODYS:
            pattern = rf"(?<![^\W_]){re.escape(name)}(?![^\W_])"
            text = re.sub(pattern, instead, text, flags=re.IGNORECASE)
    return text
