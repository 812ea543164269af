"""The plan lets pass what a literal reading of the requirement lets pass, and nothing else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubeports.rules import Packet, Plan, Rule, allows
from kubeports.traffic import icmp_numbers

from tests.oracle import requirement
from tests.oracle.clouds import icmp
from tests.strategies import ICMP, ICMP_TYPES, plan_of
from tests.strategies import settings as stacks

ROLES = ("nodes", "control-plane", "etcd", "worker", "registry")
EDGES = sorted({port + step for _, _, start, end in requirement.needs() for port in (start, end) if port for step in (-1, 0, 1)})
#: Protocols with ports, those without, and those of rows that stacks add.
PROTOCOLS = (6, 17, 1, 4, 58, 94, 47, 50, 132)


def addresses(raw: dict[str, Any]) -> list[IPv4Address | IPv6Address]:
    """The first and last address of every source, their neighbours outside, and strangers."""
    found = [ip_address("203.0.113.7"), ip_address("2001:db9::7")]
    for terms in raw["sources"].values():
        for term in terms:
            if "/" in term:
                network = ip_network(term)
                first, last = int(network.network_address), int(network.broadcast_address)
                top = 2**network.max_prefixlen - 1
                kind = IPv4Address if network.version == 4 else IPv6Address
                found += [kind(number) for number in (first - 1, first, last, last + 1) if 0 <= number <= top]
    return found


icmp_kinds = st.one_of(st.none(), st.builds(lambda type, code: 256 * type + code, st.sampled_from(ICMP_TYPES), st.integers(0, 5)))


@st.composite
def packets(draw: st.DrawFn, raw: dict[str, Any]) -> requirement.Packet:
    protocol = draw(st.sampled_from(PROTOCOLS))
    role = draw(st.sampled_from(ROLES))
    member = draw(st.sampled_from([frozenset(), frozenset({"nodes"}), frozenset({"nodes", role})]))
    # The edges of a row of the stack's own.
    own = [
        port + step
        for row in requirement.rows(raw)
        if row.service == "own" and row.start
        for port in (row.start, row.end or 0)
        for step in (-1, 0, 1)
    ]
    names = draw(st.sets(st.sampled_from([f"@{name}" for name in raw["refs"]]))) if raw["refs"] else set()
    return requirement.Packet(
        protocol=protocol,
        port=draw(st.sampled_from([*EDGES, *own]) if protocol in (6, 17, 132) else icmp_kinds if protocol in ICMP else st.none()),
        peer=draw(st.sampled_from(addresses(raw))),
        groups=member | names,
        target=draw(st.sampled_from(ROLES)),
    )


def answers(planned: Plan, packet: requirement.Packet) -> bool:
    port = icmp_numbers(*icmp(packet.protocol, packet.port))[0] if packet.protocol in ICMP else packet.port
    asked = Packet(packet.protocol, port, packet.peer, packet.groups, packet.target)
    return allows(planned, asked).allowed


@given(st.data())
def test_the_plan_agrees_with_the_requirement_read_literally(data: st.DataObject) -> None:
    raw = data.draw(stacks(existing=True))
    planned = plan_of(raw)
    for packet in data.draw(st.lists(packets(raw), min_size=20, max_size=40)):
        assert answers(planned, packet) == requirement.allowed(raw, packet), packet


RAW: dict[str, Any] = {
    "cloud": "openstack",
    "cluster": "c",
    "families": ["ipv4"],
    "offline": False,
    "nfs": False,
    "calico": "ipip",
    "roles": False,
    "refs": {},
    "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
}


def seeded(change: Any) -> Plan:
    """The plan with one mistake in its rules."""
    planned = plan_of(RAW)
    return Plan(
        planned.settings, tuple(each for rule in planned.rules for each in change(rule)), planned.disabled, planned.warnings
    )


def altered(rule: Rule, **changes: Any) -> Rule:
    return Rule(**{name: changes.get(name, getattr(rule, name)) for name in Rule.__dataclass_fields__})


@pytest.mark.parametrize(
    ("mistake", "change"),
    [
        ("4 and 94 swapped", lambda r: [altered(r, protocol={4: 94}.get(r.protocol, r.protocol))]),
        ("a row forgotten", lambda r: [] if r.services == ("dns",) else [r]),
        ("a port shifted", lambda r: [altered(r, from_port=23, to_port=23) if r.services == ("ssh",) else r]),
        ("a range cut", lambda r: [altered(r, to_port=2379) if r.services == ("etcd",) else r]),
        (
            "admins as wide as clients",
            lambda r: [altered(r, source=r.source.__class__("cidr", "0.0.0.0/0")) if r.from_port == 22 else r],
        ),
    ],
)
def test_a_seeded_mistake_is_seen(mistake: str, change: Any) -> None:
    planned = seeded(change)
    peers = [ip_address("10.20.0.1"), ip_address("203.0.113.7")]
    asked = [
        requirement.Packet(protocol, port, peer, groups, "nodes")
        for protocol in PROTOCOLS
        for port in (EDGES if protocol in (6, 17) else [None])
        for peer in peers
        for groups in (frozenset[str](), frozenset({"nodes"}))
    ]
    assert any(answers(planned, packet) != requirement.allowed(RAW, packet) for packet in asked), mistake
    good = plan_of(RAW)
    assert all(answers(good, packet) == requirement.allowed(RAW, packet) for packet in asked)
