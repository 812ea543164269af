"""Rules in every spelling of Pulumi's SDKs: a whole hand-written stack of them, and single ones, as classes and arguments.

A declaration is plain data: the engine's test writes it into a program, the unit test makes of it what the policy SDK hands over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kubeports.networks import INTERNET
from kubeports.rules import Rule

#: Stands for the id of the group called so, which is not known at preview.
GROUP = "id of "
#: The cluster's group in a hand-written stack.
NODES = "nodes"

SPELLINGS = ("aws standalone", "aws legacy", "aws inline", "aws default", "gcp", "openstack")
_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", None: "all"}
SELF = "self"


@dataclass(frozen=True)
class Declaration:
    """A resource of a program: class, logical name and arguments, the name of its component, and of a provider of its own."""

    cls: str
    name: str
    args: dict[str, Any]
    parent: str = ""
    provider: str = ""


@dataclass(frozen=True)
class Written:
    """A rule as somebody writes it.

    Args:
        name: the resource's logical name.
        protocol: as it is spelt; ``all`` is every protocol.
        ports: first and last.
        sources: CIDRs, or ``self``; none: the source is left out.
        why: the description.
    """

    name: str
    protocol: str
    ports: tuple[int, int] | None
    sources: tuple[str, ...]
    why: str = "somebody needs it"


def cloud(spelling: str) -> str:
    """The cloud of a spelling."""
    return spelling.split()[0]


def groups(spelling: str, name: str = NODES) -> list[Declaration]:
    """A group for rules that stand beside it; GCP's is a tag, and inline rules bring theirs."""
    if spelling in ("aws standalone", "aws legacy"):
        return [Declaration("aws.ec2.SecurityGroup", name, {"vpc_id": "vpc-1", "description": "nodes"})]
    if spelling == "openstack":
        return [Declaration("openstack.networking.SecGroup", name, {"description": "nodes"})]
    return []


def declare(spelling: str, rules: Iterable[Written], group: str = NODES) -> list[Declaration]:
    """Rules in a spelling, on a group; an inline spelling has its group among them."""
    rules = list(rules)
    if spelling in ("aws inline", "aws default"):
        blocks = [block for rule in rules for block in _block(rule)]
        cls = "aws.ec2.SecurityGroup" if spelling == "aws inline" else "aws.ec2.DefaultSecurityGroup"
        described = {"description": "nodes"} if spelling == "aws inline" else {}
        return [Declaration(cls, group, {"vpc_id": "vpc-1", "ingress": blocks, **described})]
    one = {"aws standalone": _standalone, "aws legacy": _legacy, "gcp": _gcp, "openstack": _openstack}[spelling]
    return [declaration for rule in rules for declaration in one(rule, group)]


def written(rules: Iterable[Rule], spelling: str) -> list[Written]:
    """A plan's ingress rules, as somebody would write them by hand."""
    found: dict[str, Written] = {}
    for rule in rules:
        if (rule.direction, rule.action) == ("ingress", "allow"):
            ports = None if rule.from_port is None or rule.to_port is None else (rule.from_port, rule.to_port)
            source = SELF if rule.source.kind == "self" else rule.source.value
            protocol = right(spelling, rule.protocol)
            key = rule.key if cloud(spelling) != "gcp" else rule.key.replace(".", "-")
            found[rule.key] = Written(key, protocol, ports, (source,))
    return list(found.values())


def right(spelling: str, number: int | None) -> str:
    """A protocol as the cloud wants it."""
    if number == 4 and spelling == "gcp":
        return "ipip"
    return _NAMES.get(number, str(number))


def _standalone(rule: Written, group: str) -> Iterable[Declaration]:
    for number, source in enumerate(rule.sources):
        args: dict[str, Any] = {"security_group_id": GROUP + group, "description": rule.why}
        args["ip_protocol"] = "-1" if rule.protocol == "all" else rule.protocol
        if rule.ports:
            args |= {"from_port": rule.ports[0], "to_port": rule.ports[1]}
        if source == SELF:
            args["referenced_security_group_id"] = GROUP + group
        else:
            args["cidr_ipv6" if ":" in source else "cidr_ipv4"] = source
        yield Declaration("aws.vpc.SecurityGroupIngressRule", rule.name + (f"-{number}" if number else ""), args)


def _legacy(rule: Written, group: str) -> Iterable[Declaration]:
    yield Declaration(
        "aws.ec2.SecurityGroupRule", rule.name, {"type": "ingress", "security_group_id": GROUP + group, **next(_block(rule))}
    )


def _block(rule: Written) -> Any:
    first, last = rule.ports or (0, 0)
    block: dict[str, Any] = {
        "protocol": "-1" if rule.protocol == "all" else rule.protocol,
        "from_port": first,
        "to_port": last,
        "description": rule.why,
    }
    v4 = [source for source in rule.sources if source != SELF and ":" not in source]
    v6 = [source for source in rule.sources if ":" in source]
    block |= ({"cidr_blocks": v4} if v4 else {}) | ({"ipv6_cidr_blocks": v6} if v6 else {})
    yield block | ({"self": True} if SELF in rule.sources else {})


def _gcp(rule: Written, group: str) -> Iterable[Declaration]:
    item: dict[str, Any] = {"protocol": rule.protocol}
    if rule.ports:
        item["ports"] = ["-".join(map(str, dict.fromkeys(rule.ports)))]
    ranges = [source for source in rule.sources if source != SELF]
    args: dict[str, Any] = {"network": "default", "allows": [item], "target_tags": [group], "description": rule.why}
    args |= ({"source_ranges": ranges} if ranges else {}) | ({"source_tags": [group]} if SELF in rule.sources else {})
    yield Declaration("gcp.compute.Firewall", rule.name, args)


def _openstack(rule: Written, group: str) -> Iterable[Declaration]:
    for number, source in enumerate(rule.sources or ("",)):
        ethertype = "IPv6" if ":" in source else "IPv4"
        args: dict[str, Any] = {"security_group_id": GROUP + group, "direction": "ingress", "ethertype": ethertype}
        args |= {"description": rule.why} | ({} if rule.protocol == "all" else {"protocol": rule.protocol})
        if rule.ports:
            args |= {"port_range_min": rule.ports[0], "port_range_max": rule.ports[1]}
        if source == SELF:
            args["remote_group_id"] = GROUP + group
        elif source:
            args["remote_ip_prefix"] = source
        yield Declaration("openstack.networking.SecGroupRule", rule.name + (f"-{number}" if number else ""), args)


WORLD_V4 = str(INTERNET["ipv4"])
