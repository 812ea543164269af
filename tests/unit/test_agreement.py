"""Policies, audit and oracle agree on the same rules: given once as an API's JSON, once as a program's inputs.

The judges are asked whether all that the plan wants passes (``complete``, ``missing`` and ``denied``), and whether more than that
does; the oracle answers packet by packet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from kubeports import table
from kubeports.audit.compare import compare
from kubeports.clouds import backend
from kubeports.clouds.fields import Declared
from kubeports.flows import Flow, Peer
from kubeports.plan import plan
from kubeports.policies import checks
from kubeports.policies.expected import Expected
from kubeports.policies.stack import Stack
from kubeports.rules import Plan
from kubeports.settings import parse

from tests.oracle import clouds
from tests.unit.test_audit import NETWORKS, RAW, ids, stored, tampered
from tests.wire import Raw

TYPES = {
    "gcp": "gcp:compute/firewall:Firewall",
    "aws ingress": "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws egress": "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "openstack": "openstack:networking/secGroupRule:SecGroupRule",
}


def declared(cloud: str, raw: Raw) -> list[Declared]:
    """The same rules as a program writes them."""
    rules = raw["firewalls" if cloud == "gcp" else "rules"]
    return [{"aws": _aws, "gcp": _gcp, "openstack": _openstack}[cloud](rule) for rule in rules]


def _aws(rule: Mapping[str, Any]) -> Declared:
    names = {"IpProtocol": "ipProtocol", "CidrIpv4": "cidrIpv4", "CidrIpv6": "cidrIpv6", "PrefixListId": "prefixListId"}
    names |= {"GroupId": "securityGroupId", "Description": "description"}
    inputs = {ours: rule[theirs] for theirs, ours in names.items() if rule.get(theirs) is not None}
    inputs |= {ours: rule[theirs] for theirs, ours in (("FromPort", "fromPort"), ("ToPort", "toPort")) if rule[theirs] != -1}
    if group := rule.get("ReferencedGroupInfo"):
        inputs["referencedSecurityGroupId"] = group["GroupId"]
    kind, name = f"aws {'egress' if rule['IsEgress'] else 'ingress'}", rule["SecurityGroupRuleId"]
    return Declared(TYPES[kind], name, f"urn:{name}", inputs)


def _gcp(rule: Mapping[str, Any]) -> Declared:
    inputs = {key: value for key, value in rule.items() if key not in ("allowed", "denied")}
    for theirs, ours in (("allowed", "allows"), ("denied", "denies")):
        if theirs in rule:
            inputs[ours] = [{"protocol": each["IPProtocol"], "ports": each.get("ports")} for each in rule[theirs]]
    return Declared(TYPES["gcp"], rule["name"], f"urn:{rule['name']}", inputs)


def _openstack(rule: Mapping[str, Any]) -> Declared:
    names = {"security_group_id": "securityGroupId", "port_range_min": "portRangeMin", "port_range_max": "portRangeMax"}
    names |= {"remote_ip_prefix": "remoteIpPrefix", "remote_group_id": "remoteGroupId"}
    names |= {"remote_address_group_id": "remoteAddressGroupId"}
    inputs = {names.get(key, key): value for key, value in rule.items() if key != "id" and value is not None}
    return Declared(TYPES["openstack"], rule["id"], f"urn:{rule['id']}", inputs)


@dataclass(frozen=True)
class Case:
    """Rules that somebody has changed.

    Args:
        cloud: whose.
        change: what was done to the API's rules.
        lacks: whether something of the plan does not pass.
        exceeds: whether something passes that the plan does not have.
        packet: one that decides it: protocol, port and address.
        services: rows that are switched on besides.
        settings: other settings of the stack.
    """

    cloud: str
    change: Callable[[list[Raw]], Any]
    lacks: bool
    exceeds: bool
    packet: tuple[int, int | None, str]
    services: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def _deny(ports: list[str] | None, source: str, priority: int = 900, **more: Any) -> Raw:
    entry = {"IPProtocol": "tcp", "ports": ports} if ports else {"IPProtocol": "all"}
    rule = {"name": "deny", "direction": "INGRESS", "priority": priority, "denied": [entry], "sourceRanges": [source]}
    return rule | {"description": "deny"} | more


def _allow(ports: list[str], source: str, name: str = "allow", **more: Any) -> Raw:
    rule = _deny(ports, source, **more)
    return {key: value for key, value in rule.items() if key != "denied"} | {"name": name, "allowed": rule["denied"]}


def _set(stem: str, key: str, **fields: Any) -> Callable[[list[Raw]], Any]:
    return lambda rules: next(each for each in rules if str(each[key]).startswith(stem)).update(fields)


def _neutron(protocol: str | None, prefix: str | None) -> Callable[[list[Raw]], Any]:
    rule: Raw = {"id": "x", "description": "x", "security_group_id": "id-nodes", "direction": "ingress", "ethertype": "IPv4"}
    rule |= {"protocol": protocol, "port_range_min": None, "port_range_max": None, "remote_ip_prefix": prefix}
    return lambda rules: rules.append(rule | {"remote_group_id": None, "remote_address_group_id": None})


def _tunnel(rules: list[Raw]) -> None:
    """Protocol 94 among the nodes, beside ``pods``, which has every protocol among them."""
    _neutron("94", None)(rules)
    rules[-1]["remote_group_id"] = "id-nodes"


def _halves(rules: list[Raw]) -> None:
    rules += [_deny(["22"], half, name=f"deny-{half[0]}") for half in ("10.20.0.0/17", "10.20.128.0/17")]


#: ICMP of both families from the administrators, as rows of the stack's own.
_PING = {
    "families": ["ipv4", "ipv6"],
    "sources": {"admins": ["10.20.0.0/16", "2001:db8::/64"], "clients": [], "peers": [], "balancers": []},
    "services": {"icmp": {"enabled": True, "source": ["admins"]}},
}

CASES = {
    "all as planned on aws": Case("aws", lambda r: None, False, False, (6, 22, "10.20.0.1")),
    "all as planned on gcp": Case("gcp", lambda r: None, False, False, (6, 22, "10.20.0.1")),
    "all as planned on openstack": Case("openstack", lambda r: None, False, False, (6, 22, "10.20.0.1")),
    "gcp denies a part of a row's ports": Case(
        "gcp", lambda r: r.append(_deny(["2379"], "0.0.0.0/0")), True, False, (6, 2379, "10.0.0.1")
    ),
    "gcp denies a part of a row's source": Case(
        "gcp", lambda r: r.append(_deny(["22"], "10.20.4.0/24")), True, False, (6, 22, "10.20.4.1")
    ),
    "gcp denies a row's source in pieces": Case("gcp", _halves, True, False, (6, 22, "10.20.200.1")),
    "gcp denies a row's group by addresses": Case(
        "gcp", lambda r: r.append(_deny(["2379-2380"], "10.0.0.0/8")), True, False, (6, 2379, "10.0.0.1")
    ),
    "gcp denies beneath the plan": Case(
        "gcp", lambda r: r.append(_deny(["22"], "0.0.0.0/0", priority=2000)), False, False, (6, 22, "10.20.0.1")
    ),
    "gcp opens a port beneath a denial": Case(
        "gcp",
        lambda r: r.extend([_deny(["23"], "0.0.0.0/0"), _allow(["23"], "0.0.0.0/0", priority=901)]),
        False,
        False,
        (6, 23, "198.18.0.1"),
    ),
    "gcp opens a port to the internet": Case(
        "gcp", lambda r: r.append(_allow(["23"], "0.0.0.0/0")), False, True, (6, 23, "198.18.0.1")
    ),
    "gcp opens a port to every instance": Case(
        "gcp", lambda r: r.append(_allow(["23"], "10.0.0.0/8", priority=65532)), False, True, (6, 23, "10.0.0.1")
    ),
    "aws has some types of icmp": Case(
        "aws",
        _set("nodes-in-1-", "SecurityGroupRuleId", FromPort=8, ToPort=0),
        True,
        False,
        (1, None, "10.0.0.1"),
        ("icmp",),
    ),
    "openstack has some types of icmp": Case(
        "openstack", _set("nodes-in-1-", "id", port_range_min=8, port_range_max=1), True, False, (1, None, "10.0.0.1"), ("icmp",)
    ),
    "gcp denies a part of what a named source may have": Case(
        "gcp",
        lambda r: r.append(_deny(["22"], "10.9.0.0/16")),
        True,
        False,
        (6, 22, "10.9.0.1"),
        settings={"refs": {"bastion": {"group": "bastion"}}, "sources": RAW["sources"] | {"admins": ["@bastion"]}},
    ),
    "gcp denies to every instance what no row of a role allows": Case(
        "gcp", lambda r: r.append(_deny(["22"], "10.99.0.0/16")), False, False, (6, 22, "10.20.0.1"), settings={"roles": True}
    ),
    "gcp opens to a role's nodes what all nodes are denied": Case(
        "gcp",
        lambda r: r.append(_allow(["23"], "0.0.0.0/0", priority=65534, targetTags=["c-worker"])),
        False,
        False,
        (6, 23, "198.18.0.1"),
        settings={"roles": True},
    ),
    "gcp denies one protocol of the row for every protocol": Case(
        "gcp",
        lambda r: r.append(_deny(None, "0.0.0.0/0", denied=[{"IPProtocol": "47"}])),
        True,
        False,
        (47, None, "10.0.0.1"),
        settings={"calico": ["ipip", "cross-subnet"]},
    ),
    "openstack opens a tunnel that the row for every protocol has": Case(
        "openstack", _tunnel, False, False, (94, None, "10.0.0.1"), settings={"calico": ["ipip", "cross-subnet"]}
    ),
    **{
        f"openstack has ICMP of IPv6 as {name}": Case(
            "openstack", _set("nodes-in-58-", "id", protocol=name), False, False, (58, None, "2001:db8::1"), settings=_PING
        )
        for name in ("ipv6-icmp", "icmpv6", "58", "icmp", "1")
    },
    "openstack has ICMP of IPv4 alone": Case(
        "openstack",
        _set("nodes-in-58-", "id", protocol="1", ethertype="IPv4", remote_ip_prefix="10.20.0.0/16"),
        True,
        False,
        (58, None, "2001:db8::1"),
        settings=_PING,
    ),
    "openstack opens protocol 0, which is any": Case(
        "openstack", _neutron("0", "10.0.0.0/8"), False, True, (47, None, "10.0.0.1")
    ),
    "openstack opens all to the internet": Case("openstack", _neutron(None, None), False, True, (47, None, "198.18.0.1")),
    "openstack has a prefix with space around it": Case(
        "openstack", _neutron("tcp", "0.0.0.0/0 "), False, True, (6, 23, "198.18.0.1")
    ),
    "openstack has a prefix with a line feed": Case(
        "openstack", _neutron("tcp", "0.0.0.0/0\n"), False, True, (6, 23, "198.18.0.1")
    ),
    "openstack has a prefix that nobody can read": Case("openstack", _neutron("tcp", "any"), False, True, (6, 23, "198.18.0.1")),
}


def made(case: Case) -> tuple[Plan, Raw]:
    settings = RAW | {"cloud": case.cloud} | NETWORKS[case.cloud] | {"services": {s: {"enabled": True} for s in case.services}}
    settings |= case.settings
    planned = plan(table.load(), parse(settings))
    raw = stored(planned)
    case.change(raw["firewalls" if case.cloud == "gcp" else "rules"])
    return planned, raw


@pytest.mark.parametrize("name", CASES)
def test_policies_and_audit_and_oracle_say_the_same(name: str) -> None:
    case = CASES[name]
    planned, raw = made(case)
    nodes = ids(planned).of["nodes"]
    audited = {each.kind for each in compare(planned, raw, ids(planned))}
    assert bool(audited & {"missing", "denied"}) == case.lacks, audited
    assert bool(audited & {"world", "beyond", "source", "tunnel"}) == case.exceeds, audited
    settings = planned.settings.json() | {"existing": {"nodes": nodes[0]}}
    stack = Stack(declared(case.cloud, raw), [Expected(settings, planned.rules)])
    found = {check.__name__: list(check(stack, {})) for check in (checks.complete, checks.world_open)}
    found |= {check.__name__: list(check(stack, {})) for check in (checks.only_table_ports, checks.only_table_sources)}
    found |= {check.__name__: list(check(stack, {})) for check in (checks.toggles, checks.ipip)}
    assert bool(found.pop("complete")) == case.lacks
    assert any(found.values()) == case.exceeds, found
    if "nobody can read" not in name:
        readable = [rule | {"remote_ip_prefix": str(rule["remote_ip_prefix"]).strip()} if rule.get("remote_ip_prefix") else rule
                    for rule in raw.get("rules", ())]  # fmt: skip
        protocol, port, peer = case.packet
        carries = frozenset(nodes) if case.lacks and peer == "10.0.0.1" else frozenset()
        packet = clouds.Packet(protocol, port, ip_address(peer), carries, frozenset(nodes))
        if not case.services:
            passes = clouds.ALLOWS[case.cloud](raw | {"rules": readable})(packet)
            assert passes == (not case.lacks if case.lacks else case.exceeds or peer in ("10.20.0.1", "2001:db8::1")), passes


@pytest.mark.parametrize("cloud", ["aws", "gcp", "openstack"])
def test_over_clouds_that_somebody_has_changed_policies_and_audit_say_the_same(cloud: str) -> None:
    """That rows are missing, and that more is open; GCP's baseline, which is no row, is the audit's alone."""

    @hypothesis(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tampered(cloud))
    def agree(case: tuple[dict[str, Any], Plan, Raw]) -> None:
        _, planned, raw = case
        groups = ids(planned)
        found = [each for each in compare(planned, raw, groups) if each.direction == "ingress" and each.services != ("baseline",)]
        settings = planned.settings.json() | {"existing": {target: groups.identity(target) for target in groups.of}}
        stack = Stack(declared(cloud, raw), [Expected(settings, planned.rules)])
        judges = (
            checks.complete,
            checks.world_open,
            checks.only_table_ports,
            checks.only_table_sources,
            checks.toggles,
            checks.ipip,
        )
        says = [finding.says for judge in judges for finding in judge(stack, {})]
        lacks = [each for each in says if re.search(" is missing for | is denied to some ", each)]
        assert bool({each.kind for each in found} & {"missing", "denied"}) == bool(lacks), (found, says)
        assert bool({each.kind for each in found} - {"missing", "denied", "surplus"}) == (len(says) > len(lacks)), (found, says)

    agree()


def test_what_is_denied_in_a_network_of_another_project_is_denied_to_nobody_here() -> None:
    planned, raw = made(CASES["all as planned on gcp"])
    for rule in raw["firewalls"]:
        rule["network"] = "https://www.googleapis.com/compute/v1/projects/a/global/networks/default"
    for project, kinds in (("a", {"missing"}), ("b", set())):
        denied = _deny(
            None, "0.0.0.0/0", 1, network=f"https://compute.googleapis.com/compute/v1/projects/{project}/global/networks/default"
        )
        found = compare(planned, {"firewalls": [*raw["firewalls"], denied]}, ids(planned))
        assert {each.kind for each in found} == kinds


class _Names:
    """Identities of a program whose ids are all known."""

    def of(self, resource: Declared, property: str, value: Any = None) -> list[str]:
        given = resource.inputs.get(property) if value is None else value
        return [each for each in (given if isinstance(given, list) else [given]) if isinstance(each, str)]


def _meaning(flow: Flow) -> tuple[Any, ...]:
    source = flow.source if not isinstance(flow.source, Peer) else flow.source.id
    what = (flow.direction, flow.action, flow.priority, flow.protocol, flow.ports, flow.part)
    return (flow.group, *what, source, flow.families, flow.written)


@pytest.mark.parametrize("name", CASES)
def test_a_rule_is_read_alike_from_an_api_and_from_a_program(name: str) -> None:
    case = CASES[name]
    _, raw = made(case)
    read = backend(case.cloud).read
    implied = list(read.of_api({"firewalls": []})) if case.cloud == "gcp" else []
    of_api = {_meaning(flow) for flow in read.of_api(raw)} - {_meaning(flow) for flow in implied}
    of_inputs = {_meaning(flow) for each in declared(case.cloud, raw) for flow in read.of_inputs(each, _Names())}
    assert of_api == of_inputs and len(of_api) > 5
