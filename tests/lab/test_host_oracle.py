"""The audit of nodes' own firewalls against the oracle, as test_audit.py asks the clouds: the kernel lists the rules."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from kubeports import clouds as product
from kubeports.audit.compare import compare
from kubeports.clouds.reading import Groups, Reading
from kubeports.host.ruleset import ruleset
from kubeports.rules import Plan

from sandbox.lab import Lab
from tests.asked import PORTS, PROTOCOLS, STRANGERS, addresses, icmp_kind
from tests.counts import counts
from tests.lab.hosts import nodes_of
from tests.lab.test_host_packets import questions, required
from tests.oracle import clouds
from tests.oracle.nftables import nftables
from tests.strategies import cidrs, plan_of
from tests.strategies import settings as stacks
from tests.unit.test_audit import allowed, is_harmless, speaks, witness

SETTINGS = 60 if os.environ.get("CI") == "true" else 20
PACKETS = 60
NODE = "node-1"
held = hypothesis_settings(
    max_examples=SETTINGS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a smaller example would take minutes of real rules
)


def listed(lab: Lab, name: str) -> dict[str, Any]:
    """The rules of a node, as its kernel has them."""
    found: dict[str, Any] = json.loads(lab[name].run(["nft", "-n", "--json", "list", "ruleset"]).stdout)
    return found


def loaded(lab: Lab, planned: Plan, *more: str) -> tuple[Plan, dict[str, Any], Groups]:
    """A node with the rules of a plan and what else is loaded: its own plan, what was read, and its groups."""
    nodes = nodes_of(lab).combined(planned.settings)
    lab[NODE].nft("flush ruleset\n" + ruleset(planned, nodes, nodes.by_name(NODE).roles, NODE).text())
    for text in more:
        lab[NODE].nft(text)
    raw = {"rulesets": {NODE: listed(lab, NODE)}, "nodes": nodes}
    ((_, mine, reading),) = product.parts("host", planned, Reading(raw, Groups({})))
    return mine, dict(reading.raw), reading.groups


@held
@given(raw=stacks("host"), seed=st.integers(0, 2**32))
def test_a_node_that_has_the_plan_has_no_difference_and_the_oracle_agrees(lab: Lab, raw: dict[str, Any], seed: int) -> None:
    planned = plan_of(raw)
    mine, there, groups = loaded(lab, planned)
    assert compare(mine, there, groups) == []
    nodes = nodes_of(lab).combined(planned.settings)
    for packet in questions(raw, nodes, nodes.by_name(NODE), seed, PACKETS):
        asked = clouds.Packet(packet.protocol, packet.port, packet.peer, frozenset(), frozenset(), packet.ingress)
        assert nftables(there, asked) == required(raw, nodes.by_name(NODE), packet), packet
    counts["packets checked on what nodes' own firewalls list"] += PACKETS


@st.composite
def changes(draw: st.DrawFn, families: Iterable[str]) -> list[str]:
    """What somebody may have loaded besides: rules in our table or in one of their own, which accept or drop."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        family = draw(st.sampled_from(list(families)))
        peer = draw(st.one_of(cidrs(family), st.just("0.0.0.0/0" if family == "ipv4" else "::/0")))
        first = draw(st.sampled_from([1, 4, 22, 23, 2379, 6443, 30000, 30500]))
        last = min(65535, first + draw(st.sampled_from([0, 0, 1, 3000])))
        kind = draw(st.sampled_from([f"tcp dport {first}-{last}", f"udp dport {first}", "meta l4proto 4", "meta l4proto 94", ""]))
        match = f"{'ip' if family == 'ipv4' else 'ip6'} saddr {peer} {kind}"
        if draw(st.booleans()):
            found.append(f"insert rule inet kubeports incoming {match} {draw(st.sampled_from(['accept', 'drop']))}")
        else:
            hook = f"type filter hook input priority {number}; policy accept;"
            found.append(f"table inet other{number} {{ chain in {{ {hook} {match} drop; }}; }}")
    return found


def deleted(there: dict[str, Any], choose: random.Random) -> list[str]:
    """Some of the rules that accept, taken away."""
    rules = [entry["rule"] for entry in there["ruleset"]["nftables"] if entry.get("rule", {}).get("comment")]
    gone = [rule for rule in rules if {"accept": None} in rule["expr"] and choose.random() < 0.1]
    return [f"delete rule inet {rule['table']} {rule['chain']} handle {rule['handle']}" for rule in gone]


def asked(raw: dict[str, Any], planned: Plan, choose: random.Random) -> Iterator[clouds.Packet]:
    """Packets at the edges of what the settings name, and of what was loaded besides."""
    peers = [*addresses(raw), *map(ip_address, STRANGERS), *(ip_address(a) for a in ("10.77.0.12", "fd77::12"))]
    restricted = any(rule.direction == "egress" for rule in planned.rules)
    for _ in range(PACKETS):
        protocol = choose.choice((*PROTOCOLS, 6, 6, 17))
        port = choose.choice([*PORTS, 4, 23, 94, 30500]) if protocol in (6, 17) else icmp_kind(choose, protocol)
        ingress = not restricted or choose.random() < 0.8
        yield clouds.Packet(protocol, port, choose.choice(peers), frozenset(), frozenset({"id-nodes"}), ingress)


def named(item: Any) -> Iterator[str]:
    """The networks that rules name."""
    if isinstance(item, dict) and "prefix" in item:
        yield f"{item['prefix']['addr']}/{item['prefix']['len']}"
    elif isinstance(item, dict | list):
        for each in item.values() if isinstance(item, dict) else item:
            yield from named(each)


@held
@given(data=st.data(), raw=stacks("host"), seed=st.integers(0, 2**32))
def test_what_the_oracle_sees_the_audit_finds_and_what_it_finds_the_oracle_sees(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, data: st.DataObject, raw: dict[str, Any], seed: int
) -> None:
    choose, planned = random.Random(seed), plan_of(raw)
    _, there, _ = loaded(lab, planned)
    # Handles are counted anew with a table.
    mine, there, groups = loaded(lab, planned, "\n".join(deleted(there, choose)), *data.draw(changes(raw["families"])))
    found = compare(mine, there, groups)
    for packet in asked(raw, mine, choose):
        if f"ipv{packet.peer.version}" in raw["families"] and nftables(there, packet) != allowed(mine, packet):
            assert any(speaks(each, packet) for each in found), (packet, found)
    monkeypatch.setitem(clouds.ALLOWS, "host", lambda rules: partial(nftables, rules))
    for each in found:
        if each.kind not in ("surplus", "denied") and not is_harmless(mine, each):
            assert witness("host", mine, there, raw, each, named(there["ruleset"])), each
    counts["audits of nodes' own firewalls that somebody had tampered with"] += 1
    counts["differences found on nodes, each with a packet that shows it"] += len(found)
