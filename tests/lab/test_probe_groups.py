"""A probe of nodes behind OpenStack's security groups: what Neutron stores for the stack, as rules of each node's kernel.

tests/wire.py says what Neutron stores, which the engine tests hold against the real one. Faults are those of security groups;
what the probe must report is what the oracle of Neutron's rules sees, and nothing else.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest
from kubeports.probe.differences import Result, line_of
from kubeports.probe.hosts import Host
from kubeports.rules import Plan

from sandbox.lab import Lab
from tests.counts import counts
from tests.lab import probing
from tests.oracle import clouds
from tests.wire import Raw, wire

#: What a port of Neutron's lets in besides: known connections, neighbours.
_TABLE = """
flush ruleset
table inet neutron {{
  chain in {{
    type filter hook input priority 0; policy drop;
    iif "lo" accept
    ct state established,related accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
{lines}  }}
}}
"""


def carried(of: Plan, host: Host) -> frozenset[str]:
    """The ids of the groups of a host; an outside host has none."""
    roles = host.roles or ("nodes",)
    return frozenset(f"id-{each}" for role in roles for each in of.settings.carried(role)) if host.is_node else frozenset()


def load(lab: Lab, of: Plan, raw: Raw) -> None:
    """Load each node's groups."""
    hosts = probing.hosts(lab, ())
    for node in hosts:
        mine = [
            each for each in raw["rules"] if each["direction"] == "ingress" and each["security_group_id"] in carried(of, node)
        ]
        lines = "".join(f"    {line} accept\n" for each in mine for line in matches(of, raw, each, hosts))
        lab[node.name].nft(_TABLE.format(lines=lines))


def matches(of: Plan, raw: Raw, rule: Raw, hosts: list[Host]) -> Iterator[str]:
    """A rule of Neutron's as nft matches it."""
    ip, family = ("ip", "ipv4") if rule["ethertype"] == "IPv4" else ("ip6", "ipv6")
    sources = [rule["remote_ip_prefix"]] if rule["remote_ip_prefix"] else []
    if rule["remote_group_id"]:
        sources = [host.addresses[family] for host in hosts if rule["remote_group_id"] in carried(of, host)]  # type: ignore[index]
    if rule["remote_address_group_id"]:
        (held,) = [each for each in raw["address_groups"] if each["id"] == rule["remote_address_group_id"]]
        sources = [each for each in held["addresses"] if (":" in each) == (ip == "ip6")]
    name, first = rule["protocol"], rule["port_range_min"]
    what = "" if name is None else f"meta l4proto {clouds.NAMES.get(name, name)}"
    what = f"{name} dport {first}-{rule['port_range_max']}" if first is not None else what
    if sources:
        yield f"{ip} saddr {{ {', '.join(sources)} }} {what}"


def meant(of: Plan, raw: Raw, said: Result) -> set[tuple[str, str, str | None, str]]:
    """What a probe must report: where Neutron's rules and the plan answer a question that was asked differently."""
    plan = said.found.schedule
    passes = clouds.openstack(raw)
    found: set[tuple[str, str, str | None, str]] = set()
    for (i, j), verdicts in plan.verdicts.items():
        sender, receiver = plan.hosts[i], plan.hosts[j]
        for item in (*plan.ports[i, j], *plan.raw[i, j]):
            question, verdict = plan.questions[item.question], verdicts[item.question]
            peer = ip_address(sender.addresses[question.family])
            packet = clouds.Packet(question.protocol, question.port, peer, carried(of, sender), carried(of, receiver))
            if passes(packet) != verdict.allowed:
                service = line_of(question, verdict)[0] or question.service
                found.add(("blocked" if verdict.allowed else "open", service, sender.name, receiver.name))
    return found


def removed(raw: Raw, rule: Raw) -> None:
    raw["rules"].remove(rule)


def wrong_source(raw: Raw, rule: Raw) -> None:
    rule["remote_group_id"] = None
    rule["remote_ip_prefix"] = "198.18.0.0/15" if rule["ethertype"] == "IPv4" else "2001:db8:bad::/48"


def number_as_port(raw: Raw, rule: Raw) -> None:
    number = int(rule["protocol"])
    rule |= {"protocol": "tcp", "port_range_min": number, "port_range_max": number}


def one_family(raw: Raw, rule: Raw) -> None:
    like = ("security_group_id", "protocol", "port_range_min", "port_range_max")
    same = [each for each in raw["rules"] if [each[key] for key in like] == [rule[key] for key in like]]
    raw["rules"] = [each for each in raw["rules"] if each not in same or each["ethertype"] == "IPv4"]


#: A fault of security groups -> what it does to a rule, and to which rules it may happen.
FAULTS: dict[str, tuple[Callable[[Raw, Raw], None], Callable[[Raw], bool]]] = {
    "removed": (removed, lambda rule: True),
    "wrong source": (wrong_source, lambda rule: bool(rule["remote_group_id"])),
    "protocol number as port": (number_as_port, lambda rule: rule["protocol"] in ("4", "94")),
    "one family": (one_family, lambda rule: rule["ethertype"] == "IPv6" and rule["port_range_min"] is not None),
}


@pytest.mark.slow
def test_behind_the_stacks_own_groups_all_is_as_planned(lab: Lab) -> None:
    of = probing.planned()
    load(lab, of, wire(of))
    said = probing.probe(lab, of)
    assert not said.differences, probing.shown(said.differences)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_security_groups_is_found_and_nothing_else(lab: Lab, kind: str, seed: int) -> None:
    of = probing.planned()
    raw = copy.deepcopy(wire(of))
    change, fits = FAULTS[kind]
    # ssh carries the probe.
    rules = [each for each in raw["rules"] if each["direction"] == "ingress" and each["port_range_min"] != 22 and fits(each)]
    rule = random.Random(f"{kind} {seed}").choice(rules)
    change(raw, rule)
    load(lab, of, raw)
    said = probing.probe(lab, of, seed)
    wanted = meant(of, raw, said)
    assert wanted and probing.shown(said.differences) == wanted
    counts["faults of security groups put in, and found by a probe"] += 1
