"""Whatever the settings, the three clouds answer the same for a packet, and it is the requirement's answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubeports.rules import Plan, Rule

from tests.asked import at, packets
from tests.counts import counts
from tests.oracle import clouds, requirement
from tests.strategies import on, plan_of
from tests.strategies import settings as stacks
from tests.wire import Raw, wire

CLOUDS = ("aws", "gcp", "openstack")
#: Of each cloud; a user's machine tries fewer.
SETTINGS = 700 if os.environ.get("CI") == "true" else 150
PACKETS = 60
ASKED = 6000


def there(cloud: str, raw: dict[str, Any]) -> dict[str, Any]:
    """The settings on a cloud."""
    return on(cloud, raw) | {"limits": {"rules": 100 if cloud == "aws" else 5000}}


def differences(cloud: str, raw: dict[str, Any], stored: Raw, seed: int, number: int) -> Iterator[requirement.Packet]:
    """The packets for which a cloud does not do as the requirement says."""
    ids = clouds.groups(cloud, stored, raw["cluster"]) | raw["existing"]
    crossing = cloud != "openstack" and len(raw["families"]) == 2
    passes = clouds.ALLOWS[cloud](stored)
    for packet in packets(raw, seed, number):
        counts[f"packets checked on what {cloud} would store"] += 1
        if passes(at(cloud, raw, ids, packet)) != requirement.allowed(raw, packet, crossing):
            yield packet


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_does_what_the_requirement_says(cloud: str) -> None:
    @settings(max_examples=SETTINGS, deadline=None)
    @given(stacks(cloud, existing=True), st.integers(0, 2**32))
    def holds(raw: dict[str, Any], seed: int) -> None:
        raw = there(cloud, raw)
        counts[f"settings tried on what {cloud} would store"] += 1
        assert list(differences(cloud, raw, wire(plan_of(raw)), seed, PACKETS)) == []

    holds()


RAW: dict[str, Any] = {
    "cluster": "c",
    "families": ["ipv4", "ipv6"],
    "offline": False,
    "nfs": False,
    "calico": "ipip",
    "roles": False,
    "refs": {},
    "services": {"icmp": {"enabled": True}, "own": {"protocol": 50, "source": ["10.40.0.0/24"], "why": "IPsec"}},
    "egress": ["10.7.0.0/16", "2001:db8:7::/48"],
    "sources": {
        "admins": ["10.20.0.0/16", "2001:db8:20::/48"],
        "clients": ["198.51.100.0/24"],
        "cluster": ["self", "10.8.0.0/16", "2001:db8:8::/48"],
    },
}


def altered(rule: Rule, **changes: Any) -> Rule:
    return Rule(**{name: changes.get(name, getattr(rule, name)) for name in Rule.__dataclass_fields__})


def ssh(rule: Rule) -> bool:
    return "ssh" in rule.services


def merged(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Administrators' and clients' sources, in one."""
    sources = {(rule.family, rule.source) for rule in rules if rule.direction == "ingress" and rule.source.kind == "cidr"}
    wider = {altered(rule, source=source) for rule in rules if ssh(rule) for family, source in sources if family == rule.family}
    return (*rules, *(wider - set(rules)))


MISTAKES: dict[str, Callable[[tuple[Rule, ...]], tuple[Rule, ...]]] = {
    "4 and 94 swapped": lambda rules: tuple(altered(r, protocol={4: 94}.get(r.protocol or 0, r.protocol)) for r in rules),
    "1 and 58 swapped": lambda rules: tuple(altered(r, protocol={1: 58, 58: 1}.get(r.protocol or 0, r.protocol)) for r in rules),
    "a row of the stack's own forgotten": lambda rules: tuple(r for r in rules if "own" not in r.services),
    "a family dropped": lambda rules: tuple(r for r in rules if r.family == "ipv4"),
    "two sources merged": merged,
    "a port shifted": lambda rules: tuple(altered(r, from_port=23, to_port=23) if ssh(r) else r for r in rules),
    "egress forgotten": lambda rules: tuple(r for r in rules if r.direction == "ingress"),
}


@cache
def right(cloud: str) -> tuple[dict[str, Any], Plan]:
    """The settings, and their plan, which has no mistake."""
    raw = there(cloud, RAW)
    good = plan_of(raw)
    assert list(differences(cloud, raw, wire(good), 1, ASKED)) == []
    return raw, good


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_seeded_mistake_is_seen_on_every_cloud(cloud: str, mistake: str) -> None:
    raw, good = right(cloud)
    wrong = Plan(good.settings, MISTAKES[mistake](good.rules), good.disabled, good.warnings)
    assert next(differences(cloud, raw, wire(wrong), 1, ASKED), None) is not None


def test_the_baseline_is_what_closes_googles_own_rules() -> None:
    raw = there("gcp", RAW)
    good = plan_of(raw)
    without = Plan(good.settings, tuple(rule for rule in good.rules if rule.action == "allow"), good.disabled, good.warnings)
    ssh_from_anywhere = [packet for packet in differences("gcp", raw, wire(without), 1, 4000) if packet.port == 22]
    assert ssh_from_anywhere
