"""A recorded run holds an outcome for every capability that could be tried, whatever died."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from xcompat.environment.probe import environment_of
from xcompat.errors import CannotLook
from xcompat.smoke.child import run_stages
from xcompat.smoke.lacking import lack_in
from xcompat.smoke.record import record_run
from xcompat.smoke.voice import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in interpreter is a script")

CHILD = '''#!{python}
"""Play a child: every stage works, but in those named it does what the test says."""
import json, os, signal, sys, time
options, request = sys.argv[1:-1], json.loads(sys.argv[-1])
of = request.get("runtime", "inventory")
log_path = os.path.join({logs!r}, f"{{time.monotonic_ns():020}}-{{of}}")
with open(log_path, "a") as log:
    print(*options, file=log)
details = {{
    "inventory": {{
        "python": "3.11.9", "platform": "linux-x86_64", "distributions": {{}}, "ffmpeg": None
    }},
    "tokens": {{"sha256": "0" * 64}},
    "device": {{"device": "mps"}},
}}
for line in sys.stdin:
    stage = line.strip()
    with open(log_path, "a") as log:
        print(stage, file=log)
    print(json.dumps({{"event": "begin", "stage": stage}}), flush=True)
    if stage == {aborts!r}:
        print("what(): no such symbol", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGABRT)
    if stage == {hangs!r}:
        time.sleep(1000)
    if stage == {fails!r}:
        end = {{"status": "fails", "error": {says!r} or "ValueError: no", "traceback": ""}}
    else:
        end = {{"status": "works", "details": details.get(stage, {{}})}}
    print(json.dumps({{"event": "end", "stage": stage, "seconds": 0.0, **end}}), flush=True)
print(json.dumps({{"event": "memory", "host_bytes": 1}}), flush=True)
'''


class StandIn:
    """An interpreter whose child is a script, and what was asked of it."""

    def __init__(self, folder: Path, **what: str) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.path = folder / "python"
        script = CHILD.format(
            python=sys.executable,
            logs=str(self.logs),
            **{name: what.get(name, "") for name in ("aborts", "hangs", "fails", "says")},
        )
        self.path.write_text(script, encoding="utf-8")
        self.path.chmod(0o755)

    def children(self, runtime: str = "stock") -> list[list[str]]:
        """Return the stages of each child with this runtime."""
        return [log.read_text().splitlines()[1:] for log in sorted(self.logs.glob(f"*-{runtime}"))]

    def options(self) -> set[str]:
        """Return the options that the children were started with, in one line each."""
        return {log.read_text().splitlines()[0] for log in self.logs.iterdir()}


def made(scratch: Path) -> None:
    """Stand in for the unpacked voice."""
    (scratch / "checksums.json").write_text("{}")


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("xcompat.smoke.record.make_voice", made)
    here = environment_of()

    def run(stand_in: StandIn, **options):
        return record_run(here._replace(interpreter=str(stand_in.path)), **options)

    return run


def statuses(run) -> dict[str, str]:
    return {name: outcome["status"] for name, outcome in run["capabilities"].items()}


ALL = ("import", "save", "load", "load-converted", "speak", "stream", "clone", "api", "api-path")


def test_one_child_does_everything(tmp_path: Path, record) -> None:
    stand_in = StandIn(tmp_path)
    run = record(stand_in)
    assert statuses(run) == dict.fromkeys(ALL, "works")
    assert run["tokens"] == "0" * 64
    assert len(stand_in.children()) == 1


def test_the_same_is_measured_with_the_runtime(tmp_path: Path, record) -> None:
    stand_in = StandIn(tmp_path, aborts="clone")
    run = record(stand_in)
    told = {name: outcome["status"] for name, outcome in run["runtime_capabilities"].items()}
    # `load` is stock TTS reading the pickle: the runtime has no part in it.
    assert told == dict.fromkeys(set(ALL) - {"load"}, "works") | {"clone": "fails"}
    assert run["runtime_tokens"] == "0" * 64
    first, second = stand_in.children("xcompat")
    assert "load-stock" not in first + second
    assert second[-2:] == ["api", "api-path"]


def test_a_contributed_run_says_how_to_repeat_it_and_what_it_ran_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xcompat.smoke.record.make_voice", made)
    stand_in = StandIn(tmp_path)
    packages = {"coqui-tts": "0.28.0", "torch": "2.8.0+cpu", "transformers": "4.57.6", "six": "1"}
    environment = environment_of()._replace(
        interpreter=str(stand_in.path), python="3.13.1", packages=packages
    )
    run = record_run(environment, device="auto")
    assert run["command"] == (
        "nox -s matrix -- --tts coqui-tts==0.28.0 --torch 2.8.0 --transformers 4.57.6 --python 3.13"
    )
    assert run["cell"] == "contributed"
    assert run["device"] == "mps"


@pytest.mark.parametrize(
    ("stage", "capability", "rest"),
    [
        ("load-stock", "load", ["tokens", "speak", "stream", "clone", "api", "api-path"]),
        ("stream", "stream", ["clone", "api", "api-path"]),
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
    _, second = stand_in.children()
    assert second == ["import", "device", "load-converted", "condition", *rest]


def test_a_child_that_hangs_is_replaced_too(tmp_path: Path, record) -> None:
    run = record(StandIn(tmp_path, hangs="clone"), timeout=2)
    assert statuses(run) == dict.fromkeys(ALL, "works") | {"clone": "fails"}
    assert run["capabilities"]["clone"]["error"] == "no answer within 2 s"


def test_a_death_in_the_last_stage_needs_no_other_child(tmp_path: Path, record) -> None:
    stand_in = StandIn(tmp_path, aborts="api-path")
    assert statuses(record(stand_in))["api-path"] == "fails"
    assert len(stand_in.children()) == 1


@pytest.mark.parametrize("how", ["aborts", "fails"])
def test_nothing_is_tried_after_what_everything_needs(tmp_path: Path, record, how: str) -> None:
    stand_in = StandIn(tmp_path, **{how: "load-converted"})
    run = record(stand_in)
    assert statuses(run) == {
        **dict.fromkeys(("import", "save", "load"), "works"),
        "load-converted": "fails",
    }
    assert len(stand_in.children()) == 1


@pytest.mark.parametrize(
    ("says", "lack"),
    [
        ("Error: [('a', 'b', \"[Errno 28] No space left on device: 'b'\")]", "disk space"),
        ("OSError: [Errno 122] Disk quota exceeded", "disk space"),
        ("MemoryError", "memory"),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to", "memory"),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 20 MiB", "memory"),
    ],
)
def test_a_machine_that_lacks_something_makes_no_run(
    tmp_path: Path, record, says: str, lack: str
) -> None:
    with pytest.raises(CannotLook, match=f"too little {lack}: api ended with") as refused:
        record(StandIn(tmp_path, fails="api", says=says))
    assert refused.value.code == "XC309"


def test_a_child_that_the_system_ends_for_its_memory_makes_no_run(tmp_path: Path, record) -> None:
    stand_in = StandIn(tmp_path, aborts="api")
    killed = stand_in.path.read_text(encoding="utf-8").replace("SIGABRT", "SIGKILL")
    stand_in.path.write_text(killed, encoding="utf-8")
    with pytest.raises(CannotLook, match="too little memory: api ended with"):
        record(stand_in)


def test_what_versions_are_to_blame_for_is_not_laid_on_the_machine() -> None:
    for file in FOLDER.parent.glob("runs/*.jsonl"):
        assert not lack_in(file.read_text(encoding="utf-8"))
    assert not lack_in("ImportError: libgomp.so: cannot allocate memory in static TLS block")


def test_what_is_compiled_can_outlive_the_environment(tmp_path: Path, record) -> None:
    stand_in = StandIn(tmp_path)
    record(stand_in, bytecode=tmp_path / "compiled")
    compiled = [o for o in stand_in.options() if f"-I -X pycache_prefix={tmp_path}/compiled" in o]
    assert len(compiled) == 1


def test_the_model_is_made_once_for_both_columns(
    tmp_path: Path, record, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def make(scratch: Path) -> None:
        calls.append(scratch)
        made(scratch)

    monkeypatch.setattr("xcompat.smoke.record.make_voice", make)
    run = record(StandIn(tmp_path))
    assert len(calls) == 1
    assert run["model"] == "voice"


def test_the_next_stage_waits_for_what_is_to_be_done_between(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    reached = []
    run_stages(
        stand_in.path,
        ["import", "device"],
        {},
        after={"import": lambda: reached.extend(stand_in.children("inventory")[0][-1:])},
    )
    assert reached == ["import"]
