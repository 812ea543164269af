"""How a command of the sandbox ends: one line says what is wrong, without a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from errno import EBADF, EIO, ENOSPC, EPIPE
from typing import NoReturn

from sandbox.errors import SandboxError
from sandbox.processes import interrupt_on_signals

_UNWRITABLE = {ENOSPC: 2, EBADF: 2, EIO: 2, EPIPE: 141}  # what an output fails with -> the exit code; 141: as for SIGPIPE


def run(main: Callable[[], int | None], interrupted: str = "") -> NoReturn:
    """Run a command and end this process: 2 for what a user can fix, 130 for Ctrl-C.

    Args:
        main: the command; its exit code, None: 0.
        interrupted: what to say when it was interrupted and has cleaned up.
    """
    interrupt_on_signals()
    try:
        code = main()
        sys.stdout.flush()
        sys.exit(code)
    except SandboxError as error:
        _say(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        if interrupted:
            _say(interrupted)
        sys.exit(130)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        if error.errno != EPIPE:
            what = f"the output, or a file, can't be written ({error.strerror})"
            _say(f"error: {what}. Fix: make room, or send the output to another place")
        os._exit(_UNWRITABLE[error.errno])  # what is left of the output would fail once more at the end


def _say(text: str) -> None:
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
