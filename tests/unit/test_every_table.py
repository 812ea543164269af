"""Each table with each CNI on each cloud: what the cloud stores lets pass what a second reading of the tables lets pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from typing import Any

import pytest
from kubeports import table
from kubeports.conditions import CNIS, MODES
from kubeports.rules import Plan

from tests.asked import at
from tests.counts import counts
from tests.oracle import clouds, requirement
from tests.strategies import NETWORKS, plan_of
from tests.unit.test_three_clouds import CLOUDS
from tests.wire import wire

#: The modes of a CNI that are tried: each alone where it may be, and those of a migration or of CrossSubnet.
CHOICES: dict[str, list[list[str]]] = {cni: [[mode] for mode in MODES.get(cni, ())] or [[]] for cni in CNIS}
CHOICES["calico"] = [
    [],
    *([mode] for mode in MODES["calico"] if mode != "cross-subnet"),
    ["ipip", "vxlan"],
    ["ipip", "cross-subnet"],
    ["vxlan", "cross-subnet"],
]
#: Who asks: nodes of the control plane, of etcd alone and of the registry; and addresses of each source, and of strangers.
PEERS = [
    (ip_address("10.1.0.1"), frozenset({"nodes", "control-plane", "etcd"})),
    (ip_address("10.1.0.2"), frozenset({"nodes", "etcd"})),
    (ip_address("10.1.0.3"), frozenset({"nodes", "registry"})),
]
ADDRESSES = "10.8.0.7 10.20.0.7 198.51.100.7 10.30.0.1 10.40.0.7 10.244.0.7 203.0.113.7 2001:db8:20::7 2001:db8:244::7"
PEERS += [(ip_address(text), frozenset()) for text in ADDRESSES.split()]


def stack(cloud: str, name: str, cni: str, modes: list[str]) -> dict[str, Any]:
    """Settings with every source, both families and roles."""
    raw: dict[str, Any] = {
        "cloud": cloud,
        "cluster": "c",
        "network": NETWORKS[cloud],
        "families": ["ipv4", "ipv6"],
        "offline": True,
        "nfs": True,
        "table": name,
        "cni": cni,
        "roles": True,
        "refs": {},
        "services": {},
        "existing": {},
        "sources": {
            "cluster": ["self", "10.8.0.0/16"],
            "admins": ["10.20.0.0/16", "2001:db8:20::/48"],
            "clients": ["198.51.100.0/24"],
            "peers": ["10.30.0.1/32"],
            "balancers": ["10.40.0.0/24"],
            "pods": ["10.244.0.0/16", "2001:db8:244::/56"],
        },
        "limits": {"rules": 100 if cloud == "aws" else 5000},
    }
    return raw | ({cni: modes} if modes else {})


def rows(raw: dict[str, Any]) -> list[requirement.Row]:
    """The rows of the table and the extras, on or off."""
    listed = requirement.listed(raw["table"])
    own = {row.service for row in listed}
    return [*listed, *(row for row in requirement.listed("extras") if row.service not in own)]


def opt_in(raw: dict[str, Any]) -> dict[str, Any]:
    """The settings with every row that they may enable."""
    names = {row.service for row in rows(raw) if "opt-in" in row.when and requirement.holds(row.when, raw, enabled=True)}
    assert names
    return raw | {"services": {name: {"enabled": True} for name in sorted(names)}}


def packets(raw: dict[str, Any]) -> list[requirement.Packet]:
    """At the first and last port of every row, on or off, from everyone, to a node that it is for and to one that it is not."""
    entries = set()
    for row in rows(raw):
        nodes = (
            ("control-plane", "worker") if row.where == "nodes" else (row.where, "etcd" if row.where == "worker" else "worker")
        )
        entries |= set(product([row.protocol or 47], (row.start, row.end), nodes))
    return [
        requirement.Packet(protocol, port, address, groups, target)
        for (protocol, port, target), (address, groups) in product(sorted(entries, key=str), PEERS)
    ]


def differences(cloud: str, raw: dict[str, Any], planned: Plan) -> Iterator[requirement.Packet]:
    """The packets for which what the cloud would store is not what the tables say."""
    stored = wire(planned)
    ids = clouds.groups(cloud, stored, raw["cluster"])
    passes = clouds.ALLOWS[cloud](stored)
    for packet in packets(raw):
        counts[f"packets at the rows of every table on {cloud}"] += 1
        said = requirement.allowed(raw, packet, crossing=cloud != "openstack")
        if passes(at(cloud, raw, ids, packet)) != said:
            yield packet


@pytest.mark.parametrize(("name", "cni", "cloud"), list(product(table.names(), CNIS, CLOUDS)))
def test_what_the_cloud_stores_is_what_the_table_says(name: str, cni: str, cloud: str) -> None:
    for modes in CHOICES[cni]:
        raw = stack(cloud, name, cni, modes)
        assert not list(differences(cloud, raw, plan_of(raw))), modes
    every = opt_in(raw)
    assert not list(differences(cloud, every, plan_of(every))), every["services"]


@pytest.mark.parametrize("name", table.names())
def test_a_row_that_a_cloud_lacks_is_noticed(name: str) -> None:
    raw = opt_in(stack("openstack", name, "calico", ["classic"]))
    planned = plan_of(raw)
    alone = {rule.services[0] for rule in planned.rules if len(rule.services) == 1 and rule.direction == "ingress"}
    unnoticed = set()
    for service in alone:
        without = replace(planned, rules=tuple(rule for rule in planned.rules if service not in rule.services))
        if next(differences("openstack", raw, without), None) is None:
            unnoticed.add(service)
    assert unnoticed <= {"controller-manager"}  # 10257 is within master (10250-10258)
