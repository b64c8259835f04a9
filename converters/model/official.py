"""The published checkpoints: their licence, and each by its SHA-256.

The hashes are those that Hugging Face shows for the files (their LFS object identifiers), read in
November 2026 at https://huggingface.co/coqui/XTTS-v2, /coqui/XTTS-v1 and /tts-hub/XTTS-v2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xcompat.converters.files.source import SourceFile

LICENCE: Final = "coqui-public-model-license"
"""Name on Hugging Face of the Coqui Public Model License 1.0.0, which binds every derivative."""
PUBLISHED_LAYERS: Final = 30
PUBLISHED_CHANNELS: Final = 1024
"""Of the GPT in every published XTTS, and so in what was fine-tuned from one."""
_UNTRAINED: Final = "untrained"
"""Data set that `target.checkpoint` names in the configuration of what it makes."""
_SPDX: Final = re.compile(rb"SPDX-License-Identifier:\s*([\w.+-]+)")
RELEASES: Final = {
    "9c282fc8cd9bd749d383a4527f20edcc3cea9c821a6d16b7710d5198edf2da50": (
        "XTTS v1 of 2023-09-13 (coqui/XTTS-v1)"
    ),
    "007024dd42666fedbb448b1f6ff90a7064768aaf79aa1c7e27cbc4f043c7183e": (
        "XTTS v1, revision 1175f2a (coqui/XTTS-v1)"
    ),
    "7c62beaf58d39b729de287330dc254e7b515677416839b649a50e7cf74c3df59": "XTTS v1.1 (coqui/XTTS-v1)",
    "e06f0e60ceca6d2cf8b1cdde09788b743e823dc8526b8e2743d110aecd7196b8": (
        "XTTS v2, first of 2023-11-06 (coqui/XTTS-v2)"
    ),
    "ba3f6a97bba2a816ae18e7d6356d798a73b89cb2490f4ff6ff75b66b4136d0ba": (
        "XTTS v2, second of 2023-11-06 (coqui/XTTS-v2)"
    ),
    "a9bf08409cdef1626e1da99d3c9891deb49f925173de622831a4e9b8c91fdeb5": (
        "XTTS v2 of 2023-11-08 (coqui/XTTS-v2)"
    ),
    "6817f33ceb69480a4a665a91b61461f0aca6dd1397c0ba46ebffbe13c6f5fe80": (
        "XTTS v2.0.2 (coqui/XTTS-v2)"
    ),
    "98f7297340c09d9d33cb3e2580f8cfb02e8b496270e2cf678ffcfe38b535d218": (
        "XTTS v2.0.3 (coqui/XTTS-v2)"
    ),
    "c7ea20001c6a0a841c77e252d8409f6a74fb423e79b3206a0771ba5989776187": (
        "XTTS v2, main branch (coqui/XTTS-v2)"
    ),
    "d5822cb1d4bf97c418855e326562a934caa20cef01ebf4c90bf792df0fd5b99e": (
        "XTTS v2, configuration as a plain dict (tts-hub/XTTS-v2)"
    ),
}


def licence_of(
    args: Mapping[str, Any], config: Mapping[str, Any], licences: Iterable[bytes]
) -> str:
    """Return the identifier of the licence that binds a model; empty where none is known.

    Args:
        args: The architecture, as `model_args_of` returns it.
        config: The configuration.
        licences: Content of the licence files beside the model: an SPDX tag in one decides.
    """
    for text in licences:
        if found := _SPDX.search(text):
            return found.group(1).decode()
    sizes = args["gpt_layers"], args["gpt_n_model_channels"]
    if sizes != (PUBLISHED_LAYERS, PUBLISHED_CHANNELS):
        return ""
    datasets = config.get("datasets")
    named = [d.get("dataset_name") for d in datasets or () if isinstance(d, dict)]
    return "" if _UNTRAINED in named else LICENCE


def sha256_of(file: SourceFile) -> str:
    """Return the SHA-256 of a file in hexadecimal. It takes longer than a conversion.

    Raises:
        Corruption: XC102, the file ends too early.
        CannotLook: XC112, the system cannot read it.
    """
    import hashlib  # noqa: PLC0415 - loads OpenSSL, which is fast here and of no use elsewhere

    digest = hashlib.sha256()
    for piece in file.pieces(0, file.size):
        digest.update(piece)
    return digest.hexdigest()
