"""What the words of `resolve` ask for: an environment to make work, and what must hold in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from xcompat.cli.asked import (
    as_asked,
    capabilities_asked_for,
    check_options,
    language_asked_for,
    platform_asked_for,
)
from xcompat.domain import DECIDING, distribution_name, minor_of
from xcompat.domain.plan import Constraint
from xcompat.environment.pins import pins_of
from xcompat.environment.platforms import this_platform
from xcompat.environment.probe import environment_of
from xcompat.errors import Misuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xcompat.domain import Environment


def target_asked_for(
    python: str | None,
    requirements: str | None,
    python_version: str | None,
    platform: str | None,
    stdin: BinaryIO,
    *,
    language: str | None = None,
    complete: bool | None = None,
) -> tuple[Environment, tuple[Constraint, ...]]:
    """Return the Environment that the options of `resolve` name, and what its requirements demand.

    Exact pins are what there is, and may change. A range must hold, and a bare name is there in a
    version that is not said. What else an address brings is passed over. Whether a list names all
    that is installed is recognised where `complete` is None.

    Where only another Python version or another platform is named, nothing is installed there yet.
    And no interpreter of this machine stands for one that is somewhere else.

    Raises:
        Misuse: as for `doctor`.
        CannotLook: as for `doctor`.
    """
    check_options(python, requirements, python_version, complete=complete)
    if requirements is not None:
        return _of_requirements(
            requirements, python_version, platform, stdin, language=language, complete=complete
        )
    found = environment_of(python)
    asked = as_asked(found, python_version, platform, language)
    minor = minor_of(found.python)
    if asked.platform == found.platform and f"{asked.python}.".startswith(f"{minor}."):
        return asked._replace(python=found.python), ()
    if python is not None:
        return asked._replace(interpreter=""), ()
    nothing = asked._replace(packages={}, builds={}, duplicates={}, system={})
    return nothing._replace(source="", interpreter=""), ()


def _of_requirements(
    requirements: str,
    python_version: str | None,
    platform: str | None,
    stdin: BinaryIO,
    *,
    language: str | None,
    complete: bool | None,
) -> tuple[Environment, tuple[Constraint, ...]]:
    pins = pins_of(
        requirements,
        stdin,
        python=python_version or "",
        platform=platform_asked_for(platform) or this_platform(),
        complete=complete,
    )
    for name in DECIDING:
        if name in pins.addresses:
            raise Misuse(
                "XC205",
                f"{pins.addresses[name]} does not say which version it is",
                hint="write `name==version`; `pip freeze` prints an environment that way",
            )
    there = pins.environment
    passed_over = () if there.complete else pins.addresses
    packages = {n: v for n, v in there.packages.items() if v or n not in passed_over}
    environment = there._replace(packages=packages, language=language_asked_for(language))
    return environment, demands_of(environment)


def demands_of(environment: Environment) -> tuple[Constraint, ...]:
    """Return what a list demands: its ranges must hold."""
    return tuple(
        Constraint(kind="keep", name=name, specifier=told)
        for name, told in environment.ranges.items()
    )


def constraints_asked_for(
    keep: Iterable[str] | None, need: Iterable[str] | None, environment: Environment
) -> tuple[Constraint, ...]:
    """Return what must hold: a bare name keeps the version that is there.

    Raises:
        Misuse: `XC211` for what cannot be kept, `XC207` where there is no such capability.
    """
    constraints = [_kept(word, environment) for word in keep or ()]
    asked = capabilities_asked_for(need) if need else ()
    return (*dict.fromkeys(constraints), *(Constraint(kind="need", name=name) for name in asked))


def _kept(word: str, environment: Environment) -> Constraint:
    from packaging.requirements import (
        InvalidRequirement,
        Requirement,
    )

    try:
        wanted = Requirement(word)
    except InvalidRequirement as error:
        raise Misuse(
            "XC211",
            f"`--keep {word}` names no distribution and versions",
            hint='write it like torch, torch==2.9.1 or "transformers>=4.57,<5"',
        ) from error
    if wanted.url or wanted.extras or wanted.marker:
        raise Misuse(
            "XC211",
            f"`--keep {word}`: an address, an extra or a marker is not a version to keep",
            hint="write it like torch==2.9.1",
        )
    name, specifier = distribution_name(wanted.name), str(wanted.specifier)
    if not specifier:
        installed = environment.packages.get(name)
        if not installed:
            raise Misuse(
                "XC211",
                f"`--keep {word}`: {name} is not there, so there is no version to keep",
                hint=f"say which version: --keep {word}==VERSION",
            )
        specifier = f"=={installed.partition('+')[0]}"
    return Constraint(kind="keep", name=name, specifier=specifier)
