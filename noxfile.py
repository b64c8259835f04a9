# /// script
# dependencies = ["nox[uv]>=2025.2.9"]
# ///
"""The project's work that is more than editing: `nox -l` lists it, plain `nox` is what CI runs."""

from __future__ import annotations

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
    session.run("mypy", "noxfile.py", "tests/bench.py", "tests/measure.py")


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
        "not property and not filesystems",
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
    session.install(".[asr]")
    session.run("python", "tests/listen.py")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure what the README quotes, in paired runs."""
    session.install(".")
    session.run("python", "tests/bench.py", *session.posargs)


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
