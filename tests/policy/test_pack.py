"""The policies over what the component makes, over what is not known yet, and with configurations right and wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from kubeports import clouds
from kubeports.check import check
from kubeports.errors import InputError
from kubeports.plan import Plan
from kubeports.policies.checks import parse_entry

from tests import strategies
from tests.policy.sdk import judge
from tests.policy.spellings import GROUP, Declaration, Written, declare, groups

SMALL: dict[str, Any] = {"cluster": "dev", "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]}}
NETWORK: dict[str, dict[str, Any]] = {"aws": {"network": "vpc-1"}, "gcp": {"network": "default"}, "openstack": {}}
CLOUDS = ("aws", "gcp", "openstack")
_CLASSES = {
    ("aws", "ingress"): "aws.vpc.SecurityGroupIngressRule",
    ("aws", "egress"): "aws.vpc.SecurityGroupEgressRule",
    ("gcp", "firewall"): "gcp.compute.Firewall",
    ("openstack", "rule"): "openstack.networking.SecGroupRule",
    ("openstack", "addresses"): "openstack.networking.AddressGroupV2",
}


def planned(cloud: str, **changes: Any) -> Plan:
    return check("dev", {"cloud": cloud} | SMALL | NETWORK[cloud] | changes)


def component(plan: Plan, outputs: bool = True) -> list[Declaration]:
    """What a Firewall registers, ids unknown."""
    settings, cloud = plan.settings, plan.settings.cloud
    made, ids = [], {}
    for target in settings.targets:
        if target in settings.existing:
            ids[target] = settings.existing[target]
        elif cloud == "gcp":
            ids[target] = f"{settings.cluster}-{target}"
        else:
            name = f"fw-{target}"
            ids[target] = GROUP + name
            tags = {"kubeports:cluster": settings.cluster, "kubeports:target": target}
            args = {"tags": tags} if cloud == "aws" else {"name": f"{settings.cluster}-{target}"}
            cls = "aws.ec2.SecurityGroup" if cloud == "aws" else "openstack.networking.SecGroup"
            made.append(Declaration(cls, name, args))
    addresses = {}
    for key, resource in clouds.backend(cloud).encode(plan).items():
        if resource.kind == "addresses":
            addresses[key] = f"{GROUP}fw-{key}"
        inputs = clouds.resolve(resource.inputs, ids, settings.refs, addresses)
        made.append(Declaration(_CLASSES[cloud, resource.kind], f"fw-{key}", inputs))
    if outputs:
        content = {"settings": settings.json(), "rules": plan.json()["rules"]}
        made.append(Declaration("kubeports.Firewall", "fw", content))
    return made


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_firewall_that_the_settings_allow_passes(cloud: str) -> None:
    @hypothesis(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategies.settings(cloud))
    def whole(raw: dict[str, Any]) -> None:
        try:
            plan = check("fw", raw)
        except InputError:
            return
        assert judge(component(plan)) == {}

    whole()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_firewall_that_lost_a_rule_of_one_role_fails(cloud: str) -> None:
    plan = planned(cloud, roles=True)
    lost = [each for each in component(plan) if not each.name.startswith("fw-etcd-in-tcp-2379")]
    found = judge(lost)
    assert set(found) == {"complete"}
    assert all("etcd (tcp/2379-2380, ipv4) is closed to the" in text for text in found["complete"])


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_a_row_on_the_wrong_roles_group_is_no_row(cloud: str) -> None:
    plan = planned(cloud, roles=True)
    moved = [
        Declaration(each.cls, each.name, each.args | {"security_group_id": f"{GROUP}fw-worker"})
        if "fw-registry" in each.name
        else each
        for each in component(planned(cloud, roles=True, offline=True))
        if each.cls != "kubeports.Firewall"
    ]
    moved = [
        Declaration(each.cls, each.name, each.args | {"security_group_id": f"{GROUP}fw-worker"})
        if each.name.startswith("fw-etcd-in-tcp")
        else each
        for each in component(plan)
    ]
    found = judge(moved)
    assert "complete" in found and "only-table-sources" not in found


def test_what_the_provider_answers_after_a_refresh_is_not_what_the_program_says() -> None:
    plan = planned("aws")
    block = {"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["10.20.0.0/16"]}
    answered = {"fw-nodes": {"ingress": [block], "id": "sg-1"}}
    assert judge(component(plan), answered=answered) == {}


def test_ids_that_are_known_by_now_tell_the_same_groups() -> None:
    plan = planned("aws")
    known = [
        Declaration(
            each.cls, each.name, {name: "sg-1" if value == f"{GROUP}fw-nodes" else value for name, value in each.args.items()}
        )
        for each in component(plan)
    ]
    assert judge(known, answered={"fw-nodes": {"id": "sg-1"}}) == {}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_rules_on_somebody_elses_group_count(cloud: str) -> None:
    plan = planned(cloud, existing={"nodes": strategies.GROUPS[cloud]})
    assert judge(component(plan)) == {}
    short = [each for each in component(plan) if "tcp-179" not in each.name]
    assert set(judge(short)) == {"complete"}


# What is not known at preview


def test_a_rule_that_can_not_be_read_is_told_and_never_judged() -> None:
    stack = [*groups("aws standalone"), Declaration("aws.vpc.SecurityGroupIngressRule", "later", {
        "security_group_id": f"{GROUP}nodes", "ip_protocol": "tcp", "from_port": 22, "to_port": 22,
        "cidr_ipv4": f"{GROUP}nodes", "description": "a network that is made by the same program",
    })]  # fmt: skip
    found = judge(stack, {"settings": {"cloud": "aws", **SMALL}})
    assert "cidrIpv4 of later is not known at preview, and no policy can judge it" in found["literal"][0]
    assert not any("ssh" in text for text in found["complete"]), "it may be the network of the administrators"
    assert any("etcd" in text for text in found["complete"])
    assert set(found) == {"literal", "complete", "ipip"}


@pytest.mark.parametrize(
    ("cls", "args"),
    [
        ("aws.ec2.SecurityGroup", {"ingress": f"{GROUP}x"}),
        ("aws.ec2.SecurityGroup", {"ingress": [f"{GROUP}x"]}),
        ("aws.ec2.SecurityGroup", {"ingress": [{"protocol": f"{GROUP}x", "cidr_blocks": f"{GROUP}x", "description": "x"}]}),
        (
            "aws.ec2.SecurityGroupRule",
            {"type": "ingress", "protocol": "tcp", "from_port": f"{GROUP}x", "cidr_blocks": ["10.0.0.0/8"]},
        ),
        ("gcp.compute.Firewall", {"allows": f"{GROUP}x", "source_ranges": [f"{GROUP}x"]}),
        ("gcp.compute.Firewall", {"allows": [{"protocol": "tcp", "ports": [f"{GROUP}x"]}], "target_tags": f"{GROUP}x"}),
        ("openstack.networking.SecGroupRule", {"direction": "ingress", "protocol": f"{GROUP}x", "remote_ip_prefix": f"{GROUP}x"}),
        (
            "openstack.networking.SecGroupRule",
            {"direction": "ingress", "remote_group_id": f"{GROUP}x", "port_range_min": f"{GROUP}x"},
        ),
    ],
)
def test_nothing_that_is_unknown_breaks_a_policy(cls: str, args: dict[str, Any]) -> None:
    other = Declaration("openstack.networking.SecGroup", "x", {})
    found = judge(
        [other, Declaration(cls, "later", args | {"description": "later"})], {"settings": {"cloud": cls.split(".")[0], **SMALL}}
    )
    assert set(found) <= {"literal", "complete", "ipip"}
    assert len(found["literal"]) == 1


# Configuration


def world(port: int) -> list[Declaration]:
    return [*groups("aws standalone"), *declare("aws standalone", [Written("web", "tcp", (port, port), ("0.0.0.0/0",))])]


def test_what_may_be_open_to_the_world_can_be_said() -> None:
    assert "tcp/443 on nodes is open to the world (0.0.0.0/0, by web)" in judge(world(443))["world-open"][0]
    assert judge(world(443), {"world-open": {"services": ["tcp/443"]}}) == {}
    assert judge(world(30080)) == {}
    assert set(judge(world(30080), {"world-open": {"services": ["apiserver"]}})) == {"world-open"}


def test_a_plan_whose_clients_are_not_the_world_allows_no_world() -> None:
    plan = planned("aws", sources={"admins": [], "clients": ["10.0.0.0/8"]})
    wide = declare("aws standalone", [Written("web", "tcp", (30080, 30080), ("0.0.0.0/0",))], "fw-nodes")
    assert set(judge([*component(plan), *wide])) == {"world-open"}


def test_rows_and_groups_of_ones_own_can_be_left_to_others() -> None:
    plan = component(planned("aws"))
    database = [Declaration("aws.ec2.SecurityGroup", "database", {"description": "x"})]
    database += declare("aws standalone", [Written("postgres", "tcp", (5432, 5432), ("10.0.0.0/8",))], "database")
    assert set(judge([*plan, *database])) == {"only-table-ports"}
    assert judge([*plan, *database], {"only-table-ports": {"ignore": ["data*"]}}) == {}
    assert judge([*plan, *database], {"only-table-ports": {"rows": ["tcp/5432"]}}) == {}
    assert set(judge([*plan, *database], {"only-table-ports": {"rows": ["tcp/5431", "udp/5432"]}})) == {"only-table-ports"}


def test_limits_follow_the_settings_and_the_configuration() -> None:
    many = [Written(f"r{i}", "tcp", (22, 22), (f"10.20.{i}.0/24",)) for i in range(61)]
    stack = [*groups("aws standalone"), *declare("aws standalone", many)]
    assert "nodes has 61 ingress rules of ipv4, and EC2 takes 60" in judge(stack)["limits"][0]
    assert judge(stack, {"limits": {"rules": 61}}) == {}


@pytest.mark.parametrize(
    ("policy", "config", "says"),
    [
        ("world-open", {"service": ["ssh"]}, "'service', which does nothing; did you mean 'services'?"),
        ("world-open", {"services": ["nodport"]}, "'nodport' is no service; did you mean 'nodeport'?"),
        ("only-table-ports", {"rows": ["tcp/0"]}, "'tcp/0' is no row; write tcp/9200"),
        ("only-table-ports", {"rows": ["tcp"]}, "'tcp' is no row"),
        ("only-table-ports", {"rows": ["6"]}, "'6' is no row"),
        ("only-table-ports", {"rows": ["tcp/9-"]}, "'tcp/9-' is no row"),
        ("no-mixed-rules", {"ignore": ["x"]}, "'ignore', which does nothing; it takes none"),
        ("settings", {"cloud": "azure", "cluster": "x"}, "settings.cloud: 'azure' is not possible"),
        ("settings", {"cluster": "x"}, "settings.cloud: is missing"),
        (
            "settings",
            {"cloud": "aws", "cluster": "x", "ofline": True},
            "settings.ofline: is not a key of the settings; did you mean 'offline'?",
        ),
    ],
)
def test_a_configuration_that_does_nothing_is_told(policy: str, config: dict[str, Any], says: str) -> None:
    found = judge(world(30080), {policy: config})
    assert set(found) == {policy}
    assert any(says in text for text in found[policy]), found


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("tcp/9200", (6, 9200, 9200)),
        ("udp/8000-8010", (17, 8000, 8010)),
        ("47", (47, 1, 65535)),
        ("protocol 47", (47, 1, 65535)),
        ("protocol 6", None),
        ("tcp", None),
        ("tcp/0", None),
        ("47/1", None),
    ],
)
def test_rows_are_written_as_messages_name_them(text: str, entry: tuple[int, int, int] | None) -> None:
    assert parse_entry(text) == entry
