"""The requirement, read literally: the published file, and beside it who needs each row and on which nodes.

The other tables and the rows beyond them are read a second time, as a user reads them: tables/NAME.csv, extras.csv by the CNI or
where a setting enables a row, and the stack's own rows.
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
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ICMP": 1, "ICMPV6": 58}
TABLES = Path(__file__).parents[2] / "components" / "kubeports" / "tables"
#: The CNI of a stack that names none, and what each does by itself.
CNIS = {"rke2": "flannel", "k3s": "flannel"}
MODES = {"calico": "ipip", "cilium": "vxlan", "flannel": "vxlan"}
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
#: What ping sends: 256 times its type.
ECHO = {1: 8 * 256, 58: 128 * 256}
ONE_FAMILY = {1: "ipv4", 4: "ipv4", 94: "ipv4", 58: "ipv6"}


@dataclass(frozen=True)
class Row:
    """A row that is on: who may connect, and to which nodes."""

    service: str
    protocol: int | None
    start: int | None
    end: int | None
    who: tuple[str, ...]
    where: str
    family: str = "any"
    when: str = "always"

    @property
    def families(self) -> tuple[str, ...]:
        """The family that the row says, or those in which the protocol means something."""
        family = ONE_FAMILY.get(self.protocol or 0, self.family)
        return ("ipv4", "ipv6") if family == "any" else (family,)


@dataclass(frozen=True)
class Packet:
    """A packet at a node: ``groups`` are those that the peer carries, and the references that cover it (``@name``).

    The port of ICMP is 256 times the type, and the code; None: an echo request.
    """

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
    """Service, protocol number, first and last port."""
    with open(PUBLISHED, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["protocol"] == "IPENCAP / IPIP":
                yield row["service"], 4, None, None
                yield row["service"], 94, None, None
            else:
                start = int(row["start_port"])
                yield row["service"], PROTOCOLS[row["protocol"]], start, int(row["end_port"] or start)


@cache
def listed(name: str) -> tuple[Row, ...]:
    """The rows of a table's file."""
    with open(TABLES / f"{name}.csv", encoding="utf-8", newline="") as file:
        return tuple(
            Row(
                row["service"],
                number(row["protocol"]),
                int(row["start"]) if row["start"] else None,
                int(row["end"]) if row["end"] else None,
                tuple(row["source"].split()),
                row["target"],
                row["family"],
                row["when"],
            )
            for row in csv.DictReader(file)
        )


def number(protocol: object) -> int | None:
    """The number of a protocol as tables and settings write it; None: every protocol."""
    return None if protocol == "all" else PROTOCOLS.get(str(protocol).upper()) or int(str(protocol))


def cni(raw: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The CNI and its modes."""
    if raw.get("calico") == "absent":
        return "none", ()
    named = next((name for name in MODES if raw.get(name)), CNIS.get(raw.get("table", ""), "calico"))
    name = raw.get("cni") or named
    # RKE2 installs Calico with VXLAN: https://docs.rke2.io/install/requirements#cni-specific-inbound-network-rules
    own = "vxlan" if (name, raw.get("table")) == ("calico", "rke2") else MODES.get(name, ())
    modes: Any = raw.get(name) or own
    return name, (modes,) if isinstance(modes, str) else tuple(modes)


def holds(when: str, raw: Mapping[str, Any], enabled: bool) -> bool:
    """Whether a cell of the column ``when`` is true of the settings."""
    name, modes = cni(raw)
    chosen = {"cni": [name], name: list(modes), "table": [raw.get("table", "kubesphere")]}
    plain = {"always": True, "opt-in": enabled, "offline": bool(raw["offline"]), "nfs": bool(raw["nfs"])}

    def alternative(text: str) -> bool:
        key, met = "", dict[str, bool]()
        for word in text.split():
            if word in plain:
                met[word] = plain[word]
            elif word[-1] == ":":
                key = word[:-1]
                met[key] = False
            else:
                met[key] |= word in chosen.get(key, [])
        return all(met.values())

    return any(map(alternative, when.split(" or ")))


#: The settings that were asked last, and their rows: packets are asked by the hundred.
_last: list[tuple[Mapping[str, Any], list[Row]]] = []


def rows(raw: Mapping[str, Any]) -> list[Row]:
    """The rows that the settings ask for, with the stack's changes; then its own."""
    if not _last or _last[0][0] is not raw:
        _last[:] = [(raw, list(_rows(raw)))]
    return _last[0][1]


def _rows(raw: Mapping[str, Any]) -> Iterable[Row]:
    services, name = raw.get("services", {}), raw.get("table", "kubesphere")
    if name == "kubesphere":
        own = [
            Row(name, protocol, start, end, WHO.get(name, ("cluster",)), WHERE.get(name, "nodes"))
            for name, protocol, start, end in needs()
        ]
        asked = [row for row in own if on(row.service, row.protocol or 0, raw)]
    else:
        own = list(listed(name))
        asked = [row for row in own if holds(row.when, raw, services.get(row.service, {}).get("enabled", False))]
    has = {row.service for row in own}
    asked += [
        row
        for row in listed("extras")
        if row.service not in has and holds(row.when, raw, services.get(row.service, {}).get("enabled", False))
    ]
    for row in asked:
        change = services.get(row.service, {})
        if change.get("enabled", True):
            start = change.get("start", row.start)
            end = change.get("end", start if row.start == row.end else row.end)
            who, where = change.get("source", row.who), change.get("target", row.where)
            yield Row(row.service, row.protocol, start, end, who, where, row.family)
    for name, own_row in services.items():
        if "protocol" in own_row and own_row.get("enabled", True):
            start, end = own_row.get("start"), own_row.get("end", own_row.get("start"))
            if "type" in own_row:
                start = 256 * own_row["type"] + own_row.get("code", 0)
                end = start if "code" in own_row else start + 255
            yield Row(name, number(own_row["protocol"]), start, end, tuple(own_row["source"]), own_row.get("target", "nodes"))


def on(service: str, protocol: int, raw: Mapping[str, Any]) -> bool:
    """Whether the settings ask for a row of the requirement."""
    name, modes = cni(raw)
    if service in ("local-registry", "local-apt"):
        return bool(raw["offline"])
    if service == "rpcbind":
        return bool(raw["nfs"])
    if service == "calico":
        return name == "calico"
    if service == "bgp":
        return name == "calico" and bool({"ipip", "classic", "bgp"} & set(modes))
    if service == "ipip":
        return name == "calico" and ("classic" in modes or (protocol == 4 and "ipip" in modes))
    return True


def carried(raw: Mapping[str, Any], role: str) -> set[str]:
    """The groups of a node with a role: that of all nodes, the role's, and those of the roles that it combines."""
    if not raw["roles"]:
        return {"nodes"}
    return {"nodes", role, *raw.get("combine", {"control-plane": ["etcd"]}).get(role, ())}


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
        if row.protocol not in (None, packet.protocol):
            continue
        port = ECHO.get(packet.protocol) if packet.port is None else packet.port
        if row.start is not None and row.end is not None and (port is None or not row.start <= port <= row.end):
            continue
        foreign = f"ipv{packet.peer.version}" not in row.families
        if foreign and not (crossing and set(row.families) & set(raw["families"])):
            continue
        if raw["roles"] and row.where not in carried(raw, packet.target):
            continue
        if any(_covers(word, raw, packet, foreign) for word in row.who):
            return True
    return False


def connects(raw: Mapping[str, Any], packet: Packet) -> bool:
    """Whether a node may connect to where a packet goes: everywhere, or to what is listed and to the cluster."""
    if raw.get("egress", "everywhere") == "everywhere":
        return True
    if raw["cloud"] != "gcp" and any(target in raw.get("existing", ()) for target in carried(raw, packet.target)):
        return True  # a group of the node's is somebody else's, and lets all out by itself
    if any(packet.peer in ip_network(text) for text in raw["egress"]) or _covers("cluster", raw, packet):
        return True
    # Packets of pods that no CNI encapsulates go from node to node with the pods' addresses.
    family = f"ipv{packet.peer.version}"
    native = any(row.protocol is None and "pods" in row.who and family in row.families for row in rows(raw))
    return native and _covers("pods", raw, packet)


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
