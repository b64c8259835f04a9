"""What is said of runs, wherever they are shown."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from xcompat.domain import DECIDING, minor_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xcompat.domain import Capability, Matrix, Run

COLUMNS: dict[Capability, str] = {
    "install": "ins",
    "import": "imp",
    "load": "pth",
    "load-converted": "cnv",
    "speak": "say",
    "stream": "str",
    "clone": "cln",
    "save": "sav",
    "api": "api",
    "api-path": "dir",
}
REFUSED = "Sets that installers refuse"
_FAMILY = ("TTS", "coqui-tts")
_SIGN = {"works": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}


def counts(matrix: Matrix) -> str:
    """Return how much there is, in a sentence."""
    executed, refused = executed_and_refused(matrix.runs)
    return (
        f"{len(matrix.runs)} recorded runs: {len(executed)} executed, {len(refused)} that an "
        f"installer refused. {len(matrix.rows)} rows, {len(matrix.issues)} known issues."
    )


def executed_and_refused(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Return, in the order in which they are shown, what was executed and what was refused."""
    executed: list[Run] = []
    refused: list[Run] = []
    for run in sorted(runs, key=_order):
        (refused if run.capabilities.keys() == {"install"} else executed).append(run)
    return executed, refused


def group_of(run: Run) -> tuple[str, str]:
    """Return the platform and the Python of a run: those of one group are shown together."""
    return run.environment.platform, minor_of(run.environment.python)


def _order(run: Run) -> tuple[object, ...]:
    packages = run.environment.packages
    numbers = [
        tuple(
            int(part) for part in packages.get(name, "").split("+")[0].split(".") if part.isdigit()
        )
        for name in DECIDING
    ]
    minor = tuple(int(part) for part in group_of(run)[1].split(".") if part.isdigit())
    return run.environment.platform, minor, "coqui-tts" in packages, *numbers, run.date, run.id


def signs_of(run: Run, name: Capability) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return how it went with TTS as it is, and with the xcompat runtime where that was run."""
    stock, runtime = (
        _SIGN[told[name].status] if name in told else None
        for told in (run.capabilities, run.runtime_capabilities)
    )
    return stock or (" ", ""), runtime or ("", "")


def outcomes_of(run: Run, capability: Capability | None) -> list[str | tuple[str, str]]:
    """Return in one line how it went, of one capability or of all."""
    parts: list[str | tuple[str, str]] = []
    for name in COLUMNS:
        if name in run.capabilities and capability in (None, name):
            parts += [*signs_of(run, name), f"{name} "]
    return parts


def reason_of(run: Run) -> str:
    """Return why an installer refused a set, out of what it said."""
    words = run.capabilities["install"].error
    if because := _BECAUSE.search(words):
        return because[1]
    return words.removeprefix("error: ").partition(" cause:")[0]


_BECAUSE = re.compile(r"Because (.+?)(?: and you require [^,]+)?,? we can conclude")
"""How uv begins to explain that there is no solution."""


def in_words(run: Run) -> str:
    """Return the versions that decide, each with its name."""
    packages = run.environment.packages
    named = (*DECIDING, "numpy") if run.capabilities.keys() == {"install"} else DECIDING
    return ", ".join(f"{name} {packages[name]}" for name in named if name in packages)


def versions_of(run: Run) -> tuple[str, ...]:
    """Return the versions that decide, in the order of a table's columns."""
    packages = run.environment.packages
    families = [name for name in _FAMILY if name in packages]
    family = f"{families[0]} {packages[families[0]]}" if len(families) == 1 else "+".join(families)
    others = ("torch", "torchaudio", "torchcodec", "transformers")
    return (family, *(packages.get(name, "-").split("+")[0] for name in others))


def telling_distributions(matrix: Matrix) -> set[str]:
    """Return the distributions whose versions can matter."""
    named = {n for issue in matrix.issues for each in issue.conditions for n in each.packages}
    return named | {*DECIDING, "numpy"}


def differences(executed: Iterable[Run], matrix: Matrix) -> dict[str, str]:
    """Return what distinguishes runs that look alike in the table, by the id of the run."""
    alike: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for run in executed:
        looks = (*group_of(run), *versions_of(run))
        alike[looks].append(run)
    telling = sorted(telling_distributions(matrix) - set(DECIDING))
    told: dict[str, str] = {}
    for runs in alike.values():
        if len(runs) > 1:
            told |= _told_apart(runs, telling)
    for run in executed:
        both = [f"{name} {v}" for name, v in run.environment.packages.items() if name in _FAMILY]
        if len(both) > 1:
            told[run.id] = ", ".join(filter(None, (*sorted(both), told.get(run.id))))
    return told


def _told_apart(runs: list[Run], telling: list[str]) -> dict[str, str]:
    facts = {run.id: _facts(run, telling) for run in runs}
    names = [n for n in facts[runs[0].id] if len({each[n] for each in facts.values()}) > 1]
    told = {id_: ", ".join(each[name] for name in names) for id_, each in facts.items()}
    # What has no other difference was run again.
    dates = {run.id: run.id.partition("-")[0] for run in runs}
    counted = list(told.values())
    return {
        id_: what
        if what and counted.count(what) == 1
        else ", ".join(filter(None, (what, dates[id_])))
        for id_, what in told.items()
    }


def _facts(run: Run, telling: list[str]) -> dict[str, str]:
    environment = run.environment
    facts = {
        name: f"{name} {environment.packages[name]}"
        if name in environment.packages
        else f"no {name}"
        for name in telling
    }
    facts["build"] = "torch " + (environment.builds.get("torch") or "of no known build")
    version = environment.system.get("ffmpeg")
    facts["ffmpeg"] = f"FFmpeg {version.partition('-')[0]}" if version else "no FFmpeg"
    facts["python"] = f"Python {environment.python}"
    facts["device"] = f"on {run.device}"
    return facts
