"""Run smoke stages in the target interpreter and survive whatever happens to it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from xcompat import target
from xcompat.domain import StageResult
from xcompat.errors import CannotLook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

STAGE_TIMEOUT_SECONDS = 900.0
_STDERR_TAIL_BYTES = 20_000


class ChildOutcome(NamedTuple):
    """What a child process reported."""

    stages: tuple[StageResult, ...]
    memory: Mapping[str, int]
    """`host_bytes` and `device_bytes` at their peak; empty where the child died first."""


def run_stages(
    python: Path,
    stages: Sequence[str],
    request: Mapping[str, Any],
    *,
    optional: Sequence[str] = (),
    on_begin: Callable[[str], None] = lambda _: None,
    timeout: float = STAGE_TIMEOUT_SECONDS,
) -> ChildOutcome:
    """Run `stages` in one child of `python`, until one that is not optional fails.

    A stage that hangs for `timeout` seconds is killed; a process that aborts fails the stage that
    was running. Neither takes the caller down.

    Raises:
        CannotLook: The interpreter cannot be started (XC301).
    """
    script = Path(target.__file__).with_name("__main__.py")
    message = json.dumps({**request, "stages": list(stages), "optional": list(optional)})
    with tempfile.TemporaryDirectory(prefix="xcompat-") as folder, _stderr_file() as stderr:
        try:
            process = subprocess.Popen(
                [str(python), "-I", str(script), "smoke", message],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                encoding="utf-8",
                start_new_session=True,
            )
        except OSError as error:
            raise CannotLook(
                "XC301",
                f"{python} cannot be started: {error.strerror}",
                hint="Give the interpreter of the environment to test with --python.",
            ) from error
        try:
            return _listen(process, stderr, on_begin, timeout)
        finally:
            _kill(process)


def _stderr_file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="xcompat-")


def _listen(
    process: subprocess.Popen[str],
    stderr: IO[bytes],
    on_begin: Callable[[str], None],
    timeout: float,
) -> ChildOutcome:
    results: list[StageResult] = []
    memory: Mapping[str, int] = {}
    running = ""
    lines = _lines_of(process)
    while True:
        try:
            line = lines.get(timeout=timeout)
        except queue.Empty:
            _kill(process)
            results.append(_failed(running, f"no answer within {timeout:.0f} s", stderr))
            break
        if line is None:
            process.wait()
            if running:
                results.append(_failed(running, _how_it_ended(process.returncode), stderr))
            elif not results:
                raise CannotLook(
                    "XC301",
                    "the target interpreter ended before the smoke began",
                    hint=_tail(stderr).strip().rpartition("\n")[2],
                )
            break
        event = json.loads(line)
        kind = event.pop("event")
        if kind == "begin":
            running = event["stage"]
            on_begin(running)
        elif kind == "end":
            running = ""
            results.append(StageResult(name=event.pop("stage"), **event))
        else:
            memory = event
    return ChildOutcome(tuple(results), memory)


def _lines_of(process: subprocess.Popen[str]) -> queue.SimpleQueue[str | None]:
    """Read the child's lines in a thread, so that waiting for one can time out on any platform."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    stdout = process.stdout
    assert stdout is not None

    def read() -> None:
        with stdout:
            for line in stdout:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _failed(stage: str, error: str, stderr: IO[bytes]) -> StageResult:
    return StageResult(
        name=stage, status="fails", seconds=0.0, error=error, traceback=_tail(stderr)
    )


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"the interpreter was killed by {signal.Signals(-status).name}"
    return f"the interpreter exited with status {status}"


def _tail(stderr: IO[bytes]) -> str:
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - _STDERR_TAIL_BYTES))
    return stderr.read().decode("utf-8", "replace")


def _kill(process: subprocess.Popen[str]) -> None:
    """End the child and everything that it started."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
