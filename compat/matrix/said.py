"""Reads what a pasted text says of the environment it comes from: versions, Python, platform.

Pure. A text that names two versions of one distribution says nothing of it: one of them is what was
asked for, advised or replaced.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from xcompat.domain import DECIDING, Environment, distribution_name, minor_of

_NAMES = (
    *DECIDING,
    *("PyTorch", "numpy", "pandas", "tokenizers", "librosa", "setuptools", "spacy", "thinc"),
    *("coqpit", "coqpit-config", "trainer", "coqui-tts-trainer", "huggingface-hub", "deepspeed"),
)
_NAME = "|".join(re.escape(name).replace(r"\-", "[-_]") for name in sorted(_NAMES, reverse=True))
_VERSION = r"(\d+\.\d+(?:\.\d+){0,2}(?:(?:a|b|rc|\.dev|\.post)\d+)?(?:\+\w+)?)(?![\w.]*\*)"
_SAID = re.compile(
    # What a message tells of another release, or asks for, is not what is installed.
    r"(?<!in )(?<!In )(?<!rom )(?<!ince )(?<!for )(?<!for: )(?<!ith )(?<!requires )(?<!equires: )"
    r"(?<!depends on )(?<!Collecting )(?<!built for )(?<!install )(?<!nstall \")"
    rf"(?<![\w./\\-])({_NAME})['\"]?"
    r"(?:[ _](?:[Vv]ersion|VERSION)(?: installed)?)?['\"]?"
    r"(?:==|[ ]*[:=][ ]*['\"]?v?|-(?=\d+\.\d+[\w.+]*(?:\s|\.dist-info|$))|[ ]+v?"
    r"|[ ]+in [^\s()]+ [^()\n]{0,60}\(|[ ]\()"
    rf"{_VERSION}",
    re.IGNORECASE,
)
_PYTHON = re.compile(
    r"(?<!Requires-)\bpython(?:[ _]version)?(?: is)?['\"]?"
    r"(?:[ ]+v?|: ?['\"]?)(3\.\d{1,2}(?:\.\d+)?)\b"
    r"|\bpython(3\.\d{1,2})[/\\]"
    r"|\bPython(3\d{1,2})[/\\]"
    r"|[-.]cp(3\d{1,2})-",
    re.IGNORECASE,
)
_PLATFORMS = (
    (re.compile(r"\b[A-Z]:\\+[\w ]|win_amd64|WindowsPE|\bWindows (?:10|11)\b"), "win-amd64"),
    (re.compile(r"/Users/\w|\bmacOS\b|\bDarwin\b|/opt/homebrew/|macosx_1"), "macosx-arm64"),
    (
        re.compile(r"/home/\w|/usr/(?:local/)?lib/python|/root/|manylinux|\bUbuntu\b"),
        "linux-x86_64",
    ),
)
_OTHER_PROCESSOR = re.compile(
    r"\bx86_64\b.*\bDarwin|macosx_\d+_\d+_x86_64|aarch64|Raspberry|Intel Mac"
)
_LAST_TTS = 22
"""Minor version of the last TTS; what is newer is the fork, which tells the name of its folder."""
_MOST = 1 << 21
"""Characters that are read: versions stand at the beginning of a log, or in its paths."""


class Said(NamedTuple):
    """What texts have said so far; sets grow with each of them."""

    versions: dict[str, set[str]]
    pythons: set[str]
    platforms: set[str]
    read: list[int]

    @classmethod
    def nothing(cls) -> Said:
        """Return what is known before anything is read."""
        return cls({}, set(), set(), [0])

    def listen(self, text: str) -> None:
        """Add what a text says."""
        if self.read[0] > _MOST:
            return
        self.read[0] += len(text)
        for name, version in _SAID.findall(text):
            spelled = "torch" if name.lower() == "pytorch" else distribution_name(name)
            self.versions.setdefault(spelled, set()).add(version.partition("+")[0])
        for found in _PYTHON.findall(text):
            python = next(filter(None, found))
            self.pythons.add(python if "." in python else f"3.{python[1:]}")
        if not _OTHER_PROCESSOR.search(text):
            self.platforms.update(name for pattern, name in _PLATFORMS if pattern.search(text))

    def environment(self) -> Environment:
        """Return what was said without a contradiction, as an incomplete Environment."""
        minors = {minor_of(each) for each in self.pythons}
        packages = {
            name: next(iter(said)) for name, said in self.versions.items() if len(said) == 1
        }
        if "TTS" in packages and int(packages["TTS"].split(".")[1]) > _LAST_TTS:
            packages.setdefault("coqui-tts", packages.pop("TTS"))
        return Environment(
            python=max(self.pythons, key=len) if len(minors) == 1 else "",
            platform=next(iter(self.platforms)) if len(self.platforms) == 1 else "",
            packages=packages,
            source="what was pasted",
            complete=False,
        )
