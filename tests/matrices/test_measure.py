"""Measuring: what a sweep stands for, what is measured again, and what ends neither."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

import cell_bench
import measure
from cell_bench import Bench, NotMeasured
from cells import Cell, read_cells
from measure import choose, recorded

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = read_cells(measure.MATRICES / "cells.toml")

TWO_CELLS = """
[[cell]]
name = "old"
tts = "TTS==0.22.0"
torch = "2.5.1"

[[cell]]
name = "new"
tts = "coqui-tts==0.28.0"
torch = "2.8.0"
ci = true
"""

SWEEP = """
[[sweep]]
name = "all"
base = { tts = "TTS==0.22.0", transformers = "4.40.2" }
vary = [
  [{ torch = "2.5.1", torchaudio = "2.5.1" }, { torch = "2.8.0", also = ["six"] }],
  { transformers = ["4.33.0", "4.40.2", "4.57.6"] },
]
"""


def parsed(arguments: str) -> Cell:
    (cell,) = choose(measure._parser().parse_args(shlex.split(arguments)), ())
    return cell


def test_a_sweep_is_every_combination_over_its_base(tmp_path: Path) -> None:
    file = tmp_path / "cells.toml"
    file.write_text(TWO_CELLS + SWEEP, encoding="utf-8")
    cells = read_cells(file)
    assert [cell.name for cell in cells] == ["old", "new", *["all"] * 6]
    assert [(c.torch, c.transformers) for c in cells[2:]] == [
        ("2.5.1", "4.33.0"), ("2.5.1", "4.40.2"), ("2.5.1", "4.57.6"),
        ("2.8.0", "4.33.0"), ("2.8.0", "4.40.2"), ("2.8.0", "4.57.6"),
    ]  # fmt: skip
    assert cells[2].requirements == (
        "TTS==0.22.0", "torch==2.5.1", "torchaudio==2.5.1", "transformers==4.33.0",
    )  # fmt: skip
    assert cells[-1].requirements[-1] == "six"


@pytest.mark.parametrize("cell", [pytest.param(c, id=c.arguments) for c in SHIPPED])
def test_what_a_command_says_is_the_cell(cell: Cell) -> None:
    assert parsed(cell.arguments) == replace(cell, name="one-off", ci=False)


def test_no_cell_is_written_twice() -> None:
    commands = [cell.command for cell in SHIPPED]
    assert sorted(set(commands)) == sorted(commands)


def test_every_recorded_run_can_be_repeated() -> None:
    for file in (measure.MATRICES / "runs").glob("*.jsonl"):
        for run in recorded(file.parent, file.stem):
            cell = parsed(run["command"].removeprefix("nox -s matrix -- "))
            assert parsed(cell.arguments) == cell
            assert cell.python == ".".join(run["python"].split(".")[:2])


def test_a_name_that_does_not_exist_is_named() -> None:
    with pytest.raises(SystemExit, match="no cell or sweep nothing in"):
        choose(measure._parser().parse_args(["nothing"]), SHIPPED)


def test_new_releases_are_cells_like_others(monkeypatch, capsys) -> None:
    newest = {"transformers": "99.0"}
    monkeypatch.setattr(
        measure.new_cells, "newest_release", lambda name: Version(newest.get(name, "0.1"))
    )
    assert measure.main(["--new", "--list", "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)
    assert cell["name"] == "transformers-99.0"
    assert "--transformers 99.0" in cell["arguments"]
    newest.clear()
    assert measure.main(["--new", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert measure.main(["--new"]) == 0


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run `measure.main` over two cells and a sweep, with measuring replaced; return what ran."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "cells.toml").write_text(TWO_CELLS + SWEEP, encoding="utf-8")
    monkeypatch.setattr(measure, "MATRICES", tmp_path)
    measured: list[str] = []

    def pretend(_: Bench, cell: Cell) -> dict[str, object]:
        measured.append(cell.arguments)
        if cell.transformers == "4.40.2":
            raise NotMeasured("no network")
        return {
            "platform": measure.this_platform(), "command": cell.command, "tokens": None,
            "packages": {"torch": cell.torch, "nvidia-nccl-cu12": "1", "six": "1"},
            "system": {"ffmpeg": None}, "capabilities": {"import": {"status": "works"}},
        }  # fmt: skip

    monkeypatch.setattr(Bench, "measure", pretend)
    monkeypatch.setattr(Bench, "apps_differ", lambda *_, **__: [])
    monkeypatch.setattr(Bench, "unproved", lambda *_: [])

    def run(*words: str) -> tuple[int, list[str]]:
        measured.clear()
        code = measure.main([*words, "--scratch", str(tmp_path / "scratch")])
        return code, list(measured)

    return run


def test_what_is_recorded_is_not_measured_again(session) -> None:
    assert session("old") == (0, ["--tts TTS==0.22.0 --torch 2.5.1"])
    assert session("old", "new") == (0, ["--tts coqui-tts==0.28.0 --torch 2.8.0"])
    assert session("old") == (0, [])
    assert session("old", "--again") == (0, ["--tts TTS==0.22.0 --torch 2.5.1"])
    assert session("--tts", "TTS==0.22.0", "--torch", "2.5.1")[1] != []


def test_a_cell_that_cannot_be_measured_ends_neither_the_sweep_nor_in_the_runs(
    session, capsys: pytest.CaptureFixture[str]
) -> None:
    code, measured = session("--sweep", "all")
    assert (code, len(measured)) == (1, 6)
    assert "--transformers 4.40.2: not measured: no network" in capsys.readouterr().err
    assert len(recorded(measure.MATRICES / "runs", measure.this_platform())) == 4
    assert len(session("--sweep", "all")[1]) == 2


def test_cells_that_share_a_torch_run_together_and_its_packages_go_before_the_next(
    session, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[list[str]] = []
    monkeypatch.setattr(
        measure.subprocess, "run", lambda command, **_: forgotten.append(command[4:])
    )
    _, measured = session("--tidy", "old", "new", "--sweep", "all")
    torches = [arguments.split("--torch ")[1].split()[0] for arguments in measured]
    assert torches == ["2.5.1"] * 4 + ["2.8.0"] * 4
    assert forgotten == [["torch", "nvidia-nccl-cu12"]]


def test_the_cells_are_listed_for_a_job_matrix(session, capsys: pytest.CaptureFixture[str]) -> None:
    session("new")
    capsys.readouterr()
    assert session("--list", "--json", "old", "new") == (0, [])
    old, new = json.loads(capsys.readouterr().out)
    assert old == {
        "name": "old", "arguments": "--tts TTS==0.22.0 --torch 2.5.1", "python": "3.11",
        "ci": False, "recorded": False,
    }  # fmt: skip
    assert (new["ci"], new["recorded"]) == (True, True)


def test_checking_compares_with_the_newest_run_of_the_same_command(
    session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert session("--ci", "--check")[0] == 1
    assert "no run recorded" in capsys.readouterr().err
    session("new")
    assert session("--ci", "--check")[0] == 0
    file = measure.MATRICES / "runs" / f"{measure.this_platform()}.jsonl"
    worse = json.loads(file.read_text(encoding="utf-8"))
    worse["capabilities"]["speak"] = {"status": "works"}
    file.write_text(json.dumps(worse) + "\n", encoding="utf-8")
    capsys.readouterr()
    assert session("--ci", "--check")[0] == 1
    assert "speak not reached, recorded as works" in capsys.readouterr().err


def test_what_apps_do_in_a_cell_of_ci_is_compared_too(
    session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session("old", "new")
    monkeypatch.setattr(Bench, "apps_differ", lambda *_, **__: ["an app fails; recorded: works"])
    assert session("old", "--check")[0] == 0
    assert session("--ci", "--check")[0] == 1
    assert "an app fails; recorded: works" in capsys.readouterr().err


def test_what_a_card_relies_on_is_proved_in_a_cell_of_ci(
    session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session("old", "new")
    monkeypatch.setattr(Bench, "unproved", lambda _: ["other tokens than torch"])
    assert session("old", "--check")[0] == 0
    assert session("--ci", "--check")[0] == 1
    assert "other tokens than torch" in capsys.readouterr().err


def test_programs_of_apps_that_cannot_run_are_no_success(tmp_path: Path) -> None:
    assert Bench(tmp_path).apps_differ() == ["the programs of apps ended with 1"]


@pytest.mark.skipif(os.name == "nt", reason="links to the interpreter")
def test_proofs_that_cannot_run_are_no_success(tmp_path: Path) -> None:
    interpreter = tmp_path / "venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    (failed,) = Bench(tmp_path).unproved()
    assert "No module named" in failed


def uv_that(says: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = folder / "uv"
    script.write_text(f'#!/bin/sh\n[ "$2" = venv ] && exit 0\necho "{says}" >&2\nexit 1\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for uv is a shell script")
def test_a_set_that_does_not_resolve_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv_that("No solution found:\n  TTS wants  Python<3.12", tmp_path, monkeypatch)
    cell = Cell(tts="TTS==0.22.0", torch="2.9.1", also=("numpy<2",), python="3.13")
    run = Bench(tmp_path / "bench").measure(cell)
    assert run["capabilities"] == {
        "install": {"status": "fails", "error": "No solution found: TTS wants Python<3.12"}
    }
    assert run["packages"] == {"TTS": "0.22.0", "torch": "2.9.1"}
    assert (run["python"], run["command"]) == ("3.13", cell.command)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for uv is a shell script")
def test_a_network_that_fails_says_nothing_about_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv_that("Failed to fetch", tmp_path, monkeypatch)
    with pytest.raises(NotMeasured, match="Failed to fetch"):
        Bench(tmp_path / "bench").measure(Cell(tts="TTS"))


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for uv is a shell script")
def test_a_disk_that_is_full_says_nothing_about_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv_that("Failed to build: No space left on device", tmp_path, monkeypatch)
    with pytest.raises(NotMeasured, match="No space left on device"):
        Bench(tmp_path / "bench").measure(Cell(tts="TTS"))


@pytest.mark.parametrize(
    ("error", "lack"), [(OSError(28, "No space left"), "disk space"), (MemoryError(), "memory")]
)
def test_a_machine_that_lacks_something_is_named_and_nothing_is_compared(
    bench, monkeypatch: pytest.MonkeyPatch, error: Exception, lack: str
) -> None:
    def full(*_, **__) -> None:
        raise error

    made, _, site = bench
    monkeypatch.setattr(cell_bench, "record_run", full)
    with pytest.raises(NotMeasured, match=f"too little {lack}"):
        made.measure(HEAVY)
    assert not site.exists()


def test_a_release_that_is_not_for_this_python_is_refused_as_pip_refuses_it(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.13" / "site-packages"
    for name, wanted in (("coqui_tts", "<3.13,>=3.10"), ("six", ">=2.7")):
        (site / f"{name}-1.0.dist-info").mkdir(parents=True)
        (site / f"{name}-1.0.dist-info" / "METADATA").write_text(
            f"Name: {name}\nVersion: 1.0\nRequires-Python: {wanted}\n"
        )
    assert cell_bench._refused_by_pip(tmp_path, "3.12.1") == ""
    assert cell_bench._refused_by_pip(tmp_path, "3.13.0") == (
        "Package 'coqui_tts' requires a different Python: 3.13.0 not in '<3.13,>=3.10'"
    )


@pytest.mark.skipif(os.name == "nt", reason="there is no flock")
def test_two_do_not_measure_in_one_folder(session, tmp_path: Path) -> None:
    with (
        measure._alone(tmp_path / "scratch"),
        pytest.raises(SystemExit, match="another measurement runs in"),
    ):
        session("old")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a bench, and the verbs of uv that it used, with uv and the stages replaced."""
    used: list[str] = []
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"

    def uv(*words: str, told: str = "") -> str:
        used.append(words[0] if words[0] == "venv" else words[1])
        if words[0] == "venv":
            site.mkdir(parents=True)
            (site / "_virtualenv.py").touch()
        return "tts==0.22.0\ntorch==2.9.1\n" if words[1] == "compile" else ""

    monkeypatch.setattr(cell_bench, "_uv", uv)
    monkeypatch.setattr(cell_bench, "environment_of", lambda _: None)
    monkeypatch.setattr(
        cell_bench,
        "record_run",
        lambda *_, **__: {
            "python": "3.11.7",
            "packages": {"TTS": "0.22.0", "torch": "2.9.1"},
            "capabilities": {},
        },
    )
    return Bench(tmp_path), used, site


HEAVY = Cell(tts="TTS==0.22.0", torch="2.9.1")


@pytest.mark.parametrize(
    "other",
    [
        {"torch": "2.8.0"},
        {"torchaudio": "2.8.0"},
        {"torchcodec": "0.9.1"},
        {"python": "3.10"},
        {"tts": "coqui-tts==0.28.0"},
    ],
)
def test_an_environment_serves_the_next_cell_while_only_light_packages_differ(
    bench, other: dict[str, str]
) -> None:
    made, used, _ = bench
    made.measure(HEAVY)
    made.measure(replace(HEAVY, transformers="4.40.2", also=("six",)))
    assert used == ["venv", "compile", "sync", "compile", "sync"]
    made.measure(replace(HEAVY, **other))
    assert used[5:] == ["venv", "compile", "sync"]


def test_an_environment_that_was_forced_or_written_to_serves_no_other_cell(bench) -> None:
    made, used, site = bench
    made.measure(replace(HEAVY, then=("install --no-deps coqpit",)))
    assert not site.exists()
    made.measure(HEAVY)
    assert used.count("venv") == 2
    (site / "torch" / "__pycache__").mkdir(parents=True)
    (site / "torch" / "__pycache__" / "module.cpython-311.pyc").touch()
    made.measure(HEAVY)
    assert used.count("venv") == 2
    (site / "torch" / "left.py").touch()
    made.measure(HEAVY)
    assert used.count("venv") == 3


def test_an_environment_with_files_of_its_distributions_only_has_no_strays(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    (site / "six-1.0.dist-info").mkdir(parents=True)
    (site / "six-1.0.dist-info" / "RECORD").write_text(
        "six.py,,\nsix-1.0.dist-info/RECORD,,\n../../../bin/six,,\n"
    )
    (site / "six.py").touch()
    assert cell_bench._strays(tmp_path) == []
    (site / "seven.py").touch()
    assert cell_bench._strays(tmp_path) == [site / "seven.py"]


def test_fresh_means_that_no_cell_gets_the_environment_of_another(bench, tmp_path: Path) -> None:
    _, used, site = bench
    made = Bench(tmp_path, fresh=True)
    made.measure(HEAVY)
    assert not site.exists()
    made.measure(HEAVY)
    assert used.count("venv") == 2


def test_an_environment_that_is_not_what_was_resolved_is_not_measured(
    bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _, site = bench
    told = {"python": "3.11.7", "packages": {"TTS": "0.22.0"}, "capabilities": {}}
    monkeypatch.setattr(cell_bench, "record_run", lambda *_, **__: told)
    with pytest.raises(NotMeasured, match=r"torch==2\.9\.1"):
        made.measure(HEAVY)
    assert not site.exists()
