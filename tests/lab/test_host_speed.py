"""Many addresses: the sets grow, and neither the rules nor the time."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from kubeports import check
from kubeports.host.ruleset import ruleset
from kubeports.nodes import Nodes, read

from sandbox.lab import Lab, Packet
from tests.lab.hosts import STACK

CIDRS, NODES = 10_000, 500


def stack(number: int) -> dict[str, Any]:
    """A stack with so many networks of administrators, no two of them adjacent."""
    admins = [str(IPv4Network((int(IPv4Address("100.64.0.0")) + 512 * i, 24))) for i in range(number)]
    return {**STACK, "families": ["ipv4"], "sources": {"admins": admins, "clients": []}, "limits": {"rules": 10**6}}


@pytest.fixture(scope="module")
def many() -> Nodes:
    first = int(IPv4Address("10.77.0.11"))
    roles = [["control-plane", "etcd"], ["worker"], ["worker"], ["worker"]]
    return read([{"name": f"n{i}", "roles": roles[i % 4], "addresses": [str(IPv4Address(first + i))]} for i in range(NODES)], "n")


def test_10_000_cidrs_and_500_nodes_are_rendered_within_2_seconds(many: Nodes) -> None:
    planned = check.check(None, stack(CIDRS))
    start = time.process_time()
    text = ruleset(planned, many, ("control-plane", "etcd"), "n0").text()
    seconds = time.process_time() - start
    assert text.count("100.") >= 2 * CIDRS and text.count("10.77.") >= NODES
    assert seconds < 2, seconds


def test_they_are_loaded_at_once_and_an_update_touches_what_changed(many: Nodes, lab: Lab) -> None:
    node, wire = lab["node-1"], lab.wire("node-1")
    few, all_of = (ruleset(check.check(None, stack(number)), many, ("control-plane", "etcd"), "n0") for number in (1, CIDRS))
    assert few.digest == all_of.digest and len(few.ingress) == len(all_of.ingress)
    node.nft(few.text())
    listing = ["nft", "-s", "list", "chain", "inet", "kubeports", "incoming"]
    chains = node.run(listing).stdout
    start = time.monotonic()
    node.nft(all_of.text())
    assert time.monotonic() - start < 60  # on a busy machine, too
    assert node.run(listing, timeout=120).stdout == chains
    last = IPv4Network(stack(CIDRS)["sources"]["admins"][-1])
    inside, outside = Packet(6, 22, last[7]), Packet(6, 22, last[0] + 256 + 7)
    assert wire.arrives([inside, outside]) == [True, False]
    fewer = ruleset(check.check(None, stack(CIDRS - 1)), many, ("control-plane", "etcd"), "n0")
    changed = fewer.update({name: list(each.elements) for name, each in all_of.sets.items()})
    assert {line.split()[4] for line in changed.splitlines()} == {"from_tcp_22_ipv4", "from_tcp_6443_ipv4"}
    node.nft(changed)
    assert wire.arrives([inside, outside]) == [False, False]
