"""Pods as Calico has them: behind an interface ``cali…`` of their node, and a VXLAN device between the nodes."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.lab.hosts import Host
from sandbox.lab.network import ip, sysctl

#: The pods' networks, a part of each for every node.
NETWORKS = ("10.233.0.0/16", "fd33::/32")
_GATEWAY = ("169.254.1.1", "fe80::1")
_VXLAN = "vxlan.calico"


def addresses(number: int) -> tuple[str, str]:
    """The addresses of the pod on a node, by the node's number from 0."""
    return f"10.233.{number}.2", f"fd33:{number:x}::2"


def interface(number: int) -> str:
    """The node's interface to its pod."""
    return f"cali{number:011d}"


def wire(nodes: Sequence[Host], pods: Sequence[Host]) -> None:
    """Connect each pod with its node, and the nodes with each other's pods."""
    for number, (node, pod) in enumerate(zip(nodes, pods, strict=True)):
        sysctl(node, {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1})
        sysctl(pod, {})
        ip(node, _node(number, node, pod, len(nodes)))
        fdb = [f"fdb append {_mac(i)} dev {_VXLAN} dst {other.ipv4}" for i, other in enumerate(nodes) if other is not node]
        ip(node, fdb, "bridge")
        own = [f"address add {address} dev eth0" for address in pod.addresses]
        routes = [f"route add default via {_GATEWAY[0]} dev eth0 onlink", f"route add default via {_GATEWAY[1]} dev eth0 onlink"]
        ip(pod, ["link set lo up", "link set eth0 up", *own, *routes])


def _node(number: int, node: Host, pod: Host, nodes: int) -> list[str]:
    own = interface(number)
    lines = [
        f"link add name {own} type veth peer name eth0 netns {pod.pid}",
        f"address add {_GATEWAY[0]}/32 dev {own}",
        f"address add {_GATEWAY[1]}/64 dev {own}",
        f"link set {own} up",
        *(f"route add {address} dev {own}" for address in pod.addresses),
        f"link add name {_VXLAN} address {_mac(number)} type vxlan id 4096 dstport 4789 local {node.ipv4} dev eth0 nolearning",
        f"address add 10.233.{number}.1/32 dev {_VXLAN}",
        f"address add fd33:{number:x}::1/128 dev {_VXLAN}",
        f"link set {_VXLAN} mtu 1450 up",
    ]
    for other in range(nodes):
        if other != number:
            for gateway, network in (
                (f"10.233.{other}.1", f"10.233.{other}.0/24"),
                (f"fd33:{other:x}::1", f"fd33:{other:x}::/64"),
            ):
                lines.append(f"neighbour add {gateway} lladdr {_mac(other)} dev {_VXLAN} nud permanent")
                lines.append(f"route add {network} via {gateway} dev {_VXLAN} onlink")
    return lines


def _mac(number: int) -> str:
    return f"66:77:00:00:00:{number + 1:02x}"
