"""Processes that end with whoever started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


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
