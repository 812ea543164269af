"""Processes for the engine's operations, forked from one that has imported Pulumi, its SDKs and this package.

An operation needs a process of its own, for Pulumi's SDK keeps state in its process; what it imports costs a second of CPU.
The process that is forked has a single thread and makes no calls, so that each fork starts as a fresh Python would.

    python -m sandbox.forked CONTROL

CONTROL is a socket: each message on it has two file descriptors, the operation's output and a socket for its request.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.processes import die_with_parent

_ROOT = Path(__file__).parent.parent
#: What the programs here import; a package that is not installed is one that no program imports.
_MODULES = (
    "sandbox.inline",
    "kubeports.firewall",
    "kubeports.clouds",
    "pulumi_aws.ec2",
    "pulumi_aws.vpc",
    "pulumi_gcp.compute",
    "pulumi_openstack.networking",
)
_DESCRIPTORS = 2


class Child:
    """A process of one operation, in a session of its own.

    Args:
        arguments: of ``sandbox.inline.main``.
        cwd: its folder.
        env: its whole environment.
        output: a file descriptor, for what it and its children print.

    Raises:
        SandboxError: it can't be started.
    """

    def __init__(self, arguments: Sequence[Any], cwd: Path, env: Mapping[str, str], output: int) -> None:
        mine, its = socket.socketpair()
        with its:
            _parent.send(output, its.fileno())
        self._status = mine
        # It waits for its request: one that was never sent, because of Ctrl-C, say, ends it.
        self.pid = int(mine.recv(16) or 0)
        if not self.pid:
            raise SandboxError("the process that runs the engine's operations has ended; its last words are above")
        mine.sendall(json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode())
        mine.shutdown(socket.SHUT_WR)

    def running(self) -> bool:
        """Whether it has not ended yet."""
        try:
            return self._status.recv(1, socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True

    def wait(self) -> None:
        """Wait until it has ended."""
        self._status.recv(1)

    def close(self) -> None:
        """Forget it."""
        self._status.close()


class _Parent:
    """The process that is forked: started when it is first needed, it ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def send(self, *descriptors: int) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            assert self._control is not None
            socket.send_fds(self._control, [b"fork"], descriptors)

    def end(self) -> None:
        """End it, if it runs."""
        with self._lock:
            if self._process is not None and self._control is not None:
                self._control.close()
                self._process.wait()
                self._process = None

    def _start(self) -> None:
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(its.fileno())],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )


_parent = _Parent()


def end() -> None:
    """End the process that is forked, and wait for it; the next operation starts another."""
    _parent.end()


# Else Python says at its end that a subprocess still runs.
atexit.register(end)


def serve(control: socket.socket) -> None:
    """Fork a process for each message, until the other end is gone."""
    for module in _MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            # Pulumi's SDKs import a module when one of its names is first asked for.
            hasattr(importlib.import_module(module), "__all__")
    gc.freeze()  # so that a collection in a child copies no pages
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 16, _DESCRIPTORS)
        if not message:
            return
        me = os.getpid()
        if os.fork() == 0:
            control.close()
            os._exit(_child(me, *descriptors))
        for descriptor in descriptors:
            os.close(descriptor)


def _reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _child(parent: int, output: int, status: int) -> int:
    """What a forked process does; its exit code."""
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with_parent(parent)
        for standard in (1, 2):
            os.dup2(output, standard)
        os.close(output)
        # Open for as long as the process runs: that is how its end is seen.
        connection = socket.socket(fileno=status)
        connection.sendall(str(os.getpid()).encode())
        content = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        if not content:
            return 1
        request = json.loads(content)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        tempfile.tempdir = None
        from sandbox import inline

        operation, stack, result, options = request["arguments"]
        return inline.main(operation, stack, Path(result), options)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
