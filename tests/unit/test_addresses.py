"""References to addresses that other resources make: plain ones are networks, Outputs are checked when they are known."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from kubeports.errors import InputError
from kubeports.known import addresses
from kubeports.rules import Plan

from tests.strategies import NETWORKS, plan_of
from tests.unit.test_three_clouds import CLOUDS
from tests.wire import wire

#: Made when the module is loaded: an Output wants an event loop, which other tests take away.
LATER: Any = pulumi.Output.from_input("203.0.113.7")
OTHER: Any = pulumi.Output.from_input("198.51.100.9")


def stack(cloud: str, cidr: Any, **more: Any) -> dict[str, Any]:
    sources = {"admins": ["@nat"], "clients": []}
    refs = {"nat": {"cidr": cidr, **more.pop("ref", {})}}
    return {"cloud": cloud, "cluster": "c", "network": NETWORKS[cloud], "sources": sources, "refs": refs, **more}


def of(planned: Plan, service: str) -> set[tuple[str, str, str]]:
    return {(rule.family, rule.source.kind, rule.source.value) for rule in planned.rules if service in rule.services}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_plain_address_is_the_network_itself(cloud: str) -> None:
    named = plan_of(stack(cloud, "203.0.113.7"))
    assert of(named, "ssh") == {("ipv4", "cidr", "203.0.113.7/32")}
    listed = plan_of(stack(cloud, "203.0.113.7", sources={"admins": ["203.0.113.7/32"], "clients": []}))
    assert named.rules == listed.rules and wire(named) == wire(listed)
    assert not any("nat" in warning for warning in named.warnings)
    assert any("refs.nat is not used" in warning for warning in listed.warnings)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_address_that_is_not_known_is_a_rule_of_its_own(cloud: str) -> None:
    assert of(plan_of(stack(cloud, LATER)), "ssh") == {("ipv4", "ref", "nat")}
    both = stack(cloud, LATER, families=["ipv4", "ipv6"], ref={"family": "ipv6"})
    assert of(plan_of(both), "ssh") == {("ipv6", "ref", "nat")}
    with pytest.raises(InputError, match=r"refs.nat: lacks family: an address has one family. Fix: add family: ipv4"):
        plan_of(stack(cloud, LATER, families=["ipv4", "ipv6"]))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_address_is_a_destination_on_every_cloud(cloud: str) -> None:
    more = {"egress": ["@nat"], "sources": {"cluster": ["self", "10.0.0.0/16"], "admins": [], "clients": []}}
    for cidr, kind in ((LATER, "ref"), ("203.0.113.7", "cidr")):
        rules = [rule for rule in plan_of(stack(cloud, cidr, **more)).rules if rule.direction == "egress"]
        assert kind in {rule.source.kind for rule in rules if rule.source.value in ("nat", "203.0.113.7/32")}


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ({"cidr": "0.0.0.0/0"}, "refs.nat.cidr: 0.0.0.0/0 is 100% of all ipv4 addresses"),
        ({"cidr": "203.0.113.7", "family": "ipv6"}, "refs.nat.family: is 'ipv6', and 203.0.113.7/32 is not"),
        ({"cidr": "203.0.113.7", "entries": 3}, "refs.nat.entries: belongs to prefixes"),
        ({"cidr": "203.0.113.7", "group": "sg-0a"}, "refs.nat: must have exactly one of the keys group, prefixes, cidr"),
        ({"cidr": "2001:db8::1"}, "refs.nat.cidr: 2001:db8::1/128 is ipv6, which is not enabled"),
        ({"cidr": 5}, "refs.nat.cidr: 5 is not an address"),
        ({"cidr": ["203.0.113.7"]}, "refs.nat.cidr: .* is not an address"),
    ],
)
def test_what_can_be_no_address_is_refused(ref: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_of(stack("aws", "203.0.113.7") | {"refs": {"nat": ref}})


@pytest.mark.parametrize("name", ["tags", "cidrs", "any"])
def test_a_name_that_rules_of_gcp_end_on_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is part of the names of rules"):
        plan_of(stack("gcp", LATER) | {"refs": {name: {"cidr": LATER}}, "sources": {"admins": [], "clients": []}})


def test_a_known_address_is_canonical() -> None:
    assert addresses(plan_of(stack("aws", LATER)), {"nat": "203.0.113.7"}) == {"nat": "203.0.113.7/32"}
    assert addresses(plan_of(stack("aws", LATER)), {"nat": "203.0.113.0/29"}) == {"nat": "203.0.113.0/29"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0.0.0.0/0", r"^refs.nat.cidr: 0.0.0.0/0 is 100% of all ipv4 addresses"),
        ("0.0.0.0/1", r"^refs.nat.cidr: 0.0.0.0/1 is \d+% of all ipv4 addresses"),
        ("::/0", r"^refs.nat.cidr: ::/0 is ipv6"),
        ("::ffff:203.0.113.7", r"^refs.nat.cidr: "),
        ("2001:db8::1", r"^refs.nat.cidr: 2001:db8::1/128 is ipv6"),
        ("203.0.113.7/24", r"^refs.nat.cidr: .* is not a network address in canonical form"),
        ("203.0.113.7\n", r"^refs.nat.cidr: '203.0.113.7\\n' is not a valid CIDR"),
        ("", r"^refs.nat.cidr: '' is not a valid CIDR"),
        (7, r"^refs.nat.cidr: 7 is not an address"),
        (None, r"^refs.nat.cidr: null is not an address"),
        ("10.20.0.0/16", r"^refs.nat.cidr: 10.20.0.0/16 is listed for (ssh|apiserver) already"),
        ("198.51.100.9", r"^refs.other.cidr: 198.51.100.9/32 is refs.nat too"),
    ],
)
def test_an_address_is_checked_when_it_is_known(value: object, message: str) -> None:
    raw = stack("aws", LATER, sources={"admins": ["10.20.0.0/16", "@nat", "@other"], "clients": []})
    raw["refs"]["other"] = {"cidr": OTHER}
    with pytest.raises(InputError, match=message):
        addresses(plan_of(raw), {"nat": value, "other": "198.51.100.9"})
