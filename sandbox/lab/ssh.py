"""Real ssh: a key, a host key, an sshd on a node, and the configuration for clients."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.lab.hosts import Host, until
from sandbox.lab.tools import program

_SERVER = """\
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
UseDNS no
PidFile none
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
MaxSessions 200
Subsystem sftp internal-sftp
"""
_CLIENT = """\
Host *
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 5
"""


def write(folder: Path, nodes: Mapping[str, str], keys: bool) -> None:
    """Write the configurations, and with ``keys`` make the keys; node -> its address."""
    (folder / "sshd_config").write_text(_SERVER.format(folder=folder), encoding="ascii")
    hosts = "".join(f"Host {name}\n  HostName {address}\n  HostKeyAlias lab\n" for name, address in nodes.items())
    (folder / "ssh_config").write_text(hosts + _CLIENT.format(folder=folder), encoding="ascii")
    if keys:
        for name in ("key", "host_key"):
            command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        kind, key = (folder / "host_key.pub").read_text(encoding="ascii").split()[:2]
        # By the nodes' names in the configuration, and by their addresses.
        known = ["lab", *nodes.values()]
        (folder / "known_hosts").write_text(f"{','.join(known)} {kind} {key}\n", encoding="ascii")


def serve(folder: Path, host: Host) -> None:
    """Start an sshd on a node, and wait until it answers; it ends with the node.

    Raises:
        SandboxError: it does not start; with its log.
    """
    log = folder / f"sshd-{host.name}.log"
    with log.open("w", encoding="utf-8") as output:
        command = [program("sshd"), "-D", "-e", "-f", str(folder / "sshd_config")]
        server = host.start(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    if not until(lambda: server.poll() is not None or _answers(host)) or server.poll() is not None:
        raise SandboxError(f"the sshd of {host.name} does not start: {log.read_text(encoding='utf-8')}")


def _answers(host: Host) -> bool:
    with host.inside(), socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", 22)) == 0
