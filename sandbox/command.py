"""How a command of the sandbox ends: one line says what is wrong, without a traceback. The standard library alone."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from errno import EBADF, EIO, ENOSPC, EPIPE
from pathlib import Path
from typing import NoReturn, TextIO

from sandbox.errors import SandboxError
from sandbox.processes import interrupt_on_signals

_BAD_INPUT, _INTERRUPTED, _BROKEN_PIPE = 2, 128 + 2, 128 + 13  # the latter two as the shell says it of SIGINT and SIGPIPE


def run(main: Callable[..., int | None], takes: str | None = "", interrupted: str = "") -> NoReturn:
    """Run a command and end this process: 2 for what a user can fix, 130 for Ctrl-C, 141 where the output's reader has stopped.

    Args:
        main: the command; its exit code, None: 0.
        takes: the names of the arguments that it gets from the command line, as in ``TAG`` and ``[PORT]``; None: it reads them.
        interrupted: what to say when it was interrupted and has cleaned up.
    """
    if sys.stderr is None:  # closed: what is printed there would go to stdout
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")
    if sys.stdout is None:
        _say("error: the output is closed. Fix: send it to a file, or to /dev/null")
        sys.exit(_BAD_INPUT)
    interrupt_on_signals()
    try:
        code = main(*_arguments(takes)) or 0
        sys.stdout.flush()
    except SandboxError as error:
        _say(f"error: {error}")
        code = _BAD_INPUT
    except KeyboardInterrupt:
        if interrupted:
            _say(interrupted)
        code = _INTERRUPTED
    except OSError as error:
        if error.errno != ENOSPC and not (error.errno in (EBADF, EIO, EPIPE) and any(map(_fails, (sys.stdout, sys.stderr)))):
            raise
        code = _BROKEN_PIPE if error.errno == EPIPE else _BAD_INPUT
        if code == _BAD_INPUT:
            what = f"the output, or a file, can't be written ({error.strerror})"
            _say(f"error: {what}. Fix: make room, or send the output to another place")
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(code)  # Python's own end would fail once more, with a code of its own
    sys.exit(code)


def _arguments(takes: str | None) -> list[str]:
    if takes is None:
        return []
    names, given = takes.split(), sys.argv[1:]
    if not sum(name[0] != "[" for name in names) <= len(given) <= len(names):
        raise SandboxError(f"{len(given)} arguments are given. Fix: give {takes or 'none'}")
    return given


def _fails(stream: TextIO) -> bool:
    """Whether an output can't be written: not what is left of it, not even nothing, or its other end is gone."""
    try:
        stream.flush()
        os.write(stream.fileno(), b"")
    except OSError:
        return True
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return bool(poll.poll(0))


def _say(text: str) -> None:
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
