"""A host of the lab: a network namespace that lives as long as a process of its own, and on a node its processes and disk too."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from typing import IO, Any

from sandbox.errors import SandboxError
from sandbox.lab.tools import program

_NEWNET = 0x40000000  # CLONE_NEWNET of <sched.h>
#: <linux/netlink.h>, <linux/netfilter/nfnetlink.h>.
_NETFILTER, _CTNETLINK, _DELETE, _REQUEST, _ACK = 12, 1, 2, 1, 4
_PATIENCE = 10.0  # seconds for a host to start, and for a command
#: What a node has of its own, as copies on write.
_DISK = ("etc", "var/lib", "root")
#: The first process: it says its id, mounts what is the host's own, and lives until its stdin ends. The kernel removes its
#: children when they end (SIGCHLD is ignored), for they may have lost their parents.
_INIT = """
read -r pid rest </proc/self/stat
trap '' CHLD HUP INT TERM
set -e
{mounts}
echo "$pid"
exec >/dev/null
{life}
"""
_MOUNTS = """
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd
for part in {parts}; do
  mkdir -p "{disk}/$part" "{disk}/.work/$part"
  mount -t overlay overlay -o "lowerdir=/$part,upperdir={disk}/$part,workdir={disk}/.work/$part" "/$part"
done
mount --bind {systemctl} /usr/bin/systemctl
hostname {name}
"""


class Host:
    """A host: start commands in it, or be in it with this thread.

    Args:
        name: its name.
        addresses: its addresses, IPv4 first.
        disk: the folder of what it writes; None: a host without a disk and processes of its own, such as an outside host.
        last: a shell command for the end of its life.
    """

    def __init__(self, name: str, addresses: Sequence[str] = (), disk: Path | None = None, last: str = "") -> None:
        self.name, self.addresses, self.disk, self._last = name, tuple(addresses), disk, last
        self._listeners: list[subprocess.Popen[str]] = []
        self.restart()

    def restart(self) -> None:
        """Start the host's first process; after ``end`` once more, with the same disk and no network."""
        mounts = ""
        kinds = ["--net", "--pid", "--fork"]
        if self.disk is not None:
            kinds += ["--mount", "--uts"]
            systemctl = Path(__file__).with_name("systemctl")
            mounts = _MOUNTS.format(parts=" ".join(_DISK), disk=self.disk, name=self.name, systemctl=systemctl)
        life = f"while read -r _; do :; done\n{self._last}" if self._last else "exec cat"
        command = ["unshare", *kinds, "sh", "-c", _INIT.format(mounts=mounts, life=life)]
        # A session of its own: Ctrl-C in a terminal is for the process that made the lab.
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._process = subprocess.Popen(command, **pipes, text=True, start_new_session=True)
        self._pid = 0

    @property
    def pid(self) -> int:
        """The id, on this machine, of the host's first process."""
        if not self._pid:
            assert self._process.stdout is not None and self._process.stderr is not None
            line = self._process.stdout.readline()
            if not line:
                raise SandboxError(f"the lab's {self.name} does not start: {self._process.stderr.read().strip()}")
            self._pid = int(line)
        return self._pid

    @property
    def enter(self) -> list[str]:
        """What to put before a command, so that it runs in the host."""
        own = ["--mount", "--uts"] if self.disk is not None else []
        return ["nsenter", "--target", str(self.pid), "--net", "--pid", *own, "--"]

    def run(
        self,
        command: Sequence[str | Path],
        check: bool = True,
        input: str | None = None,
        timeout: float = _PATIENCE,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host, and what it printed.

        Raises:
            SandboxError: it failed, and ``check`` is said; with its stderr.
            TimeoutExpired: it took longer than ``timeout`` seconds.
        """
        whole = [*self.enter, *map(str, command)]
        # Without input its stdin is empty, and never a terminal.
        stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        done = subprocess.run(whole, capture_output=True, text=True, timeout=timeout, env=_env(env), check=False, **stdin)
        if check and done.returncode:
            raise SandboxError(f"{self.name}: {' '.join(map(str, command))}: {done.returncode}: {done.stderr.strip()}")
        return done

    def start(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None, **pipes: Any) -> subprocess.Popen[str]:
        """Start a command in the host; the caller ends it, at the latest the host's own end does."""
        whole = [*self.enter, *map(str, command)]
        return subprocess.Popen(whole, text=True, start_new_session=True, env=_env(env), **pipes)

    def nft(self, rules: str) -> None:
        """Load rules, all or none.

        Raises:
            SandboxError: nft refuses them; with its message.
        """
        self.run([program("nft"), "-f", "-"], input=rules, timeout=60)

    def ruleset(self) -> str:
        """The rules of the host as nft lists them; empty: none."""
        return self.run([program("nft"), "list", "ruleset"]).stdout

    def listen(self, tcp: Sequence[int] = (), udp: Sequence[int] = ()) -> None:
        """Answer connections and datagrams on ports, in both families, with the host's name; until the host ends."""
        ports = [*(f"tcp/{port}" for port in tcp), *(f"udp/{port}" for port in udp)]
        script = Path(__file__).with_name("listen.py")
        listener = self.start([sys.executable, script, self.name, *ports], stdout=subprocess.PIPE)
        assert listener.stdout is not None
        if listener.stdout.readline().strip() != "ready":
            raise SandboxError(f"{self.name} can't listen on {', '.join(ports)}")
        self._listeners.append(listener)

    def silence(self) -> None:
        """End all that ``listen`` started."""
        for listener in self._listeners:
            end(listener)
        self._listeners.clear()

    def forget(self) -> None:
        """Have the host's kernel forget every connection: a packet then begins one, whatever was sent before."""
        # nfnetlink_conntrack.h: CTNETLINK's message to delete, for all (IPCTNL_MSG_CT_DELETE without a tuple).
        message = struct.pack("=IHHIIBBH", 20, _CTNETLINK << 8 | _DELETE, _REQUEST | _ACK, 1, 0, 0, 0, 0)
        with self.inside(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as netlink:
            netlink.send(message)
            error = struct.unpack("=i", netlink.recv(4096)[16:20])[0]
        if error:
            raise OSError(-error, "the kernel does not forget its connections")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Have the sockets and children of this thread be the host's, as far as the network goes.

        Sockets that are made inside stay the host's afterwards.
        """
        with (
            open("/proc/thread-self/ns/net", encoding="ascii") as before,
            open(f"/proc/{self.pid}/ns/net", encoding="ascii") as own,
        ):
            _setns(own)
            try:
                yield
            finally:
                _setns(before)

    def end(self) -> None:
        """End the host: the kernel ends all that runs in it."""
        assert self._process.stdin is not None
        self.silence()
        self._process.stdin.close()
        self._process.wait(_PATIENCE)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def is_running(self) -> bool:
        """Whether the host's first process is there."""
        return self._process.poll() is None

    @property
    def ipv4(self) -> str:
        """Its first IPv4 address."""
        return next(address for address in self.addresses if ":" not in address)

    @property
    def ipv6(self) -> str:
        """Its first IPv6 address."""
        return next(address for address in self.addresses if ":" in address)


def _env(more: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if more is None else {**os.environ, **more}


def _setns(namespace: IO[str]) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def signal(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a command that ``Host.start`` started.

    nsenter hands none on; it returns what the command returns.
    """
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(FileNotFoundError, ProcessLookupError):
        for pid in children.read_text().split():
            os.kill(int(pid), number)


def end(process: subprocess.Popen[str]) -> None:
    """End a command that ``Host.start`` started."""
    signal(process, SIGKILL)
    process.wait(_PATIENCE)
    if process.stdout is not None:
        process.stdout.close()


def until(done: Callable[[], bool], patience: float = _PATIENCE, pause: float = 0.02) -> bool:
    """Whether something comes true in time."""
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
