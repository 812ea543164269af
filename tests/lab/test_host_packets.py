"""What the oracle says of a packet, the kernel does with it: real packets through the rules that ``kubeports host`` renders."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from kubeports import check, rules, table
from kubeports.conditions import MODES
from kubeports.host.ruleset import ruleset
from kubeports.nodes import Node, Nodes
from kubeports.traffic import icmp_numbers

from sandbox.lab import Lab, Packet
from sandbox.lab.network import LAN
from tests import asked, strategies
from tests.counts import counts
from tests.lab.hosts import nodes_of
from tests.oracle import requirement
from tests.oracle.clouds import ICMP, icmp

Raw = Mapping[str, Any]
#: What the references of generated settings stand for.
NAMED = {"bastion": ["198.51.100.0/25", "2001:db8:5::/48"], "office": ["198.51.100.128/26", "2001:db8:6::/48"]}
PACKETS = 400
#: Rows that need no CNI.
SERVICES = ("scheduler", "nfs", "icmp", "nodeport-udp")
#: Each Calico mode, with everything on that a setting can switch on.
WHOLE = {
    "cloud": "openstack",
    "cluster": "c",
    "families": ["ipv4", "ipv6"],
    "offline": True,
    "nfs": True,
    "sources": {
        "admins": ["10.20.0.0/16", "2001:db8:20::/48"],
        "clients": ["0.0.0.0/0", "::/0"],
        "peers": ["10.30.0.1/32"],
        "balancers": ["10.40.0.0/24", "2001:db8:40::/64"],
    },
    "refs": {},
    "services": {name: {"enabled": True} for name in (*SERVICES, "typha", "wireguard")}
    | {
        "redirect": {"protocol": "icmp", "type": 5, "source": ["admins"], "why": "a type of ICMP"},
        "unreachable": {"protocol": "icmp", "type": 3, "code": 1, "source": ["balancers"], "why": "a code of ICMP"},
        "exceeded": {"protocol": "icmpv6", "type": 3, "source": ["admins"], "why": "a type of ICMP"},
    },
    "egress": ["10.0.0.0/8", "2001:db8::/32"],
}


def questions(raw: Raw, nodes: Nodes, node: Node, seed: int, number: int = PACKETS) -> Iterable[requirement.Packet]:
    """Packets as the oracle asks them: who a peer is follows from its address."""
    choose = random.Random(seed)
    families = {f"ipv{address.version}" for address in node.addresses} & set(raw["families"])
    edges = [ip_network(text) for name in raw["refs"] for text in NAMED[name]]
    near = [
        kind(int(network.network_address) + step) for network in edges for step in (-1, 0) for kind in (_kind(network.version),)
    ]
    peers = [*asked.addresses(raw), *near, *(address for other in nodes.nodes for address in other.addresses)]
    peers = [peer for peer in dict.fromkeys(peers) if f"ipv{peer.version}" in families and sendable(peer, node)]
    for packet in asked.packets(raw, seed, number):
        peer = choose.choice(peers)
        groups = frozenset(_groups(raw, nodes, peer))
        if raw["cloud"] == "gcp" and not packet.ingress:
            groups = frozenset()  # a rule for egress can't name a tag: the cluster is its CIDRs (docs/decisions/0003)
        yield replace(packet, peer=peer, groups=groups)


def _kind(version: int) -> type[IPv4Address] | type[IPv6Address]:
    return IPv4Address if version == 4 else IPv6Address


def sendable(peer: IPv4Address | IPv6Address, node: Node) -> bool:
    """The kernel itself refuses sources that nobody can have: its own addresses, and those for many or for none."""
    lan = ip_network(LAN[0])
    forbidden = (lan.network_address, lan.broadcast_address)
    special = peer.is_loopback or peer.is_multicast or peer.is_unspecified or peer.is_link_local or peer.packed[0] in (0, 255)
    return peer not in node.addresses and peer not in forbidden and not special


def _groups(raw: Raw, nodes: Nodes, peer: IPv4Address | IPv6Address) -> Iterable[str]:
    for node in nodes.nodes:
        if peer in node.addresses:
            yield from ("nodes", *node.roles)
    for name, reference in raw["refs"].items():
        if reference.get("family") in (None, f"ipv{peer.version}") and any(peer in ip_network(text) for text in NAMED[name]):
            yield f"@{name}"


def required(raw: Raw, node: Node, packet: requirement.Packet) -> bool:
    """What the oracle says of a packet at a node that has several roles."""
    return any(requirement.allowed(raw, replace(packet, target=role)) for role in (node.roles or ("nodes",)))


def named(raw: Raw) -> dict[str, list[Any]]:
    return {name: [ip_network(text) for text in NAMED[name]] for name in raw["refs"]}


def judge(lab: Lab, name: str, raw: Raw, seed: int, number: int = PACKETS) -> list[bool]:
    """Load the rules of a node, and send it packets: the kernel's verdict is the oracle's and the plan's."""
    planned = check.check(None, raw)
    nodes = nodes_of(lab).combined(planned.settings)
    node = nodes.by_name(name)
    lab[name].nft(ruleset(planned, nodes, node.roles, name, named(raw)).text())
    packets = list(questions(raw, nodes, node, seed, number))
    wire = lab.wire(name)
    verdicts = []
    # What comes goes first: an answer to what the node sent would pass.
    for ingress, way in ((True, wire.arrives), (False, wire.leaves)):
        sent = [packet for packet in packets if packet.ingress == ingress]
        for packet, passed in zip(sent, way([Packet(each.protocol, each.port, each.peer) for each in sent]), strict=True):
            assert passed == required(raw, node, packet), f"the kernel of {name}: {passed}: {packet}"
            assert passed == _planned(planned, node, packet), f"the plan: {packet}"
            verdicts.append(passed)
    lab[name].nft("flush ruleset")
    counts["real packets sent through the rules of kubeports host"] += len(verdicts)
    return verdicts


def _planned(planned: rules.Plan, node: Node, packet: requirement.Packet) -> bool:
    if not packet.ingress and planned.settings.egress is None:
        return True
    return any(
        rules.allows(
            planned,
            rules.Packet(
                packet.protocol,
                icmp_numbers(*icmp(packet.protocol, packet.port))[0] if packet.protocol in ICMP else packet.port,
                packet.peer,
                packet.groups if planned.settings.roles else packet.groups - set(table.ROLES),
                role,
                "ingress" if packet.ingress else "egress",
            ),
        ).allowed
        for role in (node.roles or ("nodes",))
    )


CASES = [(calico, roles) for calico in (*MODES["calico"][:4], "absent") for roles in (True, False)]
QUICK = (("classic", True), ("vxlan", False))


@pytest.mark.parametrize(
    ("calico", "roles"), [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in CASES]
)
def test_the_kernel_does_with_every_packet_what_the_oracle_says(lab: Lab, calico: str, roles: bool) -> None:
    raw = {**WHOLE, "calico": calico, "roles": roles}
    if calico == "absent":  # typha and wireguard are rows of a CNI: the settings refuse them without one
        raw["services"] = {name: {"enabled": True} for name in SERVICES}
    for name in ("node-1", "node-4", "node-5") if roles else ("node-2",):
        verdicts = judge(lab, name, raw, seed=zlib.crc32(f"{calico} {name}".encode()), number=2 * PACKETS)
        assert set(verdicts) == {True, False}


@pytest.mark.slow
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=strategies.settings())
def test_the_kernel_agrees_with_the_oracle_on_generated_settings(lab: Lab, raw: dict[str, Any]) -> None:
    for name in ("node-1", "node-5"):
        judge(lab, name, raw, seed=1, number=PACKETS // 2)


def test_a_wrong_rule_is_noticed(lab: Lab) -> None:
    """The tests above can fail: with 4 and 94 swapped, or a set that lacks a node, packets pass that should not."""
    raw = {**WHOLE, "calico": "classic", "roles": True}
    nodes = nodes_of(lab)
    text = ruleset(check.check(None, raw), nodes, ("worker",), "node-4").text()
    for right, wrong in (("meta l4proto 94", "meta l4proto 47"), ("10.77.0.12, 10.77.0.13", "10.77.0.13")):
        assert right in text
        lab["node-4"].nft(text.replace(right, wrong))
        sent = [Packet(94, None, ip_address("10.77.0.12"))]
        assert lab.wire("node-4").arrives(sent) == [False]
        lab["node-4"].nft(text)
        assert lab.wire("node-4").arrives(sent) == [True]
