"""A model where TTS looks for one that it has downloaded, and TTS without a network meanwhile.

`TTS("tts_models/multilingual/multi-dataset/xtts_v2")` is what most programs say. The releases keep
that model in a folder of their own; coqui-tts 0.28 keeps it in the cache of the Hugging Face hub.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from pathlib import Path
from typing import Any, Iterator

NAME = "tts_models/multilingual/multi-dataset/xtts_v2"
"""The name under which every release since 0.20.0 knows XTTS v2."""
_REVISION = "0" * 40
"""Stands for the commit that the hub's cache names a snapshot after."""


def cache_variables(caches: Path) -> dict[str, str]:
    """Return the environment variables that make TTS keep what it downloads in `caches`.

    The hub reads its own when it is imported.
    """
    return {"TTS_HOME": str(caches), "HF_HUB_CACHE": str(_hub(caches))}


def put_into_cache(folder: Path, caches: Path) -> Path:
    """Copy a model folder to where the TTS of this environment looks for XTTS v2; return where.

    What the release checks lies beside it: that the licence was accepted, and the checksum that it
    expects. Of weights, TTS reads the `.pth` files, so that only these are copied.

    Args:
        folder: The model folder.
        caches: What `cache_variables` was given.

    Raises:
        KeyError: This TTS does not list the model.
    """
    listed = _listed()
    home = caches / "tts" / NAME.replace("/", "--")
    home.mkdir(parents=True)
    (home / "tos_agreed.txt").touch()
    place = home
    if "repo_id" in listed:
        repository = _hub(caches) / f"models--{listed['repo_id'].replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(_REVISION, encoding="ascii")
        place = repository / "snapshots" / _REVISION
    without = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(folder, place, ignore=without, dirs_exist_ok=True)
    if "model_hash" in listed:
        (place / "hash.md5").write_text(listed["model_hash"], encoding="ascii")
    return place


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Let the block find no host, as on a machine without a network.

    TTS before coqui-tts 0.28 compares the configuration in its cache with the published one, and
    downloads 1.9 GB where they differ, as those of the tiny model do.
    """
    found = socket.getaddrinfo

    def nowhere(host: Any, *_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, f"{host} is not asked for: this is done offline")

    socket.getaddrinfo = nowhere
    try:
        yield
    finally:
        socket.getaddrinfo = found


def _hub(caches: Path) -> Path:
    return caches / "hub"


def _listed() -> dict[str, Any]:
    """Return what this release of TTS knows of the model."""
    import TTS

    models = json.loads((Path(TTS.__file__).parent / ".models.json").read_text(encoding="utf-8"))
    for part in NAME.split("/"):
        models = models[part]
    return dict(models)
