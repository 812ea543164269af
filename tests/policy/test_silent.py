"""What policies once passed in silence: each fault with its whole kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kubeports.check import check
from kubeports.clouds.fields import Declared
from kubeports.policies import checks
from kubeports.policies.stack import Stack
from kubeports.rules import Plan, Source
from kubeports.testing import declared
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from tests.policy.sdk import judge
from tests.policy.spellings import GROUP, Declaration, groups
from tests.policy.test_pack import NETWORK, SMALL, component, planned

LIST = Declaration("aws.ec2.ManagedPrefixList", "office", {"name": "office", "address_family": "IPv4", "max_entries": 3})
INTERNET = {"cidr": "0.0.0.0/0", "description": "all"}
LISTS = {
    "inline": [Declaration(LIST.cls, LIST.name, LIST.args | {"entries": [INTERNET]})],
    "beside": [
        LIST,
        Declaration("aws.ec2.ManagedPrefixListEntry", "all", {"prefix_list_id": f"{GROUP}office", "cidr": "0.0.0.0/0"}),
    ],
}


def naming_a_list(way: str) -> list[Declaration]:
    """tcp/22 from the list, in one of the ways in which AWS rules are written."""
    ssh: dict[str, Any] = {"from_port": 22, "to_port": 22, "description": "ssh"}
    if way == "inline":
        block = ssh | {"protocol": "tcp", "prefix_list_ids": [f"{GROUP}office"]}
        return [Declaration("aws.ec2.SecurityGroup", "nodes", {"description": "nodes", "ingress": [block]})]
    if way == "legacy":
        args = ssh | {"type": "ingress", "protocol": "tcp", "prefix_list_ids": [f"{GROUP}office"]}
        rule = Declaration("aws.ec2.SecurityGroupRule", "ssh", args | {"security_group_id": f"{GROUP}nodes"})
    else:
        args = ssh | {"ip_protocol": "tcp", "prefix_list_id": f"{GROUP}office", "security_group_id": f"{GROUP}nodes"}
        rule = Declaration("aws.vpc.SecurityGroupIngressRule", "ssh", args)
    return [*groups("aws standalone"), rule]


@pytest.mark.parametrize("lost", ["settings", "rules", "both", "unknown"])
@pytest.mark.parametrize("cloud", ["aws", "gcp", "openstack"])
def test_a_firewall_without_a_plan_in_its_outputs_is_reported(cloud: str, lost: str) -> None:
    """No policy would report the rows that it lacks. It may be an older component, or one of another package."""

    def without(each: Declaration) -> Declaration:
        if each.cls != "kubeports.Firewall":
            return each
        if lost == "unknown":
            return replace(each, args=each.args | {"settings": UNKNOWN_STRING_VALUE})
        return replace(each, args={key: value for key, value in each.args.items() if lost not in (key, "both")})

    made = [each for each in map(without, component(planned(cloud))) if "in-tcp-2379" not in each.name]
    (says,) = judge(made).pop("settings")
    assert says.startswith("the outputs of the Firewall fw lack settings or rules: ")
    beside = {"settings": {"cloud": cloud} | SMALL | NETWORK[cloud]}
    assert set(judge(made, beside)) == {"complete"}, "which plans from the settings beside the program"
    other = [replace(each, name="other") for each in made if each.cls == "kubeports.Firewall"]
    assert set(judge([*made, *other], beside)) == {"complete", "settings"}, "of two the settings are those of one"
    (unusable,) = judge(made, {"settings": beside["settings"] | {"nfs": "yes"}})["settings"]
    assert "nfs" in unusable, "one fault is one problem"


@pytest.mark.parametrize("held", LISTS)
@pytest.mark.parametrize("way", ["standalone", "legacy", "inline"])
@pytest.mark.parametrize("with_plan", [False, True])
def test_a_prefix_list_of_the_program_is_read_as_its_networks(held: str, way: str, with_plan: bool) -> None:
    plan = component(planned("aws")) if with_plan else []
    assert "world-open" in judge([*plan, *LISTS[held], *naming_a_list(way)])


@pytest.mark.parametrize(
    ("changes", "entry"),
    [({"calico": "vxlan"}, "179"), ({"services": {"metrics-server": {"enabled": False}}}, "8443"), ({"nfs": False}, "2049")],
)
def test_a_row_that_is_off_is_open_to_nobody(changes: dict[str, Any], entry: str) -> None:
    made = component(planned("openstack", **changes))
    rule = {"security_group_id": f"{GROUP}fw-nodes", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    ports = {"port_range_min": int(entry), "port_range_max": int(entry), "remote_ip_prefix": "172.16.0.0/12"}
    more = Declaration("openstack.networking.SecGroupRule", "more", rule | ports | {"description": "more"})
    assert set(judge([*made, more])) == {"only-table-ports"}


def firewall(name: str, **args: Any) -> Declaration:
    """A firewall rule of GCP."""
    given = {"network": "default", "direction": "INGRESS", "description": "d", "source_ranges": ["10.0.0.0/8"]} | args
    return Declaration("gcp.compute.Firewall", name, given)


def test_a_rule_in_another_network_serves_no_row() -> None:
    made = component(planned("gcp"))
    elsewhere = [
        Declaration(each.cls, each.name, each.args | {"network": "other"}) if "in-tcp-8443" in each.name else each
        for each in made
    ]
    assert set(judge(elsewhere)) == {"complete"}
    denied = firewall("deny", network="other", priority=1, denies=[{"protocol": "all"}], source_ranges=["0.0.0.0/0"])
    assert judge([*made, denied]) == {}


def test_a_rule_narrowed_to_some_addresses_of_the_nodes_serves_no_row() -> None:
    made = component(planned("gcp"))
    narrowed = [
        Declaration(each.cls, each.name, each.args | {"destination_ranges": ["10.1.0.0/24"]})
        if "in-tcp-8443" in each.name
        else each
        for each in made
    ]
    assert set(judge(narrowed)) == {"complete"}


def test_a_rule_for_every_instance_may_open_what_every_node_has_alone() -> None:
    made = component(planned("gcp", roles=True))
    etcd = firewall("etcd", allows=[{"protocol": "tcp", "ports": ["2379"]}])
    assert "only-table-ports" in judge([*made, etcd])


def test_a_rule_on_one_of_several_groups_is_judged_on_each_and_always_alike() -> None:
    made = component(planned("openstack", roles=True))
    rule = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 2379, "port_range_max": 2379}
    several = {"security_group_id": f"{GROUP}fw-worker", "description": f"{GROUP}x", "remote_ip_prefix": "10.9.0.0/16"}
    found = [judge([*made, Declaration("openstack.networking.SecGroupRule", "x", rule | several)]) for _ in range(3)]
    assert found[0] == found[1] == found[2] and "only-table-ports" in found[0]


def test_a_denial_that_ranks_higher_counts_before_the_internet_is_blamed() -> None:
    made = component(planned("gcp"))
    open_ = firewall("open", priority=950, allows=[{"protocol": "tcp", "ports": ["23"]}], source_ranges=["0.0.0.0/0"])
    deny = firewall("deny", priority=900, denies=[{"protocol": "tcp", "ports": ["23"]}], source_ranges=["0.0.0.0/0"])
    assert "world-open" in judge([*made, open_])
    assert judge([*made, open_, deny]) == {}


def test_a_prefix_list_counts_as_many_rules_as_it_may_hold() -> None:
    large = Declaration(LIST.cls, LIST.name, LIST.args | {"max_entries": 61, "entries": [{"cidr": "10.0.0.0/8"}]})
    assert "limits" in judge([large, *naming_a_list("standalone")])


def by_hand(name: str, group: str, port: int, source: str = "0.0.0.0/0") -> list[Declaration]:
    """A group of OpenStack with one rule."""
    rule = {"security_group_id": f"{GROUP}{group}", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    ports = {"port_range_min": port, "port_range_max": port, "remote_ip_prefix": source, "description": name}
    made = Declaration("openstack.networking.SecGroup", group, {"description": group})
    return [made, Declaration("openstack.networking.SecGroupRule", name, rule | ports)]


SETTINGS = {"cloud": "openstack", "cluster": "c", "sources": {"admins": ["10.0.0.0/8"], "clients": []}}


def test_a_misspelt_name_under_groups_is_an_error() -> None:
    stack = by_hand("web", "balancer", 443)
    assert "settings" not in judge(stack, {"settings": SETTINGS | {"groups": {"nodes": "balancer"}}})
    (said,) = judge(stack, {"settings": SETTINGS | {"groups": {"nodes": "balancr"}}})["settings"]
    assert said == "settings.groups.nodes: no group of the stack is called 'balancr'. Did you mean 'balancer'?"


def test_a_group_that_is_managed_elsewhere_may_be_open_to_the_internet_where_the_configuration_says_so() -> None:
    stack = [*by_hand("web", "balancer", 443), *by_hand("ssh", "office", 22)]
    assert len(judge(stack)["world-open"]) == 2
    (said,) = judge(stack, {"world-open": {"ignore": ["balancer"]}})["world-open"]
    assert "on office" in said
    (said,) = judge(stack, {"world-open": {"groups": {"balancer": ["tcp/443"], "office": ["tcp/443"]}}})["world-open"]
    assert "on office" in said
    assert "nodport" in judge(stack, {"world-open": {"groups": {"balancer": ["nodport"]}}})["world-open"][0]


def test_a_rule_that_adds_up_to_the_internet_on_one_port_is_judged_on_its_others() -> None:
    made = component(planned("openstack"))
    rule = {"security_group_id": f"{GROUP}fw-nodes", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    two = [
        Declaration("openstack.networking.SecGroupRule", "half", rule | {"port_range_min": 22, "port_range_max": 23,
            "remote_ip_prefix": "0.0.0.0/2", "description": "d"}),
        Declaration("openstack.networking.SecGroupRule", "rest", rule | {"port_range_min": 23, "port_range_max": 23,
            "remote_ip_prefix": "128.0.0.0/2", "description": "d"}),
    ]  # fmt: skip
    found = judge([*made, *two])
    assert any("tcp/22 on fw-nodes is open to 0.0.0.0/2" in said for said in found["only-table-sources"])


@pytest.mark.parametrize("held", LISTS)
def test_a_prefix_list_that_a_row_names_is_read_as_its_networks(held: str) -> None:
    made = component(
        planned("aws", refs={"office": {"prefixes": "pl-0a", "entries": 3}}, sources={"admins": ["@office"], "clients": []})
    )
    narrow = Declaration(LIST.cls, LIST.name, LIST.args | {"entries": [{"cidr": "10.0.0.0/8"}]})
    assert judge([*made, narrow], answered={"office": {"id": "pl-0a"}}) == {}
    assert set(judge([*made, *LISTS[held]], answered={"office": {"id": "pl-0a"}})) == {"world-open"}


FROM_WORKERS = {
    "aws": Declaration("aws.vpc.SecurityGroupIngressRule", "x", {"security_group_id": f"{GROUP}fw-nodes", "ip_protocol": "4",
        "referenced_security_group_id": f"{GROUP}fw-worker", "description": "d"}),
    "gcp": Declaration("gcp.compute.Firewall", "x", {"network": "default", "direction": "INGRESS", "description": "d",
        "source_tags": ["dev-worker"], "target_tags": ["dev-nodes"], "allows": [{"protocol": "ipip"}]}),
    "openstack": Declaration("openstack.networking.SecGroupRule", "x", {"security_group_id": f"{GROUP}fw-nodes",
        "direction": "ingress", "ethertype": "IPv4", "protocol": "4", "remote_group_id": f"{GROUP}fw-worker",
        "description": "d"}),
}  # fmt: skip


@pytest.mark.parametrize("cloud", FROM_WORKERS)
def test_a_role_is_no_further_source_of_a_row_that_is_open_to_all_nodes(cloud: str) -> None:
    made = component(planned(cloud, roles=True))
    assert judge([*made, FROM_WORKERS[cloud]]) == {}


def test_two_firewalls_on_one_existing_group_are_found_at_preview() -> None:
    """Each alone is right; the cloud refuses the second's rules halfway through the update."""
    group = "3f0c3f46-8f3d-4b7e-9a57-0d6a1c2b3e4f"
    raw = {"cloud": "openstack", "sources": {"admins": ["10.20.0.0/16"], "clients": []}, "existing": {"nodes": group}}
    plans = [check(name, raw | {"cluster": name}) for name in ("one", "two")]
    for plan in plans:
        alone = Stack([replace(each, inputs=_on(group, each)) for each in declared(plan)])
        assert list(checks.equal_rules(alone, {})) == []
    both = [
        replace(each, urn=f"{each.urn}-{number}", name=f"{plan.settings.cluster}-{each.name}", inputs=_on(group, each))
        for number, plan in enumerate(plans)
        for each in declared(plan)
    ]
    found = [each.says for each in checks.equal_rules(Stack(both), {})]
    assert len(found) == len(both) // 2
    assert any("two-nodes-in-4-all-ipv4-self is equal to one-nodes-in-4-all-ipv4-self: protocol 4" in text for text in found)


def _on(group: str, each: Declared) -> dict[str, Any]:
    """A resource's inputs with an existing group's id in the place of the target's name."""
    return {key: group if value == "nodes" else value for key, value in each.inputs.items()}


@pytest.mark.parametrize("source", [{"source_ranges": ["0.0.0.0/0"]}, {"source_ranges": ["10.20.0.0/16"]}])
def test_a_denial_on_a_roles_tag_takes_from_the_role_what_all_nodes_have(source: dict[str, Any]) -> None:
    denial = {"network": "default", "description": "x", "denies": [{"protocol": "tcp", "ports": ["22"]}], "priority": 1, **source}
    made = component(planned("gcp", roles=True))
    found = judge([*made, Declaration("gcp.compute.Firewall", "extra", {**denial, "target_tags": ["dev-worker"]})])
    assert set(found) == {"complete"}
    assert any("ssh (tcp/22, ipv4) is missing for 10.20.0.0/16 on dev-worker" in text for text in found["complete"]), found


def test_a_denial_of_some_peers_on_a_roles_tag_is_reported_for_what_all_nodes_have() -> None:
    denial = {"network": "default", "description": "x", "denies": [{"protocol": "tcp", "ports": ["10250"]}], "priority": 1}
    tags = {"source_tags": ["dev-nodes"], "target_tags": ["dev-worker"]}
    found = judge([*component(planned("gcp", roles=True)), Declaration("gcp.compute.Firewall", "extra", denial | tags)])
    assert set(found) == {"complete"}


def test_the_entries_of_a_prefix_list_count_against_the_quota() -> None:
    refs = {"corp": {"prefixes": "pl-0123456789abcdef0", "entries": 70}}
    made = component(planned("aws", refs=refs, sources={"admins": ["@corp"], "clients": []}, limits={"rules": 200}))
    for each in made:
        if each.cls == "kubeports.Firewall":
            each.args["settings"]["limits"] = {}
    assert "ingress rules of ipv4, and EC2 takes 60" in " ".join(judge(made)["limits"])


def _two(cls: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two rules of a group are equal, by what differs in their arguments."""
    args: dict[str, Any] = {"description": "x", "security_group_id": f"{GROUP}g"}
    if cls == "openstack.networking.SecGroupRule":
        group = Declaration("openstack.networking.SecGroup", "g", {"name": "g"})
        args |= {"direction": "ingress", "ethertype": "IPv4"}
    else:
        group = Declaration("aws.ec2.SecurityGroup", "g", {"vpc_id": "v"})
    if cls == "aws.ec2.SecurityGroupRule":
        args |= {"type": "ingress", "cidr_blocks": ["10.20.0.0/16"]}
    elif cls == "aws.vpc.SecurityGroupIngressRule":
        args |= {"cidr_ipv4": "10.20.0.0/16"}
    return "equal-rules" in judge([group, Declaration(cls, "one", args | one), Declaration(cls, "other", args | other)])


#: The arguments of a protocol, and of its ports or its type and code, in each way of writing where equal rules are refused.
FIELDS = {
    "aws.vpc.SecurityGroupIngressRule": ("ip_protocol", "from_port", "to_port"),
    "aws.ec2.SecurityGroupRule": ("protocol", "from_port", "to_port"),
    "openstack.networking.SecGroupRule": ("protocol", "port_range_min", "port_range_max"),
}


@pytest.mark.parametrize("cls", FIELDS)
def test_rules_of_icmp_are_equal_by_their_types_and_codes(cls: str) -> None:
    def icmp(name: str, *numbers: int) -> dict[str, Any]:
        return dict(zip(FIELDS[cls], (name, *numbers), strict=False))

    assert _two(cls, icmp("icmp", 8, 0), icmp("icmp", 8, 0))
    assert _two(cls, icmp("icmp", 8, 0), icmp("1", 8, 0))
    assert not _two(cls, icmp("icmp", 8, 0), icmp("icmp", 3, 4))
    assert not _two(cls, icmp("icmp", 3, 3), icmp("icmp", 3, 4))
    assert not _two(cls, icmp("icmp", 8, 0), icmp("icmp", -1, -1) if cls.startswith("aws") else icmp("icmp"))


def test_rules_are_equal_as_each_cloud_stores_them() -> None:
    """EC2 stores no type as -1; the provider for OpenStack leaves a 0 out, and Neutron has two forms of every protocol."""
    aws, openstack = "aws.vpc.SecurityGroupIngressRule", "openstack.networking.SecGroupRule"
    every = {"ip_protocol": "icmp"}
    assert _two(aws, every, every | {"from_port": -1, "to_port": -1})
    assert not _two(aws, every, every | {"from_port": 0, "to_port": 0})
    for protocol in ("icmp", "tcp"):
        assert _two(openstack, {"protocol": protocol}, {"protocol": protocol, "port_range_min": 0, "port_range_max": 0})
    assert not _two(openstack, {}, {"protocol": "0"})
    ipv6 = {"ethertype": "IPv6"}
    assert _two(openstack, ipv6 | {"protocol": "icmp"}, ipv6 | {"protocol": "ipv6-icmp"})


@pytest.mark.parametrize(("first", "second"), [((0, 65535), (1, 65535)), ((0, 0), (0, 65535))])
def test_rules_with_port_0_are_equal_only_as_they_are_written(first: tuple[int, int], second: tuple[int, int]) -> None:
    args = {"description": "x", "ip_protocol": "tcp", "cidr_ipv4": "10.20.0.0/16", "security_group_id": f"{GROUP}g"}

    def found(*ranges: tuple[int, int]) -> dict[str, list[str]]:
        rules = [
            Declaration("aws.vpc.SecurityGroupIngressRule", f"r{i}", args | {"from_port": start, "to_port": end})
            for i, (start, end) in enumerate(ranges)
        ]
        return judge([Declaration("aws.ec2.SecurityGroup", "g", {"vpc_id": "v"}), *rules])

    assert "equal-rules" not in found(first, second)
    assert "equal-rules" in found(first, first)


# What can't be read is as wide as it may be, on every cloud and attribute

_SSH = {"from_port": 22, "to_port": 22}
_ON = {"security_group_id": f"{GROUP}nodes"}
_GCP = {"network": "default", "direction": "INGRESS", "source_ranges": ["10.20.0.0/16"], "target_tags": ["nodes"]}
_NEUTRON = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "remote_ip_prefix": "10.20.0.0/16"}
RULES: dict[str, dict[str, Any]] = {
    "aws.vpc.SecurityGroupIngressRule": {**_ON, **_SSH, "ip_protocol": "tcp", "cidr_ipv4": "10.20.0.0/16"},
    "aws.ec2.SecurityGroupRule": {**_ON, **_SSH, "type": "ingress", "protocol": "tcp", "cidr_blocks": ["10.20.0.0/16"]},
    "gcp.compute.Firewall": {**_GCP, "allows": [{"protocol": "tcp", "ports": ["22"]}]},
    "openstack.networking.SecGroupRule": {**_ON, **_NEUTRON, "port_range_min": 22, "port_range_max": 22},
}
UNREADABLE = [
    ("aws.vpc.SecurityGroupIngressRule", {"cidr_ipv4": "0.0.0.0/0 "}, "world-open"),
    ("aws.vpc.SecurityGroupIngressRule", {"cidr_ipv6": "::/0\n"}, "world-open"),
    ("aws.vpc.SecurityGroupIngressRule", {"cidr_ipv4": "any"}, "world-open"),
    ("aws.vpc.SecurityGroupIngressRule", {"from_port": "x"}, "only-table-ports"),
    ("aws.vpc.SecurityGroupIngressRule", {"to_port": -7}, "only-table-ports"),
    ("aws.vpc.SecurityGroupIngressRule", {"ip_protocol": "frobnicate"}, "only-table-ports"),
    ("aws.ec2.SecurityGroupRule", {"cidr_blocks": ["10.20.0.0/16", " 0.0.0.0/0"]}, "world-open"),
    ("aws.ec2.SecurityGroupRule", {"ipv6_cidr_blocks": ["nonsense"]}, "world-open"),
    ("aws.ec2.SecurityGroupRule", {"type": "ingres", "cidr_blocks": ["0.0.0.0/0"]}, "world-open"),
    ("gcp.compute.Firewall", {"source_ranges": ["0.0.0.0/0\n"]}, "world-open"),
    ("gcp.compute.Firewall", {"source_ranges": ["everybody"]}, "world-open"),
    ("gcp.compute.Firewall", {"direction": "in", "source_ranges": ["0.0.0.0/0"]}, "world-open"),
    ("gcp.compute.Firewall", {"allows": [{"protocol": "tcp", "ports": ["22-"]}], "source_ranges": ["0.0.0.0/0"]}, "world-open"),
    ("gcp.compute.Firewall", {"allows": [{"protocol": "tcp", "ports": ["ssh"]}]}, "only-table-ports"),
    ("gcp.compute.Firewall", {"allows": [{"protocol": "tcp", "ports": ["90-80"]}]}, "only-table-ports"),
    ("gcp.compute.Firewall", {"allows": [{"protocol": "frobnicate"}]}, "only-table-ports"),
    ("gcp.compute.Firewall", {"priority": "first", "source_ranges": ["0.0.0.0/0"]}, "world-open"),
    ("openstack.networking.SecGroupRule", {"remote_ip_prefix": "0.0.0.0/0 "}, "world-open"),
    ("openstack.networking.SecGroupRule", {"remote_ip_prefix": "::/0\n", "ethertype": "IPv6 "}, "world-open"),
    ("openstack.networking.SecGroupRule", {"remote_ip_prefix": "0.0.0.0/0", "direction": "in"}, "world-open"),
    ("openstack.networking.SecGroupRule", {"port_range_min": "ssh"}, "only-table-ports"),
    ("openstack.networking.SecGroupRule", {"port_range_min": 23, "port_range_max": 22}, "only-table-ports"),
    ("openstack.networking.SecGroupRule", {"protocol": "frobnicate"}, "only-table-ports"),
]


@pytest.mark.parametrize(("cls", "args", "policy"), UNREADABLE, ids=str)
def test_what_can_not_be_read_is_as_wide_as_it_may_be(cls: str, args: dict[str, Any], policy: str) -> None:
    cloud = cls.partition(".")[0]
    settings = {"cloud": cloud, "cluster": "c", "sources": {"admins": ["10.20.0.0/16"], "clients": []}}
    given = groups("aws standalone" if cloud == "aws" else cloud)

    def found(more: dict[str, Any]) -> set[str]:
        rule = Declaration(cls, "rule", RULES[cls] | more | {"description": "x"})
        return set(judge([*given, rule], {"settings": settings, "complete": {"ignore": ["*"]}})) - {"complete", "ipip"}

    assert found({}) == set()
    assert policy in found(args)


#: Each attribute that may hold a group or a list.
NAMING = [
    ("aws.vpc.SecurityGroupIngressRule", "referenced_security_group_id"),
    ("aws.vpc.SecurityGroupIngressRule", "prefix_list_id"),
    ("aws.vpc.SecurityGroupIngressRule", "security_group_id"),
    ("aws.ec2.SecurityGroupRule", "source_security_group_id"),
    ("aws.ec2.SecurityGroupRule", "prefix_list_ids"),
    ("aws.ec2.SecurityGroupRule", "security_group_id"),
    ("gcp.compute.Firewall", "source_tags"),
    ("gcp.compute.Firewall", "source_service_accounts"),
    ("gcp.compute.Firewall", "target_tags"),
    ("gcp.compute.Firewall", "target_service_accounts"),
    ("openstack.networking.SecGroupRule", "remote_group_id"),
    ("openstack.networking.SecGroupRule", "remote_address_group_id"),
    ("openstack.networking.SecGroupRule", "security_group_id"),
]


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("cls", "attribute"), NAMING)
def test_a_group_that_is_not_known_is_reported_for_every_attribute(cls: str, attribute: str, listed: bool) -> None:
    """Its value comes from a resource that is neither a group nor a list, such as one of another provider."""
    if listed and not attribute.endswith("s"):
        return
    cloud = cls.partition(".")[0]
    other = Declaration("gcp.compute.Firewall", "other", RULES["gcp.compute.Firewall"] | {"description": "x"})
    args = RULES[cls] | {attribute: [f"{GROUP}other"] if listed else f"{GROUP}other", "description": "x"}
    found = judge([*groups("aws standalone" if cloud == "aws" else cloud), other, Declaration(cls, "rule", args)])
    camel = "".join(part.title() if i else part for i, part in enumerate(attribute.split("_")))
    assert any(f"{camel} of rule is not known at preview" in text for text in found.get("literal", ())), found


@pytest.mark.parametrize("key", ["security_groups", "prefix_list_ids"])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_group_that_is_not_known_in_a_block_is_reported(key: str, direction: str) -> None:
    other = Declaration("gcp.compute.Firewall", "other", RULES["gcp.compute.Firewall"] | {"description": "x"})
    block = {"protocol": "tcp", "from_port": 22, "to_port": 22, "description": "x", key: [f"{GROUP}other"]}
    found = judge([other, Declaration("aws.ec2.SecurityGroup", "nodes", {"description": "x", direction: [block]})])
    assert any(f"{direction} of nodes is not known at preview" in text for text in found.get("literal", ())), found


# Outputs


@pytest.mark.parametrize("cloud", ["aws", "gcp", "openstack", "host"])
def test_outputs_that_open_to_the_internet_what_no_row_may_are_not_believed(cloud: str) -> None:
    """Of outputs alone the plan is what they say: but no settings open ssh to the internet."""
    plan = check("fw", {"cloud": cloud, **SMALL, **NETWORK.get(cloud, {})})
    rules = [replace(rule, source=Source("cidr", "0.0.0.0/0")) if "ssh" in rule.services else rule for rule in plan.rules]
    changed = replace(plan, rules=tuple(rules))
    assert judge(_with_outputs(plan)) == {}
    found = judge(_with_outputs(changed))
    assert set(found) == {"world-open"} and "tcp/22" in found["world-open"][0]


def _with_outputs(plan: Plan) -> list[Declaration]:
    if plan.settings.cloud == "host":
        return [Declaration("kubeports.Firewall", "fw", {"settings": plan.settings.json(), "rules": plan.json()["rules"]})]
    return component(plan)
