"""The lab: its hosts, wired and addressed, with ssh."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from sandbox.errors import SandboxError
from sandbox.lab import pods as pod_network
from sandbox.lab import ssh as keys
from sandbox.lab.hosts import Host, end
from sandbox.lab.network import ip, sysctl
from sandbox.lab.packets import Wire
from sandbox.lab.tools import why_not

#: The lan's gateways; a node's addresses are FIRST and on.
GATEWAYS = ("10.77.0.1", "fd77::1")
FIRST = 11
#: The router as outside hosts see it.
_WAN = ("169.254.1.1", "fe80::1")
#: The outside hosts that a lab has unless it says others.
OUTSIDE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "admin": ("10.20.0.5", "fd20::5"),
        "client": ("192.0.2.10", "2001:db8:1::10"),
        "stranger": ("203.0.113.7", "2001:db9::7"),
    }
)


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is wanted: its name, and its roles (``control-plane``, ``etcd``, ``worker``, ``registry``)."""

    name: str
    roles: tuple[str, ...] = ()


#: What a lab has unless it says others: three control planes with etcd, and two workers, the last of which is a registry too.
NODES = (
    *(Node(f"node-{number}", ("control-plane", "etcd")) for number in (1, 2, 3)),
    Node("node-4", ("worker",)),
    Node("node-5", ("worker", "registry")),
)


class Lab:
    """Nodes, outside hosts and the network between them; a context manager.

    Args:
        nodes: names and roles.
        outside: name -> addresses of the hosts beyond the router.
        pods: a pod on every node, and a network for pods between the nodes.
        ssh: an sshd on every node.

    Raises:
        SandboxError: there can be no lab here; with what is missing.
    """

    def __init__(
        self,
        nodes: Sequence[Node] = NODES,
        outside: Mapping[str, Sequence[str]] = OUTSIDE,
        pods: bool = False,
        ssh: bool = True,
    ) -> None:
        self.specs = {node.name: node for node in nodes}
        self._outside, self._pods, self._ssh = outside, pods, ssh
        self.hosts: dict[str, Host] = {}
        self.pods: dict[str, Host] = {}
        self._late: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        if reason := why_not():
            raise SandboxError(reason)
        self.folder = Path(tempfile.mkdtemp(prefix="kubeports-lab-"))
        with ExitStack() as stack:
            # The switch's process ends last, and takes the folder away: also if this process is killed.
            self.switch = Host("switch", last=f"until rm -rf '{self.folder}'; do sleep 0.1; done")
            stack.callback(self.switch.end)
            self._make(stack)
            self._ended = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.close()

    def _make(self, stack: ExitStack) -> None:
        def add(host: Host) -> Host:
            stack.callback(host.end)
            return host

        for number, name in enumerate(self.specs):
            own = (f"10.77.0.{FIRST + number}", f"fd77::{FIRST + number:d}")
            self.hosts[name] = add(Host(name, own, self.folder / name))
        for name, addresses in self._outside.items():
            self.hosts[name] = add(Host(name, addresses))
        if self._pods:
            self.pods = {name: add(Host(f"pod of {name}", pod_network.addresses(i))) for i, name in enumerate(self.specs)}
        self._switch()
        for name, host in self.hosts.items():
            self.plug(name)
            if name in self._outside:
                self._leave(host)
        if self._pods:
            pod_network.wire([self.hosts[name] for name in self.specs], list(self.pods.values()))
        keys.write(self.folder, {name: self.hosts[name].addresses[0] for name in self.specs}, self._ssh)
        if self._ssh:
            for name in self.specs:
                keys.serve(self.folder, self.hosts[name])

    def _switch(self) -> None:
        sysctl(self.switch, {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1})
        lines = ["link set lo up"]
        for bridge, mac, addresses in (
            # A bridge without a hardware address of its own takes another one when its ports change.
            ("lan", "02:77:00:00:01:01", (f"{GATEWAYS[0]}/16", f"{GATEWAYS[1]}/64")),
            ("wan", "02:77:00:00:01:02", (f"{_WAN[0]}/32", f"{_WAN[1]}/64")),
        ):
            lines.append(f"link add name {bridge} address {mac} type bridge mcast_snooping 0")
            lines += [f"address add {address} dev {bridge}" for address in addresses]
            lines.append(f"link set {bridge} up")
        ip(self.switch, lines)

    def plug(self, name: str) -> None:
        """Give a host its network: an interface ``eth0`` with its addresses, at the switch's port of its name."""
        host = self.hosts[name]
        bridge = "wan" if name in self._outside else "lan"
        sysctl(host, {})
        ip(
            self.switch,
            [
                f"link add name {self.port(name)} type veth peer name eth0 address {self.mac(name)} netns {host.pid}",
                f"link set {self.port(name)} master {bridge} up",
            ],
        )
        lines = ["link set lo up", "link set eth0 up"]
        lengths = ("/32", "/128") if bridge == "wan" else ("/16", "/64")
        gateways = _WAN if bridge == "wan" else GATEWAYS
        for address in host.addresses:
            is_ipv6 = ":" in address
            lines.append(f"address add {address}{lengths[is_ipv6]} dev eth0")
        for is_ipv6 in dict.fromkeys(":" in address for address in host.addresses):
            lines.append(f"route add default via {gateways[is_ipv6]} dev eth0 onlink")
        ip(host, lines)

    def delay(self, name: str, seconds: float) -> None:
        """Have every frame to and from a host be late, so many seconds each way; 0: no more."""
        late = self._late.pop(name, None)
        port, bridge = self.port(name), "wan" if name in self._outside else "lan"
        if late is not None:
            end(late)
            ip(self.switch, [f"link delete {port}d", f"link set {port} master {bridge}"])
        if seconds:
            ip(
                self.switch,
                [
                    f"link set {port} nomaster",
                    f"link add name {port}d type veth peer name {port}e",
                    f"link set {port}d up",
                    f"link set {port}e master {bridge} up",
                ],
            )
            script = Path(__file__).with_name("delay.py")
            carrier = self.switch.start([sys.executable, script, port, f"{port}d", str(seconds)], stdout=subprocess.PIPE)
            assert carrier.stdout is not None
            if carrier.stdout.readline().strip() != "ready":
                raise SandboxError(f"the frames of {name} can't be carried late")
            self._late[name] = carrier

    def introduce(self) -> None:
        """Have the nodes know each other's hardware addresses for good.

        All namespaces of a machine share the room for neighbours that are learnt (gc_thresh3 of the kernel's neighbour table:
        1,024), which 33 nodes fill; from then on packets are lost. Nodes of their own have a table each.
        """
        known = [(address, self.mac(name)) for name, host in self.nodes.items() for address in host.addresses]
        for name, host in self.nodes.items():
            others = [each for each in known if each[1] != self.mac(name)]
            ip(host, [f"neigh replace {address} lladdr {mac} dev eth0 nud permanent" for address, mac in others])

    def clear(self) -> None:
        """Have the lab be as it was made, but for its disks: no rules, no listeners, nothing late, no memory of connections.

        A protocol without ports is known to the kernel by its addresses alone: for ten minutes after a packet, the answer passes
        whatever rules are loaded.
        """
        for name in list(self._late):
            self.delay(name, 0)
        for host in (*self.hosts.values(), *self.pods.values()):
            host.silence()
            ip(host, ["tcp_metrics flush all", "route flush cache"])
        for host in self.nodes.values():
            host.nft("flush ruleset")
        self.forget()

    def forget(self) -> None:
        """Have the nodes forget every connection."""
        for host in self.nodes.values():
            host.forget()

    def _leave(self, host: Host) -> None:
        """Have the router know an outside host."""
        ip(self.switch, [f"route replace {address} dev wan" for address in host.addresses])

    def reboot(self, name: str) -> None:
        """End a node as when its power goes, and start it again with the services that are enabled.

        Its disk stays, its rules and processes do not. What is enabled starts before the node has a network.
        """
        if self._pods:
            raise SandboxError("a node with pods can't be rebooted: its pod would lose its interface")
        host = self.hosts[name]
        host.end()
        # The kernel takes a namespace's devices away in its own time.
        ip(self.switch, [f"link delete {self.port(name)}"], check=False)
        host.restart()
        host.run(["systemctl", "boot"])
        self.plug(name)
        if self._ssh:
            keys.serve(self.folder, host)

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def nodes(self) -> dict[str, Host]:
        """The nodes by name."""
        return {name: self.hosts[name] for name in self.specs}

    @property
    def admin(self) -> Host:
        """The outside host of an administrator."""
        return self.hosts["admin"]

    @property
    def client(self) -> Host:
        """The outside host of a client."""
        return self.hosts["client"]

    @property
    def stranger(self) -> Host:
        """An outside host that no row allows."""
        return self.hosts["stranger"]

    @property
    def ssh_config(self) -> Path:
        """The configuration for ssh clients on the lab's hosts: ``ssh -F FILE node-1``."""
        return self.folder / "ssh_config"

    @property
    def nodes_file(self) -> Path:
        """The nodes with roles and addresses, as a file (YAML, JSON)."""
        file = self.folder / "nodes.yaml"
        if not file.exists():
            listed = [
                {"name": name, "roles": list(self.specs[name].roles), "addresses": list(host.addresses)}
                for name, host in self.nodes.items()
            ]
            file.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
        return file

    def port(self, name: str) -> str:
        """The switch's device for a host: its name may have 15 characters."""
        return f"p{list(self.hosts).index(name)}"

    def mac(self, name: str) -> str:
        """The hardware address of a host."""
        return f"02:77:00:00:00:{list(self.hosts).index(name) + 1:02x}"

    def wire(self, name: str) -> Wire:
        """What sends packets with any source to a node, and sees what the node sends."""
        return Wire(self.switch, self.port(name), self.hosts[name], self.mac(name))
