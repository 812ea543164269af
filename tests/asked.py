"""Packets to ask about: at the edges of every port, protocol and source that a stack's settings have."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from tests.oracle import clouds, requirement

ROLES = ("nodes", "control-plane", "etcd", "worker", "registry")
#: The first and last port of every row, and one beyond.
PORTS = sorted({port + step for _, _, start, end in requirement.needs() for port in (start, end) if port for step in (-1, 0, 1)})
#: Those of the rows, of rows that stacks add, and 94.
PROTOCOLS = (6, 17, 1, 4, 58, 94, 47, 50, 132)
STRANGERS = ("203.0.113.7", "2001:db9::7")


def addresses(raw: Mapping[str, Any]) -> list[IPv4Address | IPv6Address]:
    """The first and last address of every source, their neighbours outside, and strangers; of the enabled families."""
    found = [ip_address(text) for text in STRANGERS]
    egress = raw.get("egress", ())
    rows = (row.who for row in requirement.rows(raw))
    for terms in (*raw["sources"].values(), *rows, () if egress == "everywhere" else egress):
        for term in terms:
            if "/" in term:
                network = ip_network(term)
                first, last = int(network.network_address), int(network.broadcast_address)
                kind = IPv4Address if network.version == 4 else IPv6Address
                top = 2**network.max_prefixlen - 1
                found += [kind(number) for number in (first - 1, first, last, last + 1) if 0 <= number <= top]
    return [address for address in dict.fromkeys(found) if f"ipv{address.version}" in raw["families"]]


def _edges(rows: Iterable[requirement.Row]) -> Iterable[int]:
    """The first and last port of each row, and one beyond."""
    return (port + step for row in rows for port in (row.start, row.end) if port for step in (-1, 0, 1))


def icmp_kind(choose: random.Random, protocol: int) -> int | None:
    """256 times a type of ICMP, and a code; None: an echo request, and what is no ICMP."""
    if protocol not in clouds.ICMP or choose.random() < 0.4:
        return None
    return 256 * choose.choice((3, 5, 8, 128)) + choose.choice((0, 1, 2, 3, 5))  # every node lets path MTU (3/4) pass


def packets(raw: Mapping[str, Any], seed: int, number: int) -> Iterable[requirement.Packet]:
    """Packets at random; the same for the same seed."""
    choose = random.Random(seed)
    peers = addresses(raw)
    families = {f"@{name}": ref.get("family") for name, ref in raw["refs"].items()}
    ports = sorted({*PORTS, *_edges(requirement.rows(raw))})
    for _ in range(number):
        protocol = choose.choice((*PROTOCOLS, 6, 6, 17))
        member: Iterable[str] = choose.choice([(), ("nodes",), requirement.carried({**raw, "roles": True}, choose.choice(ROLES))])
        peer = choose.choice(peers)
        ingress = choose.random() < 0.8
        if raw["cloud"] == "gcp" and not ingress:
            member = ()  # where egress is restricted on GCP the cluster is its CIDRs: an egress rule can't name a tag
        # A prefix list has one family, and covers no address of the other.
        ported = protocol in (6, 17) or (protocol == 132 and choose.random() < 0.7)
        names = [name for name, family in families.items() if family in (None, f"ipv{peer.version}")]
        yield requirement.Packet(
            protocol=protocol,
            port=choose.choice(ports) if ported else icmp_kind(choose, protocol),
            peer=peer,
            groups=frozenset(member) | frozenset(name for name in names if choose.random() < 0.4),
            target=choose.choice(ROLES),
            ingress=ingress,
        )


def at(cloud: str, raw: Mapping[str, Any], ids: Mapping[str, str], packet: requirement.Packet) -> clouds.Packet:
    """The packet as a cloud sees it: groups and references by their ids."""
    refs = {f"@{name}": ref.get("group") or ref.get("prefixes") for name, ref in raw["refs"].items()}
    carried = packet.groups if raw["roles"] else packet.groups - set(ROLES[1:])
    node = requirement.carried(raw, packet.target)
    return clouds.Packet(
        packet.protocol,
        packet.port,
        packet.peer,
        frozenset({**ids, **refs}[name] for name in carried),
        frozenset(ids[target] for target in node),
        packet.ingress,
    )
