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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xcompat.diagnosis.doctor import Doctor
from xcompat.domain import CAPABILITIES, DECIDING, minor_of
from xcompat.matrix.load import SHIPPED, load_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xcompat.domain import CapabilityOutcome, CapabilityStatus, Matrix, Run

Left = Literal["versions", "torch", "transformers", "TTS"]
LEFT_OUT: tuple[Left, ...] = ("versions", "torch", "transformers", "TTS")
"""What the left-out runs share with the one that is asked about."""
Key = tuple[str, str, str, str, str]
"""What was left out, the column, the capability, the basis, and right, wrong or unknown."""


def alike(run: Run, left: Left) -> tuple[object, ...]:
    """Return what runs have in common that are left out together."""
    packages = run.environment.packages
    if left == "versions":
        return minor_of(run.environment.python), *(packages.get(name) for name in DECIDING)
    names = ("TTS", "coqui-tts") if left == "TTS" else (left,)
    return tuple(minor_of(packages.get(name, "")) for name in names)


def outcomes(matrix: Matrix, left: Left, run: Run) -> Iterator[Key]:
    """Yield what the doctor says of a run's capabilities without having seen any that is alike."""
    others = tuple(other for other in matrix.runs if alike(other, left) != alike(run, left))
    told = Doctor(replace(matrix, runs=others)).diagnose(run.environment, CAPABILITIES)
    for column, said, measured in (
        ("stock", told.capabilities, run.capabilities),
        ("runtime", told.runtime, run.runtime_capabilities),
    ):
        for capability, outcome in measured.items():
            # What is installed has been installed somehow: that is asked of pins only.
            if outcome.status != "unknown" and capability != "install":
                yield left, column, capability, *_judged(said[capability], outcome)


def _judged(said: CapabilityStatus, measured: CapabilityOutcome) -> tuple[str, str]:
    if said.status == "unknown":
        return "none", "unknown"
    return said.basis, "right" if said.status == measured.status else "wrong"


def _of_run(matrix: Matrix, run: Run) -> Counter[Key]:
    told = (key for left in LEFT_OUT for key in outcomes(matrix, left, run))
    return Counter(told)


def calibration(matrix: Matrix) -> Counter[Key]:
    """Return how often each outcome came about, over all runs of undamaged environments."""
    runs = [run for run in matrix.runs if not run.environment.damaged]
    with ProcessPoolExecutor(2) as pool:
        return sum(pool.map(partial(_of_run, matrix), runs, chunksize=8), Counter())


def main() -> None:
    """Write what was measured into the matrix."""
    counted = calibration(load_matrix())
    rows = [[*key, count] for key, count in sorted(counted.items())]
    text = "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n"
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED / "calibration.json"
    place.write_text(text, "utf-8")
    for left in LEFT_OUT:
        for column in ("stock", "runtime"):
            total = Counter()
            for key, count in counted.items():
                if key[:2] == (left, column):
                    total[key[3], key[4]] += count
            print(left, column, dict(total))


if __name__ == "__main__":
    main()
