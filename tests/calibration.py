"""Measures how often the doctor is right about runs that it has not seen.

Each run's environment is diagnosed by the matrix without that run and all that are like it: of the
same deciding versions, or of the same minor release of torch, transformers or TTS. What it says is
held against what was measured.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xcompat.diagnosis.doctor import Doctor
from xcompat.domain import CAPABILITIES, DECIDING, Trials, minor_of
from xcompat.matrix.load import SHIPPED, load_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.domain import Matrix, Run

Left = Literal["versions", "torch", "transformers", "TTS"]
LEFT_OUT: tuple[Left, ...] = ("versions", "torch", "transformers", "TTS")
"""What the left-out runs share with the one that is asked about."""
Key = tuple[str, str, str, str]
"""What was left out, the column, the capability and the basis; `none` where there is no answer."""


def alike(run: Run, left: Left) -> tuple[object, ...]:
    """Return what runs have in common that are left out together."""
    packages = run.environment.packages
    if left == "versions":
        return minor_of(run.environment.python), *(packages.get(name) for name in DECIDING)
    names = ("TTS", "coqui-tts") if left == "TTS" else (left,)
    return tuple(minor_of(packages.get(name, "")) for name in names)


def judged(matrix: Matrix, left: Left, run: Run) -> Iterator[tuple[Key, str]]:
    """Yield what the doctor says of a run without having seen any that is alike, judged."""
    others = tuple(other for other in matrix.runs if alike(other, left) != alike(run, left))
    told = Doctor(matrix._replace(runs=others)).diagnose(run.environment, CAPABILITIES)
    for column, said, measured in (
        ("stock", told.capabilities, run.capabilities),
        ("runtime", told.runtime, run.runtime_capabilities),
    ):
        for capability, outcome in measured.items():
            # What is installed has been installed somehow: that is asked of pins only.
            if outcome.status == "unknown" or capability == "install":
                continue
            answer = said[capability]
            right = "right" if answer.status == outcome.status else "wrong"
            known = answer.status != "unknown"
            yield (
                (left, column, capability, answer.basis if known else "none"),
                right if known else "unknown",
            )


def _of_run(matrix: Matrix, run: Run) -> Counter[tuple[Key, str]]:
    return Counter(told for left in LEFT_OUT for told in judged(matrix, left, run))


def calibration(matrix: Matrix) -> dict[Key, Trials]:
    """Return how answers were judged, over all runs of undamaged environments."""
    runs = [run for run in matrix.runs if not run.environment.damaged]
    with ProcessPoolExecutor(2) as pool:
        counted = sum(pool.map(partial(_of_run, matrix), runs, chunksize=8), Counter())
    return {
        key: Trials(*(counted[key, each] for each in ("right", "wrong", "unknown")))
        for key in sorted({key for key, _ in counted})
    }


def main() -> None:
    """Write what was measured into the matrix."""
    trials = calibration(load_matrix())
    rows = (json.dumps([*key, *each]) for key, each in trials.items())
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED / "calibration.json"
    place.write_text("[\n" + ",\n".join(rows) + "\n]\n", "utf-8")
    for left in LEFT_OUT:
        for column in ("stock", "runtime"):
            told = [each for key, each in trials.items() if key[:2] == (left, column)]
            right, wrong, unknown = map(sum, zip(*told, strict=True))
            print(f"{left} left out, {column}: {right} right, {wrong} wrong, {unknown} unknown")


if __name__ == "__main__":
    main()
