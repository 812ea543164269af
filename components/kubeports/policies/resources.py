"""A stack's resources as openings: every way in which Pulumi's SDKs write a rule of AWS, GCP or OpenStack.

What is not known at preview is ``UNKNOWN`` here. A group is told by the resource on which a property depends (its URN), for a new
group's id is not known at preview; else by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from math import isfinite
from typing import Any, Literal

from kubeports.flows import EVERYWHERE, Opening, Peer
from kubeports.networks import FAMILIES, INTERNET, Family, Network, family_of
from kubeports.traffic import FIRST_PORT, ICMP, ICMPV6, LAST_PORT, TCP, UDP, protocol_of


class _Unknown:
    """The one value that stands for what is not known at preview."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()
Direction = Literal["ingress", "egress"]

AWS_GROUP = "aws:ec2/securityGroup:SecurityGroup"
AWS_DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
AWS_LEGACY_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
AWS_INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
AWS_EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
GCP_FIREWALL = "gcp:compute/firewall:Firewall"
OPENSTACK_GROUP = "openstack:networking/secGroup:SecGroup"
OPENSTACK_RULE = "openstack:networking/secGroupRule:SecGroupRule"
OPENSTACK_ADDRESSES = "openstack:networking/addressGroupV2:AddressGroupV2"

#: The resources that have rules, and their clouds.
CLOUDS: Mapping[str, str] = {
    AWS_GROUP: "aws",
    AWS_DEFAULT_GROUP: "aws",
    AWS_LEGACY_RULE: "aws",
    AWS_INGRESS: "aws",
    AWS_EGRESS: "aws",
    GCP_FIREWALL: "gcp",
    OPENSTACK_RULE: "openstack",
}


@dataclass(frozen=True)
class Declared:
    """A resource as the program declares it.

    Args:
        type: its type token.
        name: its logical name.
        urn: its URN.
        inputs: its properties as the SDK names them, with ``UNKNOWN`` for what is not known.
        links: property -> URNs of the resources that decide it.
        parent: the URN of its parent; empty: none.
    """

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parent: str = ""

    @property
    def cloud(self) -> str:
        """The cloud whose rules it has; empty: none."""
        return CLOUDS.get(self.type, "")


class Reader:
    """Reads the openings of a stack's resources.

    Args:
        resources: all of the stack.
    """

    def __init__(self, resources: Iterable[Declared]) -> None:
        self.resources = {each.urn: each for each in resources}
        self.groups = {urn: each for urn, each in self.resources.items() if each.type in _GROUPS}
        self._ids = {each.inputs["id"]: urn for urn, each in self.groups.items() if isinstance(each.inputs.get("id"), str)}

    def openings(self) -> list[Opening]:
        """Every opening of the stack."""
        return [opening for each in self.resources.values() for opening in self.of(each)]

    def denied(self) -> list[Opening]:
        """What GCP's firewall rules deny, in the same terms; no other cloud has such rules."""
        firewalls = (each for each in self.resources.values() if each.type == GCP_FIREWALL)
        return [opening for each in firewalls for opening in _gcp_entries(each, "denies")]

    def of(self, resource: Declared) -> list[Opening]:
        """The openings of one resource; none where it has no rules."""
        read = _READERS.get(resource.type)
        return [] if read is None else list(read(self, resource))

    def name(self, identity: str) -> str:
        """A group's identity as people call it: its logical name, or its id."""
        if identity == EVERYWHERE:
            return "every instance of the network"
        return self.groups[identity].name if identity in self.groups else identity or "a group that is not known yet"

    def identity(self, resource: Declared, property: str) -> str:
        """The identity of the group that a property names."""
        for urn in resource.links.get(property, ()):
            if urn in self.groups:
                return urn
        value = resource.inputs.get(property)
        return self.known(value) if isinstance(value, str) else ""

    def known(self, id: str) -> str:
        """The identity of the group with a cloud's id."""
        return self._ids.get(id, id)

    def identities(self, resource: Declared, property: str, value: Any) -> list[str]:
        """The identities in a property that lists groups, maybe within a block of an inline rule."""
        linked = [urn for urn in resource.links.get(property, ()) if urn in self.groups]
        given = _list(value)
        known = [self.known(each) for each in given if isinstance(each, str)]
        return list(dict.fromkeys([*known, *(linked if len(known) < len(given) or value is UNKNOWN else [])])) or (
            [""] if given or value is UNKNOWN else []
        )

    def addresses(self, resource: Declared, property: str) -> list[Network | Peer] | None:
        """The networks of an address group of the same stack; None where it is somebody else's."""
        for urn in resource.links.get(property, ()):
            each = self.resources.get(urn)
            if each is not None and each.type == OPENSTACK_ADDRESSES:
                return list(_sources(each.inputs.get("addresses")))
        return None


def unreadable(resource: Declared) -> list[str]:
    """The properties of a rule that decide what is open and are not known at preview; groups' ids are told otherwise."""
    if resource.type not in CLOUDS:
        return []
    return sorted(name for name in _DECIDING if _has_unknown(resource.inputs.get(name)))


_DECIDING = {
    *("ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6", "protocol", "cidrBlocks", "ipv6CidrBlocks", "type"),
    *("ingress", "egress", "allows", "denies", "sourceRanges", "destinationRanges", "direction", "disabled", "targetTags"),
    *("portRangeMin", "portRangeMax", "remoteIpPrefix", "ethertype"),
}


def _has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        # A block's groups are told by what it depends on.
        return any(_has_unknown(each) for name, each in value.items() if name not in ("securityGroups", "prefixListIds"))
    return value is UNKNOWN or (isinstance(value, list) and any(map(_has_unknown, value)))


# AWS: https://www.pulumi.com/registry/packages/aws/api-docs/vpc/securitygroupingressrule/ and the other spellings there


def _aws_rule(direction: Direction, reader: Reader, resource: Declared) -> Iterator[Opening]:
    inputs = resource.inputs
    sources: list[tuple[Network | Peer, tuple[Family, ...]]] = []
    for key in ("cidrIpv4", "cidrIpv6"):
        sources += [(each, _families(each)) for each in _sources(inputs.get(key))]
    if inputs.get("prefixListId") is not None:
        sources.append((_prefixes(inputs["prefixListId"]), FAMILIES))
    if inputs.get("referencedSecurityGroupId") is not None:
        sources.append((Peer("group", reader.identity(resource, "referencedSecurityGroupId")), FAMILIES))
    group = reader.identity(resource, "securityGroupId")
    for source, families in sources:
        yield _aws(resource, group, direction, inputs.get("ipProtocol"), inputs, source, families, "standalone")


def _aws_legacy(reader: Reader, resource: Declared) -> Iterator[Opening]:
    inputs = resource.inputs
    direction = inputs.get("type")
    if direction not in ("ingress", "egress"):
        return
    group = reader.identity(resource, "securityGroupId")
    sources = list(_aws_sources(inputs))
    if inputs.get("self") is True:
        sources.append((Peer("group", group), FAMILIES))
    if inputs.get("sourceSecurityGroupId") is not None:
        sources.append((Peer("group", reader.identity(resource, "sourceSecurityGroupId")), FAMILIES))
    for source, families in sources:
        yield _aws(resource, group, direction, inputs.get("protocol"), inputs, source, families, "legacy")


def _aws_inline(reader: Reader, resource: Declared) -> Iterator[Opening]:
    directions: tuple[Direction, ...] = ("ingress", "egress")
    for direction in directions:
        for block in _list(resource.inputs.get(direction)):
            if not isinstance(block, Mapping):
                yield _anything(resource, resource.urn, direction)
                continue
            sources = list(_aws_sources(block))
            if block.get("self") is True:
                sources.append((Peer("group", resource.urn), FAMILIES))
            if block.get("securityGroups") is not None:
                groups = reader.identities(resource, direction, block["securityGroups"])
                sources += [(Peer("group", identity), FAMILIES) for identity in groups]
            for source, families in sources:
                yield _aws(resource, resource.urn, direction, block.get("protocol"), block, source, families, "inline")


def _aws_sources(inputs: Mapping[str, Any]) -> Iterator[tuple[Network | Peer, tuple[Family, ...]]]:
    for key in ("cidrBlocks", "ipv6CidrBlocks"):
        for each in _sources(inputs.get(key)):
            yield each, _families(each)
    for id in _list(inputs.get("prefixListIds")):
        yield _prefixes(id), FAMILIES


def _aws(
    resource: Declared,
    group: str,
    direction: Direction,
    protocol: Any,
    inputs: Mapping[str, Any],
    source: Network | Peer,
    families: tuple[Family, ...],
    style: Literal["standalone", "legacy", "inline"],
) -> Opening:
    number = None if protocol is UNKNOWN else protocol_of(_text(protocol))
    start, end = inputs.get("fromPort"), inputs.get("toPort")
    # Where the older resources demand ports of a protocol that has none, they are 0; so is "all" as 0-0 or -1.
    meaningful = start not in (None, 0, -1) or end not in (None, 0, -1)
    ported = number in (TCP, UDP) or (style == "standalone" and number not in (ICMP, ICMPV6)) or meaningful
    first, last = _range(start, end) if number in (TCP, UDP) else (FIRST_PORT, LAST_PORT)
    return Opening(
        where=resource.name,
        id=resource.urn,
        group=group,
        direction=direction,
        protocol=number,
        first=first,
        last=last,
        source=source,
        families=families,
        spelling=_text(protocol),
        ported=ported and (start is not None or end is not None),
        why=_text(inputs.get("description")),
        style=style,
        certain=_certain(source, protocol, start, end),
    )


# GCP: https://cloud.google.com/compute/docs/reference/rest/v1/firewalls


def _gcp(reader: Reader, resource: Declared) -> Iterator[Opening]:
    return _gcp_entries(resource, "allows")


def _gcp_entries(resource: Declared, entries: str) -> Iterator[Opening]:
    inputs = resource.inputs
    if inputs.get("disabled") is True:
        return
    direction: Direction = "egress" if _text(inputs.get("direction")).upper() == "EGRESS" else "ingress"
    sources: list[tuple[Network | Peer, tuple[Family, ...]]] = []
    ranges = "sourceRanges" if direction == "ingress" else "destinationRanges"
    sources += [(each, _families(each)) for each in _sources(inputs.get(ranges))]
    for key, kind in (("sourceTags", "group"), ("sourceServiceAccounts", "account")):
        for each in _list(inputs.get(key)):
            sources.append((Peer(kind, _text(each)), FAMILIES))  # type: ignore[arg-type]
    if not any(inputs.get(key) for key in (ranges, "sourceTags", "sourceServiceAccounts")):
        # No source is every source: https://cloud.google.com/firewall/docs/firewalls#sources
        sources.append((INTERNET["ipv4"], ("ipv4",)))
    groups = [_text(tag) for tag in _list(inputs.get("targetTags"))]
    groups = groups or [f"account {_text(each)}" for each in _list(inputs.get("targetServiceAccounts"))]
    groups = groups or ([""] if inputs.get("targetTags") is UNKNOWN else [EVERYWHERE])
    priority = inputs.get("priority")
    for item in _list(inputs.get(entries)):
        if not isinstance(item, Mapping):
            yield from (_anything(resource, group, direction) for group in groups)
            continue
        protocol = item.get("protocol")
        number = None if protocol is UNKNOWN else protocol_of(_text(protocol))
        for ports in _list(item.get("ports")) or [None]:
            first, last = _gcp_ports(ports)
            for group in groups:
                for source, families in sources:
                    yield Opening(
                        where=resource.name,
                        id=resource.urn,
                        group=group,
                        direction=direction,
                        protocol=number,
                        first=first,
                        last=last,
                        source=source,
                        families=families,
                        spelling=_text(protocol),
                        ported=ports is not None,
                        why=_text(inputs.get("description")),
                        priority=_GCP_PRIORITY if priority in (None, UNKNOWN) else int(priority),
                        certain=_certain(source, protocol, ports),
                    )


#: https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules
_GCP_PRIORITY = 1000


def _gcp_ports(ports: Any) -> tuple[int, int]:
    start, _, end = _text(ports).partition("-")
    return _range(start or None, end or start or None)


# OpenStack: https://docs.openstack.org/api-ref/network/v2/#security-group-rules-security-group-rules


def _openstack(reader: Reader, resource: Declared) -> Iterator[Opening]:
    inputs = resource.inputs
    direction = inputs.get("direction")
    if direction not in ("ingress", "egress"):
        return
    family: Family = "ipv6" if inputs.get("ethertype") == "IPv6" else "ipv4"
    protocol = inputs.get("protocol")
    number = None if protocol is UNKNOWN else protocol_of(_text(protocol) or "any")
    # The provider leaves a port 0 out, and Neutron takes a rule without ports for every port.
    start, end = inputs.get("portRangeMin") or None, inputs.get("portRangeMax") or None
    first, last = _range(start, end) if number in (TCP, UDP) else (FIRST_PORT, LAST_PORT)
    sources: list[Network | Peer] = []
    if inputs.get("remoteIpPrefix"):
        sources += _sources(inputs["remoteIpPrefix"])
    elif inputs.get("remoteGroupId"):
        sources.append(Peer("group", reader.identity(resource, "remoteGroupId")))
    elif inputs.get("remoteAddressGroupId"):
        own = reader.addresses(resource, "remoteAddressGroupId")
        sources += [_prefixes(inputs["remoteAddressGroupId"])] if own is None else own
    else:
        sources.append(INTERNET[family])  # neither prefix nor group is everybody
    group = reader.identity(resource, "securityGroupId")
    for source in sources:
        yield Opening(
            where=resource.name,
            id=resource.urn,
            group=group,
            direction=direction,
            protocol=number,
            first=first,
            last=last,
            source=source,
            families=(family,),
            spelling=_text(protocol),
            ported=start is not None or end is not None,
            why=_text(inputs.get("description")),
            certain=_certain(source, protocol, start, end),
        )


_GROUPS = (AWS_GROUP, AWS_DEFAULT_GROUP, OPENSTACK_GROUP)
_READERS: Mapping[str, Callable[[Reader, Declared], Iterator[Opening]]] = {
    AWS_INGRESS: partial(_aws_rule, "ingress"),
    AWS_EGRESS: partial(_aws_rule, "egress"),
    AWS_LEGACY_RULE: _aws_legacy,
    AWS_GROUP: _aws_inline,
    AWS_DEFAULT_GROUP: _aws_inline,
    GCP_FIREWALL: _gcp,
    OPENSTACK_RULE: _openstack,
}


def _sources(value: Any) -> Iterator[Network | Peer]:
    """The networks in a property, a text or a list of them; what is no network is left out: the cloud refuses it."""
    for text in _list(value) or [value]:
        if text is UNKNOWN:
            yield Peer("unknown", "")
        elif isinstance(text, str):
            with suppress(ValueError):
                yield ip_network(text, strict=False)


def _families(source: Network | Peer) -> tuple[Family, ...]:
    return FAMILIES if isinstance(source, Peer) else (family_of(source),)


def _certain(source: Network | Peer, *properties: Any) -> bool:
    """Whether all that decides what a rule opens is known; which group it names is decided elsewhere."""
    return UNKNOWN not in properties and not (isinstance(source, Peer) and source.kind == "unknown")


def _anything(resource: Declared, group: str, direction: Direction) -> Opening:
    """Rules of which nothing is known."""
    source = Peer("unknown", "")
    return Opening(resource.name, resource.urn, group, direction, None, FIRST_PORT, LAST_PORT, source, certain=False)


def _prefixes(id: Any) -> Peer:
    return Peer("prefixes", _text(id))


def _range(start: Any, end: Any) -> tuple[int, int]:
    """First and last port; one that is not known leaves the range wide."""
    first, last = _port(start), _port(end)
    start_, end_ = (FIRST_PORT if first is None else max(first, FIRST_PORT)), (LAST_PORT if last is None else last)
    # A range that is none must not be read as nothing open: it counts as wide as it may be.
    return (start_, end_) if start_ <= end_ else (FIRST_PORT, LAST_PORT)


def _port(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return int(value) if isinstance(value, int | float) and isfinite(value) and value >= 0 else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [UNKNOWN] if value is UNKNOWN else []


def _text(value: Any) -> str:
    if value is None or value is UNKNOWN:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
