"""The requirement, read literally: the published file, and beside it who needs each row and on which nodes.

The rows beyond it are read as a user reads them: extras.csv where a setting enables one, and the stack's own rows.
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
EXTRAS = Path(__file__).parents[2] / "components" / "kubeports" / "extras.csv"
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


ROLES = ("control-plane", "etcd", "worker", "registry")
#: ICMP and the IPv4 tunnels mean something in one family alone; everything else in both.
ONE_FAMILY = {1: "ipv4", 4: "ipv4", 94: "ipv4", 58: "ipv6"}


@dataclass(frozen=True)
class Row:
    """A row that is on: who may connect, and to which nodes."""

    service: str
    protocol: int
    start: int | None
    end: int | None
    who: tuple[str, ...]
    where: str
    family: str = "any"

    @property
    def families(self) -> tuple[str, ...]:
        """The family that the row says, or those in which the protocol means something."""
        family = ONE_FAMILY.get(self.protocol, self.family)
        return ("ipv4", "ipv6") if family == "any" else (family,)


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


@cache
def extras() -> tuple[Row, ...]:
    """The rows of extras.csv that a stack enables by name."""
    with open(EXTRAS, encoding="utf-8", newline="") as file:
        return tuple(
            Row(
                row["service"],
                PROTOCOLS.get(row["protocol"].upper()) or int(row["protocol"]),
                int(row["start"]) if row["start"] else None,
                int(row["end"]) if row["end"] else None,
                tuple(row["source"].split()),
                row["target"],
                row["family"],
            )
            for row in csv.DictReader(file)
            if row["when"] == "opt-in"
        )


def rows(raw: Mapping[str, Any]) -> Iterable[Row]:
    """The rows that the settings ask for, with the stack's changes; then its own."""
    services = raw.get("services", {})
    needed = [
        Row(name, protocol, start, end, WHO.get(name, ("cluster",)), WHERE.get(name, "nodes"))
        for name, protocol, start, end in needs()
    ]
    asked = [row for row in needed if on(row.service, row.protocol, raw)]
    asked += [row for row in extras() if services.get(row.service, {}).get("enabled", False)]
    for row in asked:
        change = services.get(row.service, {})
        if change.get("enabled", True):
            start = change.get("start", row.start)
            end = change.get("end", start if row.start == row.end else row.end)
            who, where = change.get("source", row.who), change.get("target", row.where)
            yield Row(row.service, row.protocol, start, end, who, where, row.family)
    for name, own in services.items():
        if "protocol" in own and own.get("enabled", True):
            protocol = PROTOCOLS.get(str(own["protocol"]).upper()) or int(own["protocol"])
            start, end = own.get("start"), own.get("end", own.get("start"))
            yield Row(name, protocol, start, end, tuple(own["source"]), own.get("target", "nodes"))


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
    for row in rows(raw):
        if packet.protocol != row.protocol:
            continue
        if row.start is not None and row.end is not None and (packet.port is None or not row.start <= packet.port <= row.end):
            continue
        foreign = f"ipv{packet.peer.version}" not in row.families
        if foreign and not (crossing and set(row.families) & set(raw["families"])):
            continue
        if raw["roles"] and row.where not in ("nodes", packet.target):
            continue
        if any(_covers(word, raw, packet, foreign) for word in row.who):
            return True
    return False


def connects(raw: Mapping[str, Any], packet: Packet) -> bool:
    """Whether a node may connect to where a packet goes: everywhere, or to what is listed and to the cluster."""
    if raw.get("egress", "everywhere") == "everywhere":
        return True
    carried = ("nodes", packet.target) if raw["roles"] else ("nodes",)
    if raw["cloud"] != "gcp" and any(target in raw.get("existing", ()) for target in carried):
        return True  # a group of the node's is somebody else's, and lets all out by itself
    return any(packet.peer in ip_network(text) for text in raw["egress"]) or _covers("cluster", raw, packet)


def _covers(word: str, raw: Mapping[str, Any], packet: Packet, groups_alone: bool = False) -> bool:
    cluster = raw["sources"].get("cluster", ["self"])
    if word in ROLES:
        if raw["roles"] and "self" in cluster:
            return word in packet.groups
        word = "cluster"
    direct = "/" in word or word.startswith("@") or word == "self"
    for term in [word] if direct else cluster if word == "cluster" else raw["sources"].get(word, []):
        if term == "self":
            if "nodes" in packet.groups:
                return True
        elif term.startswith("@"):
            family = raw["refs"][term[1:]].get("family")
            # A list of prefixes has a family, and in that alone it is a source.
            if term in packet.groups and (family is None or (family == f"ipv{packet.peer.version}" and not groups_alone)):
                return True
        elif not groups_alone and packet.peer in ip_network(term):
            return True
    return False
