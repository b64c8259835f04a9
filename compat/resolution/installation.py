"""What is installed in the environment that shall change, and which installer owns it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xcompat.domain import distribution_name
from xcompat.domain.gpu import INDEX
from xcompat.errors import CannotLook, Misuse, Refusal
from xcompat.resolution.lock import find_uv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xcompat.domain import Environment

_QUESTION = """
import importlib.metadata, json, os, sys, sysconfig
told = []
for found in importlib.metadata.distributions():
    if found.metadata["Name"]:
        told.append({
            "name": found.metadata["Name"],
            "version": found.version,
            "installer": (found.read_text("INSTALLER") or "").strip(),
            "direct_url": found.read_text("direct_url.json") or "",
        })
paths = sysconfig.get_paths()
print(json.dumps({
    "distributions": told,
    "prefix": sys.prefix,
    "managed": sys.prefix == sys.base_prefix and os.path.exists(
        os.path.join(paths["stdlib"], "EXTERNALLY-MANAGED")),
    "writable": os.access(paths["purelib"], os.W_OK),
    "purelib": paths["purelib"],
}))
"""


class Installed(NamedTuple):
    """A distribution as the way back needs to know it."""

    version: str
    installer: str
    line: str
    """What brings this very thing back: `name==version`, `name @ address`, `-e folder`."""


class Installation(NamedTuple):
    """The environment that is changed, and the installer that owns it."""

    python: str
    prefix: str
    installed: Mapping[str, Installed]
    uv: str | None
    """uv's path where uv owns the environment; None where pip does."""
    build: str = ""
    """The build of torch that comes from an index of its own; empty where none does."""

    @property
    def installer(self) -> str:
        """What it is called: `uv` or `pip`."""
        return "uv" if self.uv else "pip"

    def command(self, verb: str, *words: str) -> list[str]:
        """Return the installer's command for this environment."""
        fetches = self.build and verb != "uninstall"
        if self.uv:
            backend = ("--torch-backend", self.build) if fetches else ()
            return [self.uv, "pip", verb, "--python", self.python, *backend, *words]
        options = ["--disable-pip-version-check", "--no-input"]
        if fetches:
            options += ["--extra-index-url", INDEX + self.build]
        yes = ["-y"] if verb == "uninstall" else []
        return [self.python, "-I", "-m", "pip", verb, *options, *yes, *words]


class _Answer(NamedTuple):
    installed: dict[str, Installed]
    prefix: str
    managed: bool
    writable: bool
    purelib: str


def installation_of(environment: Environment, changing: Sequence[str]) -> Installation:
    """Return the environment that shall be changed, and who owns it.

    Args:
        environment: Where it is.
        changing: Distributions that will be replaced or taken out.

    Raises:
        Misuse: `XC217` where there is no environment to change.
        Refusal: `XC218` where it belongs to somebody else (PEP 668, conda), or cannot be written.
        CannotLook: `XC202` where the interpreter does not answer, `XC219` where there is no
            installer.
    """
    if not environment.interpreter:
        raise Misuse(
            "XC217",
            "there is no environment to change: this is a plan for pins, or for another machine",
            hint="name the environment with --python, and leave -r, --platform and"
            " --python-version away",
        )
    python = environment.interpreter
    answer = _ask(python)
    if answer.managed:
        raise Refusal(
            "XC218",
            f"`{python}` belongs to the operating system, which forbids changes (PEP 668)",
            hint=f"make an environment of your own: {python} -m venv FOLDER, then"
            " xcompat resolve --python FOLDER --apply",
        )
    if not answer.writable:
        raise Refusal(
            "XC218",
            f"`{answer.purelib}` cannot be written by you",
            hint=f"make an environment of your own: {python} -m venv FOLDER, then"
            " xcompat resolve --python FOLDER --apply",
        )
    for name in changing:
        if name in answer.installed and answer.installed[name].installer == "conda":
            raise Refusal(
                "XC218",
                f"conda installed {name} here, and neither pip nor uv can take it out cleanly",
                hint="make a new environment, and let xcompat fill it: xcompat resolve --python"
                " FOLDER --apply",
            )
    return Installation(
        python=python,
        prefix=answer.prefix,
        installed=answer.installed,
        uv=_uv_if_it_owns(answer, changing),
    )


def versions_in(python: str) -> dict[str, str]:
    """Return the versions that an interpreter finds, by distribution.

    Raises:
        CannotLook: `XC202` where it does not answer.
    """
    return {name: each.version for name, each in _ask(python).installed.items()}


def _uv_if_it_owns(answer: _Answer, changing: Sequence[str]) -> str | None:
    """Return uv's path if the environment is uv's: made by it, filled by it, or without pip."""
    try:
        settings = Path(answer.prefix, "pyvenv.cfg").read_text("utf-8")
    except OSError:
        settings = ""
    has_pip = "pip" in answer.installed
    made = re.search(r"^uv\s*=", settings, re.MULTILINE) is not None
    told = [answer.installed[name].installer for name in changing if name in answer.installed]
    filled = told.count("uv") > len(told) / 2
    if has_pip and not made and not filled:
        return None
    uv = find_uv()
    if uv is None and not has_pip:
        raise CannotLook(
            "XC219",
            f"`{answer.prefix}` has no pip, as environments made by uv, and there is no uv here",
            hint='pip install uv, or install xcompat with its extra: pip install "xcompat[lock]"',
        )
    return uv


def _ask(python: str) -> _Answer:
    try:
        done = subprocess.run(
            [python, "-I", "-c", _QUESTION],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        told: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise CannotLook(
            "XC202",
            f"the interpreter `{python}` does not work",
            hint=f"try it yourself: {python} --version",
        ) from error
    installed: dict[str, Installed] = {}
    for each in told["distributions"]:
        name = distribution_name(each["name"])
        if name not in installed:
            installed[name] = Installed(
                version=each["version"],
                installer=each["installer"],
                line=_line(name, each["version"], each["direct_url"]),
            )
    return _Answer(
        installed=installed,
        prefix=told["prefix"],
        managed=told["managed"],
        writable=told["writable"],
        purelib=told["purelib"],
    )


def _line(name: str, version: str, direct_url: str) -> str:
    """Return the requirement that brings a distribution back from where it came from."""
    try:
        told = json.loads(direct_url) if direct_url else {}
        url = str(told.get("url", ""))
        if told.get("dir_info", {}).get("editable"):
            return f"-e {url}"
        if commit := told.get("vcs_info", {}).get("commit_id"):
            return f"{name} @ {told['vcs_info']['vcs']}+{url}@{commit}"
    except (ValueError, AttributeError, KeyError):
        url = ""
    return f"{name} @ {url}" if url else f"{name}=={version}"
