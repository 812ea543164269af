"""What the lab needs of this machine, and how Debian's packages provide it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from sandbox import debian
from sandbox.errors import SandboxError

#: Program -> the names that it goes by, and Debian's packages that have it.
PROGRAMS: Mapping[str, debian.Program] = {
    "ip": debian.Program(("ip",), ("iproute2",)),
    "nft": debian.Program(("nft",), ("nftables",)),
    "ssh": debian.Program(("ssh",), ("openssh-client",)),
    "sshd": debian.Program(("sshd",), ("openssh-server",)),
    "systemctl": debian.Program(("systemctl",), ("systemd",)),
    "unshare": debian.Program(("unshare",), ("util-linux",)),
}


def why_not() -> str:
    """Why there can be no lab here, with the command that helps; empty: there can."""
    if sys.platform != "linux":
        return "the lab: this is not Linux, and its nodes are network namespaces. Fix: run it in a virtual machine with Linux"
    if os.geteuid() != 0:
        return "the lab: needs root, for its nodes are network namespaces. Fix: sudo make lab"
    missing = debian.missing(PROGRAMS)
    return f"the lab: not on PATH: {', '.join(missing)}. Fix: {debian.command(PROGRAMS)}" if missing else ""


def install() -> None:
    """Install what is missing, on Debian as root.

    Raises:
        SandboxError: it can't be; with the command that a user would run.
    """
    if reason := why_not():
        if sys.platform != "linux" or os.geteuid() != 0:
            raise SandboxError(reason)
        debian.install(PROGRAMS)


def program(name: str) -> str:
    """The path of a program: sshd wants to be started by its whole path."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise SandboxError(why_not())
    return found
