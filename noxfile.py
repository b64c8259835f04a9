# /// script
# dependencies = ["nox[uv]>=2025.2.9"]
# ///
"""The project's work that is more than editing: `nox -l` lists it, plain `nox` is what CI runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and who may import whom."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("typecheck"))
    session.run("mypy", "-p", "xcompat")
    session.run("mypy", "noxfile.py", "tests/bench.py", "tests/measure.py", "tests/mend.py")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite: no network, no torch."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("tests"))
    session.run(
        "coverage",
        "run",
        "-m",
        "pytest",
        "-m",
        "not property and not filesystems and not speech",
        *session.posargs,
    )
    session.run("coverage", "report")


@nox.session(default=False)
def property(session: nox.Session) -> None:  # noqa: A001 - the marker's name
    """Run the long Hypothesis suites."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("tests"))
    session.run("pytest", "-m", "property", *session.posargs)


@nox.session(default=False)
def filesystems(session: nox.Session) -> None:
    """Convert on file systems made for it (XFS, btrfs): needs root and their mkfs."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("tests"))
    session.run("pytest", "-m", "filesystems", *session.posargs)


@nox.session(default=False, python="3.11")
def fuzz(session: nox.Session) -> None:
    """Fuzz whole conversions, guided by coverage, for half an hour: `-- SECONDS`."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("tests"))
    session.install("atheris>=2.3")
    seconds = session.posargs[0] if session.posargs else "1800"
    corpus = Path(session.create_tmp()) / "corpus"
    step = ("python", "tests/fuzz/session.py", str(corpus), "--seconds", seconds, "--step")
    session.run(*step, "seed")
    session.run(*step, "fuzz")
    session.run("coverage", "run", *step[1:], "replay")
    session.run("coverage", "report", "--fail-under=0", "--include=converters/*")


@nox.session(default=False)
def differential(session: nox.Session) -> None:
    """Hold conversions against torch.load of several torch versions: `-- 2.2.2 2.13.0`."""
    for version in session.posargs or ("2.2.2", "2.6.0", "2.9.1", "2.13.0"):
        scratch = Path(session.create_tmp()) / "torch"
        shutil.rmtree(scratch, ignore_errors=True)
        interpreter = scratch / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        # torch 2.2 was built against numpy 1.
        numpy = "numpy<2" if version.startswith(("2.1.", "2.2.")) else "numpy"
        try:
            session.run("uv", "venv", "-q", "--python", "3.11", str(scratch), external=True)
            session.run(
                *("uv", "pip", "install", "-q", "--python", str(interpreter)),
                *(f"torch=={version}", numpy, "hypothesis>=6.100", "."),
                external=True,
            )
            script = "tests/differential/against_torch.py"
            session.run(str(interpreter), script, external=True)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@nox.session(default=False)
def kill(session: nox.Session) -> None:
    """End conversions at random moments and look at what is left: `-- --moments 250`."""
    session.install("-e", ".", "--config-settings", "editable_mode=strict", *_group("tests"))
    session.run("python", "tests/kill/session.py", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distributions and use the installed wheel as a stranger would."""
    session.install(*_group("wheel"))
    target = session.create_tmp()
    session.run("python", "-m", "build", "--outdir", f"{target}/dist", silent=True)
    (built,) = Path(target, "dist").glob("*.whl")
    session.run("check-wheel-contents", "--toplevel", "xcompat", str(built))
    session.install("--force-reinstall", str(built))
    with session.chdir(target):
        session.run("xcompat", "--version")
        session.run("xcompat", "doctor", success_codes=[1])
        session.run("xcompat", "demo", "--forged", "forged-demo")


@nox.session
def demo(session: nox.Session) -> None:
    """Show the whole story in an environment of its own, and leave a WAV and a picture."""
    session.install(".[xtts]")
    session.run("xcompat", "demo", *session.posargs)


@nox.session(default=False)
def make_checkpoint(session: nox.Session) -> None:
    """Make a checkpoint with the real TTS classes: `-- FOLDER --kind release --size full`."""
    session.install(".[xtts]")
    maker = ROOT / "compat" / "target" / "__main__.py"
    arguments = session.posargs
    if not arguments or arguments[0].startswith("-"):
        arguments = [str(ROOT / "checkpoints"), *arguments]
    session.run("python", "-I", str(maker), "make-checkpoint", *arguments)


@nox.session(default=False)
def listen(session: nox.Session) -> None:
    """Measure how well the recogniser tells speech (espeak-ng must be here) from wrong sounds."""
    session.install("-e", ".[asr]", "--config-settings", "editable_mode=strict", *_group("tests"))
    session.run("pytest", "-m", "speech", "tests/compat")
    session.run("python", "tests/listen.py")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure what the README quotes, in paired runs."""
    session.install(".")
    session.run("python", "tests/bench.py", *session.posargs)


@nox.session(default=False)
def bench_trainer(session: nox.Session) -> None:
    """Measure what a trainer's file of 5.6 GB costs: `-- MODEL.pth --folder DIR`."""
    session.install(".")
    session.run("python", "tests/bench_trainer.py", *session.posargs)


@nox.session(default=False)
def resolve(session: nox.Session) -> None:
    """Break environments, let `resolve --apply` mend them, and hear them speak: `-- NAME...`."""
    session.install(".[lock]")
    session.run("python", "tests/mend.py", session.create_tmp(), *session.posargs)


@nox.session(default=False)
def runtime(session: nox.Session) -> None:
    """Prove the xcompat runtime: `-- PYTHON...`, interpreters of environments with TTS."""
    session.install(".")
    scratch = Path(session.create_tmp())
    for python in session.posargs or session.error("name interpreters that have TTS"):
        shutil.rmtree(scratch, ignore_errors=True)
        original, converted = str(scratch / "original"), str(scratch / "converted")
        _make_tiny(session, python, original)
        session.run("xcompat", "convert", original, "-o", converted, "--format", "both")
        proof = str(ROOT / "tests" / "prove_runtime.py")
        session.run(python, "-I", proof, converted, external=True)


@nox.session(default=False)
def loading(session: nox.Session) -> None:
    """Prove that unmodified TTS loads what was converted: `-- PYTHON...`, as for `runtime`."""
    session.install(".")
    scratch = Path(session.create_tmp())
    for python in session.posargs or session.error("name interpreters that have TTS"):
        shutil.rmtree(scratch, ignore_errors=True)
        original, repaired = scratch / "original", scratch / "repaired"
        _make_tiny(session, python, str(original))
        shutil.copytree(original, repaired)
        session.run("xcompat", "convert", "--in-place", str(repaired), "--discard-original")
        folders = [str(repaired)]
        for name, options in {
            "tensors-only": ("--format", "pth"),
            "half": ("--format", "pth", "--dtype", "float16"),
            "bfloat16": ("--format", "pth", "--dtype", "bfloat16"),
            "safetensors": (),
        }.items():
            folders.append(str(scratch / name))
            session.run("xcompat", "convert", str(original), "-o", folders[-1], *options)
        there, back = folders.pop(), str(scratch / "back")
        session.run("xcompat", "convert", there, "-o", back, "--format", "pth")
        proof = str(ROOT / "tests" / "prove_loading.py")
        session.run(python, "-I", proof, str(original), *folders, back, external=True)


@nox.session(default=False)
def judges(session: nox.Session) -> None:
    """Plant faults in a live model; the smoke's judges must find each: `-- PYTHON...`."""
    session.install(".")
    scratch = Path(session.create_tmp())
    script = ROOT / "tests" / "planted.py"
    for python in session.posargs or session.error("name interpreters that have TTS"):
        shutil.rmtree(scratch, ignore_errors=True)
        original, converted = str(scratch / "original"), str(scratch / "converted")
        _make_tiny(session, python, original)
        session.run("xcompat", "convert", original, "-o", converted)
        lines = str(scratch / "lines.jsonl")
        session.run(python, "-I", str(script), converted, lines, external=True)
        session.run("python", str(script), lines)


def _make_tiny(session: nox.Session, python: str, folder: str) -> None:
    """Make a tiny checkpoint with the real TTS classes of an interpreter."""
    maker = str(ROOT / "compat" / "target" / "__main__.py")
    session.run(python, "-I", maker, "make-checkpoint", folder, external=True)


@nox.session(default=False)
def bench_runtime(session: nox.Session) -> None:
    """Measure loading and decoding: `-- PYTHON load|decode FOLDER ...`, see the script."""
    python, *arguments = session.posargs
    script = str(ROOT / "tests" / "bench_runtime.py")
    session.run(python, "-I", script, *arguments, external=True)


MPS = ROOT / "matrices" / "mps"
MPS_TORCH = [
    "2.0.0", "2.0.1", "2.1.0", "2.1.1", "2.1.2", "2.2.0", "2.2.1", "2.2.2", "2.3.0", "2.3.1",
    "2.4.0", "2.4.1", "2.5.0", "2.5.1", "2.6.0", "2.7.0", "2.7.1", "2.8.0", "2.9.0", "2.9.1",
    "2.10.0", "2.11.0", "2.12.0", "2.12.1", "2.13.0", "2.14.0", "2.14.1", "2.15.0",
]  # fmt: skip
MPS_STACKS = {
    "tts-0.22.0": ["TTS==0.22.0", "torch==2.9.1", "torchaudio==2.9.1", "transformers==4.40.2"],
    "coqui-tts-0.28.0": [
        *("coqui-tts==0.28.0", "six", "torch==2.8.0", "torchaudio==2.8.0"),
        "transformers==4.57.6",
    ],
}
"""What XTTS is traced with, by the name of the trace."""


@nox.session(default=False)
def mps_operators(session: nox.Session) -> None:
    """Read the operator tables from macOS wheels of torch: all, or `-- 2.9.1 2.15.0`."""
    session.install("packaging", "pip", "pyyaml")
    for torch in session.posargs or MPS_TORCH:
        wheels = Path(session.create_tmp()) / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        session.run(
            *("python", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)),
            *("--only-binary=:all:", "--python-version", "3.11", f"torch=={torch}"),
            *("--platform", "macosx_11_0_arm64", "--platform", "macosx_14_0_arm64"),
        )
        (wheel,) = wheels.glob("torch-*.whl")
        reader = ROOT / "tests" / "mps" / "operators.py"
        session.run("python", str(reader), str(MPS / "operators.json"), str(wheel))
        shutil.rmtree(wheels)


@nox.session(default=False)
def mps_trace(session: nox.Session) -> None:
    """Trace what XTTS calls on MPS, on a simulated device; Linux. `-- tts-0.22.0` for one."""
    for name in session.posargs or MPS_STACKS:
        _on_simulated_mps(session, name, str(MPS / "traces" / f"{name}.json"))


@nox.session(default=False)
def mps_simulate(session: nox.Session) -> None:
    """Prove the simulated device: values as on the CPU, planted mistakes found; Linux."""
    for name in session.posargs or MPS_STACKS:
        _on_simulated_mps(session, name, "--prove")


def _on_simulated_mps(session: nox.Session, name: str, argument: str) -> None:
    """Run the tracer on the tiny model in the environment of that name."""
    session.install(".", "uv")
    scratch = Path(session.create_tmp()) / name
    shutil.rmtree(scratch, ignore_errors=True)
    python, original, model = (str(scratch / part) for part in ("venv/bin/python", "made", "model"))
    try:
        session.run("uv", "venv", "-q", "--python", "3.11", str(scratch / "venv"))
        session.run("uv", "pip", "install", "-q", "--python", python, *MPS_STACKS[name])
        _make_tiny(session, python, original)
        session.run("xcompat", "convert", original, "-o", model)
        tracer, table = str(ROOT / "tests" / "mps" / "trace.py"), str(MPS / "operators.json")
        session.run(python, tracer, table, model, argument, external=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@nox.session
def cells(session: nox.Session) -> None:
    """Run the cells marked `ci` again; fail if an outcome is not the recorded one."""
    _measure(session, "--ci", "--check")


@nox.session(default=False)
def matrix(session: nox.Session) -> None:
    """Measure cells and record them: `-- NAME...`, `-- --sweep NAME`, or `-- --tts TTS==0.22.0`."""
    _measure(session, *session.posargs)


def _measure(session: nox.Session, *arguments: str) -> None:
    session.install(".", "uv")
    scratch = session.create_tmp()
    session.run("python", "tests/measure.py", "--scratch", scratch, *arguments)
