"""How a rule of AWS is read: of the EC2 API, and of the three ways in which Pulumi's SDK writes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from kubeports.clouds.aws import facts
from kubeports.clouds.fields import (
    UNKNOWN,
    Declared,
    Identities,
    Source,
    anything,
    certain,
    icmp_range,
    listed,
    networks,
    port_range,
    protocol,
    sources,
    text,
)
from kubeports.flows import Direction, Flow, Peer, Style
from kubeports.networks import FAMILIES, Network, Networks
from kubeports.traffic import ALL, ICMPS

#: https://kubernetes.io/docs/concepts/services-networking/service/#aws-nlb-support: client, health, mtu.
_NLB = re.compile(r"kubernetes\.io/rule/nlb/(\w+)(?:=(.*))?")
#: https://github.com/kubernetes-sigs/aws-load-balancer-controller, pkg/targetgroupbinding/networking_manager.go
_CONTROLLER = "elbv2.k8s.aws/targetGroupBinding"
#: https://github.com/kubernetes/cloud-provider-aws, pkg/providers/v1/aws.go: the group of a classic load balancer.
_ELB = "k8s-elb-"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What all ways of writing a rule have."""

    where: str
    id: str
    direction: Direction
    protocol: Any
    start: Any
    end: Any
    why: str
    style: Style = "standalone"

    def flows(self, groups: list[str], found: list[Source]) -> Iterator[Flow]:
        """A flow per group and source."""
        number = protocol(self.protocol)
        numbers = (None, -1) if number in ICMPS else (None, 0, -1)
        # Where the older resources demand ports of a protocol that has none, they are 0; so is "all" as 0-0 or -1.
        written = self.start not in numbers or self.end not in numbers
        given = (self.start, self.end) != (None, None) and (self.start, self.end) != (-1, -1)
        ported = given and (number in facts.PORTED or written or (self.style == "standalone" and number not in ICMPS))
        ports = port_range(number, self.start, self.end) if number in facts.PORTED else ALL
        ports = icmp_range(self.start, self.end) if number in ICMPS else ports
        for group in groups:
            for source, families in found:
                yield Flow(
                    where=self.where,
                    id=self.id,
                    group=group,
                    direction=self.direction,
                    protocol=number,
                    ports=ports,
                    source=source,
                    families=families,
                    written=text(self.protocol),
                    ported=ported,
                    why=self.why,
                    style=self.style,
                    certain=certain(source, self.protocol, self.start, self.end),
                )


def of_api(raw: Mapping[str, Any]) -> Iterator[Flow]:
    """What ``rules`` allow: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html."""
    for rule in raw["rules"]:
        found = sources(rule.get("CidrIpv4"), ("ipv4",)) + sources(rule.get("CidrIpv6"), ("ipv6",))
        if rule.get("PrefixListId"):
            found.append((Peer("prefixes", rule["PrefixListId"]), FAMILIES))
        if not found:
            found.append((Peer("group", rule.get("ReferencedGroupInfo", {}).get("GroupId", "")), FAMILIES))
        why, id = rule.get("Description") or "", rule["SecurityGroupRuleId"]
        start, end = rule.get("FromPort", -1), rule.get("ToPort", -1)
        direction: Direction = "egress" if rule["IsEgress"] else "ingress"
        yield from _Rule(why or id, id, direction, rule["IpProtocol"], start, end, why).flows([rule["GroupId"]], found)


def rules(raw: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The raw rules by the ids of their flows."""
    return {rule["SecurityGroupRuleId"]: rule for rule in raw["rules"]}


def lists(raw: Mapping[str, Any]) -> dict[str, list[Network]]:
    """The networks in the prefix lists that the client could read."""
    found = {each["PrefixListId"]: [entry.get("Cidr") for entry in each["Entries"]] for each in raw.get("prefix_lists", ())}
    return {id: networks(texts) for id, texts in found.items()}


def described(rule: Mapping[str, Any]) -> str:
    """What a raw rule says of itself."""
    return rule.get("Description") or ""


def controller(rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Which controller made a raw rule, as far as it says; empty: none that is known."""
    why = described(rule)
    if match := _NLB.fullmatch(why):
        return f"Kubernetes: {match[1]} rule of the network load balancer {match[2] or ''}".rstrip()
    if why.startswith(_CONTROLLER):
        return "Kubernetes: AWS Load Balancer Controller"
    group = names.get(rule.get("ReferencedGroupInfo", {}).get("GroupId", ""), "")
    return f"Kubernetes: the load balancer {group.removeprefix(_ELB)}" if group.startswith(_ELB) else ""


# A program: https://www.pulumi.com/registry/packages/aws/api-docs/vpc/securitygroupingressrule/ and the other resources there


def of_inputs(resource: Declared, who: Identities) -> Iterator[Flow]:
    """What a resource allows; nothing where it has no rules."""
    if resource.type in (facts.INGRESS, facts.EGRESS):
        return _standalone(resource, who)
    if resource.type == facts.LEGACY_RULE:
        return _legacy(resource, who)
    return _inline(resource, who) if resource.type in facts.GROUPS else iter(())


def _standalone(resource: Declared, who: Identities) -> Iterator[Flow]:
    inputs = resource.inputs
    found = sources(inputs.get("cidrIpv4"), ("ipv4",)) + sources(inputs.get("cidrIpv6"), ("ipv6",))
    for kind, key in (("prefixes", "prefixListId"), ("group", "referencedSecurityGroupId")):
        found += _peers(kind, resource, key, who)
    direction: Direction = "ingress" if resource.type == facts.INGRESS else "egress"
    return _rule(resource, direction, inputs, "ipProtocol", "standalone").flows(who.of(resource, "securityGroupId"), found)


def _legacy(resource: Declared, who: Identities) -> Iterator[Flow]:
    inputs = resource.inputs
    groups = who.of(resource, "securityGroupId")
    found = _blocks(resource, inputs, "", who) + _peers("group", resource, "sourceSecurityGroupId", who)
    if inputs.get("self") is True:
        found += [(Peer("group", group), FAMILIES) for group in groups]
    given = inputs.get("type")
    for direction in (given,) if given in ("ingress", "egress") else ("ingress", "egress"):
        yield from _rule(resource, cast(Direction, direction), inputs, "protocol", "legacy").flows(groups, found)


def _inline(resource: Declared, who: Identities) -> Iterator[Flow]:
    directions: tuple[Direction, ...] = ("ingress", "egress")
    for direction in directions:
        for block in listed(resource.inputs.get(direction)):
            if not isinstance(block, Mapping):
                yield from anything(resource, [resource.urn], direction)
                continue
            found = _blocks(resource, block, direction, who)
            if block.get("self") is True:
                found.append((Peer("group", resource.urn), FAMILIES))
            if block.get("securityGroups") is not None:
                groups = who.of(resource, direction, block["securityGroups"])
                found += [(Peer("group", group), FAMILIES) for group in groups]
            yield from _rule(resource, direction, block, "protocol", "inline").flows([resource.urn], found)


def _rule(resource: Declared, direction: Direction, inputs: Mapping[str, Any], key: str, style: Style) -> _Rule:
    why = text(inputs.get("description"))
    start, end = inputs.get("fromPort"), inputs.get("toPort")
    return _Rule(resource.name, resource.urn, direction, inputs.get(key), start, end, why, style)


def _blocks(resource: Declared, inputs: Mapping[str, Any], property: str, who: Identities) -> list[Source]:
    found = sources(inputs.get("cidrBlocks"), ("ipv4",)) + sources(inputs.get("ipv6CidrBlocks"), ("ipv6",))
    if inputs.get("prefixListIds"):
        ids = who.of(resource, property or "prefixListIds", inputs["prefixListIds"])
        found += [(Peer("prefixes", id), FAMILIES) for id in ids]
    return found


def _peers(kind: Any, resource: Declared, key: str, who: Identities) -> list[Source]:
    if resource.inputs.get(key) is None:
        return []
    return [(Peer(kind, id), FAMILIES) for id in who.of(resource, key)]


def declared_list(resource: Declared, resources: Mapping[str, Declared]) -> list[Network] | None:
    """The networks of a prefix list that the program makes, with its entries beside it; None: it is none."""
    if resource.type != facts.PREFIX_LIST:
        return None
    texts = [_cidr(entry) for entry in listed(resource.inputs.get("entries"))]
    for each in resources.values():
        if each.type == facts.PREFIX_LIST_ENTRY and (
            resource.urn in each.links.get("prefixListId", ()) or each.inputs.get("prefixListId") == resource.inputs.get("id", "")
        ):
            texts.append(each.inputs.get("cidr"))
    family = {"IPv4": ("ipv4",), "IPv6": ("ipv6",)}.get(text(resource.inputs.get("addressFamily")), FAMILIES)
    # An entry that is not known may be anything.
    return networks(["?" if each is UNKNOWN else each for each in texts], cast(Any, family))


def _cidr(entry: Any) -> Any:
    return entry.get("cidr") if isinstance(entry, Mapping) else UNKNOWN


def marked(resource: Declared, cluster: str) -> tuple[str, ...]:
    """The targets of a cluster whose group a resource is, as the component marks it."""
    tags = resource.inputs.get("tags")
    if resource.type == facts.GROUP and isinstance(tags, Mapping) and tags.get(facts.CLUSTER_TAG) == cluster:
        return (str(tags.get(facts.TARGET_TAG)),)
    return ()


# What policies say


def without_ports(flow: Flow) -> str:
    """How a protocol without ports is written."""
    return "leave fromPort and toPort out" if flow.style == "standalone" else "write 0 for fromPort and toPort"


def undescribed(resource: Declared) -> Iterator[str]:
    """The rules of a resource that don't say why they are there."""
    if resource.type not in facts.GROUPS:
        yield from [] if resource.inputs.get("description") else [resource.name]
        return
    for direction in ("ingress", "egress"):
        for number, block in enumerate(listed(resource.inputs.get(direction))):
            if isinstance(block, Mapping) and not block.get("description"):
                yield f"{direction}[{number}] of {resource.name}"


def mixed(resources: Mapping[str, Declared], who: Identities) -> Iterator[tuple[str, str]]:
    """Groups whose rules are written in several ways: an inline rule and a standalone one delete each other.

    https://www.pulumi.com/registry/packages/aws/api-docs/ec2/securitygroup/ (the notes on inline rules)
    """
    styles: dict[str, dict[str, Declared]] = {}
    for each in resources.values():
        if each.type in (facts.INGRESS, facts.EGRESS, facts.LEGACY_RULE):
            style = "aws.ec2.SecurityGroupRule" if each.type == facts.LEGACY_RULE else "aws.vpc rules"
            for group in who.of(each, "securityGroupId"):
                styles.setdefault(group, {}).setdefault(style, each)
        elif each.type == facts.DEFAULT_GROUP or (
            each.type == facts.GROUP and any(each.inputs.get(key) not in (None, []) for key in ("ingress", "egress"))
        ):
            styles.setdefault(each.urn, {}).setdefault("inline rules", each)
    for group, used in styles.items():
        if group and len(used) > 1:
            names = " and ".join(f"{style} ({each.name})" for style, each in sorted(used.items()))
            name = resources[group].name if group in resources else group
            beside = next(each for _, each in sorted(used.items()) if each.urn != group)
            says = f"the security group {name} has {names}, which delete each other's rules"
            yield f"{says}. Fix: write all its rules in one way, best as aws.vpc.SecurityGroupIngressRule", beside.urn


def excess(
    resources: Mapping[str, Declared], flows: list[Flow], limits: Mapping[str, int], entries: Mapping[str, int]
) -> Iterator[tuple[str, str, str]]:
    """Groups with more rules than EC2 takes, as sentence, group and limit; a prefix list counts as many as it may hold."""
    most = limits.get("rules", facts.QUOTAS["rules"])
    count: dict[tuple[str, str, str], int] = {}
    for flow in flows:
        weight = len(flow.source.all) if isinstance(flow.source, Networks) else 1
        if isinstance(flow.source, Peer) and flow.source.kind == "prefixes":
            own = resources.get(flow.source.id)
            held = own.inputs.get("maxEntries") if own else None
            weight = int(held) if isinstance(held, int | float) else entries.get(flow.source.id, 1)
        for family in flow.families if flow.group else ():
            key = (flow.group, flow.direction, family)
            count[key] = count.get(key, 0) + weight
    for (group, direction, of), number in count.items():
        if number > most:
            yield f"has {number} {direction} rules of {of}, and EC2 takes {most}", group, "rules"
