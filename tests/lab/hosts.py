"""What the tests of ``kubeports host`` share: the lab's nodes, a stack for them, and the administrator's command."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubeports import check, nodes
from kubeports.host.ruleset import Ruleset, ruleset

from sandbox.lab import Host, Lab

#: A stack of the lab: its administrators, its clients, and everything else denied.
STACK: Mapping[str, Any] = {
    "cloud": "openstack",
    "cluster": "lab",
    "families": ["ipv4", "ipv6"],
    "roles": True,
    "calico": "vxlan",
    "sources": {"admins": ["10.20.0.0/16", "fd20::/64"], "clients": ["192.0.2.0/24", "2001:db8:1::/64"]},
}


def nodes_of(lab: Lab) -> nodes.Nodes:
    """The lab's nodes, as the product reads them."""
    return nodes.load(lab.nodes_file)


def rules_of(lab: Lab, name: str, raw: Mapping[str, Any] = STACK) -> Ruleset:
    """The rules of a node."""
    planned = check.check(None, raw)
    found = nodes_of(lab).combined(planned.settings)
    return ruleset(planned, found, found.by_name(name).roles, name)


def connects(host: Host, address: str, port: int, patience: float = 0.5) -> bool:
    """Whether a TCP connection is made, and answered."""
    try:
        with host.inside(), socket.create_connection((address, port), patience) as connection:
            connection.settimeout(patience)
            return bool(connection.recv(100))
    except OSError:
        return False


def stack_file(folder: Path, raw: Mapping[str, Any] = STACK) -> Path:
    """A stack file with these settings."""
    file = folder / "Pulumi.lab.yaml"
    file.write_text(json.dumps({"config": {f"kubeports:{key}": value for key, value in raw.items()}}))
    return file


def command(
    lab: Lab, file: Path, *words: str, where: Host | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """``kubeports host`` on the administrator's machine, or on another host."""
    whole = [sys.executable, "-m", "kubeports", "host", "--file", str(file), "--nodes", str(lab.nodes_file), *words]
    if {"--apply", "--counters", "--remove"} & set(words):
        whole += ["--ssh-config", str(lab.ssh_config)]
    return (where or lab.admin).run(whole, check=False, timeout=timeout)
