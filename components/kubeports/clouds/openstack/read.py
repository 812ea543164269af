"""How a rule of a security group of OpenStack is read: of the Networking API, and of a program. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kubeports import table
from kubeports.clouds.fields import (
    UNKNOWN,
    Declared,
    Identities,
    Source,
    certain,
    everybody,
    icmp_range,
    networks,
    port_range,
    protocol,
    sources,
    text,
)
from kubeports.clouds.openstack import facts
from kubeports.flows import Direction, Flow, Peer
from kubeports.networks import FAMILIES, Family, Network
from kubeports.traffic import ICMP, ICMPS, ICMPV6

#: https://github.com/kubernetes/cloud-provider-openstack, pkg/openstack/loadbalancer_sg.go: lb-sg-<uid>-<namespace>-<name>;
#: Octavia's own group of a load balancer is lb-<its id>.
_SERVICE = re.compile(r"lb-sg-[0-9a-f-]{36}-(.+)")
_OCTAVIA = re.compile(r"lb-[0-9a-f]{8}-[0-9a-f-]{27}")
_FIELDS = {
    "direction": "direction",
    "ethertype": "ethertype",
    "protocol": "protocol",
    "description": "description",
    "portRangeMin": "port_range_min",
    "portRangeMax": "port_range_max",
    "remoteIpPrefix": "remote_ip_prefix",
}


def of_api(raw: Mapping[str, Any]) -> Iterator[Flow]:
    """What ``rules`` allow: https://docs.openstack.org/api-ref/network/v2/#security-group-rules-security-group-rules."""
    for rule in raw["rules"]:
        peers: list[Source] = []
        if id := rule.get("remote_group_id"):
            peers.append((Peer("group", id), FAMILIES))
        elif id := rule.get("remote_address_group_id"):
            peers.append((Peer("prefixes", id), FAMILIES))
        yield from _flows(rule.get("description") or rule["id"], rule["id"], rule, [rule["security_group_id"]], peers)


def of_inputs(resource: Declared, who: Identities) -> Iterator[Flow]:
    """What a resource allows; nothing where it has no rules."""
    if resource.type != facts.RULE:
        return
    inputs = resource.inputs
    peers: list[Source] = []
    if inputs.get("remoteGroupId"):
        peers = [(Peer("group", id), FAMILIES) for id in who.of(resource, "remoteGroupId")]
    elif inputs.get("remoteAddressGroupId"):
        peers = [(Peer("prefixes", id), FAMILIES) for id in who.of(resource, "remoteAddressGroupId")]
    rule = {theirs: inputs.get(ours) for ours, theirs in _FIELDS.items()}
    # The provider leaves a 0 out, and Neutron takes what is left out for every port, type or code.
    rule |= {name: rule[name] or None for name in ("port_range_min", "port_range_max")}
    yield from _flows(resource.name, resource.urn, rule, who.of(resource, "securityGroupId"), peers)


def _flows(where: str, id: str, rule: Mapping[str, Any], groups: list[str], peers: list[Source]) -> Iterator[Flow]:
    """A rule's flows; both ways of writing have these fields."""
    given = text(rule.get("ethertype")).lower()
    families: tuple[Family, ...] = ("ipv6",) if given == "ipv6" else FAMILIES if rule.get("ethertype") is UNKNOWN else ("ipv4",)
    # 0 is any: https://docs.openstack.org/api-ref/network/v2/#create-security-group-rule
    name = rule.get("protocol")
    written = text(name) or "any"
    number = None if written == "0" else protocol(UNKNOWN if name is UNKNOWN else written)
    if number == ICMP and families == ("ipv6",):
        number = ICMPV6  # as Neutron stores it: _make_canonical_ipv6_icmp_protocol in neutron/db/securitygroups_db.py
    icmp = number in ICMPS
    start, end = rule.get("port_range_min"), rule.get("port_range_max")
    found = sources(rule.get("remote_ip_prefix"), families) or peers
    found = found or everybody(families)  # neither prefix nor group is everybody
    directions: tuple[Direction, ...] = ("ingress", "egress")
    for direction in (rule["direction"],) if rule["direction"] in directions else directions:
        for group in groups:
            for source, _ in found:
                yield Flow(
                    where=where,
                    id=id,
                    group=group,
                    direction=direction,
                    protocol=number,
                    ports=icmp_range(start, end) if icmp else port_range(number, start, end),
                    source=source,
                    families=families if isinstance(source, Peer) else _,
                    written=written if name is not UNKNOWN else "",
                    ported=start is not None or end is not None,
                    why=text(rule.get("description")),
                    certain=certain(source, name, start, end, rule.get("ethertype")),
                )


def rules(raw: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The raw rules by the ids of their flows."""
    return {rule["id"]: rule for rule in raw["rules"]}


def lists(raw: Mapping[str, Any]) -> dict[str, list[Network]]:
    """The networks in the address groups that the client could read."""
    return {each["id"]: networks(each["addresses"]) for each in raw.get("address_groups", ())}


def described(rule: Mapping[str, Any]) -> str:
    """What a raw rule says of itself."""
    return rule.get("description") or ""


def controller(rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Which controller made a raw rule, as far as it says; empty: none that is known."""
    for id in (rule.get("remote_group_id"), rule["security_group_id"]):
        name = names.get(id or "", "")
        if match := _SERVICE.fullmatch(name):
            return f"Kubernetes: the load balancer of the Service {match[1]}"
        if _OCTAVIA.fullmatch(name):
            return f"Kubernetes or Octavia: the load balancer {name.removeprefix('lb-')}"
    return ""


def declared_list(resource: Declared, resources: Mapping[str, Declared]) -> list[Network] | None:
    """The networks of an address group that the program makes; None: it is none."""
    if resource.type != facts.ADDRESSES:
        return None
    given = resource.inputs.get("addresses")
    # An address that is not known may be anything.
    return networks(["?" if each is UNKNOWN else each for each in given] if isinstance(given, list) else "?")


def marked(resource: Declared, cluster: str) -> tuple[str, ...]:
    """The targets of a cluster whose group a resource is, as the component names it."""
    if resource.type != facts.GROUP:
        return ()
    return tuple(target for target in table.TARGETS if resource.inputs.get("name") == f"{cluster}-{target}")


# What policies say


def without_ports(flow: Flow) -> str:
    """How a protocol without ports is written."""
    return "leave portRangeMin and portRangeMax out"


def no_source(resource: Declared) -> str:
    """Why a rule that names no source is open to every one; empty: it names one."""
    keys = ("remoteIpPrefix", "remoteGroupId", "remoteAddressGroupId")
    return "" if any(resource.inputs.get(key) for key in keys) else "no prefix and no group is every source"


def excess(
    resources: Mapping[str, Declared], flows: list[Flow], limits: Mapping[str, int], entries: Mapping[str, int]
) -> Iterator[tuple[str, str, str]]:
    """More rules and groups than the project takes, as sentence, resource and limit."""
    for what, type, key in (("security group rules", facts.RULE, "rules"), ("security groups", facts.GROUP, "groups")):
        number, most = sum(each.type == type for each in resources.values()), limits.get(key, facts.QUOTAS[key])
        if number > most:
            yield f"the stack has {number} {what}, and the project's quota is {most}", "", key
