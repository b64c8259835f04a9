"""What to install for a module that is missing: pure.

Only modules that XTTS, the apps around it and what they need import are named. Whoever pastes a
name into an installer gets what somebody published under it, so an unknown one is left to a person.
"""

from __future__ import annotations

import re
from typing import Final

_MISSING: Final = re.compile(r"No module named '?([A-Za-z_]\w*)")
_OTHERWISE_NAMED: Final = {
    "MeCab": "mecab-python3",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dotenv": "python-dotenv",
    "ebooklib": "EbookLib",
    "fitz": "PyMuPDF",
    "hangul_romanize": "hangul-romanize",
    "huggingface_hub": "huggingface-hub",
    "jose": "python-jose",
    "multipart": "python-multipart",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "unidic_lite": "unidic-lite",
    "win32api": "pywin32",
    "yaml": "PyYAML",
}
_NAMED_ALIKE: Final = frozenset(
    (
        *("accelerate", "aiohttp", "anyascii", "bangla", "bnnumerizer", "bnunicodenormalizer"),
        *("cutlet", "cython", "einops", "encodec", "fastapi", "flask", "fsspec", "fugashi"),
        *(
            "g2pkk",
            "gradio",
            "gruut",
            "inflect",
            "jamo",
            "jieba",
            "librosa",
            "matplotlib",
            "mutagen",
        ),
        *("nltk", "num2words", "numba", "numpy", "openpyxl", "packaging", "pandas", "psutil"),
        *("pydantic", "pydub", "pynvml", "pypinyin", "pysbd", "requests", "scipy", "six"),
        *("sounddevice", "soundfile", "spacy", "stanza", "tokenizers", "torchaudio", "torchcodec"),
        *("torchvision", "tqdm", "transformers", "unidecode", "uvicorn", "websockets"),
    )
)


def distribution_of_missing(error: str) -> str:
    """Return the distribution that brings the module that an error misses; empty if not known.

    Args:
        error: The line of the error: `ModuleNotFoundError: No module named 'einops'`.
    """
    match = _MISSING.search(error)
    name = match[1] if match else ""
    return _OTHERWISE_NAMED.get(name, name if name in _NAMED_ALIKE else "")
