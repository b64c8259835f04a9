"""A coverage-guided session over whole conversions: `nox -s fuzz -- SECONDS`.

The corpus is made by the builders, grows in the session's folder, and is measured at the end. Only
`XcompatError` may come out of a conversion; see `target` for what else is held against it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from random import Random

sys.path[0] = str(Path(__file__).parents[1])

LARGEST_INPUT = 1 << 16
TIMEOUT_S = 10
MEMORY_MIB = 512
"""Of the process: the instrumented modules, the fuzzer's own tables, and 64 MiB for one input."""
OPTIONS = (
    f"-max_len={LARGEST_INPUT}",
    f"-timeout={TIMEOUT_S}",
    f"-rss_limit_mb={MEMORY_MIB}",
    f"-dict={Path(__file__).with_name('pickle.dict')}",
    "-print_final_stats=1",
)


def write_seeds(corpus: Path) -> None:
    from fuzz.seeds import seeds  # noqa: PLC0415 - the fuzzer must be the first to import

    corpus.mkdir(parents=True, exist_ok=True)
    for data in seeds():
        (corpus / sha256(data).hexdigest()).write_bytes(data)


def scratch() -> Path:
    """A folder in memory where there is one: a conversion writes five files."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))


def fuzz(corpus: Path, seconds: int) -> None:
    import atheris  # noqa: PLC0415 - only this session has it

    with atheris.instrument_imports(include=["xcompat.converters"]):
        from fuzz import target  # noqa: PLC0415
    from fuzz.mutate import mutate  # noqa: PLC0415

    folder = scratch()

    def mutator(data: bytes, limit: int, seed: int) -> bytes:
        return mutate(data, limit, Random(seed), atheris.Mutate)

    def one(data: bytes) -> None:
        target.check(data, folder)

    arguments = [sys.argv[0], f"-max_total_time={seconds}", *OPTIONS, str(corpus)]
    atheris.Setup(arguments, one, custom_mutator=mutator)
    atheris.Fuzz()


def replay(corpus: Path) -> None:
    """Run the corpus without the fuzzer; tell outcomes, and what one input costs at most."""
    from fuzz import target  # noqa: PLC0415

    folder = scratch()
    outcomes: Counter[str] = Counter()
    slowest = (0.0, "")
    for file in sorted(corpus.iterdir()):
        started = time.perf_counter()
        outcomes[target.check(file.read_bytes(), folder)] += 1
        slowest = max(slowest, (time.perf_counter() - started, file.name))
    sys.stdout.write(
        f"{outcomes.total()} files: {dict(sorted(outcomes.items()))}\n"
        f"the slowest took {slowest[0]:.3f} s: {slowest[1]}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--step", choices=["seed", "fuzz", "replay"], required=True)
    options = parser.parse_args()
    if options.step == "seed":
        write_seeds(options.corpus)
    elif options.step == "fuzz":
        fuzz(options.corpus, options.seconds)
    else:
        replay(options.corpus)


if __name__ == "__main__":
    main()
