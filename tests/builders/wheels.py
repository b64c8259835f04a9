"""Wheels without anything in them, and an index of them: what installers really install."""

import base64
import hashlib
import zipfile

FILES = {
    "TTS": "TTS", "coqui-tts": "TTS", "trainer": "trainer", "coqui-tts-trainer": "trainer",
    "coqpit": "coqpit", "coqpit-config": "coqpit",
}  # fmt: skip
"""Import package of the distributions that share one."""
REQUIRES = {
    "TTS": ["trainer", "coqpit", "torch", "torchaudio", "transformers"],
    "coqui-tts": ["coqui-tts-trainer", "coqpit-config", "transformers"],
    "transformers": ["tokenizers", "numpy"],
}
VERSIONS = {
    "TTS": ["0.22.0"], "trainer": ["0.0.36"], "coqpit": ["0.0.17"], "coqui-tts": ["0.28.0"],
    "coqui-tts-trainer": ["0.4.0"], "coqpit-config": ["0.2.5"], "torch": ["2.8.0", "2.9.1"],
    "torchaudio": ["2.8.0", "2.9.1"], "transformers": ["4.40.2", "4.57.2", "4.57.6", "5.0.0"],
    "tokenizers": ["0.19.1", "0.22.2", "0.23.0"], "numpy": ["1.26.4", "2.4.6"], "six": ["1.17.0"],
}  # fmt: skip


def make_wheel(folder, name, version, *, modules=0):
    """Write a wheel whose import package says which distribution it is of, and has modules."""
    stem = f"{name.replace('-', '_')}-{version}"
    package = FILES.get(name, name)
    files = {
        f"{package}/__init__.py": f"name = {name!r}\nversion = {version!r}\n",
        f"{stem}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {each}\n" for each in REQUIRES.get(name, []))
        ),
        f"{stem}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    files |= {f"{package}/part{each}.py": f"version = {version!r}\n" for each in range(modules)}
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in files.items()]
    files[record] = "\n".join([*lines, f"{record},,", ""])
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def make_index(folder, *, modules=0):
    """Write a folder of wheels that can be given to `--find-links`."""
    folder.mkdir(parents=True)
    for name, versions in VERSIONS.items():
        for version in versions:
            make_wheel(folder, name, version, modules=modules)
    return folder


def _digest(text):
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
