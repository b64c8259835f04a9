"""Has a proposal solved by the installer that owns the environment. Nothing is changed."""

from __future__ import annotations

import importlib.metadata
import json
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement

from xcompat.domain import distribution_name
from xcompat.errors import CannotLook
from xcompat.resolution.commands import captured
from xcompat.resolution.installation import installation_of
from xcompat.resolution.lock import unsolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from xcompat.domain.plan import Plan, Proposal
    from xcompat.resolution.installation import Installation, Installed


class Prepared(NamedTuple):
    """A proposal that was solved for its environment; nothing is changed yet."""

    installation: Installation
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
    changing = [change.name for change in proposal.changes]
    installation = installation_of(plan.environment, changing)._replace(build=proposal.build)
    uninstalls = tuple(change.name for change in proposal.changes if change.uninstall)
    back = {c.name: f"=={c.then}" for c in proposal.changes if c.uninstall and c.then}
    limits = [*pins, *_of_xcompat(installation.installed)]
    solved = (
        _solve_with_uv(installation, proposal, back, limits)
        if installation.uv
        else _solve_with_pip(installation, proposal, limits)
    )
    for name, specifier in back.items():
        if name not in {distribution_name(Requirement(each).name) for each in solved}:
            solved.append(f"{name}{specifier}")
    return Prepared(installation=installation, uninstalls=uninstalls, installs=tuple(solved))


def _of_xcompat(installed: Mapping[str, Installed]) -> list[str]:
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
    installation: Installation, proposal: Proposal, back: Mapping[str, str], limits: Sequence[str]
) -> list[str]:
    again = [word for name in back for word in ("--reinstall-package", name)]
    with _constraints(limits) as options:
        words = ("--dry-run", "--no-progress", "--color", "never", *again, *options)
        done = captured(installation.command("install", *words, *proposal.requirements))
    if done.returncode:
        raise unsolved(done.stderr, no_solution=done.returncode == 1)
    return re.findall(r"^ \+ (\S+==\S+)", done.stderr, re.MULTILINE)


def _solve_with_pip(
    installation: Installation, proposal: Proposal, limits: Sequence[str]
) -> list[str]:
    with _constraints(limits) as options, tempfile.TemporaryDirectory(prefix="xcompat-") as folder:
        report = Path(folder, "report.json")
        words = ("--dry-run", "--quiet", "--report", str(report), *options)
        done = captured(installation.command("install", *words, *proposal.requirements))
        if "no such option" in done.stderr:
            raise CannotLook(
                "XC219",
                "the pip of this environment is too old to tell what it would do (22.2 can)",
                hint=f"{installation.python} -m pip install --upgrade pip",
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
