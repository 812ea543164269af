"""Encoding for the three clouds: what each wants to read, and back again without loss."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubeports import table
from kubeports.clouds import backend
from kubeports.clouds.resources import Addresses, Group, Reference, resolve
from kubeports.errors import InputError
from kubeports.plan import plan
from kubeports.rules import Plan
from kubeports.settings import parse
from kubeports.testing import differences

from tests.strategies import NETWORKS as NETWORK
from tests.strategies import on, plan_of
from tests.strategies import settings as stacks

CLOUDS = ("aws", "gcp", "openstack")


def made(cloud: str, **changes: Any) -> Plan:
    rows = table.load()
    base = {
        "cloud": cloud,
        "cluster": "c",
        "network": NETWORK[cloud],
        "calico": "classic",
        "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]},
    }
    return plan(rows, parse(base | changes, rows))


def encoded(cloud: str, **changes: Any) -> dict[str, Any]:
    planned = made(cloud, **changes)
    return {name: dict(r.inputs) for name, r in backend(cloud).encode(planned).items()}


@pytest.mark.parametrize("cloud", CLOUDS)
@given(raw=stacks())
def test_a_clouds_reader_reads_the_plan_in_what_its_encoder_writes(cloud: str, raw: dict[str, Any]) -> None:
    if cloud == "gcp" and ("egress" in raw or any("prefixes" in ref for ref in raw["refs"].values())):
        return
    assert differences(plan_of(on(cloud, raw))) == []


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
@given(raw=stacks())
def test_each_rule_says_its_services_and_its_reason(cloud: str, raw: dict[str, Any]) -> None:
    planned = plan_of(on(cloud, raw))
    found = [each.inputs["description"] for each in backend(cloud).encode(planned).values() if "description" in each.inputs]
    assert set(found) == {rule.description for rule in planned.rules}


def test_aws_writes_protocols_4_and_94_as_numbers_without_ports() -> None:
    resources = encoded("aws")
    for number in ("4", "94"):
        inputs = resources[f"nodes-in-{number}-all-self"]
        assert inputs["ip_protocol"] == number
        assert not {"from_port", "to_port"} & set(inputs)


def test_openstack_writes_protocols_4_and_94_as_numbers_without_ports() -> None:
    resources = encoded("openstack")
    for number in ("4", "94"):
        inputs = resources[f"nodes-in-{number}-all-ipv4-self"]
        assert inputs["protocol"] == number
        assert not {"port_range_min", "port_range_max"} & set(inputs)


def test_gcp_writes_protocol_4_as_ipip_and_94_as_a_number_without_ports() -> None:
    resources = encoded("gcp")
    assert resources["nodes-in-4-all-ipv4-tags"]["allows"] == [{"protocol": "ipip"}]
    assert resources["nodes-in-94-all-ipv4-tags"]["allows"] == [{"protocol": "94"}]


def test_aws_has_one_resource_for_a_group_in_both_families() -> None:
    sources = {"admins": ["10.20.0.0/16", "2001:db8::/32"], "clients": []}
    one, both = encoded("aws"), encoded("aws", families=["ipv4", "ipv6"], sources=sources)
    assert one["nodes-in-tcp-53-self"]["tags"] == {"kubeports:families": "ipv4"}
    assert both["nodes-in-tcp-53-self"]["tags"] == {"kubeports:families": "ipv4 ipv6"}
    assert {name for name in one if name.endswith("-self")} <= set(both)


def test_aws_has_exactly_one_source_a_rule() -> None:
    for inputs in encoded("aws", refs={"o": {"prefixes": "pl-1", "entries": 3}}).values():
        assert sum(key in inputs for key in ("cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id")) == 1


def test_aws_wants_minus_one_for_all_of_icmp() -> None:
    inputs = encoded("aws", services={"icmp": {"enabled": True}})["nodes-in-1-all-self"]
    assert (inputs["ip_protocol"], inputs["from_port"], inputs["to_port"]) == ("icmp", -1, -1)


def test_openstack_leaves_the_ports_out_where_all_are_meant() -> None:
    services = {"all": {"protocol": "tcp", "start": 1, "end": 65535, "source": ["10.1.0.0/16"], "why": "all of TCP"}}
    inputs = encoded("openstack", services=services)["nodes-in-tcp-1-65535-ipv4-10.1.0.0-16"]
    assert not {"port_range_min", "port_range_max"} & set(inputs)


def test_gcp_never_mixes_families_or_sources_of_other_ports() -> None:
    sources = {"admins": ["10.20.0.0/16", "2001:db8::/32"], "clients": ["0.0.0.0/0", "::/0"]}
    resources = encoded("gcp", families=["ipv4", "ipv6"], sources=sources)
    assert resources["nodes-in-tcp-22-ipv4-cidrs"]["source_ranges"] == ["10.20.0.0/16"]
    assert resources["nodes-in-tcp-22-ipv6-cidrs"]["source_ranges"] == ["2001:db8::/32"]
    for inputs in resources.values():
        ranges = inputs.get("source_ranges", inputs.get("destination_ranges", []))
        assert len({":" in each for each in ranges}) <= 1
        assert bool(ranges) != bool(inputs.get("source_tags")), "no source would mean the internet; two kinds are two Firewalls"
        assert len(ranges) == 1 or not {"0.0.0.0/0", "::/0"} & set(ranges)
        assert inputs["direction"] in ("INGRESS", "EGRESS")


def test_gcps_baseline_denies_after_what_is_allowed_and_before_the_networks_own_rules() -> None:
    resources = encoded("gcp")
    baseline = resources["nodes-deny-in-all-all-ipv4-any"]
    assert baseline["denies"] == [{"protocol": "all"}]
    assert baseline["priority"] == 65533
    assert all(inputs["priority"] < 65533 for inputs in resources.values() if "allows" in inputs)


def test_markers_become_ids() -> None:
    planned = made("aws", refs={"b": {"group": "sg-9"}})
    inputs = {"a": Group("nodes"), "b": [Reference("b"), "x"], "c": 1}
    assert resolve(inputs, {"nodes": "sg-1"}, planned.settings.refs) == {"a": "sg-1", "b": ["sg-9", "x"], "c": 1}


#: Logical names are a contract with every stack that exists: a new name is a new resource in the cloud.
NAMES = {
    "aws": {"nodes-in-tcp-22-ipv4-10.20.0.0-16", "nodes-in-4-all-self"},
    "gcp": {"nodes-in-tcp-22-ipv4-cidrs", "nodes-in-4-all-ipv4-tags", "nodes-deny-in-all-all-ipv4-any"},
    "openstack": {"nodes-in-tcp-22-ipv4-10.20.0.0-16", "nodes-in-4-all-ipv4-self"},
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_logical_names_stay(cloud: str) -> None:
    assert set(encoded(cloud)) >= NAMES[cloud]


def many(number: int) -> dict[str, Any]:
    return {"sources": {"admins": [f"10.{i}.0.0/24" for i in range(number)], "clients": []}}


def test_openstack_puts_many_cidrs_of_one_entry_into_an_address_group_that_entries_share() -> None:
    few, more = encoded("openstack", **many(16)), encoded("openstack", **many(17))
    assert not [name for name in few if "address" in name]
    (group,) = [name for name in more if name.startswith("addresses-ipv4-")]
    assert more[group] == {"addresses": [f"10.{i}.0.0/24" for i in range(17)]}
    named = [name for name, inputs in more.items() if inputs.get("remote_address_group_id") == Addresses(group)]
    assert named == ["nodes-in-tcp-22-ipv4-address_group", "nodes-in-tcp-6443-ipv4-address_group"]
    assert len(more) == len(few) - 32 + 3
    assert list(more).index(group) < min(map(list(more).index, named)), "it must be there before a rule names it"


def test_another_address_in_it_is_another_address_group_so_that_nobody_is_out_meanwhile() -> None:
    names = [{name for name in encoded("openstack", **many(number)) if name.startswith("addresses-")} for number in (17, 18, 17)]
    assert names[0] != names[1] and names[0] == names[2]


def test_the_limit_of_cidrs_is_the_stacks_to_set_and_the_quota_counts_the_rules_that_are_left() -> None:
    assert [name for name in encoded("openstack", limits={"cidrs": 1}, **many(2)) if name.startswith("addresses-")]
    assert not [name for name in encoded("openstack", limits={"cidrs": 500}, **many(100)) if name.startswith("addresses-")]
    hundred = made("openstack", **many(100))
    backend("openstack").limits(hundred, "c")
    with pytest.raises(InputError, match=r"limits\.cidrs"):
        backend("openstack").limits(made("openstack", limits={"cidrs": 500}, **many(100)), "c")


@given(number=st.integers(17, 60))
def test_the_reader_reads_what_is_in_an_address_group(number: int) -> None:
    assert differences(made("openstack", **many(number))) == []


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_reasons_that_are_too_long_together_are_refused_and_not_cut(cloud: str) -> None:
    own = {"protocol": "tcp", "start": 9200, "source": ["10.1.0.0/16"]}
    services = {f"metrics-{i}": own | {"why": f"{i} " + "x" * 110} for i in range(3)}
    planned = made(cloud, services=services)
    with pytest.raises(InputError, match="the reasons of metrics-0, metrics-1, metrics-2 have 373"):
        backend(cloud).limits(planned, "c")


def test_a_prefix_lists_entries_count_in_full_on_aws_and_the_message_says_so() -> None:
    refs = {"office": {"prefixes": "pl-0a", "entries": 30}}
    planned = made("aws", refs=refs, sources={"admins": ["@office"], "clients": []})
    with pytest.raises(
        InputError, match=r"7\d ingress rules of ipv4 .* \(a prefix list counts all its entries\), and EC2 takes 60"
    ):
        backend("aws").limits(planned, "c")


def test_a_new_group_on_openstack_counts_neutrons_own_two_rules() -> None:
    """A role's group has fewer rules of ours than the two that it comes with, which count until they are deleted."""
    own = {"etcd": "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f"}
    few = {"roles": True, "offline": False, "sources": {"admins": [], "clients": []}}
    counted = {}
    for name, existing in (("new", {}), ("theirs", {"registry": own["etcd"]})):
        with pytest.raises(InputError) as error:
            backend("openstack").limits(made("openstack", **few, existing=existing, limits={"rules": 1}), "c")
        counted[name] = int(re.search(r"(\d+) security group rules", str(error.value))[1])  # type: ignore[index]
    # Nobody has rules for the registry here: its group is empty, but for Neutron's own.
    assert counted["new"] == counted["theirs"] + 2
