"""Run smoke stages in the target interpreter and survive whatever happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from xcompat import target
from xcompat.domain.smoke import StageResult
from xcompat.errors import CannotLook
from xcompat.smoke.processes import kill_group

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

STAGE_TIMEOUT_SECONDS = 900.0
_STDERR_TAIL_BYTES = 20_000


class ChildOutcome(NamedTuple):
    """What a child process reported."""

    stages: tuple[StageResult, ...]
    memory: Mapping[str, int]
    """`host_bytes` and `device_bytes` at their peak; empty where the child died first."""
    died: bool
    """Whether the child hung, aborted or exited in the last of the stages."""


def run_stages(
    python: Path,
    stages: Sequence[str],
    request: Mapping[str, Any],
    *,
    optional: Sequence[str] = (),
    after: Mapping[str, Callable[[], object]] = MappingProxyType({}),
    on_begin: Callable[[str], None] = lambda _: None,
    timeout: float = STAGE_TIMEOUT_SECONDS,
    bytecode: Path | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> ChildOutcome:
    """Run `stages` in one child of `python`, until one that is not optional fails.

    A stage that hangs for `timeout` seconds is killed; a process that aborts fails the stage that
    was running. Neither takes the caller down.

    Args:
        python: Interpreter of the target environment.
        stages: Names of what to run, in this order.
        request: What the stages are to know, as JSON data.
        optional: Stages whose failure does not end the run.
        after: What to do here when a stage has worked and before the next one begins.
        on_begin: Called with the name of each stage.
        timeout: Seconds that one stage may take.
        bytecode: Folder for what Python and numba compile, where it shall outlive the environment.
        variables: Environment variables of the child beside those of this process.

    Raises:
        CannotLook: The interpreter cannot be started (XC301).
    """
    script = Path(target.__file__).with_name("__main__.py")
    options, environ = ["-I"], {**os.environ, **variables}
    if bytecode:
        options += ["-X", f"pycache_prefix={bytecode}"]
        environ["NUMBA_CACHE_DIR"] = str(bytecode / "numba")
    with tempfile.TemporaryDirectory(prefix="xcompat-") as folder, _stderr_file() as stderr:
        try:
            process = subprocess.Popen(
                [str(python), *options, str(script), "smoke", json.dumps(request)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env=environ,
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
            dialogue = _Dialogue(process, timeout)
            return _conduct(
                dialogue,
                stages,
                stderr,
                optional=optional,
                after=after,
                on_begin=on_begin,
            )
        finally:
            _kill(process)


def _stderr_file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="xcompat-")


class _Died(Exception):  # noqa: N818 - never leaves this module
    """The child hung or ended where it should have answered; the message says how."""


class _Dialogue:
    """Orders to a child and what it answers."""

    def __init__(self, process: subprocess.Popen[str], timeout: float) -> None:
        self._process = process
        self._timeout = timeout
        self._lines = _lines_of(process)

    def order(self, stage: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # That it ended is heard from its output.
            self._process.stdin.write(f"{stage}\n")
            self._process.stdin.flush()

    def end(self) -> Mapping[str, int]:
        """Let the child go, and return its peak memory."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            return self.answer()
        except _Died:
            return {}

    def answer(self) -> dict[str, Any]:
        """Return the next event.

        Raises:
            _Died: There is none.
        """
        try:
            line = self._next_line()
        except queue.Empty:
            _kill(self._process)
            raise _Died(f"no answer within {self._timeout:.0f} s") from None
        if line is None:
            raise _Died(_how_it_ended(self._process.wait()))
        event: dict[str, Any] = json.loads(line)
        del event["event"]
        return event

    def _next_line(self) -> str | None:
        """Wait as long as a stage may take, second by second.

        Where both processes were stopped, and the child did nothing, that counts as one second.
        """
        whole, rest = divmod(self._timeout, 1.0)
        for _ in range(int(whole)):
            with contextlib.suppress(queue.Empty):
                return self._lines.get(timeout=1.0)
        return self._lines.get(timeout=rest)


def _conduct(
    dialogue: _Dialogue,
    stages: Sequence[str],
    stderr: IO[bytes],
    *,
    optional: Sequence[str],
    after: Mapping[str, Callable[[], object]],
    on_begin: Callable[[str], None],
) -> ChildOutcome:
    results: list[StageResult] = []
    for stage in stages:
        begun = False
        try:
            dialogue.order(stage)
            dialogue.answer()
            begun = True
            on_begin(stage)
            event = dialogue.answer()
        except _Died as death:
            tail = _tail(stderr)
            if not (begun or results):
                raise CannotLook(
                    "XC301",
                    "the target interpreter ended before the smoke began",
                    hint=tail.strip().rpartition("\n")[2],
                ) from death
            results.append(
                StageResult(
                    name=stage, status="fails", seconds=0.0, error=str(death), traceback=tail
                )
            )
            return ChildOutcome(tuple(results), {}, died=True)
        fell_back = tuple(event.pop("fell_back", ()))
        results.append(StageResult(name=event.pop("stage"), fell_back=fell_back, **event))
        if results[-1].status == "works":
            after.get(stage, lambda: None)()
        elif stage not in optional:
            break
    return ChildOutcome(tuple(results), dialogue.end(), died=False)


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
    kill_group(process)
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
