"""Large sets of rules before policies, audit and explain: CPU seconds on one core, and how they grow."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from kubeports import table
from kubeports.audit.compare import compare
from kubeports.clouds.fields import Declared
from kubeports.clouds.reading import Groups
from kubeports.explain.answer import explain
from kubeports.explain.ways import ways
from kubeports.plan import plan
from kubeports.policies.expected import Expected
from kubeports.policies.pack import STACK_POLICIES
from kubeports.policies.stack import Stack
from kubeports.rules import Plan
from kubeports.settings import parse

_FIREWALL = "gcp:compute/firewall:Firewall"
_RULE = "openstack:networking/secGroupRule:SecGroupRule"
_OWN = {"gcp": {"network": "default"}, "openstack": {}}


def _planned(cloud: str, **more: Any) -> Plan:
    sources = {"admins": ["10.20.0.0/16"], "clients": ["192.0.2.0/24"]}
    return plan(table.load(), parse({"cloud": cloud, "cluster": "bench", "sources": sources, **_OWN[cloud], **more}))


def _judged(cloud: str, resources: list[Declared]) -> None:
    """All policies over a stack, with a plan and without one."""
    planned = _planned(cloud)
    expected = Expected(planned.settings.json() | {"existing": {"nodes": "group-0"}}, planned.rules)
    for plans in ([expected], []):
        stack = Stack(resources, plans)
        for policy in STACK_POLICIES:
            list(policy.check(stack, {}))


def _firewall(name: str, **more: Any) -> Declared:
    inputs = {"network": "default", "direction": "INGRESS", "targetTags": ["group-0"], "description": "d", **more}
    return Declared(_FIREWALL, name, f"urn:{name}", inputs)


def _cidrs(number: int, first: int = 10) -> list[str]:
    return [f"{first + i // 32768}.{i // 128 % 256}.{i % 128 * 2}.0/24" for i in range(number)]


def _nested(number: int) -> list[str]:
    return [f"{1000 + i}-{60000 - i}" for i in range(number)]


def nested_ports(n: int) -> None:
    ports = {"protocol": "tcp", "ports": _nested(n)}
    _judged("gcp", [_firewall("nested", allows=[ports], sourceRanges=_cidrs(n))])


def allow_and_deny(n: int) -> None:
    allow = _firewall("allow", allows=[{"protocol": "tcp", "ports": _nested(n)}], sourceRanges=_cidrs(n))
    apart = [f"{1005 + i * 7}-{59000 - i * 3}" for i in range(n)]
    narrow = [f"10.{i // 128}.{i % 128 * 2}.64/26" for i in range(n)]
    deny = _firewall("deny", denies=[{"protocol": "tcp", "ports": apart}], sourceRanges=narrow, priority=900)
    _judged("gcp", [allow, deny])


def _rule(name: str, group: str, first: int, last: int, source: str) -> Declared:
    inputs: dict[str, Any] = {
        "securityGroupId": group,
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": "tcp",
        "description": "d",
    }
    inputs |= {"portRangeMin": first, "portRangeMax": last, "remoteIpPrefix": source}
    return Declared(_RULE, name, f"urn:{name}", inputs)


def nested_rules(n: int) -> None:
    _judged("openstack", [_rule(f"r{i}", "group-0", 1000 + i, 60000 - i, c) for i, c in enumerate(_cidrs(n))])


def many_groups(n: int) -> None:
    cidrs = _cidrs(n)
    _judged("openstack", [_rule(f"r{i}", f"group-{i % 200}", 1 + i % 9000, 1 + i % 9000, cidrs[i]) for i in range(n)])


def denied_addresses(n: int) -> None:
    planned = _planned("gcp")

    def rule(name: str, priority: int, kind: str, entry: dict[str, Any], ranges: list[str]) -> dict[str, Any]:
        return {"name": name, "direction": "INGRESS", "priority": priority, kind: [entry], "sourceRanges": ranges}

    every, smtp = {"IPProtocol": "all"}, {"IPProtocol": "tcp", "ports": ["25"]}
    hosts = [f"10.{i // 65536}.{i // 256 % 256}.{i % 256}/32" for i in range(0, n * 2, 2)]
    rules = [
        rule("allow", 1000, "allowed", every, ["0.0.0.0/0"]),
        rule("deny", 900, "denied", every, hosts),
        rule("smtp", 900, "denied", smtp, ["0.0.0.0/0"]),
    ]
    compare(planned, {"firewalls": rules}, Groups({"nodes": ("bench-nodes",)}))


def explained(n: int) -> None:
    args = {"cloud": "openstack", "cluster": "bench", "sources": {"admins": _cidrs(n, 20), "clients": _cidrs(n, 60)}}
    ways(args, explain(args, "tcp/1-65535 from world"))


def explained_egress(n: int) -> None:
    entries = [{"protocol": "tcp", "start": 1000 + i, "to": [cidr]} for i, cidr in enumerate(_cidrs(n))]
    sources = {"admins": ["10.20.0.0/16"], "clients": []}
    args = {"cloud": "openstack", "cluster": "bench", "sources": sources, "egress": entries, "limits": {"rules": 10_000}}
    ways(args, explain(args, "tcp/1-65535 to 0.0.0.0/0"))


#: What, the goal in CPU seconds at the last of the sizes, the sizes, and how many rules times CIDRs a size has.
CASES: dict[str, tuple[Callable[[int], None], float, tuple[int, ...], Callable[[int], int]]] = {
    "policies: one GCP firewall, n nested port ranges x n CIDRs": (nested_ports, 2, (64, 128, 256), lambda n: n * n),
    "policies: two GCP firewalls, allow and deny n x n": (allow_and_deny, 2, (20, 40, 80), lambda n: n * n),
    "policies: n nested ranges on one group": (nested_rules, 5, (500, 1000, 2000), lambda n: n),
    "policies: n ordinary rules on 200 groups": (many_groups, 3, (2500, 5000, 10_000), lambda n: n),
    "audit: allow all, deny all from n /32s, deny tcp/25": (denied_addresses, 3, (250, 500, 1000), lambda n: n),
    "explain tcp/1-65535 from the internet, n CIDRs in two words": (explained, 3, (750, 1500, 3000), lambda n: n),
    "explain tcp/1-65535 to the internet, n entries of egress": (explained_egress, 3, (450, 900, 1800), lambda n: n),
}


def measured() -> Iterator[tuple[str, float, list[tuple[int, int, float]]]]:
    """Each case with its goal, and of each size: n, rules times CIDRs, CPU seconds."""
    for name, (run, goal, sizes, amount) in CASES.items():
        seconds = []
        for n in sizes:
            start = time.process_time()
            run(n)
            seconds.append((n, amount(n), time.process_time() - start))
        yield name, goal, seconds


def bench_rules() -> None:
    """Print the seconds of each case, and its growth: seconds per rules x CIDRs x log of these, from one size to the next."""
    print("large sets of rules: CPU seconds by n; goal; growth against n log n in rules x CIDRs (1: exactly so)")
    for name, goal, seconds in measured():
        rates = [taken / (amount * math.log2(amount)) for _, amount, taken in seconds]
        growth = ", ".join(f"{after / before:.2f}" for before, after in pairwise(rates))
        told = ", ".join(f"{n}: {taken:.2f}" for n, _, taken in seconds)
        print(f"  {name}: {told}; goal {goal:g}; {growth}")
        sys.stdout.flush()
