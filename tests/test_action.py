"""What other projects use in CI: the Action's shell, as GitHub runs it, and the pre-commit hook.

Only the installation is left out: the `python3` on PATH makes an environment that has xcompat.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHELL = ROOT / ".github/action/doctor.sh"
LISTS = {
    "works.txt": "coqui-tts==0.27.2\ntorch==2.8.0\ntransformers==4.55.4\n",
    "fails.txt": "TTS==0.22.0\n\ntorch==2.9.1\ntransformers==4.57.1\n",
    "unknown.txt": "coqui-tts==0.99.0\ntorch==2.8.0\n",
}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")


class Job:
    """A job of GitHub, as the shell of a step sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary, self.output = folder / "summary.md", folder / "output"
        for name, text in LISTS.items():
            (folder / name).write_text(text)
        programs = folder / "programs"
        programs.mkdir()
        xcompat = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m xcompat "$@"\n'
        (programs / "xcompat").write_text(xcompat)
        (programs / "python3").write_text(
            f'#!/bin/sh\n[ "$*" = "-m venv $3" ] || exit 9\nmkdir -p "$3/bin"\n'
            f'cp {shlex.quote(str(programs))}/xcompat "$3/bin/"\n'
            'printf \'#!/bin/sh\\necho "$@" >> "$RUNNER_TEMP/pip"\\n\' > "$3/bin/python"\n'
            'chmod +x "$3/bin/python"\n'
        )
        for each in programs.iterdir():
            each.chmod(0o755)

    def run(self, *lists: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        variables = {
            "NEED": "speak",
            "IGNORE": "",
            "PYTHON_VERSION": "",
            "LANGUAGE": "",
            "STRICT": "false",
            "FAIL_ON": "incompatible",
            "XCOMPAT": "xcompat==0.2",
            "PLATFORM": "linux-x86_64",
            "REQUIREMENTS": "\n".join(lists),
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.output),
            "PATH": f"{self.folder / 'programs'}{os.pathsep}{os.environ['PATH']}",
            **inputs,
        }
        return subprocess.run(
            ["bash", str(SHELL)], capture_output=True, text=True, check=False, timeout=60,
            cwd=self.folder, env={**os.environ, **variables},
        )  # fmt: skip

    def verdict(self) -> str:
        (verdict,) = re.findall(r"^verdict=(.*)$", self.output.read_text(), re.MULTILINE)
        return verdict


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_it_works(job: Job) -> None:
    done = job.run("works.txt")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("::notice title=xcompat doctor::Speaks, streams")
    assert job.verdict() == "compatible"
    assert job.summary.read_text().startswith("## `xcompat doctor -r works.txt`\n\n**✅ Speaks")
    assert (job.folder / "pip").read_text().endswith("xcompat==0.2\n")


def test_it_fails_on_the_line_that_decides(job: Job) -> None:
    done = job.run("fails.txt")
    assert done.returncode == 1
    assert "::error file=fails.txt,line=4,title=XC002" in done.stdout
    assert job.verdict() == "incompatible"


def test_nobody_knows(job: Job) -> None:
    assert job.run("unknown.txt", FAIL_ON="unknown").returncode == 3
    assert job.verdict() == "unknown"


def test_of_several_lists_the_worst_counts(job: Job) -> None:
    done = job.run("fails.txt", "works.txt", FAIL_ON="never")
    assert done.returncode == 0
    assert job.verdict() == "incompatible"
    assert job.summary.read_text().count("## `xcompat doctor -r ") == 2
    results = sorted((job.folder / "xcompat-sarif").iterdir())
    assert [json.loads(each.read_text())["version"] for each in results] == ["2.1.0"] * 2


@pytest.mark.parametrize("inputs", [{"FAIL_ON": "sometimes"}, {"NEED": "fly"}, {}])
def test_what_makes_no_sense_fails_whatever_is_asked_for(job: Job, inputs: dict[str, str]) -> None:
    lists = ["works.txt"] if inputs else ["missing.txt"]
    done = job.run(*lists, **{"FAIL_ON": "never", **inputs})
    assert done.returncode in {2, 4}
    assert not job.output.exists()


def test_the_shell_reads_what_the_action_gives_it() -> None:
    action = (ROOT / "action.yml").read_text("utf-8")
    given = set(re.findall(r"^        ([A-Z_]+): \$\{\{ inputs", action, re.MULTILINE))
    read = set(re.findall(r"\$\{?([A-Z_]+)", SHELL.read_text("utf-8")))
    assert given == {each for each in read if not each.startswith(("GITHUB_", "RUNNER_"))}
    outputs = set(re.findall(r"steps\.doctor\.outputs\.(\w+)", action))
    assert outputs == set(re.findall(r'echo "(\w+)=', SHELL.read_text("utf-8")))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.txt", True),
        ("app/requirements-dev.txt", True),
        ("pylock.toml", True),
        ("pylock.gpu.toml", True),
        ("notes.txt", False),
        ("my-requirements.txt", False),
    ],
)
def test_the_hook_is_for_lists_of_versions(name: str, *, wanted: bool) -> None:
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")
    (files,) = re.findall(r"^  files: (.*)$", hook, re.MULTILINE)
    assert bool(re.search(files, name)) is wanted


def test_the_hook_looks_at_all_lists_that_changed(run, tmp_path: Path) -> None:
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")
    (entry,) = re.findall(r"^  entry: xcompat (.*)$", hook, re.MULTILINE)
    lists = [tmp_path / name for name in ("works.txt", "fails.txt")]
    for each in lists:
        each.write_text(LISTS[each.name])
    assert run(*entry.split(), str(lists[0])).exit_code == 0
    assert run(*entry.split(), *map(str, lists)).exit_code == 1
