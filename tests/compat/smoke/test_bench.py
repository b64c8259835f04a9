"""The bench: contestants alone and by turns, what is left of those that fail, and what is told."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from builders.schemas import check
from conftest import Done
from xcompat.converters import convert, write_tiny_release
from xcompat.domain.gpu import Graphics
from xcompat.environment.probe import environment_of
from xcompat.matrix.load import load_matrix
from xcompat.render.bench import bench_as_json, doing, show_bench
from xcompat.smoke.bench import RIVALS, BenchRequest, bench
from xcompat.smoke.request import loads_in_stock
from xcompat.target.machine import cores, processor_name

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from xcompat.domain.bench import BenchReport, Contestant

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fake interpreters are shell scripts")
Run = Callable[..., Done]

PLAYER = """
import json, os, sys
request, plan = json.loads(sys.argv[-1]), json.load(open({plan!r}))
log = open({log!r}, "a")
counts, loaded = {{}}, ""
for stage in map(str.strip, sys.stdin):
    print(json.dumps({{"event": "begin", "stage": stage}}), flush=True)
    print(json.dumps([os.getpid(), request["runtime"], stage]), file=log, flush=True)
    name, _, way = stage.partition(" ")
    loaded = way or loaded
    slow = {{"stock": 3.0, "int8": 0.5}}.get(loaded, 1.0)
    number = counts[stage] = counts.get(stage, 0) + 1
    seconds = slow * (100.0 if number == 1 else number)  # the first run warms up
    answer = {{
        "import": {{"torch": "2.9.1+cu128"}},
        "device": {{"device": plan["device"], "name": "A card"}},
        "contestant": {{"load_seconds": slow, "by": "load_checkpoint" if request["stock_folder"]
                       and way == "stock" else "load_xtts", "parameters": 31_000_000,
                       "kernel": "" if way == "stock" else "numba",
                       "bytes_per_token": 40_000_000, "threads": 2}},
        "condition": {{"voice": "Rowan", "speakers": 4}},
        "sentence": {{"seconds": seconds, "speech_seconds": 5.0, "tokens": 101,
                     "decode_seconds": seconds / 2 + 0.5,
                     "first_token_seconds": plan["first_token"],
                     "checksum": 8 if way == "int8" else 7}},
        "first-audio": {{"seconds": seconds / 10}},
        "batch": {{"seconds": 2 * seconds, "speech_seconds": 5.0 * request["together"],
                  "sentences": request["together"]}},
        "peak": {{"host_bytes": int(slow * 1e9)}},
        "memory-speed": {{"copy": 16e9, "sum": 20e9}},
    }}[name]
    fails = plan["fails"].get(stage)
    if fails and fails["number"] == number and request["runtime"] in fails["runtimes"]:
        if fails["error"] == "dies":
            os.abort()
        ended = {{"status": "fails", "error": fails["error"], "traceback": fails["error"]}}
    else:
        ended = {{"status": "works", "details": answer}}
    print(json.dumps({{"event": "end", "stage": stage, "seconds": 0.1, **ended}}), flush=True)
print(json.dumps({{"event": "memory", "host_bytes": 5}}), flush=True)
"""
NO_BEAMS = "ImportError: cannot import name 'BeamSearchScorer' from 'transformers' (x.py)"


def fails(error: str, *, number: int = 1, runtimes: str = "stock xcompat") -> dict[str, Any]:
    """Let a stage fail the `number`th time that a process does it."""
    return {"error": error, "number": number, "runtimes": runtimes.split()}


def measure(
    folder: Path,
    *against: str,
    device: str = "cpu",
    failing: dict[str, dict[str, Any]] | None = None,
    graphics: Graphics | None = None,
    together: int | None = None,
    first_token: float = 0.5,
) -> BenchReport:
    """Run a bench whose stages answer as above."""
    plan, player, python = folder / "plan.json", folder / "player.py", folder / "python"
    answers = {"device": device, "fails": failing or {}, "first_token": first_token}
    plan.write_text(json.dumps(answers))
    player.write_text(PLAYER.format(plan=str(plan), log=str(folder / "log.jsonl")))
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{player}" "$@"\n')
    python.chmod(0o755)
    model = folder / "my voice"
    model.mkdir(exist_ok=True)
    (model / "model.safetensors").touch()
    request = BenchRequest(python, model, against=against, together=together)
    return bench(request, environment_of(None), load_matrix().issues, lambda: graphics)


def told(folder: Path) -> list[list[Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def named(report: BenchReport) -> dict[str, Contestant]:
    return {each.name: each for each in report.contestants}


def test_who_begins_changes_and_the_first_round_warms_up(tmp_path: Path) -> None:
    report = measure(tmp_path, "stock", "int8")
    stages = told(tmp_path)
    processes = list(dict.fromkeys(process for process, _, _ in stages))
    runtimes = [next(r for p, r, _ in stages if p == process) for process in processes]
    assert runtimes == ["xcompat", "stock", "xcompat", "xcompat"]
    by_turns = [stage for process, _, stage in stages if process == processes[-1]]
    sentences = [stage.split()[1] for stage in by_turns if stage.startswith("sentence")]
    ways = ["float32", "stock", "int8"]
    assert sentences == [*ways[::-1], *ways, *ways[::-1], *ways]
    assert by_turns.count("memory-speed") == 4
    assert "batch stock" not in by_turns
    first = named(report)["xcompat"]
    assert first.figures["sentence_seconds"].all == (2.0, 3.0, 4.0)
    assert first.figures["sentence_seconds"].median == 3.0
    assert first.figures["real_time_factor"].median == pytest.approx(3.0 / 5.0)
    assert first.figures["token_seconds"].median == pytest.approx(3.0 / 2 / 100)
    assert first.figures["load_seconds"].all == (1.0, 1.0, 1.0)
    assert report.rounds == 3


def test_what_is_compared_is_compared_round_by_round(tmp_path: Path) -> None:
    first, stock, int8 = measure(tmp_path, "stock", "int8").contestants
    assert first.times == {}
    assert stock.times["sentence_seconds"] == stock.times["token_seconds"] == 3.0
    assert stock.times["peak_host_bytes"] == pytest.approx(3.0)
    assert int8.times["batch_seconds"] == 0.5
    assert "batch_seconds" not in stock.figures
    # Without a model.pth of tensors alone, it was not stock that loaded it.
    assert "load_seconds" not in stock.figures
    assert (first.same_tokens, stock.same_tokens, int8.same_tokens) == (None, True, False)


def test_bytes_read_are_held_against_the_faster_of_copy_and_sum(tmp_path: Path) -> None:
    report = measure(tmp_path)
    assert report.memory_speed is not None
    assert report.memory_speed.median == 20e9
    share = report.contestants[0].figures["share_of_memory_speed"].median
    assert share == pytest.approx(40e6 / 0.015 / 20e9)


def test_a_decode_that_took_no_longer_than_its_first_token_tells_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = measure(tmp_path, first_token=1.7)
    assert {"token_seconds", "share_of_memory_speed"}.isdisjoint(report.contestants[0].figures)
    assert bench_as_json(report)["contestants"][0]["tokens_per_second"] is None
    show_bench(report)
    assert "tokens a second" not in capsys.readouterr().out


def test_stock_that_fails_tells_why_and_keeps_nobody_from_being_measured(tmp_path: Path) -> None:
    failing = {"import": fails(NO_BEAMS, runtimes="stock")}
    report = measure(tmp_path, "stock", failing=failing)
    first, stock = report.contestants
    assert (stock.error, stock.issue, stock.figures) == (NO_BEAMS, "XC002", {})
    assert first.figures["sentence_seconds"].median == 3.0
    assert report.measured
    assert "stock" not in told(tmp_path)[-1][2]


def test_who_dies_by_turns_takes_no_figures_along(tmp_path: Path) -> None:
    failing = {"sentence stock": fails("dies", number=2)}
    first, stock = measure(tmp_path, "stock", failing=failing).contestants
    assert stock.error == "the interpreter was killed by SIGABRT"
    assert first.figures["sentence_seconds"].all == (2.0,)
    assert "first_audio_seconds" not in first.figures
    failing = {"contestant stock": fails("dies", runtimes="xcompat")}
    first, stock = measure(tmp_path, "stock", failing=failing).contestants
    assert first.error == stock.error == "the interpreter was killed by SIGABRT"


def test_without_the_runtime_stock_is_measured_all_the_same(tmp_path: Path) -> None:
    failing = {"contestant float32": fails("CannotAttach: other blocks")}
    report = measure(tmp_path, "stock", failing=failing)
    first, stock = report.contestants
    assert first.error == "CannotAttach: other blocks"
    assert stock.figures["sentence_seconds"].median == 9.0
    assert (stock.times, stock.same_tokens) == ({}, None)
    assert not report.measured


@pytest.mark.parametrize(("device", "count"), [("cpu", 4), ("cuda", 32)])
def test_a_batch_is_as_large_as_suits_the_device(tmp_path: Path, device: str, count: int) -> None:
    assert measure(tmp_path, device=device).together == count
    assert measure(tmp_path, device=device, together=3).together == 3


def test_a_figure_never_stands_without_the_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = Graphics(drivers={"nvidia": "580.65.06"})
    report = measure(tmp_path, "stock", device="cuda", graphics=card)
    assert report.machine.processor == processor_name() != ""
    assert report.machine.cores == cores() > 0
    assert report.machine.packages["torch"] == "2.9.1+cu128"
    show_bench(report)
    shown = capsys.readouterr().out
    words = " ".join(shown.split())
    assert report.machine.processor in words
    assert "A card, driver 580.65.06" in words
    assert "torch 2.9.1+cu128" in words
    assert words.startswith(
        "A sentence of 5.0 s takes 3.00 s here, 0.60 of its length; stock takes 3.00 times as long."
    )
    assert re.search(r"^sentence, 101 tokens +3\.00 s +9\.00 s, 3\.00 times$", shown, re.MULTILINE)
    assert re.search(r"^tokens a second +66\.7 +22\.2$", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_a_table_fits_into_the_terminal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: str,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    show_bench(measure(tmp_path, *RIVALS))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    rows = [line for line in lines if line.startswith("first token")]
    assert len(rows) == (1 if columns == "200" else 1 + len(RIVALS))


def test_what_is_pasted_is_what_the_schema_says_and_names_nobody(tmp_path: Path) -> None:
    failing = {"contestant stock": fails(f"OSError: {tmp_path}/lib/python3.11/x.so: no such file")}
    for report in (measure(tmp_path, "stock", "int8"), measure(tmp_path, failing=failing)):
        pasted = json.loads(json.dumps(bench_as_json(report), allow_nan=False))
        check("bench", pasted)
        assert str(tmp_path) not in json.dumps(pasted)
        assert pasted["model"] == "my voice"
        assert pasted["contestants"][0]["tokens_per_second"] == pytest.approx(200 / 3)


def test_an_environment_without_tts_is_told_with_its_known_issue(run: Run) -> None:
    done = run("bench", "--against", "stock", "--json")
    assert done.exit_code == 1
    pasted = json.loads(done.stdout)
    check("bench", pasted)
    assert [each["issue"] for each in pasted["contestants"]] == ["XC028", "XC028"]
    shown = run("bench")
    assert shown.exit_code == 1
    assert "xcompat explain XC028" in " ".join(shown.stdout.split())
    assert "Traceback" not in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{0}/nowhere"], 4, "error[XC302]: {0}/nowhere is not a folder"),
        (["{0}"], 1, "error[XC303]: {0} holds no model.safetensors"),
        (["--speaker-wav", "{0}/no.wav"], 4, "error[XC302]: {0}/no.wav is not a file"),
        (["--against", "vllm"], 2, "error[XC310]: there is no way to decode that is called `vllm`"),
    ],
)
def test_what_is_missing_is_named_before_anything_starts(
    run: Run, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    done = run("bench", *(word.format(tmp_path) for word in words))
    assert done.exit_code == code
    assert done.stderr.startswith(message.format(tmp_path))
    assert done.stdout == ""


def test_stock_is_given_no_pickle_to_run(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    (tmp_path / "release" / "model.safetensors").touch()
    assert not loads_in_stock(tmp_path / "release")
    convert(tmp_path / "release" / "model.pth", tmp_path / "both", format="both")
    assert loads_in_stock(tmp_path / "both")
    (tmp_path / "both" / "model.pth").unlink()
    assert not loads_in_stock(tmp_path / "both")


def test_stages_have_words() -> None:
    assert doing("sentence float32") == "say the sentence (xcompat)"
    assert doing("import") == "import TTS"
    assert doing("memory-speed") == "measure the speed of memory"
