"""Commands on nodes, by the system's own ``ssh``: ~/.ssh/config, jump hosts and agents work as ever. Nothing is installed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubeports.errors import bad
from kubeports.files import content
from kubeports.nodes import Node

#: What ssh itself answers with when there is no connection.
_NO_CONNECTION = 255
_CONNECT = 10  # seconds for a connection
_LONGEST = 300  # characters of a message that ours repeats


class UnreachableError(Exception):
    """A node can't be reached, or does not answer in time: what ssh says of it."""


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """The last message of a command, in a line."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return (lines[-1] if lines else f"exit code {done.returncode}")[:_LONGEST]


@dataclass(frozen=True, slots=True)
class Ssh:
    """How nodes are reached.

    Args:
        config: a configuration file instead of ~/.ssh/config.
        connect: seconds for a connection.

    Raises:
        InputError: the configuration can't be read: ssh itself would fail on every node.
    """

    config: Path | None = None
    connect: int = _CONNECT

    def __post_init__(self) -> None:
        if self.config is not None:
            content(self.config, str(self.config), "name a configuration of ssh")

    def run(
        self, node: Node, command: Sequence[str], input: str = "", timeout: float = 60, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a node.

        Args:
            node: where.
            command: the words of the command; none of them is read by a shell.
            input: its stdin.
            timeout: seconds for all of it.
            fresh: over a connection of its own, and not over one that is there already (ControlMaster).

        Raises:
            UnreachableError: there is no connection, or no answer in time.
            InputError: there is no ssh.
        """
        whole = [*self.words(node, fresh), shlex.join(command)]
        try:
            done = subprocess.run(whole, input=input, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"no answer within {timeout:.0f} seconds") from None
        if done.returncode == _NO_CONNECTION or done.returncode < 0:
            raise UnreachableError(reason(done) if done.stderr.strip() else "the connection ended")
        return done

    def words(self, node: Node, fresh: bool = False) -> list[str]:
        """The words of ssh for a node; the command is to follow.

        Raises:
            InputError: there is no ssh.
        """
        if shutil.which("ssh") is None:
            raise bad("ssh", "is not on PATH", "install OpenSSH's client")
        options = ["-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={self.connect}"]
        if self.config is not None:
            options += ["-F", str(self.config)]
        if fresh:
            options += ["-o", "ControlMaster=no", "-o", "ControlPath=none"]
        if node.port is not None:
            options += ["-p", str(node.port)]
        return ["ssh", *options, "--", node.ssh]
