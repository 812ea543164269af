"""The agents on the hosts, over the system's own ssh: start, ask, end. JSON, a message a line."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any

from kubeports.errors import printable
from kubeports.probe.hosts import HERE, Host

#: How ssh is called; ``{host}`` stands for the destination, which else comes last before the command.
SSH = "ssh -T -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
#: Seconds until a host must have answered its first message.
START = 60.0
#: Seconds without a message after which an agent ends, and the longest that one lives.
SILENCE, LIFE = 60, 4 * 3600
_BEAT = 10.0
_LINE = 1 << 26  # the longest message
_STARTED_AT_ONCE = 8  # a jump host's sshd has MaxStartups 10:30:100
_TAIL = 5  # lines of ssh's stderr that a message shows


#: The agent's modules, in the order in which they import each other; and what makes them of their texts on a node.
MODULES = ("packets", "kernel", "owners", "ask", "node")
_FOLDER = "kubeports.probe.agent"
_MAIN = """\
import sys, types
for name, text in {texts!r}:
    sys.modules[name] = module = types.ModuleType(name)
    exec(compile(text, name, "exec"), vars(module))
module.main()
"""


_NO_PYTHON = "python3 is not installed there: install Python 3.6 or later"


class LostError(Exception):
    """A host that does not answer, or no more; the text says why."""


class Agent:
    """The agent on one host.

    Args:
        host: where.
        ssh: how ssh is called.
        sudo: have it be root where that needs no password.
    """

    def __init__(self, host: Host, ssh: str, sudo: bool) -> None:
        self.host, self._ssh, self._sudo = host, ssh, sudo
        self.process: asyncio.subprocess.Process | None = None
        self.lost: str | None = None
        self.stderr: deque[str] = deque(maxlen=_TAIL)
        self.waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the agent, and wait until it runs.

        Raises:
            LostError: it does not.
        """
        text = source()
        pipe = asyncio.subprocess.PIPE
        try:
            # A session of its own: Ctrl-C is for this process, which ends the agents.
            self.process = await asyncio.create_subprocess_exec(
                *command(self.host, self._ssh, len(text), self._sudo),
                stdin=pipe, stdout=pipe, stderr=pipe, limit=_LINE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self.lost = f"{error.filename or 'ssh'} can't be started ({error.strerror})"
            raise LostError(self.lost) from None
        ready = self.expect("ready")
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._complaints())]
        self._write(text)
        await self.answer(ready, START)
        self._tasks.append(asyncio.create_task(self._beat()))

    def expect(self, name: str) -> asyncio.Future[dict[str, Any]]:
        """The message to come that has a key; to be called before what makes it come."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self.lost is not None:
            future.set_exception(LostError(self.lost))
            future.exception()
        else:
            self.waiting[name] = future
        return future

    async def answer(self, future: asyncio.Future[dict[str, Any]], seconds: float) -> dict[str, Any]:
        """A message that is expected.

        Raises:
            LostError: the host is gone, or took longer.
        """
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            self._gone(f"no answer in {seconds:.0f} seconds")
            raise LostError(str(self.lost)) from None

    async def call(self, do: str, name: str, seconds: float = START, **content: Any) -> dict[str, Any]:
        """Send a message, and wait for the answer that has a key."""
        future = self.expect(name)
        self.send(do, **content)
        return await self.answer(future, seconds)

    def send(self, do: str, **content: Any) -> None:
        """Send a message."""
        self._write(json.dumps({"do": do, **content}, separators=(",", ":")).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        if self.lost is None and self.process is not None and self.process.stdin is not None:
            with suppress(ConnectionError, RuntimeError):
                self.process.stdin.write(data)

    async def _read(self) -> None:
        assert self.process is not None and self.process.stdout is not None  # noqa: S101
        while line := await self.process.stdout.readline():
            try:
                message = json.loads(line)
            except ValueError:
                continue  # what a login script prints
            if not isinstance(message, dict):
                continue
            for key in message:
                name = f"{key} {message[key]}" if key in ("sent", "did") else key
                future = self.waiting.pop(name, None)
                if future is not None and not future.done():
                    future.set_result(message)
        code = await self.process.wait()
        await asyncio.sleep(0.05)  # for the rest of stderr
        self._gone(" ".join(self.stderr) or f"the connection ended ({code})")

    async def _complaints(self) -> None:
        assert self.process is not None and self.process.stderr is not None  # noqa: S101
        while line := await self.process.stderr.readline():
            text = printable(line.decode(errors="replace").strip())
            if text and not text.startswith("Warning: Permanently added"):
                self.stderr.append(text)

    async def _beat(self) -> None:
        while self.lost is None:
            await asyncio.sleep(_BEAT)
            self.send("ping")

    def _gone(self, why: str) -> None:
        if self.lost is None:
            self.lost = why
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(LostError(self.lost))
                future.exception()  # it may be that no caller waits
        self.waiting.clear()

    async def end(self) -> None:
        """End the agent: its stdin ends, and with it the agent; ssh too, where that does not help."""
        self._gone("ended")
        if self.process is None:
            return
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), 3.0)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@cache
def source() -> bytes:
    """The agent as one text: nothing is written to a node, and its modules are made in memory."""
    folder = files(_FOLDER)
    texts = [(f"{_FOLDER}.{name}", (folder / f"{name}.py").read_text(encoding="utf-8")) for name in MODULES]
    return _MAIN.format(texts=texts).encode()


def command(host: Host, ssh: str, length: int, sudo: bool) -> list[str]:
    """The command that starts an agent, which reads its own text, so many bytes, from stdin."""
    # Without what a host's site-packages have: nothing of it is needed, and it takes time.
    python = f'-I -S -c \'import sys;exec(compile(sys.stdin.buffer.read({length}),"kubeports-agent","exec"))\''
    if host.ssh == HERE:
        return [sys.executable, *shlex.split(python)]
    run = f"exec python3 {python}"
    run = f"command -v python3 >/dev/null || {{ echo '{_NO_PYTHON}' >&2; exit 127; }}; {run}"
    if sudo:
        run = f'if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then exec sudo -n python3 {python}; else {run}; fi'
    run = f"exec sh -c {shlex.quote(run)}"  # a login shell may be another one, such as fish
    words = shlex.split(ssh)
    if any("{host}" in word for word in words):
        return [*(word.replace("{host}", host.ssh) for word in words), run]
    port = [] if host.port is None else ["-p", str(host.port)]
    return [*words, *port, host.ssh, run]


async def start(agents: Sequence[Agent]) -> None:
    """Start all agents, some at a time; one that does not start is ``lost``."""
    at_once = asyncio.Semaphore(_STARTED_AT_ONCE)

    async def one(agent: Agent) -> None:
        async with at_once:
            with suppress(LostError):
                await agent.start()

    await asyncio.gather(*map(one, agents))


async def end(agents: Sequence[Agent]) -> None:
    """End all agents."""
    await asyncio.gather(*(agent.end() for agent in agents))
