"""A BPE vocabulary of any size, in the format of the released `vocab.json` (HF tokenizers)."""

from __future__ import annotations

import itertools
from typing import Any

RELEASE_SIZE = 6681
"""Tokens in the vocabulary of XTTS v2.0.3."""

LANGUAGES = (
    "en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn", "hu", "ko",
    "ja", "hi",
)  # fmt: skip

_SPECIAL = ("[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{code}]" for code in LANGUAGES))
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_OTHER = (
    "0123456789.,;:!?'\"()-"
    "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿāăąćčďđēęěğīıłńňőœřśşšťūůűźżžß"
    "абвгдежзийклмнопрстуфхцчшщъыьэюяё"
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئةى"
    "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौंः्"
)


def build(size: int = RELEASE_SIZE) -> dict[str, Any]:
    """Return the tokenizer as JSON data with exactly `size` tokens.

    Letter pairs and triples are merged, so that `size` tokens are reachable from text.
    """
    vocabulary = {token: index for index, token in enumerate((*_SPECIAL, *_LATIN, *_OTHER))}
    if size < len(vocabulary):
        raise ValueError(f"a vocabulary needs at least {len(vocabulary)} tokens, not {size}")
    merges: list[str] = []
    pairs = [left + right for left, right in itertools.product(_LATIN, repeat=2)]
    candidates = itertools.chain(
        ((pair[0], pair[1]) for pair in pairs),
        ((pair, letter) for letter in _LATIN for pair in pairs),
    )
    for left, right in candidates:
        if len(vocabulary) == size:
            break
        merges.append(f"{left} {right}")
        vocabulary[left + right] = len(vocabulary)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "special": True,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
            }
            for index, token in enumerate(_SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "[UNK]",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }
