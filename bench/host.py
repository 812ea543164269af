"""A node's own firewall for many addresses: to render it, to load it, and to update it."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from kubeports import check
from kubeports.host.ruleset import TABLE, Ruleset, ruleset
from kubeports.nodes import Nodes, read
from kubeports.rules import Plan

from sandbox.lab import Lab, Node

NODES = 500
SIZES = (10, 1000, 10_000)
ROLES = (["control-plane", "etcd"], ["worker"], ["worker"], ["worker"])


def bench_host() -> None:
    """From 10 to 10,000 CIDRs of administrators, two rows have them; 500 nodes with roles."""
    print(f"host, {NODES} nodes: CIDRs, rules of a node, elements of its sets; CPU ms of the plan and of a node's rules,")
    print("  wall ms of nft for all and for one CIDR more; sets that this touches")
    nodes = read(list(map(_node, range(NODES))), "nodes")
    with Lab([Node("node-1")], {}, ssh=False) as lab:
        for number in SIZES:
            start = time.process_time()
            planned = planned_for(number)
            planning = time.process_time()
            rules = _rules(planned, nodes)
            text = rules.text()
            rendered = time.process_time()
            changed = _rules(planned_for(number + 1), nodes).update({name: each.elements for name, each in rules.sets.items()})
            loading = [_wall(lab, each) for each in (text, changed)]
            touched = len({line.split()[4] for line in changed.splitlines()})
            elements = sum(len(each.elements) for each in rules.sets.values())
            times = ((planning - start) * 1000, (rendered - planning) * 1000, *loading)
            shown = " ".join(f"{each:7.0f}" for each in times)
            print(f"  {number:6} {len(rules.ingress):4} {elements:6} {shown}   {touched} of {len(rules.sets)}")
            lab["node-1"].nft(f"delete table inet {TABLE}")


def _wall(lab: Lab, text: str) -> float:
    """The milliseconds that nft takes for commands, all or none."""
    start = time.perf_counter()
    lab["node-1"].nft(text)
    return (time.perf_counter() - start) * 1000


def planned_for(number: int) -> Plan:
    """The plan of a stack with so many CIDRs of administrators, no two of them adjacent."""
    admins = [str(IPv4Network((int(IPv4Address("100.64.0.0")) + 512 * i, 24))) for i in range(number)]
    sources = {"admins": admins, "clients": []}
    raw: dict[str, Any] = {"cloud": "host", "cluster": "bench", "roles": True, "sources": sources}
    return check.check(None, raw)


def _rules(planned: Plan, nodes: Nodes) -> Ruleset:
    return ruleset(planned, nodes, ("control-plane", "etcd"), "node-1")


def _node(number: int) -> dict[str, Any]:
    address = IPv4Address(int(IPv4Address("10.77.0.11")) + number)
    return {"name": f"n{number}", "roles": ROLES[number % 4], "addresses": [str(address)]}
