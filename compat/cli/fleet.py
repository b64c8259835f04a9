"""Many environments and lists of versions in one `doctor`: one summary, the worst exit code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from xcompat.cli.exits import VERDICT_EXIT, worst
from xcompat.errors import ExitCode, Misuse, XcompatError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xcompat.cli.examination import Examination
    from xcompat.domain import Environment
    from xcompat.render.fleet import Examined

Target = tuple["str | None", "str | None"]
"""An environment, or a list of versions."""


def targets_asked_for(
    words: Sequence[str] | None, python: str | None, requirements: str | None
) -> list[Target]:
    """Return what to look at: what the options name, or each word, or what is here.

    Raises:
        Misuse: `XC210` where both are given.
    """
    if not words:
        return [(python, requirements)]
    if python is not None or requirements is not None:
        raise Misuse(
            "XC210",
            "a target, `--python` and `-r` exclude each other",
            hint="name all of them as targets",
        )
    return [(None, word) if _is_list(word) else (word, None) for word in words]


def _is_list(word: str) -> bool:
    """Return whether a word names a list of versions: a file that is no interpreter."""
    path = Path(word)
    return word == "-" or (
        not path.is_dir()
        and re.fullmatch(r"(python|pypy)[\d.]*t?(\.exe)?", path.name, re.IGNORECASE) is None
        and (path.is_file() or path.suffix in (".txt", ".toml", ".lock", ".in"))
    )


def examine_all(
    targets: Sequence[Target],
    look: Callable[[str | None, str | None], Environment],
    examination: Examination,
    form: str,
    *,
    report: bool,
) -> ExitCode:
    """Examine each target, write one summary, and return the worst exit code.

    What cannot be looked at is told, and does not keep the others from being examined.
    """
    from xcompat.render import fleet as render
    from xcompat.render.text import show_json, write

    if report:
        raise Misuse("XC210", "`--report` is about one environment", hint="name one target")
    examined = [_examined(target, look, examination) for target in targets]
    if form == "text":
        render.show_fleet(examined)
    elif form == "json":
        show_json(render.fleet_as_json(examined))
    elif form == "sarif":
        show_json(render.fleet_as_sarif(examined))
    elif form == "github":
        write(render.fleet_as_annotations(examined))
    else:
        write(render.fleet_as_markdown(examined))
    return worst(map(_exit_of, examined))


def _examined(
    target: Target,
    look: Callable[[str | None, str | None], Environment],
    examination: Examination,
) -> Examined:
    from xcompat.render.fleet import Examined

    name = target[0] or target[1] or ""
    try:
        return Examined(name, *examination.of(look(*target)))
    except XcompatError as error:
        return Examined(name, None, (), error)


def _exit_of(examined: Examined) -> ExitCode:
    found = examined.diagnosis
    return VERDICT_EXIT[found.verdict] if found else ExitCode.COULD_NOT_LOOK
