"""The requirement, read literally: the published file, and beside it who needs each row and on which nodes.

Knows plain settings alone: no changed services, no rows of a stack's own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from ipaddress import ip_network as _network
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).parents[2] / "sandbox" / "requirement.csv"
PROTOCOLS = {"TCP": 6, "UDP": 17}
ip_network = cache(_network)

#: Who connects, and to which nodes: the design's reading of each row.
WHO = {
    "ssh": ("admins",),
    "etcd": ("control-plane", "etcd"),
    "apiserver": ("cluster", "admins", "balancers"),
    "bgp": ("cluster", "peers"),
    "nodeport": ("cluster", "clients", "balancers"),
}
WHERE = {
    "etcd": "etcd",
    "apiserver": "control-plane",
    "nodeport": "worker",
    "local-registry": "registry",
    "local-apt": "registry",
}


@dataclass(frozen=True)
class Packet:
    """A packet at a node: ``groups`` are those that the peer carries, and the references that cover it (``@name``)."""

    protocol: int
    port: int | None
    peer: IPv4Address | IPv6Address
    groups: frozenset[str]
    target: str
    ingress: bool = True


@cache
def needs() -> tuple[tuple[str, int, int | None, int | None], ...]:
    """The rows."""
    return tuple(_needs())


def _needs() -> Iterable[tuple[str, int, int | None, int | None]]:
    """Service, protocol number, first and last port; and Calico's VXLAN, the one extra that a setting of its own opens."""
    with open(PUBLISHED, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["protocol"] == "IPENCAP / IPIP":
                yield row["service"], 4, None, None
                yield row["service"], 94, None, None
            else:
                start = int(row["start_port"])
                yield row["service"], PROTOCOLS[row["protocol"]], start, int(row["end_port"] or start)
    yield "calico-vxlan", 17, 4789, 4789


def on(service: str, protocol: int, raw: Mapping[str, Any]) -> bool:
    """Whether the settings ask for a row."""
    calico = raw["calico"]
    if service in ("local-registry", "local-apt"):
        return bool(raw["offline"])
    if service == "rpcbind":
        return bool(raw["nfs"])
    if service == "calico":
        return bool(calico != "absent")
    if service == "bgp":
        return calico in ("ipip", "classic", "bgp")
    if service == "ipip":
        return calico == "classic" or (protocol == 4 and calico == "ipip")
    return service != "calico-vxlan" or calico == "vxlan"


def allowed(raw: Mapping[str, Any], packet: Packet, crossing: bool = False) -> bool:
    """Whether the requirement lets a packet of a node pass.

    Args:
        raw: the settings.
        packet: what is asked.
        crossing: a group as a source lets both families pass, as on AWS and GCP (docs/decisions/0002).
    """
    if f"ipv{packet.peer.version}" not in raw["families"]:
        return False
    if not packet.ingress:
        return connects(raw, packet)
    for service, protocol, start, end in needs():
        if packet.protocol != protocol or not on(service, protocol, raw):
            continue
        if start is not None and end is not None and (packet.port is None or not start <= packet.port <= end):
            continue
        foreign = service == "ipip" and packet.peer.version == 6
        if foreign and not (crossing and "ipv4" in raw["families"]):
            continue
        where = WHERE.get(service, "nodes")
        if raw["roles"] and where not in ("nodes", packet.target):
            continue
        if any(_covers(word, raw, packet, foreign) for word in WHO.get(service, ("cluster",))):
            return True
    return False


def connects(raw: Mapping[str, Any], packet: Packet) -> bool:
    """Whether a node may connect to where a packet goes: everywhere, or to what is listed and to the cluster."""
    if raw.get("egress", "everywhere") == "everywhere":
        return True
    return any(packet.peer in ip_network(text) for text in raw["egress"]) or _covers("cluster", raw, packet)


def _covers(word: str, raw: Mapping[str, Any], packet: Packet, groups_alone: bool = False) -> bool:
    cluster = raw["sources"].get("cluster", ["self"])
    if word in ("control-plane", "etcd"):
        if raw["roles"] and "self" in cluster:
            return word in packet.groups
        word = "cluster"
    for term in cluster if word == "cluster" else raw["sources"].get(word, []):
        if term == "self":
            if "nodes" in packet.groups:
                return True
        elif term.startswith("@"):
            family = raw["refs"][term[1:]].get("family")
            if term in packet.groups and family in (None, f"ipv{packet.peer.version}"):
                return True
        elif not groups_alone and packet.peer in ip_network(term):
            return True
    return False
