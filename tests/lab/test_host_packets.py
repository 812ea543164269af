"""What the oracle says of a packet, the kernel does with it: real packets through the rules that ``kubeports host`` renders.

Every table with every CNI, at a node of every role: thousands of packets each. A batch holds no packet twice, and the node's
kernel has forgotten all connections before it: nothing passes because of what came earlier. A raw socket of the node sees what
arrives, and the switch what leaves. The rules count as well: what did not pass was dropped by them, and not lost on the way.
"""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from kubeports import check, rules, table
from kubeports.conditions import CNIS, MODES
from kubeports.host.counters import counts as counted
from kubeports.host.ruleset import ruleset
from kubeports.nodes import Node, Nodes
from kubeports.traffic import TCP, UDP, entry, icmp_numbers

from sandbox.lab import Lab, Packet
from sandbox.lab import Node as LabNode
from sandbox.lab.network import LAN
from tests import asked, strategies
from tests.counts import counts
from tests.lab.hosts import nodes_of
from tests.oracle import requirement
from tests.oracle.clouds import ICMP, icmp
from tests.rings import chosen

Raw = Mapping[str, Any]
#: What the references of generated settings stand for.
NAMED = {"bastion": ["198.51.100.0/25", "2001:db8:5::/48"], "office": ["198.51.100.128/26", "2001:db8:6::/48"]}
#: Packets of one table, CNI and role: so many, and no two alike.
PACKETS = 2000
#: A node of each role, one without a role, and one of a cluster that has no roles.
ROLES = ("control-plane", "etcd", "worker", "registry", "none", "all")
#: Each mode of each CNI, and modes of Calico that go together.
NETWORKS = [f"{cni} {mode}".strip() for cni in CNIS for mode in MODES.get(cni, ("",)) if mode != "cross-subnet"]
NETWORKS += ["calico ipip vxlan", "calico vxlan cross-subnet"]
CASES = [(name, network) for name in table.names() for network in NETWORKS]
#: The cases of ``make test``.
FEW = (("kubesphere", "calico ipip"), ("rke2", "cilium vxlan"))
#: Rows of the stack's own.
OWN = {
    "redirect": {"protocol": "icmp", "type": 5, "source": ["admins"], "why": "a type of ICMP"},
    "unreachable": {"protocol": "icmp", "type": 3, "code": 1, "source": ["balancers"], "why": "a code of ICMP"},
    "exceeded": {"protocol": "icmpv6", "type": 3, "source": ["admins"], "why": "a type of ICMP"},
}
#: A stack for the lab, with everything on that a setting can switch on.
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
    "services": OWN | {name: {"enabled": True} for name in ("scheduler", "nfs", "icmp", "nodeport-udp", "typha", "wireguard")},
    "egress": ["10.0.0.0/8", "2001:db8::/32"],
}


def questions(raw: Raw, nodes: Nodes, node: Node, seed: int, number: int) -> Iterable[requirement.Packet]:
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


def judge(lab: Lab, name: str, raw: Raw, seed: int, number: int) -> set[tuple[int, int, bool, bool]]:
    """Load the rules of a node, and send it packets: the kernel's verdict is the oracle's and the plan's, and so it counts.

    Returns:
        Protocol, family, whether it came, and whether it passed, of all packets.
    """
    planned = check.check(None, raw)
    nodes = nodes_of(lab).combined(planned.settings)
    node, wire = nodes.by_name(name), lab.wire(name)
    lab[name].nft(ruleset(planned, nodes, node.roles, name, named(raw)).text())
    drawn = questions(raw, nodes, node, seed, 4 * number)
    packets = list({(each.protocol, each.port, each.peer, each.ingress): each for each in drawn}.values())[:number]
    seen: set[tuple[int, int, bool, bool]] = set()
    # What comes goes first: an answer to what the node sent would pass.
    for ingress, word, way in ((True, "in", wire.arrives), (False, "out", wire.leaves)):
        meant = [packet for packet in packets if packet.ingress == ingress]
        sent = [Packet(each.protocol, each.port, each.peer) for each in meant]
        right = [required(raw, node, packet) for packet in meant]
        assert right == [by_plan(planned, node, packet) for packet in meant], "the plan"
        passed = way(sent, once=True)
        dropped = denied(lab, name, planned, word)
        # A busy machine loses packets, and is late: what should have passed is sent once more.
        late = [i for i, did in enumerate(passed) if right[i] and not did]
        for i, did in zip(late, way([sent[i] for i in late]) if late else (), strict=True):
            passed[i] = did
        wrong = [f"{packet}: {did}" for packet, did, as_planned in zip(meant, passed, right, strict=True) if did != as_planned]
        assert not wrong, f"the kernel of {name}: {len(wrong)} packets: {wrong[:3]}"
        meant_to_drop = Counter(key(packet) for packet, as_planned in zip(sent, right, strict=True) if not as_planned)
        assert {each: dropped[each] for each in map(key, sent) if each in dropped} == meant_to_drop, f"what {name} counts"
        seen |= {(each.protocol, each.peer.version, ingress, did) for each, did in zip(meant, passed, strict=True)}
    lab[name].nft("flush ruleset")
    counts["real packets sent through the rules of kubeports host"] += len(packets)
    return seen


def denied(lab: Lab, name: str, planned: rules.Plan, way: str) -> Counter[tuple[str, str]]:
    """What a node's rules have dropped, as ``kubeports host --counters`` reads it: address, protocol and port -> packets."""
    listed = json.loads(lab[name].run(["nft", "-n", "--json", "list", "table", "inet", "kubeports"]).stdout)
    found: Counter[tuple[str, str]] = Counter()
    for each in counted(name, listed, planned):
        if each.verdict == "denied" and each.way == way:
            found[each.peer, each.entry] += each.packets
    return found


def key(packet: Packet) -> tuple[str, str]:
    """A packet as the rules count it: ports of TCP and UDP alone."""
    port = packet.port if packet.protocol in (TCP, UDP) else None
    return str(packet.peer), entry(packet.protocol, port, port)


def by_plan(planned: rules.Plan, node: Node, packet: requirement.Packet) -> bool:
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


@pytest.fixture(scope="module")
def ground(whole_lab: Lab) -> Iterator[Lab]:
    """A node for each role."""
    nodes = [LabNode(name, () if name in ("none", "all") else (name,)) for name in ROLES]
    with Lab(nodes=nodes, outside={}, ssh=False) as lab:
        yield lab


def stack(name: str, network: str, choose: random.Random) -> dict[str, Any]:
    """A stack of a table and a CNI: what else is on, and who its clients are, is chosen."""
    cni, *modes = network.split()
    raw: dict[str, Any] = {**WHOLE, "table": name, "cni": cni, **({cni: modes} if modes else {})}
    raw |= {flag: choose.random() < 0.7 for flag in ("offline", "nfs")}
    if choose.random() < 0.5:
        raw["sources"] = {**raw["sources"], "clients": ["192.0.2.0/24", "2001:db8:1::/64"]}
    own = {row.service for row in requirement.listed(name)}
    rows = [*requirement.listed(name), *(row for row in requirement.listed("extras") if row.service not in own)]
    able = {row.service for row in rows if "opt-in" in row.when and requirement.holds(row.when, raw, enabled=True)}
    # An ingress that is open to the internet is refused on the ports of a registry.
    on = [service for service in sorted(able) if not service.startswith("ingress") and choose.random() < 0.7]
    raw["services"] = OWN | {service: {"enabled": True} for service in on}
    if "pods" not in on and choose.random() < 0.5 and any(row.service == "pods" for row in requirement.rows(raw)):
        raw["services"]["pods"] = {"enabled": False}  # the row lets nodes reach every port
    return raw


@pytest.mark.parametrize("case", chosen(CASES, FEW, " ".join))
def test_the_kernel_does_with_thousands_of_packets_what_the_oracle_says(ground: Lab, case: tuple[str, str]) -> None:
    choose = random.Random(zlib.crc32(" ".join(case).encode()))
    raw = stack(*case, choose)
    for role in ROLES:
        seen = judge(ground, role, {**raw, "roles": role != "all"}, choose.randrange(2**32), PACKETS)
        assert {(protocol, family) for protocol, family, *_ in seen} == {(each, of) for each in asked.PROTOCOLS for of in (4, 6)}
        assert {(ingress, did) for *_, ingress, did in seen} == {(way, did) for way in (True, False) for did in (True, False)}


@pytest.mark.slow
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=strategies.settings())
def test_the_kernel_agrees_with_the_oracle_on_generated_settings(lab: Lab, raw: dict[str, Any]) -> None:
    for name in ("node-1", "node-5"):
        judge(lab, name, raw, seed=1, number=PACKETS // 10)


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
