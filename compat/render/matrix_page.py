"""The matrix as a page of `docs/`, in Markdown."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from xcompat.domain import Trials
from xcompat.render.runs import (
    COLUMNS,
    REFUSED,
    counts,
    differences,
    executed_and_refused,
    group_of,
    in_words,
    reason_of,
    signs_of,
    versions_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from xcompat.domain import Matrix, Run

_MEANINGS = {
    "install": "an installer finds a set of packages that fits, and installs it",
    "import": "the TTS code starts",
    "load": "the original `model.pth` opens",
    "load-converted": "what `xcompat convert` wrote opens",
    "speak": "a built-in voice speaks, and says what an independent decoder says",
    "stream": "the same, piece by piece",
    "clone": "a sound file lends its voice",
    "save": "`torchaudio.save` writes a WAV file, as many apps do; measured since 0.2.0",
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

_BASES = {
    "bracketed": "runs just below and above",
    "expected": "what is expected",
    "issue": "a known issue",
    "none": "",
}


def matrix_as_markdown(matrix: Matrix) -> str:
    """Return the page that shows the matrix in `docs/`."""
    executed, refused = executed_and_refused(matrix.runs)
    special = differences(executed, matrix)
    lines = [
        "<!-- Made by `xcompat matrix --markdown > docs/matrix.md`; do not edit. -->",
        "",
        "# What was run, and how it went",
        "",
        counts(matrix),
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
    for (platform, python), runs in groupby(executed, key=group_of):
        lines += ["", f"## {platform}, Python {python}", ""]
        titles = ["TTS", "torch", "torchaudio", "torchcodec", "transformers", "besides", *COLUMNS]
        lines += [_row(titles), _row(["---"] * len(titles))]
        lines += [_row(_cells(run, special)) for run in runs]
    if refused:
        titles = ["platform", "Python", "asked for", "why not"]
        lines += ["", f"## {REFUSED}", "", _row(titles), _row(["---"] * len(titles))]
        lines += [_row([*group_of(run), in_words(run), reason_of(run)]) for run in refused]
    lines += ["", *_calibration(matrix)]
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


def _calibration(matrix: Matrix) -> list[str]:
    """Return how often the doctor was right about runs that it had not seen."""
    titles = ["left out", "column", "answer rests on", "capability", "right", "wrong", "no answer"]
    lines = [
        "## How often the doctor is right",
        "",
        "Runs are left out, the doctor is asked about them, and its answer is compared with what",
        "was measured: all runs of the same versions, or of one minor release of torch,",
        "transformers or TTS. `nox -s calibration` measures it. Where the newest release is left",
        "out, the doctor knows that it is newer than what it has seen, and gives no answer.",
        "",
        _row(titles),
        _row(["---"] * len(titles)),
    ]
    sums: dict[tuple[str, str, str], Trials] = {}
    for (left, column, _, basis), trials in matrix.calibration.items():
        key = left, column, basis
        known = sums.get(key, Trials(0, 0, 0))
        sums[key] = Trials(*map(sum, zip(known, trials, strict=True)))
    rows = [(*key, "all", trials) for key, trials in sums.items()]
    rows += [
        (left, column, basis, capability, trials)
        for (left, column, capability, basis), trials in matrix.calibration.items()
        if left == "versions"
    ]
    for left, column, basis, capability, trials in rows:
        shown = "the same versions" if left == "versions" else f"one minor release of {left}"
        cells = [shown, column, _BASES.get(basis, basis), capability, *map(str, trials)]
        lines.append(_row(cells))
    return lines


def _cells(run: Run, special: Mapping[str, str]) -> list[str]:
    signs = ["".join(sign for sign, _ in signs_of(run, name)).strip() for name in COLUMNS]
    return [*versions_of(run), special.get(run.id, ""), *signs]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
