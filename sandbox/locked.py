"""Run a command while nobody else does: ``python3.11 sandbox/locked.py LOCK COMMAND...``.

The standard library alone, for it makes the environment; flock(1) is not on macOS.
"""

from __future__ import annotations

import fcntl
import os
import sys


def main(lock: str, *command: str) -> None:
    """Wait for the lock, and become the command; the lock is free when it ends, however it ends."""
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(held, True)
    fcntl.flock(held, fcntl.LOCK_EX)
    os.execvp(command[0], command)  # noqa: S606 - the command is its own shell


if __name__ == "__main__":
    main(*sys.argv[1:])
