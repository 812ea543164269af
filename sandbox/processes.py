"""Processes that end with the process that started them."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from sandbox.errors import SandboxError

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: In the folder of a run: a file that is locked for as long as the run's first process lives.
_LOCK = "run.lock"


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however that ends (Linux; elsewhere nothing).

    Args:
        parent: the parent's process id: if it is another one by now, it ended before the call.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


def processes(folder: Path) -> list[int]:
    """The processes that run in a folder or below it (Linux; elsewhere none)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # The kernel marks a folder that is gone.
            where = Path(str((entry / "cwd").readlink()).removesuffix(" (deleted)"))
        except OSError:
            continue
        if where.is_relative_to(folder):
            found.append(int(entry.name))
    return found


def started_with(folder: Path) -> list[int]:
    """The processes that were started with a folder as their ``TMPDIR``, or by one that was (Linux; elsewhere none)."""
    wanted = f"TMPDIR={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # One that has ended, and waits for its parent to see it, has no environment.
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def interrupt_on_signals() -> None:
    """Have TERM and HUP interrupt this process as Ctrl-C does; once interrupted, it cleans up undisturbed.

    A signal that is ignored (``nohup``, a job in the background) stays so.
    """
    begun = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal begun
        # Not by print: a signal may come in the middle of one.
        os.write(sys.stderr.fileno(), b"\nstill cleaning up\n" if begun else b"\ninterrupted; cleaning up\n")
        if not begun:
            begun = True
            raise KeyboardInterrupt

    for sign in _INTERRUPTING:
        if signal.getsignal(sign) is not signal.SIG_IGN:
            signal.signal(sign, interrupt)


def confirms(question: str) -> bool:
    """Whether the user at the terminal answers yes."""
    try:
        return has_terminal() and input(question) == "yes"
    except EOFError:
        return False


def has_terminal() -> bool:
    """Whether there is a terminal to ask in; a closed stdin is none."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def swept(prefix: str) -> Iterator[Path]:
    """A temporary folder for all that this process and its children write; at the end it is gone, and so are the children.

    Other users may reach what is in it, if they know its name: PostgreSQL, for one, does not run as root. A run that was killed
    could not clean up: the next one with this prefix removes what it left.

    Raises:
        SandboxError: a process can't be ended.
    """
    _sweep_killed_runs(prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    lock = _locked(folder)
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        # A signal waits until this is done.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTING)
        try:
            tempfile.tempdir = before[1]
            os.environ.pop("TMPDIR")
            if before[0] is not None:
                os.environ["TMPDIR"] = before[0]
            _sweep(folder)
        finally:
            os.close(lock)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _locked(folder: Path) -> int:
    """Lock a run's folder; the file descriptor that holds the lock. No other process ever sees the file unlocked."""
    part = folder / f"{_LOCK}.part"
    lock = os.open(part, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    part.rename(folder / _LOCK)
    return lock


def _sweep_killed_runs(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # Another run may do the same at the same moment, and another user's is not ours.
        with suppress(OSError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _sweep(folder)
            finally:
                os.close(lock)


def _sweep(folder: Path, patience: float = 10.0) -> None:
    until = time.monotonic() + patience
    while left := {*processes(folder), *started_with(folder)} - {os.getpid()}:
        if time.monotonic() > until:
            raise SandboxError(f"processes left: {', '.join(map(str, left))}")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder)


def end(groups: Iterable[int], patience: float = 5.0) -> None:
    """End process groups: TERM, and KILL for what is left after ``patience`` seconds."""
    left = set(groups)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for group in left:
            _signal(group, sign)
        until = time.monotonic() + patience
        while left and time.monotonic() < until:
            left = {group for group in left if not _reaped(group) and _signal(group, 0)}
            time.sleep(0.05)


def _signal(group: int, sign: int) -> bool:
    try:
        os.killpg(group, sign)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reaped(pid: int) -> bool:
    """Take the exit code of a child that has ended: until then it counts as a process."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False
