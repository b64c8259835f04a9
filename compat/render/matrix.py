"""The matrix for people and for programs."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from xcompat.domain import DECIDING, minor_of
from xcompat.render.issue import issues_as_json
from xcompat.render.text import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xcompat.diagnosis.contribution import CheckedRun
    from xcompat.domain import Capability, CapabilityOutcome, Matrix, Run

_COLUMNS: dict[Capability, str] = {
    "install": "ins",
    "import": "imp",
    "load": "pth",
    "load-converted": "cnv",
    "speak": "say",
    "stream": "str",
    "clone": "cln",
    "api": "api",
    "api-path": "dir",
}
_FAMILY = ("TTS", "coqui-tts")
_WIDTH = 80
"""Columns that the table needs."""
_SIGN = {"works": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}


def matrix_as_json(matrix: Matrix) -> dict[str, Any]:
    """Return the stable form of `xcompat matrix --json`."""
    telling = _telling(matrix)
    return {
        "schema": 1,
        "runs": [
            {
                "id": run.id,
                "date": run.date,
                "tool": run.tool,
                "command": run.command,
                "cell": run.cell,
                "device": run.device,
                "python": run.environment.python,
                "platform": run.environment.platform,
                "packages": {
                    name: version
                    for name, version in run.environment.packages.items()
                    if name in telling
                },
                "builds": dict(run.environment.builds),
                "system": dict(run.environment.system),
                "capabilities": _outcomes_as_json(run.capabilities),
                "runtime_capabilities": _outcomes_as_json(run.runtime_capabilities),
            }
            for run in matrix.runs
        ],
        "rows": [
            {
                "id": row.id,
                "title": row.title,
                "python": row.python,
                "packages": dict(row.packages),
                "platforms": list(row.platforms),
                "capabilities": list(row.capabilities),
                "runs": list(row.runs),
            }
            for row in matrix.rows
        ],
        "issues": issues_as_json(matrix.issues)["issues"],
    }


def _outcomes_as_json(
    capabilities: Mapping[Capability, CapabilityOutcome],
) -> dict[str, dict[str, str]]:
    return {
        capability: {"status": outcome.status, "error": outcome.error}
        for capability, outcome in capabilities.items()
    }


def show_matrix(matrix: Matrix, capability: Capability | None = None) -> None:
    """Write what was run, on which platform, and how it went to stdout.

    Args:
        matrix: What to show.
        capability: Show this one only, and the errors of the runs in which it fails.
    """
    page = Page()
    page.prose(_counts(matrix))
    executed, refused = _split(matrix.runs)
    special = _differences(executed, matrix)
    for (platform, python), runs in groupby(executed, key=_group):
        page.gap()
        page.line((f"{platform}, Python {python}", "bold"))
        if page.width < _WIDTH:
            _show_list(page, runs, special, capability)
        else:
            _show_table(page, runs, special, capability)
    if executed:
        page.gap()
        page.prose(
            "✓ works  ✗ fails  ? not reached; a second sign: with the xcompat runtime."
            " `xcompat matrix --json` tells the errors."
        )
    if refused and capability in (None, "install"):
        page.gap()
        page.line((_REFUSED, "bold"))
    for run in refused if capability in (None, "install") else ():
        platform, python = _group(run)
        page.prose(
            f"{_in_words(run)}: {_reason(run)} ({platform}, Python {python})", indent=2, hang=2
        )
    if matrix.rows:
        page.gap()
    for row in matrix.rows:
        page.prose((row.id, "bold"), f" {row.title}", indent=2, hang=2)
        packages = ", ".join(f"{name} {version}" for name, version in row.packages.items())
        page.prose(f"Python {row.python}, {packages}", indent=4)
    page.gap()
    page.prose(
        "To add a run of your machine: `xcompat smoke --record FILE`, then look at it with "
        "`xcompat matrix --check FILE`, and send the file in."
    )


def show_checked(checked: Iterable[CheckedRun]) -> None:
    """Write what was found about runs that somebody sends in to stdout."""
    page = Page()
    for each in checked:
        environment = each.run.environment
        page.prose(
            (each.run.id, "bold"),
            f": {_in_words(each.run)}, Python {environment.python} on {environment.platform}",
            hang=2,
        )
        page.prose(*_outcomes(each.run, None), indent=2, hang=2)
        for note in each.notes:
            page.prose(("look at this", "bold yellow"), f": {note}", indent=2, hang=2)
    page.gap()
    page.prose("These lines can be merged: append them to matrices/runs/PLATFORM.jsonl.")


def checked_as_json(checked: Iterable[CheckedRun]) -> dict[str, Any]:
    """Return the stable form of `xcompat matrix --check FILE --json`."""
    return {"schema": 1, "runs": [{"id": c.run.id, "notes": list(c.notes)} for c in checked]}


def matrix_as_markdown(matrix: Matrix) -> str:
    """Return the page that shows the matrix in `docs/`."""
    executed, refused = _split(matrix.runs)
    special = _differences(executed, matrix)
    lines = [
        "<!-- Made by `xcompat matrix --markdown > docs/matrix.md`; do not edit. -->",
        "",
        "# What was run, and how it went",
        "",
        _counts(matrix),
        "",
        "Each run is a line of `matrices/runs/`, with every installed version, the error texts",
        "and the command that repeats it.",
        "",
        "✓ works · ✗ fails · ? not reached · empty: something before it failed, or, for install,",
        "versions were forced upon each other, or, for api, the run is older than that column.",
        "A second sign: the same versions",
        'with the [runtime](runtime.md), `load_xtts(..., runtime="xcompat")`. The columns:',
        "",
    ]
    lines += [f"- **{name}**: {meaning}" for name, meaning in _MEANINGS.items()]
    for (platform, python), runs in groupby(executed, key=_group):
        lines += ["", f"## {platform}, Python {python}", ""]
        titles = ["TTS", "torch", "torchaudio", "torchcodec", "transformers", "besides", *_COLUMNS]
        lines += [_row(titles), _row(["---"] * len(titles))]
        lines += [_row(_cells(run, special)) for run in runs]
    if refused:
        titles = ["platform", "Python", "asked for", "why not"]
        lines += ["", f"## {_REFUSED}", "", _row(titles), _row(["---"] * len(titles))]
        lines += [_row([*_group(run), _in_words(run), _reason(run)]) for run in refused]
    lines += ["", "## Rows", "", "Combinations that `xcompat resolve` proposes.", ""]
    for row in matrix.rows:
        packages = ", ".join(f"{name} {version}" for name, version in row.packages.items())
        lines.append(f"- **{row.id}**: {row.title}. Python {row.python}, {packages}")
    lines += ["", "## Known issues", "", _row(["code", "what happens"]), _row(["---", "---"])]
    lines += [
        _row([f"[{issue.code}](../matrices/issues/{issue.code}.toml)", issue.title])
        for issue in matrix.issues
    ]
    return "\n".join([*lines, "", *_CONTRIBUTE, ""])


_REFUSED = "Sets that installers refuse"
_MEANINGS = {
    "install": "an installer finds a set of packages that fits, and installs it",
    "import": "the TTS code starts",
    "load": "the original `model.pth` opens",
    "load-converted": "what `xcompat convert` wrote opens",
    "speak": "a built-in voice speaks, and says what an independent decoder says",
    "stream": "the same, piece by piece",
    "clone": "a sound file lends its voice",
    "api": '`TTS("tts_models/multilingual/multi-dataset/xtts_v2").tts_to_file(...)` writes a right'
    " WAV file, with what `xcompat convert` wrote in TTS's own cache",
    "api-path": "`TTS(model_path=..., config_path=...).tts_to_file(...)` does so",
}
_CONTRIBUTE = (
    "## To add a run",
    "",
    "Any machine will do, and a Mac or Windows is worth most: no run has been recorded there.",
    "",
    "```sh",
    "xcompat smoke --python PATH_OF_AN_ENVIRONMENT --record run.jsonl",
    "xcompat matrix --check run.jsonl",
    "```",
    "",
    "The first command runs every capability on a tiny model that it makes, and appends one line",
    "to the file; the second tells whether the line can be merged. Send the file in as an issue or",
    "a pull request. It holds versions, outcomes and error texts, and no names or paths of yours.",
    "",
    "To repeat a run, type the `command` that its line holds in a checkout of xcompat.",
)


def _show_table(
    page: Page,
    runs: Iterable[Run],
    special: Mapping[str, str],
    capability: Capability | None,
) -> None:
    shown = [name for name in _COLUMNS if capability in (None, name)]
    head = f"{'':<16} {'torch':<7}{'audio':<7}{'codec':<7}{'transf':<7}"
    page.line((head + " ".join(_COLUMNS[name] for name in shown), "dim"))
    for run in runs:
        family, torch, audio, codec, transformers = _versions(run)
        line: list[str | tuple[str, str]] = [
            f"{family:<16} {torch:<7}{audio:<7}{codec:<7}{transformers:<7}"
        ]
        for name in shown:
            (sign, style), (second, second_style) = _signs(run, name)
            width = len(_COLUMNS[name]) + 1 - len(sign)
            line += [(sign, style), (second.ljust(width), second_style)]
        page.line(*line)
        _show_special(page, run, special, capability)


def _show_list(
    page: Page,
    runs: Iterable[Run],
    special: Mapping[str, str],
    capability: Capability | None,
) -> None:
    """Write one paragraph for each run: the table is wider than the terminal."""
    for run in runs:
        page.prose(_in_words(run), indent=2, hang=2)
        page.prose(*_outcomes(run, capability), indent=4)
        _show_special(page, run, special, capability)


def _show_special(
    page: Page, run: Run, special: Mapping[str, str], capability: Capability | None
) -> None:
    if run.id in special:
        page.prose((special[run.id], "dim"), indent=4, hang=2)
    outcome = run.capabilities.get(capability) if capability else None
    if outcome and outcome.error:
        page.prose((_short(outcome.error), "dim"), indent=4, hang=2)
    outcome = run.runtime_capabilities.get(capability) if capability else None
    if outcome and outcome.error:
        page.prose((f"with xcompat: {_short(outcome.error)}", "dim"), indent=4, hang=2)


def _outcomes(run: Run, capability: Capability | None) -> list[str | tuple[str, str]]:
    parts: list[str | tuple[str, str]] = []
    for name in _COLUMNS:
        if name in run.capabilities and capability in (None, name):
            parts += [*_signs(run, name), f"{name} "]
    return parts


def _cells(run: Run, special: Mapping[str, str]) -> list[str]:
    signs = ["".join(sign for sign, _ in _signs(run, name)).strip() for name in _COLUMNS]
    return [*_versions(run), special.get(run.id, ""), *signs]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _signs(run: Run, name: Capability) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return how it went with TTS as it is, and with the xcompat runtime where that was run."""
    stock, runtime = (
        _SIGN[told[name].status] if name in told else None
        for told in (run.capabilities, run.runtime_capabilities)
    )
    return stock or (" ", ""), runtime or ("", "")


def _split(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Return, in the order in which they are shown, what was executed and what was refused."""
    executed: list[Run] = []
    refused: list[Run] = []
    for run in sorted(runs, key=_order):
        (refused if run.capabilities.keys() == {"install"} else executed).append(run)
    return executed, refused


def _reason(run: Run) -> str:
    """Return why an installer refused a set, out of what it said."""
    words = run.capabilities["install"].error
    if because := _BECAUSE.search(words):
        return because[1]
    return words.removeprefix("error: ").partition(" cause:")[0]


_BECAUSE = re.compile(r"Because (.+?)(?: and you require [^,]+)?,? we can conclude")
"""How uv begins to explain that there is no solution."""


def _in_words(run: Run) -> str:
    packages = run.environment.packages
    named = (*DECIDING, "numpy") if run.capabilities.keys() == {"install"} else DECIDING
    return ", ".join(f"{name} {packages[name]}" for name in named if name in packages)


def _versions(run: Run) -> tuple[str, ...]:
    packages = run.environment.packages
    families = [name for name in _FAMILY if name in packages]
    family = f"{families[0]} {packages[families[0]]}" if len(families) == 1 else "+".join(families)
    others = ("torch", "torchaudio", "torchcodec", "transformers")
    return (family, *(packages.get(name, "-").split("+")[0] for name in others))


def _telling(matrix: Matrix) -> set[str]:
    """Return the distributions whose versions can matter."""
    named = {n for issue in matrix.issues for each in issue.conditions for n in each.packages}
    return named | {*DECIDING, "numpy"}


def _differences(executed: Iterable[Run], matrix: Matrix) -> dict[str, str]:
    """Return what distinguishes runs that look alike in the table, by the id of the run."""
    alike: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for run in executed:
        looks = (*_group(run), *_versions(run))
        alike[looks].append(run)
    telling = sorted(_telling(matrix) - set(DECIDING))
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


def _short(error: str) -> str:
    words = " ".join(error.split())
    return words if len(words) <= _ERROR else f"{words[: _ERROR - 1]}…"


_ERROR = 160
"""Characters of an error that are shown; JSON has all."""


def _counts(matrix: Matrix) -> str:
    executed, refused = _split(matrix.runs)
    return (
        f"{len(matrix.runs)} recorded runs: {len(executed)} executed, {len(refused)} that an "
        f"installer refused. {len(matrix.rows)} rows, {len(matrix.issues)} known issues."
    )


def _group(run: Run) -> tuple[str, str]:
    return run.environment.platform, minor_of(run.environment.python)


def _order(run: Run) -> tuple[object, ...]:
    packages = run.environment.packages
    numbers = [
        tuple(
            int(part) for part in packages.get(name, "").split("+")[0].split(".") if part.isdigit()
        )
        for name in DECIDING
    ]
    minor = tuple(int(part) for part in _group(run)[1].split(".") if part.isdigit())
    return run.environment.platform, minor, "coqui-tts" in packages, *numbers, run.date, run.id
