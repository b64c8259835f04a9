"""Carries a proposal out in its environment, with the installer that owns the environment.

Nothing is touched before everything is solved, fetched and built, and before the way back is
written down.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from packaging.requirements import Requirement

from xcompat.diagnosis.doctor import diagnose
from xcompat.domain import distribution_name
from xcompat.domain.plan import Applied
from xcompat.environment.probe import environment_of
from xcompat.errors import CannotLook, Misuse, Refusal, XcompatError
from xcompat.resolution.lock import find_uv, unsolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from xcompat.domain import Environment, Matrix
    from xcompat.domain.plan import Plan, Proposal

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
_STDERR = 2
_PATIENCE = 30.0
"""Seconds that an interrupted installer gets to end by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Installed:
    """A distribution as the way back needs to know it."""

    version: str
    installer: str
    line: str
    """What brings this very thing back: `name==version`, `name @ address`, `-e folder`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """The environment that is changed, and the installer that owns it."""

    python: str
    prefix: str
    installed: Mapping[str, _Installed]
    uv: str | None
    """uv's path where uv owns the environment; None where pip does."""

    @property
    def installer(self) -> str:
        return "uv" if self.uv else "pip"

    def command(self, verb: str, *words: str) -> list[str]:
        """Return the installer's command for this environment."""
        if self.uv:
            return [self.uv, "pip", verb, "--python", self.python, *words]
        options = ["--disable-pip-version-check", "--no-input"]
        yes = ["-y"] if verb == "uninstall" else []
        return [self.python, "-I", "-m", "pip", verb, *options, *yes, *words]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A proposal that was solved for its environment; nothing is changed yet."""

    site: _Site
    uninstalls: tuple[str, ...]
    installs: tuple[str, ...]
    """Exact versions of all that will be installed."""


def prepare(plan: Plan, proposal: Proposal, pins: Sequence[str] = ()) -> Prepared:
    """Return what the proposal will change, solved by the installer that owns the environment.

    Args:
        plan: Has the environment.
        proposal: What to carry out.
        pins: Exact versions that the solution must keep to, such as those of a lock.

    Raises:
        Misuse: `XC217` where there is no environment to change.
        Refusal: `XC218` where the environment belongs to somebody else (PEP 668, conda), or
            cannot be written; `XC214` where nothing fits together.
        CannotLook: `XC202` where the interpreter does not answer, `XC219` where there is no
            installer, `XC216` where the solver fails.
    """
    site = _site(plan.environment, [change.name for change in proposal.changes])
    uninstalls = tuple(change.name for change in proposal.changes if change.uninstall)
    back = {c.name: f"=={c.then}" for c in proposal.changes if c.uninstall and c.then}
    limits = [*pins, *_of_xcompat(site.installed)]
    solved = (
        _solve_with_uv(site, proposal, back, limits)
        if site.uv
        else _solve_with_pip(site, proposal, limits)
    )
    for name, specifier in back.items():
        if name not in {distribution_name(Requirement(each).name) for each in solved}:
            solved.append(f"{name}{specifier}")
    return Prepared(site=site, uninstalls=uninstalls, installs=tuple(solved))


def carry_out(
    prepared: Prepared, plan: Plan, matrix: Matrix, tell: Callable[[str], None]
) -> Applied:
    """Fetch everything, write the way back, change the environment, and diagnose it again.

    Args:
        prepared: What to do.
        plan: Has the environment, and what it is needed for.
        matrix: What the diagnosis afterwards rests on.
        tell: Is told what is about to be done.

    Raises:
        CannotLook: `XC216` where something cannot be fetched or built, and nothing is changed;
            `XC220` where the change failed halfway, with the way back as its hint.
        KeyboardInterrupt: after telling whether anything was changed, and the way back.
    """
    site = prepared.site
    before = {name: each.version for name, each in site.installed.items()}
    steps = [("uninstall", prepared.uninstalls)] if prepared.uninstalls else []
    way_back: tuple[str, ...] = ()
    try:
        with _fetched(prepared, tell) as source:
            file = _write_way_back(prepared)
            way_back = _way_back(prepared, file)
            if prepared.installs:
                steps.append(("install", ("--no-deps", *source, *prepared.installs)))
            for verb, words in steps:
                tell(f"{site.installer} {verb}")
                if status := _run(site.command(verb, *words)):
                    _broken_off(f"{site.installer} {verb} ended with {status}", way_back)
    except KeyboardInterrupt:
        tell("interrupted, half changed; to go back:" if way_back else "nothing was changed")
        for command in way_back:
            tell(f"  {command}")
        raise
    environment = environment_of(site.python)
    after = {name: each.version for name, each in _ask(site.python).installed.items()}
    return Applied(
        installer=site.installer,
        changed={
            name: (before.get(name), after.get(name))
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name) or name in prepared.uninstalls
        },
        restore_file=str(file),
        restore_commands=way_back,
        after=diagnose(environment, matrix, plan.needed),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    installed: dict[str, _Installed]
    prefix: str
    managed: bool
    writable: bool
    purelib: str


def _site(environment: Environment, changing: Sequence[str]) -> _Site:
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
    return _Site(
        python=python,
        prefix=answer.prefix,
        installed=answer.installed,
        uv=_uv_if_it_owns(answer, changing),
    )


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
    installed: dict[str, _Installed] = {}
    for each in told["distributions"]:
        name = distribution_name(each["name"])
        if name not in installed:
            installed[name] = _Installed(
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


def _of_xcompat(installed: Mapping[str, _Installed]) -> list[str]:
    """Return what xcompat itself needs, if it lives in the environment that is changed."""
    if "xcompat" not in installed:
        return []
    needed = map(Requirement, importlib.metadata.requires("xcompat") or [])
    return [
        f"{each.name}{each.specifier}"
        for each in needed
        if (each.marker is None or each.marker.evaluate({"extra": ""}))
        and distribution_name(each.name) in installed
    ]


def _solve_with_uv(
    site: _Site, proposal: Proposal, back: Mapping[str, str], limits: Sequence[str]
) -> list[str]:
    again = [word for name in back for word in ("--reinstall-package", name)]
    with _constraints(limits) as options:
        words = ("--dry-run", "--no-progress", "--color", "never", *again, *options)
        done = _captured(site.command("install", *words, *proposal.requirements))
    if done.returncode:
        raise unsolved(done.stderr, no_solution=done.returncode == 1)
    return re.findall(r"^ \+ (\S+==\S+)", done.stderr, re.MULTILINE)


def _solve_with_pip(site: _Site, proposal: Proposal, limits: Sequence[str]) -> list[str]:
    with _constraints(limits) as options, tempfile.TemporaryDirectory(prefix="xcompat-") as folder:
        report = Path(folder, "report.json")
        words = ("--dry-run", "--quiet", "--report", str(report), *options)
        done = _captured(site.command("install", *words, *proposal.requirements))
        if "no such option" in done.stderr:
            raise CannotLook(
                "XC219",
                "the pip of this environment is too old to tell what it would do (22.2 can)",
                hint=f"{site.python} -m pip install --upgrade pip",
            )
        if done.returncode:
            raise unsolved(
                done.stderr,
                no_solution="ResolutionImpossible" in done.stderr
                or "No matching distribution" in done.stderr,
            )
        told = json.loads(report.read_text("utf-8"))["install"]
    return [f"{each['metadata']['name']}=={each['metadata']['version']}" for each in told]


@contextmanager
def _constraints(limits: Sequence[str]) -> Iterator[list[str]]:
    if not limits:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="xcompat-") as folder:
        file = Path(folder, "constraints.txt")
        file.write_text("".join(f"{each}\n" for each in limits), "utf-8")
        yield ["--constraint", str(file)]


@contextmanager
def _fetched(prepared: Prepared, tell: Callable[[str], None]) -> Iterator[list[str]]:
    """Fetch and build all that will be installed; yield the options that install it from there.

    uv keeps what it fetched in its cache, to which a throw-away folder of links costs nothing;
    pip gets a folder of wheels.
    """
    site = prepared.site
    if not prepared.installs:
        yield []
        return
    tell(f"fetching {len(prepared.installs)} packages; nothing is changed yet")
    try:
        folder = tempfile.TemporaryDirectory(prefix=".xcompat-", dir=site.prefix)
    except OSError as error:
        raise CannotLook(
            "XC216", f"cannot write to `{site.prefix}`: {error.strerror}", hint="check the disk"
        ) from error
    with folder as wheels:
        if site.uv:
            links = "copy" if os.name == "nt" else "symlink"
            words = ("--target", wheels, "--no-deps", "--link-mode", links)
            status = _run(site.command("install", "--quiet", *words, *prepared.installs))
            source: list[str] = []
        else:
            options = ("--no-deps", "--quiet", "--wheel-dir", wheels)
            status = _run(site.command("wheel", *options, *prepared.installs))
            source = ["--no-index", "--find-links", wheels]
        if status:
            raise CannotLook(
                "XC216",
                "something cannot be fetched or built (above); nothing was changed",
                hint="check the network, the disk, and for a build the compiler",
            )
        yield source


def _write_way_back(prepared: Prepared) -> Path:
    """Write down the exact versions that are there, before the first of them changes."""
    site = prepared.site
    touched = _touched(prepared)
    own = [each.line for name, each in sorted(site.installed.items()) if name in touched]
    others = [each.line for name, each in sorted(site.installed.items()) if name not in touched]
    number = 1
    while (file := Path(site.prefix, f"xcompat-restore-{number}.txt")).exists():
        number += 1
    lines = [
        "# What was installed here before `xcompat resolve --apply`. To go back:",
        *(f"#   {command}" for command in _way_back(prepared, file)),
        *own,
        "# What was not to be changed:",
        *(f"# {line}" for line in others),
    ]
    try:
        with file.open("x", encoding="utf-8") as text:
            text.write("\n".join(lines) + "\n")
            text.flush()
            os.fsync(text.fileno())
    except OSError as error:
        raise CannotLook(
            "XC216",
            f"cannot write the way back to `{file}`, so nothing was changed: {error.strerror}",
            hint="check the disk",
        ) from error
    return file


def _way_back(prepared: Prepared, file: Path) -> tuple[str, ...]:
    site = prepared.site
    told = [" ".join(map(_quoted, site.command("uninstall", *sorted(_touched(prepared)))))]
    if any(name in site.installed for name in _touched(prepared)):
        told.append(" ".join(map(_quoted, site.command("install", "--no-deps", "-r", str(file)))))
    return tuple(told)


def _touched(prepared: Prepared) -> set[str]:
    names = {distribution_name(Requirement(each).name) for each in prepared.installs}
    return names | set(prepared.uninstalls)


def _quoted(word: str) -> str:
    import shlex  # noqa: PLC0415

    if os.name == "nt":
        return f'"{word}"' if " " in word else word
    return shlex.quote(word)


def _broken_off(what: str, restore: Sequence[str]) -> NoReturn:
    raise CannotLook(
        "XC220",
        f"{what}; the environment is half changed",
        hint="to go back to what was there:\n  " + "\n  ".join(restore),
    )


def _captured(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise _not_started(command, error) from error


def _run(command: Sequence[str]) -> int:
    """Run an installer, its output on stderr; an interrupt lets it end by itself first."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=_STDERR)
    except OSError as error:
        raise _not_started(command, error) from error
    try:
        return process.wait()
    except KeyboardInterrupt:
        # A terminal tells the installer as well; a signal to this process alone does not.
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        raise


def _not_started(command: Sequence[str], error: OSError) -> XcompatError:
    return CannotLook(
        "XC219", f"`{command[0]}` cannot be started: {error.strerror}", hint="install it anew"
    )
