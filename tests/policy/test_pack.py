"""The policies over what the component makes, over what is not known yet, and with configurations right and wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from kubeports import clouds
from kubeports.check import check
from kubeports.clouds.resources import resolve
from kubeports.errors import InputError
from kubeports.policies.checks import parse_entry
from kubeports.rules import Plan

from tests import strategies
from tests.policy.sdk import judge
from tests.policy.spellings import GROUP, Declaration, Written, declare, groups, written

SMALL: dict[str, Any] = {"cluster": "dev", "sources": {"admins": ["10.20.0.0/16"], "clients": ["0.0.0.0/0"]}}
NETWORK: dict[str, dict[str, Any]] = {"aws": {"network": "vpc-1"}, "gcp": {"network": "default"}, "openstack": {}}
CLOUDS = ("aws", "gcp", "openstack")
#: Made when the module is loaded: an Output wants an event loop, which other tests take away.
LATER: Any = pulumi.Output.from_input("later")
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
        inputs = resolve(resource.inputs, ids, settings.refs, addresses)
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
    assert all("etcd (tcp/2379-2380, ipv4) is missing for the" in text for text in found["complete"])


def on_group(name: str, declaration: Declaration) -> Declaration:
    return Declaration(declaration.cls, declaration.name, declaration.args | {"security_group_id": f"{GROUP}{name}"})


@pytest.mark.parametrize("cloud", ["aws", "openstack"])
def test_a_row_on_the_wrong_roles_group_is_no_row(cloud: str) -> None:
    made = component(planned(cloud, roles=True))
    moved = [on_group("fw-worker", each) if each.name.startswith("fw-etcd-in-tcp") else each for each in made]
    assert set(judge(moved)) == {"complete", "only-table-ports"}


# Several groups, several plans


def added(cloud: str, group: str, *rules: Written) -> list[Declaration]:
    spelling = {"aws": "aws standalone"}.get(cloud, cloud)
    return declare(spelling, rules, group)


NEAR = ("172.16.0.0/12",)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize(
    ("target", "port", "source", "policies"),
    [
        ("nodes", 6443, NEAR, {"only-table-ports"}),
        ("worker", 2379, NEAR, {"only-table-ports"}),
        ("etcd", 30080, ("0.0.0.0/0",), {"world-open", "only-table-ports"}),
        ("worker", 30080, NEAR, set()),
    ],
)
def test_each_group_is_judged_by_its_own_rows(
    cloud: str, target: str, port: int, source: tuple[str, ...], policies: set[str]
) -> None:
    plan = planned(cloud, roles=True)
    group = f"dev-{target}" if cloud == "gcp" else f"fw-{target}"
    found = judge([*component(plan), *added(cloud, group, Written("more", "tcp", (port, port), source))])
    assert set(found) == policies, found


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cluster_is_judged_by_its_own_plan(cloud: str) -> None:
    small = planned(cloud, cluster="a", sources={"admins": [], "clients": ["10.0.0.0/8"]})
    own = {"metrics": {"protocol": "tcp", "start": 9200, "source": ["cluster"], "why": "metrics"}}
    large = planned(cloud, cluster="b", offline=True, nfs=True, calico="classic", services=own)
    both = [*named("a", component(small)), *named("b", component(large))]
    assert judge(both) == {}
    group = "a-nodes" if cloud == "gcp" else "a-fw-nodes"
    rules = [
        Written("ports", "tcp", (30000, 32767), ("0.0.0.0/0",)),
        Written("registry", "tcp", (5000, 5000), NEAR),
        Written("metrics", "tcp", (9200, 9200), NEAR),
        Written("tunnel", "94", None, NEAR),
    ]
    found = judge([*both, *added(cloud, group, *rules)])
    assert set(found) == {"world-open", "toggles", "only-table-ports", "ipip"}, found


def named(prefix: str, declarations: list[Declaration]) -> list[Declaration]:
    """The same resources under names of another firewall's."""

    def value(item: Any) -> Any:
        if isinstance(item, str) and item.startswith(GROUP):
            return f"{GROUP}{prefix}-{item.removeprefix(GROUP)}"
        return [value(each) for each in item] if isinstance(item, list) else item

    return [
        Declaration(each.cls, f"{prefix}-{each.name}", {key: value(item) for key, item in each.args.items()})
        for each in declarations
    ]


@pytest.mark.parametrize(
    ("cloud", "wrong"),
    [
        ("aws", {"referenced_security_group_id": "sg-evil"}),
        ("aws", {"prefix_list_id": "pl-evil"}),
        ("openstack", {"remote_group_id": "00000000-0000-0000-0000-000000000001"}),
        ("openstack", {"remote_address_group_id": "00000000-0000-0000-0000-000000000001"}),
        ("gcp", {"source_tags": ["evil"]}),
        ("gcp", {"source_service_accounts": ["evil@x.iam.gserviceaccount.com"]}),
    ],
)
def test_another_group_is_another_source(cloud: str, wrong: dict[str, Any]) -> None:
    group = "dev-nodes" if cloud == "gcp" else "fw-nodes"
    (rule,) = added(cloud, group, Written("evil", "tcp", (2379, 2379), ("self",)))
    drop = {"referenced_security_group_id", "remote_group_id", "source_tags"}
    args = {key: value for key, value in rule.args.items() if key not in drop} | wrong
    found = judge([*component(planned(cloud)), Declaration(rule.cls, rule.name, args)])
    assert set(found) == {"only-table-sources"}, found


def test_a_reference_is_the_group_that_it_names() -> None:
    plan = planned("aws", refs={"bastion": {"group": "sg-0a"}}, sources={"admins": ["@bastion"], "clients": []})
    made = component(plan)
    assert judge(made) == {}
    lost = [each for each in made if each.name != "fw-nodes-in-tcp-6443-bastion"]
    assert set(judge(lost)) == {"complete"}
    other = {"referenced_security_group_id": "sg-0b"}
    changed = [Declaration(e.cls, e.name, e.args | other) if e.name == "fw-nodes-in-tcp-22-bastion" else e for e in made]
    assert set(judge(changed)) == {"complete", "only-table-sources"}


def test_quarters_on_two_groups_do_not_hide_each_other() -> None:
    made = component(planned("aws"))
    more = [*groups("aws standalone", "a"), *added("aws", "a", Written("one", "tcp", (22, 22), ("0.0.0.0/2",)))]
    more += [*groups("aws standalone", "b"), *added("aws", "b", Written("two", "tcp", (22, 22), ("64.0.0.0/2",)))]
    assert set(judge([*made, *more])) == {"only-table-sources"}


def test_half_of_the_world_that_the_settings_accept_is_the_plans() -> None:
    for clients in (["0.0.0.0/1"], ["0.0.0.0/1", "128.0.0.0/2"]):
        assert judge(component(planned("aws", sources={"admins": [], "clients": clients}))) == {}


# What a cloud makes of what is written


def test_a_port_0_on_openstack_is_every_port() -> None:
    args = {"security_group_id": f"{GROUP}fw-nodes", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    zero = args | {"port_range_min": 0, "port_range_max": 0, "remote_ip_prefix": "0.0.0.0/0", "description": "zero"}
    found = judge([*component(planned("openstack")), Declaration("openstack.networking.SecGroupRule", "zero", zero)])
    assert "world-open" in found and "zero" in " ".join(found["world-open"])
    four = args | {
        "protocol": "4",
        "port_range_min": 0,
        "port_range_max": 0,
        "remote_group_id": f"{GROUP}fw-nodes",
        "description": "4",
    }
    found = judge([*component(planned("openstack")), Declaration("openstack.networking.SecGroupRule", "four", four)])
    assert set(found) == {"equal-rules"}, "Neutron reads it as the plan's own rule"


@pytest.mark.parametrize(
    "deny",
    [
        {"priority": 1, "denies": [{"protocol": "all"}], "source_ranges": ["0.0.0.0/0"]},
        {
            "priority": 1000,
            "denies": [{"protocol": "tcp", "ports": ["2379-2380"]}],
            "source_tags": ["dev-nodes"],
            "target_tags": ["dev-nodes"],
        },
    ],
)
def test_what_a_gcp_rule_denies_is_closed(deny: dict[str, Any]) -> None:
    made = component(planned("gcp"))
    wrong = Declaration("gcp.compute.Firewall", "deny", deny | {"network": "default", "description": "deny"})
    assert "etcd (tcp/2379-2380, ipv4) is missing" in " ".join(judge([*made, wrong])["complete"])
    weaker = Declaration("gcp.compute.Firewall", "deny", wrong.args | {"priority": 2000})
    assert judge([*made, weaker]) == {}


def test_a_protocol_that_nobody_knows_is_not_open_to_the_world_in_silence() -> None:
    (rule,) = declare("openstack", [Written("odd", "frobnicate", None, ("0.0.0.0/0",))])
    assert set(judge([*groups("openstack"), rule])) == {"world-open"}


def test_outputs_that_are_no_firewalls_are_told() -> None:
    odd = Declaration("kubeports.Firewall", "odd", {"settings": {"cloud": "aws"}, "rules": [{"direction": "ingress"}]})
    found = judge([odd])
    assert set(found) == {"settings"} and "odd: its outputs are not those of a Firewall" in found["settings"][0]


def test_the_groups_of_a_hand_written_stack_can_be_named() -> None:
    settings = {"cloud": "aws", **SMALL, "groups": {"nodes": "nodes"}}
    plan = planned("aws")
    rules = list(written(plan.rules, "aws standalone"))
    right = [*groups("aws standalone"), *groups("aws standalone", "db"), *declare("aws standalone", rules)]
    assert judge(right, {"settings": settings}) == {}
    moved = [on_group("db", each) if "tcp-2379" in each.name else each for each in right]
    assert set(judge(moved, {"settings": settings})) == {"complete"}
    assert (
        "settings.groups.node: is not a kind of node"
        in judge(right, {"settings": settings | {"groups": {"node": "x"}}})["settings"][0]
    )


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
    assert "tcp/443 on nodes is open to the internet (0.0.0.0/0, by web)" in judge(world(443))["world-open"][0]
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
    assert judge(stack, {"limits": {"rules": 61, "groups": 9}}) == {}


@pytest.mark.parametrize(
    ("policy", "config", "says"),
    [
        ("world-open", {"service": ["ssh"]}, "'service', which does nothing. Did you mean 'services'?"),
        (
            "world-open",
            {"services": ["nodport"]},
            "'nodport' is not a service. Did you mean 'nodeport', or an entry such as tcp/443?",
        ),
        ("only-table-ports", {"rows": ["tcp/0"]}, "'tcp/0' is not a row. Fix: write tcp/9200"),
        ("only-table-ports", {"rows": ["tcp"]}, "'tcp' is not a row"),
        ("only-table-ports", {"rows": ["6"]}, "'6' is not a row"),
        ("only-table-ports", {"rows": ["tcp/9-"]}, "'tcp/9-' is not a row"),
        ("no-mixed-rules", {"ignore": ["x"]}, "'ignore', which does nothing. Fix: leave it out"),
        ("settings", {"cloud": "azure", "cluster": "x"}, "settings.cloud: 'azure' is not a valid value"),
        ("settings", {"cluster": "x"}, "settings.cloud: is missing"),
        (
            "settings",
            {"cloud": "aws", "cluster": "x", "ofline": True},
            "settings.ofline: is not a key of the settings. Did you mean 'offline'?",
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
        ("icmp/8", (1, 2049, 2304)),
        ("icmp/3/4", (1, 773, 773)),
        ("icmpv6/255", None),
        ("icmp/3/x", None),
        ("47", (47, 1, 65535)),
        ("protocol 47", (47, 1, 65535)),
        ("sctp/38412", (132, 38412, 38412)),
        ("sctp", (132, 1, 65535)),
        ("132", (132, 1, 65535)),
        ("icmp", (1, 1, 65535)),
        ("icmpv6", (58, 1, 65535)),
        ("gre", None),
        ("protocol 6", None),
        ("tcp", None),
        ("tcp/0", None),
        ("47/1", None),
    ],
)
def test_rows_are_written_as_messages_name_them(text: str, entry: tuple[int, int, int] | None) -> None:
    found = parse_entry(text)
    assert (found and (found[0], found[1].first, found[1].last)) == entry


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_address_of_another_resource_is_the_one_that_the_firewall_has(cloud: str) -> None:
    plan = planned(cloud, refs={"nat": {"cidr": LATER}}, sources={"admins": ["@nat"], "clients": []})

    def made(value: str) -> list[Declaration]:
        known = {"nat": replace(plan.settings.refs["nat"], id=value)}
        found = component(replace(plan, settings=replace(plan.settings, refs=known)))
        told = {"settings": plan.settings.json()}
        own = [replace(each, parent="fw") for each in found if each.name != "fw"]
        return [*own, *(replace(each, args=each.args | told) for each in found if each.name == "fw")]

    assert judge(made("203.0.113.7/32")) == {}
    assert set(judge(made(f"{GROUP}fw"))) == {"literal"}  # in a preview it is not known, and may be anything
    (rule,) = (each for each in made("203.0.113.7/32") if each.name == "fw-nodes-in-tcp-22-ipv4-nat")
    assert set(judge([each for each in made("203.0.113.7/32") if each != rule])) == {"complete"}
    open_to_all = made("0.0.0.0/0")
    assert "world-open" in judge(open_to_all)


# The nodes' own firewalls: the component has no resources, and the rules of its files among its outputs


def on_nodes(plan: Plan, *rules: Any) -> list[Declaration]:
    """A program with a Firewall on the cloud host; with other rules, those in place of the plan's."""
    return [
        Declaration("kubeports.Firewall", "fw", {"settings": plan.settings.json(), "rules": list(rules) or plan.json()["rules"]})
    ]


def of_host(**changes: Any) -> Plan:
    return check("fw", {"cloud": "host", **SMALL, **changes})


def test_files_of_the_nodes_own_firewalls_pass() -> None:
    @hypothesis(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategies.settings("host"))
    def whole(raw: dict[str, Any]) -> None:
        try:
            plan = check("fw", raw)
        except InputError:
            return
        assert judge(on_nodes(plan)) == {}

    whole()


def test_files_are_judged_by_the_settings_beside_the_program() -> None:
    said = {"cloud": "host", **SMALL, "roles": True}
    assert judge(on_nodes(of_host(roles=True)), {"settings": said}) == {}
    narrow = {"admins": ["10.20.1.0/24"], "clients": ["0.0.0.0/0"]}
    found = judge(on_nodes(of_host(roles=True)), {"settings": said | {"sources": narrow}})
    assert set(found) == {"settings", "only-table-sources"}
    assert any("tcp/22 on dev-nodes is open to 10.20.0.0/16" in text for text in found["only-table-sources"])
    found = judge(on_nodes(of_host(roles=True, services={"etcd": {"enabled": False}})), {"settings": said})
    assert set(found) == {"settings", "complete"}
    assert all("etcd (tcp/2379-2380, ipv4) is missing for the" in text for text in found["complete"])


def test_a_rule_of_a_file_that_is_open_to_the_internet_is_found() -> None:
    plan = of_host()
    rules = plan.json()["rules"]
    wide = [rule | {"source": {"kind": "cidr", "value": "0.0.0.0/0"}} for rule in rules if rule["services"] == ["ssh"]]
    said = {"settings": {"cloud": "host", **SMALL}}
    assert any(
        "tcp/22 on dev-nodes is open to the internet" in text for text in judge(on_nodes(plan, *rules, *wide), said)["world-open"]
    )
    port = [rule | {"protocol": 6, "from_port": 4, "to_port": 4} for rule in rules if rule["services"] == ["ipip"]]
    assert any("is the number of a protocol" in text for text in judge(on_nodes(plan, *rules, *port), said)["ipip"])


def test_outputs_of_another_version_are_told_and_never_a_traceback() -> None:
    plan = of_host()
    broken = [{**rule, "source": "everybody"} for rule in plan.json()["rules"]]
    assert set(judge(on_nodes(plan, *broken))) == {"settings"}
