"""The lab's own network, and how a host's network is set."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.lab.hosts import Host
from sandbox.lab.tools import program

#: The networks of the lan.
LAN = ("10.77.0.0/16", "fd77::/64")


def sysctl(host: Host, settings: Mapping[str, int]) -> None:
    """Set the host's own settings of /proc/sys/net, besides those that every host of the lab has."""
    # Addresses are there at once, and packets may come from anywhere.
    common = {f"ipv6/conf/{which}/accept_dad": 0 for which in ("all", "default")}
    common |= {f"ipv4/conf/{which}/rp_filter": 0 for which in ("all", "default")}
    with host.inside():
        for name, value in {**common, **settings}.items():
            Path("/proc/sys/net", name).write_text(str(value), encoding="ascii")


def ip(host: Host, lines: Iterable[str], command: str = "ip", check: bool = True) -> None:
    """Run commands of ``ip`` (or ``bridge``) in a host, at once."""
    # Not by Host.run: there a process has another id, by which devices are handed over.
    with host.inside():
        done = subprocess.run(
            [program(command), "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False
        )
    if check and done.returncode:
        raise SandboxError(f"{host.name}: {command}: {done.stderr.strip()}")
