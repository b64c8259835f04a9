"""Carries a proposal out in its environment, with the installer that owns the environment.

Nothing is touched before everything is solved, fetched and built, and before the way back is
written down.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from xcompat.diagnosis.doctor import diagnose
from xcompat.domain.plan import Applied
from xcompat.environment.probe import environment_of
from xcompat.errors import CannotLook
from xcompat.resolution.commands import run
from xcompat.resolution.installation import versions_in
from xcompat.resolution.way_back import restore_commands, write_way_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from xcompat.domain import Matrix
    from xcompat.domain.plan import Plan
    from xcompat.resolution.prepare import Prepared


def carry_out(
    prepared: Prepared,
    plan: Plan,
    matrix: Matrix,
    tell: Callable[[str], None],
    begin: Callable[[], None] = lambda: None,
) -> Applied:
    """Fetch everything, write the way back, change the environment, and diagnose it again.

    Args:
        prepared: What to do.
        plan: Has the environment, and what it is needed for.
        matrix: What the diagnosis afterwards rests on.
        tell: Is told what is about to be done.
        begin: Called right before the first change.

    Raises:
        CannotLook: `XC216` where something cannot be fetched or built, and nothing is changed;
            `XC220` where the change failed halfway, with the way back as its hint.
        KeyboardInterrupt: after telling whether anything was changed, and the way back.
    """
    installation = prepared.installation
    before = {name: each.version for name, each in installation.installed.items()}
    steps = [("uninstall", prepared.uninstalls)] if prepared.uninstalls else []
    restore: tuple[str, ...] = ()
    try:
        with fetched(prepared, tell) as source:
            file = write_way_back(prepared)
            begin()
            restore = restore_commands(prepared, file)
            if prepared.installs:
                steps.append(("install", ("--no-deps", *source, *prepared.installs)))
            for verb, words in steps:
                tell(f"{installation.installer} {verb}")
                if status := run(installation.command(verb, *words)):
                    _broken_off(f"{installation.installer} {verb} ended with {status}", restore)
    except KeyboardInterrupt:
        tell("interrupted, half changed; to go back:" if restore else "nothing was changed")
        for command in restore:
            tell(f"  {command}")
        raise
    environment = environment_of(installation.python)
    after = versions_in(installation.python)
    return Applied(
        installer=installation.installer,
        changed={
            name: (before.get(name), after.get(name))
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name) or name in prepared.uninstalls
        },
        restore_file=str(file),
        restore_commands=restore,
        after=diagnose(environment, matrix, plan.needed),
    )


@contextmanager
def fetched(prepared: Prepared, tell: Callable[[str], None]) -> Iterator[list[str]]:
    """Fetch and build all that will be installed; yield the options that install it from there.

    uv keeps what it fetched in its cache, to which a throw-away folder of links costs nothing;
    pip gets a folder of wheels.
    """
    installation = prepared.installation
    if not prepared.installs:
        yield []
        return
    tell(f"fetching {len(prepared.installs)} packages; nothing is changed yet")
    try:
        folder = tempfile.TemporaryDirectory(prefix=".xcompat-", dir=installation.prefix)
    except OSError as error:
        raise CannotLook(
            "XC216",
            f"cannot write to `{installation.prefix}`: {error.strerror}",
            hint="check the disk",
        ) from error
    with folder as wheels:
        if installation.uv:
            links = "copy" if os.name == "nt" else "symlink"
            words = ("--target", wheels, "--no-deps", "--link-mode", links)
            status = run(installation.command("install", "--quiet", *words, *prepared.installs))
            source: list[str] = []
        else:
            options = ("--no-deps", "--quiet", "--wheel-dir", wheels)
            status = run(installation.command("wheel", *options, *prepared.installs))
            source = ["--no-index", "--find-links", wheels]
        if status:
            raise CannotLook(
                "XC216",
                "something cannot be fetched or built (above); nothing was changed",
                hint="check the network, the disk, and for a build the compiler",
            )
        yield source


def _broken_off(what: str, restore: Sequence[str]) -> NoReturn:
    raise CannotLook(
        "XC220",
        f"{what}; the environment is half changed",
        hint="to go back to what was there:\n  " + "\n  ".join(restore),
    )
