"""Long steps, and how far they are: on a terminal one line that is rewritten, elsewhere a line every 15 seconds.

The standard library alone, for it is used before there is an environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.processes import die_with_parent

#: What a step's output says of how far it is: all lines so far -> a few words.
Status = Callable[[Sequence[str]], str]
_INTERVAL = 15.0  # seconds between two lines of one step, where there is no terminal
_POLL = 0.2  # seconds between two looks at a step
_LAST_LINES = 15  # lines of a failed step that its message repeats
_start = time.monotonic()
_lock = threading.RLock()
_steps: list[_Step] = []
_stopping = threading.Event()


def say(message: str) -> None:
    """Print a line on stderr, with the seconds since the start."""
    with _lock:
        _print(f"[{time.monotonic() - _start:6.1f} s] {message}\n")


class _Step:
    """A step that runs: what it is, and how far."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._status = ""
        self._next = time.monotonic() + _INTERVAL

    def __str__(self) -> str:
        return f"{self._what}: {self._status}" if self._status else self._what

    def show(self, status: str = "") -> None:
        """Rewrite the terminal's line, which has all steps; elsewhere print this step if it is time."""
        self._status = status
        with _lock:
            if sys.stderr.isatty():
                line = f"[{time.monotonic() - _start:6.1f} s] {'; '.join(map(str, _steps))}"
                _print(line[: shutil.get_terminal_size().columns - 1])
            elif time.monotonic() >= self._next:
                self._next += _INTERVAL
                say(f"… {self}")


@contextmanager
def _step(what: str) -> Iterator[_Step]:
    step = _Step(what)
    _steps.append(step)
    try:
        yield step
    finally:
        with _lock:
            _steps.remove(step)
            _print("")


def _print(text: str) -> None:
    # A carriage return and "erase the line": what is there is a step's.
    print("\r\x1b[K" + text if sys.stderr.isatty() else text, end="", file=sys.stderr, flush=True)


def run(
    command: Sequence[str], what: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, status: Status | None = None
) -> list[str]:
    """Run a long command, show how far it is, and return the lines that it printed.

    Args:
        command: the program and its arguments.
        what: what it does, as in "building pulumi".
        cwd: the folder that it runs in.
        env: its environment; default: this process's.
        status: what its output says of how far it is.

    Raises:
        SandboxError: it failed; the message has its last lines.
    """
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder, _step(what) as step:
        output = Path(folder) / "output"
        with open(output, "wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
        try:
            with open(output, errors="replace") as printed:
                while not _ended(process):
                    lines += printed.readlines()
                    step.show(status(lines) if status else "")
                lines += printed.readlines()
        finally:
            if process.returncode is None:
                # Its children too: compilers, say.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode:
        raise SandboxError(
            f"{what} failed with exit code {process.returncode}; its last lines:\n" + "".join(lines[-_LAST_LINES:])
        )
    return lines


def _ended(process: subprocess.Popen[bytes]) -> bool:
    _go_on()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_POLL)
    return process.returncode is not None


def wait_for(ready: Callable[[], bool], what: str) -> None:
    """Wait until something is so, and show what is waited for."""
    if ready():
        return
    say(what)
    with _step(what) as step:
        while not ready():
            _go_on()
            step.show()
            time.sleep(_POLL)


class _StoppedError(SandboxError):
    """A job ends because another one failed."""


def _go_on() -> None:
    if _stopping.is_set():
        raise _StoppedError("stopped, because another step failed")


@contextmanager
def meanwhile(*jobs: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Run jobs in threads while the body runs; what is yielded waits for them.

    Where a job or the body fails, the commands of all are ended.

    Raises:
        SandboxError: a job's.
    """

    def guarded(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException:
            _stopping.set()
            raise

    def wait() -> None:
        for future in as_completed(futures):
            future.result()

    with ThreadPoolExecutor(max(len(jobs), 1)) as pool:
        futures = [pool.submit(guarded, job) for job in jobs]
        try:
            yield wait
            wait()
        except BaseException as error:
            _stopping.set()
            pool.shutdown()
            causes = [cause for future in futures if (cause := future.exception()) and not isinstance(cause, _StoppedError)]
            if isinstance(error, _StoppedError) and causes:
                raise causes[0] from None
            raise
        finally:
            _stopping.clear()
