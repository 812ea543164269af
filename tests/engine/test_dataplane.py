"""What Neutron has stored is rendered by Neutron's own firewall drivers, and lets pass exactly what the plan does."""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_address
from typing import Any

import pytest

from sandbox import openstack, packets
from sandbox.openstack import OpenStack
from sandbox.run import Project, copy
from tests.asked import PORTS, PROTOCOLS
from tests.counts import counts
from tests.engine.test_life import BASE
from tests.engine.test_walk import CLUSTER
from tests.oracle import clouds, dataplane, requirement

pytestmark = pytest.mark.engine

STACK = "openstack-dev"
ADMINS = [f"10.20.{2 * i}.0/24" for i in range(20)]
SETTINGS: dict[str, Any] = BASE | {
    "cloud": "openstack",
    "cluster": CLUSTER,
    "families": ["ipv4", "ipv6"],
    "calico": "classic",
    "offline": True,
    "nfs": True,
    "limits": {"rules": 400},
    "sources": BASE["sources"] | {"admins": [*ADMINS, "2001:db8:20::/48"], "clients": ["198.51.100.0/24", "2001:db8:30::/48"]},
}
NODES = ["10.8.0.5", "2001:db8:8::5"]
IPV4 = ["10.20.0.0", "10.20.38.255", "10.20.39.0", "198.51.100.7", "203.0.113.7"]
PEERS = [*NODES, *IPV4, "2001:db8:20::1", "2001:db8:30::1", "2001:db8:9::1"]


@pytest.fixture(scope="module")
def stored(neutron: OpenStack, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The rules of a rich stack, as Neutron has them, and what its drivers make of them."""
    folder = tmp_path_factory.mktemp("dataplane")
    project = Project(copy(folder / "project"), neutron.env, folder / "state")
    project.configure(STACK, **SETTINGS)
    assert project.up(STACK).ok
    raw = neutron.raw()
    (id,) = [group["id"] for group in raw["groups"]]
    given = {**raw, "members": {id: NODES}, "node": [id], "fixed_ips": ["10.8.0.9"]}
    yield raw, id, openstack.render(given)
    assert project.destroy(STACK).ok


def asked(id: str, ingress: bool) -> list[clouds.Packet]:
    """Every protocol, edge of a port and peer; a node is known by its address."""
    return [
        clouds.Packet(protocol, port, ip_address(peer), frozenset({id} if peer in NODES else ()), frozenset({id}), ingress)
        for protocol in PROTOCOLS
        for port in (PORTS if protocol in (6, 17) else [None])
        for peer in PEERS
    ]


def test_the_drivers_let_pass_what_is_stored_and_nothing_else(stored: Any) -> None:
    raw, id, rendered = stored
    passes = clouds.openstack(raw)
    for packet in asked(id, ingress=True):
        family = f"IPv{packet.peer.version}"
        wanted = passes(packet)
        assert dataplane.iptables(rendered["iptables"][family]["ingress"], packet) == wanted, packet
        assert dataplane.flows(rendered["flows"], packet) == wanted, packet
        assert required(packet) == wanted, packet
        counts["packets asked of the rules that Neutron's drivers rendered"] += 2


def required(packet: clouds.Packet) -> bool:
    """What the requirement says of the packet."""
    groups = frozenset({"nodes"} if packet.carries else ())
    return requirement.allowed(SETTINGS, requirement.Packet(packet.protocol, packet.port, packet.peer, groups, "nodes"))


@pytest.mark.parametrize(("protocol", "name"), [(4, "ipencap"), (94, "ipip")])
def test_both_names_of_ipip_are_rendered_as_their_numbers(stored: Any, protocol: int, name: str) -> None:
    """In /etc/protocols 4 is ipencap and 94 is ipip: the trap of cluster-api-provider-openstack #1489."""
    _, _, rendered = stored
    assert f"-s 10.8.0.5/32 -p {name} -j RETURN" in rendered["iptables"]["IPv4"]["ingress"]
    assert {flow["nw_src"] for flow in rendered["flows"] if flow.get("nw_proto") == protocol} == {"10.8.0.5/32"}


def test_real_packets_pass_or_not_as_the_requirement_says(stored: Any) -> None:
    """Between two network namespaces, IP in IP among them, through the chain that the iptables driver rendered."""
    tool = packets.tool()
    if tool.why_not:
        pytest.skip(tool.why_not)
    _, id, rendered = stored
    sent = [packet for packet in asked(id, ingress=True) if packet.peer.version == 4]
    as_sent = [{"protocol": packet.protocol, "port": packet.port, "peer": str(packet.peer)} for packet in sent]
    passed = packets.passed(tool, rendered["iptables"]["IPv4"]["ingress"], as_sent)
    for packet, did in zip(sent, passed, strict=True):
        assert did == required(packet), packet
    assert {packet.protocol for packet, did in zip(sent, passed, strict=True) if did} == {4, 6, 17, 94}
    counts["real packets sent through the rules that Neutron's driver rendered"] += len(sent)


def test_a_wrong_rule_lets_real_packets_pass_that_should_not(stored: Any) -> None:
    """The test above can fail: with 4 and 94 swapped the tunnels stand still."""
    tool = packets.tool()
    if tool.why_not:
        pytest.skip(tool.why_not)
    _, _, rendered = stored
    chain = [rule for rule in rendered["iptables"]["IPv4"]["ingress"] if "ipencap" not in rule]
    tunnel = [{"protocol": protocol, "port": None, "peer": NODES[0]} for protocol in (4, 94)]
    try:
        assert packets.passed(tool, chain, tunnel) == [False, True]
    except subprocess.CalledProcessError as error:
        pytest.fail(json.dumps(error.stderr))
