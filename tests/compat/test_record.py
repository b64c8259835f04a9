"""A recorded run holds an outcome for every capability that could be tried, whatever died."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from xcompat.child import run_stages
from xcompat.probe import environment_of
from xcompat.record import record_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in interpreter is a script")

CHILD = '''#!{python}
"""Play a child: every stage works, but in those named it does what the test says."""
import json, os, signal, sys, time
options, request = sys.argv[1:-1], json.loads(sys.argv[-1])
with open({log!r}, "a") as log:
    print(*options, file=log)
details = {{
    "inventory": {{
        "python": "3.11.9", "platform": "linux-x86_64", "distributions": {{}}, "ffmpeg": None
    }},
    "tokens": {{"sha256": "0" * 64}},
}}
for line in sys.stdin:
    stage = line.strip()
    with open({log!r}, "a") as log:
        print(stage, file=log)
    print(json.dumps({{"event": "begin", "stage": stage}}), flush=True)
    if stage == {aborts!r}:
        print("what(): no such symbol", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGABRT)
    if stage == {hangs!r}:
        time.sleep(1000)
    if stage == {fails!r}:
        end = {{"status": "fails", "error": "ValueError: no", "traceback": ""}}
    else:
        end = {{"status": "works", "details": details.get(stage, {{}})}}
    print(json.dumps({{"event": "end", "stage": stage, "seconds": 0.0, **end}}), flush=True)
print(json.dumps({{"event": "memory", "host_bytes": 1}}), flush=True)
'''


class StandIn:
    """An interpreter whose child is a script, and what was asked of it."""

    def __init__(self, folder: Path, **what: str) -> None:
        self.log = folder / "log"
        self.log.touch()
        self.path = folder / "python"
        script = CHILD.format(
            python=sys.executable,
            log=str(self.log),
            **{name: what.get(name, "") for name in ("aborts", "hangs", "fails")},
        )
        self.path.write_text(script, encoding="utf-8")
        self.path.chmod(0o755)

    def children(self) -> list[list[str]]:
        """Return the stages of each child, the inventory left out."""
        children: list[list[str]] = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            if line.startswith("-I"):
                children.append([])
            else:
                children[-1].append(line)
        return children[1:]


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("xcompat.record.convert_built_in", lambda _: None)
    here = environment_of()

    def run(stand_in: StandIn, **options):
        return record_run(replace(here, interpreter=str(stand_in.path)), **options)

    return run


def statuses(run) -> dict[str, str]:
    return {name: outcome["status"] for name, outcome in run["capabilities"].items()}


ALL = ("import", "load", "load-converted", "speak", "stream", "clone", "api")


def test_one_child_does_everything(tmp_path: Path, record) -> None:
    stand_in = StandIn(tmp_path)
    run = record(stand_in)
    assert statuses(run) == dict.fromkeys(ALL, "works")
    assert run["tokens"] == "0" * 64
    stock, runtime = stand_in.children()
    assert [stage for stage in stock if stage != "load-stock"] == runtime
    assert run["runtime_capabilities"].keys() == run["capabilities"].keys() - {"load"}


@pytest.mark.parametrize(
    ("stage", "capability", "rest"),
    [
        ("load-stock", "load", ["tokens", "speak", "stream", "clone", "api"]),
        ("stream", "stream", ["clone", "api"]),
    ],
)
def test_a_child_that_aborts_is_replaced_for_the_stages_after(
    tmp_path: Path, record, stage: str, capability: str, rest: list[str]
) -> None:
    stand_in = StandIn(tmp_path, aborts=stage)
    run = record(stand_in)
    assert statuses(run) == dict.fromkeys(ALL, "works") | {capability: "fails"}
    assert run["capabilities"][capability]["error"] == (
        "the interpreter was killed by SIGABRT: what(): no such symbol"
    )
    _, second, *_ = stand_in.children()
    assert second == ["import", "device", "load-converted", "condition", *rest]


def test_a_child_that_hangs_is_replaced_too(tmp_path: Path, record) -> None:
    run = record(StandIn(tmp_path, hangs="clone"), timeout=2)
    assert statuses(run) == dict.fromkeys(ALL, "works") | {"clone": "fails"}
    assert run["capabilities"]["clone"]["error"] == "no answer within 2 s"


def test_a_death_in_the_last_stage_needs_no_other_child(tmp_path: Path, record) -> None:
    stand_in = StandIn(tmp_path, aborts="api")
    assert statuses(record(stand_in))["api"] == "fails"
    assert len(stand_in.children()) == 2, "one with stock TTS, one with the runtime"


@pytest.mark.parametrize("how", ["aborts", "fails"])
def test_nothing_is_tried_after_what_everything_needs(tmp_path: Path, record, how: str) -> None:
    stand_in = StandIn(tmp_path, **{how: "load-converted"})
    run = record(stand_in)
    assert statuses(run) == {"import": "works", "load": "works", "load-converted": "fails"}
    assert len(stand_in.children()) == 2, "one with stock TTS, one with the runtime"


def test_what_is_compiled_can_outlive_the_environment(tmp_path: Path, record) -> None:
    stand_in = StandIn(tmp_path)
    record(stand_in, bytecode=tmp_path / "compiled")
    options = [line for line in stand_in.log.read_text().splitlines() if line.startswith("-I")]
    assert f"-X pycache_prefix={tmp_path / 'compiled'}" in options[-1]


def test_the_next_stage_waits_for_what_is_to_be_done_between(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    reached = []
    run_stages(
        stand_in.path,
        ["import", "make-checkpoint", "device"],
        {},
        after={"make-checkpoint": lambda: reached.extend(stand_in.log.read_text().split()[-1:])},
    )
    assert reached == ["make-checkpoint"]
