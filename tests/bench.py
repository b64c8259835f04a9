"""What the README quotes: paired runs of whole commands, in turn, and the median of the ratios.

`nox -s bench -- path/to/model.pth` (make one with `nox -s make_checkpoint -- FOLDER --size full`).
Without a path only the start of the command line is measured.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROUNDS = 7
XCOMPAT = [sys.executable, "-m", "xcompat"]
FLOOR = [sys.executable, "-c", "import typer, rich.table"]


class Cost(NamedTuple):
    """What one run of a command took."""

    wall: float
    cpu: float


def run(command: list[str]) -> Cost:
    started, before = time.perf_counter(), os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = os.times()
    cpu = after.children_user + after.children_system
    return Cost(time.perf_counter() - started, cpu - before.children_user - before.children_system)


def compare(label: str, ours: list[list[str]], theirs: list[list[str]], output: Path) -> None:
    """Run both lists of commands in turn; print the median ratio and the medians."""
    pairs: list[tuple[Cost, Cost]] = []
    for round_ in range(ROUNDS + 1):
        costs = []
        for commands in (ours, theirs):
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir()
            os.sync()
            taken = [run(command) for command in commands]
            costs.append(Cost(sum(c.wall for c in taken), sum(c.cpu for c in taken)))
        if round_:  # the first one warms caches
            pairs.append((costs[0], costs[1]))
    ratios = [
        statistics.median(getattr(a, field) / getattr(b, field) for a, b in pairs)
        for field in Cost._fields
    ]
    print(
        f"{label}: {ratios[0]:.2f} times the wall time, {ratios[1]:.2f} times the CPU time "
        f"(medians of {ROUNDS} pairs: {statistics.median(a.wall for a, _ in pairs):.3f} s "
        f"and {statistics.median(b.wall for _, b in pairs):.3f} s)"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as name:
        output = Path(name, "out")
        compare(
            "xcompat --help / import of typer, rich.table", [[*XCOMPAT, "--help"]], [FLOOR], output
        )
        compare(
            "xcompat doctor / import of typer, rich.table", [[*XCOMPAT, "doctor"]], [FLOOR], output
        )
        if len(sys.argv) > 1:
            source = str(Path(sys.argv[1]).resolve())
            ours = [[*XCOMPAT, "convert", source, "-o", str(output / "converted")]]
            copy = ["cp", source, str(output / "copy")]
            compare("xcompat convert / cp", ours, [copy], output)
            durable = [[*ours[0], "--fsync"]]
            compare("xcompat convert --fsync / cp and sync", durable, [copy, ["sync"]], output)


if __name__ == "__main__":
    main()
